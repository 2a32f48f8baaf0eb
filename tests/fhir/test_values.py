"""Answers, scores and dates as a sentence has them."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from service.datatypes.answers import UNREAD, Coding, Quantity, Uncoded
from service.datatypes.form import Form, Option, Question
from service.datatypes.values import replace
from service.guidance.model import AnswerWords, ChartEntry
from service.results.phrases import AnswerTexts, cut, first_sentences, phrases_in

ENGLISH, GERMAN = phrases_in("en"), phrases_in("de")

SITES = tuple(
    Option(Coding("urn:s", code), display)
    for code, display in (
        ("arm", "Right arm."),
        ("eye", "EYE lid"),
        ("yes", "Yes"),
        ("none", "None of these"),
        ("leg", "Lower leg (left or right)"),
    )
)
QUESTIONS = (
    Question("sites", "Where is it weak?", "choice", SITES, 0, repeats=True, short="Weakness"),
    Question("since", "Since when?", "quantity", (), 1),
    Question("on", "When was it?", "date", (), 2),
    Question("note", "Anything else?", "text", (), 3),
    Question("plain", "", "boolean", (), 4),
)


@pytest.fixture
def texts(guidance):
    words = {"since": AnswerWords(before="for"), "on": AnswerWords(label="Day", after="or so")}
    written = replace(guidance.written, words={"yes": "yes"}, answer_words=words)
    form = Form("urn:q|1", {question.link_id: question for question in QUESTIONS})
    return AnswerTexts(SimpleNamespace(written=written, form=form), ENGLISH)


@pytest.mark.parametrize(
    ("link", "answers", "said"),
    [
        ("sites", (Coding("urn:s", "arm"), Coding("urn:s", "eye")), ["right arm, EYE lid"]),
        ("sites", (Coding("urn:s", "leg"),), ["lower leg, left or right"]),
        ("sites", (Coding("urn:s", "yes"), Coding("urn:s", "none")), []),
        ("sites", (Coding("urn:s", "unheard-of"), UNREAD), []),
        ("sites", (Uncoded("", "Left foot"),), ["left foot"]),
        ("since", (Quantity(Decimal(4), "mo"),), ["for 4 months"]),
        ("on", ("2026-10-02",), ["2 October 2026 or so"]),
        ("note", ("My own <words>",), ["\u201cMy own <words>\u201d"]),
        ("note", ("word " * 40,), ["\u201c" + ("word " * 15).rstrip() + "\u2026\u201d"]),
        ("note", ("two\nlines \u202eturned",), ["\u201ctwo lines  turned\u201d"]),
        ("plain", (True,), []),
        ("plain", (7,), ["7"]),
        ("plain", (Decimal("7.50"),), ["7.50"]),
        ("nowhere", (), []),
    ],
)
def test_an_answer_is_said_in_words_and_a_plain_yes_says_nothing(texts, link, answers, said):
    assert texts.said([link], {link: answers}) == said


def test_a_value_of_the_chart_has_its_date(guidance):
    written = replace(guidance.written, chart={"crp": ChartEntry("taken", ()), "days": ChartEntry("", ())})
    taken = Question("taken", "Taken on", "date", (), 9)
    form = Form("urn:q|1", {**guidance.form.questions, "taken": taken})
    texts = AnswerTexts(SimpleNamespace(written=written, form=form), ENGLISH)
    crp, days = (Quantity(Decimal(12), "mg/L"),), (Quantity(Decimal(2), "d"),)
    dated = {"crp": crp, "taken": ("2026-10-12",), "days": days}
    assert texts.said(["crp", "days"], dated) == ["12 mg/L, 12 October 2026", "2 days"]
    assert texts.said(["crp"], {"crp": crp}) == ["12 mg/L"]


def test_of_several_dated_values_each_says_what_was_measured(guidance):
    written = replace(guidance.written, chart={link: ChartEntry("taken", ()) for link in ("crp", "days")})
    texts = AnswerTexts(SimpleNamespace(written=written, form=guidance.form), ENGLISH)
    answers = {"crp": (Quantity(Decimal(12), "mg/L"),), "days": (Quantity(Decimal(2), "d"),)}
    labels = texts.labels
    assert texts.said(["crp", "days"], answers) == [f"{labels['crp']} 12 mg/L", f"{labels['days']} 2 days"]
    assert texts.said(["crp", "days"], {"days": answers["days"]}) == ["2 days"]


def test_a_question_is_named_by_its_label_its_short_text_or_its_text(texts):
    assert dict(texts.labels) == {
        "sites": "weakness",
        "since": "since when",
        "on": "Day",
        "note": "anything else",
        "plain": "plain",
    }
    assert texts.labelled(["sites", "note"], {"sites": (SITES[0].coding,)}) == ["weakness: right arm"]


@pytest.mark.parametrize(
    ("quantity", "said", "german"),
    [
        (Quantity(Decimal(1), "d"), "1 day", "1 Tag"),
        (Quantity(Decimal("1.0"), "d"), "1.0 day", "1,0 Tag"),
        (Quantity(Decimal(3), "wk", ">"), "more than 3 weeks", "mehr als 3 Wochen"),
        (Quantity(Decimal("3.10"), "mmol/L", "<="), "at most 3.10 mmol/L", "höchstens 3,10 mmol/l"),
        (Quantity(Decimal(5), "{drinks}", ">="), "at least 5 drinks", "mindestens 5 drinks"),
        (Quantity(Decimal(5), "1", "<"), "less than 5", "weniger als 5"),
        (Quantity(Decimal("39.5"), "Cel"), "39.5 °C", "39,5 °C"),
        (Quantity(Decimal(60), "/min"), "60 per minute", "60 pro Minute"),
    ],
)
def test_a_quantity_has_its_unit_and_its_comparator_in_words(quantity, said, german):
    assert (ENGLISH.measured(quantity), GERMAN.measured(quantity)) == (said, german)


@pytest.mark.parametrize(
    ("date", "said", "german"),
    [
        ("2026-10-12", "12 October 2026", "12. Oktober 2026"),
        ("2026-02", "February 2026", "Februar 2026"),
        ("2026", "2026", "2026"),
    ],
)
def test_a_date_is_as_precise_as_it_is(date, said, german):
    assert (ENGLISH.date(date), GERMAN.date(date)) == (said, german)


def test_a_date_is_reckoned_only_from_a_day():
    assert ENGLISH.day_after("2026-12-20T23:30:00+01:00", 14) == "3 January 2027"
    assert ENGLISH.day_after("2026-12", 14) == ENGLISH.day_after(None, 14) == ""


def test_a_latest_date_stands_in_a_sentence():
    assert [
        GERMAN.by_when(days, day) for days, day in ((0, None), (14, "2026-11-28"), (14, None), (1, ""))
    ] == ["heute", "bis zum 12. Dezember 2026", "innerhalb von 2 Wochen", "innerhalb von 1 Tag"]


def test_a_span_is_in_weeks_where_these_are_whole():
    assert [ENGLISH.span(days) for days in (1, 7, 10, 14, 15, 42)] == [
        "1 day",
        "7 days",
        "10 days",
        "2 weeks",
        "15 days",
        "6 weeks",
    ]


def test_a_text_is_cut_between_words_and_never_longer():
    assert cut("one two three", 13) == "one two three"
    assert cut("one two, three", 11) == "one two\u2026"
    assert first_sentences("One. Two. Three.", 9) == "One. Two."
    assert first_sentences("One two three. Four.", 9) == "One two\u2026"
    assert first_sentences("One. Two.", 9) == "One. Two."
    assert first_sentences("Kommen Sie. Bis zum 12. Mai 2026.", 25) == "Kommen Sie."


def test_an_abbreviation_keeps_its_capital():
    assert [ENGLISH.lowered(text) for text in ("Right arm", "EMG done", "I do", "")] == [
        "right arm",
        "EMG done",
        "I do",
        "",
    ]
    assert GERMAN.lowered("Arm rechts") == "Arm rechts"


def test_german_begins_small_with_what_is_no_noun_and_no_form_of_address():
    small = ("Linker Arm", "Wird schlimmer", "Nein, noch nicht", "Kurz und unregelmäßig", "Überhaupt nicht")
    assert [GERMAN.lowered(text) for text in small] == [text[0].lower() + text[1:] for text in small]
    kept = ("Linkshänder", "Sie wecken mich auf", "Ihr Arm", "Gehen", "Morgen", "MS-typische Läsionen", "")
    assert [GERMAN.lowered(text) for text in kept] == list(kept)


def test_a_score_is_a_number_a_range_an_estimate_or_nothing(texts, troubled):
    (total,) = troubled.totals
    known = replace(total, value=Decimal(3), bands=("severe", "severe"), answered=2, missing=0)
    estimated = replace(known, estimated=True)
    refused = replace(total, score=replace(total.score, missing=replace(total.score.missing, rule="refuse")))
    assert [ENGLISH.score(each) for each in (total, known, estimated, refused)] == [
        "Sum of two: 0 to 3.0 (Mild to Severe); 1 of 2 parts known",
        "Sum of two: 3 (Severe); 2 of 2 parts known",
        "Sum of two: about 3 (Severe); 2 of 2 parts known",
        "Sum of two: not reported, too much is missing; 1 of 2 parts known",
    ]
    assert [texts.said(["sum"], {}, [each]) for each in (total, known, refused)] == [
        ["Sum of two: 0 to 3.0"],
        ["Sum of two: 3"],
        [],
    ]
