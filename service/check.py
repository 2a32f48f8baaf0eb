"""`python -m service check`: lints, worked cases, statement coverage and proofs, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from service import catalogue
from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.guidance.conditions import Answered, Condition, Group, Is, Measured
from service.guidance.model import Statement, Written
from service.proofs import prove
from service.questionnaire import Compiled
from service.questionnaire.items import Condition as EnableWhen
from service.questionnaire.items import Item
from service.settings import Settings

if TYPE_CHECKING:
    from service.proofs.answer_space import Asked


# When the questions of a questionnaire are asked, in the words of the guidance's conditions.


def asked_by(compiled: Compiled) -> Asked:
    """By linkId of every question with a condition (of its own or of what it stands in): when it is asked."""
    asked: dict[str, Condition] = {}
    for link_id in compiled.form.questions:
        parts = tuple(_conditions(compiled, compiled.items[link_id]))
        if parts:
            asked[link_id] = Group("all", parts)
    return asked


def _conditions(compiled: Compiled, item: Item) -> Iterator[Condition]:
    if item.conditions:
        word = "any" if item.any_condition else "all"
        yield Group(word, tuple(_condition(compiled, each) for each in item.conditions))
    if item.parent is not None:
        yield from _conditions(compiled, compiled.items[item.parent])


def _condition(compiled: Compiled, when: EnableWhen) -> Condition:
    answered = Answered(when.question)
    if when.operator == "exists":
        return answered if when.expected is True else Group("not", (answered,))
    if when.operator == "=" and isinstance(when.expected, bool):
        return Is(when.question, (when.expected,))
    codings = [option.coding for option in compiled.form.questions[when.question].options]
    if when.operator in ("=", "!=") and isinstance(when.expected, Coding):
        wanted = [coding.code for coding in codings if (coding == when.expected) is (when.operator == "=")]
        return Is(when.question, tuple(wanted))
    return Measured(when.question, when.operator, ())


# How far the guidance covers its source: which statements are used, which are not and why.


@dataclass(frozen=True, slots=True)
class Coverage:
    """Statements of the source that entries cite, and those that are listed with a reason why not."""

    used: tuple[Statement, ...]
    listed: tuple[Statement, ...]

    @property
    def line(self) -> str:
        """The report in one line."""
        accounted = len(self.used) + len(self.listed)
        return (
            f"{accounted} of {accounted} statements accounted for: "
            f"{len(self.used)} used, {len(self.listed)} listed with a reason"
        )


def coverage(written: Written) -> Coverage:
    """The coverage of a loaded guidance; loading has refused any statement that is neither or both."""
    statements = written.statements.values()
    return Coverage(
        used=tuple(each for each in statements if not each.unused),
        listed=tuple(each for each in statements if each.unused),
    )


SOUND, FAULTY = 0, 1


def run(settings: Settings, out: TextIO) -> int:
    """Checks everything that the settings name, prints a report, and returns the exit code.

    Returns:
        0 when nothing is wrong, 1 when there are faults; each fault is a line that names file,
        key path and expectation.
    """
    try:
        served = catalogue.read(
            settings.questionnaires_dir, settings.mappings_dir, canonical_base=settings.canonical_base
        )
    except GuidanceError as error:
        print(*(f"fault: {fault}" for fault in error.faults), sep="\n", file=out)
        return FAULTY
    failed = [canonical for canonical, pair in served.pairs.items() if not _report(canonical, pair, out)]
    return FAULTY if failed else SOUND


def _report(canonical: str, pair: catalogue.Pair, out: TextIO) -> bool:
    guidance = pair.guidance
    print(f"{canonical}: {len(pair.compiled.items)} items", file=out)
    print(f"  {coverage(guidance.written).line}", file=out)
    print(f"  {len(guidance.cases)} worked cases pass", file=out)
    report = prove(guidance, asked_by(pair.compiled))
    print(*(f"  {line}" for line in report.lines), sep="\n", file=out)
    return not report.failed
