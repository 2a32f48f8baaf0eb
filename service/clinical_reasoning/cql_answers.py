"""The answers of a response in CQL: where they stand, which of them count, and what they say.

Every value is true, false or null, and null is unknown. What is not answered is null, unless an answer that
was given closes the question for certain: then it is false. An answer that decides nothing ("not sure", a
range over a limit, a text in place of an option) is null.

Source: CQL 1.5 (https://cql.hl7.org), three-valued logic in its author's guide; FHIR R4
Questionnaire.item.enableWhen; clinical decisions, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from pathlib import Path
from textwrap import fill
from typing import Final

import msgspec

from service.datatypes.answers import Answer, Coding
from service.datatypes.form import Question
from service.datatypes.ucum import brought_to, converted
from service.errors import GuidanceError
from service.guidance import Guidance
from service.guidance.conditions import Answered, Is, Measured
from service.guidance.options import CHOICES, DATES, DAY, NUMBERS, PLAIN, codings_of, unsure_codings
from service.questionnaire import CompiledQuestionnaire
from service.questionnaire.items import EnableWhen, Item

# Text of CQL.

WIDTH: Final = 110
"""Of a line of comment."""


def name(text: str) -> str:
    """Returns a quoted identifier."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted(text: str) -> str:
    """Returns a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def comment(lines: Iterable[str]) -> str:
    """Returns a comment of several lines that no text in it can end; a tag stands on one line."""
    wrapped = "".join(f"{_wrapped(line)}\n" for line in lines)
    return f"/*\n{wrapped.replace('*/', '* /')}*/"


def _wrapped(line: str) -> str:
    if line.startswith("@"):
        return f"  {line}"
    return fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ")


def joined(word: str, parts: Sequence[str], *, empty: str) -> str:
    """Returns the parts with `and` or `or` between them, in parentheses if they are several."""
    if not parts:
        return empty
    return parts[0] if len(parts) == 1 else f"({f' {word} '.join(parts)})"


def define(called: str, expression: str, about: Iterable[str] = ()) -> str:
    """Returns one definition, with comments before it."""
    lines = list(about)
    return f"{comment(lines)}\n" * bool(lines) + f"define {name(called)}:\n  {expression}\n"


class CqlLibrary(msgspec.Struct, frozen=True):
    """One library: its name, and its text."""

    name: str
    version: str
    text: str


def library_name(guidance: Guidance) -> str:
    """Returns the name of the main library, which CQL can write without quotes."""
    words = re.findall(r"[A-Za-z0-9]+", guidance.written.identity.slug)
    found = "".join(word[:1].upper() + word[1:] for word in words)
    return found if found[:1].isalpha() else f"Guidance{found}"


def head(called: str, version: str, includes: Mapping[str, str], about: Iterable[str]) -> str:
    """Returns the head of a library; `includes` has the libraries that it uses, by their alias."""
    lines = [comment(about), f"library {called} version {quoted(version)}", ""]
    lines += ["using FHIR version '4.0.1'", ""]
    lines += [
        f"include {library} version {quoted(version)} called {alias}" for alias, library in includes.items()
    ]
    return "\n".join(lines) + "\n"


CONTEXT: Final = "\ncontext Patient\n"

_FOLDER: Final = Path(__file__).parent
_FILES: Final = ("answers.cql", "dates.cql")


def functions(*, of_dates: bool) -> str:
    """Returns what every library of answers begins with; with dates also what these need.

    Args:
        of_dates: whether a date is asked for, or a quantity is derived.
    """
    return "".join(f"\n{_FOLDER.joinpath(file).read_text()}" for file in _FILES[: 1 + of_dates])


class CannotBeWritten(GuidanceError):
    """The form or the guidance has something for which no CQL is written."""


_EDGES: Mapping[str, tuple[str, bool]] = {
    "more than": ("MoreThan", False),
    "at least": ("AtLeastAs", False),
    "less than": ("AtLeastAs", True),
    "at most": ("MoreThan", True),
}
"""The function of each edge, and whether the edge is what it denies."""

_DIGITS: Final = Decimal("1e-8")
"""CQL's decimals have eight places."""


