"""Our extensions on RiskAssessment, and how results are written: from parts that are JSON already.

All that never changes about a guidance is written as JSON once, at start; a result only chooses and
joins. The functions at the top serve the narrative and the predictions too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from html import escape
from typing import TypeVar

import orjson

from service.fhir import definitions
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import Json
from service.guidance import Guidance
from service.guidance.model import Comparison, Contradiction, Level, Outcome, Rule, Tier, Written
from service.guidance.result import Fired, Interval, OpenQuestion, Result, Tally, Total
from service.results.phrases import is_assessable
from service.results.wording import SIDES

Made = TypeVar("Made")


def in_json(text: str) -> bytes:
    """Returns text as it stands between the quotation marks of a JSON string."""
    return orjson.dumps(text)[1:-1]


def in_xhtml(text: str) -> bytes:
    """Returns text as it stands in XHTML that itself stands in a JSON string."""
    return in_json(escape(text, quote=False))


def element(name: str, text: str) -> bytes:
    """Returns an XHTML element around text, inside a JSON string; nothing where there is no text."""
    return f"<{name}>".encode() + in_xhtml(text) + f"</{name}>".encode() if text else b""


def array(members: Iterable[bytes]) -> bytes:
    """Returns a JSON array of members that are JSON already."""
    return b"[%b]" % b",".join(members)


def intervals(length: int) -> list[Interval]:
    """Returns every interval of a ladder of this length."""
    return [Interval(least, most) for least in range(length) for most in range(least, length)]


def extension(url: str, datatype: str, value: object) -> Json:
    """Returns an extension with a value: `extension("rule", "Code", "x")` has `valueCode`."""
    return {"url": url, f"value{datatype}": value}


def coding(system: str, code: str, display: str) -> Json:
    """Returns a Coding."""
    return {"system": system, "code": code, "display": display}


def level_coding(level: Level, system: str) -> Json:
    """Returns the Coding of a level: its risk-probability code, else its own code in `system`."""
    if level.coding is None:
        return coding(system, level.code, level.display)
    return coding(*level.coding, level.coding_display or level.display)


def by_level(
    written: Written, write: Callable[[Outcome, tuple[Level, ...], Interval], Made]
) -> dict[tuple[str, Interval], Made]:
    """Returns what `write` makes of every outcome, its ladder and an interval in that."""
    return {
        (outcome.code, level): write(outcome, written.ladder(outcome), level)
        for outcome in written.outcomes
        for level in intervals(len(outcome.levels))
    }


class Extensions:
    """Writes the extensions of one guidance's results; everything static is JSON already.

    Each method returns the bytes of one extension; `urls` are the canonical urls of all of them.
    """

    def __init__(self, guidance: Guidance, urls: Canonicals = AS_WRITTEN) -> None:
        written = guidance.written
        self._urls = urls
        self._system = written.identity.terminology
        tiers = written.tiers
        self._tiers = {tier: self._tier(tiers, tier) for tier in intervals(len(tiers))}
        reason = urls.restated(definitions.REASON)
        self._rules = {rule.name: _reason(reason, rule) for rule in written.rules}
        links = guidance.form.questions
        self._answers = {link: orjson.dumps(extension("answer", "String", link)) for link in links}
        ignored = urls.restated(definitions.IGNORED_ANSWER)
        self._ignored = {link: orjson.dumps(extension(ignored, "String", link)) for link in links}
        self._levels = by_level(written, self._level)
        table = urls.restated(definitions.COMPARISON)
        self._tables = {
            comparison.name: _Table(table, comparison, written) for comparison in written.comparisons
        }
        asked = urls.restated(definitions.OPEN_QUESTION)
        self._questions = {
            link: _asked(asked, link, question.text) for link, question in guidance.form.questions.items()
        }
        clash = urls.restated(definitions.CONTRADICTION)
        self._contradictions = {
            contradiction.name: _contradiction(clash, contradiction)
            for contradiction in guidance.contradictions
        }
        self._score = urls.restated(definitions.SCORE)

    def of_result(self, result: Result) -> list[bytes]:
        """Returns the extensions that stand on the RiskAssessment itself."""
        return [
            self.tier(result.tier),
            *[self.reason(fired, wording=True) for fired in result.fired],
            *[self._tables[tally.comparison.name].filled(tally) for tally in result.tables],
            *[_open_question(self._questions[question.link_id], question) for question in result.open],
            *[self._contradictions[contradiction.name] for contradiction in result.contradictions],
            *[self._ignored[link] for link in result.ignored if link in self._ignored],
            *[_score(self._score, total) for total in result.totals],
        ]

    def tier(self, tier: Interval) -> bytes:
        """Returns the ends that the step of care lies between."""
        return self._tiers[tier]

    def reason(self, fired: Fired, *, wording: bool) -> bytes:
        """Returns a rule that holds, with the answers that made it hold."""
        before, after, said = self._rules[fired.rule.name]
        answers = [self._answers[link] for link in fired.answers]
        return b",".join((before, *answers, said if wording else after)) + b"]}"

    def level(self, outcome: Outcome, level: Interval) -> bytes:
        """Returns the ends that the level of an outcome lies between."""
        return self._levels[outcome.code, level]

    def _tier(self, tiers: tuple[Tier, ...], tier: Interval) -> bytes:
        least, most = (coding(self._system, tiers[rank].code, tiers[rank].display) for rank in tier)
        parts = _ends(least, most, settled=tier.settled)
        parts.append(extension("assessable", "Boolean", is_assessable(tier)))
        return orjson.dumps({"url": self._urls.restated(definitions.ASSESSMENT_TIER), "extension": parts})

    def _level(self, _: Outcome, ladder: tuple[Level, ...], level: Interval) -> bytes:
        least, most = (level_coding(ladder[end], self._system) for end in level)
        parts = _ends(least, most, settled=level.settled)
        return orjson.dumps({"url": self._urls.restated(definitions.LEVEL_INTERVAL), "extension": parts})


def _ends(least: Json, most: Json, *, settled: bool) -> list[Json]:
    return [
        extension("at-least", "Coding", least),
        extension("at-most", "Coding", most),
        extension("settled", "Boolean", settled),
    ]


def _reason(url: str, rule: Rule) -> tuple[bytes, bytes, bytes]:
    """Returns what comes before the answers, what comes after them, and the same with the wording."""
    codes = {"rule": rule.name, "kind": rule.kind, "tier": rule.tier, "priority": rule.priority}
    first = [extension(name, "Code", code) for name, code in codes.items() if code]
    last = [extension("statement", "Code", statement) for statement in rule.sources]
    last.append(extension("origin", "Code", rule.origin))
    said = rule.says.to_clinician
    wording = [*last, extension("wording", "String", said)] if said else last
    begun = orjson.dumps({"url": url, "extension": first})[:-2]
    return begun, orjson.dumps(last)[1:-1], orjson.dumps(wording)[1:-1]


def _asked(url: str, link: str, text: str) -> bytes:
    """Returns an open question up to what it moves, which depends on the result."""
    parts = [extension("linkId", "String", link), *([extension("text", "String", text)] if text else [])]
    return orjson.dumps({"url": url, "extension": parts})[:-2]


def _open_question(begun: bytes, question: OpenQuestion) -> bytes:
    parts = [extension("moves", "Code", moved) for moved in question.moves]
    parts.append(extension("red-flag", "Boolean", question.red_flag))
    return begun + b"," + orjson.dumps(parts)[1:] + b"}"


def _contradiction(url: str, contradiction: Contradiction) -> bytes:
    parts = [extension("code", "Code", contradiction.name)]
    parts += [extension("between", "String", link) for link in contradiction.names]
    said = contradiction.says.to_clinician
    parts += [extension("wording", "String", said)] if said else []
    return orjson.dumps({"url": url, "extension": parts})


def _score(url: str, total: Total) -> bytes:
    parts = [
        extension("code", "Code", total.score.name),
        extension("display", "String", total.score.display),
        extension("at-least", "Decimal", _number(total.at_least)),
        extension("at-most", "Decimal", _number(total.at_most)),
        extension("band-at-least", "Code", total.bands[0]),
        extension("band-at-most", "Code", total.bands[1]),
        extension("answered", "UnsignedInt", total.answered),
    ]
    return orjson.dumps({"url": url, "extension": parts})


def _number(value: Decimal) -> orjson.Fragment:
    return orjson.Fragment(format(value, "f").encode())


class _Table:
    """A comparison table with each row in each of its states."""

    def __init__(self, url: str, table: Comparison, written: Written) -> None:
        titles = [
            extension("table", "Code", table.name),
            extension("title", "String", table.title),
            extension("left", "String", written.heading(table.left)),
            extension("right", "String", written.heading(table.right)),
        ]
        self._begun = orjson.dumps({"url": url, "extension": titles})[:-2]
        self._rows = [{state: _row(row.name, state) for state in SIDES} for row in table.rows]

    def filled(self, tally: Tally) -> bytes:
        """Returns the extension with counts and rows; the tally has its rows in the order of the table."""
        counts = _COUNTS % (tally.left, tally.right, tally.answered, tally.open)
        rows = [states[row.state] for states, row in zip(self._rows, tally.rows, strict=True)]
        return b",".join((self._begun, counts, *rows)) + b"]}"


_COUNTS = b",".join(
    b'{"url":"%b","valueUnsignedInt":%%d}' % name
    for name in (b"matched-left", b"matched-right", b"answered", b"open")
)


def _row(name: str, side: str) -> bytes:
    cells = [extension("code", "Code", name), extension("side", "Code", side)]
    return orjson.dumps({"url": "row", "extension": cells})
