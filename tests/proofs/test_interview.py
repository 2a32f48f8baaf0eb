"""The interview in the proofs: what it asks is what the engine asks, and a list with a gap is refuted."""

import random
from collections.abc import Iterator
from functools import cache

import dated_headache
import headache
import pytest
import z3
from headache import local

from service.authoring.editions import editions_in
from service.datatypes.answers import Answers
from service.guidance.conditions import Is
from service.guidance.reasons import Undecided
from service.guidance.state import state_of
from service.proofs import prove
from service.proofs.encoding import Encoding
from service.proofs.interview import Interview, interview_promises
from service.proofs.proving import _can_be
from service.settings import ROOT, Settings

ASKED = {link_id: Is(question, ("yes",)) for link_id, question in headache.ENABLED_BY.items()}
NEVER = "interview: what it leaves out never changes"


@cache
def side_by_side() -> Interview:
    return Interview(Encoding(dated_headache.guidance(), ASKED))


def _facts(interview: Interview, full: Answers, known: Answers) -> Iterator[z3.BoolRef]:
    """Says to the solver what is answered, and what of that was left out."""
    yield from (z3.Bool("switch overlay"), z3.Not(z3.Bool("switch off")))
    for link, space in interview.full.spaces.items():
        verdicts = [space.table.verdict((value,)) for value in full.given.get(link, ())]
        options = [
            space.by_answer[value].get_id() for value in full.given.get(link, ()) if value in space.by_answer
        ]
        left = len(verdicts) - len(options)
        for answer in space.answers:
            others = [found for found in space.answers if found.verdict == answer.verdict]
            is_said = answer.holds.get_id() in options or bool(
                left and answer.verdict in verdicts and answer is others[-1]
            )
            yield answer.holds if is_said else z3.Not(answer.holds)
        is_closed = link in full.closed and link not in full.given
        yield space.hidden if is_closed else z3.Not(space.hidden)
        is_left = (link in full.given or is_closed) and link not in known.given and link not in known.closed
        yield interview.left[link] if is_left else z3.Not(interview.left[link])


@pytest.mark.parametrize("seed", range(60))
def test_the_formulas_ask_what_the_engine_asks(seed: int) -> None:
    chance = random.Random(seed)
    everything = {link: chance.choice(values) for link, values in headache.VALUES.items()}
    if seed % 2:
        everything |= {"head-side": (local("back"),), "tense": (headache.NO,)}  # near contradictions
    shown, _ = headache.asked(everything)
    answered = {
        link: values for link, values in everything.items() if link in shown and chance.random() < 0.8
    }
    kept = {link: values for link, values in answered.items() if chance.random() < 0.5}
    kept = {link: values for link, values in kept.items() if link in headache.asked(kept)[0]}
    full, known = headache.respond(answered), headache.respond(kept)
    interview, guidance = side_by_side(), dated_headache.guidance()
    solver = interview.full.solver
    assert solver.check(*_facts(interview, full, known)) == z3.sat
    model = solver.model()
    state = state_of(guidance.compiled, known)
    later = state.open & ~state_of(guidance.compiled, full).open
    undecided = Undecided(guidance.compiled, state)
    for name, node in guidance.graph.rules.items():
        said = z3.is_true(model.eval(interview.asks[node]))
        is_unknown = state.bits >> 2 * node & 3 == 2
        assert (name, said) == (name, is_unknown and undecided.of([node]) & later != 0)


def test_the_interview_of_the_fixture_is_proved() -> None:
    proofs = [proof for proof in prove(dated_headache.guidance(), ASKED).proofs if NEVER in proof.promise]
    assert [proof.promise.removeprefix(f"{NEVER} ") for proof in proofs] == [
        "the step",
        "the date",
        "the level of tension",
        "the level of eyes",
    ]
    assert all(proof.proved for proof in proofs)


def broken() -> set[str]:
    """What the promises that fail are about."""
    encoding = Encoding(dated_headache.guidance(), ASKED)
    promises = interview_promises(Interview(encoding))
    return {
        promise.removeprefix(f"{NEVER} ")
        for promise, formula in promises
        if encoding.solver.check(formula) == z3.sat
    }


@pytest.mark.parametrize(
    ("left_out", "changes"),
    [("sudden", "the step"), ("head-since", "the date"), ("tense-where", "the level of tension")],
)
def test_a_question_left_out_of_the_list_breaks_the_promise(
    left_out: str, changes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = Interview._links
    monkeypatch.setattr(
        Interview, "_links", lambda self, index: (link for link in links(self, index) if link != left_out)
    )
    assert changes in broken()
    failed = prove(dated_headache.guidance(), ASKED).failed
    assert any(f"{NEVER} {changes}" in proof.promise for proof in failed)
    assert all("(not asked)" in proof.line for proof in failed)


def test_a_contradiction_left_out_of_the_list_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken() == set()
    monkeypatch.setattr(Interview, "_set_by", lambda self, masks, deciding: {key: [] for key in range(9999)})
    assert "the step" in broken()


def test_what_it_leaves_out_is_proved_whatever_the_sums_are() -> None:
    (edition,) = editions_in(ROOT / "docs" / "authoring" / "phq-9", Settings())
    loose = Interview(Encoding(edition.pair.guidance, free_sums=True))
    assert loose.full.scores
    assert [promise for promise, broken in interview_promises(loose) if _can_be(loose.full, broken)] == []


def test_a_solver_that_is_stopped_proves_and_refutes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = Encoding(dated_headache.guidance(), ASKED)
    monkeypatch.setattr(z3.Solver, "check", lambda *_: z3.unknown)
    with pytest.raises(KeyboardInterrupt):
        _can_be(encoding, encoding.full)
