"""The page of a result: what to do and by when, what the answers look like, and what a doctor reads.

Whatever is told on it, the outputs of a result say in the same words: the patient's text is the renderer's,
line by line, and so are the lines for the doctor. This page adds what a page can: urgency at a glance,
numbers that can be called, questions that can be answered, the side-by-side tables and a picture of them.

At a safety step it says what to do now and why, and nothing on it invites to go on: no open question, no
table, for nobody. The doctor's lines and the answers stay, folded away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from service.pages.downloads import has_calendar
from service.pages.templates import render
from service.pages.why import is_explained
from service.results.phrases import is_assessable
from service.results.wording import SIDES

if TYPE_CHECKING:
    from service.assess import Scored
    from service.catalogue import Pair
    from service.guidance.result import Result, RowTally, Tally
    from service.pages.model import Frame, Row
    from service.results import Assessment
    from service.results.patient import Section
    from service.results.summary import Line

NOW: Final = "now"
TODAY: Final = "today"
SOON: Final = "soon"
CALM: Final = "calm"
OPEN: Final = "open"
URGENCIES: Final = (NOW, TODAY, SOON, CALM, OPEN)
"""How a result looks at first sight, by its step: words of `form.result.urgency`."""

_SQUARE: Final = 12
"""Width of a square of a picture, with the space behind it."""
_MATCHES: Final = "matches"
_WITHOUT_ANSWER: Final = frozenset({"open", "not-done", "informs-only"})
"""States of rows that no answer stands behind."""


class TextLine(NamedTuple):
    """A line of text, cut where something in it can be pressed.

    Args:
        number: a telephone number in it; empty if there is none.
        after: what follows the number.
        page: the page of the form that asks it, where the line is a question that is still open.
    """

    text: str
    number: str = ""
    after: str = ""
    page: str = ""

    @property
    def call(self) -> str:
        """The address by which a telephone calls the number (RFC 3966: without spaces)."""
        return f"tel:{self.number.replace(' ', '-')}"


class Passage(NamedTuple):
    """A heading, which may be empty, and the lines below it."""

    heading: str
    lines: tuple[TextLine, ...]


class Cell(NamedTuple):
    """One side of a row: what the table says there, and how the answers stand to it: a key of `states`."""

    text: str
    state: str


class Compared(NamedTuple):
    """One row of a table."""

    feature: str
    cells: tuple[Cell, Cell]


class Strip(NamedTuple):
    """A column as a picture: one square for each row, in their order.

    Args:
        matched, answered: how many rows match it, of how many that are answered.
        full, hollow, dots: paths of the squares of rows that match, that do not, and that are not answered.
        width: of the picture.
    """

    name: str
    matched: int
    answered: int
    full: str
    hollow: str
    dots: str
    width: int


class Table(NamedTuple):
    """A side-by-side table with the person's own rows marked."""

    title: str
    heads: tuple[str, str]
    rows: tuple[Compared, ...]
    strips: tuple[Strip, Strip]


