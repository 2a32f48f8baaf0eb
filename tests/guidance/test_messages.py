"""A guidance in another language: its own texts, the same result, and what the language lacks."""

from collections.abc import Callable, Iterator
from typing import Any

import headache
import msgspec
import pytest

from service.datatypes.answers import Answers
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.guidance import Guidance
from service.guidance.messages import Messages, Telling, differences, messages_from, texts_of
from service.guidance.model import Says
from service.guidance.result import Result

TELLING = Telling("[auf Englisch: {text}]", Says("Passt nicht: {question}", "Widerspruch: {question}"))


def in_german(guidance: Guidance) -> Messages:
    """Messages in which every text is the English one behind a mark."""
    texts = {key: f"DE {text}" for key, text in texts_of(guidance.written).items()}
    return Messages("de", guidance.written.identity.version, texts)


def told(guidance: Guidance, messages: Messages) -> Guidance:
    form = headache.form()
    questions = {
        link: replace(question, text=f"DE {question.text}") for link, question in form.questions.items()
    }
    return guidance.told_in(messages, replace(form, questions=questions), TELLING)


def texts_in(value: object) -> Iterator[str]:
    """Every text of a result that people read."""
    if isinstance(value, Says):
        yield from filter(None, (value.patient, value.clinician))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name in ("display", "title", "feature", "target", "label"):
                yield from filter(None, (getattr(value, name),))
            else:
                yield from texts_in(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from texts_in(part)


@pytest.fixture
def result(guidance: Guidance, respond: Callable[..., Answers]) -> Callable[[Messages], Result]:
    answers = respond(
        **{"head-pain": headache.YES, "sudden": True, "worse": headache.YES, "tense": headache.YES}
    )
    return lambda messages: told(guidance, messages).evaluate(answers)


def test_every_text_of_a_result_is_in_the_language(
    guidance: Guidance, result: Callable[[Messages], Result]
) -> None:
    found = list(texts_in(result(in_german(guidance))))
    assert len(found) > 20
    assert [
        text for text in found if not text.startswith(("DE ", "Passt nicht: DE ", "Widerspruch: DE "))
    ] == []


def test_a_language_changes_words_and_nothing_else(
    guidance: Guidance, result: Callable[[Messages], Result]
) -> None:
    german, english = result(in_german(guidance)), result(Messages("en", "", texts_of(guidance.written)))
    assert [fired.rule.name for fired in german.fired] == [fired.rule.name for fired in english.fired]
    assert (german.tier, german.open, german.findings) == (english.tier, english.open, english.findings)
    assert german.fired != english.fired


def test_what_is_shown_as_a_precaution_is_told_apart_in_every_language(
    guidance: Guidance, respond: Callable[..., Answers]
) -> None:
    """A safety piece whose condition is open must not pass for one that holds."""
    result = told(guidance, in_german(guidance)).evaluate(respond(**{"head-pain": headache.YES}))
    assert [advice.name for advice in result.precautions] == ["ask-help"]
    assert set(result.precautions) <= set(result.advice)


def test_a_text_that_the_language_lacks_is_english_and_marked(
    guidance: Guidance, result: Callable[[Messages], Result]
) -> None:
    messages = in_german(guidance)
    texts = {key: text for key, text in messages.texts.items() if key != ("rules", "alarms-soon", "patient")}
    (fired,) = (
        fired for fired in result(replace(messages, texts=texts)).fired if fired.rule.name == "alarms-soon"
    )
    assert fired.rule.says == Says("[auf Englisch: Go soon.]", "DE An alarm.")


def test_what_a_language_lacks_and_what_has_no_text_any_more_is_listed(guidance: Guidance) -> None:
    messages = in_german(guidance)
    texts = {**messages.texts, ("rules", "gone", "patient"): "Weg."}
    del texts["rules", "alarms-soon", "patient"]
    assert list(differences(guidance.written, messages)) == []
    assert sorted(differences(guidance.written, replace(messages, version="0.9", texts=texts))) == [
        "messages/de.yaml: rules.alarms-soon.patient: lacks this text",
        "messages/de.yaml: rules.gone.patient: translates no text of the guidance",
        f"messages/de.yaml: version: translates 0.9, the guidance is {guidance.written.identity.version}",
    ]


def test_the_hash_is_over_the_texts_too(guidance: Guidance) -> None:
    messages = in_german(guidance)
    other = replace(messages, texts={**messages.texts, ("rules", "alarms-soon", "patient"): "Bald."})
    hashes = {told(guidance, each).written.identity.hash for each in (messages, messages, other)}
    assert len({guidance.written.identity.hash, *hashes}) == 3


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (
            {"rules": {"x": {"patient": "P"}}},
            "version: expected the version of the guidance that this translates",
        ),
        (
            {"version": "1", "rules": {"x": {"patient": ""}}},
            "rules.x.patient: expected text (in quotes, if need be)",
        ),
        (
            {"version": "1", "rules": {"x": {"patient": True}}},
            "rules.x.patient: expected text (in quotes, if need be)",
        ),
        ([], "version: expected the version of the guidance that this translates"),
    ],
)
def test_a_file_that_holds_no_texts_is_refused(document: Any, fault: str) -> None:
    with pytest.raises(GuidanceError) as refused:
        messages_from(document, "de")
    assert refused.value.faults == [f"messages/de.yaml: {fault}"]


def test_words_around_an_answer_may_be_left_out() -> None:
    document = {"version": "1", "answer-words": {"duration": {"label": "Dauer", "before": ""}}}
    assert messages_from(document, "de").texts == {
        ("answer-words", "duration", "label"): "Dauer",
        ("answer-words", "duration", "before"): "",
    }
