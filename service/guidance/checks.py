"""Checks the names and numbers between the mapping files: everything must exist, fit and be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from service.datatypes.form import Form, Question
from service.datatypes.ucum import Conversion, convertible
from service.errors import GuidanceError
from service.guidance.cases import RESERVED, cases_from
from service.guidance.conditions import (
    COMPARISONS,
    NEWLY,
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Newly,
    Place,
    Scored,
    Switch,
    Unsure,
    walk,
)
from service.guidance.faults import (
    Expected,
    Fault,
    not_in_the_questionnaire,
    parameter_faults,
    unknown,
    what_it_is,
)
from service.guidance.model import Outcome, Parameter, Rule, Tier, Written
from service.guidance.options import CHOICES, DATES, NUMBERS, PLAIN, codings_of, units_of
from service.guidance.quantities import not_known_faults, quantity_faults, questions_of
from service.guidance.schema import fault_line
from service.guidance.scores import parts_below, score_faults
from service.guidance.steps import step_faults


class Checked:
    """A guidance whose every name is known and fits: making one is the check.

    The graph and the tables are made of this only, so that no name is used unchecked.

    Args:
        written: what the mapping files say.
        form: the questionnaire that they score.

    Attributes:
        cases: the worked cases, their answers read as answers to the form.

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """

    __slots__ = ("cases", "form", "written")

    def __init__(self, written: Written, form: Form) -> None:
        self.cases, faults_of_cases = cases_from(written, form)
        faults = (*_faults_of(written, form), *faults_of_cases)
        if faults:
            raise GuidanceError(faults)
        self.written = written
        self.form = form


def _faults_of(written: Written, form: Form) -> tuple[str, ...]:
    """Returns a line per fault, `file.yaml: key path: what was expected`; empty if there is none."""
    found = [
        *_name_faults(written, form),
        *_rule_faults(written),
        *step_faults(written, form),
        *_condition_faults(written, form),
        *quantity_faults(written, form, _read_by_conditions(written)),
        *score_faults(written, form),
        *_use_faults(written),
    ]
    return tuple(dict.fromkeys(fault_line(*fault) for fault in found))


# Names: every name stands for one thing, and every name that is used exists.


def _name_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields names that are stated twice, and names in guidance.yaml and in tables that do not exist."""
    yield from _duplicates(written)
    yield from _shared_codes(written)
    yield from _questionnaire(written, form)
    yield from _words_of_answers(written, form)
    yield from _respondent(written, form)
    yield from not_known_faults(written, form)
    for outcome in written.outcomes:
        yield from _outcome(outcome, written.levels)
    yield from _unused_levels(written)
    yield from _kinds(written)
    yield from _promises(written)
    yield from _exceptions(written)
    yield from _tables(written)
    yield from _worse(written)


