"""Every check that the server answers for is named by a test."""

import re
from functools import cache
from pathlib import Path

import pytest
from conformance_checks import DEVIATIONS, GROUPS, LEFT_OUT, every

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


@pytest.mark.parametrize(("id_", "words"), DEVIATIONS.items())
def test_a_deviation_is_told_to_readers_and_to_clients(ehr, root, id_, words):
    assert id_ in LEFT_OUT
    documented = ehr.read("metadata")["rest"][0]["documentation"]
    for text in (documented, (root / "docs" / "search.md").read_text()):
        assert re.search(words, text)


def test_a_check_that_is_left_out_exists_and_has_a_reason():
    assert [id_ for id_ in LEFT_OUT if int(id_[2:]) > GROUPS[id_[:2]]] == []
    assert [id_ for id_, reason in LEFT_OUT.items() if not reason.endswith(".")] == []
