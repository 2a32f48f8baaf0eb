"""The guidance as its files write it: order, identity, hash; and that nothing is made of unchecked names."""

from decimal import Decimal
from typing import get_type_hints

import headache
import pytest

from service.check import coverage
from service.errors import GuidanceError
from service.guidance import Guidance, load
from service.guidance.checks import Checked
from service.guidance.compile import compiled_from
from service.guidance.graph import graph_from
from service.guidance.schema import written_from


def test_tiers_and_levels_have_their_ranks_from_the_order_of_the_file(guidance: Guidance) -> None:
    assert [(tier.code, tier.rank) for tier in guidance.written.tiers] == [
        ("rest", 0),
        ("plan", 1),
        ("soon", 2),
        ("now", 3),
    ]
    tension, eyes = guidance.written.outcomes
    assert eyes.levels == ("low", "high")
    assert (tension.lowest_listed, eyes.lowest_listed) == (0, 1)
    ladder = guidance.written.ladder(tension)
    assert tuple(level.code for level in ladder) == tension.levels
    assert (ladder[0].coding is None, ladder[1].coding is None) == (True, False)


def test_the_identity_names_guidance_version_review_and_source(guidance: Guidance) -> None:
    identity = guidance.written.identity
    assert (identity.slug, identity.version, identity.status) == ("desk", "1.0.0", "active")
    assert identity.review == "invented by nobody on 2026-11-22"
    assert identity.source_note == "Desk test. The project, 2026-11-22. Invented for the tests."
    assert load(headache.documents(), headache.form(), slug="other").written.identity.slug == "other"


def test_texts_behind_own_choices_stand_beside_the_source() -> None:
    documents = headache.documents()
    text = {"title": "Desk guideline", "published": "2020", "note": "Read through a summary."}
    documents["guidance"]["secondary-sources"] = [text]
    identity = load(documents, headache.form()).written.identity
    assert identity.secondary_sources == ("Desk guideline. 2020. Read through a summary.",)
    assert identity.source_note == "Desk test. The project, 2026-11-22. Invented for the tests."


def test_a_text_behind_own_choices_says_what_rests_on_it() -> None:
    documents = headache.documents()
    documents["guidance"]["secondary-sources"] = [{"title": "Desk guideline", "published": "2020"}]
    with pytest.raises(GuidanceError, match=r"secondary-sources.*note: is missing"):
        load(documents, headache.form())


def test_the_hash_changes_with_any_word_and_with_the_digits_of_a_number(guidance: Guidance) -> None:
    def hash_with(change: str, value: object) -> str:
        documents = headache.documents()
        documents["guidance"]["parameters"]["screen"][change] = value
        return load(documents, headache.form()).written.identity.hash

    same = hash_with("value", Decimal("8.5"))
    assert same == guidance.written.identity.hash
    assert len({same, hash_with("value", Decimal("8.50")), hash_with("means", "Another word.")}) == 3
    assert len(same) == 64


def test_a_table_is_headed_by_the_outcome_or_by_its_label(guidance: Guidance) -> None:
    (table,) = guidance.written.comparisons
    headings = [guidance.written.heading(head) for head in (table.left, table.right)]
    assert headings == ["Tension", "From the eyes"]


def test_a_contradiction_names_what_it_stands_between(guidance: Guidance) -> None:
    names = {contradiction.name: contradiction.names for contradiction in guidance.contradictions}
    assert names["calm-but-strong"] == ("tense", "strong-pain")
    assert names["unfit-sudden"] == ("sudden",)


def test_a_band_takes_its_end_from_a_parameter(guidance: Guidance) -> None:
    (score,) = guidance.written.scores
    assert guidance.written.number(score.bands[0].high) == Decimal("2.5")
    (table,) = guidance.compiled.scores
    assert table.floors == tuple(guidance.written.number(band.low) for band in score.bands)


def test_a_guidance_with_an_unknown_name_is_read_but_never_compiled() -> None:
    documents = headache.documents()
    documents["rules"][1]["tier"] = "nowhere"
    written = written_from(documents)
    assert written.rules[1].tier == "nowhere"
    with pytest.raises(GuidanceError, match=r"rules.yaml: alarms-soon.tier: expected one of: rest, plan"):
        Checked(written, headache.form())
    with pytest.raises(GuidanceError, match=r"rules.yaml: alarms-soon.tier: expected one of: rest, plan"):
        load(documents, headache.form())


def test_the_graph_and_the_tables_are_made_of_what_was_checked_only() -> None:
    assert get_type_hints(graph_from)["checked"] is Checked
    assert get_type_hints(compiled_from)["checked"] is Checked


def test_every_statement_is_accounted_for(guidance: Guidance) -> None:
    line = coverage(guidance.written)
    assert line == "4 of 4 statements accounted for: 3 used, 1 listed with a reason"
    assert [statement.id for statement in guidance.written.statements if statement.unused] == ["S004"]
