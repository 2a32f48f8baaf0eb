"""The differences between two versions of a guidance: its files, its questions, and the results of its cases.

Entries are compared as the files write them, so that a version which the program no longer loads can
still be compared. A worked case of either version is a patient for both; so is every answer pattern.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from service.authoring.editions import ORDER, Edition, Outcome, as_answered_to, listed, outcome_in
from service.authoring.in_words import plain
from service.catalogue import Pair
from service.datatypes.values import replace
from service.guidance.cases import Case

if TYPE_CHECKING:
    from service.authoring.pattern_changes import PatternChanges

Entries = Mapping[str, Mapping[str, Any]]
"""Entries by their names."""

_LISTS = {
    "rules": ("rules", "rule"),
    "findings": ("findings", "finding"),
    "scores": ("scores", "score"),
    "advice": ("advice", "advice"),
    "contradictions": ("contradictions", "contradiction"),
    "comparisons": ("comparisons", "comparison"),
    "statements": ("sources", "statement"),
}
"""By what they are called: the file that lists entries, and the key that names one."""

_IN_GUIDANCE = {"tiers": "tier", "outcomes": "outcome", "redirects": "redirect", "promises": "promise"}
"""Lists of guidance.yaml, and the key that names an entry."""

_BY_NAME = ("parameters", "levels", "kinds", "derived", "chart", "addressees", "words")
"""Mappings of guidance.yaml, by name."""

_SHORT = 40
"""Values of up to so many characters are told, longer ones only named."""


class Change(msgspec.Struct, frozen=True):
    """One key that differs between two versions: its path and both values, empty if there is none."""

    key: str
    old: str
    new: str

    @property
    def line(self) -> str:
        """The key, with both values where they are short."""
        if max(len(self.old), len(self.new)) > _SHORT:
            return self.key
        return f"{self.key}: {self.old or '(none)'} -> {self.new or '(none)'}"


class Section(msgspec.Struct, frozen=True):
    """One kind of entry: which were added or removed, each with a word about it, and which changed."""

    what: str
    added: Mapping[str, str]
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[Change, ...]]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed)


class CaseChange(msgspec.Struct, frozen=True):
    """A worked case that comes out differently.

    Args:
        of: `both`, `old` or `new`: which version has the case.
        step: `higher` or `lower` where the step moves; `later` or `sooner` where only the date does.
        left_out: linkIds of answers that the other version's questionnaire cannot take.
    """

    case: str
    about: str
    of: str
    step: str
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]


class Diff(msgspec.Struct, frozen=True):
    """What differs between two versions of a guidance.

    Args:
        cases: those that come out differently; `compared` counts all that were compared.
        faults: why worked cases could not be compared.
        patterns: how answer patterns come out; None if they were not counted.
        uncounted: why they were not counted, where that was wanted.
    """

    title: str
    old: str
    new: str
    sections: tuple[Section, ...]
    cases: tuple[CaseChange, ...]
    compared: int
    faults: tuple[str, ...]
    patterns: PatternChanges | None = None
    uncounted: str = ""

    @property
    def is_change(self) -> bool:
        """Whether anything differs, or cannot be compared."""
        patterns = self.patterns is not None and self.patterns.changed.exact != "0"
        return bool(self.sections or self.cases or self.faults) or patterns


class Compared(msgspec.Struct, frozen=True):
    """Two folders compared: each guidance that both have, and names of those that only one has."""

    diffs: tuple[Diff, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]

    @property
    def is_change(self) -> bool:
        """Whether anything differs."""
        return bool(self.only_old or self.only_new) or any(found.is_change for found in self.diffs)

    def plain(self) -> dict[str, Any]:
        """Returns everything as plain values, for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def lines(self) -> Iterator[str]:
        """Yields the report for a reader."""
        for place, found in enumerate(self.diffs):
            yield from [""] * (place > 0)
            yield from text_of(found)
        yield from (f"only in the old folder: {name}" for name in self.only_old)
        yield from (f"only in the new folder: {name}" for name in self.only_new)


def compared(old: Sequence[Edition], new: Sequence[Edition], *, examples: int | None = None) -> Compared:
    """Compares each guidance of two folders with its other version; the only ones whatever their names.

    `examples`: as `diff` takes it.
    """
    if len(old) == len(new) == 1:
        return Compared((diff(old[0], new[0], examples=examples),), (), ())
    before = {str(edition.guidance.get("guidance")): edition for edition in old}
    after = {str(edition.guidance.get("guidance")): edition for edition in new}
    return Compared(
        tuple(diff(before[name], after[name], examples=examples) for name in after if name in before),
        tuple(edition.name for name, edition in before.items() if name not in after),
        tuple(edition.name for name, edition in after.items() if name not in before),
    )


