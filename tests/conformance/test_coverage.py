"""Every check that the server answers for is named by a test."""

import re
from functools import cache
from pathlib import Path

from conformance_checks import every

TESTS = Path(__file__).resolve().parents[1]
_NAMED = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}|[a-z]{2})(\d{2})(?![0-9A-Za-z])")


@cache
def named():
    """Returns the ids in names and docstrings of tests: `def test_rd18_...`, or "..., check RD18"."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        names = " ".join(re.findall(r"^def (test_\w+)", text, re.MULTILINE)).replace("_", " ")
        docstrings = " ".join(re.findall(r'^    """(.*?)"""', text, re.MULTILINE | re.DOTALL))
        found |= {(group + number).upper() for group, number in _NAMED.findall(f"{names} {docstrings}")}
    return found


def test_a_test_names_every_check():
    assert [id_ for id_ in every() if id_ not in named()] == []
