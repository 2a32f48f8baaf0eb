"""Plain patients are asked few questions that cannot change their result, on few pages."""

from pathlib import Path

import pytest

from service import check
from service.catalogue import Pair

PLAIN = ("plain-eyelid-three-days", "twitching-in-one-arm-for-a-week", "one-calf-for-ten-days")
MOST_BEYOND, MOST_PAGES = 8, 14


@pytest.fixture(scope="module")
def lengths(pair: Pair) -> dict[str, tuple[int, int, int]]:
    """Questions asked, floor and pages by the name of each case that asks for it."""
    found = {case.name: check.floor_of_case(case, pair) for case in pair.guidance.cases if case.floor}
    return {
        name: (len(floor.asked), len(floor.changing), check.pages(pair.compiled, floor.asked))
        for name, floor in found.items()
    }


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_patient_meets_few_questions_that_cannot_change_the_result(
    name: str, lengths: dict[str, tuple[int, int, int]]
) -> None:
    asked, changing, pages = lengths[name]
    assert asked - changing <= MOST_BEYOND
    assert pages <= MOST_PAGES


def test_the_figures_of_the_page_are_those_that_check_counts(
    root: Path, lengths: dict[str, tuple[int, int, int]]
) -> None:
    page = (root / "docs" / "muscle-twitching.md").read_text()
    for name, (asked, changing, pages) in lengths.items():
        assert f"| `{name}` | {asked} | {changing} | {asked - changing} | {pages} |" in page
