"""What is asked of other servers: registered origins alone, no redirects, little time (AU06, CH08, API7)."""

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import BaseRequestHandler

import jwt
import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fhir_client import BASE
from patience import PATIENCE_S
from running_service import running as running_service

from service.outbound import Outbound, OutboundFault, TooLong, TooSlow, Unreadable
from service.outbound.connections import _Watch
from service.settings import origin_of

OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "/status": b"HTTP/1.1 20",
    "/head": OK + b"X-Slow: ",
    "/body": OK + b"Content-Length: 100000\r\n\r\n",
    "/chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n",
}
"""Where an answer slows down: a time-out for each read would never end it."""


BROKEN: dict[str, bytes] = {}
"""Answers of which each byte is set by a test."""


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path in DRIPS:
            self.drip(DRIPS[self.path])
            return
        if self.path in BROKEN:
            self.wfile.write(BROKEN[self.path])
            self.close_connection = True
            return
        if self.path == "/silent":
            self.server.ended.wait()
            return
        if self.path == "/there":
            self.send_response(302)
            self.send_header("Location", "/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=5")
        self.end_headers()
        if self.path == "/long":
            self.wfile.write(b"x" * 5000)
        else:
            self.wfile.write(b"{}")
        self.close_connection = True

    def drip(self, start):
        """Sends a byte now and then, for longer than anybody waits."""
        self.close_connection = True
        self.wfile.write(start)
        with suppress(OSError):
            while not self.server.ended.wait(0.02):
                self.wfile.write(b"1")

    def do_POST(self):
        self.server.callers.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def running(context=None, of=Pages):
    server = ThreadingHTTPServer(("127.0.0.1", 0), of)
    server.handle_error = lambda *_: None  # a caller that goes away is what some tests are about
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.asked, server.callers, server.ended = [], set(), threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    with running() as found:
        yield found


@pytest.fixture
def origin(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_an_answer_comes_with_status_headers_and_body(origin):
    answer = Outbound([origin]).get(f"{origin}/keys")
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"{}", "max-age=5")


def test_a_form_is_posted(origin):
    assert Outbound([origin]).post_form(f"{origin}/ask", {"token": "a b"}).body == b"token=a+b"


def test_another_origin_is_not_asked(server, origin):
    for other in ("http://127.0.0.1:1", "https://127.0.0.1", "http://localhost"):
        with pytest.raises(OutboundFault):
            Outbound([other]).get(f"{origin}/keys")
    assert not server.asked


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "//127.0.0.1/x", "keys", "http://[", "http://user@{}/x"]
)
def test_what_has_no_registered_origin_is_not_asked(server, origin, url):
    with pytest.raises(OutboundFault):
        Outbound([origin]).get(url.format(origin.removeprefix("http://")))
    assert not server.asked


class Connected:
    """A connection to an address; nothing may be sent on it."""

    def __init__(self, address):
        self.address, self.is_closed = address, False

    def getpeername(self):
        return (self.address, 443)

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%lo"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ch08_an_address_of_the_link_is_not_asked_whatever_leads_there(monkeypatch, scheme, address):
    """A name, another spelling of the number, or a name that leads elsewhere by now."""
    connected = Connected(address)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", lambda _: connected)
    origin = f"{scheme}://ehr.example.org"
    with pytest.raises(OutboundFault):
        Outbound([origin]).get(f"{origin}/fhir/Patient/1")
    assert connected.is_closed


def test_a_redirect_is_not_followed(server, origin):
    assert Outbound([origin]).get(f"{origin}/there").status == 302
    assert server.asked == ["/there"]


def test_a_long_answer_is_refused(origin):
    with pytest.raises(TooLong):
        Outbound([origin], most_bytes=4999).get(f"{origin}/long")
    assert len(Outbound([origin], most_bytes=5000).get(f"{origin}/long").body) == 5000


@pytest.mark.parametrize("length", [b"9", b"2\r\nContent-Length: 9"])
def test_an_answer_that_breaks_off_is_refused(server, origin, length, monkeypatch):
    monkeypatch.setitem(BROKEN, "/broken", OK + b"Content-Length: " + length + b"\r\n\r\n{}")
    with pytest.raises(Unreadable) as fault:
        Outbound([origin]).get(f"{origin}/broken")
    assert not isinstance(fault.value, TooLong), "a server that fails is no server that says too much"


@pytest.mark.parametrize("path", DRIPS)
def test_a_server_that_sends_byte_by_byte_gets_no_more_time(origin, path):
    client = Outbound([origin], timeout_s=60)
    with pytest.raises(TooSlow):
        client.request("GET", origin + path, {}, timeout_s=0.3)
    assert client.get(f"{origin}/keys").body == b"{}"  # the next question has a connection of its own


class Hesitation(BaseRequestHandler):
    """Begins TLS, as far as a record that gets a byte now and then."""

    def handle(self):
        self.request.recv(4096)
        with suppress(OSError):
            self.request.sendall(b"\x16\x03\x03\x40\x00")
            while not self.server.ended.wait(0.02):
                self.request.sendall(b"\0")


