"""A Questionnaire in a further language: its texts as the extension `translation` has them.

A code is named in a language by the option itself, else by the value set or code system that it comes from.

Source: http://hl7.org/fhir/StructureDefinition/translation (lang, content); valueset.html (designation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from service.datatypes.answers import Answer, Coding
from service.datatypes.form import Form, Question
from service.datatypes.values import replace
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.items import Item
from service.questionnaire.values import answer_in
from service.terminology.membership import Member


def languages_in(value: Any) -> Iterator[str]:
    """Yields the languages of every translation in a resource, as often as they stand there."""
    if isinstance(value, list):
        for member in value:
            yield from languages_in(member)
    elif isinstance(value, Mapping):
        if value.get("url") == ext.TRANSLATION:
            yield text(ext.value(value, "lang"))
        for member in value.values():
            yield from languages_in(member)


def translated(element: object, name: str, language: str) -> str:
    """Returns the translation of a primitive of an element; empty if it has none in this language.

    A text for the language itself goes before one for a region of it.
    """
    return _of_language(ext.translations(element, name) if isinstance(element, Mapping) else (), language)


def _of_language(designations: Iterable[Json], language: str) -> str:
    wanted = language.casefold()
    texts = [(text(each.get("language")).casefold(), text(each.get("value"))) for each in designations]
    exact = (found for tag, found in texts if tag == wanted)
    regional = (found for tag, found in texts if tag.startswith(f"{wanted}-"))
    return next(exact, "") or next(regional, "")


def form_in(compiled: CompiledQuestionnaire, language: str, lacking: str) -> Form:
    """Returns the form as the guidance sees it, with its texts in another language.

    Args:
        compiled: the Questionnaire.
        language: tag of the language (BCP 47).
        lacking: says a text that has no translation (`{text}`).
    """

    def say(original: str, translation: str) -> str:
        return translation or (lacking.format(text=original) if original else "")

    form = compiled.form
    questions = {
        link: _question(question, compiled.items[link], language, say)
        for link, question in form.questions.items()
    }
    return Form(form.canonical, MappingProxyType(questions))


def _question(question: Question, item: Item, language: str, say: Any) -> Question:
    names = option_names(item, language) if question.options else {}
    options = tuple(
        replace(option, display=say(option.display, names[option.coding])) for option in question.options
    )
    return replace(
        question,
        text=say(question.text, translated(item.source, "text", language)),
        short=say(question.short, _short_text(item.source, language)),
        options=options,
    )


def _short_text(item: Json, language: str) -> str:
    found = (translated(short, "valueString", language) for short in ext.extensions(item, ext.SHORT_TEXT))
    return next(filter(None, found), "")


def option_names(item: Item, language: str) -> dict[Answer, str]:
    """Returns by option its name in a language; empty if nothing has it."""
    listed = _listed_names(item, language)
    choices = {} if item.options is None else item.options.choices
    return {answer: listed.get(answer) or _designation(answer, item, language) for answer in choices}


def option_name(answer: Answer, item: Item, language: str) -> str:
    """Returns the name of one option in a language; empty if nothing has it."""
    return _listed_names(item, language).get(answer) or _designation(answer, item, language)


def _listed_names(item: Item, language: str) -> dict[Answer, str]:
    names: dict[Answer, str] = {}
    for source in mappings(item.source.get("answerOption")):
        found = answer_in(source, "value")
        if found is not None and found[1] not in names:
            element, answer = found
            is_coding = element == "valueCoding"
            names[answer] = translated(
                source.get(element) if is_coding else source, "display" if is_coding else element, language
            )
    return names


def _designation(answer: Answer, item: Item, language: str) -> str:
    options = item.options
    if options is None or not options.value_set or not isinstance(answer, Coding):
        return ""
    member = options.value_sets.codes(options.value_set).of(answer)
    return _of_language(member.designations, language) if isinstance(member, Member) else ""


def told_in(compiled: CompiledQuestionnaire, language: str, lacking: str) -> CompiledQuestionnaire:
    """Returns a Questionnaire that calls its items, in messages, by their texts in another language.

    It checks responses like the one that it is made of. Args as `form_in` has them.
    """
    items = {link: _item(item, language, lacking) for link, item in compiled.items.items()}
    return compiled.with_items(MappingProxyType(items))


def _item(item: Item, language: str, lacking: str) -> Item:
    if not item.text:
        return item
    said = translated(item.source, "text", language) or lacking.format(text=item.text)
    return replace(item, text=said, translations=item.translations | {item.text})


# What a language lacks.


def missing_texts(compiled: CompiledQuestionnaire, language: str) -> Iterator[str]:
    """Yields every text that people read and that has no translation: `place: lacks this text`."""
    for place, _, translation in texts_in(compiled, language):
        if not translation:
            yield f"{place}: lacks this text in {language}"


def texts_in(compiled: CompiledQuestionnaire, language: str) -> Iterator[tuple[str, str, str]]:
    """Yields place, text and translation of each text that people read; empty if there is none."""
    title = text(compiled.resource.get("title"))
    if title:
        yield "title", title, translated(compiled.resource, "title", language)
    for item in compiled.items.values():
        for place, original, translation in _texts_of(item, language):
            if original:
                yield f"{item.link_id}: {place}", original, translation


def _texts_of(item: Item, language: str) -> Iterator[tuple[str, str, str]]:
    yield "text", item.text, translated(item.source, "text", language)
    yield "shortText", text(ext.value(item.source, ext.SHORT_TEXT)), _short_text(item.source, language)
    for option in item.options.coded if item.options is not None else ():
        yield f"answerOption {option.coding.code}", option.display, option_name(option.coding, item, language)
