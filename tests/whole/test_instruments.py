"""Published scores, written with files alone: sums, subscales, findings, negative and reversed points."""

import io
from decimal import Decimal
from pathlib import Path

import pytest

from service import catalogue, check
from service.catalogue import Pair, outcome_of
from service.guidance.result import Result
from service.settings import Settings

INSTRUMENTS = ("curb-65", "gad-7", "phq-4", "pss-4", "wells-dvt")


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "tests" / "instruments"


@pytest.fixture(scope="module")
def pairs(folder: Path) -> dict[str, Pair]:
    served = catalogue.read(folder / "questionnaires", folder / "mappings")
    return {pair.slug: pair for pair in served.pairs.values()}


def result_of(pair: Pair, name: str) -> Result:
    case = next(case for case in pair.guidance.cases if case.name == name)
    return outcome_of(case, pair.guidance, pair.compiled)


def test_every_instrument_passes_its_cases_and_its_proofs(folder: Path) -> None:
    out = io.StringIO()
    assert check.run(Settings(), out, check.Wanted(folders=(folder,))) == check.SOUND, out.getvalue()
    report = out.getvalue()
    assert report.count("promises proved") == len(INSTRUMENTS)
    assert "no worked case has the total" not in report


def test_an_open_item_at_eight_points_is_to_watch_at_least(pairs: dict[str, Pair]) -> None:
    result = result_of(pairs["gad-7"], "one-item-open")
    names = [tier.code for tier in result.tiers]
    assert [names[end] for end in result.tier] == ["watch", "evaluate"]
    (fired,) = result.fired
    assert (fired.rule.name, fired.rule.shows) == ("total-mild", ("total",))


def test_a_total_with_an_open_item_is_prorated_and_says_so(pairs: dict[str, Pair]) -> None:
    (total,) = result_of(pairs["gad-7"], "one-item-open").totals
    assert (total.value, total.estimated) == (Decimal(9), True)  # 8 * 7 / 6 = 9.33
    assert total.score.code is not None
    assert total.score.code.code == "70274-6"


def test_a_total_with_an_open_item_is_refused_where_the_score_says_so(pairs: dict[str, Pair]) -> None:
    totals = {total.score.name: total for total in result_of(pairs["phq-4"], "six-and-one-open").totals}
    assert totals["total"].refused
    assert (totals["gad-2"].value, totals["gad-2"].refused) == (Decimal(6), False)
    assert (totals["phq-2"].value, totals["phq-2"].refused) == (None, False)


def test_another_diagnosis_takes_points_away_and_is_the_only_finding_that_may(pairs: dict[str, Pair]) -> None:
    written = pairs["wells-dvt"].guidance.written
    assert [exception.cancels for exception in written.exceptions] == [("points-likely",)]
    (total,) = result_of(pairs["wells-dvt"], "less-than-nothing").totals
    assert total.value == -2