class Told(NamedTuple):
    """The texts for the patient.

    Args:
        heading, head: the step with its date, and what it means.
        first, more: what stands before and behind "Read more".
        use: what the result is for.
        open: questions that are still open and are not among these.
    """

    title: str
    heading: str
    head: tuple[TextLine, ...]
    first: tuple[Passage, ...]
    more: tuple[Passage, ...]
    use: str
    open: tuple[TextLine, ...]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the template writes.

    Args:
        frame: what every page has around its content.
        urgency: one of URGENCIES. is_overlay: the step is a safety step.
        status: of the response. answered_on: its day, in words. compared: the days of the earlier responses
            that it was compared with; empty for none.
        call, call_kind: the number that the step itself tells to call; empty for none.
        is_explained: there is a page that says why.
        tables: for the patient. all_tables: for the doctor. There are none at a safety step.
        lines: the doctor's lines.
        answers: what was answered, by groups of questions.
        kept: id of what is stored; empty if nothing is.
        unasked: the questions that a short form has not asked.
    """

    frame: Frame
    told: Told
    urgency: str
    is_overlay: bool
    status: str
    answered_on: str
    compared: str
    call: str
    call_kind: str
    has_calendar: bool
    is_explained: bool
    tables: tuple[Table, ...]
    all_tables: tuple[Table, ...]
    lines: Sequence[Line]
    answers: Sequence[tuple[str, tuple[Row, ...]]]
    kept: str = ""
    unasked: Sequence[str] = ()


class ResultPage:
    """Writes the results of one guidance in one language as pages."""

    def __init__(self, pair: Pair) -> None:
        written, patient = pair.guidance.written, pair.renderer.patient
        self.language = pair.guidance.language
        self._pair = pair
        self._phrases = patient.phrases
        self._telephone = {kind: number for kind, number in patient.numbers._asdict().items() if number}
        self._asked = tuple(patient.phrases[f"patient.{key}"] for key in ("answer-first", "still-open"))
        self._heads = {
            table.name: (written.heading(table.left), written.heading(table.right))
            for table in written.comparisons
        }

    def html(
        self,
        scored: Scored,
        frame: Frame,
        *,
        answers: Sequence[tuple[str, tuple[Row, ...]]],
        pages: Mapping[str, str],
        kept: str = "",
        is_clinician: bool = False,
        unasked: Sequence[str] = (),
    ) -> str:
        """Returns the page.

        Args:
            scored: the response; of this pair.
            frame: what every page has around its content.
            answers: what was answered, as the page says it on which answers are checked.
            pages: by linkId, the page of the form on which a question is asked.
            kept: id of what is stored; empty if nothing is.
            is_clinician: whether a health professional has filled in the form, and reads its result.
            unasked: the questions that a short form has not asked.
        """
        assessment = scored.assessment()
        told = self._told(assessment, pages)
        result, renderer = assessment.result, self._pair.renderer
        tier, authored = result.tiers[result.tier.at_least], assessment.context.authored
        shown = Shown(
            frame=frame,
            told=told,
            urgency=urgency(result),
            is_overlay=tier.overlay,
            status=assessment.context.status,
            answered_on=self._phrases.date(authored) if authored else "",
            compared=", ".join(
                dict.fromkeys(self._phrases.date(one.context.authored or "") for one in assessment.earlier)
            ),
            call=self._telephone.get(tier.number, ""),
            call_kind=tier.number,
            has_calendar=has_calendar(result, authored),
            is_explained=is_explained(result),
            tables=self._tables(result),
            all_tables=self._tables_for_doctor(result, is_clinician=is_clinician),
            lines=renderer.summary.lines(assessment),
            answers=answers,
            kept=kept,
            unasked=unasked,
        )
        return render("result.html", self.language, page=shown)

    def _told(self, assessment: Assessment, pages: Mapping[str, str]) -> Told:
        """Returns the patient's text; where the step is a safety step, no question in it can be pressed."""
        result, patient = assessment.result, self._pair.renderer.patient
        first, more = patient.sections(assessment)
        (heading, *head), *rest = first[0].lines, *first[1:]
        is_overlay = result.tiers[result.tier.at_least].overlay
        links = {} if is_overlay else self._open_questions(result, pages)
        return Told(
            title=patient.title,
            heading=heading,
            head=tuple(map(self._line, head)),
            first=tuple(self._passage(section, links) for section in rest),
            more=tuple(self._passage(section, links) for section in more),
            use=patient.use,
            open=_not_among(links, (*first, *more)),
        )

    def _tables(self, result: Result) -> tuple[Table, ...]:
        """Returns the tables that say something about the answers: some of their rows fit.

        A row that no answer can fit says nothing about them.
        """
        fitting = [tally for tally in _compared_in(result) if tally.left or tally.right]
        return tuple(self._table(tally, _rows_of_answers(tally)) for tally in fitting)

    def _tables_for_doctor(self, result: Result, *, is_clinician: bool) -> tuple[Table, ...]:
        """Returns all tables; rows that only inform, such as an outlook, where no patient reads them."""
        return tuple(
            self._table(tally, tally.rows if is_clinician else _rows_of_answers(tally))
            for tally in _compared_in(result)
        )

    def _table(self, tally: Tally, rows: Sequence[RowTally]) -> Table:
        heads = self._heads[tally.comparison.name]
        left, right = (_strip(head, rows, side) for side, head in enumerate(heads))
        return Table(tally.comparison.title, heads, tuple(map(_compared, rows)), (left, right))

    def _open_questions(self, result: Result, pages: Mapping[str, str]) -> Mapping[str, str]:
        """Returns the page of each question that is still open, by its text.

        Who answered "not sure" is not asked again, unless nothing can be said without it.
        """
        asked = [one.link_id for one in result.open if not (one.unsure and is_assessable(result.tier))]
        texts = {link: self._pair.renderer.patient.question(link) for link in asked}
        return {text: pages[link] for link, text in texts.items() if text and link in pages}

    def _passage(self, section: Section, links: Mapping[str, str]) -> Passage:
        """Returns a section; its heading stands by itself here, without the colon that plain text needs."""
        heading = section.heading.removesuffix(":")
        if section.heading in self._asked:
            return Passage(heading, tuple(TextLine(line, page=links.get(line, "")) for line in section.lines))
        return Passage(heading, tuple(map(self._line, section.lines)))

    def _line(self, line: str) -> TextLine:
        """Returns a line; the sentence at its end that names a number is cut around it."""
        for kind, number in self._telephone.items():
            sentence = self._phrases.say(f"numbers.{kind}", number=number)
            if line.endswith(sentence):
                before, _, after = self._phrases[f"numbers.{kind}"].partition("{number}")
                return TextLine(line.removesuffix(sentence) + before, number, after)
        return TextLine(line)


