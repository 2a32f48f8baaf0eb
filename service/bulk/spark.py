"""Responses scored by Spark: the same Scorer in every Python process of the executors.

What travels with the job is an archive with this package, the questionnaires and the mappings; the packages
that they need (requirements.txt) are expected on every executor, under the same Python. Lines have the
numbers of the input, so that the same bytes come out as on one machine. A task that is lost with its executor
is done again by another one.

Source: Spark 4, `DataFrame.mapInArrow`, `SparkContext.addArchive`, file sources (column `_metadata`).
"""

from __future__ import annotations

import atexit
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final, NamedTuple

from service.bulk.pool import Counted
from service.bulk.ranges import is_blank
from service.bulk.report import Report, report
from service.bulk.scorer import FINAL, PRELIMINARY, REFUSED, ScoredLine, Scorer, ScoringOptions
from service.bulk.tables import (
    CSV,
    DATE,
    FORMULA,
    NUMBER,
    PARQUET,
    TEXT,
    TRUTH,
    WHOLE,
    batch_of,
    columns,
    format_of,
)
from service.bulk.tables import schema_of as arrow_schema
from service.catalogue import Catalogue
from service.errors import StartupError

LINE, RESPONSE, RESULT = "line", "response", "result"
"""Columns: number of a line in the input, from 1; the response in JSON; the line that comes out for it."""

_PACKAGE: Final = Path(__file__).parent.parent
_ROWS: Final = 500
"""Rows that go to Python and back at a time."""
_ROWS_OF_TASK: Final = 5_000
_DDL: Final = {TEXT: "string", WHOLE: "bigint", NUMBER: "double", DATE: "date", TRUTH: "boolean"}
_CSV: Final = {
    "header": "true",
    "escape": '"',
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
}
"""RFC 4180, 2.7: a quote in a field is doubled. Spark alone would put a backslash, and drop white space."""
_NEEDS_SPARK: Final = "this needs Spark: scripts/install --spark, or pip install '.[spark]'"


class Shipped(NamedTuple):
    """What the executors know a job by: the name of its archive, and the options as they are there."""

    archive: str
    options: tuple[Any, ...]


class SparkJob(NamedTuple):
    """What is to be done.

    Args:
        master: url of the cluster, such as `spark://host:7077`, `k8s://https://host:6443` or `local[4]`.
        source: as `read_responses` takes its path.
        output: a folder that Spark writes; its name says whether it holds Parquet, CSV, or the lines.
        restart: put it in the place of what is there.
    """

    master: str
    source: str
    output: str
    restart: bool = False


def score_on_spark(job: SparkJob, options: ScoringOptions) -> Report:
    """Scores responses on a cluster, and returns what came out.

    Raises:
        StartupError: Spark is not installed, or something stands where the output is to stand, the input for
            instance, which Spark would delete before it is read; GuidanceError as a Scorer does.
    """
    source, output = (f"{path.rstrip('/')}/" for path in (job.source, job.output))
    if source.startswith(output):
        raise StartupError([f"{job.output}: expected another folder than that of the input"])
    served = options.read_catalogue()
    with open_session(job.master) as session:
        scored = score_frame(read_responses(session, job.source), options, served)
        return write_scored(scored, job.output, served, restart=job.restart)


@contextmanager
def open_session(master: str) -> Iterator[Any]:
    """Opens a session; unless configured otherwise, its executors use the same Python."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise StartupError([_NEEDS_SPARK]) from None
    session = SparkSession.builder.master(master).appName("questionnaire-guidance").getOrCreate()
    try:
        yield session
    finally:
        session.stop()


def write_scored(scored: Any, output: str, served: Catalogue, *, restart: bool = False) -> Report:
    """Writes what `score_frame` has returned; returns what came out, without the problems of refused lines.

    Files of lines that are read one after the other, in the order of their names, are the file that one
    machine writes.

    Args:
        output, restart: as a SparkJob has them. served: what the responses were scored by.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import Observation

    counted = dict(enumerate(_counted(served)))
    counts = Observation()
    observed = scored.observe(counts, *(_how_often(one, f"n{place}") for place, one in counted.items()))
    kind = format_of(Path(output))
    chosen = observed.drop(RESULT) if kind else observed.select(RESULT)
    if kind == CSV:
        chosen = chosen.select([_no_formula(*column) for column in chosen.dtypes])
    written = chosen.write.mode("overwrite" if restart else "error")
    try:
        if kind == PARQUET:
            written.parquet(output)
        elif kind == CSV:
            written.options(**_CSV).csv(output)
        else:
            written.option("lineSep", "\n").text(output)
    except AnalysisException as fault:
        if fault.getCondition() != "PATH_ALREADY_EXISTS":
            raise
        raise StartupError([f"{output}: it is there already; --restart puts another in its place"]) from None
    return report({one: int(counts.get[f"n{place}"]) for place, one in counted.items()}, served)