def _twice(file: str, place: Place, names: Iterable[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield file, (*place, name), f"expected one entry of this name, found {count}"


def _duplicates(written: Written) -> Iterator[Fault]:
    yield from _twice("guidance.yaml", ("tiers",), (tier.code for tier in written.tiers))
    yield from _twice("guidance.yaml", ("outcomes",), (outcome.code for outcome in written.outcomes))
    yield from _twice("guidance.yaml", ("promises",), (promise.name for promise in written.promises))
    yield from _twice("guidance.yaml", ("redirects",), (redirect.name for redirect in written.redirects))
    exceptions = [exception.finding for exception in written.exceptions]
    yield from _twice("guidance.yaml", ("exceptions",), exceptions)
    yield from _twice("sources.yaml", (), (statement.id for statement in written.statements))
    yield from _twice("findings.yaml", (), (finding.name for finding in written.findings))
    yield from _twice("rules.yaml", (), (rule.name for rule in written.rules))
    yield from _twice("comparisons.yaml", (), (comparison.name for comparison in written.comparisons))
    yield from _twice("advice.yaml", (), (advice.name for advice in written.advice))
    contradictions = [contradiction.name for contradiction in written.contradictions]
    yield from _twice("contradictions.yaml", (), contradictions)
    yield from _twice("scores.yaml", (), (score.name for score in written.scores))


def _shared_codes(written: Written) -> Iterator[Fault]:
    """Tiers, outcomes, findings, rules and rows are codes of one code system: no code twice."""
    places: dict[str, tuple[str, Place]] = {}
    for file, place, name in _codes(written):
        first_file, first_place = places.setdefault(name, (file, place))
        if first_place != place:
            thing = what_it_is(name, written, ())
            there = f"; there it is {thing}" if thing else ""
            yield file, place, f"expected a name that {first_file} does not use for something else{there}"


def _codes(written: Written) -> Iterator[tuple[str, Place, str]]:
    yield from (("guidance.yaml", ("tiers", tier.code), tier.code) for tier in written.tiers)
    yield from (("guidance.yaml", ("outcomes", outcome.code), outcome.code) for outcome in written.outcomes)
    yield from (("findings.yaml", ("finding", finding.name), finding.name) for finding in written.findings)
    yield from (("rules.yaml", ("rule", rule.name), rule.name) for rule in written.rules)
    for table in written.comparisons:
        for index, row in enumerate(table.rows):
            yield "comparisons.yaml", (table.name, "rows", index, row.name), row.name


def _questionnaire(written: Written, form: Form) -> Iterator[Fault]:
    if written.identity.questionnaire != form.canonical:
        expected = f"expected the canonical of its questionnaire, {form.canonical}"
        yield "guidance.yaml", ("questionnaire",), expected


def _words_of_answers(written: Written, form: Form) -> Iterator[Fault]:
    """Yields linkIds that results would print, and that no question has."""
    places = [("summary", link) for link in written.summary]
    places += [("answer-words", link) for link in written.answer_words]
    for key, link in places:
        if link not in form.questions:
            yield "guidance.yaml", (key, link), not_in_the_questionnaire(link)


def _respondent(written: Written, form: Form) -> Iterator[Fault]:
    """Yields a question that nobody is asked, and answers that it does not have."""
    respondent = written.respondent
    if respondent is None:
        return
    question = form.questions.get(respondent.question)
    if question is None:
        yield "guidance.yaml", ("respondent", "question"), not_in_the_questionnaire(respondent.question)
        return
    codes = [option.coding.code for option in question.options]
    for code in respondent.answers:
        if code not in codes:
            yield "guidance.yaml", ("respondent", "answers", code), unknown(code, codes)


def _outcome(outcome: Outcome, levels: Collection[str]) -> Iterator[Fault]:
    place = ("outcomes", outcome.code)
    if outcome.code in RESERVED:
        yield "guidance.yaml", place, f"expected a name other than: {', '.join(RESERVED)}"
    for index, level in enumerate(outcome.levels):
        if level not in levels:
            yield "guidance.yaml", (*place, "levels", index), unknown(level, levels)
    yield from _twice("guidance.yaml", (*place, "levels"), outcome.levels)
    if outcome.listed_from and outcome.listed_from not in outcome.levels:
        yield "guidance.yaml", (*place, "listed", "from"), unknown(outcome.listed_from, outcome.levels)


def _unused_levels(written: Written) -> Iterator[Fault]:
    used = {level for outcome in written.outcomes for level in outcome.levels}
    for level in written.levels:
        if level not in used:
            expected = "is used by no outcome; expected a use, or to be left out"
            yield "guidance.yaml", ("levels", level), expected


def _kinds(written: Written) -> Iterator[Fault]:
    kinds = written.kinds
    for finding in written.findings:
        if finding.kind not in kinds:
            yield "findings.yaml", (finding.name, "kind"), unknown(finding.kind, kinds)
    for rule in written.rules:
        if rule.kind and rule.kind not in kinds:
            yield "rules.yaml", (rule.name, "kind"), unknown(rule.kind, kinds)


def _promises(written: Written) -> Iterator[Fault]:
    tiers = [tier.code for tier in written.tiers]
    for promise in written.promises:
        if promise.tier and promise.tier not in tiers:
            key = "tier" if promise.form == "only-if" else "tier-at-least"
            yield "guidance.yaml", ("promises", promise.name, key), unknown(promise.tier, tiers)
        for index, kind in enumerate(promise.kinds):
            if kind not in written.kinds:
                place = ("promises", promise.name, promise.form, index)
                yield "guidance.yaml", place, unknown(kind, written.kinds)


def _exceptions(written: Written) -> Iterator[Fault]:
    findings = {finding.name for finding in written.findings}
    rules = {rule.name for rule in written.rules if rule.tier}
    for exception in written.exceptions:
        place = ("exceptions", exception.finding)
        if exception.finding not in findings:
            yield "guidance.yaml", (*place, "finding"), "expected the name of a finding"
        for index, rule in enumerate(exception.cancels):
            if rule not in rules:
                expected = "expected the name of a rule that fires a tier"
                yield "guidance.yaml", (*place, "cancels", index), expected


def _tables(written: Written) -> Iterator[Fault]:
    outcomes = [outcome.code for outcome in written.outcomes]
    for table in written.comparisons:
        yield from _twice("comparisons.yaml", (table.name, "rows"), (row.name for row in table.rows))
        for side, head in (("left", table.left), ("right", table.right)):
            if head.outcome and head.outcome not in outcomes:
                yield "comparisons.yaml", (table.name, side, "outcome"), unknown(head.outcome, outcomes)


def _worse(written: Written) -> Iterator[Fault]:
    findings = {finding.name for finding in written.findings}
    for contradiction in written.contradictions:
        for index, name in enumerate(contradiction.worse):
            if name not in findings:
                place = (contradiction.name, "worse", index)
                yield "contradictions.yaml", place, "expected the name of a finding"


# Units: a parameter must be comparable with what the question can answer, and the other way round.


def _unit_faults(
    question: Question, parameters: Sequence[Parameter], conversions: Sequence[Conversion]
) -> Iterator[str]:
    """Yields the faults in the units of one comparison; `parameters` have numbers."""
    units = units_of(question)
    fitting = [
        parameter
        for parameter in parameters
        if not units or any(convertible(answered, parameter.unit, conversions) for answered in units)
    ]
    for parameter in parameters:
        if parameter not in fitting:
            expected = f"expected a unit comparable with {', '.join(units)}"
            if units == (PLAIN,):
                expected = 'expected the unit "1", or words in braces, for a plain number without a unit'
            yield f"{expected}; that of {parameter.name} is {parameter.unit}"
    for answered in units if fitting else ():
        if not any(convertible(answered, parameter.unit, conversions) for parameter in fitting):
            yield f"expected a parameter comparable with {answered}, in which the question may be answered"


# Conditions: every answer, option, score, band and parameter that they name exists and fits.


def _condition_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields the faults of all conditions in all files."""
    questions = questions_of(written, form)
    for file, place, condition in written.conditions():
        for inner, part in walk(condition, place):
            for keys, expected in _faults(part, written, questions):
                yield file, (*inner, *keys), expected
    for contradiction in written.contradictions:
        for index, part in enumerate(contradiction.between):
            if not isinstance(part, Named | Is | Answered | Measured):
                place = (contradiction.name, "between", index)
                yield "contradictions.yaml", place, "expected a finding or a test of one answer"


def _faults(condition: Condition, written: Written, questions: Mapping[str, Question]) -> Expected:  # noqa: PLR0911 - one line a kind
    if isinstance(condition, Named):
        return _named(condition, written, questions)
    if isinstance(condition, Is | Answered | Measured):
        return _answer(condition, written, questions)
    if isinstance(condition, Unsure):
        return _unsure(condition, written)
    if isinstance(condition, InBand | Scored):
        return _score(condition, written)
    if isinstance(condition, Switch):
        return parameter_faults(condition.parameter, "switch", (), written)
    if isinstance(condition, AtTier | AtLevel):
        return _result(condition, written)
    if isinstance(condition, Newly):
        return _newly(condition, written)
    return _group(condition, written)


def _named(condition: Named, written: Written, questions: Mapping[str, Question]) -> Expected:
    if condition.finding not in {finding.name for finding in written.findings}:
        thing = what_it_is(condition.finding, written, questions) or "not in findings.yaml"
        yield (), f"expected the name of a finding; {condition.finding} is {thing}"


def _unsure(condition: Unsure, written: Written) -> Expected:
    """Yields the faults of a condition that somebody may be unsure about: it must rest on answers only."""
    if any(
        isinstance(part, InBand | Scored | Newly | AtTier | AtLevel)
        for part in parts_below(condition.of, written)
    ):
        expected = "expected a condition on answers, without scores, results and earlier responses"
        yield ("unsure",), expected


def _newly(condition: Newly, written: Written) -> Expected:
    """Yields the faults of conditions that an earlier response may have denied."""
    if len(set(condition.parts)) < len(condition.parts):
        yield (), "expected each condition once"
    for place, part in enumerate(condition.parts):
        if any(isinstance(inner, Newly | AtTier | AtLevel) for inner in parts_below(part, written)):
            yield (NEWLY, place), "expected a condition on answers and scores, without earlier responses"


def _answer(
    condition: Is | Answered | Measured, written: Written, questions: Mapping[str, Question]
) -> Expected:
    question = questions.get(condition.link_id)
    if question is None:
        yield ("answer",), not_in_the_questionnaire(condition.link_id)
    elif condition.link_id in written.derived and not isinstance(condition, Measured):
        yield ("answer",), f"expected a comparison with a parameter: {condition.link_id} is derived"
    elif isinstance(condition, Is):
        yield from _options(condition, question, written)
    elif isinstance(condition, Measured):
        yield from _measured(condition, question, written)


def _options(condition: Is, question: Question, written: Written) -> Expected:
    if question.type == "boolean":
        if not all(isinstance(word, bool) for word in condition.words):
            yield ("is",), "expected true or false"
        return
    if question.type not in CHOICES:
        yield ("is",), f"expected a question with options; this one is of type {question.type}"
        return
    options = ", ".join(option.coding.code for option in question.options)
    for word in condition.words:
        if isinstance(word, bool) or not codings_of(question, word, written.words):
            yield ("is",), f"expected options of this question ({options}); {word} is none of them"


def _measured(condition: Measured, question: Question, written: Written) -> Expected:
    if question.type not in (*NUMBERS, *DATES):
        expected = f"expected a question for a number or a date; this one is of type {question.type}"
        yield (condition.comparison,), expected
    for name in condition.parameters:
        yield from _compared(name, condition.comparison, written)
    known = [written.parameters[name] for name in condition.parameters if name in written.parameters]
    numbers = [parameter for parameter in known if not isinstance(parameter.value, bool)]
    for expected in _unit_faults(question, numbers, written.conversions(condition.link_id)):
        yield (condition.comparison,), expected


def _compared(name: str, comparison: str, written: Written) -> Expected:
    return parameter_faults(name, COMPARISONS[comparison], (comparison,), written)


def _score(condition: InBand | Scored, written: Written) -> Expected:
    bands = {score.name: [band.name for band in score.bands] for score in written.scores}
    if condition.score not in bands:
        yield ("score",), unknown(condition.score, bands)
    elif isinstance(condition, InBand):
        for band in condition.bands:
            if band not in bands[condition.score]:
                yield ("band",), unknown(band, bands[condition.score])
    if isinstance(condition, Scored):
        yield from _compared(condition.parameter, condition.comparison, written)


def _result(condition: AtTier | AtLevel, written: Written) -> Expected:
    if isinstance(condition, AtTier):
        tiers = [tier.code for tier in written.tiers]
        if condition.tier not in tiers:
            yield (f"tier-{condition.comparison}",), unknown(condition.tier, tiers)
        return
    levels = {outcome.code: outcome.levels for outcome in written.outcomes}
    if condition.outcome not in levels:
        yield ("level", "outcome"), unknown(condition.outcome, levels)
    elif condition.level not in levels[condition.outcome]:
        yield ("level", "at-least"), unknown(condition.level, levels[condition.outcome])


def _group(group: Group, written: Written) -> Expected:
    if len(set(group.parts)) < len(group.parts):
        yield (), "expected each condition once"
    if group.word != "at-least":
        return
    yield from parameter_faults(group.parameter, "at least", ("at-least",), written)
    parameter = written.parameters.get(group.parameter)
    if parameter is not None and not _is_count(parameter, len(group.parts)):
        expected = f"expected a whole number from 1 to {len(group.parts)} in {parameter.name}"
        yield ("at-least", "parameter"), expected


def _is_count(parameter: Parameter, parts: int) -> bool:
    value = parameter.value
    return not isinstance(value, bool) and value == int(value) and Decimal(1) <= value <= parts


# Rules: every rule fires something that exists, every ladder is covered, every decision list ends.


def _rule_faults(written: Written) -> Iterator[Fault]:
    """Yields the faults of tiers, levels and the order of the rules."""
    tiers = [tier.code for tier in written.tiers]
    for rule in written.rules:
        if rule.tier and rule.tier not in tiers:
            yield "rules.yaml", (rule.name, "tier"), unknown(rule.tier, tiers)
        if rule.outcome:
            yield from _risk(rule, written)
    yield from _unreached_tiers(written)
    for outcome in written.outcomes:
        yield from _decision_list(outcome, [rule for rule in written.rules if rule.outcome == outcome.code])


def _risk(rule: Rule, written: Written) -> Iterator[Fault]:
    outcomes = {outcome.code: outcome.levels for outcome in written.outcomes}
    if rule.outcome not in outcomes:
        yield "rules.yaml", (rule.name, "risk", "outcome"), unknown(rule.outcome, outcomes)
    elif rule.level not in outcomes[rule.outcome]:
        yield "rules.yaml", (rule.name, "risk", "level"), unknown(rule.level, outcomes[rule.outcome])


def _unreached_tiers(written: Written) -> Iterator[Fault]:
    if not written.tiers:
        yield "guidance.yaml", ("tiers",), "expected at least one tier, lowest first"
    reached = {rule.tier for rule in written.rules}
    for tier in written.tiers[1:]:
        if tier.code not in reached:
            expected = "no rule fires it; expected one for every tier but the lowest"
            yield "guidance.yaml", ("tiers", tier.code), expected


def _decision_list(outcome: Outcome, rules: list[Rule]) -> Iterator[Fault]:
    place = ("outcomes", outcome.code)
    if not rules or rules[-1].when is not None:
        where = ("rules.yaml", (rules[-1].name,)) if rules else ("guidance.yaml", place)
        yield *where, f"expected the last rule of the outcome {outcome.code} to say otherwise: true"
    for rule in rules[:-1]:
        if rule.when is None:
            expected = f"expected only in the last rule of the outcome {outcome.code}"
            yield "rules.yaml", (rule.name, "otherwise"), expected
    fired = {rule.level for rule in rules}
    for index, level in enumerate(outcome.levels):
        if level not in fired:
            expected = f"no rule fires {level}; expected one for every level"
            yield "guidance.yaml", (*place, "levels", index), expected


# Use: findings do not go in circles, everything written is used, every statement is accounted for.

RECORDED = "recorded"
"""The kind of findings that are written down only: nothing needs to read them."""


def _use_faults(written: Written) -> Iterator[Fault]:
    """Yields circles, entries that nothing uses, and statements without use or reason."""
    yield from _circles(written)
    yield from _unused_findings(written)
    yield from _unused_parameters(written)
    yield from _statements(written)


def _citations(written: Written) -> Iterator[tuple[str, Place, tuple[str, ...]]]:
    """Yields the statements that each entry cites, with the file and the place of the entry."""
    for parameter in written.parameters.values():
        yield "guidance.yaml", ("parameters", parameter.name), parameter.sources
    for tier in written.tiers:
        yield "guidance.yaml", ("tiers", tier.code), tier.sources
    for outcome in written.outcomes:
        yield "guidance.yaml", ("outcomes", outcome.code), outcome.sources
    yield from (("findings.yaml", (finding.name,), finding.sources) for finding in written.findings)
    yield from (("rules.yaml", (rule.name,), rule.sources) for rule in written.rules)
    yield from (("advice.yaml", (advice.name,), advice.sources) for advice in written.advice)
    yield from (("scores.yaml", (score.name,), score.sources) for score in written.scores)
    for table in written.comparisons:
        for row in table.rows:
            yield "comparisons.yaml", (table.name, row.name, "left"), row.left.sources
            yield "comparisons.yaml", (table.name, row.name, "right"), row.right.sources


def _circles(written: Written) -> Iterator[Fault]:
    reads = {finding.name: _names(finding.when) for finding in written.findings}
    done: set[str] = set()
    for start in reads:
        circle = _circle(start, reads, done)
        if circle:
            expected = f"goes in a circle: {' -> '.join(circle)}; expected none"
            yield "findings.yaml", (circle[0], "when"), expected


def _circle(start: str, reads: dict[str, list[str]], done: set[str]) -> list[str]:
    """Returns a circle that `start` reaches, without any finding that is done already; else nothing."""
    path: list[str] = []
    waiting = [iter([start])]
    while waiting:
        name = next(waiting[-1], None)
        if name is None:
            waiting.pop()
            done.update(path[-1:])
            path = path[:-1]
        elif name in path:
            done.update(path)
            return [*path[path.index(name) :], name]
        elif name in reads and name not in done:
            path.append(name)
            waiting.append(iter(reads[name]))
    return []


def _names(condition: Condition) -> list[str]:
    return [part.finding for _, part in walk(condition, ()) if isinstance(part, Named)]


def _read_by_conditions(written: Written) -> set[str]:
    """Returns the linkIds, and the names of derived quantities, that conditions read."""
    return {
        part.link_id
        for _, _, condition in written.conditions()
        for _, part in walk(condition, ())
        if isinstance(part, Is | Answered | Measured)
    }


def _unused_findings(written: Written) -> Iterator[Fault]:
    read = {name for _, _, condition in written.conditions() for name in _names(condition)}
    read |= {name for contradiction in written.contradictions for name in contradiction.worse}
    for finding in written.findings:
        if finding.name not in read and finding.kind != RECORDED:
            expected = f"nothing reads it; expected a use, or kind: {RECORDED}"
            yield "findings.yaml", (finding.name,), expected


def _unused_parameters(written: Written) -> Iterator[Fault]:
    used = {name for _, _, condition in written.conditions() for name in _parameters(condition)}
    used |= {name for tier in written.tiers for name in (tier.within, *_of_recheck(tier))}
    used |= {rule.within for rule in written.rules}
    bands = [band for score in written.scores for band in score.bands]
    used |= {end for band in bands for end in (band.low, band.high) if isinstance(end, str)}
    for name in written.parameters:
        if name not in used:
            yield "guidance.yaml", ("parameters", name), "nothing reads it; expected a use, or to be left out"


def _of_recheck(tier: Tier) -> tuple[str, ...]:
    return () if tier.recheck is None else (tier.recheck.until, tier.recheck.otherwise)


def _parameters(condition: Condition) -> Iterator[str]:
    for _, part in walk(condition, ()):
        if isinstance(part, Measured):
            yield from part.parameters
        elif isinstance(part, Scored | Switch | Group) and part.parameter:
            yield part.parameter


def _statements(written: Written) -> Iterator[Fault]:
    listed = {statement.id for statement in written.statements}
    cited: set[str] = set()
    for file, place, sources in _citations(written):
        for index, source in enumerate(sources):
            cited.add(source)
            if source not in listed:
                expected = f"expected a statement of sources.yaml; {source} is not listed"
                yield file, (*place, "sources", index), expected
    for statement in written.statements:
        if statement.id in cited and statement.unused:
            yield "sources.yaml", (statement.id, "unused"), "is cited; expected no reason why it is unused"
        if statement.id not in cited and not statement.unused:
            yield "sources.yaml", (statement.id,), "is cited nowhere; expected a use, or unused: reason"