def urgency(result: Result) -> str:
    """Returns which of URGENCIES a result has, read off the ladder of its guidance."""
    tier = result.tiers[result.tier.at_least]
    if not is_assessable(result.tier):
        return OPEN
    if tier.overlay:
        return NOW if tier is result.tiers[-1] else TODAY
    return SOON if tier.within or result.due is not None else CALM


def _compared_in(result: Result) -> tuple[Tally, ...]:
    """Returns the tables that are shown at all: at a safety step there is no time for them."""
    return () if result.tiers[result.tier.at_least].overlay else result.tables


def _rows_of_answers(tally: Tally) -> list[RowTally]:
    return [row for row in tally.rows if not row.row.informs_only]


def _not_among(links: Mapping[str, str], sections: Iterable[Section]) -> tuple[TextLine, ...]:
    """Returns the open questions that the patient's text does not ask already."""
    said = {line for section in sections for line in section.lines}
    return tuple(TextLine(text, page=page) for text, page in links.items() if text not in said)


def _compared(tally: RowTally) -> Compared:
    left, right = SIDES[tally.state]
    row = tally.row
    return Compared(row.feature, (Cell(row.left.says, left), Cell(row.right.says, right)))


def _strip(name: str, rows: Sequence[RowTally], side: int) -> Strip:
    """Returns a column as a picture; the paths are relative, which is shortest."""
    states = [SIDES[row.state][side] for row in rows]
    answered = [row.state not in _WITHOUT_ANSWER for row in rows]
    full = [place for place, state in enumerate(states) if state == _MATCHES]
    hollow = [place for place, is_known in enumerate(answered) if is_known and place not in full]
    dots = [place for place, is_known in enumerate(answered) if not is_known]
    return Strip(
        name,
        len(full),
        sum(answered),
        "".join(f"M{place * _SQUARE} 0h10v10h-10z" for place in full),
        "".join(f"M{place * _SQUARE + 1} 1h8v8h-8z" for place in hollow),
        "".join(f"M{place * _SQUARE + 4} 4h2v2h-2z" for place in dots),
        len(rows) * _SQUARE,
    )
