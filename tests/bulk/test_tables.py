"""Tables of scored responses: each column holds what the result says, in Parquet as in CSV."""

import csv
import io
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import date
from functools import cache, partial
from mmap import mmap
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service import cli
from service.authoring.generator import Wanted, generated
from service.bulk import score as scoring
from service.bulk import tables
from service.bulk.scorer import Facts, LevelFact, ScoredLine, ScoreFact, Scorer, ScoringOptions
from service.bulk.tables import (
    BETWEEN,
    FIXED,
    FORMULA,
    OF_LEVEL,
    OF_SCORE,
    columns,
    facts_in,
    write_table,
)
from service.errors import StartupError
from service.settings import ROOT, Settings

FOLDERS = {"": ROOT, "second": ROOT / "tests/second_pair", "instruments": ROOT / "tests/instruments"}


@cache
def scorer(folder: str = "instruments") -> Scorer:
    settings = Settings(
        questionnaires_dir=FOLDERS[folder] / "questionnaires", mappings_dir=FOLDERS[folder] / "mappings"
    )
    return Scorer(ScoringOptions.from_settings(settings, "summary"))


@cache
def scored(folder: str = "instruments", count: int = 30) -> tuple[ScoredLine, ...]:
    """Returns what comes of made-up responses, a line that is refused among them."""
    lines = [*generated(scorer(folder).served, Wanted(count)), b"{}"]
    return tuple(scorer(folder).line(line, number) for number, line in enumerate(lines, 1))


def rows(path: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_facts_of_a_line_are_read_back_as_they_were(folder: str) -> None:
    for line in scored(folder):
        assert facts_in(line.output) == line.facts


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"resourceType":"RiskAssessment"}', b'{"resourceType":"OperationOutcome"}']
)
def test_another_line_is_a_fault(line: bytes) -> None:
    with pytest.raises(StartupError, match="expected lines that"):
        facts_in(line)


def test_a_row_holds_what_the_facts_say(tmp_path: Path) -> None:
    out = tmp_path / "scored.parquet"
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert write_table([line.output for line in scored()], out, scorer().served) == 31
    for row, line in zip(rows(out), scored(), strict=True):
        facts = line.facts
        for name in ("line", "outcome", "step", "step_rank_at_most", "due_days", "date_settled"):
            assert row[name] == (getattr(facts, name) if getattr(facts, name) != "" else None)
        assert row["due_date"] == (date.fromisoformat(facts.due_date) if facts.due_date else None)
        assert row["rules"] == (BETWEEN.join(facts.rules) or None)
        for level in facts.levels:
            name = level.outcome.replace("-", "_")
            assert row[f"level_{name}_at_least"] == level.at_least
            assert row[f"level_{name}_at_most"] == level.at_most
            assert row[f"level_{name}_listed"] is level.listed
        for score in facts.scores:
            name = f"score_{score.name.replace('-', '_')}"
            assert row[f"{name}_at_least"] == float(score.at_least)
            assert row[f"{name}_value"] == (float(score.value) if score.value else None)
            assert row[f"{name}_highest_band"] == (score.highest_band or None)
        filled = {name for name, value in row.items() if value is not None}
        scores = {f"score_{score.name.replace('-', '_')}" for score in facts.scores}
        others = (name for name in filled if name.startswith("score_"))
        assert all(any(name.startswith(one) for one in scores) for name in others)


def test_a_refused_row_has_its_problems_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "scored.parquet"
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    write_table([line.output for line in scored()], out, scorer().served)
    filled = {name: value for name, value in rows(out)[-1].items() if value is not None}
    assert filled.keys() == {"line", "outcome", "problems"}
    assert (filled["line"], filled["outcome"]) == (31, "refused")


