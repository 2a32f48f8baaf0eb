"""What `python -m service check` prints: types, lints, worked cases, coverage and proofs, a line each.

What was found sound is not checked again while files and program are what they were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TextIO

import msgspec

from service import catalogue
from service.authoring.editions import Folders, folders_in
from service.authoring.translations import language_gaps, outdated_lines
from service.authoring.warnings import (
    coverage_lines,
    faults_of,
    undecided,
    unscored,
    warnings_of,
)
from service.cds_hooks import trigger_faults, trigger_warnings
from service.checked import CheckedGuidance, CheckRecord, Kept, can_prove
from service.datatypes.answers import AnswersByLink, Coding
from service.datatypes.days import day_before
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.fhir.definitions import Canonicals, own_definitions
from service.fhir.json import read_published
from service.guidance import Guidance
from service.guidance.cases import Case
from service.guidance.conditions import Answered, AskedWhen, Condition, Group, Is, Measured
from service.guidance.floor import Floor, Interviewed, floor_of
from service.guidance.model import Written
from service.guidance.result import Result
from service.questionnaire import CompiledQuestionnaire
from service.questionnaire.items import EnableWhen, Item
from service.settings import Settings

SOUND, FAULTY = 0, 1


class Wanted(msgspec.Struct, frozen=True):
    """What is to be checked.

    Args:
        folders: named by a person; none: those of the settings.
        cache: folder in which it is kept what was found sound; None to keep nothing.
        every: check what has not changed too.
    """

    folders: tuple[Path, ...] = ()
    cache: Path | None = None
    every: bool = False


def run(settings: Settings, out: TextIO, wanted: Wanted | None = None) -> int:
    """Checks everything that is wanted, prints a report, and returns the exit code.

    Returns:
        0 when nothing is wrong, 1 when there are faults; each fault is a line that names file,
        key path and expectation. Warnings change nothing.

    Raises:
        GuidanceError: a folder that a person named holds no guidance.
    """
    wanted = wanted or Wanted()
    kept = Kept(wanted.cache, settings, reads=not wanted.every)
    targets = [folders_in(path, settings) for path in wanted.folders] or [_all_folders(settings)]
    sound = [_checked(target, settings, kept, out) for target in targets]
    return SOUND if all(sound) else FAULTY


def _all_folders(settings: Settings) -> Folders:
    """Returns every folder of mappings, those without guidance.yaml too: each of them is a fault."""
    inside = sorted(settings.mappings_dir.iterdir())
    mappings = tuple(path for path in inside if path.is_dir() and not path.name.startswith("."))
    return Folders(mappings, settings.questionnaires_dir, whole=True)


def _checked(target: Folders, settings: Settings, kept: Kept, out: TextIO) -> bool:
    """Checks the guidance of some folders with their questionnaires, and returns whether all is right."""
    kept.watch(target.files)
    known = kept.report(target.files())
    served = target.questionnaires, target.mappings
    record, canonicals = kept.record(*served), Canonicals(settings.canonical_base)
    if known and record is not None:
        if not kept.prepared(*served):
            _prepare(target, settings, kept, record)
        out.write(f"{known}nothing has changed since this was checked; --all checks it again\n")
        return True
    faults = list(type_faults(target.questionnaires))
    try:
        published = catalogue.read_questionnaires(target.questionnaires, canonicals, settings.terminology_dir)
    except GuidanceError as error:
        return _refused([*faults, *error.faults], out)
    mapped = catalogue.read_mappings(target.mappings, published, canonicals)
    pairs = mapped.pairs
    faults += [*mapped.faults, *(f"{pair.slug}/{fault}" for pair in pairs for fault in faults_of(pair))]
    faults += _other_faults(target, pairs, published, canonicals)
    if faults:
        return _refused(faults, out)
    report = StringIO()
    sound = [_of_pair(pair, target, published, kept, canonicals, report) for pair in pairs]
    if target.whole:
        notes = unscored(published, {pair.compiled.canonical for pair in pairs})
        report.writelines(f"warning: {note}\n" for note in notes)
    out.write(report.getvalue())
    if all(sound):
        kept.keep(target.files(), report.getvalue())
        kept.keep_record(*served, _record_of(pairs))
        kept.keep_prepared(*served, catalogue.prepared_from(pairs, published))
    return all(sound)


def _prepare(target: Folders, settings: Settings, kept: Kept, record: CheckRecord) -> None:
    """Compiles again for the start what has not changed since it was checked, and proves nothing again."""
    canonicals = Canonicals(settings.canonical_base)
    with suppress(GuidanceError):  # it has changed by now
        published = catalogue.read_questionnaires(target.questionnaires, canonicals, settings.terminology_dir)
        mapped = catalogue.read_mappings(target.mappings, published, canonicals, hashes=record.hashes())
        prepared = catalogue.prepared_from(mapped.pairs, published)
        if not mapped.faults:
            kept.keep_prepared(target.questionnaires, target.mappings, prepared)


def _other_faults(
    target: Folders, pairs: Iterable[catalogue.Pair], published: catalogue.Published, canonicals: Canonicals
) -> Iterator[str]:
    """Yields the faults of each `cds.yaml`, and the texts of active guidance that are still to be written."""
    systems = published.value_sets.with_resources(found.resource for found in own_definitions(canonicals))
    for pair in pairs:
        folder = target.folder_of(pair)
        of_cards = trigger_faults(folder, pair, canonicals, systems)
        left = undecided(folder) if pair.guidance.written.identity.status == "active" else ()
        yield from (f"{pair.slug}/{fault}" for fault in (*of_cards, *left))


def _record_of(pairs: Iterable[catalogue.Pair]) -> CheckRecord:
    """Returns the record that lets a start skip these checks."""
    guidances = ((pair.slug, pair.guidance.written.identity.hash, len(pair.guidance.cases)) for pair in pairs)
    return CheckRecord(tuple(CheckedGuidance(*found, is_proved=can_prove()) for found in guidances))


def _of_pair(
    pair: catalogue.Pair,
    target: Folders,
    published: catalogue.Published,
    kept: Kept,
    canonicals: Canonicals,
    out: TextIO,
) -> bool:
    """Prints what was found in one pair, now or before, and returns whether every proof succeeded."""
    files = target.files_of(pair, published)
    known = kept.report(files)
    if known:
        out.write(f"{known}  unchanged since it was checked\n")
        return True
    report = StringIO()
    sound = _report(pair, target.folder_of(pair), report, canonicals)
    out.write(report.getvalue())
    if sound:
        kept.keep(files, report.getvalue())
    return sound


def _refused(faults: Sequence[str], out: TextIO) -> bool:
    print(*(f"fault: {fault}" for fault in faults), sep="\n", file=out)
    return False


def _report(pair: catalogue.Pair, folder: Path, out: TextIO, canonicals: Canonicals) -> bool:
    """Prints what was found in one pair, and returns whether every proof succeeded."""
    guidance = pair.guidance
    print(f"{pair.compiled.canonical}: {len(pair.compiled.items)} items", file=out)
    print(f"  {coverage(guidance.written)}", file=out)
    print(f"  {len(guidance.cases)} worked cases pass", file=out)
    print(
        *(f"  {line}" for line in coverage_lines(pair)),
        sep="\n",
        end="\n" if guidance.cases else "",
        file=out,
    )
    for line in floor_lines(pair):
        print(f"  {line}", file=out)
    lines, sound = proof_report(guidance, asked_when(pair.compiled))
    print(*(f"  {line}" for line in lines), sep="\n", file=out)
    of_cards = trigger_warnings(folder, pair, canonicals)
    for warning in (*warnings_of(pair), *undecided(folder), *of_cards):
        print(f"  warning: {pair.slug}/{warning}", file=out)
    for gap in (*language_gaps(pair), *outdated_lines(pair, folder)):
        print(f"  warning: {gap}", file=out)
    return sound


def type_faults(folder: Path) -> Iterator[str]:
    """Yields what the models of fhir.resources refuse: `file: element: what is wrong`.

    A file that is no resource in JSON is left to the catalogue, which says so.
    """
    from service.fhir.resource_models import faults_in  # takes longer to import than most commands take

    for path in sorted(folder.rglob("*.json")):
        with suppress(ValueError, OSError):
            yield from (f"{path.name}: {fault}" for fault in faults_in(read_published(path.read_bytes())))


# How far the guidance covers its source: which statements are used, which are not and why.


def coverage(written: Written) -> str:
    """Returns in one line how many statements entries cite, and how many say why nothing cites them.

    Loading refuses any statement that is neither or both.
    """
    accounted = len(written.statements)
    listed = sum(1 for statement in written.statements if statement.unused)
    return (
        f"{accounted} of {accounted} statements accounted for: "
        f"{accounted - listed} used, {listed} listed with a reason"
    )


# How long the form is for the people of some worked cases, and how short it could be.


def floor_lines(pair: catalogue.Pair) -> Iterator[str]:
    """Yields a line for each worked case that asks for it: questions, those that matter, and pages."""
    for case in pair.guidance.cases:
        if case.floor:
            found = floor_of_case(case, pair)
            yield (
                f"{case.name}: {len(found.asked)} questions asked, "
                f"{len(found.changing)} can each alone change the step, its date or a level, "
                f"{pages(pair.compiled, found.asked)} pages; "
                f"no interview can do with fewer than {least_of_case(case, pair, found)}"
            )


def floor_of_case(case: Case, pair: catalogue.Pair) -> Floor:
    """Returns the questions that the person of a case is asked, and which can change the result."""
    enabled, _ = pair.compiled.enabled(case.answers)
    return floor_of(
        pair.guidance,
        case.answers,
        asked=enabled,
        result_of=partial(_result_of, case, pair),
        date_before=partial(day_before, case.authored),
    )


def least_of_case(case: Case, pair: catalogue.Pair, floor: Floor) -> int:
    """Returns how many questions every interview must ask the person of a case, whatever its order."""
    person = Interviewed(
        pair.guidance,
        case.answers,
        enabled=lambda answers: pair.compiled.enabled(answers)[0],
        goes_on=partial(_goes_on, case, pair),
        result_of=partial(_result_of, case, pair),
        date_before=partial(day_before, case.authored),
    )
    return len(person.groups(floor))


def _goes_on(case: Case, pair: catalogue.Pair, answers: AnswersByLink) -> bool:
    told = catalogue.answers_of_case(replace(case, answers=answers), pair.guidance, pair.compiled)
    return bool(pair.guidance.questions_ahead(told).now)


def _result_of(case: Case, pair: catalogue.Pair, answers: AnswersByLink) -> Result:
    return catalogue.outcome_of(replace(case, answers=answers), pair.guidance, pair.compiled)


def pages(compiled: CompiledQuestionnaire, asked: Collection[str]) -> int:
    """Returns on how many pages these questions stand: items at the top of the form."""
    return len({_top(compiled, compiled.items[link_id]) for link_id in asked})


def _top(compiled: CompiledQuestionnaire, item: Item) -> str:
    return item.link_id if item.parent is None else _top(compiled, compiled.items[item.parent])


# What is proved, for the responses that the conditions of the questionnaire allow.


def proof_report(guidance: Guidance, asked: AskedWhen) -> tuple[tuple[str, ...], bool]:
    """Returns the lines of the proofs, and whether none failed; without z3-solver none is tried."""
    if not can_prove():
        return ("proofs skipped: z3-solver is not installed",), True
    from service.proofs import prove  # needs z3, which is large and no part of the installed service

    report = prove(guidance, asked)
    return report.lines, not report.failed


def asked_when(compiled: CompiledQuestionnaire) -> AskedWhen:
    """Returns by linkId when a question is asked, for each with a condition of its own or of a parent.

    The conditions are those of the guidance, so that the proofs know nothing of the questionnaire.
    """
    asked: dict[str, Condition] = {}
    for link_id in compiled.form.questions:
        parts = tuple(_conditions(compiled, compiled.items[link_id]))
        if parts:
            asked[link_id] = Group("all", parts)
    return asked


def _conditions(compiled: CompiledQuestionnaire, item: Item) -> Iterator[Condition]:
    if item.enable_when:
        word = "any" if item.enable_any else "all"
        yield Group(word, tuple(_condition(compiled, when) for when in item.enable_when))
    if item.parent is not None:
        yield from _conditions(compiled, compiled.items[item.parent])


def _condition(compiled: CompiledQuestionnaire, when: EnableWhen) -> Condition:
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
