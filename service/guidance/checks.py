"""The names and numbers between the mapping files: everything must resolve, everything must be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal

from service.datatypes.form import Form, Question
from service.datatypes.ucum import comparable, unit
from service.guidance.build import score_from
from service.guidance.compile import weights_of
from service.guidance.conditions import (
    COMPARISONS,
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Place,
    Scored,
    Switch,
    walk,
)
from service.guidance.draft import Draft, OutcomeDraft, PromiseDraft, RuleDraft, ScoreDraft
from service.guidance.expectations import RESERVED
from service.guidance.graph import CHOICES, NUMBERS, codings_of
from service.guidance.model import Parameter, Score
from service.guidance.readings import PLAIN, ZERO, Weights
from service.guidance.schema import fault_line

# Units: a parameter must be comparable with what the question can answer, and the other way round.


def unit_faults(question: Question, parameters: Sequence[Parameter]) -> Iterator[str]:
    """Yields what was expected of the units of one comparison; `parameters` have numbers."""
    units = _answered_in(question)
    for parameter in parameters:
        if units and not any(comparable(parameter.unit, each) for each in units):
            expected = f"expected a unit comparable with {', '.join(units)}"
            yield f"{expected}; that of {parameter.name} is {parameter.unit}"
    for each in units:
        if parameters and not any(comparable(parameter.unit, each) for parameter in parameters):
            yield f"expected a parameter comparable with {each}, in which the question may be answered"


def plain(parameter: Parameter) -> bool:
    """Whether the parameter is a plain number, such as `1` or `{score}`."""
    return comparable(parameter.unit, PLAIN) and unit(parameter.unit) == unit(PLAIN)


def _answered_in(question: Question) -> tuple[str, ...]:
    """The units of the question's answers; none where it does not say."""
    return question.units if question.type == "quantity" else (PLAIN,)


# Names: each is used for one thing, and each that is used exists.

Fault = tuple[str, Place, str]


