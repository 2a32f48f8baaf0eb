"""One line of NDJSON in, one line out: a result, or an OperationOutcome that says what is wrong with it.

Nothing that a line holds can stop a run: whatever it is, exactly one line comes out. What stands in it is
scored as `assess` scores it, by the same two paths, and large bodies are read in a child with limits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Final, NamedTuple

import orjson

from service import catalogue
from service.assess import OF_RESPONSE, Assessor, Scored
from service.bulk.ranges import SPACE
from service.catalogue import Catalogue
from service.datatypes.days import day_after, day_of
from service.errors import Problem, ServiceError, Unavailable
from service.fhir.json import BodyLimits, Json
from service.fhir.outcome import operation_outcome
from service.guidance.result import Due, Interval, Result
from service.languages import known_language
from service.results import BUNDLE, DETAILS, RISK, Assessment, Numbers, digits
from service.results.risk_assessment import is_final
from service.sandbox import Sandbox, SandboxLimits, in_time
from service.settings import Settings

SUMMARY: Final = "summary"
OUTPUTS: Final = (RISK, SUMMARY, BUNDLE)
"""What a line of the output is: the RiskAssessment, its facts as one flat object, or a Bundle."""

SMALL_LINE_BYTES: Final = 64 * 1024
"""A line up to this size is read where it arrives: a child for each costs more than most lines do."""

_NOTHING: Final = -1
"""No line is as small as this."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_PAUSES_S: Final = (0.1, 1.0, 5.0, 20.0)
"""So long a record waits again and again for a machine that has no memory for a child at the moment."""
_LOG: Final = logging.getLogger("service.bulk")


class ScoringOptions(NamedTuple):
    """All that a Scorer is made from: plain values without a secret, so that they can go to another machine.

    Args:
        questionnaires_dir, mappings_dir, terminology_dir, canonical_base, require_review, language,
            emergency_number, crisis_line: as the settings have them; no `terminology_dir` is empty.
        most_bytes: the longest line that is read. most_depth: how deep it may be nested.
        output: one of the OUTPUTS.
        wanted_language: of all results; empty for the one that each response states.
    """

    questionnaires_dir: str
    mappings_dir: str
    terminology_dir: str
    canonical_base: str
    require_review: bool
    language: str
    emergency_number: str
    crisis_line: str
    most_bytes: int
    most_depth: int
    output: str = RISK
    wanted_language: str = OF_RESPONSE

    @classmethod
    def from_settings(
        cls, settings: Settings, output: str = RISK, wanted_language: str = OF_RESPONSE
    ) -> ScoringOptions:
        """Returns the options that these settings stand for."""
        return cls(
            questionnaires_dir=str(settings.questionnaires_dir),
            mappings_dir=str(settings.mappings_dir),
            terminology_dir="" if settings.terminology_dir is None else str(settings.terminology_dir),
            canonical_base=settings.canonical_base,
            require_review=settings.require_review,
            language=settings.language,
            emergency_number=settings.emergency_number,
            crisis_line=settings.crisis_line,
            most_bytes=settings.max_body_bytes,
            most_depth=settings.max_depth,
            output=output,
            wanted_language=wanted_language,
        )

    def read_catalogue(self) -> Catalogue:
        """Reads what responses are scored by; takes seconds.

        Raises:
            GuidanceError: every fault of every file.
        """
        return catalogue.read(
            Path(self.questionnaires_dir),
            Path(self.mappings_dir),
            canonical_base=self.canonical_base,
            terminology=Path(self.terminology_dir) if self.terminology_dir else None,
            require_review=self.require_review,
            numbers=Numbers(self.emergency_number, self.crisis_line),
        )


class LevelFact(NamedTuple):
    """An outcome and the codes of its level, at least and at most; `listed`: a report names it."""

    outcome: str
    at_least: str
    at_most: str
    listed: bool


class ScoreFact(NamedTuple):
    """A score: its lowest and highest value, the bands of both, and the number that is reported.

    Numbers are texts with all their digits; `value` is empty where there is none to report.
    """

    name: str
    at_least: str
    at_most: str
    value: str
    lowest_band: str
    highest_band: str
    estimated: bool


