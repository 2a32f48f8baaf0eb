"""Processes that score ranges, each a fork of this one; one that is killed is replaced, its range done again.

Each process says in memory that it shares with this one which line it is about to score. So a line whose
process ends twice is known. The third time it is scored in a child with limits, whose end ends nothing else:
a line that was there by chance gets its result, any other one an OperationOutcome.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import mmap
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Final, NamedTuple, NoReturn

import msgspec

from service.bulk.ranges import Range
from service.bulk.scorer import REFUSED, Facts, ScoredLine, Scorer
from service.errors import Problem, StartupError

DEADLY: Final = 2
"""So often a line may be the last that its process has begun; as often again in a child, too."""

_MOST_BARREN: Final = 5
"""So many processes may end one after the other without anything done and before any line."""

_LINE: Final = struct.Struct("=Q")

Counted = tuple[str, ...]
"""What is counted: `line` and its outcome; `step`, the guidance, the step and the outcome; `problem` and its
kind, of lines that are refused."""


class Task(NamedTuple):
    """A range to be scored.

    Args:
        alone: lines of it that are scored in a child. given_up: lines that are not scored any more.
    """

    range: Range
    alone: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()


class Done(NamedTuple):
    """What came of a range.

    Args:
        ordinal, lines: as the range has them.
        digest: of what stood in the input.
        output: the lines, as they are to be written.
        counts: how often each was counted.
    """

    ordinal: int
    lines: int
    digest: bytes
    output: bytes
    counts: tuple[tuple[Counted, int], ...]


class RangeScorer(msgspec.Struct, frozen=True):
    """Scores ranges.

    Args:
        scorer: of their lines.
        compress: what makes a part of the output file of lines.
    """

    scorer: Scorer
    compress: Callable[[bytes], bytes] = bytes

    def done(self, task: Task, begin: Callable[[int], None] = lambda _: None) -> Done:
        """Scores a range of lines.

        Args:
            task: the range.
            begin: told the number of each line before it is scored, and 0 behind the last one.
        """
        scored = list(self._scored(task, begin))
        written = b"".join(b"%b\n" % line.output for line in scored)
        counts = Counter(count for line in scored for count in counts_of(line.facts))
        return Done(
            task.range.ordinal,
            task.range.lines,
            task.range.digested(),
            self.compress(written) if written else b"",
            tuple(counts.items()),
        )

    def _scored(self, task: Task, begin: Callable[[int], None]) -> Iterator[ScoredLine]:
        most_bytes = self.scorer.options.most_bytes
        for number, raw in task.range.records():
            if raw is None or len(raw) > most_bytes:
                yield self.scorer.too_long(number)
                continue
            begin(number)
            if number in task.given_up:
                yield self.scorer.refused(number, _given_up())
            elif number in task.alone:
                yield self.scorer.alone(raw, number)
            else:
                yield self.scorer.line(raw, number)
        begin(0)


def counts_of(facts: Facts) -> Iterator[Counted]:
    """Yields the counts of a line."""
    yield "line", facts.outcome
    if facts.outcome == REFUSED:
        yield from (("problem", kind) for kind in facts.problems)
    else:
        yield "step", facts.guidance, facts.step, facts.outcome


def _given_up() -> Problem:
    text = f"Its process ended {2 * DEADLY} times while this record was scored; it may need too much memory."
    return Problem("too-costly", text)


class _Worker(msgspec.Struct):
    """A process, the connection to it, what it says about its line, and the task that it has."""

    process: ForkProcess
    connection: Connection
    line: mmap
    task: Task | None = None


class Pool(msgspec.Struct):
    """Processes that score ranges.

    Args:
        scoring: what they do; it is there before they are, so that they share its memory.
        size: how many there are.
    """

    scoring: RangeScorer
    size: int
    _workers: list[_Worker] = msgspec.field(default_factory=list)
    _again: deque[Task] = msgspec.field(default_factory=deque)
    _ends: Counter[int] = msgspec.field(default_factory=Counter)
    _barren: int = 0
    replaced: int = 0

    def __enter__(self) -> Pool:
        gc.collect()
        gc.freeze()  # what the processes share is not gone through by each of them, which would copy it
        for _ in range(self.size):
            self._workers.append(self._started())
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()
        gc.unfreeze()

    @property
    def is_free(self) -> bool:
        """Whether a process has nothing to do, and nothing that was begun before waits for one."""
        return len(self._again) < sum(worker.task is None for worker in self._workers)

    @property
    def is_busy(self) -> bool:
        """Whether something is to come."""
        return bool(self._again) or any(worker.task is not None for worker in self._workers)

    def give(self, found: Range) -> None:
        """Has a range scored; there must be a process that is free."""
        self._again.append(Task(found))
        self._hand_out()

    def results(self, wait_s: float) -> Iterator[Done]:
        """Yields all results that are ready, or waits so many seconds for the first."""
        self._hand_out()
        by_connection = {worker.connection: worker for worker in self._workers}
        for ready in connection.wait(list(by_connection), wait_s):
            worker = by_connection[ready]  # type: ignore[index] # they are those that were given
            try:
                done = msgspec.msgpack.decode(worker.connection.recv_bytes(), type=Done)
            except (EOFError, OSError):
                self._replace(worker)
                continue
            worker.task, self._barren = None, 0
            yield done

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.task is None and self._again:
                worker.task = self._again.popleft()
                worker.line[:] = _LINE.pack(0)
                with suppress(OSError):  # it is gone: its connection says so, too
                    worker.connection.send_bytes(msgspec.msgpack.encode(worker.task))

    def _started(self) -> _Worker:
        here, there = connection.Pipe()
        line = mmap(-1, _LINE.size)
        others = [worker.connection for worker in self._workers]
        process = get_context("fork").Process(
            target=_work, args=(self.scoring, there, line, [*others, here]), daemon=True
        )
        process.start()
        there.close()
        return _Worker(process, here, line)

    def _replace(self, worker: _Worker) -> None:
        """Puts a new process in the place of one that has ended; what it had is done again, first of all."""
        self.replaced += 1
        task, (line,) = worker.task, _LINE.unpack(worker.line[:])
        if task is not None:
            self._ends[line] += 1
            if line and self._ends[line] >= 2 * DEADLY:
                task = task._replace(given_up=(*task.given_up, line))
            elif line and self._ends[line] >= DEADLY:
                task = task._replace(alone=(*task.alone, line))
            self._again.appendleft(task)
        self._barren += line == 0
        if self._barren >= _MOST_BARREN:
            raise StartupError(["The processes that score end as soon as they begin."])
        self._end(worker)
        self._workers.remove(worker)
        self._workers.append(self._started())

    @staticmethod
    def _end(worker: _Worker) -> None:
        worker.connection.close()
        worker.process.kill()
        worker.process.join()
        worker.process.close()
        worker.line.close()


# What runs in the processes.


def _work(
    scoring: RangeScorer, tasks: Connection, line: mmap, others: list[Connection]
) -> NoReturn:  # pragma: no cover - runs in a fork, which is not measured
    """Scores ranges until nobody is there any more who gives any; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the first process decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for other in others:
            other.close()
        while True:
            task = msgspec.msgpack.decode(tasks.recv_bytes(), type=Task)
            done = scoring.done(task, lambda number: line.__setitem__(slice(None), _LINE.pack(number)))
            tasks.send_bytes(msgspec.msgpack.encode(done))
    finally:
        os._exit(0)  # whatever it was: that the connection is closed says all
