"""The questions of a form as fields of a page: how each is shown, and how what comes back is read.

Every item type of FHIR that can be typed or chosen has its field. What is typed is read in the language of
the page (a decimal comma or point) and judged by the engine that checks responses; what is wrong stays in its
box, with what to do about it. Nothing that was typed stands in an error.

Source:
    FHIR R4 Questionnaire.item; extensions itemControl, entryFormat, optionExclusive, unitOption,
    sliderStepValue and supportLink; SDC itemMedia, itemAnswerMedia; GOV.UK design system, date input.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec
import orjson

from service.datatypes.answers import Answer, AnswersByLink, Coding, Quantity, Uncoded
from service.datatypes.values import replace
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.languages import ENGLISH, words_in
from service.pages.model import Choice, Field
from service.pages.plan import Page, Walk, control_of
from service.pages.reading import Control, Option, Posted, Reader, Reading, Unfit
from service.pages.totals import totals_of
from service.questionnaire import DISPLAY, GROUP, CompiledQuestionnaire, Item, option_names, translated
from service.questionnaire.enable_when import holds
from service.questionnaire.items import EnableWhen
from service.questionnaire.values import answer_in
from service.results import digits, phrases_in

MOST_SHOWN: Final = 15
"""Most options that are shown at once; more are a list to choose from, where the form says nothing else."""

RESPONDENTS: Final = ("self", "other")
"""For whom somebody can answer."""

_WRITTEN_KINDS: Final[Mapping[str, str]] = {"dateTime": "date-time", "boolean": "radios"}
_LISTS: Final = ("drop-down", "autocomplete", "lookup")
_HELPS: Final = ("help", "flyover", "prompt")
_TEXTS: Final = frozenset({"string", "text", "url"})
_NUMBERS: Final = frozenset({"integer", "decimal", "quantity"})


class Fields:
    """The fields of one Questionnaire in one language.

    Args:
        compiled: the Questionnaire.
        language: tag of the language.
        dates: questions for a date that may lie at most one day ahead.
        now: tells the time.
    """

    def __init__(
        self,
        compiled: CompiledQuestionnaire,
        language: str,
        dates: Collection[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        safety: Collection[str] = (),
    ) -> None:
        self._compiled = compiled
        self._safety = frozenset(safety)
        self._items = compiled.items
        self._language = language
        self._words = words_in(language)
        self._phrases = phrases_in(language)
        self._labels = {link: _said(item.source, "text", language) for link, item in compiled.items.items()}
        self.respondents = {kind: self._words[f"form.respondent.{kind}"] for kind in RESPONDENTS}
        self._reader = Reader(self._words, dates, now)
        self.controls: Mapping[str, Control] = {
            link: self._control(item) for link, item in compiled.items.items()
        }
        self._totals = totals_of(compiled, self.controls)

    # What never changes.

    def label(self, link: str) -> str:
        """Returns the text of an item in the language of the page."""
        return self._labels[link]

    def day(self, date: str) -> str:
        """Returns a date in words, as precise as it is."""
        return self._phrases.date(date)

    def origin(self, extension: Json | None) -> str:
        """Says where an answer was filled in from, by its extension; empty without one."""
        if extension is None:
            return ""
        date = text(ext.value(extension, "date"))
        named = self._phrases.date(date) if date else ""
        return self._words.say("form.from-record-of" if named else "form.from-record", date=named)

    def respondent(self, name: str, who: str) -> Field:
        """Returns the question on whose behalf one answers, for forms that do not ask it themselves.

        Args:
            name: of the question, in place of a linkId.
            who: what was answered: self, other, or nothing.
        """
        choices = tuple(Choice(kind, self.respondents[kind], kind == who) for kind in self.respondents)
        label = self._words["form.respondent.label"]
        return Field("who", name, "radios", label, choices=choices)

    def heading(self, page: Page) -> str:
        """Returns the text that heads a page; empty if its question does."""
        return self.label(page.heading) if page.heading else ""

    def _control(self, item: Item) -> Control:
        options = tuple(self._options(item)) if item.answerable else ()
        units = tuple(self._units(item)) if item.type == "quantity" else ()
        kind = _kind(item, len(options))
        below = [child for child in map(self._items.__getitem__, item.children) if child.type == DISPLAY]
        lower, upper, unit = (self._text_with(below, code) for code in ("lower", "upper", "unit"))
        shown = Field(
            id=f"q{item.order}",
            link_id=item.link_id,
            kind=kind,
            label=self.label(item.link_id),
            prefix=_said(item.source, "prefix", self._language),
            help=tuple(self.label(child.link_id) for child in below if control_of(child) in _HELPS),
            hint=self._hint(item, kind),
            choices=tuple(
                Choice(o.value, o.label, is_exclusive=o.is_exclusive, media=o.media) for o in options
            ),
            unit=unit or self._only_unit(item, units),
            units=tuple(Choice(unit.value, unit.label) for unit in units) if len(units) > 1 else (),
            lower=lower,
            upper=upper,
            low=self._limit(item.limits.min_value),
            high=self._limit(item.limits.max_value),
            step=_step(item, kind),
            max_length=str(item.limits.max_length or "") if item.type in _TEXTS else "",
            is_required=item.min_occurs > 0,
            support_link=text(ext.value(item.source, ext.SUPPORT_LINK)),
            media=_media(ext.value(item.source, ext.ITEM_MEDIA)),
            is_warning=item.type == DISPLAY and any(c.question in self._safety for c in item.enable_when),
            is_read_only=item.is_told,
        )
        is_open = item.type == "open-choice"
        return Control(item, replace(shown, other="" if is_open else None), options, units, is_open)

    def _text_with(self, displays: Sequence[Item], code: str) -> str:
        return next((self.label(item.link_id) for item in displays if control_of(item) == code), "")

    def _hint(self, item: Item, kind: str) -> str:
        if kind in ("date", "date-time", "time"):
            return self._words[f"form.hint.{kind}"]
        found = next(
            (_said(e, "valueString", self._language) for e in ext.extensions(item.source, ext.ENTRY_FORMAT)),
            "",
        )
        return found or (
            self._words["form.hint.lines"] if item.repeats and item.type in _TEXTS | _NUMBERS else ""
        )

    def _options(self, item: Item) -> Iterator[Option]:
        if item.type == "boolean":
            yield Option("true", answer=True, label=self._words["form.yes"])
            yield Option("false", answer=False, label=self._words["form.no"])
        if item.options is None:
            return
        names, told = _values_of(item.options.choices), option_names(item, self._language)
        sources = {_answer_in(source): source for source in mappings(item.source.get("answerOption"))}
        for answer, choice in item.options.choices.items():
            source = sources.get(answer, {})
            media = _media(ext.value(source, ext.ITEM_ANSWER_MEDIA))
            yield Option(names[answer], answer, told[answer] or choice.display, choice.exclusive, media)

    def _units(self, item: Item) -> Iterator[Option]:
        for coding in item.limits.units:
            code = coding.code
            yield Option(code, coding, self._words.texts.get(f"units.{code}.other", code.strip("{}")))

    def _only_unit(self, item: Item, units: Sequence[Option]) -> str:
        if len(units) == 1:
            return units[0].label
        if item.type not in ("integer", "decimal"):
            return ""
        unit = ext.value(item.source, ext.UNIT)
        return self._unit_beside(unit) if isinstance(unit, Mapping) else ""

    def _unit_beside(self, unit: Json) -> str:
        """Returns the unit of a plain number in words; empty if the language has none."""
        known = self._words.texts.get(f"units.{text(unit.get('code'))}.other")
        own = text(unit.get("display")) if self._language == ENGLISH else ""
        return known or translated(unit, "display", self._language) or own

    def _limit(self, limit: Answer | None) -> str:
        if isinstance(limit, bool) or not isinstance(limit, int | Decimal):
            return ""
        return digits(limit)

    # Fields of a page.

    def shown(
        self, page: Page, walk: Walk, posted: Posted | None = None, errors: Mapping[str, str] | None = None
    ) -> tuple[Field, ...]:
        """Returns the fields of a page with the answers so far, or with the typed text if it is wrong.

        Args:
            page: the page.
            walk: where the person stands.
            posted: what was sent; None if nothing was.
            errors: what is wrong with it, by linkId.
        """
        scene = _Scene(walk, walk.shown(page), posted, errors or {})
        return tuple(self._below(page.items, scene))

    def _below(self, links: Sequence[str], scene: _Scene) -> Iterator[Field]:
        for link in links:
            item = self._items[link]
            if item.is_hidden or (item.parent and self._is_told_above(item)):
                continue
            children = tuple(self._below(item.children, scene))
            when, is_closed = self._when(item, scene)
            if is_closed or (item.type == GROUP and not children):
                continue
            if item.answerable and not item.is_told and link not in scene.shown:
                continue
            found = replace(self.controls[link].shown, children=children, when=when)
            found = replace(found, is_hidden=link not in scene.walk.enabled)
            if link in self._totals:
                found = replace(found, total=self._totals[link].on(scene.walk.state.answers, scene.shown))
            yield self._filled(found, scene) if item.answerable else found

    def _is_told_above(self, item: Item) -> bool:
        """Says whether a text is part of the field of the question above it."""
        parent = self._items.get(item.parent or "")
        is_below_question = parent is not None and parent.answerable
        return (
            is_below_question
            and item.type == DISPLAY
            and control_of(item) in (*_HELPS, "lower", "upper", "unit")
        )

    def _filled(self, empty: Field, scene: _Scene) -> Field:
        link = empty.link_id
        control, error = self.controls[link], scene.errors.get(link, "")
        source = self.origin(scene.walk.state.sources.get(link))
        if error and scene.posted is not None:
            return replace(_as_typed(control, empty, scene.posted), error=error)
        state = scene.walk.state
        if unread := Posted(state.unread).of((link,)):
            return replace(_as_typed(control, empty, Posted(unread)), error=error)
        answers = state.answers.get(link) or state.offered.get(link, ())
        return replace(self._with(control, empty, answers), source=source, error=error)

    def _with(self, control: Control, empty: Field, answers: tuple[Answer, ...]) -> Field:
        if control.options:
            given = frozenset(option.value for option in control.options if _is_among(option.answer, answers))
            texts = [
                answer for answer in answers if isinstance(answer, str) and answer not in control.answers
            ]
            return replace(_chosen(empty, given), other="\n".join(texts) if control.is_open else None)
        first = answers[0] if answers else None
        if isinstance(first, Quantity):
            unit = first.unit
            units = tuple(replace(choice, is_chosen=choice.value == unit) for choice in empty.units)
            return replace(empty, value=first.comparator + self._phrases.number(first.value), units=units)
        if control.item.type in ("date", "dateTime"):
            return replace(empty, date=_date_parts(str(first or "")))
        if control.item.type == "time":
            return replace(empty, value=str(first or "")[:5])
        return replace(empty, value="\n".join(self._typed(answer) for answer in answers))

    def _typed(self, answer: Answer) -> str:
        return self._phrases.number(answer) if isinstance(answer, int | Decimal) else str(answer)

    def _when(self, item: Item, scene: _Scene) -> tuple[str, bool]:
        """Returns the conditions that questions of the page decide, and whether others close the item."""
        undecided: list[tuple[str, str, str | None]] = []
        for condition in item.enable_when:
            if condition.question in scene.shown:
                undecided.append((condition.question, condition.operator, self._expected(condition)))
                continue
            question = self._items.get(condition.question)
            answers = scene.walk.state.answers.get(condition.question, ())
            verdict = None if question is None else holds(condition, answers, question.type)
            if (verdict is not False) is item.enable_any:
                return "", not item.enable_any
        if not undecided:
            return "", bool(item.enable_when) and item.enable_any
        if any(value is None for _, _, value in undecided):
            return "", False
        return orjson.dumps([item.enable_any, undecided]).decode(), False

    def _expected(self, condition: EnableWhen) -> str | None:
        """Returns the value that a condition expects, as a control sends it; None if no control can."""
        expected, control = condition.expected, self.controls.get(condition.question)
        if control is None or expected is None:
            return None
        if condition.operator == "exists":
            return str(expected).lower()
        for option in control.options:
            if _is_among(option.answer, (expected,)):
                return option.value
        if isinstance(expected, int | Decimal):
            return digits(expected)
        return expected if isinstance(expected, str) else None

    # What comes back.

    def read(self, links: Collection[str], posted: Posted) -> Reading:
        """Returns the answers to questions, and what is wrong with what was sent for them.

        Whether a question must be answered is judged by `missing`.
        """
        answers: dict[str, tuple[Answer, ...]] = {}
        errors: dict[str, str] = {}
        for link in sorted(links, key=lambda link: self._items[link].order):
            try:
                given = self._reader.answers(self.controls[link], posted)
            except Unfit as fault:
                errors[link] = str(fault)
                continue
            if given:
                answers[link] = given
        return Reading(answers, errors)

    def missing(self, links: Collection[str], answers: AnswersByLink) -> dict[str, str]:
        """Returns the messages for required questions that are not answered, by linkId."""
        return {
            link: self._reader.required(self.controls[link])
            for link in sorted(links, key=lambda link: self._items[link].order)
            if self._items[link].min_occurs > 0 and not answers.get(link)
        }

    # Answers in words.

    def said(self, link: str, answers: tuple[Answer, ...]) -> tuple[str, ...]:
        """Returns answers in words."""
        return tuple(self._answer_said(self.controls[link], answer) for answer in answers)

    def _answer_said(self, control: Control, answer: Answer) -> str:
        for option in control.options:
            if _is_among(option.answer, (answer,)):
                return option.label
        if isinstance(answer, Quantity):
            return self._phrases.measured(answer)
        if isinstance(answer, Uncoded | Coding):
            return answer[1] if isinstance(answer, Coding) else answer.display
        if control.item.type in ("date", "dateTime"):
            return self._phrases.date(str(answer))
        if isinstance(answer, int | Decimal) and control.shown.unit:
            return f"{self._typed(answer)} {control.shown.unit}"
        return self._typed(answer)


class _Scene(msgspec.Struct, frozen=True):
    """What the fields of a page depend on.

    Args:
        shown: questions that may appear.
    """

    walk: Walk
    shown: frozenset[str]
    posted: Posted | None = None
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)


def _said(element: Json, name: str, language: str) -> str:
    return translated(element, name, language) or text(element.get(name))


def _kind(item: Item, options: int) -> str:
    control = control_of(item)
    if item.type in ("choice", "open-choice") or (options and item.type != "boolean"):
        if item.repeats:
            return "checkboxes"
        many = not control and options > MOST_SHOWN
        return "select" if control in _LISTS or many else "radios"
    if control == "slider" and item.type in ("integer", "decimal"):
        return "slider"
    if item.repeats and item.type in _TEXTS | _NUMBERS:
        return "text"
    return _WRITTEN_KINDS.get(item.type, item.type)


def _step(item: Item, kind: str) -> str:
    step = ext.value(item.source, ext.SLIDER_STEP)
    if kind == "slider" and isinstance(step, int | Decimal):
        return digits(step)
    return "1" if kind == "slider" else ""


def _media(attachment: object) -> str:
    return text(attachment.get("url")) if isinstance(attachment, Mapping) else ""


def _answer_in(source: Json) -> Answer | None:
    found = answer_in(source, "value")
    return None if found is None else found[1]


def _values_of(answers: Collection[Answer]) -> dict[Answer, str]:
    """Returns the value of each option in the page: the shortest text that tells it from the others."""
    codes = [answer.code for answer in answers if isinstance(answer, Coding)]
    found: dict[Answer, str] = {}
    for number, answer in enumerate(answers):
        match answer:
            case Coding(system, code):
                value = code if codes.count(code) == 1 else f"{system}|{code}"
            case Uncoded(_, display):
                value = display
            case _:
                value = str(answer)
        found[answer] = value if value not in found.values() else f"#{number}"
    return found


def _is_among(answer: Answer, answers: Collection[Answer] | Sequence[Answer]) -> bool:
    """Returns whether an answer is among others; true is not 1."""
    return any(answer == other and isinstance(answer, bool) is isinstance(other, bool) for other in answers)


def _chosen(empty: Field, values: Collection[str]) -> Field:
    choices = tuple(replace(choice, is_chosen=choice.value in values) for choice in empty.choices)
    return replace(empty, choices=choices)


def _date_parts(written: str) -> tuple[str, str, str, str]:
    """Returns day, month, year and time of a date or dateTime; parts that it lacks are empty."""
    day, _, time = written.partition("T")
    year, month, of_month = (*day.split("-"), "", "")[:3]
    return of_month.lstrip("0"), month.lstrip("0"), year, time[:5]


def _as_typed(control: Control, empty: Field, posted: Posted) -> Field:
    """Returns a field with what was typed into it."""
    link = control.item.link_id
    values, unit = posted.all(f"q.{link}"), posted.one(f"u.{link}")
    units = tuple(replace(choice, is_chosen=choice.value == unit) for choice in empty.units)
    day, month, year, time = (posted.one(f"{part}.{link}") for part in "dmyt")
    other = posted.one(f"o.{link}") if control.is_open else None
    typed = replace(_chosen(empty, values), units=units, date=(day, month, year, time), other=other)
    return typed if control.options else replace(typed, value="".join(values[:1]))
