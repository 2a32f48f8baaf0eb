"""A guidance as CQL: a definition for each finding, rule, step and level, decided as the service decides.

There are two libraries. NAMEAnswers has the answers that count and the tests of them; NAME has the findings,
the rules, the step and the levels.

An *unfit* answer (to a closed question, or one that contradicts others) makes no result better. So a rule is
evaluated without unfit answers, with them as "not sure", and with them as the worse value. Definitions that
unfit answers can change are written once for each of these ways, which their names tell.

Source: CQL 1.5; clinical decisions, sections 2 and 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from service.clinical_reasoning.cql_answers import (
    CONTEXT,
    AnswerNames,
    CqlLibrary,
    comment,
    define,
    functions,
    head,
    joined,
    name,
    quoted,
)
from service.clinical_reasoning.cql_nodes import ANSWERS, GuidanceNodes, Section, World
from service.guidance import Guidance
from service.guidance.conditions import Answered, Is, Measured
from service.guidance.graph import ABSENT, ASKED, PRESENT
from service.guidance.model import Outcome, Rule
from service.questionnaire import CompiledQuestionnaire

FITTING, DOUBTED, COUNTED = " without what does not fit", " in doubt", " as counted"
JUDGED: Final = " before contradictions"
"""Suffixes of definitions in which unfit answers count in another way than in a result."""

_OUTDATED: Final = "May be outdated"
_ABOUT_OUTDATED: Final = """
  Another response may be newer, and is not read here: to an adaptive form (nobody can see to which), to
  another version of the questionnaire, or one without a date. What is known is the least then.
