"""The views of one answer say the same: its dates, and what could make it more urgent, in each language."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from golden_patients import PATIENTS, assessed

from service.assess import Assessor
from service.authoring.generator import Wanted, generated
from service.catalogue import Pair, read
from service.datatypes.answers import Coding, Quantity
from service.datatypes.values import replace
from service.fhir.json import BodyLimits
from service.results import BUNDLE, FULL, RISK, Assessment
from service.results.wording import dates

OPEN_DATE = "Some questions are still open, and their answers could make it more urgent."


def left_out(pair: Pair, assessment: Assessment) -> Iterator[str]:
    """Yields the views that leave out a date, or a question that could change step or date."""
    renderer, result = pair.renderer, assessment.result
    if result.tiers[result.tier.at_least].overlay:  # it is for now, and nobody is asked to go on
        return
    risk, full = (orjson.loads(renderer.document(assessment, detail)) for detail in (RISK, FULL))
    texts = {
        "text": renderer.patient.text(assessment),
        "clinician": renderer.summary.text(assessment),
        "mitigation": risk["mitigation"],
        "narrative": risk["text"]["div"],
        "full": full["mitigation"],
        "bundle": renderer.document(assessment, BUNDLE).decode(),
    }
    for due in dates(result):
        day = renderer.patient.phrases.by_when(due.days, assessment.context.authored)
        yield from (f"{view}: {day}" for view, text in texts.items() if day not in text)
    for question in result.open:
        if {"tier", "date"} & {*question.moves} and not question.unsure:
            text = renderer.patient.question(question.link_id)
            yield from (f"{view}: {text}" for view in ("text", "full") if text not in texts[view])


@pytest.mark.parametrize(
    ("language", "open_date"), [("en", OPEN_DATE), ("de", "Offene Fragen könnten es dringender machen.")]
)
def test_the_short_text_has_room_for_two_dates_and_for_what_open_questions_can_do(
    pair: Pair, language: str, open_date: str
) -> None:
    """The medicine brings an earlier date, for somebody with a long name."""
    told = pair.told_in((language,), language)
    found = assessed(told, PATIENTS["progressive-weakness"])
    yes = Coding("http://loinc.org", "LA33-6")
    more = {
        "medicine-change": (yes,),
        "medicine-change-before-known": (yes,),
        "medicine-change-before": (Quantity(Decimal(2), "wk"),),
    }
    given = {link: one for link, one in found.answers.given.items() if link != "breathing"}
    answers = told.compiled.answers_of(given | more, authored="2026-09-16")
    result = told.guidance.evaluate(answers)
    assert [due.to for due in dates(result)] == ["prescriber", "neurologist"]
    context = replace(found.context, authored="2026-09-16")
    assert open_date in told.renderer.patient.in_short(Assessment(result, answers, context))


@pytest.mark.parametrize("folder", [".", "tests/second_pair"])
def test_no_view_leaves_out_a_date_or_what_could_change_it(root: Path, folder: str) -> None:
    served = read(root / folder / "questionnaires", root / folder / "mappings")
    assessor = Assessor(served, BodyLimits())
    for body in generated(served, Wanted(20, seed=5, partial=0.5)):
        for language in ("en", "de"):
            scored = assessor.scored(body, (language,))
            assert list(left_out(scored.pair, scored.assessment())) == [], body


@pytest.mark.parametrize("language", ["en", "de"])
def test_at_a_safety_step_no_reason_of_another_step_is_told(pair: Pair, language: str) -> None:
    """What to do now stands alone: "let your own doctor check it" beside it would be milder."""
    told = pair.told_in((language,), language)
    patient = told.renderer.patient
    for case in told.guidance.cases:
        found = assessed(told, case.name)
        step = found.result.tiers[found.result.tier.at_least]
        reasons = [(one.rule.tier == step.code, patient.reason(one, found)) for one in found.result.fired]
        others = {said for _, said in reasons} - {said for is_own, said in reasons if is_own}
        if step.overlay:
            assert [said for said in others if said and said in patient.text(found)] == [], case.name


def test_a_date_that_open_questions_could_bring_forward_is_told_as_one(pair: Pair) -> None:
    """The step is settled; a change of medicine would bring its own, earlier date."""
    found = assessed(pair, "growing-weakness-with-wasting-makes-the-als-pattern-high")
    given = {link: answers for link, answers in found.answers.given.items() if link != "medicine-change"}
    answers = pair.compiled.answers_of(given, authored=found.context.authored)
    result = pair.guidance.evaluate(answers)
    assert result.tier.settled
    assert not result.date_settled
    open_ = Assessment(result, answers, found.context)
    assert OPEN_DATE in pair.renderer.patient.in_short(open_)
    assert pair.renderer.patient.question("medicine-change") in pair.renderer.patient.text(open_)
    assert OPEN_DATE not in pair.renderer.patient.in_short(found)
    for renderer, told in (
        (pair.renderer, "; open questions could lead to an earlier date"),
        (pair.further["de"].renderer, "; offene Fragen könnten zu einem früheren Datum führen"),
    ):
        *dated, bare = renderer.summary.steps(open_)
        assert all(step.endswith(told) for step in dated)
        assert told not in bare
        assert told not in renderer.summary.text(found)


@pytest.mark.parametrize("folder", [".", "tests/second_pair"])
def test_a_card_is_as_urgent_as_the_step_and_says_all_its_lines(root: Path, folder: str) -> None:
    served = read(root / folder / "questionnaires", root / folder / "mappings")
    assessor = Assessor(served, BodyLimits())
    for body in generated(served, Wanted(30, seed=5, partial=0.3)):
        scored = assessor.scored(body)
        result = scored.assessment().result
        tier = result.tiers[result.tier.at_least]
        told = assessor.outlined(body)
        assert (told.code, told.is_overlay, told.has_referral) == (
            tier.code,
            tier.overlay,
            bool(tier.referral),
        )
        assert told.is_final == (orjson.loads(scored.document())["status"] == "final"), body
        assert told.text == scored.pair.renderer.summary.text(scored.assessment())