def name_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields names that are stated twice, and names in guidance.yaml and in tables that do not exist."""
    yield from _duplicates(draft)
    yield from _shared_codes(draft)
    yield from _questionnaire(draft, form)
    for outcome in draft.header.outcomes:
        yield from _outcome(outcome, draft.header.levels)
    yield from _unused_levels(draft)
    yield from _kinds(draft)
    yield from _promises(draft)
    yield from _exceptions(draft)
    yield from _tables(draft)
    yield from _worse(draft)


def unknown(name: str, known: Collection[str]) -> str:
    """What was expected where `name` is not known."""
    return f"expected one of: {', '.join(known)}" if known else f"{name} is not known; none is defined"


def _twice(file: str, place: Place, names: Iterable[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield file, (*place, name), f"expected one entry of this name, found {count}"


def _duplicates(draft: Draft) -> Iterator[Fault]:
    header = draft.header
    yield from _twice("guidance.yaml", ("tiers",), (each.name for each in header.tiers))
    yield from _twice("guidance.yaml", ("outcomes",), (each.name for each in header.outcomes))
    yield from _twice("guidance.yaml", ("promises",), (each.name for each in header.promises))
    yield from _twice("guidance.yaml", ("exceptions",), (each.finding for each in header.exceptions))
    yield from _twice("sources.yaml", (), (each.id for each in draft.statements))
    yield from _twice("findings.yaml", (), (each.name for each in draft.findings))
    yield from _twice("rules.yaml", (), (each.name for each in draft.rules))
    yield from _twice("comparisons.yaml", (), (each.name for each in draft.tables))
    yield from _twice("advice.yaml", (), (each.name for each in draft.advice))
    yield from _twice("contradictions.yaml", (), (each.name for each in draft.contradictions))
    yield from _twice("scores.yaml", (), (each.name for each in draft.scores))


def _shared_codes(draft: Draft) -> Iterator[Fault]:
    """Tiers, outcomes, findings, rules and rows are codes of one code system: no code twice."""
    places: dict[str, tuple[str, Place]] = {}
    for file, place, name in _codes(draft):
        first_file, first_place = places.setdefault(name, (file, place))
        if first_place != place:
            yield file, place, f"expected a name that {first_file} does not use for something else"


def _codes(draft: Draft) -> Iterator[tuple[str, Place, str]]:
    yield from (("guidance.yaml", ("tiers", each.name), each.name) for each in draft.header.tiers)
    yield from (("guidance.yaml", ("outcomes", each.name), each.name) for each in draft.header.outcomes)
    yield from (("findings.yaml", ("finding", each.name), each.name) for each in draft.findings)
    yield from (("rules.yaml", ("rule", each.name), each.name) for each in draft.rules)
    for table in draft.tables:
        for index, row in enumerate(table.rows):
            yield "comparisons.yaml", (table.name, "rows", index, row.name), row.name


def _questionnaire(draft: Draft, form: Form) -> Iterator[Fault]:
    if draft.header.identity["questionnaire"] != form.canonical:
        yield (
            "guidance.yaml",
            ("questionnaire",),
            f"expected the canonical of its questionnaire, {form.canonical}",
        )


def _outcome(outcome: OutcomeDraft, levels: Collection[str]) -> Iterator[Fault]:
    place = ("outcomes", outcome.name)
    if outcome.name in RESERVED:
        yield "guidance.yaml", place, f"expected a name other than: {', '.join(RESERVED)}"
    for index, level in enumerate(outcome.levels):
        if level not in levels:
            yield "guidance.yaml", (*place, "levels", index), unknown(level, levels)
    yield from _twice("guidance.yaml", (*place, "levels"), outcome.levels)
    if outcome.listed_from and outcome.listed_from not in outcome.levels:
        yield "guidance.yaml", (*place, "listed", "from"), unknown(outcome.listed_from, outcome.levels)


def _unused_levels(draft: Draft) -> Iterator[Fault]:
    used = {level for outcome in draft.header.outcomes for level in outcome.levels}
    for level in draft.header.levels:
        if level not in used:
            yield (
                "guidance.yaml",
                ("levels", level),
                "is used by no outcome; expected a use, or to be left out",
            )


def _kinds(draft: Draft) -> Iterator[Fault]:
    kinds = draft.header.kinds
    for finding in draft.findings:
        if finding.kind not in kinds:
            yield "findings.yaml", (finding.name, "kind"), unknown(finding.kind, kinds)
    for rule in draft.rules:
        if rule.kind and rule.kind not in kinds:
            yield "rules.yaml", (rule.name, "kind"), unknown(rule.kind, kinds)


def _promises(draft: Draft) -> Iterator[Fault]:
    tiers = [tier.name for tier in draft.header.tiers]
    for promise in draft.header.promises:
        if promise.tier and promise.tier not in tiers:
            key = "tier" if promise.form == "only-if" else "tier-at-least"
            yield "guidance.yaml", ("promises", promise.name, key), unknown(promise.tier, tiers)
        yield from _promised_kinds(promise, draft.header.kinds)


def _promised_kinds(promise: PromiseDraft, kinds: Collection[str]) -> Iterator[Fault]:
    for index, kind in enumerate(promise.kinds):
        if kind not in kinds:
            yield "guidance.yaml", ("promises", promise.name, promise.form, index), unknown(kind, kinds)


def _exceptions(draft: Draft) -> Iterator[Fault]:
    findings = {finding.name for finding in draft.findings}
    rules = {rule.name for rule in draft.rules if rule.tier}
    for exception in draft.header.exceptions:
        place = ("exceptions", exception.finding)
        if exception.finding not in findings:
            yield "guidance.yaml", (*place, "finding"), "expected the name of a finding"
        for index, rule in enumerate(exception.cancels):
            if rule not in rules:
                yield (
                    "guidance.yaml",
                    (*place, "cancels", index),
                    "expected the name of a rule that fires a tier",
                )


def _tables(draft: Draft) -> Iterator[Fault]:
    outcomes = [outcome.name for outcome in draft.header.outcomes]
    for table in draft.tables:
        yield from _twice("comparisons.yaml", (table.name, "rows"), (row.name for row in table.rows))
        for side, head in (("left", table.left), ("right", table.right)):
            if head.outcome and head.outcome not in outcomes:
                yield "comparisons.yaml", (table.name, side, "outcome"), unknown(head.outcome, outcomes)


def _worse(draft: Draft) -> Iterator[Fault]:
    findings = {finding.name for finding in draft.findings}
    for contradiction in draft.contradictions:
        for index, name in enumerate(contradiction.worse):
            if name not in findings:
                yield (
                    "contradictions.yaml",
                    (contradiction.name, "worse", index),
                    "expected the name of a finding",
                )


# Conditions: every answer, option, score, band and parameter that they name exists and fits.

Words = Iterator[tuple[Place, str]]
"""What is wrong with one condition: keys below it, and what was expected."""


def condition_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields what is wrong with any condition of any file."""
    for file, place, condition in draft.conditions():
        for inner, each in walk(condition, place):
            for keys, expected in _faults(each, draft, form):
                yield file, (*inner, *keys), expected
    for contradiction in draft.contradictions:
        for index, part in enumerate(contradiction.between):
            if not isinstance(part, Named | Is | Answered | Measured):
                place = (contradiction.name, "between", index)
                yield "contradictions.yaml", place, "expected a finding or a test of one answer"


