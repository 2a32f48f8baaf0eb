"""The formulas say of a response what its evaluation says: of unsure answers, dates, what is derived."""

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import desk_dates
import headache
import pytest
import z3
from headache import NO, NOT_SURE, YES, local

from service.datatypes.answers import UNREAD, Answer, Answers, Quantity
from service.guidance import Guidance, load
from service.guidance.conditions import Is
from service.guidance.state import State, state_of
from service.proofs import prove
from service.proofs.answer_space import AnswerSpace
from service.proofs.encoding import Encoding

ASKED = {link_id: Is(question, ("yes",)) for link_id, question in headache.ENABLED_BY.items()}
DATES = ("2026-03-10", "2026-03-03", "2026-03-02", "2026-03", "2026", "2025-12")
VALUES: dict[str, tuple[tuple[Answer, ...], ...]] = {
    **headache.VALUES,
    "head-side": (*headache.VALUES["head-side"], (local("left"), NOT_SURE), (local("front"), NOT_SURE)),
    "seen-on": tuple((date,) for date in DATES),
    "exam-at": tuple((date,) for date in DATES),
}
UNSURE: dict[str, Any] = {
    "unsure-of-front": {"unsure": "one-sided"},
    "unsure-of-both": {"unsure": {"all": ["long-pain", {"answer": "tense", "is": "yes"}]}},
    "unsure-of-any": {"unsure": {"any": ["one-sided", "low-iron", {"not": "was-checked"}]}},
}


@cache
def loaded() -> Guidance:
    documents = desk_dates.documents()
    entry = {"kind": "recorded", "means": "Of this test.", "origin": "project", "sources": []}
    documents["findings"] += [{"finding": name, "when": when, **entry} for name, when in UNSURE.items()]
    documents["contradictions"] = []  # what they force has tests of its own
    documents["guidance"]["chart"] = {"ferritin": {"date": "exam-at"}}
    return load(documents, desk_dates.form())


@cache
def encoding() -> Encoding:
    return Encoding(loaded(), ASKED)


def drawn(chance: random.Random) -> Answers:
    """A response in which no answer stands that nobody asked for: those are none of the proofs' concern."""
    given = {link: chance.choice(values) for link, values in VALUES.items() if chance.random() < 0.6}
    if chance.random() < 0.2:
        given["ferritin"] = (*chance.choice(VALUES["ferritin"]), UNREAD)
    shown, closed = headache.asked(given)
    kept = {link: values for link, values in given.items() if link in shown or link not in headache.VALUES}
    return Answers(kept, closed, authored=desk_dates.WRITTEN)


def said(space: AnswerSpace, values: tuple[Answer, ...]) -> Iterator[z3.BoolRef]:
    """The variables that stand for these answers."""
    for value in values:
        verdict = space.table.verdict((value,))
        same = [answer for answer in space.answers if answer.verdict == verdict]
        yield space.by_answer[value] if value in space.by_answer else same[0].holds


def facts(state: State, answers: Answers) -> Iterator[z3.BoolRef]:
    yield from (z3.Bool("switch overlay"), z3.Not(z3.Bool("switch off")))
    for link, space in encoding().spaces.items():
        values = state.given.get(link, ())
        chosen = {variable.get_id() for variable in said(space, values)}
        for answer in space.answers:
            yield answer.holds if answer.holds.get_id() in chosen else z3.Not(answer.holds)
        sources = ("head-since", "seen-on") if link == "seen-after" else (link,)
        is_hidden = not values and any(source in answers.closed for source in sources)
        yield space.hidden if is_hidden else z3.Not(space.hidden)


@pytest.mark.parametrize("seed", range(80))
def test_the_formulas_say_of_a_response_what_its_evaluation_says(seed: int) -> None:
    answers = drawn(random.Random(seed))
    guidance = loaded()
    state = state_of(guidance.compiled, answers)
    solver = encoding().solver
    assert solver.check(*facts(state, answers)) == z3.sat
    model = solver.model()
    graph = guidance.graph
    for node in sorted(graph.below([*graph.findings.values(), *graph.rules.values()])):
        if graph.nodes[node].word == "unless":  # is tried with the `all` above it, and has no bits of its own
            continue
        present, possible = (z3.is_true(model.eval(value)) for value in encoding().values[node])
        assert (graph.nodes[node], present, possible) == (graph.nodes[node], *_bits(state, node))


def _bits(state: State, node: int) -> tuple[bool, bool]:
    return bool(state.bits >> 2 * node & 1), bool(state.bits >> 2 * node + 1 & 1)


def failures(when: Any, promise: Any) -> list[str]:
    documents = desk_dates.documents()
    rule = {"rule": "asks", "kind": "trigger", "when": when, "tier": "soon", "says": {"clinician": "Unsure."}}
    documents["rules"].append({**rule, "origin": "project", "sources": []})
    documents["guidance"]["promises"] = [
        {"promise": "it-leads-somewhere", "when": promise, "tier-at-least": "soon"},
        {"promise": "nothing-else", "never-lowers-tier": ["alarm"]},
    ]
    proofs = prove(load(documents, desk_dates.form()), ASKED).failed
    return [proof.line for proof in proofs if proof.line.startswith("FAILED: it-leads")]


def test_that_not_sure_leads_somewhere_is_proved_or_refuted_by_an_answer() -> None:
    assert failures({"unsure": "one-sided"}, {"unsure": "one-sided"}) == []
    assert failures({"unsure": "one-sided"}, {"unsure": {"any": ["one-sided"]}}) == []
    (line,) = failures({"unsure": "one-sided"}, {"unsure": "low-iron"})
    assert "ferritin" in line
    (line,) = failures({"unsure": "one-sided"}, {"answer": "head-side", "is": "not-sure"})
    assert "left" in line or "right" in line  # ticked as well


def test_a_derived_quantity_is_unsure_by_its_sources() -> None:
    unsure = {"unsure": "seen-a-week-later"}
    assert failures(unsure, unsure) == []
    (line,) = failures(unsure, "seen-a-week-later")
    assert "seen-after" in line
    assert "head-since" in line
    assert "seen-on" in line
    closed = {"all": [unsure, {"answer": "head-pain", "is": "no"}]}
    assert failures({"any": ["sudden-pain"]}, closed) == []
    assert failures({"any": ["sudden-pain"]}, {"all": [unsure, {"answer": "head-pain", "is": "yes"}]}) != []


def test_values_of_one_moment_in_the_chart_are_several_answers() -> None:
    space = encoding().spaces["ferritin"]
    low = {answer.words: answer.holds for answer in space.answers}
    both = [low["less than 15 ug/L"], low["15 ug/L"]]
    assert encoding().solver.check(*both) == z3.sat
    single = encoding().spaces["head-since"]
    assert encoding().solver.check(*[answer.holds for answer in single.answers[:2]]) == z3.unsat
    assert Quantity(headache.Decimal(1), "ug/L") not in space.by_answer
    assert {YES, NO, NOT_SURE} == set(encoding().spaces["tense"].by_answer)
