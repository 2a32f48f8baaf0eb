"""The same scorer on Spark: the bytes of one machine, from text and Parquet, nothing lost with an executor.

Spark has an environment of its own (scripts/install --spark). SPARK_RESPONSES says how many responses are
scored, and that an executor is to be killed on the way: that takes long, so it is a target of the night.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import cli
from service.authoring.generator import Wanted, generated
from service.bulk.scorer import Facts, Scorer, ScoringOptions
from service.bulk.spark import ship
from service.bulk.tables import write_table
from service.settings import ROOT, Settings

PYTHON = ROOT / ".venv-spark/bin/python"
MANY = int(os.environ.get("SPARK_RESPONSES", "0"))
SECOND = ROOT / "tests/second_pair"
SETTINGS = Settings(questionnaires_dir=SECOND / "questionnaires", mappings_dir=SECOND / "mappings")

needs_spark = pytest.mark.skipif(
    not PYTHON.exists() or shutil.which("java") is None,
    reason="Spark is not on this machine (scripts/install --spark, and Java 17 or later)",
)


@cache
def scorer(output: str = "risk") -> Scorer:
    return Scorer(ScoringOptions.from_settings(SETTINGS, output))


def of_one_machine(data: bytes) -> tuple[bytes, tuple[Facts, ...]]:
    """Returns what one process makes of a file."""
    numbered = enumerate(data.split(b"\n"), 1)
    scored = [scorer().line(raw, number) for number, raw in numbered if raw.strip(b" \t\r\n")]
    return b"".join(line.output + b"\n" for line in scored), tuple(line.facts for line in scored)


def plain(row: dict[str, str]) -> dict[str, str]:
    """Returns a row of CSV without its line, and numbers without a fraction of zero, which Spark writes."""
    return {name: value.removesuffix(".0") for name, value in row.items() if name != "line"}


def lines_in(folder: Path) -> bytes:
    """Returns the files that Spark has written, one after the other by their names."""
    assert (folder / "_SUCCESS").exists()
    return b"".join(part.read_bytes() for part in sorted(folder.glob("part-*")))


@pytest.fixture
def on_spark(tmp_path: Path) -> Callable[..., Any]:
    """Runs something on Spark, in small tasks; returns what it printed."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        confs = {"spark.default.parallelism": 6, "spark.sql.files.maxPartitionBytes": 400_000}
        given = " ".join(f"--conf {name}={value}" for name, value in confs.items())
        environment = {
            **os.environ,
            "SERVICE_QUESTIONNAIRES_DIR": str(SECOND / "questionnaires"),
            "SERVICE_MAPPINGS_DIR": str(SECOND / "mappings"),
            "PYTHONPATH": str(ROOT),
            "PYSPARK_SUBMIT_ARGS": f"{given} --conf spark.ui.enabled=false pyspark-shell",
        }
        return subprocess.run(
            [PYTHON, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.slow
@needs_spark
def test_spark_writes_the_bytes_of_one_machine(tmp_path: Path, on_spark: Callable[..., Any]) -> None:
    """Among the responses are blank lines, bytes that are no text, and other resources."""
    made = list(generated(scorer().served, Wanted(MANY or 2_000)))
    texts = ("=1+1|v", '=A("b",1)|v', '| -1 ";=1 ', "|a\r@b\n+c", "'|v", "|\t=1")
    named = (dict(zip(("system", "value"), text.split("|"), strict=True)) for text in texts)
    stated = ({name: value for name, value in one.items() if value} | {"use": "usual"} for one in named)
    formulas = [orjson.dumps(orjson.loads(made[0]) | {"identifier": one}) for one in stated]
    made[100:100] = formulas
    odd = [b"", b"caf\xe9", b'{"resourceType":"Patient"}', b" \t\r", b"{\xff}", made[0] + b"\r"]
    data = b"\xef\xbb\xbf" + b"\n".join([*made[:700], *odd, *made[700:], b""])
    source = tmp_path / "in.ndjson"
    source.write_bytes(data)
    done = on_spark(str(ROOT / "tests/support/spark_runs.py"), "local[2]", str(source), "out")
    assert done.returncode == 0, done.stderr[-4000:]
    expected, facts = of_one_machine(data)
    out = tmp_path / "out"
    assert json.loads(done.stdout) == {"records": len(made) + 4, "refused": 3, "killed": 0}
    assert lines_in(out / "lines") == expected
    assert len(list((out / "lines").glob("part-*"))) > 1
    assert lines_in(out / "again") == expected
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    rows = parquet.read_table(out / "table.parquet").to_pylist()
    assert [(row["line"], row["outcome"]) for row in rows] == [(one.line, one.outcome) for one in facts]
    assert [row["step"] for row in rows] == [one.step or None for one in facts]
    assert [row["identifier"] for row in rows[100:106]] == list(texts)
    write_table(
        [scorer("summary").line(one, 1).output for one in formulas], tmp_path / "out.csv", scorer().served
    )
    with (tmp_path / "out.csv").open(newline="") as file:
        here = [plain(row) for row in csv.DictReader(file)]
    there = []
    for part in sorted((out / "table.csv").glob("part-*")):
        with part.open(newline="") as file:
            there += csv.DictReader(file)
    assert [int(row["line"]) for row in there] == [one.line for one in facts]
    assert [plain(row) for row in there[100:106]] == here


@pytest.mark.slow
@needs_spark
@pytest.mark.skipif(not MANY, reason="an executor is killed at night: set SPARK_RESPONSES=100000")
def test_nothing_is_lost_with_an_executor(tmp_path: Path, on_spark: Callable[..., Any]) -> None:
    data = b"\n".join(generated(scorer().served, Wanted(MANY)))
    source = tmp_path / "in.ndjson"
    source.write_bytes(data)
    script = str(ROOT / "tests/support/spark_runs.py")
    done = on_spark(script, "local-cluster[2,1,1024]", str(source), "out", "--kill")
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout) == {"records": MANY, "refused": 0, "killed": 1}
    assert lines_in(tmp_path / "out/lines") == of_one_machine(data)[0]


class _Context:
    """Takes the archives that a job adds."""

    def __init__(self) -> None:
        self.archives: list[str] = []

    def addArchive(self, path: str) -> None:  # noqa: N802 - Spark's
        self.archives.append(path)


class _Session:
    def __init__(self) -> None:
        self.sparkContext = _Context()


@pytest.mark.slow
def test_what_travels_scores_as_what_stays(tmp_path: Path) -> None:
    """The archive alone is enough, and it is named for what is in it."""
    session = _Session()
    shipped = ship(session, scorer().options)
    (added,) = session.sparkContext.archives
    path, _, name = added.partition("#")
    assert name == shipped.archive
    assert ship(_Session(), scorer().options).archive == name
    shutil.unpack_archive(path, tmp_path / name)
    line = next(generated(scorer().served, Wanted(1)))
    (tmp_path / "line.json").write_bytes(line)
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from service.bulk import spark;"
        "assert spark.__file__.startswith(sys.argv[1]), spark.__file__;"
        "scorer = spark._scorer(sys.argv[1], spark.ScoringOptions(*eval(sys.argv[2])));"
        "sys.stdout.buffer.write(scorer.line(Path('line.json').read_bytes(), 1).output)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / name), repr(tuple(shipped.options))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == scorer().line(line, 1).output
    assert str(ROOT).encode() not in repr(shipped).encode()


def test_nothing_travels_but_the_package_and_the_folders_of_the_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Path] = []
    bytes_of = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.append(path), bytes_of(path))[1])
    assert scorer().options.terminology_dir == ""
    ship(_Session(), scorer().options)
    folders = (ROOT / "service", SECOND / "questionnaires", SECOND / "mappings")
    assert len(read) > 100
    assert [path for path in read if not any(path.is_relative_to(folder) for folder in folders)] == []


