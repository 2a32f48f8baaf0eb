"""The fixture guidance, loaded once, and responses for it."""

import random
from collections.abc import Callable
from typing import Any

import headache
import pytest

from service.datatypes.answers import Answers
from service.guidance import Guidance


@pytest.fixture(scope="session")
def guidance() -> Guidance:
    return headache.guidance()


@pytest.fixture(scope="session")
def documents() -> dict[str, Any]:
    return headache.documents()


@pytest.fixture
def respond() -> Callable[..., Answers]:
    """Answers from raw values by linkId; hidden questions are treated as in a real response."""
    return headache.respond


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20261122)