def test_csv_says_what_parquet_says(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    lines = [line.output for line in scored()]
    for name in ("scored.parquet", "scored.csv"):
        write_table(lines, tmp_path / name, scorer().served)
    with (tmp_path / "scored.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    for row, told in zip(rows(tmp_path / "scored.parquet"), written, strict=True):
        assert row.keys() == told.keys()
        for name, value in row.items():
            if isinstance(value, bool):
                assert told[name] == str(value).lower()
            elif isinstance(value, float):
                assert float(told[name]) == value
            else:
                assert told[name] == ("" if value is None else str(value))


FORMULAS = (
    "=1+1",
    "+1",
    "-1+A1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\0=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
)


def hostile(text: str) -> bytes:
    """Returns a line whose texts from the response are this one."""
    plain = facts_in(scored()[0].output)
    facts = plain._replace(response=text, identifier=text, subject=text, ignored=(text,))
    return orjson.dumps(facts.plain())


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_csv_is_a_formula_to_a_spreadsheet(tmp_path: Path, text: str) -> None:
    """OWASP, "CSV Injection". A spreadsheet whose lists are separated by semicolons cuts cells there too."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    behind = [f"Patient/1{end}{text};" for end in (";", "\t", "\r", "\n", ';";')]
    write_table(map(hostile, (text, *behind)), tmp_path / "out.csv", scorer().served)
    with (tmp_path / "out.csv").open(newline="") as file:
        first, *others = csv.DictReader(file)
    for name in ("response", "identifier", "subject", "ignored"):
        assert first[name] == "'" + text.replace("\n=", "\n'=").replace("\r=", "\r'=").replace("\t=", "\t'=")
        for row in others[:-1]:
            assert re.split("[;\t\r\n]", row[name], maxsplit=1)[1].startswith("'")


def test_numbers_dates_and_truth_stay_what_they_are_in_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    plain = facts_in(scored()[0].output)
    below = plain.scores[0]._replace(at_least="-3", at_most="-1.5", value="")
    facts = plain._replace(due_date="2026-11-28", scores=(below,), date_settled=False)
    write_table([orjson.dumps(facts.plain())], tmp_path / "out.csv", scorer().served)
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    name = f"score_{below.name.replace('-', '_')}"
    assert (row[f"{name}_at_least"], row[f"{name}_at_most"], row[f"{name}_value"]) == ("-3", "-1.5", "")
    assert (row["due_date"], row["date_settled"], row["line"]) == ("2026-11-28", "false", "1")


def test_parquet_holds_every_text_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    write_table(map(hostile, FORMULAS), tmp_path / "out.parquet", scorer().served)
    assert tuple(row["subject"] for row in rows(tmp_path / "out.parquet")) == FORMULAS


@given(st.text(alphabet="ab'=+-@;\t\r\n\0\uff1d", max_size=12))
@example("'=")
@example("''a")
@example("\t\t=")
def test_an_apostrophe_that_was_put_can_be_taken_off_again(text: str) -> None:
    """docs/tables.md says how."""
    written = re.sub(FORMULA, "'", text)
    starts = "['=+@\t\r\n\0\uff1d\uff0b\uff0d\uff20-]"
    assert re.sub(rf"(?<![^;\t\r\n])'(?={starts})", "", written) == text
    assert not re.search(r"(^|[;\t\r\n])[=+@\0\uff1d-]", written)


def test_rows_are_written_a_few_at_a_time_and_the_name_is_given_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    monkeypatch.setattr(tables, "_ROWS", 10)
    out = tmp_path / "scored.parquet"
    lines = [line.output for line in scored()]
    with pytest.raises(StartupError):
        write_table([*lines, b"{"], out, scorer().served)
    assert not out.exists()
    write_table(lines, out, scorer().served)
    assert parquet.ParquetFile(out).num_row_groups == 4
    assert [row["line"] for row in rows(out)] == list(range(1, 32))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_table_is_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.part").touch(0o644)
    write_table([line.output for line in scored()], tmp_path / name, scorer().served)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_no_row_is_a_table_with_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    for name in ("none.parquet", "none.csv"):
        assert write_table([], tmp_path / name, scorer().served) == 0
    names = [column.name for column in columns(scorer().served)]
    assert parquet.read_table(tmp_path / "none.parquet").column_names == names
    assert (tmp_path / "none.csv").read_text().replace('"', "").strip() == ",".join(names)


def test_every_field_of_the_file_says_what_it_holds(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    write_table([], tmp_path / "none.parquet", scorer().served)
    schema = parquet.read_schema(tmp_path / "none.parquet")
    for column in columns(scorer().served):
        assert schema.field(column.name).metadata[b"description"].decode() == column.about


def test_parts_of_a_list_can_be_told_apart() -> None:
    column = next(one for one in FIXED if one.name == "ignored")
    facts = Facts(1, "final", ignored=("a|b", "c\\", "d"))
    assert column.of(facts) == "a\\|b|c\\\\|d"
    assert re.split(r"(?<!\\)(?:\\\\)*\|", "a\\|b|d") == ["a\\|b", "d"]


def test_what_is_not_known_is_nothing_and_never_false_or_zero() -> None:
    of = {column.name: column.of for column in columns(scorer().served)}
    nothing = Facts(1, "refused")
    assert {name for name, value in of.items() if value(nothing) is not None} == {"line", "outcome"}
    score = next(name for name in of if name.endswith("_value")).removeprefix("score_").removesuffix("_value")
    facts = Facts(1, "preliminary", scores=(ScoreFact(score, "0", "3", "", "low", "", estimated=False),))
    assert of[f"score_{score}_at_least"](facts) == 0.0
    assert of[f"score_{score}_value"](facts) is None
    assert of[f"score_{score}_highest_band"](facts) is None
    assert of[f"score_{score}_estimated"](facts) is False


def test_outcomes_of_every_guidance_have_columns_once() -> None:
    names = [column.name for column in columns(scorer("").served)]
    assert len(names) == len(set(names))
    (pair,) = scorer("").served.pairs.values()
    for outcome in pair.guidance.written.outcomes:
        assert f"level_{outcome.code.replace('-', '_')}_at_most" in names
    level = LevelFact(pair.guidance.written.outcomes[0].code, "a", "b", listed=False)
    of = {column.name: column.of for column in columns(scorer("").served)}
    name = f"level_{level.outcome.replace('-', '_')}"
    assert of[f"{name}_listed"](Facts(1, "final", levels=(level,))) is False


# The command.


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of responses to the instruments, one of which is refused."""
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(FOLDERS["instruments"] / name.lower()))
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"\n".join([*generated(scorer().served, Wanted(30)), b"{}"]))
    return path