def limit_of(value: Fraction, edge: str) -> Decimal:
    """Returns a limit with eight decimal places, beyond which the same numbers of eight places lie."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    is_above = edge in ("more than", "at most")
    kept = exact.quantize(_DIGITS, ROUND_FLOOR if is_above else ROUND_CEILING)
    return kept.normalize() if kept else Decimal(0)


def decimal(value: Decimal | int) -> str:
    """Returns a number as a Decimal literal."""
    text = f"{Decimal(value):f}"
    return text if "." in text else f"{text}.0"


def compared(edge: str, number: str, limit: str, prefix: str = "") -> str:
    """Returns the test whether a number lies beyond a limit."""
    function, denied = _EDGES[edge]
    call = f"{prefix}{function}({number}, {limit})"
    return f"not {call}" if denied else call


class AnswerNames:
    """What the definitions about one question are called."""

    def __init__(self, link_id: str) -> None:
        self.sent = f"{link_id} sent"
        self.answers = f"answers to {link_id}"
        self.elsewhere = f"answers to {link_id} though not asked"
        self.asked = f"{link_id} is asked"
        self.closed = f"{link_id} is closed"
        self.answered = f"{link_id} is answered"
        self.decided = f"{link_id} is decided"
        self.unread = f"{link_id} may hide more"
        self.unfit = f"{link_id} does not fit"


class AnswersWriter:
    """Writes the definitions of every question that counts.

    Raises:
        CannotBeWritten: a group repeats, or a condition of the form is of a kind that is not written.
    """

    def __init__(self, guidance: Guidance, form: CompiledQuestionnaire) -> None:
        self.written = guidance.written
        self.form = form
        self.questions = guidance.form.questions
        self.compiled = guidance.compiled
        self.derived = {derived.name: derived for derived in self.compiled.dates.derived}
        self.links = tuple(self.compiled.questions)
        self._faults = list(self._not_written())
        if self._faults:
            raise CannotBeWritten(self._faults)
        self.conditional = {link for link in self.links if self.questions[link].enabled_by}
        self.needs_dates = any(self.questions[link].type in DATES for link in self.links) or bool(
            self.derived
        )
        self._codes: dict[Coding, str] = {}
        for link in self.links:
            for option in self.questions[link].options:
                self._codes.setdefault(option.coding, option.coding.code)

    def _not_written(self) -> Iterator[str]:
        for item in self.form.items.values():
            below = [link for link in self.links if item.order < self.form.items[link].order < item.end]
            if item.repeats and below:
                yield f"{item.link_id}: items inside an item that repeats are not written in CQL"
            if item.enable_expression and (below or item.link_id in self.links):
                yield f"{item.link_id}: an enableWhenExpression is not written in CQL"
            for condition in item.enable_when if below or item.link_id in self.links else ():
                if not _is_plain(condition, self.form.items):
                    yield f"{item.link_id}: this enableWhen ({condition.operator}) is not written in CQL"

    # Codes.

    def code_of(self, coding: Coding) -> str:
        """Returns the name of an option's code: the code, with its system if several systems have it."""
        alike = [other for other in self._codes if other.code == coding.code]
        return name(coding.code if len(alike) < 2 else f"{coding.code} of {coding.system}")

    def code_list(self, codings: Iterable[Coding]) -> str:
        """Returns a list of codes."""
        return "{ " + ", ".join(dict.fromkeys(map(self.code_of, codings))) + " }"

    def terminology(self) -> Iterator[str]:
        """Yields the code systems and the codes of all options."""
        systems = dict.fromkeys(coding.system for coding in self._codes)
        for system in systems:
            yield f"codesystem {name(system or 'no system')}: {quoted(system)}"
        yield ""
        for coding in self._codes:
            system = name(coding.system or "no system")
            yield f"code {self.code_of(coding)}: {quoted(coding.code)} from {system}"

    # Where answers stand, and which of them count.

    def response(self) -> Iterator[str]:
        """Yields the definition of the response, and of when it was written."""
        url, _, version = self.form.canonical.partition("|")
        named = ", ".join(quoted(text) for text in dict.fromkeys((self.form.canonical, url)))
        yield define(
            "Response",
            "Last(\n    [QuestionnaireResponse] R\n"
            f"      where R.questionnaire.value in {{ {named} }}\n"
            "        and R.status.value in { 'in-progress', 'completed', 'amended' }\n"
            "      sort by authored.value\n  )",
            [f"The newest response of the person to version {version} of the questionnaire."],
        )
        if self.needs_dates:
            yield define(
                "Written on",
                'if day from "Response".authored.value is null then null '
                'else date from "Response".authored.value',
                ["Days are reckoned from here, never from the clock."],
            )
        yield define("Items", 'Plain("Response".item)')
        for item in self.form.items.values():
            if any(item.order < self.form.items[link].order < item.end for link in self.links):
                yield self._children(item)

    def _children(self, item: Item) -> str:
        function = "ItemsOf" if item.type == "group" else "ItemsUnder"
        return define(
            f"Items of {item.link_id}", f"{function}({self._siblings(item)}, {quoted(item.link_id)})"
        )

    def _siblings(self, item: Item) -> str:
        return name("Items" if item.parent is None else f"Items of {item.parent}")

    def question(self, link: str) -> Iterator[str]:
        """Yields the definitions of the answers to one question."""
        question, names, item = self.questions[link], AnswerNames(link), self.form.items[link]
        is_conditional = link in self.conditional
        values = f"{_READ[_kind(question)]}({self._siblings(item)}, {quoted(link)})"
        about = [f"{link}: {question.text}"]
        if self._may_be_unread(link):
            yield define(f"{link} raw", values)
            values = name(f"{link} raw")
            yield define(
                names.unread,
                f"if exists ({values} A where A is null return all 1) then null as Boolean else false",
            )
        readable = f"({values}) A where A is not null return all A"
        yield define(names.sent if is_conditional else names.answers, readable, about)
        if is_conditional:
            yield define(names.asked, self._asked(item))
            yield define(names.closed, self._closed(item))
            yield define(
                names.answers, f"{name(names.sent)} A where {name(names.asked)} is not false return all A"
            )
            yield define(
                names.elsewhere, f"{name(names.sent)} A where {name(names.asked)} is false return all A"
            )
        yield self._answered(names, is_conditional)
        if question.options and _kind(question) == "code":
            decides = self._deciding(question)
            undecided = f"{name(names.answers)} A where not (A in {self.code_list(decides)}) return all 1"
            yield define(names.decided, f"not exists ({undecided})")

    def _may_be_unread(self, link: str) -> bool:
        is_read = any(
            condition.question == link for item in self.form.items.values() for condition in item.enable_when
        )
        return self.questions[link].repeats or is_read

    def _deciding(self, question: Question) -> list[Coding]:
        unsure = unsure_codings(question, self.written.words)
        return [option.coding for option in question.options if option.coding not in unsure]

    def _answered(self, names: AnswerNames, is_conditional: bool) -> str:  # noqa: FBT001 - the two kinds there are
        closed = f"when {name(names.closed)} then false " * is_conditional
        return define(
            names.answered,
            f"case when exists {name(names.answers)} then true {closed}else null as Boolean end",
        )

    # Which questions are asked (enableWhen).

    def _above(self, item: Item) -> Iterator[Item]:
        """Yields the item and those above it that have conditions."""
        above: Item | None = item
        while above is not None:
            if above.enable_when:
                yield above
            above = self.form.items[above.parent] if above.parent is not None else None

    def _asked(self, item: Item) -> str:
        verdicts = []
        for conditional in self._above(item):
            parts = [self._holds(condition) for condition in conditional.enable_when]
            verdicts.append(joined("or" if conditional.enable_any else "and", parts, empty="true"))
        return joined("and", verdicts, empty="true")

    def _closed(self, item: Item) -> str:
        verdicts = []
        for conditional in self._above(item):
            parts = [self._never(condition) for condition in conditional.enable_when]
            verdicts.append(joined("and" if conditional.enable_any else "or", parts, empty="false"))
        return joined("or", verdicts, empty="false")

    def _holds(self, condition: EnableWhen) -> str:
        names, expected = AnswerNames(condition.question), condition.expected
        answers = name(names.answers)
        if condition.operator == "exists":
            return f"exists {answers}"
        if isinstance(expected, Coding):
            options = self.code_list([expected]) if expected in self._codes else _code_literal(expected)
            test = f"HasOneOf({answers}, {options})"
            if condition.operator == "!=":
                test = f"exists ({answers} A where not (A in {options}) return all 1)"
        elif isinstance(expected, bool):
            test = f"exists ({answers} A where A {condition.operator} {str(expected).lower()} return all 1)"
        else:
            compares = f"A.low {condition.operator} {_number(expected)}"
            test = f"exists ({answers} A where {compares} return all 1)"
        return f"({test} or {name(names.unread)})"

    def _never(self, condition: EnableWhen) -> str:
        names = AnswerNames(condition.question)
        never = f"(exists {name(names.answers)} and {self._holds(condition)} is false)"
        if condition.question in self.conditional:
            return f"({name(names.closed)} or {never})"
        return never

    # Quantities that are derived.

    def derivation(self, called: str) -> Iterator[str]:
        """Yields the definitions of one derived quantity."""
        derived, names = self.derived[called], AnswerNames(called)
        sources = sorted(derived.sources, key=lambda link: self.form.items[link].order)
        present = " and ".join(f"exists {name(AnswerNames(link).answers)}" for link in sources)
        parts = [self._in_days(part, derived.units.get(part, "")) for part in derived.of]
        if len(parts) == 1:
            values = f"{parts[0]} A where {present} return all A"
        else:
            values = f"from {parts[0]} A, {parts[1]} B\n    where {present}\n    return all Difference(A, B)"
        yield define(names.answers, values, [f"{called}: {self.written.derived[called].word}, in days"])
        closing = [
            f"({name(AnswerNames(link).closed)} and not exists {name(AnswerNames(link).answers)})"
            for link in sources
            if link in self.conditional
        ]
        yield define(names.closed, joined("or", closing, empty="false"))
        yield self._answered(names, True)  # noqa: FBT003 - it may be closed

    def _in_days(self, part: str, unit: str) -> str:
        answers = name(AnswerNames(part).answers)
        if part in self.derived or self.questions[part].type in DATES:
            return answers
        units = [unit] if unit else self._units_of(self.questions[part])
        cases = ""
        for code in units:
            factor = converted(1, code, DAY)
            if factor is not None:
                cases += f" when {quoted(PLAIN if unit else code)} then {decimal(_rounded(factor))}"
        return f"({answers} A return all InDays(A, case A.unit{cases} else null end))"

    @staticmethod
    def _units_of(question: Question) -> list[str]:
        return [*dict.fromkeys((*question.units, DAY, "wk", "mo", "a", "h"))]

    # Tests of answers.

    def called(self, test: Is | Measured | Answered) -> str:
        """Returns the name of a test of answers."""
        if isinstance(test, Answered):
            return AnswerNames(test.link_id).answered
        if isinstance(test, Is):
            words = [str(word).lower() if isinstance(word, bool) else word for word in test.words]
            return f"{test.link_id} is {' or '.join(words)}"
        words = [test.comparison.replace("-", " "), " or ".join(test.parameters)]
        return f"{test.link_id} {' '.join(words)}"

    def verdict(self, test: Is | Measured | Answered, answers: str) -> str:
        """Returns the expression for a test of answers; null if there are none."""
        if isinstance(test, Answered):
            return f"exists {answers}"
        if isinstance(test, Measured):
            return self._measured(test, answers)
        question = self.questions[test.link_id]
        if _kind(question) == "boolean":
            words = ", ".join(str(word).lower() for word in test.words)
            return f"Any({answers} A return all A in {{ {words} }})"
        if _kind(question) != "code":
            raise CannotBeWritten(
                [f"{test.link_id}: a choice of numbers by its option is not written in CQL"]
            )
        options = self.code_list(self._named(test))
        if answers == name(AnswerNames(test.link_id).answers):
            return f"Chosen({answers}, {options}, {name(AnswerNames(test.link_id).decided)})"
        undecided = f"{answers} A where not (A in {self.code_list(self._deciding(question))}) return all 1"
        return f"Chosen({answers}, {options}, not exists ({undecided}))"

    def _named(self, test: Is) -> list[Coding]:
        question, words = self.questions[test.link_id], self.written.words
        return [coding for word in test.words for coding in codings_of(question, str(word), words)]

    def _measured(self, test: Measured, answers: str) -> str:
        parameters = [self.written.parameters[called] for called in test.parameters]
        edge = parameters[0].edge
        question = self.questions.get(test.link_id)
        units = dict.fromkeys([DAY] if question is None else [PLAIN, *question.units])
        units.update(dict.fromkeys(parameter.unit for parameter in parameters))
        conversions = self.written.conversions(test.link_id)
        units.update(dict.fromkeys(unit for known in conversions for unit in (known.source, known.target)))
        if question is not None and question.type in DATES:
            units = {DAY: None}
        cases = ""
        for unit in units:
            for parameter in parameters:
                limit = brought_to(Decimal(parameter.value), parameter.unit, unit, conversions)
                if limit is not None:
                    cases += f"\n      when {quoted(unit)} then {decimal(limit_of(limit, edge))}"
                    break
        limits = f"case A.unit{cases}\n      else null as Decimal\n    end" if cases else "null as Decimal"
        return f"Any(({answers}) A return all {compared(edge, 'A', limits)})"


