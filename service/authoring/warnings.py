"""Warnings for the author of a guidance that has no fault: what it lacks, by file and key.

A fault is what no guidance may lack before it is used. A warning is what an author may have meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.authoring.coverage import untried_totals
from service.authoring.draft import TODO
from service.catalogue import Pair, Published
from service.datatypes.form import Question
from service.guidance.conditions import Place
from service.guidance.messages import differences
from service.guidance.model import Addend, Score, Written
from service.guidance.options import unsure_codings
from service.guidance.schema import fault_line, step_of
from service.guidance.scores import weights_of
from service.languages import missing_words
from service.mapping_files import read_documents
from service.questionnaire import languages_in, missing_texts, not_shown


def faults_of(pair: Pair) -> Iterator[str]:
    """Yields a fault if a guidance lacks worked cases, or one of them expects nothing."""
    written = pair.guidance.written
    if not written.cases and written.identity.status == "active":
        yield fault_line("cases.yaml", (), "expected a worked case: nothing tries this active guidance")
    for case in written.cases:
        if not case.expect:
            yield fault_line("cases.yaml", (case.name, "expect"), "expected something that must come out")


def warnings_of(pair: Pair) -> Iterator[str]:
    """Yields warnings for the author of a guidance, a line each: file, key, what was expected."""
    yield from _standing(pair)
    yield from _of_questionnaire(pair)
    for score in pair.guidance.written.scores:
        yield from _without_points(score, pair)
        yield from untried_totals(score, pair)


def undecided(folder: Path) -> Iterator[str]:
    """Yields every text that a draft left to a person: file, key, what is to be decided."""
    for stem, document in read_documents(folder).items():
        for place, text in _texts(document):
            if text.startswith(TODO):
                yield fault_line(f"{stem}.yaml", place, f"to be decided: {text[len(TODO) :].lstrip(': ')}")


def _texts(value: object, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*place, step_of(key, inner)))


def _standing(pair: Pair) -> Iterator[str]:
    identity = pair.guidance.written.identity
    if identity.status == "draft":
        yield fault_line("guidance.yaml", ("status",), "draft: no response is scored by it")
    elif identity.status == "retired":
        yield fault_line("guidance.yaml", ("status",), "retired: it scores its own version only")
    if identity.status == "active" and not identity.signed:
        yield fault_line("guidance.yaml", ("review",), "nobody has signed: expected by, role and on")
    if not pair.guidance.written.cases and identity.status != "active":
        yield fault_line("cases.yaml", (), "there is no worked case: nothing tries this guidance")


def _of_questionnaire(pair: Pair) -> Iterator[str]:
    status = pair.compiled.resource.get("status")
    name = str(pair.compiled.resource.get("id", "questionnaire"))
    if status != "active":
        yield f"Questionnaire {name}: status: {status}: a response that names no version does not find it"
    for reason in not_shown(pair.compiled.items):
        yield f"Questionnaire {name}: not shown as a form: {reason}"
    for problem in pair.compiled.lint:
        if problem.severity == "warning":
            yield f"Questionnaire {name}: {problem.expression}: {problem.text}"


def unscored(published: Published, mapped: set[str]) -> Iterator[str]:
    """Yields a line for each questionnaire that no mapping scores, and for each without a version."""
    for path, resource in published.resources:
        if resource.get("resourceType") != "Questionnaire":
            continue
        if not resource.get("version"):
            yield f"{path.name}: version: is missing; a guidance names its questionnaire as url|version"
        elif f"{resource.get('url')}|{resource.get('version')}" not in mapped:
            yield f"{path.name}: no mapping scores {resource.get('url')}|{resource.get('version')}"


# Scores: options that add nothing known.


def _without_points(score: Score, pair: Pair) -> Iterator[str]:
    written, questions = pair.guidance.written, pair.guidance.form.questions
    for index, addend in enumerate(score.addends):
        if addend.link_id:
            question = questions[addend.link_id]
            for code in _unweighted(addend, question, written):
                text = f"the option {code} of {question.link_id} has no weight; it leaves the total a range"
                yield fault_line("scores.yaml", (score.name, "sum-of", index), text)


def _unweighted(addend: Addend, question: Question, written: Written) -> Iterator[Any]:
    known = weights_of(addend, question).by_answer
    unsure = unsure_codings(question, written.words)
    for option in question.options:
        if option.coding not in known and option.coding not in unsure:
            yield option.coding.code
    yield from (number for number, _ in question.numbers if number not in known)


# Languages: texts that are lacking, and those that translate nothing any more.


def language_gaps(pair: Pair) -> Iterator[str]:
    """Yields every text that a language lacks, and every one that translates nothing any more.

    A language is meant to be there as soon as the guidance or its questionnaire has a text in it.
    """
    by_language = {messages.language: messages for messages in pair.messages}
    resource = pair.compiled.resource
    for language in sorted({*by_language, *filter(None, languages_in(resource))}):
        if language in by_language:
            gaps = differences(pair.guidance.written, by_language[language])
            yield from (f"{pair.slug}/{gap}" for gap in gaps)
        else:
            expected = f"expected this file: the questionnaire has texts in {language}"
            yield f"{pair.slug}/messages/{language}.yaml: {expected}"
        name = f"Questionnaire {resource.get('id', 'questionnaire')}"
        yield from (f"{name}: {gap}" for gap in missing_texts(pair.compiled, language))
        yield from missing_words(language)
