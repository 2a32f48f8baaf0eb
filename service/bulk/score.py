"""A file of responses in, a file of results out: in order, by several processes, whatever its size."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple, TextIO

import msgspec

from service.bulk.journal import Journal, basis, files_beside, journal_of, told_of_a_full_disk
from service.bulk.pool import Done, Pool, RangeScorer
from service.bulk.progress import Progress
from service.bulk.ranges import RANGE_BYTES, Range, Source, compression, compressor, opened, ranges
from service.bulk.report import Report, report, svg_of, text_of
from service.bulk.scorer import Scorer, ScoringOptions
from service.bulk.tables import check_pyarrow, part_of, write_table
from service.catalogue import Catalogue
from service.errors import StartupError

_AHEAD: Final = 4
"""Ranges for each process that may be done or in work behind one that is not done yet."""
_WAIT_S: Final = 0.1
_TEXT: Final = "report.txt"
_PICTURE: Final = "report.svg"


class Job(NamedTuple):
    """What is to be done.

    Args:
        source: the input, or `-` for standard input.
        output: where the results are to stand.
        workers: processes that score; 0 for one on each core that this process may use.
        folder: where the report is to stand too; None for nowhere.
        restart: begin anew, whatever is there.
        range_bytes: as `ranges` takes its size.
        save_s: seconds after which what is done is made sure.
        table: where a table of the results is to stand, in place of them.
    """

    source: str
    output: Path
    workers: int = 0
    folder: Path | None = None
    restart: bool = False
    range_bytes: int = RANGE_BYTES
    save_s: float = 1.0
    table: Path | None = None


class Ended(NamedTuple):
    """How a run ended.

    Args:
        report: what came out so far.
        lines: of the input that are done.
        signal: the number of the signal that stopped it; 0 where all is done.
    """

    report: Report
    lines: int
    signal: int = 0


def score(job: Job, options: ScoringOptions, notes: TextIO, served: Catalogue | None = None) -> Ended:
    """Scores a file, or goes on with one that was begun.

    Args:
        job: what is to be done.
        options: of the scoring.
        notes: where the progress and the report are written; no answer and no id stands in them.
        served: what the options name, where it is read already.

    Raises:
        StartupError: something else stands where the output is to stand, what was begun rests on something
            else, or the input cannot be decompressed; GuidanceError as a Scorer does.
        OSError: a file cannot be read or written.
    """
    compress = compressor(str(job.output))
    _check_source(job)
    with (
        told_of_a_full_disk(job.table or job.output),
        _signals() as caught,
        opened(job.source) as source,
    ):
        journal = Journal.opened(
            job.output,
            basis(options, compression(str(job.output)), source.size),
            restart=job.restart,
            made=job.table,
        )
        try:
            scorer = Scorer(options, served)
            return _scored(job, RangeScorer(scorer, compress), _Open(source, journal, notes, caught))
        finally:
            journal.close()


def _check_source(job: Job) -> None:
    """Raises StartupError where a run would write over its input."""
    written = [job.output, *files_beside(job.output)]
    if job.table is not None:
        written += (job.table, part_of(job.table))
    if job.folder is not None:
        written += (job.folder / name for name in (_TEXT, _PICTURE))
    for path in written:
        if path.exists() and Path(job.source).exists() and path.samefile(job.source):
            raise StartupError([f"{path}: expected another file than the input"])


class _Caught(msgspec.Struct):
    """The signal that asks a run to stop; 0 for none."""

    number: int = 0


class _Open(NamedTuple):
    """What a run reads and writes."""

    source: Source
    journal: Journal
    notes: TextIO
    caught: _Caught


def _scored(job: Job, scoring: RangeScorer, files: _Open) -> Ended:
    journal, stopped = files.journal, 0
    if not journal.state.is_whole:
        with Pool(scoring, job.workers or len(os.sched_getaffinity(0))) as pool:
            _Run(job, files, pool).run()
        stopped = files.caught.number
    if not stopped:
        journal.complete(scoring.compress(b""))
    found = report(journal.counts, scoring.scorer.served)
    if not stopped:
        with suppress(OSError):  # that nobody reads it stops nothing
            files.notes.write(text_of(found))
        if job.folder is not None:
            _write_report(job.folder, found)
        if job.table is not None and job.output.exists():
            _write_table(job.output, job.table, scoring.scorer.served)
            job.output.unlink()
        journal.forget()
    return Ended(found, journal.state.lines, stopped)


def as_table(job: Job) -> Job:
    """Returns the job whose output is a table: the results are written beside it first.

    Raises:
        StartupError: there is such a table already, or pyarrow is not installed.
    """
    table = job.output
    lines = table.with_name(f"{table.name}.ndjson")
    is_begun = journal_of(lines).exists()
    if table.exists() and not (job.restart or is_begun):
        raise StartupError([f"{table}: it is there already; --restart puts another in its place"])
    check_pyarrow(table)
    return job._replace(output=lines, table=table)


def _write_table(results: Path, table: Path, served: Catalogue) -> None:
    with results.open("rb") as lines:
        write_table(lines, table, served)


def _write_report(folder: Path, found: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TEXT).write_text(text_of(found), "utf-8")
    (folder / _PICTURE).write_text(svg_of(found), "utf-8")


@contextmanager
def _signals() -> Iterator[_Caught]:
    """Notes signals that ask a process to end, in place of ending it."""
    caught = _Caught()

    def note(number: int, _: FrameType | None) -> None:
        caught.number = number

    asks = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` has it ignored
        asks.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in asks}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """One run: hands ranges out, and writes what comes back in the order of the input."""

    def __init__(self, job: Job, files: _Open, pool: Pool) -> None:
        self._journal, self._source, self._caught, self._pool = (
            files.journal,
            files.source,
            files.caught,
            pool,
        )
        self._notes, self._save_s = files.notes, job.save_s
        self._ranges = ranges(files.source.read, pool.scoring.scorer.options.most_bytes, job.range_bytes)
        self._waiting: dict[int, Done] = {}
        self._ends: dict[int, int] = {}  # of ranges in work, by ordinal: how far the input was read for them
        self._position = 0
        self._next_given = self._lines = 0
        self._has_more = True

    def run(self) -> None:
        """Scores everything, or until a signal comes; what is done then is sure."""
        self._pass_over()
        self._position = self._source.position()
        progress = Progress(self._notes, self._source.size, self._position)
        saved = time.monotonic()
        while not self._caught.number:
            self._hand_out()
            if not self._pool.is_busy:
                break
            for done in self._pool.results(_WAIT_S):
                self._take(done)
            progress.tell(self._position, self._lines)
            if time.monotonic() - saved >= self._save_s:
                self._journal.save()
                saved = time.monotonic()
        self._journal.save()
        progress.end(self._lines)

    def _pass_over(self) -> None:
        """Reads past the lines that are done, and checks that they have not changed."""
        digest, state = "", self._journal.state
        for _ in range(state.ranges):
            if self._caught.number:
                return
            found = self._next()
            if found is None:
                raise StartupError(
                    [f"{self._journal.path}: the input has become shorter; --restart begins anew"]
                )
            digest = self._journal.check(found, digest)

    def _next(self) -> Range | None:
        found = next(self._ranges, None)
        self._has_more = found is not None
        return found

    def _hand_out(self) -> None:
        """Gives every process that is free a range, as long as not too many wait for one that is not done."""
        most = self._journal.state.ranges + _AHEAD * self._pool.size
        while self._has_more and self._next_given < most and self._pool.is_free:
            found = self._next()
            if found is not None:
                self._ends[found.ordinal] = self._source.position()
                self._pool.give(found)
                self._next_given = found.ordinal + 1

    def _take(self, done: Done) -> None:
        """Keeps results until it is their turn, and writes those whose turn it is."""
        self._waiting[done.ordinal] = done
        while (following := self._waiting.pop(self._journal.state.ranges, None)) is not None:
            self._journal.add(following)
            self._position = self._ends.pop(following.ordinal)
            self._lines += following.lines
