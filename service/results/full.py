"""The RiskAssessment with all that argues for it: rules, statements, table rows, open questions, wordings.

What the short form says, it says in the same places; the rest stands in extensions and in a long narrative.
Every text of it is escaped once, at start, for XHTML inside JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from service.guidance import Guidance
from service.guidance.model import Comparison, Identity, Level, Outcome, Rule, Tier, Written
from service.guidance.result import Fired, Interval, OpenQuestion, Risk, Tally
from service.languages import ENGLISH
from service.results import wording
from service.results.extensions import Extensions, by_level, element, in_json, in_xhtml, intervals
from service.results.phrases import Phrases, is_assessable
from service.results.risk_assessment import Predictions
from service.results.wording import Assessment


class FullPredictions:
    """Writes the predictions of outcomes with every rule that holds, its answers and its statements."""

    def __init__(
        self, guidance: Guidance, extensions: Extensions, predictions: Predictions, phrases: Phrases
    ) -> None:
        self._extensions = extensions
        self._phrases = phrases
        self._begun = by_level(
            guidance.written,
            lambda outcome, ladder, level: (
                predictions.head(outcome, ladder, level) + in_json(self._open_end(ladder, level))
            ),
        )
        self._rules = {rule.name: self._said(rule) for rule in guidance.written.rules}

    def prediction(self, risk: Risk) -> bytes:
        """Returns the prediction of one outcome."""
        reasons = [self._extensions.reason(fired, wording=False) for fired in risk.fired]
        level = self._extensions.level(risk.outcome, risk.level)
        extensions = b",".join((level, *reasons))
        head = self._begun[risk.outcome.code, risk.level]
        return b"".join((b'{"extension":[', extensions, b"],", head, self._rationale(risk), b'"}'))

    def _rationale(self, risk: Risk) -> bytes:
        """Returns why the level is what it is: the deciding rule, its answers and its statements."""
        if not risk.fired:
            return in_json(self._phrases.lowered(self._phrases["results.no-rule"]))
        deciding = risk.fired[0]
        said, cited = self._rules[deciding.rule.name]
        if not deciding.answers:
            return said + cited
        answers = in_json(self._phrases.say("full.answer-links", links=", ".join(deciding.answers)))
        return b"%b %b%b" % (said, answers, cited)

    def _open_end(self, ladder: tuple[Level, ...], level: Interval) -> str:
        words = self._phrases.level(ladder, level)
        unchanged = self._phrases["results.if-unchanged"]
        return "" if level.settled else f"{words[:1].upper()}{words[1:]}. {unchanged} "

    def _said(self, rule: Rule) -> tuple[bytes, bytes]:
        """Returns a rule's wording with its name, and the sentence that cites its statements."""
        named = self._phrases.say("full.rule", rule=rule.name)
        cited = self._phrases.say("full.statements", statements=", ".join(rule.sources))
        cited = f" {cited}" if rule.sources else ""
        return in_json(f"{rule.says.to_clinician} {named}.".strip()), in_json(cited)


# The narrative: the whole result, with what argues for it.


_MOST_ANSWERS = 4
"""How many answers a reason spells out; the extension `reason` names all of them."""


_HEADINGS = (
    *("full.contradictions", "full.ask-first", "full.why", "full.patterns", "full.scores", "full.chart"),
    *("results.ignored", "full.remarks", "full.for-patient", "full.for-clinician"),
)


