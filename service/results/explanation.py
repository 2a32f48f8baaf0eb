"""The explanation: everything that a result says, as plain JSON, for people who argue with the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from service.datatypes.answers import Answer, Answers, AnswersByLink, Coding, Quantity, Uncoded, Unread
from service.fhir.json import Json
from service.guidance import Guidance
from service.guidance.arguments import Minimal
from service.guidance.changes import NOT_SEARCHED, Changes
from service.guidance.result import Fired, Interval, Result, Risk, Tally, Total
from service.results.phrases import is_assessable


class Why(NamedTuple):
    """What argues for a result beside its rules: minimal reasons, and what leads to another step."""

    minimal: tuple[Minimal, ...] = ()
    lower: Changes = NOT_SEARCHED
    higher: Changes = NOT_SEARCHED


_NOTHING = Why()


def explained(guidance: Guidance, result: Result, answers: Answers, why: Why = _NOTHING) -> str:
    """Returns an indented JSON text: the guidance, the answers as read, and every part of the result."""
    encoder = msgspec.json.Encoder(decimal_format="number")
    encoded = encoder.encode(view(guidance, result, answers, why))
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def view(guidance: Guidance, result: Result, answers: Answers, why: Why = _NOTHING) -> Json:
    """Returns what `explained` writes, as plain values; numbers are int or Decimal."""
    identity = guidance.written.identity
    ladder = [tier.code for tier in result.tiers]
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
        "lower": _changes(why.lower, ladder),
        "higher": _changes(why.higher, ladder),
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


def _minimal(found: Minimal, result: Result) -> Json:
    ladders = {risk.outcome.code: risk.outcome.levels for risk in result.risks}
    ladder = ladders.get(found.of) or [tier.code for tier in result.tiers]
    return {
        "of": found.of,
        "forces": ladder[found.rank],
        "finished": found.finished,
        "answers": [list(links) for links in found.sets],
    }


def _changes(found: Changes, ladder: Sequence[str]) -> Json:
    return {
        "changes": [
            {
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
