"""Stored responses are scored again in the order of their ids, from where a run stopped; nothing changes."""

import io
from functools import cache
from pathlib import Path

import orjson
import pytest
from examples import IN_CI

from service import cli
from service.authoring.generator import Wanted, generated
from service.bulk import stored
from service.bulk.scorer import Scorer, ScoringOptions
from service.bulk.stored import RESPONSE, StoredJob, score_stored
from service.errors import StartupError
from service.settings import ROOT, Settings
from service.storage.model import Draft, Store
from service.storage.opening import place_of

SECOND = ROOT / "tests/second_pair"
SETTINGS = Settings(questionnaires_dir=SECOND / "questionnaires", mappings_dir=SECOND / "mappings")
OPTIONS = ScoringOptions.from_settings(SETTINGS)
LONG_AGO = 1_600_000_000_000_000


@cache
def scorer() -> Scorer:
    return Scorer(OPTIONS)


@cache
def responses(count: int, seed: int = 1) -> dict[str, bytes]:
    """Returns made-up responses by id; one is written over several lines, one cannot be scored."""
    lines = list(generated(scorer().served, Wanted(count, seed)))
    found = {f"r{number:04}": line for number, line in enumerate(lines)}
    named = {of_id: orjson.dumps(orjson.loads(line) | {"id": of_id}) for of_id, line in found.items()}
    named["r0001"] = orjson.dumps(orjson.loads(named["r0001"]), option=orjson.OPT_INDENT_2)
    named["r0002"] = named["r0002"].replace(b'"status":"', b'"status":"entered-in-error","_was":"', 1)
    return named


def put(store: Store, found: dict[str, bytes], tenant: str = "") -> None:
    with store.writing(tenant) as transaction:
        transaction.create_all([Draft(RESPONSE, of_id, LONG_AGO, body) for of_id, body in found.items()])


def expected(found: dict[str, bytes]) -> bytes:
    """Returns the lines of all that can be scored, by id; the others are left empty."""
    lines = []
    for of_id, body in sorted(found.items()):
        scored = scorer().line(body, 7)
        lines.append(scored.output if scored.facts.step else of_id.encode())
    return b"".join(line + b"\n" for line in lines)


def plain(output: bytes) -> bytes:
    """Returns lines with the id alone in place of an OperationOutcome."""
    lines = []
    for line in output.splitlines():
        document = orjson.loads(line)
        is_refused = document["resourceType"] == "OperationOutcome"
        lines.append(document["id"].encode() if is_refused else line)
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture
def kept(url: str, open_one) -> Store:
    return open_one(url)


def job(output: Path, **changes: object) -> StoredJob:
    return StoredJob("", output, workers=2, batch=3)._replace(**changes)


def test_every_response_is_scored_as_it_would_be_now(kept: Store, tmp_path: Path) -> None:
    found = responses(20)
    put(kept, found)
    notes = io.StringIO()
    report = score_stored(kept, job(tmp_path / "out.ndjson"), OPTIONS, notes)
    output = (tmp_path / "out.ndjson").read_bytes()
    assert plain(output) == expected(found)
    assert (report.records, report.refused) == (20, 1)
    (refused,) = [line for line in output.splitlines() if b"OperationOutcome" in line]
    assert orjson.loads(refused)["issue"][0]["diagnostics"].startswith("QuestionnaireResponse/r0002: ")
    assert "20 records" in notes.getvalue()
    assert [path.name for path in tmp_path.glob("out*")] == ["out.ndjson"]


def test_nothing_that_is_stored_changes(kept: Store, tmp_path: Path) -> None:
    found = responses(20)
    put(kept, found)
    score_stored(kept, job(tmp_path / "out.ndjson"), OPTIONS, io.StringIO())
    with kept.reading() as view:
        for of_id, body in found.items():
            record = view.read(RESPONSE, of_id)
            assert record is not None
            assert (record.version, record.body) == (1, body)
        assert view.head() is None


@pytest.mark.parametrize("batch", [1, 4, 200] if IN_CI else [4])
def test_the_bytes_do_not_depend_on_batches_and_processes(kept: Store, tmp_path: Path, batch: int) -> None:
    put(kept, responses(20))
    outputs = []
    for workers in (1, 3):
        out = tmp_path / f"{workers}.ndjson"
        score_stored(kept, job(out, batch=batch, workers=workers), OPTIONS, io.StringIO())
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 20


