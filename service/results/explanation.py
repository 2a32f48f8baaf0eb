"""The explanation: everything that a result says, as plain JSON, for people who argue with the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from service.datatypes.answers import Answer, Answers, AnswersByLink, Coding, Quantity, Uncoded, Unread
from service.fhir.json import Json, encoded
from service.guidance import Guidance
from service.guidance.arguments import Minimal
from service.guidance.changes import NOT_SEARCHED, Changes, Counterfactual
from service.guidance.result import Fired, Interval, OpenQuestion, Result, Risk, Tally, Total
from service.results.phrases import AnswerTexts, is_assessable, phrases_in


class Why(NamedTuple):
    """What argues for a result beside its rules: minimal reasons, and what leads to another step.

    Args:
        decided_by: by finding, the linkIds of the answers that decide it, or that keep it unknown.
    """

    minimal: tuple[Minimal, ...] = ()
    lower: Changes = NOT_SEARCHED
    higher: Changes = NOT_SEARCHED
    decided_by: Mapping[str, tuple[str, ...]] = MappingProxyType({})


_NOTHING = Why()


class _Words:
    """Says a change of answers as somebody would aloud: "weakness: no; thinner muscle: no → Self-care"."""

    def __init__(self, guidance: Guidance, result: Result) -> None:
        self._phrases = phrases_in(guidance.language)
        self._texts = AnswerTexts(guidance, self._phrases)
        self._steps = [tier.display for tier in result.tiers]
        self._displays = {
            (link, option.coding): option.display
            for link, question in guidance.form.questions.items()
            for option in question.options
        }

    def said(self, one: Counterfactual) -> str:
        """Returns the answers behind the short names of their questions, and the step, with both its ends."""
        given = {change.link_id: change.answers for change in one.changes}
        nothing = self._phrases["results.no-answer"]
        answers = [
            f"{self._texts.labels[link]}: {self._texts.plainly(link, given) or nothing}" for link in given
        ]
        ends = dict.fromkeys((self._steps[one.tier.at_least], self._steps[one.tier.at_most]))
        return "; ".join(answers) + " \u2192 " + " \u2026 ".join(ends)

    def display(self, link: str, answer: Answer) -> str:
        """Returns the words of an option; empty for what is none."""
        return self._displays.get((link, answer), "") if isinstance(answer, Coding) else ""


def explained(guidance: Guidance, result: Result, answers: Answers, why: Why = _NOTHING) -> str:
    """Returns an indented JSON text: the guidance, the answers as read, and every part of the result."""
    return msgspec.json.format(encoded(view(guidance, result, answers, why)), indent=2).decode() + "\n"


def view(guidance: Guidance, result: Result, answers: Answers, why: Why = _NOTHING) -> Json:
    """Returns what `explained` writes, as plain values; numbers are int or Decimal."""
    identity = guidance.written.identity
    ladder, words = [tier.code for tier in result.tiers], _Words(guidance, result)
    return {
        "guidance": {
            "canonical": identity.canonical,
            "hash": identity.hash,
            "questionnaire": identity.questionnaire,
            "review": identity.review,
        },
        "settled": result.settled,
        "tier": {**_interval(result.tier, ladder), "assessable": is_assessable(result.tier)},
        "reasons": [_fired(fired) for fired in result.fired],
        "risks": [_risk(risk) for risk in result.risks],
        "minimal-reasons": [_minimal(found, result) for found in why.minimal],
        "lower": _changes(why.lower, ladder, words),
        "higher": _changes(why.higher, ladder, words),
        "open": [
            {"linkId": question.link_id, "moves": list(question.moves), "red-flag": question.red_flag}
            for question in result.open
        ],
        "contradictions": [
            {"code": contradiction.name, "between": list(contradiction.names)}
            for contradiction in result.contradictions
        ],
        "tables": [_table(tally) for tally in result.tables],
        "scores": [_score(total) for total in result.totals],
        "advice": [{"name": advice.name, "group": advice.group} for advice in result.advice],
        "ignored": list(result.ignored),
        "findings": dict(result.findings),
        "answers": {
            "given": _values(answers.given),
            "chart": _values(answers.chart),
            "ignored": _values(answers.ignored),
            "closed": sorted(answers.closed),
        },
    }


def _interval(interval: Interval, ladder: Sequence[str]) -> Json:
    return {
        "at-least": ladder[interval.at_least],
        "at-most": ladder[interval.at_most],
        "settled": interval.settled,
    }


def _fired(fired: Fired) -> Json:
    rule = fired.rule
    return {
        "rule": rule.name,
        "kind": rule.kind,
        "tier": rule.tier or None,
        "priority": rule.priority,
        "answers": list(fired.answers),
        "statements": list(rule.sources),
        "origin": rule.origin,
        "says": rule.says.to_clinician,
    }


def _risk(risk: Risk) -> Json:
    return {
        "outcome": risk.outcome.code,
        **_interval(risk.level, risk.outcome.levels),
        "listed": risk.listed,
        "reasons": [_fired(fired) for fired in risk.fired],
    }


def _forced(found: Minimal, result: Result) -> str:
    """Returns the code of the level of an outcome, or of the step, that a minimal reason forces."""
    ladders = {risk.outcome.code: risk.outcome.levels for risk in result.risks}
    return (ladders.get(found.of) or [tier.code for tier in result.tiers])[found.rank]


def _minimal(found: Minimal, result: Result) -> Json:
    return {
        "of": found.of,
        "forces": _forced(found, result),
        "finished": found.finished,
        "answers": [list(links) for links in found.sets],
    }


def _changes(found: Changes, ladder: Sequence[str], words: _Words) -> Json:
    return {
        "changes": [
            {
                "says": words.said(one),
                "answers": _values({change.link_id: change.answers for change in one.changes}),
                "tier": _interval(one.tier, ladder),
            }
            for one in found.found
        ],
        "within": found.within,
        "finished": found.finished,
    }


def _table(tally: Tally) -> Json:
    return {
        "table": tally.comparison.name,
        "left": tally.left,
        "right": tally.right,
        "answered": tally.answered,
        "open": tally.open,
        "rows": {row.row.name: row.state for row in tally.rows},
    }


def _score(total: Total) -> Json:
    return {
        "score": total.score.name,
        "at-least": total.at_least,
        "at-most": total.at_most,
        "bands": list(total.bands),
        "answered": total.answered,
    }


def _values(answers: AnswersByLink) -> Json:
    return {link: [_value(value) for value in values] for link, values in answers.items()}


def _value(answer: Answer) -> object:
    if isinstance(answer, Coding):
        return {"system": answer.system, "code": answer.code}
    if isinstance(answer, Uncoded):
        return {"system": answer.system, "display": answer.display}
    if isinstance(answer, Unread):
        return None
    if isinstance(answer, Quantity):
        comparator = {"comparator": answer.comparator} if answer.comparator else {}
        return {**comparator, "value": answer.value, "unit": answer.unit}
    return answer


# The same as Parameters, for `$explain`.
#
# Source: R4 parameters.html. A list is a parameter that is repeated, an entry one with parts.

Parts = Iterable[Json]


def explanation(guidance: Guidance, result: Result, why: Why) -> bytes:
    """Returns Parameters: every finding, rule and statement, what forces the result, and what changes it."""
    ladder = [tier.code for tier in result.tiers]
    identity = guidance.written.identity
    words = _Words(guidance, result)
    fired = [*result.fired, *(rule for risk in result.risks if risk.listed for rule in risk.fired)]
    parameters = [
        {"name": "guidance", "valueCanonical": identity.canonical},
        {"name": "hash", "valueString": identity.hash},
        _entry("step", [*_ends(result.tier, ladder), _is("settled", yes=result.settled)]),
        *(_entry("level", _level(risk)) for risk in result.risks if risk.listed),
        *_findings(guidance, result, why),
        *(_entry("rule", _rule(rule)) for rule in fired),
        *_statements(guidance, fired),
        *(_entry("minimal-reason", parts) for parts in _reasons(why.minimal, result)),
        *(
            _entry(name, _other(found, ladder, words))
            for name, found in (("lower", why.lower), ("higher", why.higher))
        ),
        *(_entry("open-question", _open(question)) for question in result.open),
    ]
    return encoded({"resourceType": "Parameters", "parameter": parameters})


def _entry(name: str, parts: Parts) -> Json:
    return {"name": name, "part": [*parts]}


def _code(name: str, code: str) -> Json:
    return {"name": name, "valueCode": code}


def _text(name: str, text: str) -> Json:
    return {"name": name, "valueString": text}


def _is(name: str, *, yes: bool) -> Json:
    return {"name": name, "valueBoolean": yes}


def _links(links: Iterable[str]) -> Iterator[Json]:
    return (_text("answer", link) for link in links)


def _ends(interval: Interval, ladder: Sequence[str]) -> list[Json]:
    return [_code("at-least", ladder[interval.at_least]), _code("at-most", ladder[interval.at_most])]


def _level(risk: Risk) -> Parts:
    settled = _is("settled", yes=risk.level.settled)
    return [_code("outcome", risk.outcome.code), *_ends(risk.level, risk.outcome.levels), settled]


def _findings(guidance: Guidance, result: Result, why: Why) -> Iterator[Json]:
    for finding in guidance.written.findings:
        if finding.name not in result.findings:  # it rests on earlier responses, and there are none
            continue
        parts = [_code("name", finding.name), _code("state", result.findings[finding.name])]
        answers = _links(why.decided_by.get(finding.name, ()))
        yield _entry("finding", [*parts, _text("means", finding.means), *answers])


def _rule(fired: Fired) -> Parts:
    rule = fired.rule
    fires = (
        [_code("tier", rule.tier)]
        if rule.tier
        else [_code("outcome", rule.outcome), _code("level", rule.level)]
    )
    statements = [_code("statement", statement) for statement in rule.sources]
    says = _text("says", rule.says.to_clinician)
    return [_code("name", rule.name), *fires, says, *_links(fired.answers), *statements]


def _statements(guidance: Guidance, fired: Iterable[Fired]) -> Iterator[Json]:
    """Yields the statements of the source that the rules and what they stand on cite, in their order."""
    cited = {source for one in fired for source in one.rule.sources}
    for statement in guidance.written.statements:
        if statement.id in cited:
            place = [_text("section", statement.section), _text("where", statement.where)]
            yield _entry("statement", [_code("id", statement.id), *place, _text("claim", statement.claim)])


def _reasons(minimal: Iterable[Minimal], result: Result) -> Iterator[Parts]:
    for found in minimal:
        sets = [_entry("answers", _links(links)) for links in found.sets]
        finished = _is("finished", yes=found.finished)
        yield [_code("of", found.of), _code("forces", _forced(found, result)), finished, *sets]


def _other(found: Changes, ladder: Sequence[str], words: _Words) -> Parts:
    yield {"name": "within", "valueInteger": found.within}
    yield _is("finished", yes=found.finished)
    for one in found.found:
        changes = [
            _entry(
                "answer",
                [_text("linkId", link), *(_answer(value, words.display(link, value)) for value in values)],
            )
            for link, values in one.changes
        ]
        yield _entry("change", [_text("says", words.said(one)), *changes, *_ends(one.tier, ladder)])


def _answer(answer: Answer, display: str) -> Json:
    """Returns one answer as the part `value`; an option without a code by its display."""
    if isinstance(answer, Coding):
        parts = {"system": answer.system, "code": answer.code, "display": display}
        return {"name": "value", "valueCoding": {name: part for name, part in parts.items() if part}}
    if isinstance(answer, Quantity):
        quantity = {"value": answer.value, "system": "http://unitsofmeasure.org", "code": answer.unit}
        return {"name": "value", "valueQuantity": quantity}
    if isinstance(answer, bool):
        return _is("value", yes=answer)
    if isinstance(answer, int):
        return {"name": "value", "valueInteger": answer}
    if isinstance(answer, Decimal):
        return {"name": "value", "valueDecimal": answer}
    return _text("value", str(answer))


def _open(question: OpenQuestion) -> Parts:
    moves = [_code("moves", move) for move in question.moves]
    return [_text("linkId", question.link_id), *moves, _is("red-flag", yes=question.red_flag)]