ASKS_IN_A_WORKER = """
from gevent import monkey
monkey.patch_all()
import sys
from service.outbound import Outbound, OutboundFault
try:
    Outbound([sys.argv[1]], timeout_s=0.3).get(sys.argv[1] + "/keys")
except OutboundFault as fault:
    print(type(fault).__name__)
"""


@pytest.mark.slow
def test_a_server_that_begins_tls_byte_by_byte_gets_no_more_time():
    """In a worker: gevent waits for each byte anew, where the standard library has an end for all of it."""
    with running(of=Hesitation) as server:
        program = [sys.executable, "-c", ASKS_IN_A_WORKER, f"https://127.0.0.1:{server.server_address[1]}"]
        told = subprocess.run(program, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert told.stdout == "TooSlow\n"


def test_a_connection_that_took_all_the_time_is_not_used():
    """Looking for the address may take longer than the watch waits: it has nothing to cut by then."""
    with running() as server, socket.create_connection(server.server_address[:2]) as connected:
        watch = _Watch(0)
        with pytest.raises(TooSlow):
            watch.begin(connected)
        watch.end_beginning()
        assert connected.fileno() == -1


def test_a_server_that_says_nothing_is_not_waited_for(origin):
    with pytest.raises(TooSlow):
        Outbound([origin], timeout_s=0.2).get(f"{origin}/silent")


@pytest.fixture
def certificate(tmp_path):
    """A certificate that nobody knows, for this machine, in a file with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, SHA256())
    )
    own = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "certificate.pem"
    file.write_bytes(key.private_bytes(*own) + made.public_bytes(Encoding.PEM))
    return file


@pytest.mark.parametrize("is_known", [False, True])
def test_a_certificate_must_be_known(certificate, monkeypatch, is_known):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running(context) as server:
        origin = f"https://127.0.0.1:{server.server_address[1]}"
        client = Outbound([origin])
        if is_known:
            assert client.get(f"{origin}/keys").body == b"{}"
            with pytest.raises(TooSlow):
                client.request("GET", f"{origin}/chunk", {}, timeout_s=0.5)
        else:
            with pytest.raises(OutboundFault):
                client.get(f"{origin}/keys")
            assert not server.asked


REGISTRY = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: https://login.example.org
      audience: ["{base}"]
      jwks-url: {origin}/jwks
      token-endpoint: https://login.example.org/token
"""


@pytest.mark.slow
def test_au07_a_worker_fetches_keys_by_tls(certificate, monkeypatch, tmp_path):
    """A worker has gevent replace `ssl` after the service was read, which plain http does not show."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = json.dumps({"keys": [{**public, "kid": "one"}]}).encode()
    monkeypatch.setitem(BROKEN, "/jwks", OK + b"Content-Length: %d\r\n\r\n%b" % (len(keys), keys))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    said = {"iss": "https://login.example.org", "aud": BASE, "exp": time.time() + 600, "scope": "user/*.rs"}
    token = jwt.encode(said, key, "RS256", {"kid": "one"})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(context) as server:
        registry = tmp_path / "ehrs.yaml"
        registry.write_text(
            REGISTRY.format(base=BASE, origin=f"https://127.0.0.1:{server.server_address[1]}")
        )
        store = f"sqlite:///{tmp_path / 'service.db'}"
        with running_service(store, EHRS_FILE=str(registry), WORKERS="1") as (_, ehr):
            answer = ehr.get("QuestionnaireResponse", authorization=f"Bearer {token}")
    assert answer.status == 200, answer.data
    assert server.asked == ["/jwks"]


def test_one_connection_serves_several_questions(server, origin):
    client = Outbound([origin])
    for _ in range(3):
        assert client.post_form(f"{origin}/ask", {"a": "b"}).status == 200
    assert len(server.callers) == 1


def test_no_url_is_logged(origin, caplog, monkeypatch):
    """A url may name a person; urllib3 writes it at DEBUG, and where it cannot read a head."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setitem(BROKEN, "/canary", OK + b"no head\r\nContent-Length: 2\r\n\r\n{}")
    Outbound([origin]).get(f"{origin}/canary")
    assert "canary" not in caplog.text


def test_a_server_that_is_not_there_is_a_fault():
    with pytest.raises(OutboundFault):
        Outbound(["http://127.0.0.1:1"]).get("http://127.0.0.1:1/keys")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://EHR.example.org:443/fhir", "https://ehr.example.org"),
        ("http://ehr.example.org:8080/fhir", "http://ehr.example.org:8080"),
        ("fhir", ""),
        ("http://[", ""),
    ],
)
def test_an_origin_is_written_as_browsers_do(url, origin):
    assert origin_of(url) == origin


@pytest.mark.slow
def test_nothing_that_reads_ssl_is_loaded_before_workers_are_forked():
    """The application is loaded in the process that forks them."""
    loads = "import sys, service.app, service.web.gate, service.terminology.server"
    program = f"{loads}; print('urllib3' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
