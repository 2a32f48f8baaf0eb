"""The page that says why: each reason leads to its answer, and nobody learns how to get a milder result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from form_driver import FormDriver
from result_pages import ASSETS, STATE, Reader, scored_case

from service import catalogue
from service.assess import Scored
from service.catalogue import Pair
from service.datatypes.values import replace
from service.errors import NotScorable, Problem
from service.guidance.changes import Changes
from service.guidance.options import unsure_codings
from service.languages import words_in
from service.pages import scoring
from service.pages.fields import Fields
from service.pages.model import Frame
from service.pages.result import ResultPage
from service.pages.why import MOST_UNFOLDED, WhyPage, is_explained
from service.results import Numbers, Why

PATH = "/questionnaires/muscle-twitching"
PROMPT = "growing-weakness-with-wasting-makes-the-als-pattern-high"
CONSULT = "four-weeks-are-over-the-cut-off"
CALM = "plain-eyelid-three-days"
OPEN = "stopped-after-the-first-signs-were-denied"
EMERGENCY = "shaking-after-stopping-alcohol-is-an-emergency"
URGENT = "unsure-about-emergency-signs-is-urgent"
EXPLAINED = (PROMPT, CONSULT, CALM)
EN = words_in("en")
DOCTOR = "details.doctor"


@pytest.fixture(scope="session")
def pair(root: Path) -> Pair:
    folders = root / "questionnaires", root / "mappings"
    served = catalogue.read(*folders, numbers=Numbers("112", "116 123"))
    (found,) = [pair for pair in served.pairs.values() if pair.is_active]
    return found


@pytest.fixture
def finished(client: Any, pair: Pair) -> Callable[..., FormDriver]:
    """A form with the answers of a worked case, at its result."""

    def at_result(name: str, query: str = "?language=en") -> FormDriver:
        form = FormDriver(client, PATH)
        form.open(query)
        form.finish(next(case.answers for case in pair.guidance.cases if case.name == name))
        return form

    return at_result


def fields_of(pair: Pair) -> Fields:
    return Fields(pair.compiled, pair.guidance.language, pair.guidance.date_questions)


_FOUND: dict[tuple[str, str, str], tuple[Scored, Why]] = {}


def explained(pair: Pair, name: str) -> tuple[Scored, Why]:
    key = pair.slug, pair.guidance.language, name
    if key not in _FOUND:
        scored = scored_case(pair, name)
        _FOUND[key] = scored, Why(scored.minimal_reasons(), *scored.changes())
    return _FOUND[key]


def page_of(pair: Pair, name: str, why: Why | None = None, *, is_clinician: bool = False) -> str:
    """The page; every question stands on a page of its own name."""
    scored, found = explained(pair, name)
    frame = Frame("A form", pair.guidance.language, PATH, STATE, assets=ASSETS)
    named = {link: link for link in pair.guidance.form.questions}
    page = WhyPage(pair, fields_of(pair))
    return page.html(scored, found if why is None else why, frame, pages=named, is_clinician=is_clinician)


def words(text: str) -> str:
    return " ".join(text.split())


def summaries(page: str) -> list[str]:
    """What the folded parts of a page are called."""
    parts = page.split("<summary>")[1:]
    return [part.split("</summary>")[0].replace("&#39;", "'") for part in parts]


# Why this?


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_smallest_set_is_told_in_the_words_of_the_form(pair: Pair, name: str) -> None:
    scored, why = explained(pair, name)
    smallest = why.minimal[0].sets[0]
    fields, text = fields_of(pair), Reader(page_of(pair, name)).text(outside=DOCTOR)
    assert EN.count("form.why.enough", len(smallest)) in text
    for link in smallest:
        said = " ".join(fields.said(link, scored.answers.given[link]))
        assert words(f"{fields.label(link)} {said} {EN['form.check.change']}") in text


def test_a_long_set_is_folded_and_a_short_one_is_not(pair: Pair) -> None:
    for name in (CALM, PROMPT):
        _, why = explained(pair, name)
        number = len(why.minimal[0].sets[0])
        is_folded = EN.count("form.why.answers", number) in Reader(page_of(pair, name)).text(
            inside="details.more", outside=DOCTOR
        )
        assert is_folded is (number > MOST_UNFOLDED) is (name == CALM)


def test_each_reason_leads_to_the_page_with_its_answer(finished: Any, pair: Pair) -> None:
    form = finished(CONSULT)
    page = form.press("why")
    assert (page.main["data-page"], page.main["data-kind"]) == ("why", "why")
    scored, why = explained(pair, CONSULT)
    smallest = why.minimal[0].sets[0]
    changes = [button for button in page.buttons if button.startswith("change:")][: len(smallest)]
    assert len(changes) == len(smallest) > 1
    for change, link in zip(changes, smallest, strict=True):
        form.press("why") if "why" in form.page.buttons else None
        asking = form.press(change)
        assert f"q.{link}" in asking.controls
        assert asking.controls[f"q.{link}"].chosen
        assert scored.answers.given[link]
        form.press("next")
        form.press("send")


def test_more_than_one_set_is_counted(pair: Pair) -> None:
    _, why = explained(pair, PROMPT)
    others = len(why.minimal[0].sets) - 1
    assert others > 0
    assert EN.count("form.why.others", others) in Reader(page_of(pair, PROMPT)).text(outside=DOCTOR)


def test_sets_that_are_too_many_to_be_found_are_said_to_be(pair: Pair) -> None:
    text = Reader(page_of(pair, PROMPT, Why())).text(outside=DOCTOR)
    assert EN["form.why.too-many"] in text
    assert EN["form.why.unfinished"] in text


# What would change it?


def test_a_patient_reads_only_what_is_more_urgent(pair: Pair) -> None:
    for name in EXPLAINED:
        scored, why = explained(pair, name)
        result = scored.assessment().result
        assert why.lower.found or name == CALM
        page = page_of(pair, name)
        assert EN["form.why.lower"] not in page
        reached = [
            place for place, tier in enumerate(result.tiers) for one in summaries(page) if one == tier.display
        ]
        assert reached
        assert min(reached) > result.tier.at_least


def test_a_professional_reads_both_directions(pair: Pair) -> None:
    scored, why = explained(pair, PROMPT)
    (one,) = why.lower.found
    page = page_of(pair, PROMPT, is_clinician=True)
    text = Reader(page).text()
    assert EN["form.why.lower"] in text
    assert scored.assessment().result.tiers[one.tier.at_most].display in summaries(page)
    labels = [change.link_id for change in one.changes]
    assert len(labels) == 2
    assert "weakness: no thinner muscle: no" in text
    assert EN.count("form.why.within", why.lower.within) in text


def test_the_form_of_a_patient_never_tells_what_is_less_urgent(finished: Any) -> None:
    text = finished(PROMPT).press("why").text
    assert EN["form.why.higher"] in text
    assert EN["form.why.lower"] not in text


def test_the_form_of_a_professional_does(finished: Any) -> None:
    form = finished("professional-base")
    page = form.press("why")
    assert EN["form.why.lower"] in page.text
    assert EN["form.why.reasons"] in page.text


def test_the_worst_that_can_follow_is_told_first(pair: Pair) -> None:
    tiers = explained(pair, CONSULT)[0].assessment().result.tiers
    first, second, *_ = summaries(page_of(pair, CONSULT))
    assert first == tiers[-1].display
    assert second.startswith(tiers[-1].display)
    assert second != first


def test_what_can_lead_to_a_safety_step_is_not_folded(pair: Pair) -> None:
    page = page_of(pair, CALM)
    tiers = explained(pair, CALM)[0].assessment().result.tiers
    for tier in tiers[2:]:
        for before in page.split(f"<summary>{tier.display}")[:-1]:
            assert before.rstrip().endswith("<details open>") is tier.overlay


def test_a_number_is_told_by_what_counts_and_not_by_an_example(pair: Pair) -> None:
    text = Reader(page_of(pair, CALM)).text(outside=DOCTOR)
    asked = fields_of(pair).label("duration")
    assert words(f"{asked} more than 21 days") in text
    assert words(f"{fields_of(pair).label('age')} less than 18 years") in text
    assert "55.5" not in text


def test_who_is_not_sure_is_told_what_to_do_and_not_that_it_counts(pair: Pair) -> None:
    guidance = pair.guidance
    texts = {
        option.display
        for question in guidance.form.questions.values()
        for option in question.options
        if option.coding in unsure_codings(question, guidance.written.words)
    }
    patient, clinician = (Reader(page_of(pair, CALM, is_clinician=one)).text() for one in (False, True))
    assert texts
    assert not any(text in patient for text in texts)
    assert any(text.lower() in clinician.lower() for text in texts)
    assert EN["form.why.not-all"] in patient


def test_a_search_that_was_not_finished_says_so(pair: Pair) -> None:
    _, why = explained(pair, PROMPT)
    whole = Reader(page_of(pair, PROMPT)).text()
    cut = why._replace(higher=replace(why.higher, finished=False))
    assert EN["form.why.unfinished"] not in whole
    assert EN["form.why.unfinished"] in Reader(page_of(pair, PROMPT, cut)).text()


def test_what_was_not_found_is_no_good_news(pair: Pair) -> None:
    _, why = explained(pair, PROMPT)
    nothing = why._replace(higher=Changes((), 3, finished=True))
    text = Reader(page_of(pair, PROMPT, nothing)).text(outside=DOCTOR)
    assert EN["form.why.higher-none"] in text
    assert EN["form.why.not-all"] in text


# For the doctor.


@pytest.mark.parametrize("name", EXPLAINED)
@pytest.mark.parametrize("language", ["en", "de"])
def test_each_reason_has_its_statements_beside_it(pair: Pair, name: str, language: str) -> None:
    told = pair.told_in((language,), "en")
    scored, _ = explained(told, name)
    assessment = scored.assessment()
    result = assessment.result
    reasons = Reader(page_of(told, name)).text(inside="div.by").split("→")
    fired = [*result.fired, *(one for risk in result.risks if risk.listed for one in risk.fired)]
    assert len(reasons) == len(fired) + 1
    for rule, text in zip(fired, reasons[1:], strict=True):
        for statement in told.guidance.written.statements:
            is_cited = statement.id in rule.rule.sources
            assert (words(f"{statement.claim} {statement.id}, {statement.section}") in text) is is_cited
    assert words(told.renderer.summary.reason(fired[0], assessment)) in reasons[0]


def test_the_doctor_reads_the_sets_of_the_step_and_of_every_level(pair: Pair) -> None:
    _, why = explained(pair, PROMPT)
    text = Reader(page_of(pair, PROMPT)).text(inside=DOCTOR)
    place = 0
    for found in why.minimal:
        outcome = next((one for one in pair.guidance.written.outcomes if one.code == found.of), None)
        what = outcome.display if outcome else pair.guidance.written.tiers[found.rank].display
        place = text.index(words(what), place) + 1
    assert len(why.minimal) > 2
    assert "weakness: yes course of the weakness: getting worse thinner muscle: yes" in text


# Where there is none, and what is kept.


@pytest.mark.parametrize("name", [EMERGENCY, URGENT])
def test_at_a_safety_step_there_is_no_such_page(finished: Any, name: str) -> None:
    form = finished(name)
    assert form.page.main["data-kind"] == "emergency"
    assert "why" not in form.page.buttons
    assert form.press("why").main["data-kind"] == "emergency"
    assert form.press("show", page="why").main["data-kind"] == "emergency"


def test_while_nothing_can_be_said_there_is_no_such_page(client: Any, pair: Pair) -> None:
    form = FormDriver(client, PATH)
    form.open("?language=en")
    for _ in range(2):
        form.press("next")
    assert form.press("why").main["data-kind"] == "question"


def test_a_result_that_is_not_assessable_does_not_offer_it(pair: Pair) -> None:
    scored, _ = explained(pair, OPEN)
    frame = Frame("A form", "en", PATH, STATE, assets=ASSETS)
    assert "why" not in Reader(ResultPage(pair).html(scored, frame, answers=[], pages={})).actions
    assert not is_explained(scored.assessment().result)


def test_back_leads_to_the_same_result_and_a_script_can_show_the_page_again(finished: Any) -> None:
    form = finished(PROMPT)
    before = form.page.text
    form.press("why")
    assert form.press("show").main["data-kind"] == "result"
    assert form.page.text == before
    assert form.press("show", page="why").main["data-kind"] == "why"


def test_nothing_of_it_is_kept_and_no_other_site_gets_it(finished: Any, client: Any) -> None:
    form = finished(PROMPT)
    answer = form.post("why")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    sent = {**form.page.hidden, "action": "why"}
    assert client.post(PATH, data=sent, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    changed = {**sent, "state": ("A" if sent["state"][0] != "A" else "B") + sent["state"][1:]}
    assert client.post(PATH, data=changed).status_code == 400


def test_what_takes_too_much_is_told_as_not_known(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    form = finished(PROMPT)

    def costly(*_: object, **__: object) -> None:
        raise NotScorable(Problem("too-costly", "Expected less."))

    monkeypatch.setattr(scoring, "in_child", costly)
    page = form.press("why")
    assert (form.answered.status_code, page.main["data-kind"]) == (200, "why")
    assert EN["form.why.too-many"] in page.text
    assert EN["form.why.unfinished"] in page.text


# Other questionnaires.


def others(root: Path) -> Iterator[Pair]:
    for name in ("second_pair", "instruments"):
        folder = root / "tests" / name
        yield from catalogue.read(folder / "questionnaires", folder / "mappings").pairs.values()


def test_another_questionnaire_gets_the_same_page(root: Path) -> None:
    seen = 0
    for pair in others(root):
        for case in pair.guidance.cases[:4]:
            scored, _ = explained(pair, case.name)
            for is_clinician in (False, True):
                reader = Reader(page_of(pair, case.name, is_clinician=is_clinician))
                reasons = scored.assessment().result.fired
                assert len(reader.text(inside="div.by").split("→")) > len(reasons)
                seen += 1
    assert seen > 10
