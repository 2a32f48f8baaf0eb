"""A repository on a SQLite file, with a clock and ids that tests know in advance."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
import pytest

from service.records import APPEND_ONLY, Repository
from service.storage.opening import open_store

BASE = "https://fhir.example.org/r4"
START = 1_795_000_000_000_000
SECOND = 1_000_000


@pytest.fixture
def store(sqlite_url) -> Iterator[Any]:
    opened = open_store(sqlite_url, append_only=APPEND_ONLY)
    yield opened
    opened.close()


@pytest.fixture
def repository(store, assessor) -> Repository:
    """Its clock goes on by a second each time it is asked; its ids are r1, r2 ..."""
    moments, numbers = count(START, SECOND), count(1)
    return Repository(store, assessor, BASE, clock=lambda: next(moments), new_id=lambda: f"r{next(numbers)}")


@pytest.fixture
def body(root):
    """Returns a function that gives the sample with changes, as bytes."""

    def changed(**members: Any) -> bytes:
        document = orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes()) | members
        return orjson.dumps({name: value for name, value in document.items() if value is not None})

    return changed