def test_another_guidance_is_another_archive(tmp_path: Path) -> None:
    shutil.copytree(SECOND, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "mappings/workday-strain/guidance.yaml"
    path.write_text(f"# changed\n{path.read_text()}")
    changed = scorer().options._replace(mappings_dir=str(tmp_path / "mappings"))
    archives = {ship(_Session(), options).archive for options in (scorer().options, changed)}
    assert len(archives) == 2


@pytest.mark.slow
@needs_spark
def test_a_folder_that_is_there_is_kept(tmp_path: Path, on_spark: Callable[..., Any]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "in.ndjson").write_bytes(b"{}")
    done = on_spark("-m", "service", "score", "--spark", "local[1]", "in.ndjson", "out")
    assert done.returncode == 2
    assert "out: it is there already; --restart puts another in its place" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_without_spark_it_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(SECOND / name.lower()))
    monkeypatch.setenv("PYSPARK_PYTHON", "python3")
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert cli.main(["score", "--spark", "local[1]", "in.ndjson", "out"]) == 2
    assert "this needs Spark: scripts/install --spark" in capsys.readouterr().err


def test_without_spark_a_folder_is_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", "in.ndjson", str(tmp_path)]) == 2
    assert "OUT: expected a file" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["out", "out/", "out/part-*.txt"])
def test_a_folder_that_is_read_is_not_replaced(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Spark would delete what stands there before it reads any of it."""
    assert cli.main(["score", "--spark", "local[1]", "--restart", source, "out"]) == 2
    assert "out: expected another folder than that of the input" in capsys.readouterr().err
