"""What twelve patients and their clinicians read, word for word, and what holds for each of those texts.

Each patient is a worked case of the mapping. `--rewrite-golden` writes the texts anew; whoever accepts them
has read them aloud, as that patient.
"""

import re
from pathlib import Path

import pytest
from golden_patients import (
    BETWEEN,
    MOST_DATES,
    MOST_REASONS,
    MOST_THINGS,
    MOST_WORDS,
    PATIENTS,
    assessed,
    listed,
)

from service.catalogue import Pair
from service.results import Assessment

GOLDEN = Path(__file__).with_name("golden")
DATE = re.compile(r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b")
FRIGHTENING = re.compile(
    r"\b(surviv|prognosis|fatal|die[sd]?|death|2 to 5|in 100,000|per cent|%)", re.IGNORECASE
)
NEVER_SAID = re.compile(
    r"\bstop (taking )?(your|the) medicine|\bmg\b|botulinum|muscle relaxant", re.IGNORECASE
)


@pytest.fixture(params=PATIENTS)
def patient(request: pytest.FixtureRequest, pair: Pair) -> tuple[str, Assessment]:
    """A name, and what is made of the answers."""
    return request.param, assessed(pair, PATIENTS[request.param])


def parts(text: str) -> tuple[str, str]:
    """What stands before "Read more", and what stands behind it."""
    first, _, more = text.partition("\n\nRead more\n")
    return first, more


def test_the_texts_are_those_that_were_accepted(
    patient: tuple[str, Assessment], pair: Pair, rewrites_golden: bool
) -> None:
    name, assessment = patient
    shown = pair.renderer.patient.text(assessment) + BETWEEN + pair.renderer.summary.text(assessment)
    file = GOLDEN / f"{name}.txt"
    if rewrites_golden:
        file.write_text(shown)
    assert shown == file.read_text()


def test_what_comes_first_is_short(patient: tuple[str, Assessment], pair: Pair) -> None:
    first, _ = parts(pair.renderer.patient.text(patient[1]))
    assert len(first.split()) <= MOST_WORDS
    assert len(listed(first, "Why:")) <= MOST_REASONS
    assert len(listed(first, "What you can do:")) <= MOST_THINGS
    head = "\n".join(first.splitlines()[:4])
    assert len(set(DATE.findall(head))) <= MOST_DATES
    assert first.lower().count("emergency number") <= 1


def test_a_step_with_a_latest_date_names_it_first(patient: tuple[str, Assessment], pair: Pair) -> None:
    name, assessment = patient
    line = parts(pair.renderer.patient.text(assessment))[0].splitlines()[2]
    result = assessment.result
    is_dated = result.due is not None and not result.tiers[result.tier.at_least].overlay
    assert bool(DATE.search(line)) is (is_dated or result.recheck is not None), name


def test_nothing_contradicts_the_step(patient: tuple[str, Assessment], pair: Pair) -> None:
    name, assessment = patient
    first, _ = parts(pair.renderer.patient.text(assessment))
    outside = first.partition("\nIn an emergency:")[0].lower()
    is_dated = assessment.result.due is not None and assessment.result.due.days > 0
    assert not (is_dated and re.search(r"at once|right now|immediately|within \d", outside)), name
    has_warning = any(pair.guidance.written.kinds[fired.rule.kind] for fired in assessment.result.fired)
    assert not (has_warning and re.search(r"no to every warning|none of the warning", outside)), name
    assert "day 21" not in first


def test_an_emergency_says_only_what_to_do_and_why(patient: tuple[str, Assessment], pair: Pair) -> None:
    text = pair.renderer.patient.text(patient[1])
    result = patient[1].result
    if result.tiers[result.tier.at_least].overlay:
        assert "Read more" not in text
        assert "What you can do" not in text
        assert len(text.split()) <= 130


def test_nothing_frightens_and_nothing_is_prescribed(patient: tuple[str, Assessment], pair: Pair) -> None:
    text = pair.renderer.patient.text(patient[1])
    assert FRIGHTENING.findall(text) == []
    assert NEVER_SAID.findall(text) == []


def test_a_chart_shows_each_of_them_in_little_room(patient: tuple[str, Assessment], pair: Pair) -> None:
    name, assessment = patient
    most = 6 if name == "plain" else 10
    assert len(pair.renderer.risk(assessment)) <= most * 1024


def test_every_golden_file_is_of_a_patient() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == PATIENTS.keys()


def test_who_has_ms_is_sent_to_the_ms_team_alone_wherever_the_twitching_is(pair: Pair) -> None:
    text = pair.renderer.patient.text(
        assessed(pair, "known-ms-with-twitching-elsewhere-is-a-reason-for-review")
    )
    assert "your MS team" in text
    assert "usual doctor" not in text
    assert "Nothing you told us points to MS." not in text
