"""deploy/nginx.conf in front of the real service: TLS, the path, limits, faults that an app may read."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fhir_client import ORIGIN
from gunicorn_server import Answer, Served, answer_from, get, post, until
from patience import PATIENCE_S
from running_service import running

from benchmarks.http import free_port

PUBLIC = "https://fhir.example.org/guidance/fhir"
CANARY = "canary-7f3a"


@dataclass(frozen=True)
class Proxy:
    """A running nginx: its port and the folder of its logs."""

    port: int
    folder: Path

    def ask(self, raw: bytes, **tls: ssl.TLSVersion) -> Answer:
        with self._connection(**tls) as connection:
            connection.sendall(raw)
            return answer_from(connection)

    def ask_all(self, raw: bytes) -> bytes:
        """Sends several requests, of which the last one closes, and returns all that comes."""
        with self._connection() as connection, connection.makefile("rb") as stream:
            connection.sendall(raw)
            return stream.read()

    def _connection(self, **tls: ssl.TLSVersion) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "guidance.crt")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        for name, version in tls.items():
            setattr(context, name, version)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return context.wrap_socket(plain, server_hostname="fhir.example.org")

    def ask_plainly(self, raw: bytes) -> Answer:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(raw)
            return answer_from(connection)


def configuration(root: Path, folder: Path, port: int, behind: int) -> str:
    """Returns the project's file with other addresses and folders, and nothing else changed."""
    text = (root / "deploy/nginx.conf").read_text()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{behind}",
        "/etc/nginx/tls/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert old in text
        text = text.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return (
        f"pid {folder}/pid;\nerror_log {folder}/start.log;\ndaemon off;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )


@contextmanager
def proxy(root: Path, folder: Path, behind: int) -> Iterator[Proxy]:
    if not (nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
        missing = "THE PROXY: nginx is not on this machine (Debian: apt-get install nginx)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder.chmod(0o755)
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    files = ["-keyout", folder / "guidance.key", "-out", folder / "guidance.crt"]
    named = ["-addext", "subjectAltName=DNS:fhir.example.org"]
    subprocess.run([*command.split(), *files, *named], check=True, capture_output=True)
    port = free_port()
    (folder / "nginx.conf").write_text(configuration(root, folder, port, behind))
    with subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf"]) as process:
        try:
            until(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None, (folder / "start.log").read_text()
            yield Proxy(port, folder)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
    with running(store, BASE_URL=PUBLIC, CORS_ORIGINS=ORIGIN, WORKERS="1", METRICS="true") as (server, _):
        yield server


@pytest.fixture(scope="module")
def front(served: Served, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(root, tmp_path_factory.mktemp("nginx"), served.port) as running_proxy:
        yield running_proxy


@pytest.fixture(scope="module")
def alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with nothing behind it."""
    with proxy(root, tmp_path_factory.mktemp("alone"), free_port()) as running_proxy:
        yield running_proxy


def is_readable_by_an_app(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.document["resourceType"] == "OperationOutcome"
    # Of a request that could not be read nobody knows the origin.
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_sh03_tls_1_2_and_1_3_are_spoken(front):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        answer = front.ask(get("/guidance/fhir/metadata"), minimum_version=version, maximum_version=version)
        assert answer.status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_sh03_older_tls_is_not_spoken(front, root):
    old = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        front.ask(get("/guidance/fhir/metadata"), minimum_version=old, maximum_version=old)
    (spoken,) = re.findall(r"^ *ssl_protocols (.*);$", (root / "deploy/nginx.conf").read_text(), re.MULTILINE)
    assert spoken == "TLSv1.2 TLSv1.3"


def test_sh03_plain_http_is_refused(front, root):
    answer = front.ask_plainly(get("/guidance/fhir/metadata", f"Origin: {ORIGIN}"))
    is_readable_by_an_app(answer, 400)
    listening = re.findall(r"^ *listen (.*);$", (root / "deploy/nginx.conf").read_text(), re.MULTILINE)
    assert listening == ["443 ssl"]


def test_sh03_sh04_links_use_the_public_base_below_its_path_whatever_the_headers_say(front):
    forged = ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /evil")
    answer = front.ask(get("/guidance/fhir/Questionnaire", *forged))
    assert answer.status == 200
    assert b"evil.example" not in answer.body
    assert all(entry["fullUrl"].startswith(f"{PUBLIC}/") for entry in answer.document["entry"])
    assert front.ask(get("/fhir/metadata")).status == 404


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/guidance/fhir/" + "x" * 9000, f"Origin: {ORIGIN}"), 414),
        (get("/guidance/fhir/metadata", f"Origin: {ORIGIN}", "X-Long: " + "x" * 16_384), 431),
        (get("/guidance/fhir/metadata", f"Origin: {ORIGIN}", *(f"X-{n}: x" for n in range(200))), 431),
        (post(b" " * 1_048_577, f"Origin: {ORIGIN}", path="/guidance/fhir/QuestionnaireResponse"), 413),
        (get("/elsewhere", f"Origin: {ORIGIN}"), 404),
        (get("/guidance/readyz", f"Origin: {ORIGIN}"), 404),
    ],
    ids=["long address", "long header", "many headers", "long body", "no such path", "probe"],
)
def test_sh06_co05_what_is_refused_is_an_outcome_that_an_app_may_read(front, raw, status):
    is_readable_by_an_app(front.ask(raw), status)


@pytest.mark.parametrize("name", ["readyz", "healthz", "metrics"])
def test_how_the_service_fares_is_told_to_nobody_outside(front, name):
    """The service takes slashes behind a path, and so would who looks for a way round."""
    for path in (name, f"{name}/", f"{name}//", f"/{name}/", f"%{ord(name[0]):x}{name[1:]}/"):
        assert front.ask(get(f"/guidance/{path}")).status == 404


def test_sh04_nobody_is_sent_to_the_host_that_they_name(front):
    answer = front.ask(get("/guidance").replace(b"localhost", b"evil.example"))
    assert (answer.status, answer.headers["location"]) == (301, "/guidance/")


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET /x HTTP/9.9\r\n\r\n"])
def test_sh06_what_is_no_request_is_an_outcome(front, raw):
    is_readable_by_an_app(front.ask(raw), 400)


def test_co05_a_service_that_is_away_is_an_outcome_that_an_app_may_read(alone):
    answer = alone.ask(get("/guidance/fhir/metadata", f"Origin: {ORIGIN}"))
    is_readable_by_an_app(answer, 502)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["retry-after"] == "5"


def test_co05_no_other_origin_may_read_a_fault(alone):
    answer = alone.ask(get("/guidance/fhir/metadata", "Origin: https://evil.example"))
    assert "access-control-allow-origin" not in answer.headers


def test_co05_answers_of_the_service_pass_with_their_own_headers_once(front):
    raw = get("/guidance/fhir/QuestionnaireResponse/none", f"Origin: {ORIGIN}")
    answer = front.ask(raw)
    is_readable_by_an_app(answer, 404)
    assert answer.headers["access-control-expose-headers"] != "Retry-After"


def test_too_many_requests_of_one_address_are_asked_to_wait(alone):
    """They all come on one connection, so that a slow machine sends them quickly enough too."""
    one = get("/guidance/fhir/metadata", f"Origin: {ORIGIN}")
    last = get("/guidance/fhir/metadata", "Connection: close")
    told = alone.ask_all(one * 500 + last).decode()
    refused = [answer for answer in told.split("HTTP/1.1 ") if answer.startswith("429")]
    assert refused
    for expected in ('"code":"throttled"', "Retry-After: 1", f"Access-Control-Allow-Origin: {ORIGIN}"):
        assert expected in refused[0]


def test_no_log_of_the_proxy_repeats_a_path_or_a_query(front, alone):
    where = f"/guidance/fhir/QuestionnaireResponse/{CANARY}?subject={CANARY}"
    for each in (front, alone):
        each.ask(get(where, f"Authorization: Bearer {CANARY}", f"Referer: https://x.example/{CANARY}"))
        logs = [path for path in each.folder.iterdir() if path.suffix == ".log"]
        until(lambda logs=logs: any(path.stat().st_size for path in logs if path.name == "guidance.log"))
        assert [path.name for path in logs if CANARY in path.read_text()] == []
