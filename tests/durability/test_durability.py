"""What was acknowledged is there, whatever happens to service or disk; what was not is whole or absent."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest
from outages import ROOT, SAMPLE, Load, Service, running
from running_service import new_database

from service.storage.model import Search
from service.storage.opening import open_store

ROUNDS = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """A store with its schema; sqlite_url and postgresql_url stand in tests/support/store_fixtures.py."""
    return request.getfixturevalue(f"{request.param}_url")


def assert_acknowledged(service: Service, versions: dict[str, int]) -> None:
    for of_id, version in versions.items():
        status, _, found = service.ask("GET", f"QuestionnaireResponse/{of_id}")
        assert (status, found["id"]) == (200, of_id)
        assert int(found["meta"]["versionId"]) >= version
        for path in (
            f"RiskAssessment/{of_id}",
            f"Provenance/{of_id}.{version}",
            f"AuditEvent/{of_id}.{version}",
        ):
            assert service.ask("GET", path)[0] == 200, path


def assert_nothing_is_half(url: str) -> None:
    """Every version of every response has its result and its trail, and nothing else is there."""
    store = open_store(url)
    with store.reading() as view:
        responses = view.search(Search("QuestionnaireResponse", limit=100_000)).records
        versions = sum(each.version for each in responses)
        risks = view.search(Search("RiskAssessment", limit=100_000)).records
        assert {each.id: each.version for each in risks} == {each.id: each.version for each in responses}
        for kind in ("Provenance", "AuditEvent"):
            assert view.search(Search(kind, limit=0, total=True)).total == versions
    store.close()


@pytest.mark.slow
def test_every_acknowledged_write_outlives_sigkill_under_load_again_and_again(url):
    chance, acknowledged = Random(4), {}
    for _ in range(ROUNDS):
        with running(url) as service:
            assert_acknowledged(service, dict(list(acknowledged.items())[-40:]))
            load = Load(service)
            load.wait_for(chance.randrange(5, 60))
            service.kill()
            load.finish()
        assert load.broken, "the service was killed while nothing was under way"
        assert not load.refused
        acknowledged |= load.versions
        assert_nothing_is_half(url)
    with running(url) as service:
        assert_acknowledged(service, acknowledged)


@pytest.mark.slow
def test_px03_sigterm_finishes_what_is_in_flight(url):
    with running(url) as service:
        load = Load(service, clients=4)
        load.wait_for(20)
        service.begin_to_stop()
        code = service.stop()
        load.finish()
        assert code == 0
        assert not load.refused
    assert_nothing_is_half(url)
    with running(url) as service:
        assert_acknowledged(service, load.versions)


@contextmanager
def small_disk(folder, size="3m"):
    """Mounts a file system of that size, so that a full disk is a real one."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("NOT TESTED ON A FULL DISK: mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def assert_unavailable(answer, kind: str) -> None:
    status, headers, outcome = answer
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert headers["Content-Type"] == "application/fhir+json"
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == kind