class FullNarrative:
    """Writes the narratives of one guidance's results."""

    def __init__(self, guidance: Guidance, phrases: Phrases) -> None:
        self._phrases = phrases
        written, questions = guidance.written, guidance.form.questions
        self._begin = (
            b'"' + in_json(wording.opening(phrases.language)) + element("h2", written.identity.title)
        )
        self._end = self._ending(written.identity)
        self._questions = {link: in_xhtml(question.text or link) for link, question in questions.items()}
        self._texts = {link: question.text.rstrip("?.:") or link for link, question in questions.items()}
        self._ignored = {link: element("li", question.text or link) for link, question in questions.items()}
        self._tiers = {tier: self._tier(written.tiers, tier) for tier in intervals(len(written.tiers))}
        self._rules = {rule.name: self._rule(rule) for rule in written.rules}
        self._patient = {advice.name: element("li", advice.says.patient) for advice in written.advice}
        self._clinician = {advice.name: element("li", advice.says.clinician) for advice in written.advice}
        self._contradictions = {
            contradiction.name: element("li", contradiction.says.to_clinician)
            for contradiction in guidance.contradictions
        }
        self._tables = {table.name: _Table(table, written, phrases) for table in written.comparisons}
        self._levels = by_level(written, self._level)
        self._moved = {outcome.code: outcome.display for outcome in written.outcomes} | {
            "tier": phrases["full.moves-step"],
            "date": phrases["full.moves-date"],
        }
        self._headings = {key: element("h3", phrases[key]) for key in _HEADINGS}
        self._settled = {
            is_settled: element("p", phrases["full.settled" if is_settled else "full.unsettled"])
            for is_settled in (True, False)
        }

    def div(self, assessment: Assessment, listed: Sequence[Risk], chart: Sequence[str]) -> bytes:
        """Returns the XHTML div as a JSON string.

        Args:
            assessment: what the guidance makes of the answers, with warnings about the response.
            listed: its outcomes that a report names.
            chart: the values of the chart in words.
        """
        result = assessment.result
        contradictions = [self._contradictions[contradiction.name] for contradiction in result.contradictions]
        to_patient = [self._patient[advice.name] for advice in result.advice]
        to_clinician = [self._clinician[advice.name] for advice in result.advice]
        ignored = [self._ignored[link] for link in result.ignored if link in self._ignored]
        reasons = [b"<li>" + self._reason(fired) + b"</li>" for fired in result.fired]
        remarks = [element("li", remark) for remark in self._phrases.remarks(assessment.problems)]
        scores = [element("li", f"{self._phrases.score(total)}.") for total in result.totals]
        headings = self._headings
        parts = (
            self._begin,
            self._tiers[result.tier],
            self._settled[result.settled],
            _listed(headings["full.contradictions"], contradictions),
            _numbered(headings["full.ask-first"], [self._open(question) for question in result.open]),
            _listed(headings["full.why"], reasons),
            _listed(headings["full.patterns"], [self._risk(risk) for risk in listed]),
            *[self._tables[tally.comparison.name].filled(tally) for tally in result.tables],
            _listed(headings["full.scores"], scores),
            _listed(headings["full.chart"], [element("li", value) for value in chart]),
            _listed(headings["results.ignored"], ignored),
            _listed(headings["full.remarks"], remarks),
            _listed(headings["full.for-patient"], to_patient),
            _listed(headings["full.for-clinician"], to_clinician),
            self._end,
        )
        return self._with_languages(b"".join(parts))

    def _with_languages(self, div: bytes) -> bytes:
        if self._phrases.language == ENGLISH:
            return div
        return orjson.dumps(self._phrases.with_languages(orjson.loads(div)))

    def _tier(self, tiers: tuple[Tier, ...], tier: Interval) -> bytes:
        """Returns the step; what it means is said only of a settled one, or while nothing can be said."""
        known = self._phrases.known(tiers, tier)
        heading = in_xhtml(self._phrases.step(tiers, tier))
        is_open = is_assessable(tier) and not tier.settled
        said = b"" if is_open else element("p", known.says.clinician)
        return b"<p><b>%b.</b> %b.</p>%b" % (heading, in_xhtml(known.target), said)

    def _level(self, outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> bytes:
        unchanged = "" if level.settled else self._phrases["results.if-unchanged"] + " "
        words = f"{self._phrases.level(ladder, level)}. {unchanged}"
        return element("b", outcome.display).join((b"<li>", b": " + in_xhtml(words)))

    def _rule(self, rule: Rule) -> tuple[bytes, bytes]:
        """Returns what a rule says, and where it comes from."""
        sources = ", ".join(rule.sources)
        cited = self._phrases.say("full.statements", statements=sources) + " " if sources else ""
        ours = self._phrases["full.ours"] + " " if rule.origin == "project" else ""
        named = self._phrases.say("full.rule", rule=rule.name)
        return in_xhtml(rule.says.to_clinician) + b" <i>(", in_xhtml(f"{cited}{ours}{named}") + b")</i>"

    def _ending(self, identity: Identity) -> bytes:
        said = identity.intended_use
        named = self._phrases.say(
            "full.guidance",
            canonical=identity.canonical,
            hash=identity.hash,
            review=identity.review,
            source=identity.source_note,
        )
        behind = [self._phrases.say("full.secondary", source=text) for text in identity.secondary_sources]
        note = in_xhtml(" ".join((named, *behind)))
        heading = element("h3", self._phrases["results.intended-use"])
        use = heading + element("p", said.clinician) + element("p", said.patient)
        return use + b'<p><i>%b</i></p></div>"' % note

    def _open(self, question: OpenQuestion) -> bytes:
        moves = ", ".join([self._moved[moved] for moved in question.moves if moved in self._moved])
        key = "full.red-flag-can-change" if question.red_flag else "full.can-change"
        said = in_xhtml(self._phrases.say(key, moved=moves))
        return b"<li>%b <i>(%b)</i></li>" % (self._questions[question.link_id], said)

    def _reason(self, fired: Fired) -> bytes:
        said, cited = self._rules[fired.rule.name]
        answers = fired.answers
        if not answers:
            return said + cited
        named = "; ".join([self._texts[link] for link in answers[:_MOST_ANSWERS]])
        more = len(answers) - _MOST_ANSWERS
        key = "full.answers-and-more" if more > 0 else "full.answers"
        return b"%b%b %b" % (said, in_xhtml(self._phrases.say(key, questions=named, number=more)), cited)

    def _risk(self, risk: Risk) -> bytes:
        begun = self._levels[risk.outcome.code, risk.level]
        return b"".join((begun, self._reason(risk.fired[0]), b"</li>")) if risk.fired else begun + b"</li>"


class _Table:
    """A comparison table with each row in each of its states."""

    def __init__(self, table: Comparison, written: Written, phrases: Phrases) -> None:
        left, right = (written.heading(head) for head in (table.left, table.right))
        self._begun = element("h3", table.title)
        self._phrases = phrases
        self._columns = {"left-column": left, "right-column": right}
        heads = (phrases["full.feature"], left, right)
        self._head = b"<table><tr>%b</tr>" % b"".join(element("th", head) for head in heads)
        said = {state: tuple(_cell(key, phrases) for key in keys) for state, keys in wording.SIDES.items()}
        self._rows = [
            {state: _row(row.feature, cells) for state, cells in said.items()} for row in table.rows
        ]

    def filled(self, tally: Tally) -> bytes:
        """Returns title, counts and rows; the tally has its rows in the order of the table."""
        numbers = {"left": tally.left, "right": tally.right, "answered": tally.answered, "open": tally.open}
        counts = element("p", self._phrases.say("full.counts", **self._columns, **numbers))
        rows = [states[row.state] for states, row in zip(self._rows, tally.rows, strict=True)]
        return b"".join((self._begun, counts, self._head, *rows, b"</table>"))


def _cell(key: str, phrases: Phrases) -> str:
    return phrases[f"states.{key}"] if key else ""


def _listed(heading: bytes, entries: list[bytes]) -> bytes:
    content = b"".join(entries)
    return b"".join((heading, b"<ul>", content, b"</ul>")) if content else b""


def _numbered(heading: bytes, entries: list[bytes]) -> bytes:
    return b"%b<ol>%b</ol>" % (heading, b"".join(entries)) if entries else b""


def _row(feature: str, cells: tuple[str, ...]) -> bytes:
    left, right = cells
    return b"<tr><td>%b</td><td>%b</td><td>%b</td></tr>" % (
        in_xhtml(feature),
        in_xhtml(left),
        in_xhtml(right),
    )