def _no_formula(name: str, type_: str) -> Any:
    """Returns the column of a table as a CSV file holds it: text is no formula to a spreadsheet."""
    from pyspark.sql import functions as f

    column = f.col(name)
    return f.regexp_replace(column, FORMULA, "'").alias(name) if type_ == _DDL[TEXT] else column


def _counted(served: Catalogue) -> Iterator[Counted]:
    """Yields every count that lines can have with the guidance that is served."""
    yield from (("line", outcome) for outcome in (FINAL, PRELIMINARY, REFUSED))
    for pair in (*served.pairs.values(), *served.superseded):
        written = pair.guidance.written
        for tier in written.tiers:
            for outcome in (FINAL, PRELIMINARY):
                yield "step", written.identity.canonical, tier.code, outcome


def _how_often(counted: Counted, name: str) -> Any:
    """Returns the expression of Spark that counts it."""
    from pyspark.sql import functions as f

    holds = f.col("outcome") == counted[-1]
    if counted[0] == "step":
        holds = holds & (f.col("guidance") == counted[1]) & (f.col("step") == counted[2])
    return f.count_if(holds).alias(name)


def ship(session: Any, options: ScoringOptions) -> Shipped:
    """Sends this package, the questionnaires and the mappings to the executors of a session.

    The folders of the options become those in the archive; it is named for its content, so that a guidance
    that has changed meanwhile is another one.
    """
    files = {f"service/{name}": content for name, content in _files_in(_PACKAGE)}
    folders = {
        "questionnaires_dir": options.questionnaires_dir,
        "mappings_dir": options.mappings_dir,
        "terminology_dir": options.terminology_dir,
    }
    for name, folder in folders.items():
        if folder:
            files |= {f"{name}/{path}": content for path, content in _files_in(Path(folder))}
    digest = sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path} {len(content)}\n".encode())
        digest.update(content)
    archive = f"questionnaire-guidance-{digest.hexdigest()[:16]}"
    shipped_from = mkdtemp(prefix="questionnaire-guidance-")
    atexit.register(rmtree, shipped_from, ignore_errors=True)  # executors may ask for it until then
    packed = Path(shipped_from) / f"{archive}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path, content in sorted(files.items()):
            file.writestr(path, content)
    session.sparkContext.addArchive(f"{packed}#{archive}")
    there = options._replace(
        questionnaires_dir="questionnaires_dir",
        mappings_dir="mappings_dir",
        terminology_dir="terminology_dir" if options.terminology_dir else "",
    )
    return Shipped(archive, tuple(there))


