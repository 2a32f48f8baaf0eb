"""A range (a quantity with a comparator) sets what holds for all of its values, and leaves open the rest."""

from decimal import Decimal
from operator import ge, gt, le, lt

import headache
import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from service.datatypes.answers import UNREAD, Answer, Quantity, Uncoded
from service.guidance import Guidance
from service.guidance.answer_tables import AnswerTable
from service.guidance.bits import union
from service.guidance.graph import ASKED, PRESENT

INSIDE = {"<": lt, "<=": le, ">=": ge, ">": gt}
GUIDANCE: list[Guidance] = []


def loaded() -> Guidance:
    if not GUIDANCE:
        GUIDANCE.append(headache.guidance())
    return GUIDANCE[0]


def table(link_id: str) -> AnswerTable:
    return loaded().compiled.answers.by_link[link_id]


def by_doubt() -> int:
    """The bits that are set because an answer does not decide: it counts, or that is what is asked."""
    guidance = loaded()
    atoms = [(node, node_.atom) for node, node_ in enumerate(guidance.graph.nodes) if node_.atom is not None]
    return union(
        guidance.compiled.closure[node] for node, atom in atoms if atom.undecided in (PRESENT, ASKED)
    )


DOUBTED = ("counted-as-long", "unsure-of-length")
"""Findings that a range makes present because it does not decide."""

MEASURED = {
    "head-since": ("h", "d", "wk"),
    "strength": ("1",),
    "screen-hours": ("1",),
    "ferritin": ("ug/L", "mol"),
}
PLACES = [(link_id, unit) for link_id, units in MEASURED.items() for unit in units]
NUMBERS = st.sampled_from(
    [Decimal(n) for n in ("0", "2", "2.5", "5.9", "6", "7", "8.5", "13", "14", "14.01", "15", "20")]
)
COMPARATORS = st.sampled_from(sorted(INSIDE))


def answer(link_id: str, number: Decimal, unit: str) -> Answer:
    return number if headache.form().questions[link_id].type != "quantity" else Quantity(number, unit)


@examples(900)
@given(st.sampled_from(PLACES), NUMBERS, COMPARATORS, NUMBERS)
def test_no_value_of_a_range_sets_more_or_less_than_the_range_allows(
    place: tuple[str, str], edge: Decimal, comparator: str, number: Decimal
) -> None:
    assume(INSIDE[comparator](number, edge))
    link_id, unit = place
    of_range = table(link_id)[Quantity(edge, unit, comparator)]
    of_value = table(link_id)[answer(link_id, number, unit)]
    certain = loaded().compiled.support.certain
    assert of_range & certain & ~of_value & ~by_doubt() == 0
    assert of_value & certain << 1 & ~of_range == 0


@examples(300)
@given(st.sampled_from(PLACES), NUMBERS, COMPARATORS, NUMBERS)
def test_the_result_of_every_value_lies_in_the_interval_of_the_range(
    place: tuple[str, str], edge: Decimal, comparator: str, number: Decimal
) -> None:
    assume(INSIDE[comparator](number, edge))
    link_id, unit = place
    calm = {"head_pain": headache.YES, "sudden": False, "neck_stiff": headache.NO}
    outer, inner = (
        loaded().evaluate(headache.respond({link_id: (value,)}, **calm))
        for value in (Quantity(edge, unit, comparator), answer(link_id, number, unit))
    )
    assert outer.tier.at_least <= inner.tier.at_least <= inner.tier.at_most <= outer.tier.at_most
    for risk, other in zip(outer.risks, inner.risks, strict=True):
        assert risk.level.at_least <= other.level.at_least <= other.level.at_most <= risk.level.at_most
    for name, state in inner.findings.items():
        if name in DOUBTED:
            continue
        assert outer.findings[name] in (state, "unknown")


@pytest.mark.parametrize(
    ("link_id", "written", "unit", "finding", "state"),
    [
        ("head-since", "> 14", "d", "long-pain", "present"),
        ("head-since", ">= 14", "d", "long-pain", "unknown"),
        ("head-since", "> 13", "d", "long-pain", "unknown"),
        ("head-since", "<= 14", "d", "long-pain", "absent"),
        ("head-since", "<= 2", "wk", "long-pain", "absent"),
        ("head-since", "< 15", "d", "long-pain", "unknown"),
        ("head-since", "< 6", "h", "short-pain", "present"),
        ("head-since", "<= 6", "h", "short-pain", "unknown"),
        ("head-since", ">= 6", "h", "short-pain", "absent"),
        ("head-since", "> 0", "h", "short-pain", "unknown"),
        ("head-since", "> 14", "kg", "long-pain", "unknown"),
        ("strength", ">= 7", "1", "strong-pain", "present"),
        ("strength", "> 6", "1", "strong-pain", "unknown"),
        ("strength", "< 7", "1", "strong-pain", "absent"),
        ("strength", "<= 7", "1", "strong-pain", "unknown"),
        ("strength", "<= 2", "1", "mild-pain", "present"),
        ("strength", "> 2", "1", "mild-pain", "absent"),
        ("strength", ">= 2", "1", "mild-pain", "unknown"),
        ("screen-hours", "> 8.5", "1", "much-screen", "present"),
        ("screen-hours", ">= 8.5", "1", "much-screen", "unknown"),
        ("screen-hours", "<= 8.5", "1", "much-screen", "absent"),
        ("ferritin", "< 15", "ng/mL", "low-iron", "present"),
        ("ferritin", "<= 15", "ng/mL", "low-iron", "unknown"),
        ("ferritin", "> 5", "ug/L", "low-iron", "unknown"),
        ("ferritin", ">= 15", "ug/L", "low-iron", "absent"),
    ],
)
def test_a_finding_is_what_the_whole_range_allows(
    link_id: str, written: str, unit: str, finding: str, state: str
) -> None:
    comparator, value = written.split()
    range_ = Quantity(Decimal(value), unit, comparator)
    result = loaded().evaluate(headache.respond({link_id: (range_,)}, head_pain=headache.YES))
    assert result.findings[finding] == state


def test_a_range_that_decides_nothing_keeps_its_question_among_the_open_ones(guidance: Guidance) -> None:
    calm = {"sudden": False, "neck_stiff": headache.NO, "worse": headache.NO, "strength": 0}
    range_ = Quantity(Decimal(5), "ug/L", ">")
    result = guidance.evaluate(headache.respond(ferritin=range_, **calm))
    assert ("ferritin", True) in {(question.link_id, question.unsure) for question in result.open}


@pytest.mark.parametrize(
    "value", [Quantity(Decimal(3), "1", ">"), UNREAD, Uncoded("", "Own words"), "own words"]
)
def test_a_score_does_not_know_what_has_no_weight(guidance: Guidance, value: Answer) -> None:
    (known,) = guidance.evaluate(headache.respond(breaks=headache.local("never"))).totals
    (total,) = guidance.evaluate(headache.respond({"breaks": (value,)})).totals
    (open_,) = guidance.evaluate(headache.respond()).totals
    assert (total.at_least, total.at_most) == (open_.at_least, open_.at_most)
    assert total.answered == known.answered - 1


def test_an_unread_answer_takes_back_nothing_and_leaves_the_rest_unknown(guidance: Guidance) -> None:
    left = (headache.local("left"), UNREAD)
    findings = guidance.evaluate(headache.respond({"head-side": left}, head_pain=headache.YES)).findings
    assert (findings["one-sided"], findings["at-the-front"]) == ("present", "unknown")
