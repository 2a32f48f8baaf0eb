"""The narrative of a full RiskAssessment: the whole result, with what argues for it.

Every text is escaped once, at start, for XHTML inside JSON; a result only chooses and joins.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import Problem
from service.guidance import Guidance
from service.guidance.model import Comparison, Identity, Level, Outcome, Rule, Tier, Written
from service.guidance.result import Fired, Interval, OpenQuestion, Result, Risk, Tally
from service.results import wording
from service.results.extensions import by_level, element, in_json, in_xhtml, intervals
from service.results.values import score_words

_MOST_ANSWERS = 4
"""How many answers a reason spells out; the extension `reason` names all of them."""

_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
_OPEN = element("h3", wording.ASK_FIRST)
_IGNORED = element("h3", wording.IGNORED)


class FullNarrative:
    """Writes the narratives of one guidance's results."""

    def __init__(self, guidance: Guidance) -> None:
        written, questions = guidance.written, guidance.form.questions
        self._begin = b'"' + in_json(_DIV) + element("h2", written.identity.title)
        self._end = _ending(written.identity)
        self._questions = {link: in_xhtml(question.text or link) for link, question in questions.items()}
        self._ignored = {link: element("li", question.text or link) for link, question in questions.items()}
        self._tiers = {tier: _tier(written.tiers, tier) for tier in intervals(len(written.tiers))}
        self._rules = {rule.name: _rule(rule) for rule in written.rules}
        self._patient = {advice.name: element("li", advice.says.patient) for advice in written.advice}
        self._clinician = {advice.name: element("li", advice.says.clinician) for advice in written.advice}
        self._contradictions = {
            contradiction.name: element("li", contradiction.says.to_clinician)
            for contradiction in guidance.contradictions
        }
        self._tables = {table.name: _Table(table, written) for table in written.comparisons}
        self._levels = by_level(written, _level)
        self._moved = {outcome.code: in_xhtml(outcome.display) for outcome in written.outcomes} | {
            "tier": b"step of care",
            "date": b"latest date",
        }

    def div(self, result: Result, listed: Sequence[Risk], problems: Sequence[Problem]) -> bytes:
        """Returns the XHTML div as a JSON string.

        Args:
            result: what the guidance makes of the answers.
            listed: its outcomes that a report names.
            problems: warnings about the response.
        """
        contradictions = [self._contradictions[contradiction.name] for contradiction in result.contradictions]
        to_patient = [self._patient[advice.name] for advice in result.advice]
        to_clinician = [self._clinician[advice.name] for advice in result.advice]
        ignored = [self._ignored[link] for link in result.ignored if link in self._ignored]
        reasons = [b"<li>" + self._reason(fired) + b"</li>" for fired in result.fired]
        remarks = [element("li", problem.text) for problem in problems]
        parts = (
            self._begin,
            self._tiers[result.tier],
            b"<p>No open question" if result.settled else b"<p>Open questions",
            b" can change this result.</p>",
            _listed(b"<h3>Contradictions; the worse answer counts</h3>", contradictions),
            _numbered(_OPEN, [self._open(question) for question in result.open]),
            _listed(b"<h3>Why this step</h3>", reasons),
            _listed(b"<h3>Patterns; no probability is given</h3>", [self._risk(risk) for risk in listed]),
            *[self._tables[tally.comparison.name].filled(tally) for tally in result.tables],
            _listed(b"<h3>Scores</h3>", [element("li", f"{score_words(total)}.") for total in result.totals]),
            _listed(_IGNORED, ignored),
            _listed(b"<h3>Remarks on the response</h3>", remarks),
            _listed(b"<h3>Advice for the patient</h3>", to_patient),
            _listed(b"<h3>For the clinician</h3>", to_clinician),
            self._end,
        )
        return b"".join(parts)

    def _open(self, question: OpenQuestion) -> bytes:
        moves = b", ".join([self._moved[moved] for moved in question.moves if moved in self._moved])
        flag = b" <i>(Red flag. Can change: " if question.red_flag else b" <i>(Can change: "
        return b"".join((b"<li>", self._questions[question.link_id], flag, moves, b")</i></li>"))

    def _reason(self, fired: Fired) -> bytes:
        said, cited = self._rules[fired.rule.name]
        answers = fired.answers
        if not answers:
            return said + cited
        named = b"; ".join([self._questions[link] for link in answers[:_MOST_ANSWERS]])
        more = len(answers) - _MOST_ANSWERS
        rest = b"; and %d more. " % more if more > 0 else b". "
        return b"".join((said, b"Answers to: ", named, rest, cited))

    def _risk(self, risk: Risk) -> bytes:
        begun = self._levels[risk.outcome.code, risk.level]
        return b"".join((begun, self._reason(risk.fired[0]), b"</li>")) if risk.fired else begun + b"</li>"