def _files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def read_responses(session: Any, path: str) -> Any:
    """Returns a DataFrame of `line` and `response` in the order of the input.

    Args:
        session: a SparkSession.
        path: NDJSON as Spark reads text, plain or compressed; or Parquet (its name ends so) with a column
            `response`. A folder or a pattern is several files, in the order of their names.
    """
    from pyspark.sql import functions as f

    if format_of(Path(path)) == PARQUET:
        read = session.read.parquet(path).withColumnRenamed(RESPONSE, "value")
    else:
        read = session.read.option("lineSep", "\n").text(path)
    placed = read.select(
        f.col("value").cast("binary").alias(RESPONSE),
        f.col("_metadata.file_path").alias("path"),
        f.col("_metadata.file_block_start").alias("block"),
        f.monotonically_increasing_id().alias("id"),
    )
    blocks = placed.groupBy("path", "block").agg(f.min("id").alias("first"), f.count("*").alias("lines"))
    shifts, before = [], 0
    for block in sorted(blocks.collect(), key=lambda block: (block["path"], block["block"])):
        shifts.append((block["path"], block["block"], before + 1 - block["first"]))
        before += block["lines"]
    known = session.createDataFrame(shifts, "path string, block bigint, shift bigint")
    numbered = placed.join(f.broadcast(known), ["path", "block"])
    tasks = max(session.sparkContext.defaultParallelism, -(-before // _ROWS_OF_TASK))
    lines = numbered.select((f.col("id") + f.col("shift")).alias(LINE), RESPONSE)
    return lines.repartitionByRange(tasks, LINE).sortWithinPartitions(LINE)


def score_frame(responses: Any, options: ScoringOptions, served: Catalogue | None = None) -> Any:
    """Returns a DataFrame with the columns of docs/tables.md, and `result`: the line that comes out.

    Args:
        responses: a DataFrame with the columns `line` and `response`, in JSON, as text or binary; blank ones
            lead to no row.
        options: of the scoring; its folders are read here, on the driver.
        served: what they name, where it is read already.

    Raises:
        GuidanceError: as a Scorer does.
    """
    shipped = ship(responses.sparkSession, options)
    named = columns(served or options.read_catalogue())
    fields = (f"{column.name} {_DDL[column.type]}" for column in named)
    work = _on_executor(shipped.archive, shipped.options)
    return responses.select(LINE, RESPONSE).mapInArrow(work, ", ".join((*fields, f"{RESULT} string")))


def _on_executor(archive: str, options: tuple[Any, ...]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Returns the function that an executor applies to the rows of a task.

    It is sent as code and knows nothing of this package, which is found in the archive only then.
    """

    def work(batches: Iterable[Any]) -> Iterator[Any]:  # pragma: no cover - runs in processes of Spark
        from pyspark import SparkFiles

        folder = str(Path(SparkFiles.getRootDirectory()) / archive)
        if folder not in sys.path[:1]:  # another job of this session may have brought another package
            for name in [name for name in sys.modules if name.partition(".")[0] == "service"]:
                del sys.modules[name]
            sys.path.insert(0, folder)
        from service.bulk.spark import scored_batches

        yield from scored_batches(batches, folder, options)

    return work


# On the executors.


def scored_batches(batches: Iterable[Any], folder: str, options: tuple[Any, ...]) -> Iterator[Any]:
    """Yields the results of Arrow batches of `line` and `response`, in their order.

    Args:
        folder: where the archive is unpacked. options: as they were shipped.
    """
    import pyarrow as pa

    scorer = _scorer(folder, ScoringOptions(*options))
    named = columns(scorer.served)
    schema = arrow_schema(named, pa)
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            scored = list(_scored(scorer, part.column(0).to_pylist(), part.column(1).to_pylist()))
            rows = batch_of([one.facts for one in scored], named, schema, pa)
            results = pa.array([one.output.decode() for one in scored], type=pa.string())
            yield pa.RecordBatch.from_arrays([*rows.columns, results], names=[*schema.names, RESULT])


def _scored(scorer: Scorer, lines: list[int], responses: list[bytes | str | None]) -> Iterator[ScoredLine]:
    most_bytes = scorer.options.most_bytes
    for line, response in zip(lines, responses, strict=True):
        raw = response.encode() if isinstance(response, str) else response or b""
        if is_blank(raw):
            continue
        yield scorer.too_long(line) if len(raw) > most_bytes else scorer.line(raw, line)


@cache
def _scorer(folder: str, options: ScoringOptions) -> Scorer:
    """Returns the Scorer of this process: the guidance is read once, for all its tasks."""
    here = Path(folder)
    return Scorer(
        options._replace(
            questionnaires_dir=str(here / options.questionnaires_dir),
            mappings_dir=str(here / options.mappings_dir),
            terminology_dir=str(here / options.terminology_dir) if options.terminology_dir else "",
        )
    )
