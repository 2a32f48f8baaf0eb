"""Records, and runs of `score` in a process of their own."""

import io
import os
from pathlib import Path

import orjson
import pytest

from service.bulk.score import Job, score
from service.bulk.scorer import Scorer, ScoringOptions
from service.datatypes.values import replace
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def record(name: str) -> bytes:
    return orjson.dumps(orjson.loads((ROOT / f"samples/{name}.json").read_bytes()))


@pytest.fixture(scope="session")
def options():
    return ScoringOptions.from_settings(replace(Settings(), max_body_bytes=100_000))


@pytest.fixture(scope="session")
def scorer(options):
    return Scorer(options)


@pytest.fixture(scope="session")
def records():
    """Records of every kind: plain ones, some that take the full path, and some that are refused."""
    names = ("plain-eyelid", "contradictory", "partial", "progressive-weakness", "empty")
    return (*map(record, names), b'{"resourceType":"Patient"}', b"{", b"\x00", b"\xff")


@pytest.fixture(scope="session")
def expected(scorer):
    """Returns what stands in the output for an input, line by line."""

    def lines(data: bytes) -> bytes:
        most = scorer.options.most_bytes
        return b"".join(
            (scorer.too_long(number) if len(raw) > most else scorer.line(raw, number)).output + b"\n"
            for number, raw in enumerate(data.split(b"\n"), 1)
            if raw.strip(b" \t\r\n")
        )

    return lines


@pytest.fixture
def run(options, tmp_path):
    """Runs `score` here, with small ranges, and returns how it ended and what it told."""

    def scored(source, output="out.ndjson", scoring=options, **job):
        notes = io.StringIO()
        wanted = {"workers": 2, "range_bytes": 4096, "save_s": 0.0} | job
        ended = score(Job(str(source), tmp_path / output, **wanted), scoring, notes)
        return ended, notes.getvalue()

    return scored


@pytest.fixture
def in_a_process(run):
    """Begins a run in a fork of this process, and returns its id."""

    def begun(*args, **job):
        process = os.fork()
        if process == 0:
            code = 1
            try:
                ended, _ = run(*args, **job)
                code = 128 + ended.signal if ended.signal else 0
            finally:
                os._exit(code)
        return process

    return begun
