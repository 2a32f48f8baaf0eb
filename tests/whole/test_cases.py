"""Each worked case of the guidance is a test with its own name."""

from pathlib import Path
from typing import Any

import pytest

from service import catalogue
from service.catalogue import Pair
from service.guidance import Guidance, load
from service.mapping_files import read_documents

_ROOT = Path(__file__).resolve().parent.parent.parent
_NAMES = [
    case.name
    for pair in catalogue.read(_ROOT / "questionnaires", _ROOT / "mappings").pairs.values()
    for case in pair.guidance.cases
]


@pytest.mark.parametrize("name", _NAMES)
def test_case(name: str, pair: Pair) -> None:
    (case,) = (each for each in pair.guidance.cases if each.name == name)
    assert catalogue.failures(case, pair.guidance, pair.compiled) == ()


@pytest.fixture(scope="module")
def without_overlays(pair: Pair) -> Guidance:
    """The same guidance with both safety overlays switched off, as a clinic can have it."""
    documents: dict[str, Any] = {**read_documents(_ROOT / "mappings" / "muscle-twitching")}
    documents["guidance"]["parameters"]["emergency-overlay"]["value"] = False
    return load(documents, pair.compiled.form)


def test_there_are_many_cases_and_they_fire_every_rule(pair: Pair, without_overlays: Guidance) -> None:
    fired: set[str] = set()
    for guidance in (pair.guidance, without_overlays):
        for case in guidance.cases:
            result = catalogue.outcome_of(case, guidance, pair.compiled)
            fired |= {each.rule.name for each in result.fired}
            fired |= {each.rule.name for risk in result.risks for each in risk.fired}
    assert len(_NAMES) >= 60
    assert {rule.name for rule in pair.guidance.written.rules} - fired == set()


def test_whoever_is_to_be_seen_has_no_reason_that_says_that_every_sign_was_denied(pair: Pair) -> None:
    """That it was denied holds without the answer that does not fit, which counts."""
    for case in pair.guidance.cases:
        result = catalogue.outcome_of(case, pair.guidance, pair.compiled)
        if result.tiers[result.tier.at_least].code != "self-care":
            assert "self-care" not in {each.rule.tier for each in result.fired}, case.name


@pytest.mark.parametrize(
    ("name", "tier", "days"),
    [
        ("severe-breathlessness-now-is-an-emergency", "prompt", 14),
        ("being-unable-to-swallow-saliva-is-an-emergency", "prompt", 14),
        ("sudden-one-sided-loss-of-this-week-is-an-emergency", "prompt", 14),
        ("new-confusion-is-an-emergency", "prompt", 14),
        ("lost-control-over-the-bladder-is-an-emergency", "prompt", 14),
        ("numbness-between-the-legs-is-an-emergency", "prompt", 14),
        ("speech-that-got-worse-for-27-days-is-an-emergency", "prompt", 14),
        ("both-legs-weaker-within-weeks-is-an-emergency", "prompt", 14),
        ("sudden-loss-of-sight-is-urgent", "prompt", 14),
        ("a-seizure-is-urgent", "prompt", 14),
        ("shaking-after-stopping-alcohol-is-an-emergency", "review", 0),
        ("a-new-medicine-with-fever-is-an-emergency", "review", 0),
        ("a-new-medicine-with-two-signs-is-urgent", "review", 0),
        ("potassium-at-the-critical-limit-is-an-emergency", "review", 0),
        ("magnesium-under-the-lower-critical-limit-is-urgent", "review", 0),
        ("unsure-about-emergency-signs-is-urgent", "review", 14),
        ("unsure-about-an-urgent-sign-is-urgent", "review", 14),
        ("a-new-medicine-and-unsure-about-the-signs-is-urgent", "review", 14),
    ],
)
def test_without_the_overlays_a_sign_asks_for_prompt_evaluation_or_a_review_today(
    name: str, tier: str, days: int, pair: Pair, without_overlays: Guidance
) -> None:
    (case,) = (each for each in without_overlays.cases if each.name == name)
    result = catalogue.outcome_of(case, without_overlays, pair.compiled)
    assert result.due is not None
    assert (result.tiers[result.tier.at_least].code, result.due.days) == (tier, days)