@pytest.mark.slow
def test_of_a_store_that_cannot_be_written_commands_say_so(tmp_path):
    with small_disk(tmp_path / "disk") as folder:
        store = os.environ | {"SERVICE_STORE_URL": f"sqlite:///{folder}/store.db"}
        command = [sys.executable, "-m", "service"]
        subprocess.run([*command, "migrate"], env=store, cwd=ROOT, check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        asked = [*command, "export", "Patient/1"]
        done = subprocess.run(asked, env=store, cwd=ROOT, check=False, capture_output=True, text=True)
    text = "SERVICE_STORE_URL: The file of the store, or the log beside it, cannot be written."
    assert (done.returncode, done.stderr) == (2, f"error: {text}\n")


@pytest.mark.slow
def test_px04_a_full_disk_is_503_and_passes_without_restart(tmp_path):
    with small_disk(tmp_path / "disk") as folder, running(f"sqlite:///{folder}/store.db") as service:
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while _grows(file):
                pass
        answers = [service.ask("POST", "QuestionnaireResponse", SAMPLE) for _ in range(60)]
        full = [each for each in answers if each[0] != 201]
        assert full
        for each in full:
            assert_unavailable(each, "store-full")
        assert service.ask("GET", "QuestionnaireResponse?_summary=count")[0] == 200
        assert service.ask("GET", "metadata")[0] == 200
        ballast.unlink()
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201
        service.kill()
        assert_nothing_is_half(f"sqlite:///{folder}/store.db")


def _grows(file) -> bool:
    try:
        return file.write(b"\0" * 4096) == 4096
    except OSError:
        return False


@pytest.mark.slow
def test_px04_a_locked_database_is_503_and_passes_without_restart(sqlite_url):
    with running(sqlite_url, STORE_TIMEOUT_S="1") as service:
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        assert_unavailable(service.ask("POST", "QuestionnaireResponse", SAMPLE), "store-busy")
        other.execute("ROLLBACK")
        other.close()
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201


@pytest.mark.slow
def test_px04_a_lost_file_is_503_and_passes_without_restart(sqlite_url, tmp_path):
    path = sqlite_url.removeprefix("sqlite:///")
    with running(sqlite_url) as service:
        of_id = service.ask("POST", "QuestionnaireResponse", SAMPLE)[2]["id"]
        os.rename(path, path + ".away")  # noqa: PTH104 - a path of an URL
        assert_unavailable(service.ask("GET", f"QuestionnaireResponse/{of_id}"), "store-unavailable")
        assert_unavailable(service.ask("POST", "QuestionnaireResponse", SAMPLE), "store-unavailable")
        assert service.ask("GET", "metadata")[0] == 200
        os.rename(path + ".away", path)  # noqa: PTH104
        assert service.ask("GET", f"QuestionnaireResponse/{of_id}")[0] == 200
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201


@pytest.mark.slow
def test_px04_a_lost_server_is_503_and_passes_without_restart(postgresql_server, postgresql_url):
    with running(postgresql_url) as service:
        of_id = service.ask("POST", "QuestionnaireResponse", SAMPLE)[2]["id"]
        postgresql_server.stop()
        try:
            assert_unavailable(service.ask("GET", f"QuestionnaireResponse/{of_id}"), "store-unavailable")
            assert service.ask("GET", "metadata")[0] == 200
        finally:
            postgresql_server.start()
        assert service.ask("GET", f"QuestionnaireResponse/{of_id}")[0] == 200
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201


def commands_of_the_page(first: str) -> str:
    """Returns the commands of docs/operating.md that stand in one block, from one that begins so on."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "docs/operating.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (block,) = [block for block in blocks if block.startswith(first)]
    return str(block)


def every_record(url: str) -> dict[tuple[str, str], tuple[int, bytes]]:
    """Returns version and body of everything that is stored."""
    store = open_store(url)
    with store.reading() as view:
        records = [
            record
            for kind in ("QuestionnaireResponse", "RiskAssessment", "Provenance", "AuditEvent")
            for record in view.search(Search(kind, limit=100_000)).records
        ]
    store.close()
    return {(record.type, record.id): (record.version, bytes(record.body)) for record in records}


def run_backup(commands: str, **names: str) -> None:
    done = subprocess.run(
        ["sh", "-euc", commands], env=os.environ | names, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def written_meanwhile(url: str):
    """Runs the block while responses are created and updated; gives those acknowledged before it began."""
    with running(url) as service:
        load = Load(service)
        load.wait_for(40)
        before = dict(load.versions)
        yield service, before
        load.wait_for(sum(load.versions.values()) + 20)
        load.finish()
        assert not load.refused


def assert_restored(url: str, original: str, before: dict[str, int]) -> None:
    """The restored store is whole, holds what was acknowledged before, and nothing that was never written."""
    assert_nothing_is_half(url)
    restored, written = every_record(url), every_record(original)
    assert len(restored) < len(written), "nothing was written after the backup"
    assert restored.keys() <= written.keys()
    same_version = [key for key, (version, _) in restored.items() if version == written[key][0]]
    assert same_version
    assert [key for key in same_version if restored[key] != written[key]] == []
    with running(url) as service:
        assert_acknowledged(service, before)
        assert service.ask("POST", "QuestionnaireResponse", SAMPLE)[0] == 201


def test_a_backup_of_a_file_that_is_not_there_fails_and_leaves_none(tmp_path: Path) -> None:
    """SQLite would make an empty one, and back that up."""
    (tmp_path / "data").mkdir()
    command = commands_of_the_page("(umask 077 && python3 -c")
    done = subprocess.run(["sh", "-euc", command], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"unable to open database file" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["data"]


@pytest.mark.slow
def test_a_backup_of_sqlite_under_load_is_restored_whole(sqlite_url: str, tmp_path: Path) -> None:
    kept, restored = tmp_path / "copy.db", tmp_path / "restored.db"
    command = commands_of_the_page("(umask 077 && python3 -c")
    for page, here in {
        "data/service.db": sqlite_url.removeprefix("sqlite:///"),
        "copy.db": str(kept),
    }.items():
        assert page in command
        command = command.replace(page, here)
    # A reader that stays keeps what is written after it in the -wal file, out of a plain copy's reach.
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM record").fetchone()
        with written_meanwhile(sqlite_url) as (_, before):
            run_backup(command)
    assert kept.stat().st_mode & 0o077 == 0, "others can read the backup"
    shutil.copy(kept, restored)
    assert_restored(f"sqlite:///{restored}", sqlite_url, before)


@pytest.mark.slow
def test_a_backup_of_postgresql_under_load_is_restored_whole(
    postgresql_server, postgresql_url, tmp_path
) -> None:
    programs = f"{postgresql_server.programs}:{os.environ['PATH']}"
    command = commands_of_the_page("(umask 077 && pg_dump").replace("copy.dump", str(tmp_path / "copy.dump"))
    dump, restore = command.splitlines()
    empty = new_database(postgresql_server)
    with written_meanwhile(postgresql_url) as (_, before):
        run_backup(dump, PATH=programs, SERVICE_STORE_URL=postgresql_url)
    assert (tmp_path / "copy.dump").stat().st_mode & 0o077 == 0, "others can read the backup"
    run_backup(restore, PATH=programs, EMPTY_DATABASE_URL=empty)
    assert_restored(empty, postgresql_url, before)
