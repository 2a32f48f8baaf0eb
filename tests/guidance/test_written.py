"""The guidance as written: ranks for names, what rules read, identity, coverage of the source."""

from decimal import Decimal

import desk

from service.check import coverage
from service.guidance import Guidance, load


def test_tiers_and_levels_have_their_ranks_from_the_order_of_the_file(guidance: Guidance) -> None:
    assert [(tier.code, tier.rank) for tier in guidance.written.tiers] == [
        ("rest", 0),
        ("plan", 1),
        ("soon", 2),
        ("now", 3),
    ]
    tension, eyes = guidance.written.outcomes
    assert [(level.code, level.rank) for level in eyes.levels] == [("low", 0), ("high", 1)]
    assert (tension.always_listed, eyes.always_listed, eyes.listed_from) == (True, False, 1)
    assert tension.levels[0].coding is None
    assert tension.levels[1].coding is not None


def test_a_rule_says_which_questions_it_can_read_in_the_order_of_the_form(guidance: Guidance) -> None:
    reads = {rule.name: rule.reads for rule in guidance.written.rules}
    assert reads["worse-soon"] == ("head-pain", "worse")
    assert reads["tension-middle"] == ("breaks", "tense", "tense-jaw", "tense-where")
    assert reads["eyes-else"] == ()


def test_the_identity_names_guidance_version_review_and_source(guidance: Guidance) -> None:
    identity = guidance.written.identity
    assert (identity.slug, identity.version, identity.status) == ("desk", "1.0.0", "active")
    assert identity.review == "invented by nobody on 2026-11-22"
    assert identity.source_note == "Desk test. The project, 2026-11-22. Invented for the tests."
    assert load(desk.documents(), desk.form(), slug="other").written.identity.slug == "other"


def test_the_hash_changes_with_any_word_and_with_the_digits_of_a_number(guidance: Guidance) -> None:
    def hash_with(change: str, value: object) -> str:
        documents = desk.documents()
        documents["guidance"]["parameters"]["screen"][change] = value
        return load(documents, desk.form()).written.identity.hash

    same = hash_with("value", Decimal("8.5"))
    assert same == guidance.written.identity.hash
    assert len({same, hash_with("value", Decimal("8.50")), hash_with("means", "Another word.")}) == 3
    assert len(same) == 64


def test_a_table_is_headed_by_the_outcome_or_by_its_label(guidance: Guidance) -> None:
    (table,) = guidance.written.comparisons
    assert (table.left, table.right) == ("Tension", "From the eyes")


def test_a_contradiction_names_what_it_stands_between(guidance: Guidance) -> None:
    between = {each.name: each.between for each in guidance.written.contradictions}
    assert between["calm-but-strong"] == ("tense", "strong-pain")


def test_advice_and_rules_keep_their_place_in_the_file(guidance: Guidance) -> None:
    assert [advice.order for advice in guidance.written.advice] == [0, 1, 2, 3, 4]
    assert [rule.order for rule in guidance.written.rules] == list(range(12))


def test_a_band_takes_its_end_from_a_parameter(guidance: Guidance) -> None:
    (score,) = guidance.written.scores
    assert score.bands[0].high == Decimal("2.5")


def test_every_statement_is_accounted_for(guidance: Guidance) -> None:
    report = coverage(guidance.written)
    assert report.line == "4 of 4 statements accounted for: 3 used, 1 listed with a reason"
    assert [statement.id for statement in report.listed] == ["S004"]
