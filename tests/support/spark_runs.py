"""Scores on Spark in a process of its own, as a notebook would; an executor may be killed on the way.

    spark_runs.py MASTER IN OUT [--kill]

OUT is a folder: it gets `lines`, `table.parquet`, `table.csv`, and `again`, which is made from Parquet. With
--kill there are only the lines, and an executor is killed once a first part of them is done. Prints what came
out as JSON.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.bulk.scorer import ScoringOptions
from service.bulk.spark import open_session, read_responses, score_frame, write_scored
from service.settings import from_environment

EXECUTOR = b"CoarseGrainedExecutorBackend"


def main() -> None:
    master, source, output, *kill = sys.argv[1:]
    out = Path(output)
    killed: list[int] = []
    if kill:
        threading.Thread(target=kill_one, args=(out / "lines", killed), daemon=True).start()
    options = ScoringOptions.from_settings(from_environment(os.environ))
    served = options.read_catalogue()
    with open_session(master) as session:
        responses = read_responses(session, source)
        found = write_scored(score_frame(responses, options, served), f"{out}/lines", served)
        if not kill:
            in_parquet(session, responses, out, options)
    sys.stdout.write(json.dumps({"records": found.records, "refused": found.refused, "killed": len(killed)}))


def in_parquet(session: Any, responses: Any, out: Path, options: ScoringOptions) -> None:
    """Writes tables, and the lines of the same responses read from Parquet."""
    served = options.read_catalogue()
    for name in ("table.parquet", "table.csv"):
        write_scored(score_frame(responses, options, served), f"{out}/{name}", served)
    responses.select("response").write.parquet(f"{out}/responses.parquet")
    again = read_responses(session, f"{out}/responses.parquet")
    write_scored(score_frame(again, options, served), f"{out}/again", served)


def kill_one(output: Path, killed: list[int]) -> None:
    """Kills an executor as soon as one task has written its part and others have not."""
    while not list(output.glob("_temporary/*/task_*")):
        time.sleep(0.02)
    process = next(executors())
    os.kill(process, signal.SIGKILL)
    if not (output / "_SUCCESS").exists():
        killed.append(process)


def executors() -> Iterator[int]:
    """Yields the processes of executors that this one has started, over the virtual machine of Spark."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if EXECUTOR in (place / "cmdline").read_bytes() and os.getpid() in ancestors(place):
                yield int(place.name)
        except OSError:
            continue  # it has ended meanwhile


def ancestors(place: Path) -> Iterator[int]:
    while place.name not in ("0", "1"):
        parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
        yield int(parent)
        place = place.with_name(parent)


if __name__ == "__main__":
    main()