def diff(old: Edition, new: Edition, *, examples: int | None = None) -> Diff:
    """Returns the differences between two versions of a guidance.

    `examples`: so many example patients of every change of answer patterns; None: those are not counted.
    """
    sections = [section for section in _sections(old, new) if not section.is_empty]
    cases: list[CaseChange] = []
    compared = 0
    if old.pair is not None and new.pair is not None:
        compared, cases = _cases(old.pair, new.pair)
    patterns, uncounted = (None, "") if examples is None else _patterns(old, new, examples)
    return Diff(
        title=str(new.guidance.get("title")),
        old=old.name,
        new=new.name,
        sections=tuple(sections),
        cases=tuple(cases),
        compared=compared,
        faults=(*old.faults, *new.faults),
        patterns=patterns,
        uncounted=uncounted,
    )


def _patterns(old: Edition, new: Edition, examples: int) -> tuple[PatternChanges | None, str]:
    """Returns how answer patterns come out, or why that is not known."""
    if old.pair is None or new.pair is None:
        return None, "one of the versions cannot be loaded"
    if find_spec("oxidd") is None:
        return None, "oxidd is not installed"
    from service.authoring.pattern_changes import NODES, pattern_changes  # an extra

    try:
        return pattern_changes(old.pair, new.pair, examples=examples, nodes=NODES), ""
    except MemoryError:
        return None, f"the decision diagrams need more than {NODES} nodes"


# Entries of files, and questions.


def _sections(old: Edition, new: Edition) -> Iterator[Section]:
    heads = [_scalars(edition.guidance) for edition in (old, new)]
    yield _section("guidance", *({"guidance.yaml": head} for head in heads))
    for what, (stem, key) in _LISTS.items():
        yield _section(what, _named(old.entries(stem), key), _named(new.entries(stem), key))
    for what, key in _IN_GUIDANCE.items():
        both = [_named(listed(edition.guidance.get(what)), key) for edition in (old, new)]
        yield _section(what, *both)
    for what in _BY_NAME:
        yield _section(what, *(_by_name(edition.guidance.get(what)) for edition in (old, new)))
    yield _section("questions", _questions(old), _questions(new))