def _faults(condition: Condition, draft: Draft, form: Form) -> Words:
    if isinstance(condition, Named):
        return _named(condition, draft)
    if isinstance(condition, Is | Answered | Measured):
        return _answer(condition, draft, form)
    if isinstance(condition, InBand | Scored):
        return _score(condition, draft)
    if isinstance(condition, Switch):
        return _parameter(condition.parameter, "switch", (), draft)
    if isinstance(condition, AtTier | AtLevel):
        return _result(condition, draft)
    return _group(condition, draft)


def _named(condition: Named, draft: Draft) -> Words:
    if condition.finding not in {finding.name for finding in draft.findings}:
        yield (), f"expected the name of a finding; {condition.finding} is not in findings.yaml"


def _answer(condition: Is | Answered | Measured, draft: Draft, form: Form) -> Words:
    question = form.questions.get(condition.link_id)
    if question is None:
        yield (
            ("answer",),
            f"expected the linkId of a question; {condition.link_id} is not in the questionnaire",
        )
    elif isinstance(condition, Is):
        yield from _options(condition, question, draft)
    elif isinstance(condition, Measured):
        yield from _measured(condition, question, draft)


def _options(condition: Is, question: Question, draft: Draft) -> Words:
    if question.type == "boolean":
        if not all(isinstance(word, bool) for word in condition.words):
            yield ("is",), "expected true or false"
        return
    if question.type not in CHOICES:
        yield ("is",), f"expected a question with options; this one is of type {question.type}"
        return
    options = ", ".join(option.coding.code for option in question.options)
    for word in condition.words:
        if isinstance(word, bool) or not codings_of(question, word, draft.header.words):
            yield ("is",), f"expected options of this question ({options}); {word} is none of them"


def _measured(condition: Measured, question: Question, draft: Draft) -> Words:
    if question.type not in NUMBERS:
        yield (
            (condition.comparison,),
            f"expected a question for a number; this one is of type {question.type}",
        )
    for name in condition.parameters:
        yield from _parameter(name, COMPARISONS[condition.comparison], (condition.comparison,), draft)
    known = [
        draft.header.parameters[name] for name in condition.parameters if name in draft.header.parameters
    ]
    for expected in unit_faults(question, [each for each in known if not isinstance(each.value, bool)]):
        yield (condition.comparison,), expected


def _parameter(name: str, edge: str, keys: Place, draft: Draft) -> Words:
    parameter = draft.header.parameters.get(name)
    if parameter is None:
        yield (*keys, "parameter"), f"expected a parameter of guidance.yaml; {name} is not one"
    elif parameter.edge != edge:
        yield (
            (*keys, "parameter"),
            f"expected a parameter with the edge {edge}; that of {name} is {parameter.edge}",
        )


def _score(condition: InBand | Scored, draft: Draft) -> Words:
    bands = {score.name: [band.name for band in score.bands] for score in draft.scores}
    if condition.score not in bands:
        yield ("score",), unknown(condition.score, bands)
    elif isinstance(condition, InBand):
        for band in condition.bands:
            if band not in bands[condition.score]:
                yield ("band",), unknown(band, bands[condition.score])
    if isinstance(condition, Scored):
        yield from _parameter(
            condition.parameter, COMPARISONS[condition.comparison], (condition.comparison,), draft
        )