class Facts(NamedTuple):
    """What a report or a table needs of one line; the same names as the columns.

    Texts are empty, and numbers are None, where the response or the result does not state them.

    Args:
        line: its number in the input, from 1; blank lines count.
        outcome: `final`, `preliminary` (the response is not finished, or a question is open that could
            still change the result) or `refused`; all that follows `problems` is empty where it is refused.
        problems: kinds of problem, each once: of a refused line why, else what the result warns of.
        response: id of the response. identifier: of the response, `system|value`.
        subject: its reference, as the response states it.
        authored, status, questionnaire: as the response states them.
        scored_as: `url|version` of the questionnaire that it was checked against.
        guidance, guidance_hash: `url|version` of the guidance that made the result, and its hash.
        language: of the result.
        step, step_at_most: codes of the step, at least and at most; equal where it is settled.
        step_rank, step_rank_at_most: places of both in the ladder, from 0, the least urgent.
        due_days: the earliest date of all reasons, in days after the response; due_date the same as a
            date. due_to: for whom.
        step_due_days: the earliest date of the reasons for the step itself.
        date_settled: no open question could bring the date forward.
        recheck_days: when to look again, in days after the response.
        levels, scores: of every outcome and every score, in the order of the guidance.
        rules: names of the rules that fired for the step, the most urgent first.
        open_questions: linkIds of the questions that could still change something, in order.
        contradictions: names of those that hold.
        ignored: linkIds of answers that did not count, since their questions were not asked.
    """

    line: int
    outcome: str
    problems: tuple[str, ...] = ()
    response: str = ""
    identifier: str = ""
    subject: str = ""
    authored: str = ""
    status: str = ""
    questionnaire: str = ""
    scored_as: str = ""
    guidance: str = ""
    guidance_hash: str = ""
    language: str = ""
    step: str = ""
    step_at_most: str = ""
    step_rank: int | None = None
    step_rank_at_most: int | None = None
    due_days: int | None = None
    due_date: str = ""
    due_to: str = ""
    step_due_days: int | None = None
    date_settled: bool | None = None
    recheck_days: int | None = None
    levels: tuple[LevelFact, ...] = ()
    scores: tuple[ScoreFact, ...] = ()
    rules: tuple[str, ...] = ()
    open_questions: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """Returns them as one object for JSON, without what is not stated."""
        kept = {name: value for name, value in self._asdict().items() if value not in ("", None, ())}
        for name in ("levels", "scores"):
            if name in kept:
                kept[name] = [one._asdict() for one in kept[name]]
        return kept


FINAL, PRELIMINARY, REFUSED = "final", "preliminary", "refused"


class ScoredLine(NamedTuple):
    """A line of the output, without the end of the line, and the facts of it."""

    output: bytes
    facts: Facts


class Scorer:
    """Scores lines of NDJSON, one at a time and each for itself.

    Args:
        options: what it is made from.
        served: what responses are scored by, where it is read already.
    """

    def __init__(self, options: ScoringOptions, served: Catalogue | None = None) -> None:
        self.options = options
        self.served = served or options.read_catalogue()
        limits = BodyLimits(options.most_bytes, options.most_depth)
        self._assessor = Assessor(self.served, limits, language=known_language(options.language))
        self._languages = (options.wanted_language or OF_RESPONSE,)
        # Nobody waits: a child is stopped by its processor time, which is the same on a busy machine.
        self._sandbox = Sandbox(SandboxLimits(wall_s=600.0), places=1)

    def line(self, raw: bytes, number: int) -> ScoredLine:
        """Returns the line that comes out for a line that came in.

        Args:
            raw: one line that is not blank, with or without its end.
            number: of the line in the input, from 1; the first one may begin with a byte order mark.

        Returns:
            The result of a response that can be scored; of any other bytes an OperationOutcome with the
            number of the line, in `id` (`line-17`) and at the beginning of each `diagnostics`.
        """
        return self._answered(raw, number, self._here)

    def alone(self, raw: bytes, number: int) -> ScoredLine:
        """Does the same in a child with limits, so that it can be ended alone."""
        return self._answered(raw, number, partial(self._apart, small=_NOTHING))

    def _answered(self, raw: bytes, number: int, score: Callable[[bytes, int], ScoredLine]) -> ScoredLine:
        data = (raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw).strip(SPACE)
        try:
            return score(data, number)
        except ServiceError as refused:
            return self.refused(number, *refused.problems)
        except Exception as fault:  # noqa: BLE001 - the last resort: no record may stop the others
            _log(fault, number)
            return self.refused(
                number, Problem("internal", "The service failed on this record.", severity="fatal")
            )

    def too_long(self, number: int) -> ScoredLine:
        """Returns the output for a line that was not read, as it is longer than the options allow."""
        text = f"The body is too large. Expected: at most {self.options.most_bytes} bytes."
        return self.refused(number, Problem("body-size", text))

    def refused(self, number: int, *problems: Problem) -> ScoredLine:
        """Returns the output for a line that cannot be scored."""
        outcome = operation_outcome(problems, self.served.canonicals)
        for issue in outcome["issue"]:
            issue["diagnostics"] = f"Line {number}: {issue['diagnostics']}"
        named = {"resourceType": "OperationOutcome", "id": f"line-{number}", **outcome}
        return ScoredLine(orjson.dumps(named), Facts(number, REFUSED, _kinds(problems)))

    def _here(self, data: bytes, number: int) -> ScoredLine:
        response = self._assessor.accepted(data, self._languages)
        return self._apart(data, number) if response is None else self._written(response, number)

    def _apart(self, data: bytes, number: int, small: int = SMALL_LINE_BYTES) -> ScoredLine:
        """Reads, checks and scores a body in full: in a child where it is larger than `small`."""
        work = partial(self._in_full, data, number)
        expected = "Expected a response that takes at most {allowed} to check and score."
        at = "QuestionnaireResponse"
        do = partial(
            in_time,
            self._sandbox,
            len(data),
            work,
            ScoredLine,
            expected=expected,
            at=at,
            small=small,
        )
        for pause_s in _PAUSES_S:
            with suppress(Unavailable):
                return do()
            time.sleep(pause_s)
        return do()

    def _in_full(self, data: bytes, number: int, *, apart: bool) -> ScoredLine:
        return self._written(self._assessor.scored(data, self._languages, apart=apart), number)

    def _written(self, response: Scored, number: int) -> ScoredLine:
        assessment, detail = response.assessment(), self.options.output
        facts = _facts(response, assessment, number)
        if detail in DETAILS:
            return ScoredLine(response.pair.renderer.document(assessment, detail), facts)
        return ScoredLine(orjson.dumps(facts.plain()), facts)


