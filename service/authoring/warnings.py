"""Warnings for the author of a guidance that has no fault: what it lacks, and what no worked case reaches.

A fault is what no guidance may lack before it is used. A warning is what an author may have meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain, pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from service.authoring.draft import TODO, unsure_codes
from service.catalogue import Pair, Published, answers_of_case
from service.datatypes.answers import Answer
from service.datatypes.form import Question
from service.guidance.conditions import Measured, Place, Scored
from service.guidance.graph import Graph
from service.guidance.model import Addend, Score, Written
from service.guidance.options import CHOICES, DATES, NOT_SURE, NUMBERS, unsure_codings
from service.guidance.result import Result
from service.guidance.schema import fault_line, step_of
from service.guidance.scores import Weights, weights_of
from service.guidance.state import State, state_of
from service.mapping_files import read_documents
from service.questionnaire import not_shown


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
    yield from _read_as_sure(pair)
    yield from _unread(pair)
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


# Answers that say nothing to the guidance, or something that they do not mean.


def _read_as_sure(pair: Pair) -> Iterator[str]:
    """Yields a line for each code of options that seem to say not sure, and are read as a plain answer."""
    for code in unsure_codes(pair.guidance.form):
        if code != pair.guidance.written.words.get(NOT_SURE):
            text = f"the option {code} seems to say it, and is read as a plain answer"
            yield fault_line("guidance.yaml", ("words", NOT_SURE), text)


def _unread(pair: Pair) -> Iterator[str]:
    """Yields a line for each question whose answer neither the guidance nor the form uses."""
    written, questions = pair.guidance.written, pair.guidance.form.questions
    used = {*pair.guidance.compiled.links, *written.summary, *written.charted, *written.answer_words}
    used |= {link for question in questions.values() for link in question.enabled_by}
    used |= {link for rule in written.rules for link in rule.shows}
    for link, question in questions.items():
        if link not in used and question.type in (*CHOICES, *NUMBERS, *DATES, "boolean"):
            yield f"Questionnaire {pair.compiled.resource.get('id')}: {link}: nothing reads the answer to it"


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


# What the worked cases of a guidance reach: its rules, bands, options and edges.
#
# A rule is reached where it fires; one of an outcome, where it decides the level. One that a parameter has
# switched off is not counted. A band is reached by a total that is known for certain, an option by somebody
# who is asked and chooses it. An edge is where a number is cut: it is reached by a number for which the
# comparison holds and by one for which it does not.


MOST_TOTALS = 20_000
"""Totals that are told apart; a score that can have more is taken to have any."""

_MOST_SUMS = 50 * MOST_TOTALS
_ABSENT, _PRESENT = 0, 3


class _Tried(NamedTuple):
    """What one worked case gives."""

    result: Result
    state: State


class _Part(msgspec.Struct, frozen=True):
    """How many there are of one kind, how many are not reached, and lines that name these."""

    name: str
    all: int
    missing: int
    lines: tuple[str, ...]


def coverage_lines(pair: Pair) -> Iterator[str]:
    """Yields in one line what the worked cases of a guidance reach, then lines for what they do not.

    Of options, one line stands for all of a question.
    """
    tried = [_tried(pair, index) for index in range(len(pair.guidance.cases))]
    parts = [each(pair, tried) for each in (_rules, _bands, _options, _edges)]
    counts = [f"{part.all - part.missing} of {part.all} {part.name}" for part in parts if part.all]
    if counts:
        yield f"worked cases reach {', '.join(counts)}"
    yield from (f"not reached: {line}" for part in parts for line in part.lines)


def _tried(pair: Pair, index: int) -> _Tried:
    answers = answers_of_case(pair.guidance.cases[index], pair.guidance, pair.compiled)
    return _Tried(pair.guidance.evaluate(answers), state_of(pair.guidance.compiled, answers))


def _rules(pair: Pair, tried: list[_Tried]) -> _Part:
    fired = {
        one.rule.name
        for each in tried
        for one in chain(each.result.fired, *(risk.fired for risk in each.result.risks))
    }
    graph = pair.guidance.graph
    off = _switched_off(graph)
    rules = [rule.name for rule in pair.guidance.written.rules if graph.rules[rule.name] not in off]
    text = "no worked case fires it"
    lines = tuple(fault_line("rules.yaml", (name,), text) for name in rules if name not in fired)
    return _Part("rules", len(rules), len(lines), lines)


def _switched_off(graph: Graph) -> frozenset[int]:
    """Returns the nodes that are false for every response, by parameters that are true or false."""
    never: set[int] = set()
    always: set[int] = set()
    for index, node in enumerate(graph.nodes):
        parts = set(node.parts)
        some_always, all_never = not always.isdisjoint(parts), never.issuperset(parts)
        is_off = {
            "never": True,
            "all": not never.isdisjoint(parts),
            "any": all_never,
            "none": some_always,
            "unless": some_always,
        }
        is_on = {
            "always": True,
            "all": always.issuperset(parts),
            "any": some_always,
            "none": all_never,
            "unless": all_never,
        }
        never |= {index} if is_off.get(node.word) else set()
        always |= {index} if is_on.get(node.word) else set()
    return frozenset(never)


def _bands(pair: Pair, tried: list[_Tried]) -> _Part:
    reached = {
        (total.score.name, total.bands[0])
        for each in tried
        for total in each.result.totals
        if total.bands[0] == total.bands[1]
    }
    bands = [(score.name, band.name) for score in pair.guidance.written.scores for band in score.bands]
    text = "no worked case lies in it"
    lines = tuple(
        fault_line("scores.yaml", (score, "bands", band), text)
        for score, band in bands
        if (score, band) not in reached
    )
    return _Part("bands", len(bands), len(lines), lines)


def _options(pair: Pair, tried: list[_Tried]) -> _Part:
    chosen: dict[str, set[Answer]] = {}
    for each in tried:
        for link, answers in each.state.given.items():
            chosen.setdefault(link, set()).update(answers)
    words = {code: word for word, code in pair.guidance.written.words.items()}
    all_, missing, lines = 0, 0, []
    for link, question in pair.guidance.form.questions.items():
        options = _options_of(question, words) if link in pair.guidance.compiled.links else {}
        left = [name for answer, name in options.items() if answer not in chosen.get(link, ())]
        all_, missing = all_ + len(options), missing + len(left)
        if left:
            lines.append(f"question {link}: no worked case answers {', '.join(left)}")
    return _Part("options", all_, missing, tuple(lines))


def _options_of(question: Question, words: Mapping[str, str]) -> Mapping[Answer, str]:
    """Returns the options by what a worked case writes for them: a word of the guidance, or else the code."""
    if question.type == "boolean":
        return {True: "true", False: "false"}
    if question.type not in CHOICES:
        return {}
    return {option.coding: words.get(option.coding.code, option.coding.code) for option in question.options}


def _edges(pair: Pair, tried: list[_Tried]) -> _Part:
    """Returns the comparisons of a number with a parameter, each reached from both of its sides."""
    sides: dict[Measured | Scored, set[int]] = {}
    for index, node in enumerate(pair.guidance.graph.nodes):
        test = None if node.atom is None else node.atom.test
        if isinstance(test, Measured | Scored):
            found = sides.setdefault(test, set())
            found |= {each.state.bits >> 2 * index & 3 for each in tried if _is_known(test, each)}
    lines = [line for test, found in sides.items() for line in _of_edge(test, found)]
    missing = sum(not {_ABSENT, _PRESENT} <= found for found in sides.values())
    return _Part("edges", len(sides), missing, tuple(lines))


def _is_known(test: Measured | Scored, tried: _Tried) -> bool:
    """Returns whether there is a number: what nobody is asked is no number on the far side of an edge."""
    return isinstance(test, Scored) or test.link_id in tried.state.given


def _of_edge(test: Measured | Scored, found: set[int]) -> Iterator[str]:
    names = test.parameters if isinstance(test, Measured) else (test.parameter,)
    of = test.link_id if isinstance(test, Measured) else test.score
    for value, side in ((_PRESENT, "is"), (_ABSENT, "is not")):
        if value not in found:
            text = f"in no worked case {of} {side} {test.comparison} it"
            yield fault_line("guidance.yaml", ("parameters", " or ".join(names)), text)


# Totals: which a score can have, and both sides of each edge between its bands that no worked case has.


def untried_totals(score: Score, pair: Pair) -> Iterator[str]:
    """Yields both sides of each edge between two bands that no worked case has as its total.

    A total that no answers add up to is passed over: nobody could write a case for it.
    """
    tried, possible = _totals(score, pair), possible_totals(score, pair)
    written = pair.guidance.written
    for before, after in pairwise(score.bands):
        for band, key, end in ((before, "to", before.high), (after, "from", after.low)):
            value = written.number(end)
            if value not in tried and (possible is None or value in possible):
                text = f"no worked case has the total {value}"
                yield fault_line("scores.yaml", (score.name, "bands", band.name, key), text)


def _totals(score: Score, pair: Pair) -> set[Decimal]:
    """Returns every total that a worked case has for certain."""
    results = (_tried(pair, index).result for index in range(len(pair.guidance.cases)))
    totals = (total for result in results for total in result.totals if total.score.name == score.name)
    return {total.at_least for total in totals if total.at_least == total.at_most}


def possible_totals(score: Score, pair: Pair) -> frozenset[Decimal] | None:
    """Returns the totals that answers can add up to, each part taken by itself; None if any may be.

    Conditions of the Questionnaire and of the parts among each other are left aside: the total of an answer
    that nobody can give beside another is listed too, but no total that somebody can have is missing.
    """
    questions = pair.guidance.form.questions
    found = {Decimal(0)}
    try:
        for addend in score.addends:
            if addend.link_id:
                question = questions[addend.link_id]
                for points in _points(question, weights_of(addend, question)):
                    found = _added(found, points)
            else:
                found = _added(found, {Decimal(0), addend.points})
    except _TooMany:
        return None
    return frozenset(found)


class _TooMany(Exception):
    """There are too many different totals to list."""


def _points(question: Question, weights: Weights) -> Iterator[set[Decimal]]:
    """Yields the points that a question can add; if it takes several answers, those of each."""
    nothing = {Decimal(0)}
    if weights.line is not None:
        low, high, factor, offset = weights.line
        numbers = range(ceil(low), floor(high) + 1)
        if question.type != "integer" or len(numbers) > MOST_TOTALS:
            raise _TooMany
        yield {offset + factor * number for number in numbers} | (nothing if question.enabled_by else set())
    elif question.repeats:
        yield from (nothing | {one} for one in weights.by_answer.values())
    else:
        yield {*weights.by_answer.values()} | (nothing if question.enabled_by else set())


def _added(totals: set[Decimal], points: set[Decimal]) -> set[Decimal]:
    if len(totals) * len(points) > _MOST_SUMS:
        raise _TooMany
    found = {total + one for total in totals for one in points}
    if len(found) > MOST_TOTALS:
        raise _TooMany
    return found
