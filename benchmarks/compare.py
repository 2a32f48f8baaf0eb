"""Compares two revisions of the program as black boxes: the same requests and commands, the same answers?

    scripts/compare [REVISION]      the working tree with a revision (HEAD)

Nothing of the program is imported: it is a server on loopback and a command line. Ids, times, cursors and
request numbers are masked by names, so that relations between them are still compared.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks import compare_commands, compare_requests
from benchmarks.compare_exchanges import BASE, ORIGIN, Recorder, Tree, serving

ROOT = Path(__file__).resolve().parent.parent
HTTP, COMMANDS = "http", "commands"
SERVERS: Mapping[str, Mapping[str, str]] = {
    "store": {"STORE_URL": "sqlite:///<work>/service.db", "BASE_URL": BASE, "CORS_ORIGINS": ORIGIN},
    "none": {"STORE_URL": "none", "BASE_URL": BASE},
    "second": {
        "STORE_URL": "sqlite:///<work>/second.db",
        "BASE_URL": BASE,
        "QUESTIONNAIRES_DIR": "<files>/second_pair/questionnaires",
        "MAPPINGS_DIR": "<files>/second_pair/mappings",
    },
}
PATIENT = {"KEEPALIVE_S": "600", "REQUEST_TIMEOUT_S": "60", "LOG_LEVEL": "WARNING"}
COMPARED = ("status", "answer_headers", "answer", "exit", "out", "err")

_LENGTH = re.compile(r'\["Content-Length", "[0-9]+"\]')

Line = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders go, too
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, checkout(asked.revision) as other:
        before, after = Path(folder, "before"), Path(folder, "after")
        with ProcessPoolExecutor(2) as pool:
            runs = [pool.submit(record, *pair, asked.only) for pair in ((before, other), (after, ROOT))]
            for run in runs:
                run.result()
        return differences(before, after, asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--only", choices=(HTTP, COMMANDS), help="leave out the rest")
    words = "lines `LABEL` or `LABEL :: TEXT`, regular expressions: what may differ, wholly or in this text"
    parser.add_argument("--except", dest="exceptions", type=Path, metavar="FILE", help=words)
    parser.add_argument("--show", type=int, default=20, metavar="N", help="differences to show (default: 20)")
    return parser


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Yields a temporary work tree of a revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "tree"))
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", path, revision], cwd=ROOT, check=True
        )
        try:
            yield Path(path)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", path], cwd=ROOT, check=True)


def record(folder: Path, tree: Path, only: str | None) -> None:
    """Writes all exchanges with a tree, and all its commands, into a folder."""
    started = time.monotonic()
    files = folder / "files"
    _lay_out(files)
    with tempfile.TemporaryDirectory() as work:
        runner = Tree(tree.resolve(), Path(work), files.resolve())
        made = sum(
            _recorded(runner, folder / name, send) for name, send in PARTS.items() if only in (None, name)
        )
    print(f"{tree}: {made} exchanges in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _lay_out(files: Path) -> None:
    """Puts every file that a command reads into a folder."""
    shutil.copytree(ROOT / "samples", files / "samples")
    shutil.copytree(ROOT / "tests" / "second_pair", files / "second_pair")
    compare_commands.write_files(files)


def _recorded(tree: Tree, path: Path, send: Callable[[Recorder], None]) -> int:
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as lines:
        recorder = Recorder(tree, lines)
        send(recorder)
        return recorder.count


def _exchanges(recorder: Recorder) -> None:
    with ExitStack() as stack:
        for name, settings in SERVERS.items():
            recorder.serve(name, stack.enter_context(serving(recorder.tree, name, settings | PATIENT)))
        stack.callback(recorder.close)
        compare_requests.everything(recorder, compare_requests.Samples(ROOT))


PARTS: Mapping[str, Callable[[Recorder], None]] = {HTTP: _exchanges, COMMANDS: compare_commands.everything}


@dataclass(frozen=True)
class Allowed:
    """What may differ: in exchanges whose label matches, all of it, or what matches `text` alone."""

    label: re.Pattern[str]
    text: re.Pattern[str] | None


def exceptions_from(path: Path | None) -> list[Allowed]:
    """Returns the exceptions of a file; empty lines and lines that begin with # say nothing."""
    lines = path.read_text("utf-8").splitlines() if path else []
    split = [line.partition(" :: ") for line in lines if line.strip() and not line.startswith("#")]
    return [
        Allowed(re.compile(label.strip()), re.compile(text) if text else None) for label, _, text in split
    ]


