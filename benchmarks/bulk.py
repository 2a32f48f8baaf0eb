"""A file of responses scored by `score`, against `orjson.loads` of each line; two processes against one.

The file holds what the worked patients answer, and every tenth response is one by chance with open
questions, which takes several times as long. The first ratio is of processor time, that of all processes
together, and so is the same on a busy machine. The second is of time on a clock, and means something on two
cores that have nothing else to do; `--first` has them do this before all else (SCHED_FIFO, for root), for a
few seconds. Runs with one process and with two take turns, and the best of each counts.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time

import orjson

from benchmarks.why import bodies, plain
from service.bulk.score import Job, score
from service.bulk.scorer import OUTPUTS, ScoringOptions
from service.catalogue import Catalogue, Pair
from service.results import digits
from service.settings import Settings
from tests.support.case_responses import response_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first", action="store_true")
    asked = parser.parse_args()
    options = ScoringOptions.from_settings(Settings())
    served = options.read_catalogue()
    pair = max(served.pairs.values(), key=lambda pair: len(pair.guidance.form.questions))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.ndjson")
        with source.open("wb") as file:
            file.writelines(b"%b\n" % line for line in records(pair, asked.responses))
        lines = source.read_bytes().splitlines()
        if asked.first:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        loads = min(processor_time(lambda: deque(map(orjson.loads, lines), 0)) for _ in range(5))
        print(f"{len(lines)} responses, {source.stat().st_size / 1e6:.1f} MB")
        for output in OUTPUTS:
            run(options._replace(output=output), served, source, rounds=asked.rounds, loads=loads)


def records(pair: Pair, number: int) -> Iterator[bytes]:
    """Yields responses."""
    worked = [
        orjson.dumps(plain(response_of(pair, case)) | {"id": case.name}, default=digits)
        for case in pair.guidance.cases
        if case.status == "completed"
    ]
    partial = list(bodies(pair, 32, seed=14))
    for place, (one, other) in enumerate(islice(zip(cycle(worked), cycle(partial), strict=False), number)):
        yield other if place % 10 == 9 else one


def run(options: ScoringOptions, served: Catalogue, source: Path, *, rounds: int, loads: float) -> None:
    """Scores the file with one process and with two, in turns, and prints what that took."""
    numbers = (1, 2)
    clock: dict[int, list[float]] = {1: [], 2: []}
    spent: dict[int, list[float]] = {1: [], 2: []}
    first: list[float] = []
    for _ in range(rounds):
        for workers in numbers:
            before, began, own = _spent(), perf_counter(), process_time()
            target = source.with_name("out.ndjson")
            score(Job(str(source), target, workers, restart=True), options, io.StringIO(), served)
            clock[workers].append(perf_counter() - began)
            spent[workers].append(_spent() - before)
            first.append((process_time() - own) / spent[workers][-1])
    best = {workers: min(times) for workers, times in clock.items()}
    print(f"{options.output}:")
    print(f"  orjson.loads / score, processor time: {loads / min(spent[1]):.3f}")
    print(f"  of which the process that reads and writes: {min(first):.1%}")
    print(f"  processor time, two processes / one: {min(spent[2]) / min(spent[1]):.2f}")
    print(f"  responses in a second, two processes / one: {best[1] / best[2]:.2f}")


def _spent() -> float:
    """Returns the processor time of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def processor_time(work: Callable[[], object]) -> float:
    """Returns the processor time of some work."""
    began = process_time()
    work()
    return process_time() - began


if __name__ == "__main__":
    main()
