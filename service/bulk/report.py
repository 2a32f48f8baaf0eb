"""The report of a run: how many records reached each step, and how many could not be scored.

A share is always of all records, so that who was refused or is not finished is never left out of sight. A
result that can still rise stands beside the others, never among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final, NamedTuple

from service.bulk.pool import Counted
from service.bulk.scorer import FINAL, PRELIMINARY, REFUSED
from service.catalogue import Catalogue, Pair


class Step(NamedTuple):
    """A step of a guidance, and how many records reach it: finally, and at least."""

    name: str
    final: int
    preliminary: int

    @property
    def all(self) -> int:
        """How many reach it at least."""
        return self.final + self.preliminary


class OfGuidance(NamedTuple):
    """The records that one guidance has scored; every step, the most urgent first."""

    title: str
    canonical: str
    steps: tuple[Step, ...]

    @property
    def all(self) -> int:
        """How many it has scored."""
        return sum(step.all for step in self.steps)


class Report(NamedTuple):
    """What came out of a run.

    Args:
        records: how many there were: lines that are not blank.
        final, preliminary, refused: how many of them are which.
        problems: kinds of problem of those that were refused, the most frequent first; a record may have
            several.
    """

    records: int
    final: int
    preliminary: int
    refused: int
    problems: tuple[tuple[str, int], ...]
    guidances: tuple[OfGuidance, ...]


def report(counts: Mapping[Counted, int], served: Catalogue) -> Report:
    """Returns the counts, with every step of the guidance even if nobody reached it."""
    final, preliminary, refused = (counts.get(("line", name), 0) for name in (FINAL, PRELIMINARY, REFUSED))
    problems = [(count[1], number) for count, number in counts.items() if count[0] == "problem"]
    scored = {count[1] for count in counts if count[0] == "step"}
    pairs = (*served.pairs.values(), *served.superseded)
    return Report(
        final + preliminary + refused,
        final,
        preliminary,
        refused,
        tuple(sorted(problems, key=lambda one: (-one[1], one[0]))),
        tuple(_of_pair(pair, counts) for pair in pairs if pair.guidance.written.identity.canonical in scored),
    )


def _of_pair(pair: Pair, counts: Mapping[Counted, int]) -> OfGuidance:
    written = pair.guidance.written
    canonical = written.identity.canonical
    steps = (
        Step(
            tier.display,
            *(counts.get(("step", canonical, tier.code, outcome), 0) for outcome in (FINAL, PRELIMINARY)),
        )
        for tier in reversed(written.tiers)
    )
    return OfGuidance(written.identity.title, canonical, tuple(steps))


# As text.


def text_of(found: Report) -> str:
    """Returns the report as lines."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Report) -> Iterator[str]:
    yield f"{found.records:,} records"
    width = max(len(f"{found.records:,}"), 5)
    for name, number in (
        ("final", found.final),
        ("preliminary: not finished, or a question is open that could raise the result", found.preliminary),
        ("refused: an OperationOutcome says why", found.refused),
    ):
        yield f"  {number:>{width},}  {_share(number, found.records):>6}  {name}"
    for guidance in found.guidances:
        yield ""
        yield from _of_guidance(guidance, found.records)
    if found.problems:
        yield ""
        yield "problems of refused records"
        yield from (f"  {number:>{width},}  {kind}" for kind, number in found.problems)


def _of_guidance(guidance: OfGuidance, records: int) -> Iterator[str]:
    yield f"{guidance.title} ({guidance.canonical}): {guidance.all:,} of {records:,} records"
    longest = max(len(step.name) for step in guidance.steps)
    width = max(len(f"{records:,}"), len("preliminary"))
    yield f"  {'step':<{longest}}  {'final':>{width}}  {'':>6}  {'preliminary':>{width}}"
    for step in guidance.steps:
        final, preliminary = (
            f"{number:>{width},}  {_share(number, records):>6}" for number in (step.final, step.preliminary)
        )
        yield f"  {step.name:<{longest}}  {final}  {preliminary}"


def _share(number: int, of: int) -> str:
    return f"{number / of:.1%}" if of else "-"


# As a picture.

