"""Answers, scores and dates in words, as a sentence of a result has them: "for 4 months, right arm"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from service.datatypes.answers import Answer, AnswersByLink, Coding, Days, Quantity, Uncoded, Unread
from service.datatypes.form import Question
from service.fhir.dates import is_date
from service.guidance import Guidance
from service.guidance.model import AnswerWords
from service.guidance.result import Total

_COMPARED: Final = {"<": "less than ", "<=": "at most ", ">=": "at least ", ">": "more than "}
_UNITS: Final = {
    "min": "minute",
    "h": "hour",
    "d": "day",
    "wk": "week",
    "mo": "month",
    "a": "year",
}
"""Units of UCUM that people say in words of their own."""
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_LONGEST_TEXT: Final = 80
_PLAIN: Final = ("yes", "no", "not-sure", "none")
"""Words of a guidance, or else codes, whose options say nothing without their question."""
_NO_WORDS: Final = AnswerWords()


def cut(text: str, most: int) -> str:
    """Returns a text of at most so many characters, cut between words."""
    if len(text) <= most:
        return text
    return text[: most - 1].rpartition(" ")[0].rstrip(" ,;:(") + "\u2026"


def first_sentences(text: str, most: int) -> str:
    """Returns the whole sentences at the beginning that fit; a first one that does not fit is cut."""
    kept = text[: most + 1].rpartition(". ")[0]
    return text if len(text) <= most else f"{kept}." if kept else cut(text, most)


def lowered(text: str) -> str:
    """Returns a text with a small first letter, unless it begins with a name or an abbreviation."""
    second = text[1:2]
    return text[:1].lower() + text[1:] if second.islower() else text


def number(value: Decimal | int) -> str:
    """Returns a number with the digits that it came with."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def measured(quantity: Quantity) -> str:
    """Returns a quantity with its unit in words: `more than 3 days`, `3.1 mmol/L`."""
    unit = quantity.unit
    if unit in _UNITS:
        unit = _UNITS[unit] if quantity.value == 1 else f"{_UNITS[unit]}s"
    unit = unit.strip("{}") if unit != "1" else ""
    compared = _COMPARED.get(quantity.comparator, "")
    return f"{compared}{number(quantity.value)} {unit}".rstrip()


def in_words(text: str) -> str:
    """Returns a date in words, as precise as it is: `12 October 2026`, `October 2026`."""
    year, month, day = (*text[:10].split("-"), "", "")[:3]
    named = f"{_MONTHS[int(month) - 1]} {year}" if month else year
    return f"{int(day)} {named}" if day else named


def day_of(authored: str | None) -> date | None:
    """Returns the day on which a response was written; None where that is not known to the day."""
    return date.fromisoformat(authored[:10]) if authored is not None and len(authored) >= 10 else None


def day_after(authored: str | None, days: int) -> str:
    """Returns the date so many days after a response was written, in words; empty where that is not known."""
    began = day_of(authored)
    return "" if began is None else in_words((began + timedelta(days)).isoformat())


def span(days: int) -> str:
    """Returns a length of time in words, in weeks where these are whole: `2 weeks`, `10 days`."""
    count, unit = (days // 7, "week") if days >= 14 and days % 7 == 0 else (days, "day")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def points(total: Total) -> str:
    """Returns a score as a number, or as the range that it lies in; empty where it is not to be reported."""
    if total.value is not None:
        return f"about {number(total.value)}" if total.estimated else number(total.value)
    return "" if total.refused else f"{number(total.at_least)} to {number(total.at_most)}"


def bands(total: Total) -> str:
    """Returns the displays of the bands that a score lies in."""
    displays = {band.name: band.display for band in total.score.bands}
    return " to ".join(dict.fromkeys(displays.get(band, band) for band in total.bands))


def _with_points(total: Total) -> str:
    known = points(total)
    return f"{total.score.display}: {known}" if known else ""


def score_words(total: Total) -> str:
    """Returns a score in words: its value or range, its bands, and how much of it is known."""
    known = f"{total.answered} of {total.answered + total.missing} parts known"
    value = f"{points(total)} ({bands(total)})" if points(total) else "not reported, too much is missing"
    return f"{total.score.display}: {value}; {known}"


class AnswerTexts:
    """Says the answers to the questions of one guidance's questionnaire in words."""

    def __init__(self, guidance: Guidance) -> None:
        questions, written = guidance.form.questions, guidance.written
        plain = {written.words.get(word, word) for word in _PLAIN}
        self._words = written.answer_words
        self._dates = {link: entry.date for link, entry in written.chart.items() if entry.date}
        self._questions = questions
        self._options = {
            (link, option.coding): lowered(option.display.rstrip("."))
            for link, question in questions.items()
            for option in question.options
            if option.coding.code not in plain
        }
        self.labels: Mapping[str, str] = {link: self._label(question) for link, question in questions.items()}

    def said(self, names: Iterable[str], answers: AnswersByLink, totals: Iterable[Total] = ()) -> list[str]:
        """Returns in words what was answered, and what it adds up to.

        A plain yes, no or not sure says nothing without its question, and is left out; so is a score
        that is not to be reported.

        Args:
            names: linkIds and names of scores; one that is neither is passed over.
            answers: by linkId, those of the chart included.
            totals: the scores.
        """
        found = []
        for name in names:
            total = next((total for total in totals if total.score.name == name), None)
            words = self._value(name, answers) if total is None else _with_points(total)
            found += [words] if words else []
        return found

    def labelled(self, links: Iterable[str], answers: AnswersByLink) -> list[str]:
        """Returns the same behind the short names of the questions."""
        said = ((link, self._value(link, answers)) for link in links)
        return [f"{self.labels[link]}: {words}" for link, words in said if words]

    def _value(self, link: str, answers: AnswersByLink) -> str:
        """Returns the answers to one question in words, with their date and the words around them."""
        parts = list(self._values(link, answers.get(link, ())))
        if parts and link in self._dates:
            parts += self._values(self._dates[link], answers.get(self._dates[link], ()))
        found = ", ".join(parts)
        around = self._words.get(link, _NO_WORDS)
        return " ".join(part for part in (around.before, found, around.after) if part) if found else ""

    def _values(self, link: str, values: Iterable[Answer]) -> Iterator[str]:
        for value in values:
            words = self._text(link, value)
            if words:
                yield words

    def _text(self, link: str, value: Answer) -> str:
        if isinstance(value, Coding):
            return self._options.get((link, value), "")
        if isinstance(value, Quantity):
            return measured(value)
        if isinstance(value, bool | Unread | Days):
            return ""
        if isinstance(value, int | Decimal):
            return number(value)
        if isinstance(value, Uncoded):
            return lowered(value.display)
        return self._free(link, value)

    def _free(self, link: str, value: str) -> str:
        question = self._questions.get(link)
        if question is not None and question.type in ("date", "dateTime") and is_date(value[:10]):
            return in_words(value)
        shown = "".join(sign if sign.isprintable() else " " for sign in value)
        return f"\u201c{cut(shown, _LONGEST_TEXT)}\u201d"

    def _label(self, question: Question) -> str:
        own = self._words.get(question.link_id, _NO_WORDS).label
        return own or lowered((question.short or question.text or question.link_id).rstrip("?.:"))