""".strip()
_MAY_BE_NEWER: Final = """exists (
    [QuestionnaireResponse] R
      let written: Answers."Response".authored.value
      where R.status.value in {{ 'in-progress', 'completed', 'amended' }}
        and (
          ({is_read} and R.authored.value is null and written is not null)
          or ((StartsWith(R.questionnaire.value, '#') or StartsWith(R.questionnaire.value, {others}))
            and not ({is_read}) and (R.authored.value before written) is not true)
        )
      return all 1
  )"""


def libraries_of(guidance: Guidance, form: CompiledQuestionnaire) -> tuple[CqlLibrary, ...]:
    """Returns the libraries of a guidance, each after those that it includes.

    Raises:
        CannotBeWritten: there is something in the guidance or in its form for which no CQL is written.
    """
    return _Libraries(guidance, form).all()


class _Libraries(GuidanceNodes):
    """All libraries of one guidance."""

    # The libraries.

    def all(self) -> tuple[CqlLibrary, ...]:
        """Returns them, each after those that it includes."""
        return self._answers_library(), self._main()

    def _answers_library(self) -> CqlLibrary:
        writer, called = self.answers, self.base + ANSWERS
        title = self.written.identity.title
        about = [f"{title}: the answers of a response, and what each test of them gives."]
        body = [*writer.response()]
        for link in self.compiled.questions:
            body += writer.question(link)
        for derived in writer.derived:
            body += writer.derivation(derived)
        body += self._atom_definitions()
        text = head(called, self.version, {}, about) + "\n" + "\n".join(writer.terminology()) + "\n" + CONTEXT
        text += functions(of_dates=writer.needs_dates)
        return CqlLibrary(called, self.version, text + "\n" + "\n".join(body))

    def _main(self) -> CqlLibrary:
        text = head(self.base, self.version, {ANSWERS: self.base + ANSWERS}, self._about_all())
        return CqlLibrary(self.base, self.version, text + CONTEXT + "\n" + "\n".join(self._body()))

    def _about_all(self) -> list[str]:
        identity = self.written.identity
        return [
            f"{identity.title}, version {identity.version} ({identity.status}).",
            f"Source: {identity.source_note}",
            f"Review: {identity.review}",
            identity.intended_use.to_clinician,
            "It reads one QuestionnaireResponse that was found valid, no chart values and no earlier ones.",
            f"@guidance: {identity.canonical}",
            f"@questionnaire: {identity.questionnaire}",
        ]

    def _body(self) -> Iterator[str]:
        """Yields the definitions: first those of the result, then those that they use."""
        rules = {rule.name: self._rule(rule) for rule in self.written.rules}
        main, others = Section(self, self._worlds()[""]), self._others(rules)
        counted = [
            self.graph.rules[called] for called, value in rules.items() if not value or COUNTED in value
        ]
        borrowed = [node for section, roots in others for node in section.borrowed(roots)]
        yield from self._results()
        yield f"{comment(['Rules that what does not fit cannot make better.'])}\n"
        for rule in self.written.rules:
            if rules[rule.name]:
                yield define(f"Rule {rule.name}", rules[rule.name], self.about_rule(rule))
        yield f"{comment(['Findings and rules.'])}\n"
        main.renamed = {
            self.graph.rules[called]: f"Rule {called}{COUNTED}"
            for called, value in rules.items()
            if COUNTED in value
        }
        yield from main.definitions([*self.graph.findings.values(), *counted, *borrowed])
        for section, roots in others:
            yield f"{comment([f'What was written above,{section.world.suffix}.'])}\n"
            section.main = main
            yield from section.definitions(roots)

    def _others(self, rules: Mapping[str, str]) -> list[tuple[Section, list[int]]]:
        """Returns the sections for the other ways to count unfit answers, each with its roots."""
        roots = {
            suffix: [self.graph.rules[called] for called, value in rules.items() if f'{suffix}"' in value]
            for suffix in (FITTING, DOUBTED)
        }
        roots = {JUDGED: [table.node for table in self.compiled.contradictions], **roots}
        worlds = self._worlds()
        return [(Section(self, worlds[suffix]), nodes) for suffix, nodes in roots.items() if nodes]

    def _worlds(self) -> dict[str, World]:
        def worst_varies(node: int) -> bool:
            return self.worst_ways[node] != (True, True)

        def varies(node: int) -> bool:
            return worst_varies(node) or self.doubted_ways[node] != (True, True)

        return {
            "": World(self._worst_atom, self.forced),
            JUDGED: World(
                self._judged_atom, {}, JUDGED, lambda node: worst_varies(node) or self._clashes(node)
            ),
            FITTING: World(self._fitting_atom, {}, FITTING, worst_varies),
            DOUBTED: World(self._doubted_atom, self.doubts, DOUBTED, varies),
        }

    def _clashes(self, index: int) -> bool:
        """Whether a node belongs to contradictions alone."""
        node = self.graph.nodes[index]
        return self.names.get(index, "").startswith("Contradiction ") or (
            node.atom is not None and node.atom.ignored_too
        )

    # Rules: what does not fit makes no result better.

    def _rule(self, rule: Rule) -> str:
        """Returns a rule as an expression of its variants; empty if unfit answers cannot change it."""
        node, worse = self.graph.rules[rule.name], self.compiled.worse
        rising, falling = self.worst_ways[node]
        fitting, doubted, counted = (
            name(f"Rule {rule.name}{suffix}") for suffix in (FITTING, DOUBTED, COUNTED)
        )
        if worse.overlay >> 2 * node & 1:
            if self.doubted_ways[node] == (True, True) and (rising, falling) == (True, True):
                return ""
            plain = counted if rising and falling else fitting
            return doubted if self.doubted_ways[node][0] else f"{plain} or {doubted}"
        if rising and falling:
            return ""
        if worse.alarming >> 2 * node & 1:
            return "" if rising else fitting if falling else f"{fitting} or {counted}"
        if worse.calming >> 2 * node & 1:
            return fitting if rising else "" if falling else f"{fitting} and {counted}"
        return ""

    # Tests of answers, in each world.

    def _variant(self, index: int) -> str:
        """Returns the name of an atom's test in the library of answers."""
        atom = self._atom(index)
        ends = {PRESENT: " or not sure", ABSENT: " for certain", ASKED: " is open"}
        return self.answers.called(atom.test) + ends.get(atom.undecided, "")  # type: ignore[arg-type] # answers

    def _fitting_atom(self, index: int) -> str:
        return f"{ANSWERS}.{name(self._variant(index))}"

    def _worst_atom(self, index: int) -> str:
        fitting = self._fitting_atom(index)
        if not self._is_worse(index):
            return fitting
        return f"({fitting} or {ANSWERS}.{name(self._variant(index) + ', not asked')})"

    def _doubted_atom(self, index: int) -> str:
        fitting = self._fitting_atom(index)
        if not self._is_doubted(index) or self._atom(index).undecided == ABSENT:
            return fitting
        return f"({fitting} or {ANSWERS}.{name(self._variant(index) + ', doubted')})"

    def _judged_atom(self, index: int) -> str:
        if self._atom(index).ignored_too:
            return f"{ANSWERS}.{name(self._variant(index) + ', asked or not')}"
        return self._worst_atom(index)

    def _atom_definitions(self) -> Iterator[str]:
        """Yields the definition of every test of answers that is used, in each of its variants."""
        needed = self.graph.below([*self.graph.findings.values(), *self.graph.rules.values()])
        needed |= self.graph.below(self.graph.contradictions)
        done = set[str]()
        for index, _ in self._tests():
            called = self._variant(index)
            if index not in needed:
                continue
            for suffix, expression in self._definitions_of(index):
                if called + suffix not in done:
                    done.add(called + suffix)
                    yield define(called + suffix, expression)
        for link in self.answers.links:
            if link in self.unfit:
                worse = [
                    name(f"{self._variant(index)}, not asked")
                    for index, test in self._tests()
                    if test.link_id == link and index in self._worse
                ]
                yield define(AnswerNames(link).unfit, joined("or", [*dict.fromkeys(worse)], empty="false"))

    def _definitions_of(self, index: int) -> Iterator[tuple[str, str]]:
        """Yields the suffix of each variant of a test, and the test."""
        atom = self._atom(index)
        test, names = atom.test, AnswerNames(atom.test.link_id)  # type: ignore[union-attr] # of answers
        if not isinstance(test, Is | Measured | Answered):
            return
        is_conditional = test.link_id in self.answers.conditional
        verdict = self.answers.verdict(test, name(names.answers))
        unread = name(names.unread) if self._may_be_unread(test) else ""
        answered = name(names.answered)
        if not isinstance(test, Answered):
            read = _read(verdict, atom.undecided, unread)
            is_never_open = atom.undecided == ABSENT
            yield (
                "",
                f"if {answered} then {read} else {answered}" if is_never_open else f"{answered} and {read}",
            )
        if not is_conditional:
            if atom.ignored_too:
                yield ", asked or not", name(self._variant(index))
            return
        elsewhere = name(names.elsewhere)
        unasked = self.answers.verdict(test, elsewhere)
        if atom.ignored_too:
            yield (
                ", asked or not",
                (
                    f"case\n    when exists {name(names.answers)} then {name(self._variant(index))}"
                    f"\n    when exists {elsewhere} then ({unasked}) is true\n    else {answered}\n  end"
                ),
            )
            return
        if index in self._worse:
            yield ", not asked", f"exists {elsewhere} and ({_read(unasked, atom.undecided, unread)}) is true"
        if test.link_id in self.unfit and atom.undecided != ABSENT:
            counts = "true" if atom.undecided in (PRESENT, ASKED) else "null as Boolean"
            clear = f"{name(names.unfit)} and ({unasked}) is true"
            yield ", doubted", f"if {clear} then {counts} else false"

    def _may_be_unread(self, test: Is | Measured | Answered) -> bool:
        question = self.answers.questions.get(test.link_id)
        return question is not None and question.repeats

    # The step and the levels.

    def _outdated(self) -> str:
        """Returns whether a response that is not read may be newer than the one that is."""
        canonical, url = self.answers.form.canonical, self.answers.form.url
        is_read = f"R.questionnaire.value in {{ {quoted(canonical)}, {quoted(url)} }}"
        return define(
            _OUTDATED, _MAY_BE_NEWER.format(is_read=is_read, others=quoted(f"{url}|")), [_ABOUT_OUTDATED]
        )

    def _results(self) -> Iterator[str]:
        tiers = sorted(self.written.tiers, key=lambda tier: -tier.rank)
        fired = {rule.tier for rule in self.written.rules}
        mildest = next((tier.code for tier in reversed(tiers) if tier.code in fired), "")
        yield self._outdated()
        yield f"{comment(['The step: the highest that a rule fires.'])}\n"
        for tier in tiers:
            rules = [name(f"Rule {rule.name}") for rule in self.written.rules if rule.tier == tier.code]
            about = [tier.says.to_clinician or tier.display, *self._sources(tier.sources)]
            if rules or tier.rank:
                fires = "\n    or ".join(rules) or "false"
                if tier.recheck is not None or tier.code == mildest:  # not by what may be out of date
                    fires = f"if {name(_OUTDATED)} then null as Boolean\n  else {fires}"
                yield define(f"Step is {tier.code}", fires, about)
        yield from _ends("Step", "Step is", [tier.code for tier in tiers])
        lowest = quoted(tiers[-1].code)
        yield define(
            "Is assessable",
            f'"Step at least" = "Step at most" or "Step at least" != {lowest}',
            ["Whether more is known than the lowest step, or nothing that is open could raise it."],
        )
        yield define(
            "Step",
            'if "Is assessable" then "Step at least" else \'not-assessable\'',
            ['The step; where nothing fired and something is still open, "not-assessable".'],
        )
        yield from self._days()
        for outcome in self.written.outcomes:
            yield from self._levels(outcome)

    def _days(self) -> Iterator[str]:
        dated = [(rule, self.written.days_of(rule)) for rule in self.written.rules if rule.tier]
        days = [
            f"if {name(f'Rule {rule.name}')} then {days} else null"
            for rule, days in dated
            if days is not None
        ]
        if days:
            listed = ",\n    ".join(days)
            about = ["The earliest of the latest dates of all rules that hold, in days after the response."]
            yield define("Days until seen", f"Min({{\n    {listed}\n  }})", about)

    def _levels(self, outcome: Outcome) -> Iterator[str]:
        """Yields the levels of an outcome: of its rules the first that holds decides."""
        rules = [rule for rule in self.graph_order if rule.outcome == outcome.code]
        yield f"{comment([f'{outcome.display}: of its rules the first that holds decides.'])}\n"
        for level in reversed(outcome.levels):
            parts = []
            for place, rule in enumerate(rules):
                if rule.level == level:
                    before = [name(f"Rule {other.name}") for other in rules[:place] if other.level != level]
                    own = "true" if rule.when is None else name(f"Rule {rule.name}")
                    denied = [f"not {joined('or', before, empty='false')}"] * bool(before)
                    parts.append(joined("and", [own, *denied], empty="true"))
            yield define(f"{outcome.code} is {level}", joined("or", parts, empty="false"))
        yield from _ends(outcome.code, f"{outcome.code} is", [*reversed(outcome.levels)])

    @property
    def graph_order(self) -> list[Rule]:
        """All rules, in the order in which they decide."""
        return [table.rule for table in self.compiled.block.rules]


