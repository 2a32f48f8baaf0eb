"""Use: findings do not go in circles, everything written is used, every statement is accounted for."""

from __future__ import annotations

from collections.abc import Iterator

from service.guidance.check_names import Fault
from service.guidance.conditions import Condition, Group, Measured, Named, Scored, Switch, walk
from service.guidance.draft import Draft

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