def _result(condition: AtTier | AtLevel, draft: Draft) -> Words:
    if isinstance(condition, AtTier):
        tiers = [tier.name for tier in draft.header.tiers]
        if condition.tier not in tiers:
            yield (f"tier-{condition.comparison}",), unknown(condition.tier, tiers)
        return
    levels = {outcome.name: outcome.levels for outcome in draft.header.outcomes}
    if condition.outcome not in levels:
        yield ("level", "outcome"), unknown(condition.outcome, levels)
    elif condition.level not in levels[condition.outcome]:
        yield ("level", "at-least"), unknown(condition.level, levels[condition.outcome])


def _group(group: Group, draft: Draft) -> Words:
    if len(set(group.parts)) < len(group.parts):
        yield (), "expected each condition once"
    if group.word != "at-least":
        return
    yield from _parameter(group.parameter, "at least", ("at-least",), draft)
    parameter = draft.header.parameters.get(group.parameter)
    if parameter is not None and not _counts(parameter, len(group.parts)):
        yield (
            ("at-least", "parameter"),
            f"expected a whole number from 1 to {len(group.parts)} in {parameter.name}",
        )


def _counts(parameter: Parameter, parts: int) -> bool:
    value = parameter.value
    return not isinstance(value, bool) and value == int(value) and Decimal(1) <= value <= parts


# Rules: each fires something that exists, each ladder is covered, each decision list comes to an end.


def rule_faults(draft: Draft) -> Iterator[Fault]:
    """Yields what is wrong with tiers, levels and the order of the rules."""
    tiers = [tier.name for tier in draft.header.tiers]
    for rule in draft.rules:
        if rule.tier and rule.tier not in tiers:
            yield "rules.yaml", (rule.name, "tier"), unknown(rule.tier, tiers)
        if rule.outcome:
            yield from _risk(rule, draft)
    yield from _unreached_tiers(draft)
    for outcome in draft.header.outcomes:
        yield from _decision_list(outcome, [rule for rule in draft.rules if rule.outcome == outcome.name])


def _risk(rule: RuleDraft, draft: Draft) -> Iterator[Fault]:
    outcomes = {outcome.name: outcome.levels for outcome in draft.header.outcomes}
    if rule.outcome not in outcomes:
        yield "rules.yaml", (rule.name, "risk", "outcome"), unknown(rule.outcome, outcomes)
    elif rule.level not in outcomes[rule.outcome]:
        yield "rules.yaml", (rule.name, "risk", "level"), unknown(rule.level, outcomes[rule.outcome])


def _unreached_tiers(draft: Draft) -> Iterator[Fault]:
    if not draft.header.tiers:
        yield "guidance.yaml", ("tiers",), "expected at least one tier, lowest first"
    reached = {rule.tier for rule in draft.rules}
    for tier in draft.header.tiers[1:]:
        if tier.name not in reached:
            yield (
                "guidance.yaml",
                ("tiers", tier.name),
                "no rule fires it; expected one for every tier but the lowest",
            )


def _decision_list(outcome: OutcomeDraft, rules: list[RuleDraft]) -> Iterator[Fault]:
    place = ("outcomes", outcome.name)
    if not rules or rules[-1].when is not None:
        where = ("rules.yaml", (rules[-1].name,)) if rules else ("guidance.yaml", place)
        yield *where, f"expected the last rule of the outcome {outcome.name} to say otherwise: true"
    for rule in rules[:-1]:
        if rule.when is None:
            yield (
                "rules.yaml",
                (rule.name, "otherwise"),
                f"expected only in the last rule of the outcome {outcome.name}",
            )
    fired = {rule.level for rule in rules}
    for index, level in enumerate(outcome.levels):
        if level not in fired:
            yield (
                "guidance.yaml",
                (*place, "levels", index),
                f"no rule fires {level}; expected one for every level",
            )


# Scores: every question has weights, and the bands cover every possible sum once.

_FILE = "scores.yaml"


