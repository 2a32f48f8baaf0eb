"""The page of a result: the renderer's words, urgency at a glance, in an emergency nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from result_pages import STATE, Reader, answers_of, page_of, scored_case

from service import catalogue
from service.assess import Assessor, Scored
from service.catalogue import Pair
from service.datatypes.values import replace
from service.fhir.json import BodyLimits
from service.pages.model import Frame, Row
from service.pages.result import ResultPage
from service.results import Numbers

STEPS = {
    "emergency": "shaking-after-stopping-alcohol-is-an-emergency",
    "urgent": "calcium-under-the-lower-critical-limit-is-urgent",
    "prompt": "growing-weakness-with-wasting-makes-the-als-pattern-high",
    "consult": "four-weeks-are-over-the-cut-off",
    "review": "potassium-under-the-edge-is-low",
    "self-care": "plain-eyelid-three-days",
    "not-assessable": "stopped-after-the-first-signs-were-denied",
}
LOOKS = {
    "emergency": "now",
    "urgent": "today",
    "prompt": "soon",
    "consult": "soon",
    "review": "soon",
    "self-care": "calm",
    "not-assessable": "open",
}
OVERLAYS = ("emergency", "urgent")
LANGUAGES = ("en", "de")
DOCTOR = "details.doctor"


@pytest.fixture(scope="session")
def served(root: Path) -> catalogue.Catalogue:
    folders = root / "questionnaires", root / "mappings"
    return catalogue.read(*folders, numbers=Numbers("112", "116 123"))


@pytest.fixture(scope="session")
def pair(served: catalogue.Catalogue) -> Pair:
    (found,) = [pair for pair in served.pairs.values() if pair.is_active]
    return found


@pytest.fixture(params=LANGUAGES)
def told(request: pytest.FixtureRequest, pair: Pair) -> Pair:
    return pair.told_in((request.param,), "en")


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def words(text: str) -> str:
    return " ".join(text.split())


def test_every_step_of_the_ladder_is_among_the_cases(pair: Pair) -> None:
    tiers = pair.guidance.written.tiers
    results = [scored_case(pair, name).assessment().result for name in STEPS.values()]
    assert [tiers[result.tier.at_least].code for result in results] == [*STEPS]
    assert {tier.code for tier in tiers} == {*STEPS}


def test_the_patient_reads_what_the_renderer_says_in_its_order(told: Pair, step: str) -> None:
    scored = scored_case(told, STEPS[step])
    page = Reader(page_of(scored)).text(outside=DOCTOR)
    place = 0
    for line in told.renderer.patient.text(scored.assessment()).splitlines():
        said = words(line.removeprefix("- ")).removesuffix(":")
        found = page.find(said, place)
        assert found >= 0, said
        place = found + len(said)


def test_a_date_is_not_torn_from_its_month(told: Pair) -> None:
    page = page_of(scored_case(told, STEPS["prompt"]))
    (heading,) = re.findall(r"</span>(.*)</h1>", page)
    assert re.search(r"\d\.?\N{NO-BREAK SPACE}[^\W\d]+ \d{4}", heading)


def test_what_stands_behind_read_more_is_folded_and_the_rest_is_not(told: Pair) -> None:
    scored = scored_case(told, STEPS["prompt"])
    first, more = told.renderer.patient.sections(scored.assessment())
    reader = Reader(page_of(scored))
    folded = reader.text(inside="details.more")
    assert all(words(line) in folded for section in more for line in section.lines)
    assert not any(words(line) in folded for section in first for line in section.lines)


def test_a_card_says_at_first_sight_how_urgent_it_is(told: Pair, step: str) -> None:
    page = page_of(scored_case(told, STEPS[step]))
    assert f'<section class="card {LOOKS[step]}">' in page
    assert told.renderer.patient.phrases[f"form.result.urgency.{LOOKS[step]}"] in Reader(page).text(
        inside="h1."
    )


def test_the_kind_of_page_tells_scripts_that_the_form_has_stopped(pair: Pair, step: str) -> None:
    attributes = dict(Reader(page_of(scored_case(pair, STEPS[step]))).elements)["main"]
    kind = "emergency" if step in OVERLAYS else "result"
    assert (attributes["data-page"], attributes["data-kind"]) == ("result", kind)


@pytest.mark.parametrize("step", STEPS)
def test_a_doctor_is_told_that_a_form_that_stopped_leaves_the_rest_unknown(told: Pair, step: str) -> None:
    words = told.renderer.patient.phrases["form.result.stops"]
    assert (words in page_of(scored_case(told, STEPS[step]))) is (step in OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_at_a_safety_step_nothing_invites_to_go_on(told: Pair, overlay: str) -> None:
    reader = Reader(page_of(scored_case(told, STEPS[overlay])))
    assert sorted(reader.actions) == ["response.json", "restart", "risk.json"]
    assert not any(tag in ("table", "svg") for tag, _ in reader.elements)
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a"]
    assert {link.partition(":")[0] for link in links} <= {"tel", "#main"}


def test_an_emergency_has_the_number_to_call_as_a_button(told: Pair) -> None:
    reader = Reader(page_of(scored_case(told, STEPS["emergency"])))
    assert reader.text(inside="a.btn call") == told.renderer.patient.phrases.say(
        "form.result.call.emergency", number="112"
    )
    assert ("a", {"class": "btn call", "href": "tel:112"}) in reader.elements


def test_without_a_number_in_the_settings_there_is_no_button_and_no_number(root: Path) -> None:
    plain = catalogue.read(root / "questionnaires", root / "mappings")
    (pair,) = [pair for pair in plain.pairs.values() if pair.is_active]
    page = page_of(scored_case(pair, STEPS["emergency"]))
    assert "tel:" not in page


def test_numbers_in_the_text_can_be_called(told: Pair) -> None:
    page = page_of(scored_case(told, STEPS["prompt"]))
    assert '<a href="tel:112">112</a>' in page
    worried = scored_case(told, "worry-of-seven-is-reason-enough-to-consult")
    assert '<a href="tel:116-123">116 123</a>' in page_of(worried)


# Open questions.


def test_each_open_question_leads_to_its_page(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["not-assessable"])
    asked = {question.link_id for question in scored.assessment().result.open}
    actions = [action for action in Reader(page_of(scored)).actions if action.startswith("change:")]
    assert {action.removeprefix("change:") for action in actions} == asked
    assert len(actions) == len(asked)


def test_who_was_not_sure_is_not_asked_again_once_something_can_be_said(pair: Pair) -> None:
    scored = scored_case(pair, "unsure-about-swallowing-needs-a-check-within-14-days")
    unsure = [question.link_id for question in scored.assessment().result.open if question.unsure]
    assert unsure
    actions = Reader(page_of(scored)).actions
    assert not {f"change:{link}" for link in unsure} & {*actions}


def test_a_question_that_no_page_of_the_form_asks_is_text(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["not-assessable"])
    reader = Reader(page_of(scored, pages={}))
    assert not any(action.startswith("change:") for action in reader.actions)
    assert pair.renderer.patient.question(scored.assessment().result.open[0].link_id) in reader.text()


# Side by side.


def test_the_tables_are_tables_with_the_persons_own_rows_marked_in_words(told: Pair) -> None:
    scored = scored_case(told, STEPS["prompt"])
    page, marks = page_of(scored), told.renderer.patient.phrases
    (tally, *_) = scored.assessment().result.tables
    table = page[page.index("<table") : page.index("</table>")]
    assert f"{tally.comparison.title}</caption>" in table
    assert table.count('<th scope="col">') == 2
    shown = [row for row in tally.rows if not row.row.informs_only]
    assert table.count('scope="rowgroup"') == len(shown)
    assert table.count('<td class="fit">') == tally.left + tally.right
    assert table.count(f"<b>{marks['form.result.marks.matches']}</b>") == tally.left + tally.right
    assert table.count(f"<b>{marks['form.result.marks.not-done']}</b>") == 2 * tally.not_done
    assert min(tally.left, tally.right, tally.not_done) > 0


@pytest.mark.parametrize("step", [step for step in STEPS if step not in OVERLAYS])
def test_what_no_answer_can_fit_is_told_only_where_a_clinician_filled_in(told: Pair, step: str) -> None:
    scored = scored_case(told, STEPS[step])
    patient, clinician = (Reader(page_of(scored, is_clinician=one)) for one in (False, True))
    only = [row for table in told.guidance.written.comparisons for row in table.rows if row.informs_only]
    assert only
    for row in only:
        for text in (row.left.says, row.right.says):
            assert words(text) not in patient.text()
            assert words(text) not in clinician.text(outside=DOCTOR)
            assert words(text) in clinician.text(inside=DOCTOR)


def test_a_table_of_which_nothing_fits_is_left_to_the_doctor(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["prompt"])
    (none,) = [tally for tally in scored.assessment().result.tables if not tally.left and not tally.right]
    reader = Reader(page_of(scored))
    assert none.comparison.title in reader.text(inside=DOCTOR)
    assert none.comparison.title not in reader.text(outside=DOCTOR)


def test_the_picture_has_a_square_for_every_row_and_says_in_words_what_it_shows(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["prompt"])
    (tally, *_) = scored.assessment().result.tables
    page = page_of(scored)
    left, right, *_ = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    rows = [row for row in tally.rows if not row.row.informs_only]
    for picture, matched in ((left, tally.left), (right, tally.right)):
        assert 'role="img"' in picture
        assert f"<title>{matched} of {tally.answered} fit</title>" in picture
        full, hollow, dots = re.findall(r' d="([^"]*)"', picture)
        assert full.count("M") == matched
        assert hollow.count("M") == tally.answered - matched
        assert dots.count("M") == len(rows) - tally.answered
        assert len(picture) < 700


def test_nothing_on_the_page_needs_a_style_or_a_script_of_its_own(told: Pair, step: str) -> None:
    reader = Reader(page_of(scored_case(told, STEPS[step])))
    names = {name for _, attributes in reader.elements for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}
    assert not any(tag == "style" or (tag == "script" and "src" not in own) for tag, own in reader.elements)


# For the doctor.


def test_the_doctor_reads_the_clinicians_lines_and_every_answer(told: Pair, step: str) -> None:
    scored = scored_case(told, STEPS[step])
    reader = Reader(page_of(scored))
    text = reader.text(inside=DOCTOR)
    for line in told.renderer.summary.lines(scored.assessment()):
        assert words(f"{line.label}: {line.said}") in text
    for _, rows in answers_of(scored):
        assert rows
        for row in rows:
            assert words(f"{row.question} {'; '.join(row.answers)}") in text


def test_free_text_is_text(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["self-care"])
    notes = (
        ("<b>Notes", (Row('<img src=x onerror="alert(1)">', ("<script>alert(1)</script>",), "", "", "<i>"),)),
    )
    frame = Frame("<title>", "en", "/x", '"><script>', assets={"form.css": "", "form.js": ""})
    page = ResultPage(pair).html(scored, frame, answers=notes, pages={})
    assert "<script>alert" not in page
    assert not re.search(r"<img|<i>|<b>Notes|<title>[^<]*<title>", page)
    assert Reader(page).text(inside=DOCTOR).count("<script>alert(1)</script>") == 1


def test_a_form_without_a_date_is_shown_without_one(pair: Pair) -> None:
    scored = scored_case(pair, STEPS["consult"])
    undated = replace(scored, context=replace(scored.context, authored=None))
    assert "calendar.ics" in Reader(page_of(scored)).actions
    assert "calendar.ics" not in Reader(page_of(undated)).actions


# What is kept.


def test_the_page_says_that_nothing_was_stored(told: Pair) -> None:
    reader = Reader(page_of(scored_case(told, STEPS["self-care"])))
    assert told.renderer.patient.phrases["form.result.not-kept"] in reader.text()
    assert "delete" not in reader.actions


def test_what_was_stored_has_its_number_and_can_be_deleted(told: Pair) -> None:
    reader = Reader(page_of(scored_case(told, STEPS["self-care"]), kept="0f5c2c1e-form"))
    assert told.renderer.patient.phrases["form.result.not-kept"] not in reader.text()
    assert reader.text(inside="code.") == "0f5c2c1e-form"
    assert "delete" in reader.actions


def test_every_button_sends_the_state_of_this_page(pair: Pair) -> None:
    reader = Reader(page_of(scored_case(pair, STEPS["self-care"])))
    hidden = {own["name"]: own["value"] for tag, own in reader.elements if tag == "input"}
    assert hidden == {"state": STATE, "page": "result"}
    assert [tag for tag, _ in reader.elements].count("form") == 1


# Other questionnaires.


def test_another_questionnaire_gets_the_same_page(root: Path) -> None:
    folder = root / "tests" / "second_pair"
    (pair,) = catalogue.read(folder / "questionnaires", folder / "mappings").pairs.values()
    for case in pair.guidance.cases:
        scored = scored_case(pair, case.name)
        text = Reader(page_of(scored)).text()
        (total,) = scored.assessment().result.totals
        assert words(pair.renderer.summary._phrases.score(total)) in text


def test_scores_of_instruments_are_told_to_the_doctor(root: Path) -> None:
    folder = root / "tests" / "instruments"
    pairs = catalogue.read(folder / "questionnaires", folder / "mappings").pairs.values()
    for pair in pairs:
        scored = scored_case(pair, pair.guidance.cases[0].name)
        totals = scored.assessment().result.totals
        text = Reader(page_of(scored)).text(inside=DOCTOR)
        assert totals
        assert all(words(pair.renderer.patient.phrases.score(total)) in text for total in totals)


def test_a_sample_that_contradicts_itself_says_so(served: catalogue.Catalogue, root: Path) -> None:
    data = (root / "samples" / "contradictory.json").read_bytes()
    scored: Scored = Assessor(served, BodyLimits()).scored(data)
    clashes = scored.assessment().result.contradictions
    text = Reader(page_of(scored)).text(outside=DOCTOR)
    assert clashes
    assert all(words(clash.says.patient) in text for clash in clashes)