def _scalars(guidance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the single values of guidance.yaml, without its lists and names."""
    apart = {*_IN_GUIDANCE, *_BY_NAME}
    return {key: value for key, value in guidance.items() if key not in apart}


def _by_name(value: object) -> Entries:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): entry if isinstance(entry, Mapping) else {"": entry} for name, entry in value.items()}


def _named(entries: Iterable[Mapping[str, Any]], key: str) -> Entries:
    return {str(entry.get(key)): entry for entry in entries}


def _questions(edition: Edition) -> Entries:
    """Returns the items of a Questionnaire by linkId, each without those inside it."""
    items = ({key: value for key, value in item.items() if key != "item"} for item in edition.items())
    return _named(items, "linkId")


def _section(what: str, old: Entries, new: Entries) -> Section:
    changed = {
        name: tuple(_changes(old[name], new[name])) for name in new if name in old and old[name] != new[name]
    }
    return Section(
        what,
        added={name: _about(entry) for name, entry in new.items() if name not in old},
        removed={name: _about(entry) for name, entry in old.items() if name not in new},
        changed=changed,
    )


def _about(entry: Mapping[str, Any]) -> str:
    """Returns a word about an entry: the step or level that it leads to, its value, or its kind."""
    risk = entry.get("risk")
    if isinstance(risk, Mapping):
        return f"{plain(risk.get('outcome'))} {plain(risk.get('level'))}"
    found = next((entry[key] for key in ("tier", "value", "kind", "group", "type") if key in entry), "")
    return f"{plain(found)} {plain(entry.get('unit'))}".strip()


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], before: str = "") -> Iterator[Change]:
    """Yields the keys that differ; inside mappings the inner keys."""
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        path = f"{before}.{key}".strip(".")
        was, now = _with_names(was), _with_names(now)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _changes(was, now, path)
        else:
            yield Change(path or "value", plain(was), plain(now))


def _with_names(value: object) -> object:
    """Returns a list of bands or rows by their names; anything else as it is."""
    entries = listed(value)
    keys = {next(iter(entry), "") for entry in entries}
    is_named = entries == value and len(keys) == 1 and keys <= {"band", "row"}
    return _named(entries, keys.pop()) if is_named else value


# Worked cases: each patient under both versions.


def _cases(old: Pair, new: Pair) -> tuple[int, list[CaseChange]]:
    before = {case.name: case for case in old.guidance.cases}
    after = {case.name: case for case in new.guidance.cases}
    every = {**before, **after}
    changes = [_case(case, before.get(name), after.get(name), (old, new)) for name, case in every.items()]
    return len(every), [change for change in changes if change.changes]


def _case(case: Case, was: Case | None, now: Case | None, pairs: tuple[Pair, Pair]) -> CaseChange:
    """Returns how a case comes out in both versions, of which one may not have it."""
    old, new = pairs
    of = "both" if was and now else "new" if now else "old"
    was, left_out = (was, ()) if was else _for(case, old)
    now, more = (now, ()) if now else _for(case, new)
    first, second = outcome_in(old, was), outcome_in(new, now)
    return CaseChange(
        case=case.name,
        about=case.about,
        of=of,
        step=_moved(first, second, old, new),
        changes=tuple(_changes(first.values, second.values)),
        left_out=(*left_out, *more),
    )


def _for(case: Case, pair: Pair) -> tuple[Case, tuple[str, ...]]:
    """Returns a case with the answers that the questionnaire of a pair can take."""
    answers, left_out = as_answered_to(pair.guidance.form, case.answers)
    chart, more = as_answered_to(pair.guidance.form, case.chart)
    return replace(case, answers=answers, chart=chart), (*left_out, *more)


def _moved(was: Outcome, now: Outcome, old: Pair, new: Pair) -> str:
    """Returns how the step moves, by the ladder of the new version: its lower end first."""
    ranks = {tier.code: tier.rank for tier in new.guidance.written.tiers}
    tiers = old.guidance.written.tiers
    before = [ranks.get(tiers[end].code) for end in was.rank]
    ends = [rank for rank in before if rank is not None]
    if len(ends) < len(before):
        return ""
    if ends != [*now.rank]:
        return "lower" if [*now.rank] < ends else "higher"
    if not (_has_dates(old) and _has_dates(new)) or was.days == now.days:
        return ""
    days = [_NEVER if found.days is None else found.days for found in (was, now)]
    return "later" if days[1] > days[0] else "sooner"


_NEVER = 10**9


def _has_dates(pair: Pair) -> bool:
    written = pair.guidance.written
    return any([tier.within for tier in written.tiers] + [rule.within for rule in written.rules])


# The report for a reader: what a reviewer must look at comes first.

_MOST = 10
"""So many changes that several cases have are counted."""


def text_of(found: Diff) -> Iterator[str]:
    """Yields the report, a line each."""
    yield f"{found.title}: {found.old} -> {found.new}"
    for section in found.sections:
        yield from ("", *_lines_of(section))
    yield ""
    for fault in found.faults:
        yield f"worked cases cannot be compared: {fault}"
    if not found.faults:
        yield f"worked cases: {len(found.cases)} of {found.compared} come out differently"
        yield from _counts(found.cases)
    for case in sorted(found.cases, key=lambda case: ORDER.index(case.step)):
        yield from _lines_of_case(case)
    if found.patterns is not None:
        yield from ("", *found.patterns.lines())
    if found.uncounted:
        yield from ("", f"answer patterns not counted: {found.uncounted}")


def _counts(cases: Sequence[CaseChange]) -> Iterator[str]:
    """Yields how many cases move which way, and the changes that several of them have."""
    moved = Counter(case.step for case in cases if case.step)
    yield from (f"  {moved[word]} {word}" for word in ORDER if moved[word])
    same = Counter(change.line for case in cases for change in case.changes)
    yield from (f"  {count} times {line}" for line, count in same.most_common(_MOST) if count > 1)


def _lines_of(section: Section) -> Iterator[str]:
    counts = (len(section.added), len(section.removed), len(section.changed))
    yield "{}: {} added, {} removed, {} changed".format(section.what, *counts)
    for sign, entries in (("+", section.added), ("-", section.removed)):
        yield from (f"  {sign} {name}" + (f" ({about})" if about else "") for name, about in entries.items())
    for name, changes in section.changed.items():
        yield f"  * {name}: {changes[0].line}" if len(changes) == 1 else f"  * {name}:"
        yield from (f"      {change.line}" for change in changes if len(changes) > 1)


def _lines_of_case(case: CaseChange) -> Iterator[str]:
    marks = [case.of + " only"] * (case.of != "both") + [case.step] * (case.step != "")
    yield f"  {case.case}" + (f" ({', '.join(marks)})" if marks else "")
    yield f"      {case.about}"
    yield from (f"      {change.line}" for change in case.changes)
    if case.left_out:
        yield f"      answers that the other version does not ask for: {', '.join(case.left_out)}"