def _read(verdict: str, undecided: str, unread: str) -> str:
    """Returns what a test gives where an answer that does not decide it counts as `undecided` says."""
    if undecided == ASKED:
        open_ = f"{verdict} is null"
        return f"({open_} or ({unread} and {verdict} is not true))" if unread else f"({open_})"
    found = {PRESENT: f"({verdict} is not false)", ABSENT: f"({verdict} is true)"}.get(undecided, verdict)
    return f"({found} or {unread})" if unread else found


def _ends(called: str, prefix: str, codes: list[str]) -> Iterator[str]:
    """Yields the lowest and the highest that something can be; `codes` has the highest first."""
    down = "".join(f"\n    when {name(f'{prefix} {code}')} then {quoted(code)}" for code in codes[:-1])
    last = quoted(codes[-1])
    if prefix.startswith("Step "):
        yield define(f"{called} at least", f"case{down}\n    else {last}\n  end" if down else last)
    else:
        up = "".join(
            f"\n    when {name(f'{prefix} {code}')} is not false then {quoted(code)}" for code in codes[:0:-1]
        )
        yield define(
            f"{called} at least", f"case{up}\n    else {quoted(codes[0])}\n  end" if up else quoted(codes[0])
        )
    outdated = f"\n    when {name(_OUTDATED)} then {quoted(codes[0])}" * prefix.startswith("Step ")
    most = outdated + "".join(
        f"\n    when {name(f'{prefix} {code}')} is not false then {quoted(code)}" for code in codes[:-1]
    )
    yield define(f"{called} at most", f"case{most}\n    else {last}\n  end" if most else last)