_LEFT, _BAR_WIDTH, _RIGHT, _ROW, _BAR_HEIGHT = 16, 560, 300, 44, 18
_WIDTH: Final = _LEFT + _BAR_WIDTH + _RIGHT
_STYLE: Final = (
    "text{font:14px system-ui,sans-serif;fill:#1b1b1b}"
    ".heading{font-weight:600;font-size:16px}.final{fill:#1f4e79}.preliminary{stroke:#1f4e79}"
    ".refused{fill:#fff;stroke:#1b1b1b;stroke-dasharray:4 3}"
)
_PATTERN: Final = (
    '<pattern id="preliminary" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff"/>'
    '<rect width="2.5" height="6" fill="#1f4e79"/></pattern>'
)


class _Row(NamedTuple):
    """A line of the picture: a heading, or a bar of parts, each with its class and number."""

    text: str
    parts: tuple[tuple[str, int], ...] = ()
    is_heading: bool = False


def svg_of(found: Report) -> str:
    """Returns the report as a histogram: a bar for each step, hatched where the result can still rise.

    Every number stands beside its bar as text, and what the bars say is in `desc` for who hears it.
    """
    rows = tuple(_rows(found))
    longest = max((number for row in rows for number in [sum(n for _, n in row.parts)]), default=0)
    height = _ROW * (len(rows) + 2)
    drawn = "".join(_drawn(row, _ROW * (place + 1), longest) for place, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title description">'
        f'<title id="title">{_title(found)}</title>'
        f'<desc id="description">{escape(" ".join(_sentences(found)))}</desc>'
        f"<style>{_STYLE}</style><defs>{_PATTERN}</defs>"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="heading" x="{_LEFT}" y="28">{_title(found)}</text>'
        f"{drawn}{_legend(height - _ROW + 14)}</svg>\n"
    )


def _sentences(found: Report) -> Iterator[str]:
    yield f"Of {found.records:,} records {found.final:,} have a final result,"
    yield f"{found.preliminary:,} a preliminary one that can still rise, and {found.refused:,} were refused."
    for guidance in found.guidances:
        yield f"{guidance.title}:"
        yield from (
            f"{step.name}: {_counted((('final', step.final), ('preliminary', step.preliminary)))}."
            for step in guidance.steps
        )


def _title(found: Report) -> str:
    return f"Steps that {found.records:,} records reach"


def _rows(found: Report) -> Iterator[_Row]:
    for guidance in found.guidances:
        yield _Row(f"{guidance.title}: {guidance.all:,} records", is_heading=True)
        for step in guidance.steps:
            yield _Row(step.name, (("final", step.final), ("preliminary", step.preliminary)))
    yield _Row("Refused", (("refused", found.refused),))


def _drawn(row: _Row, top: int, longest: int) -> str:
    y = top + 14
    if row.is_heading:
        return f'<text class="heading" x="{_LEFT}" y="{y + 10}">{escape(row.text)}</text>'
    label = f'<text x="{_LEFT}" y="{y}">{escape(row.text)}</text>'
    x, bars = float(_LEFT), ""
    for kind, number in row.parts:
        width = number / longest * _BAR_WIDTH if longest else 0.0
        fill = ' fill="url(#preliminary)"' if kind == "preliminary" else ""
        if number:
            bars += (
                f'<rect class="{kind}" x="{x:.1f}" y="{y + 5}" width="{max(width, 1):.1f}" '
                f'height="{_BAR_HEIGHT}"{fill}/>'
            )
        x += width
    return f'{label}{bars}<text x="{x + 8:.1f}" y="{y + 19}">{_counted(row.parts)}</text>'


def _counted(parts: tuple[tuple[str, int], ...]) -> str:
    (_, first), *rest = parts
    behind = "".join(f" + {number:,} {kind}" for kind, number in rest if number)
    return f"{first:,}{behind}"


def _legend(y: int) -> str:
    return (
        f'<rect class="final" x="{_LEFT}" y="{y - 12}" width="14" height="14"/>'
        f'<text x="{_LEFT + 22}" y="{y}">final</text>'
        f'<rect class="preliminary" fill="url(#preliminary)" x="{_LEFT + 90}" y="{y - 12}" width="14" '
        f'height="14"/><text x="{_LEFT + 112}" y="{y}">preliminary: can still rise</text>'
    )