def differences(before: Path, after: Path, asked: argparse.Namespace) -> int:
    """Prints how many exchanges are equal and the first that are not; returns 1 where any differs."""
    exceptions = exceptions_from(asked.exceptions)
    counts = {"exchanges": 0, "equal": 0, "excepted": 0, "different": 0, "in one only": 0}
    for one, other in paired(before, after):
        counts["exchanges"] += 1
        outcome = _outcome(one, other, exceptions)
        counts[outcome] += 1
        if (
            outcome in ("different", "in one only")
            and counts["different"] + counts["in one only"] <= asked.show
        ):
            show(one, other)
    print("  ".join(f"{name}: {count}" for name, count in counts.items()))
    return 1 if counts["different"] or counts["in one only"] or not counts["exchanges"] else 0


def paired(before: Path, after: Path) -> Iterator[tuple[Line | None, Line | None]]:
    """Yields the lines of two recordings with the same label, and those that only one has."""
    for name in PARTS:
        places = [folder / name for folder in (before, after)]
        if all(place.exists() for place in places):
            yield from _side_by_side(*map(_lines, places))


def _lines(path: Path) -> Iterator[Line]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _side_by_side(lines: Iterator[Line], others: Iterator[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """Yields pairs while the order is the same, as it nearly always is, and keeps the rest in mind."""
    waiting: tuple[dict[str, Line], dict[str, Line]] = ({}, {})
    for one, other in zip_longest(lines, others):
        if one is not None and other is not None and one["label"] == other["label"]:
            yield one, other
            continue
        if one is not None:
            waiting[0][one["label"]] = one
        if other is not None:
            waiting[1][other["label"]] = other
    for label, one in waiting[0].items():
        yield one, waiting[1].pop(label, None)
    for other in waiting[1].values():
        yield None, other


def _outcome(one: Line | None, other: Line | None, exceptions: Sequence[Allowed]) -> str:
    own = [each for each in exceptions if each.label.search((one or other or {})["label"])]
    if any(each.text is None for each in own):
        return "excepted"
    if one is None or other is None:
        return "in one only"
    if all(one.get(part) == other.get(part) for part in COMPARED):
        return "equal"
    return "excepted" if _without(one, own) == _without(other, own) else "different"


def _without(line: Line, exceptions: Sequence[Allowed]) -> str:
    text = "\n".join(_as_text(line.get(part)) for part in COMPARED)
    for each in exceptions:
        if each.text is not None:
            text = each.text.sub("", _LENGTH.sub("", text))
    return text


def _as_text(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part)


def show(one: Line | None, other: Line | None) -> None:
    """Prints a short unified diff of two exchanges."""
    line = one or other or {}
    print(f"== {line['label']}")
    print(f"   {line.get('method', 'python -m service')} {str(line.get('path', line.get('command')))[:200]}")
    if one is None or other is None:
        print(f"   only {'after' if one is None else 'before'}")
        return
    found = list(difflib.unified_diff(_readable(one), _readable(other), "before", "after", lineterm="", n=1))
    print("\n".join(f"   {each[:240]}" for each in found[:30]))
    if not found:
        print(f"   only white space, or the order or spelling of JSON: {_first_difference(one, other)}")
    elif len(found) > 30:
        print(f"   ... {len(found) - 30} more lines")


def _readable(line: Line) -> list[str]:
    head = [f"{part}: {line[part]}" for part in ("status", "exit") if part in line]
    head += [f"{name}: {value}" for name, value in line.get("answer_headers", ())]
    for part in ("answer", "out", "err"):
        try:
            text = json.dumps(json.loads(line.get(part, "")), indent=1, ensure_ascii=False)
        except ValueError:
            text = line.get(part, "")
        head += text.splitlines()
    return head


def _first_difference(one: Line, other: Line) -> str:
    before, after = _without(one, ()), _without(other, ())
    at = next((place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    return f"{before[max(0, at - 30) : at + 50]!r} / {after[max(0, at - 30) : at + 50]!r}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
