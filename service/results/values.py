"""Answers in words, as a sentence of a result has them: "for 4 months, right arm"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from service.datatypes.answers import Answer, AnswersByLink, Coding, Days, Quantity, Uncoded, Unread
from service.datatypes.form import Question
from service.fhir.dates import is_date
from service.guidance import Guidance
from service.guidance.model import AnswerWords
from service.guidance.result import Total
from service.results.phrases import Phrases

_LONGEST_TEXT: Final = 80
_SENTENCE_END: Final = re.compile(r"(?<![0-9])\. ")
"""Behind a number the full stop may belong to a date."""
_FIRST_SENTENCE: Final = re.compile(r".*?[^\W\d]{2}(?=\. )|.+", re.DOTALL)
FIRST_PART: Final = re.compile(r".*?[^\W\d]{2}(?=[.:] )|.+", re.DOTALL)
"""Up to a full stop or colon; one behind a number or a single letter belongs to a date or a short form."""
_BRACKETS: Final = re.compile(r" \(([^()]*)\)")
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
    if len(text) <= most:
        return text
    ends = [found.start() + 1 for found in _SENTENCE_END.finditer(text, 0, most + 1)]
    return text[: ends[-1]] if ends else cut(text, most)


def beside(said: str, answers: str, first: re.Pattern[str] = _FIRST_SENTENCE) -> str:
    """Returns what is said, with the answers in brackets behind the first part of it."""
    return first.sub(lambda found: f"{found[0]} ({answers})", said, count=1)


def as_sent(text: str) -> str:
    """Returns text of a sender as a result may show it: short, without signs that change how it is read."""
    return cut("".join(sign if sign.isprintable() else " " for sign in text), _LONGEST_TEXT)


class AnswerTexts:
    """Says the answers to the questions of one guidance's questionnaire in words."""

    def __init__(self, guidance: Guidance, phrases: Phrases) -> None:
        questions, written = guidance.form.questions, guidance.written
        plain = {written.words.get(word, word) for word in _PLAIN}
        self._phrases = phrases
        self._words = written.answer_words
        self._dates = {link: entry.date for link, entry in written.chart.items() if entry.date}
        self._questions = questions
        self._options = {
            (link, option.coding): phrases.lowered(_BRACKETS.sub(r", \1", option.display.rstrip(".")))
            for link, question in questions.items()
            for option in question.options
            if option.coding.code not in plain
        }
        self.labels: Mapping[str, str] = {link: self._label(question) for link, question in questions.items()}
        self._single: Mapping[tuple[str, tuple[Answer, ...]], str] = {
            (link, (option.coding,)): self._in_place(link, self._options.get((link, option.coding), ""))
            for link, question in questions.items()
            for option in (question.options if link not in self._dates else ())
        }

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
            words = self._value(name, answers) if total is None else self._with_points(total)
            found += [words] if words else []
        return found

    def plainly(self, link: str, answers: AnswersByLink) -> str:
        """Returns the answers to one question in words, a plain yes or no too; empty where there are none."""
        question = self._questions[link]
        shown: dict[Answer, str] = {option.coding: option.display for option in question.options}
        given = answers.get(link, ())
        if any(value in shown for value in given):
            words = [self._phrases.lowered(shown[value].rstrip(".")) for value in given if value in shown]
            return ", ".join((*words, *self._values(link, (value for value in given if value not in shown))))
        return self._value(link, answers) or ", ".join(self._truth(value) for value in given)

    def _truth(self, value: Answer) -> str:
        is_truth = isinstance(value, bool)
        return self._phrases["values.true" if value else "values.false"] if is_truth else ""

    def _with_points(self, total: Total) -> str:
        known = self._phrases.points(total)
        return f"{total.score.display}: {known}" if known else ""

    def labelled(self, links: Iterable[str], answers: AnswersByLink) -> list[str]:
        """Returns the same behind the short names of the questions."""
        said = ((link, self._value(link, answers)) for link in links)
        return [f"{self.labels[link]}: {words}" for link, words in said if words]

    def _value(self, link: str, answers: AnswersByLink) -> str:
        """Returns the answers to one question in words, with their date and the words around them."""
        values = answers.get(link)
        if not values:
            return ""
        known = self._single.get((link, values))
        if known is not None:
            return known
        parts = list(self._values(link, values))
        if parts and link in self._dates:
            parts += self._values(self._dates[link], answers.get(self._dates[link], ()))
        return self._in_place(link, ", ".join(parts))

    def _in_place(self, link: str, found: str) -> str:
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
            return self._phrases.measured(value)
        if isinstance(value, bool | Unread | Days):
            return ""
        if isinstance(value, int | Decimal):
            return self._phrases.number(value)
        if isinstance(value, Uncoded):
            return self._phrases.lowered(as_sent(value.display))
        return self._free(link, value)

    def _free(self, link: str, value: str) -> str:
        question = self._questions.get(link)
        if question is not None and question.type in ("date", "dateTime") and is_date(value[:10]):
            return self._phrases.date(value)
        return self._phrases.quoted([as_sent(value)])

    def _label(self, question: Question) -> str:
        own = self._words.get(question.link_id, _NO_WORDS).label
        return own or self._phrases.lowered(
            (question.short or question.text or question.link_id).rstrip("?.:")
        )