def test_a_run_that_is_stopped_goes_on_behind_the_last_id(
    kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is not read again, though it has changed since; what came in meanwhile is scored."""
    found = dict(responses(20))
    put(kept, found)
    out, reads, read = tmp_path / "out.ndjson", [], stored._read

    def stop(store, wanted, after, limit):
        reads.append(after)
        if len(reads) == 3:
            raise KeyboardInterrupt
        return read(store, wanted, after, limit)

    monkeypatch.setattr(stored, "_read", stop)
    with pytest.raises(KeyboardInterrupt):
        score_stored(kept, job(out), OPTIONS, io.StringIO())
    assert not out.exists()
    first, _, _, last = responses(4, seed=2).values()
    with kept.writing() as transaction:
        transaction.update(Draft(RESPONSE, "r0000", LONG_AGO, first))
    late = orjson.dumps(orjson.loads(last) | {"id": "r0020"})
    put(kept, {"r0020": late})
    report = score_stored(kept, job(out, workers=1), OPTIONS, io.StringIO())
    assert reads[3] == reads[2] == "r0011"
    assert plain(out.read_bytes()) == expected(found | {"r0020": late})
    assert report.records == 21


def test_a_run_of_another_tenant_or_guidance_does_not_go_on(
    kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kept, responses(20))
    out = tmp_path / "out.ndjson"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stored, "_read", stop)
        with pytest.raises(KeyboardInterrupt):
            score_stored(kept, job(out), OPTIONS, io.StringIO())
    with pytest.raises(StartupError, match="the options or settings have changed"):
        score_stored(kept, job(out, tenant="north"), OPTIONS, io.StringIO())
    with pytest.raises(StartupError, match="the options or settings have changed"):
        score_stored(kept, job(out, place="another store"), OPTIONS, io.StringIO())
    with pytest.raises(StartupError, match="the guidance has changed"):
        score_stored(kept, job(out), OPTIONS._replace(mappings_dir=str(tmp_path)), io.StringIO())


def test_a_run_does_not_go_on_in_another_store(
    url: str, kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The people of two stores would stand in one file, and those with low ids of the second in none."""
    put(kept, responses(4))
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(SECOND / name.lower()))
    out, other = tmp_path / "out.ndjson", f"sqlite:///{tmp_path / 'other.db'}"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stored, "_read", stop)
        patch.setenv("SERVICE_STORE_URL", url)
        assert cli.main(["rescore", str(out)]) == 130
    monkeypatch.setenv("SERVICE_STORE_URL", other)
    assert cli.main(["migrate"]) == 0
    assert cli.main(["rescore", str(out)]) == 2
    assert "the options or settings have changed" in capsys.readouterr().err
    monkeypatch.setenv("SERVICE_STORE_URL", url)
    assert cli.main(["rescore", str(out), "--workers", "1"]) == 1
    assert len(out.read_bytes().splitlines()) == 4


def test_another_password_is_the_same_store() -> None:
    places = {place_of(f"postgresql://{user}@db/guidance{option}") for user, option in USERS}
    assert len(places) == 1
    assert place_of("postgresql://u:p@db/other") not in places
    assert place_of("postgresql://u:p@other/guidance") not in places


USERS = (("u:p", ""), ("v:q", "?sslmode=require"))


def test_a_tenant_has_its_own_responses_alone(kept: Store, tmp_path: Path) -> None:
    north, south = responses(4), responses(4, seed=2)
    put(kept, north, "north")
    put(kept, south, "south")
    (tmp_path / "notes").touch()
    with (tmp_path / "notes").open("r") as nobody_reads:
        score_stored(kept, job(tmp_path / "out.ndjson", tenant="south"), OPTIONS, nobody_reads)
    assert plain((tmp_path / "out.ndjson").read_bytes()) == expected(south)
    assert not (tmp_path / "out.ndjson.journal").exists()


def test_deleted_responses_are_left_out_and_an_empty_store_is_an_empty_file(
    kept: Store, tmp_path: Path
) -> None:
    assert score_stored(kept, job(tmp_path / "none.ndjson"), OPTIONS, io.StringIO()).records == 0
    assert (tmp_path / "none.ndjson").read_bytes() == b""
    found = dict(responses(4))
    put(kept, found)
    with kept.writing() as transaction:
        transaction.update(Draft(RESPONSE, "r0003", LONG_AGO, b"{}", deleted=True))
    del found["r0003"]
    score_stored(kept, job(tmp_path / "out.ndjson"), OPTIONS, io.StringIO())
    assert plain((tmp_path / "out.ndjson").read_bytes()) == expected(found)


def test_the_command_asks_whose_and_scores_by_the_guidance_of_the_settings(
    url: str, kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(kept, responses(4), "north")
    put(kept, responses(4), "south")
    monkeypatch.setenv("SERVICE_STORE_URL", url)
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(SECOND / name.lower()))
    out = tmp_path / "out.ndjson"
    assert cli.main(["rescore", str(out)]) == 2
    assert "--tenant: expected one of whom something is stored: north, south." in capsys.readouterr().err
    assert cli.main(["rescore", str(out), "--tenant", "north", "--workers", "1"]) == 1
    assert plain(out.read_bytes()) == expected(responses(4))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stored, "_read", stop)
    assert cli.main(["rescore", str(tmp_path / "more.ndjson"), "--tenant", "north"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
