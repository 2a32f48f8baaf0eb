"""Stored responses, scored again, by a new version of their guidance for instance; nothing stored changes.

They are read in the order of their ids, some hundred at a time, each time by a view of its own that begins
behind the last id: nobody else waits, and a run that was stopped goes on there. What is stored meanwhile is
scored too where its id comes later, and by what it says when it is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import orjson

from service.bulk.journal import Journal, basis, told_of_a_full_disk
from service.bulk.pool import Done, Pool, RangeScorer
from service.bulk.progress import Progress
from service.bulk.ranges import Range, compression, compressor
from service.bulk.report import Report, report, text_of
from service.bulk.scorer import Scorer, ScoringOptions
from service.storage.model import Record, Search, Store

RESPONSE: Final = "QuestionnaireResponse"
BATCH: Final = 200
"""Responses that are read, and scored by one process, at a time."""

_REFUSED: Final = b'{"resourceType":"OperationOutcome","id":"line-'
_ENDS_OF_LINES: Final = bytes.maketrans(b"\r\n", b"  ")


class StoredJob(NamedTuple):
    """What is to be done.

    Args:
        tenant: whose responses. output: where the results are to stand; `.gz` and `.zst` are compressed.
        workers: processes that score; 0 for one on each core that this process may use.
        restart: begin anew, whatever is there. batch: as BATCH.
        place: which store it is; a run is not gone on with in another one.
    """

    tenant: str
    output: Path
    workers: int = 0
    restart: bool = False
    batch: int = BATCH
    place: str = ""


def score_stored(store: Store, job: StoredJob, options: ScoringOptions, notes: TextIO) -> Report:
    """Scores the current versions of all stored responses of a tenant, or goes on with a run that was begun.

    A line for each, in the order of the ids: what `score` writes of it; the OperationOutcome of one that
    cannot be scored has the id of the response.

    Args:
        store: where they are; only read. notes: where the progress and the report are written.

    Raises:
        StartupError: as `score` does; GuidanceError as a Scorer does. StoreFault: as the store does.
        OSError: the output cannot be written.
    """
    with told_of_a_full_disk(job.output):
        return _score_stored(store, job, options, notes)


def _score_stored(store: Store, job: StoredJob, options: ScoringOptions, notes: TextIO) -> Report:
    compress = compressor(str(job.output))
    of_whom = f"{compression(str(job.output))} stored in {job.place}, of the tenant {job.tenant!r}"
    journal = Journal.opened(job.output, basis(options, of_whom, None), restart=job.restart)
    try:
        scorer = Scorer(options)
        if not journal.state.is_whole:
            with Pool(RangeScorer(scorer), job.workers or len(os.sched_getaffinity(0))) as pool:
                _run(store, job, journal, pool, _Told(compress, Progress(notes, None)))
            journal.complete(compress(b""))
        found = report(journal.counts, scorer.served)
        with suppress(OSError):  # that nobody reads it stops nothing
            notes.write(text_of(found))
        journal.forget()
        return found
    finally:
        journal.close()


class _Told(NamedTuple):
    """How the output is written, and where progress is shown."""

    compress: Callable[[bytes], bytes]
    progress: Progress


def _run(store: Store, job: StoredJob, journal: Journal, pool: Pool, told: _Told) -> None:
    """Reads as much as all processes can take, scores it, makes it sure, and goes on behind it."""
    before = journal.state.lines
    while True:
        records = _read(store, job, journal.state.after, job.batch * pool.size)
        for done, part in _scored(records, job.batch, journal, pool):
            output = _named(done.output, {done_line: one.id for done_line, one in part})
            journal.add(done._replace(output=told.compress(output)), after=part[-1][1].id)
        journal.save()
        told.progress.tell(0, journal.state.lines - before)
        if len(records) < job.batch * pool.size:
            told.progress.end(journal.state.lines - before)
            return


def _read(store: Store, job: StoredJob, after: str, limit: int) -> tuple[Record, ...]:
    """Returns the responses whose ids come next."""
    with store.reading(job.tenant) as view:
        return view.search(Search(RESPONSE, limit=limit, after=(after,) if after else None)).records


_Numbered = list[tuple[int, Record]]


def _scored(
    records: tuple[Record, ...], size: int, journal: Journal, pool: Pool
) -> Iterator[tuple[Done, _Numbered]]:
    """Yields the results of records, in their order, with the records and their numbers."""
    first, given = journal.state.lines + 1, journal.state.ranges
    parts: dict[int, _Numbered] = {}
    for place in range(0, len(records), size):
        part = list(enumerate(records[place : place + size], first + place))
        lines = b"\n".join(record.body.translate(_ENDS_OF_LINES) for _, record in part)
        pool.give(Range(given + len(parts), part[0][0], len(part), lines))
        parts[given + len(parts)] = part
    found: dict[int, Done] = {}
    while len(found) < len(parts):
        found |= {done.ordinal: done for done in pool.results(1.0)}
    for ordinal, part in parts.items():
        yield found[ordinal], part


def _named(output: bytes, ids: dict[int, str]) -> bytes:
    """Returns lines in which an OperationOutcome has the id of its response in place of a number."""
    if _REFUSED not in output:
        return output
    return b"".join(_of_response(line, ids) + b"\n" for line in output.splitlines())


def _of_response(line: bytes, ids: dict[int, str]) -> bytes:
    if not line.startswith(_REFUSED):
        return line
    outcome = orjson.loads(line)
    number = int(outcome["id"].removeprefix("line-"))
    outcome["id"] = ids[number]
    for issue in outcome["issue"]:
        issue["diagnostics"] = issue["diagnostics"].replace(
            f"Line {number}: ", f"{RESPONSE}/{ids[number]}: ", 1
        )
    return orjson.dumps(outcome)