def test_the_command_writes_a_table_and_nothing_beside_it(source: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = source.with_name("scored.parquet")
    assert cli.main(["score", str(source), str(out), "--workers", "2"]) == 1
    expected = source.with_name("expected.parquet")
    write_table([line.output for line in scored()], expected, scorer().served)
    assert out.read_bytes() == expected.read_bytes()
    assert {path.name for path in source.parent.iterdir()} == {
        "in.ndjson",
        "scored.parquet",
        "expected.parquet",
    }


def test_a_table_that_is_there_is_kept_unless_it_is_to_be_replaced(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = source.with_name("scored.csv")
    out.write_text("mine")
    assert cli.main(["score", str(source), str(out)]) == 2
    assert "it is there already; --restart" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert cli.main(["score", str(source), str(out), "--workers", "1", "--restart"]) == 1
    assert len(out.read_text().splitlines()) == 32


def test_a_run_that_ends_before_the_table_is_whole_goes_on_there(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = source.with_name("scored.parquet")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "batch_of", fail)
    assert cli.main(["score", str(source), str(out), "--workers", "1"]) == 2
    assert not out.exists()
    monkeypatch.undo()
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(FOLDERS["instruments"] / name.lower()))
    monkeypatch.setattr("service.bulk.score.Pool", None)  # nothing is scored again
    assert cli.main(["score", str(source), str(out), "--workers", "1"]) == 1
    assert len(rows(out)) == 31
    assert {path.name for path in source.parent.iterdir()} == {"in.ndjson", "scored.parquet"}


def job_of(source: Path, out: Path) -> scoring.Job:
    job = scoring.Job(str(source), out, 1, out.parent / "report", range_bytes=8192, save_s=0.0)
    return scoring.as_table(job)


def tabled(source: Path, out: Path) -> int:
    """Scores into a table and a report, in a process of its own; returns the exit code."""
    process = os.fork()
    if process == 0:
        code = 99
        try:
            code = scoring.score(job_of(source, out), scorer().options, io.StringIO(), scorer().served).signal
        except StartupError:
            code = cli.COULD_NOT_RUN
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CALLS = ("write", "fsync", "open", "ftruncate", "replace", "unlink", "mkdir")
"""What leaves something behind."""


@pytest.mark.parametrize("name", ["out.parquet", pytest.param("out.csv", marks=pytest.mark.slow)])
def test_a_run_that_is_killed_before_a_step_ends_with_the_same_table(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every third of its steps, from the last one on."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    folders = tmp_path / "whole", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    with monkeypatch.context() as patched:
        calls = counted(patched)
        assert tabled(source, folders[0] / name) == 0
    whole, out = files_of(folders[0]), folders[1] / name
    assert calls[0] > 20
    for last in range(calls[0], 0, -3):
        with monkeypatch.context() as patched:
            done = counted(patched, last)
            ended = tabled(source, out)
        # A busy machine saves less often, so that the last steps may not be reached; what is whole stays.
        is_killed = done[0] == last
        assert ended == (-signal.SIGKILL if is_killed else 0)
        assert is_killed or last > calls[0] // 2
        assert files_of(folders[1]).get(name, whole[name]) == whole[name]
        assert tabled(source, out) == (0 if is_killed else cli.COULD_NOT_RUN)
        assert files_of(folders[1]) == whole
        shutil.rmtree(folders[1])
        folders[1].mkdir()


def counted(patched: pytest.MonkeyPatch, last: int = 0) -> mmap:
    """Counts the calls of the next process that is forked, and of none that it forks; kills it before one."""
    here, done = os.getpid(), mmap(-1, 1)

    def count(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if os.getppid() == here:
            done[0] += 1
            if done[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **named)

    for call in CALLS:
        patched.setattr(os, call, partial(count, getattr(os, call)))
    return done


@pytest.mark.parametrize("name", ["out.csv.gz", "out.PARQUET.zst"])
def test_a_table_that_would_be_compressed_is_refused_before_it_is_ndjson(
    name: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["score", str(source), str(tmp_path / name)]) == cli.COULD_NOT_RUN
    assert capsys.readouterr().err.startswith("error: OUT: expected a table without .gz or .zst")
    assert not (tmp_path / name).exists()


def test_while_a_table_is_written_no_other_run_writes_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out, found, write = tmp_path / "scored.csv", [], tables.batch_of

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(tables, "batch_of", write)
        found.append(tabled(source, out))
        return write(*args)

    monkeypatch.setattr(tables, "batch_of", meanwhile)
    scoring.score(job_of(source, out), scorer().options, io.StringIO(), scorer().served)
    assert found == [cli.COULD_NOT_RUN]
    assert len(out.read_text().splitlines()) == 32


def test_without_pyarrow_nothing_is_begun(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert cli.main(["score", str(source), str(source.with_name("scored.parquet"))]) == 2
    assert (
        "a table needs the Python package pyarrow: .venv/bin/pip install '.[bulk]'" in capsys.readouterr().err
    )
    assert [path.name for path in source.parent.iterdir()] == ["in.ndjson"]


def test_the_data_dictionary_names_every_column_with_its_type() -> None:
    """docs/tables.md against the columns, in their order."""
    text = (ROOT / "docs/tables.md").read_text()
    told = re.findall(r"^\| `([A-Za-z_]+)` \| ([a-z ]+) \| (.+) \|$", text, re.MULTILINE)
    expected = [(one.name, one.type, one.about) for one in FIXED]
    expected += [(f"level_OUTCOME_{part}", type_, about) for part, type_, about in OF_LEVEL]
    expected += [(f"score_NAME_{part}", type_, about) for part, type_, about in OF_SCORE]
    assert told == expected