class _Table:
    """A comparison table with each row in each of its states."""

    def __init__(self, table: Comparison, written: Written) -> None:
        left, right = (in_xhtml(written.heading(head)) for head in (table.left, table.right))
        self._begun = element("h3", table.title) + b"<p>" + left + b": "
        self._right = b" matched. " + right + b": "
        self._head = b".</p><table><tr><th>Feature</th><th>" + left + b"</th><th>" + right + b"</th></tr>"
        self._rows = [{state: _row(row.feature, state) for state in wording.SIDES} for row in table.rows]

    def filled(self, tally: Tally) -> bytes:
        """Returns title, counts and rows; the tally has its rows in the order of the table."""
        left, right = str(tally.left).encode(), str(tally.right).encode()
        answered, still_open = str(tally.answered).encode(), str(tally.open).encode()
        counts = (left, self._right, right, b" matched. Answered: ", answered, b". Open: ", still_open)
        rows = [states[row.state] for states, row in zip(self._rows, tally.rows, strict=True)]
        return b"".join((self._begun, *counts, self._head, *rows, b"</table>"))


def _listed(heading: bytes, entries: list[bytes]) -> bytes:
    content = b"".join(entries)
    return b"".join((heading, b"<ul>", content, b"</ul>")) if content else b""


def _numbered(heading: bytes, entries: list[bytes]) -> bytes:
    return b"%b<ol>%b</ol>" % (heading, b"".join(entries)) if entries else b""


def _tier(tiers: tuple[Tier, ...], tier: Interval) -> bytes:
    """Returns the step of care; what it means is said only of a settled one, or while nothing can be said."""
    known = tiers[tier.at_least]
    heading = in_xhtml(wording.tier_heading(tiers, tier))
    is_open = wording.is_assessable(tier) and not tier.settled
    said = b"" if is_open else element("p", known.says.clinician)
    return b"<p><b>%b.</b> %b.</p>%b" % (heading, in_xhtml(known.target), said)


def _level(outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> bytes:
    words = f"{wording.level_words(ladder, level)}. {'' if level.settled else wording.IF_UNCHANGED}"
    return element("b", outcome.display).join((b"<li>", b": " + in_xhtml(words)))


def _rule(rule: Rule) -> tuple[bytes, bytes]:
    """Returns what a rule says, and where it comes from."""
    statements = f"Statements: {', '.join(rule.sources)}. " if rule.sources else ""
    ours = "Choice of this project. " if rule.origin == "project" else ""
    said = in_xhtml(rule.says.to_clinician)
    return said + b" <i>(", in_xhtml(f"{statements}{ours}Rule: {rule.name}") + b")</i>"


def _row(feature: str, state: str) -> bytes:
    left, right = wording.SIDES[state]
    return b"<tr><td>%b</td><td>%b</td><td>%b</td></tr>" % (
        in_xhtml(feature),
        in_xhtml(left),
        in_xhtml(right),
    )


def _ending(identity: Identity) -> bytes:
    said = identity.intended_use
    named = f"Guidance: {identity.canonical}, hash {identity.hash}. Review: {identity.review}."
    note = in_xhtml(f"{named} Source: {identity.source_note}")
    use = element("h3", wording.INTENDED_USE) + element("p", said.clinician) + element("p", said.patient)
    return use + b'<p><i>%b</i></p></div>"' % note