def score_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields what is wrong with any score, and parameters that are compared with one but carry a unit."""
    for score in draft.scores:
        faults = [*_item_faults(score, form), *_end_faults(score, draft), *_repeated_bands(score)]
        yield from faults
        if not faults:
            weights = [weights_of(form.questions[link_id]) for link_id in score.items]
            yield from _band_faults(score_from(score, draft.header), weights)
    yield from _unit_faults(draft)


def _item_faults(score: ScoreDraft, form: Form) -> Iterator[Fault]:
    for index, link_id in enumerate(score.items):
        question = form.questions.get(link_id)
        place = (score.name, "sum-of", index)
        if question is None:
            yield _FILE, place, f"expected the linkId of a question; {link_id} is not in the questionnaire"
        elif not any(option.weight is not None for option in question.options):
            yield _FILE, place, "expected a question whose options have weights (itemWeight or ordinalValue)"
        elif link_id in score.items[:index]:
            yield _FILE, place, "expected each question once"


def _end_faults(score: ScoreDraft, draft: Draft) -> Iterator[Fault]:
    for band in score.bands:
        for key, end in (("from", band.low), ("to", band.high)):
            parameter = draft.header.parameters.get(end) if isinstance(end, str) else None
            if isinstance(end, str) and (
                parameter is None or isinstance(parameter.value, bool) or not plain(parameter)
            ):
                yield (
                    _FILE,
                    (score.name, "bands", band.name, key),
                    "expected a parameter that is a plain number",
                )


def _repeated_bands(score: ScoreDraft) -> Iterator[Fault]:
    names = [band.name for band in score.bands]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield _FILE, (score.name, "bands", name), "expected one entry of this name"


def _band_faults(score: Score, weights: list[Weights]) -> Iterator[Fault]:
    if not score.bands:
        yield _FILE, (score.name, "bands"), "expected at least one band"
        return
    step = _step(weights)
    lowest = sum((min(each.least, ZERO) if each.least > ZERO else each.least for each in weights), ZERO)
    yield from _first_and_last(score, lowest, sum((each.most for each in weights), ZERO))
    for index, (band, after) in enumerate(zip(score.bands, score.bands[1:], strict=False)):
        place: Place = (score.name, "bands", index + 1, "from")
        if after.low > band.high + step:
            yield _FILE, place, f"gap after {band.name}: expected {band.high + step}"
        elif after.low <= band.high:
            yield _FILE, place, f"overlap with {band.name}: expected {band.high + step}"
    for index, band in enumerate(score.bands):
        if band.high < band.low:
            yield _FILE, (score.name, "bands", index, "to"), f"expected {band.low} or more"


def _first_and_last(score: Score, lowest: Decimal, highest: Decimal) -> Iterator[Fault]:
    if score.bands[0].low > lowest:
        yield (
            _FILE,
            (score.name, "bands", 0, "from"),
            f"gap: expected {lowest} or less, the lowest possible sum",
        )
    if score.bands[-1].high < highest:
        place: Place = (score.name, "bands", len(score.bands) - 1, "to")
        yield _FILE, place, f"gap: expected {highest} or more, the highest possible sum"


def _step(weights: list[Weights]) -> Decimal:
    """The smallest difference that two sums can have: one unit of the last decimal place in use."""
    exponents = [int(weight.as_tuple().exponent) for each in weights for weight in each.by_answer.values()]
    return Decimal(1).scaleb(min([0, *exponents]))


def _unit_faults(draft: Draft) -> Iterator[Fault]:
    for file, place, condition in draft.conditions():
        for inner, each in walk(condition, place):
            parameter = draft.header.parameters.get(each.parameter) if isinstance(each, Scored) else None
            if parameter is not None and not plain(parameter):
                yield (
                    file,
                    inner,
                    f"expected a plain number; the unit of {parameter.name} is {parameter.unit}",
                )


# Use: findings do not go in circles, everything written is used, every statement is accounted for.

RECORDED = "recorded"
"""The kind of findings that are written down only: nothing needs to read them."""


def use_faults(draft: Draft) -> Iterator[Fault]:
    """Yields circles, entries that nothing uses, and statements without use or reason."""
    yield from _circles(draft)
    yield from _unused_findings(draft)
    yield from _unused_parameters(draft)
    yield from _statements(draft)


def citations(draft: Draft) -> Iterator[tuple[str, tuple[str | int, ...], tuple[str, ...]]]:
    """Yields the statements that each entry cites, with the file and the place of the entry."""
    header = draft.header
    yield from (
        ("guidance.yaml", ("parameters", each.name), each.sources) for each in header.parameters.values()
    )
    yield from (("guidance.yaml", ("tiers", each.name), each.sources) for each in header.tiers)
    yield from (("guidance.yaml", ("outcomes", each.name), each.sources) for each in header.outcomes)
    yield from (("findings.yaml", (each.name,), each.sources) for each in draft.findings)
    yield from (("rules.yaml", (each.name,), each.sources) for each in draft.rules)
    yield from (("advice.yaml", (each.name,), each.sources) for each in draft.advice)
    yield from (("scores.yaml", (each.name,), each.sources) for each in draft.scores)
    for table in draft.tables:
        for row in table.rows:
            yield "comparisons.yaml", (table.name, row.name, "left"), row.left.sources
            yield "comparisons.yaml", (table.name, row.name, "right"), row.right.sources


def _circles(draft: Draft) -> Iterator[Fault]:
    reads = {finding.name: _names(finding.when) for finding in draft.findings}
    done: set[str] = set()
    for start in reads:
        circle = _circle(start, reads, done)
        if circle:
            yield (
                "findings.yaml",
                (circle[0], "when"),
                f"goes in a circle: {' -> '.join(circle)}; expected none",
            )


def _circle(start: str, reads: dict[str, list[str]], done: set[str]) -> list[str]:
    """A circle that can be reached from `start` and holds no finding that is already done; else empty."""
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
    return [each.finding for _, each in walk(condition, ()) if isinstance(each, Named)]


def _unused_findings(draft: Draft) -> Iterator[Fault]:
    read = {name for _, _, condition in draft.conditions() for name in _names(condition)}
    read |= {name for contradiction in draft.contradictions for name in contradiction.worse}
    for finding in draft.findings:
        if finding.name not in read and finding.kind != RECORDED:
            expected = f"nothing reads it; expected a use, or kind: {RECORDED}"
            yield "findings.yaml", (finding.name,), expected


def _unused_parameters(draft: Draft) -> Iterator[Fault]:
    used = {name for _, _, condition in draft.conditions() for name in _parameters(condition)}
    used |= {
        end
        for score in draft.scores
        for band in score.bands
        for end in (band.low, band.high)
        if isinstance(end, str)
    }
    for name in draft.header.parameters:
        if name not in used:
            yield "guidance.yaml", ("parameters", name), "nothing reads it; expected a use, or to be left out"


def _parameters(condition: Condition) -> Iterator[str]:
    for _, each in walk(condition, ()):
        if isinstance(each, Measured):
            yield from each.parameters
        elif isinstance(each, Scored | Switch | Group) and each.parameter:
            yield each.parameter


def _statements(draft: Draft) -> Iterator[Fault]:
    listed = {statement.id for statement in draft.statements}
    cited: set[str] = set()
    for file, place, sources in citations(draft):
        for index, source in enumerate(sources):
            cited.add(source)
            if source not in listed:
                yield (
                    file,
                    (*place, "sources", index),
                    f"expected a statement of sources.yaml; {source} is not listed",
                )
    for statement in draft.statements:
        if statement.id in cited and statement.unused:
            yield "sources.yaml", (statement.id, "unused"), "is cited; expected no reason why it is unused"
        if statement.id not in cited and not statement.unused:
            yield "sources.yaml", (statement.id,), "is cited nowhere; expected a use, or unused: reason"


def faults_of(draft: Draft, form: Form) -> tuple[str, ...]:
    """A line per fault, `file.yaml: key path: what was expected`; empty if there is none."""
    found = [
        *name_faults(draft, form),
        *rule_faults(draft),
        *condition_faults(draft, form),
        *score_faults(draft, form),
        *use_faults(draft),
    ]
    return tuple(dict.fromkeys(fault_line(*fault) for fault in found))