def _log(fault: Exception, number: int) -> None:
    """Logs where the program failed; what an error says might be an answer."""
    place = extract_tb(fault.__traceback__)[-1]
    _LOG.error(
        "line %d: %s in %s, %s:%d", number, type(fault).__name__, place.name, place.filename, place.lineno
    )


# The facts of a result.


def _kinds(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(problem.kind for problem in problems))


def _facts(response: Scored, assessment: Assessment, number: int) -> Facts:
    context, result = response.context, assessment.result
    identity = response.pair.guidance.written.identity
    tiers, tier, due = result.tiers, result.tier, result.due
    return Facts(
        line=number,
        outcome=FINAL if is_final(assessment) else PRELIMINARY,
        problems=_kinds(assessment.problems),
        response=context.id or "",
        identifier=_named(context.identifier),
        subject=_referred(context.subject),
        authored=context.authored or "",
        status=context.status,
        questionnaire=context.questionnaire or "",
        scored_as=response.pair.compiled.canonical,
        guidance=identity.canonical,
        guidance_hash=identity.hash,
        language=response.language,
        step=tiers[tier.at_least].code,
        step_at_most=tiers[tier.at_most].code,
        step_rank=tier.at_least,
        step_rank_at_most=tier.at_most,
        due_days=None if due is None else due.days,
        due_date=_date(due, context.authored or ""),
        due_to="" if due is None else due.to,
        step_due_days=None if result.step_due is None else result.step_due.days,
        date_settled=result.date_settled,
        recheck_days=result.recheck,
        levels=tuple(_levels(result)),
        scores=tuple(_scores(result)),
        rules=tuple(fired.rule.name for fired in result.fired),
        open_questions=tuple(question.link_id for question in result.open),
        contradictions=tuple(one.name for one in result.contradictions),
        ignored=result.ignored,
    )


def _named(identifier: Json | None) -> str:
    return "" if identifier is None else f"{identifier.get('system', '')}|{identifier['value']}"


def _referred(reference: Json | None) -> str:
    """Returns the reference, or the identifier where only that is stated."""
    stated = reference or {}
    return str(stated.get("reference") or _named(stated.get("identifier")))


def _date(due: Due | None, authored: str) -> str:
    day = day_of(authored)
    latest = None if due is None or day is None else day_after(day, due.days)
    return "" if latest is None else latest.isoformat()


def _levels(result: Result) -> Iterator[LevelFact]:
    for risk in result.risks:
        level: Interval = risk.level
        codes = risk.outcome.levels
        yield LevelFact(risk.outcome.code, codes[level.at_least], codes[level.at_most], risk.listed)


def _scores(result: Result) -> Iterator[ScoreFact]:
    for total in result.totals:
        ends = (_digits(total.at_least), _digits(total.at_most), _digits(total.value))
        yield ScoreFact(total.score.name, *ends, *total.bands, total.estimated)


def _digits(number: Decimal | None) -> str:
    return "" if number is None else digits(number)