def _kind(question: Question) -> str:
    if question.type in CHOICES:
        return "number" if question.numbers else "code"
    if question.type in NUMBERS:
        return "number"
    return "days" if question.type in DATES else "boolean" if question.type == "boolean" else "any"


_READ: Mapping[str, str] = {
    "code": "Codes",
    "number": "Numbers",
    "days": "Days",
    "boolean": "Booleans",
    "any": "Answered",
}
"""The function that reads the answers to a question, by kind."""


def _is_plain(condition: EnableWhen, items: Mapping[str, Item]) -> bool:
    """Whether a condition of the form can be written: equal or not, compared as a number, or answered."""
    expected = condition.expected
    if condition.question not in items or expected is None:
        return False
    if condition.operator == "exists":
        return expected is True
    if isinstance(expected, Coding | bool):
        return condition.operator in ("=", "!=")
    kind = items[condition.question].type in ("integer", "decimal")
    return kind and isinstance(expected, int | Decimal)


def _code_literal(coding: Coding) -> str:
    return f"{{ Code {{ system: {quoted(coding.system)}, code: {quoted(coding.code)} }} }}"


def _number(value: Answer | None) -> str:
    return decimal(value) if isinstance(value, int | Decimal) else "null"


def _rounded(factor: Fraction) -> Decimal:
    return (Decimal(factor.numerator) / Decimal(factor.denominator)).quantize(_DIGITS).normalize()
