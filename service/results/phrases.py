"""Numbers, dates, scores, levels and answers in words, as one language writes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Final

from service.datatypes.answers import Answer, AnswersByLink, Coding, Days, Quantity, Uncoded, Unread
from service.datatypes.days import day_after, day_of
from service.datatypes.form import Question
from service.datatypes.values import replace
from service.errors import Problem
from service.fhir.dates import is_date
from service.guidance import Guidance
from service.guidance.model import NOT_ASSESSABLE, AnswerWords, Level, Says, Tier
from service.guidance.result import Interval, Total
from service.languages import ENGLISH, Words, words_in

_COMPARED: Final = {"<": "values.less", "<=": "values.at-most", ">=": "values.at-least", ">": "values.more"}
_ONE: Final = Decimal(1)


def digits(value: Decimal | int) -> str:
    """Returns a number with the digits that it came with, as JSON has it."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def is_assessable(tier: Interval) -> bool:
    """Returns whether more is known than the lowest step, or no open question could raise it."""
    return tier.settled or tier.at_least > 0


class Phrases:
    """Says in one language what results have in common."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.language = words.language
        self.say = words.say
        lowered = words["style.small-inside"]
        self._lowered = None if lowered == "all" else frozenset(lowered.split())
        self._mark = words["style.decimal-mark"]
        self._quoted = words["style.quoted"]
        self._months = words.months
        self._day = words["dates.day"]
        before, _, after = escape(words["results.lacking"], quote=False).partition("{text}")
        self._lacking = re.compile(f"({re.escape(before)})(.*?)({re.escape(after)})")

    def __getitem__(self, key: str) -> str:
        """Returns a text of the service's own."""
        return self.words[key]

    def lowered(self, text: str) -> str:
        """Returns a text as it stands inside a sentence.

        Its first letter becomes small where the language writes it so, unless the text begins with a name
        or an abbreviation. A language in which nouns keep theirs says which words lose it.
        """
        small = text[:1].lower() + text[1:]
        if self._lowered is None:
            return small if text[1:2].islower() else text
        return small if small.partition(" ")[0].rstrip(",;:.") in self._lowered else text

    def quoted(self, texts: Iterable[str]) -> str:
        """Returns texts in quotation marks, with commas between them."""
        return ", ".join(self._quoted.format(text=text) for text in texts)

    def remark(self, problem: Problem) -> str:
        """Returns a warning about a response: in English as it was found, else what its kind means.

        What was expected is said in English alone, as in every OperationOutcome.
        """
        if self.language == ENGLISH:
            return problem.text
        texts = self.words.texts
        meant = texts.get(f"problems.{problem.kind}", texts["problems.other"])
        said = meant.format(reason=texts.get(f"left-out.{problem.reason}", ""))
        return f"{self.quoted([problem.about])}: {said}" if problem.about else said

    def remarks(self, problems: Sequence[Problem]) -> list[str]:
        """Returns the warnings about a response, each once, with how often it holds."""
        times = Counter(map(self.remark, problems)) if problems else {}
        return [
            said if number == 1 else self.say("results.times", said=said, number=number)
            for said, number in times.items()
        ]

    def with_languages(self, xhtml: str) -> str:
        """Returns XHTML in which what stands there in English says so to those who have it read aloud.

        Source:
            R4 narrative.html#lang.
        """
        if self.language == ENGLISH:
            return xhtml
        return self._lacking.sub(r'\1<span lang="en" xml:lang="en">\2</span>\3', xhtml)

    # Numbers and dates.

    def number(self, value: Decimal | int) -> str:
        """Returns a number with the digits that it came with."""
        return digits(value).replace(".", self._mark)

    def measured(self, quantity: Quantity) -> str:
        """Returns a quantity with its unit in words: `more than 3 days`, `3.1 mmol/L`."""
        unit, form = quantity.unit, "one" if quantity.value == _ONE else "other"
        unit = self.words.texts.get(f"units.{unit}.{form}", unit.strip("{}") if unit != "1" else "")
        value = f"{self.number(quantity.value)} {unit}".rstrip()
        return self.compared(quantity.comparator, value)

    def compared(self, comparator: str, value: str) -> str:
        """Returns a value as one end of a range, `more than 3 days`; by itself where it is none."""
        return self.say(_COMPARED[comparator], value=value) if comparator else value

    def date(self, text: str) -> str:
        """Returns a date in words, as precise as it is: `12 October 2026`, `October 2026`."""
        year, month, day = (*text[:10].split("-"), "", "")[:3]
        if not month:
            return year
        named = self._months[int(month) - 1]
        if not day:
            return self.say("dates.month", month=named, year=year)
        return self._day.format(day=int(day), month=named, year=year)

    def day_after(self, authored: str | None, days: int) -> str:
        """Returns the date so many days after a response was written; empty where there is none."""
        began = day_of(authored)
        day = None if began is None else day_after(began, days)
        if day is None:
            return ""
        return self._day.format(day=day.day, month=self._months[day.month - 1], year=f"{day.year:04}")

    def span(self, days: int) -> str:
        """Returns a length of time in words, in weeks where these are whole: `2 weeks`, `10 days`."""
        if days >= 14 and days % 7 == 0:
            return self.words.count("dates.weeks", days // 7)
        return self.words.count("dates.days", days)

    def by_when(self, days: int, authored: str | None) -> str:
        """Returns a latest date: `today`, `by 12 December 2026`, or `within 2 weeks` of an unknown day."""
        if days == 0:
            return self["dates.today"]
        day = self.day_after(authored, days)
        return self.say("dates.by", day=day) if day else self.say("dates.within", span=self.span(days))

    def look_again(self, days: int, authored: str | None) -> str:
        """Returns when to look again: on a day, or after a time if the day of the response is not known."""
        day = self.day_after(authored, days)
        if day:
            return self.say("dates.again-on", day=day)
        return self.say("dates.again-in", span=self.span(days))

    # Steps, levels and scores.

    def known(self, tiers: tuple[Tier, ...], tier: Interval) -> Tier:
        """Returns the step whose words may be said.

        While nothing is assessable, the lowest step is what is left if nothing turns out badly. Unless its
        own words say so, ours stand in their place: nobody with open questions reads "nothing to do".
        """
        least = tiers[tier.at_least]
        if is_assessable(tier) or least.code == NOT_ASSESSABLE:
            return least
        says = Says(self["patient.not-assessable"], self["results.open-in-order"])
        display, target = self["results.not-assessable"], self["results.answer-first"]
        return replace(least, display=display, target=target, says=says, number="")

    def step(self, tiers: tuple[Tier, ...], tier: Interval, until: str = "") -> str:
        """Returns the step of care in one line: settled, at least, or not assessable yet.

        Args:
            until: until when and for whom; it belongs to the step that is known, and stands beside that one.
        """
        least, most = tiers[tier.at_least].display, tiers[tier.at_most].display
        if tier.settled:
            return f"{least}: {until}" if until else least
        if until:
            least = f"{least} ({until})"
        key = "results.at-least-step" if is_assessable(tier) else "results.not-assessable-step"
        return self.say(key, least=least, most=most)

    def level(self, ladder: tuple[Level, ...], level: Interval) -> str:
        """Returns a level, or the two ends that it can still lie between."""
        least, most = ladder[level.at_least].display, ladder[level.at_most].display
        if level.settled:
            return least
        return self.say("results.between-levels", least=self.lowered(least), most=self.lowered(most))

    def points(self, total: Total) -> str:
        """Returns a score as a number or a range; empty where it is not to be reported."""
        if total.value is not None:
            value = self.number(total.value)
            return self.say("scores.about", value=value) if total.estimated else value
        least, most = self.number(total.at_least), self.number(total.at_most)
        return "" if total.refused else self.say("scores.range", least=least, most=most)

    def bands(self, total: Total) -> str:
        """Returns the displays of the bands that a score lies in."""
        displays = {band.name: band.display for band in total.score.bands}
        least, most = (displays.get(band, band) for band in total.bands)
        return least if least == most else self.say("scores.range", least=least, most=most)

    def score(self, total: Total) -> str:
        """Returns a score in words: its value or range, its bands, and how much of it is known."""
        known = self.say("scores.known", known=total.answered, all=total.answered + total.missing)
        points = self.points(total)
        value = f"{points} ({self.bands(total)})" if points else self["scores.missing"]
        return f"{total.score.display}: {value}; {known}"


def phrases_in(language: str) -> Phrases:
    """Returns what results say in a language; in English where the service has no words of it."""
    return Phrases(words_in(language))


# Answers in words, as a sentence of a result has them: "for 4 months, right arm".


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

    def said(self, names: Collection[str], answers: AnswersByLink, totals: Iterable[Total] = ()) -> list[str]:
        """Returns in words what was answered, and what it adds up to.

        A plain yes, no or not sure says nothing without its question, and is left out; so is a score
        that is not to be reported. Of several measured values each says what was measured.

        Args:
            names: linkIds and names of scores; one that is neither is passed over.
            answers: by linkId, those of the chart included.
            totals: the scores.
        """
        found = []
        are_several = sum(name in self._dates and name in answers for name in names) > 1
        for name in names:
            total = next((total for total in totals if total.score.name == name), None)
            words = self._value(name, answers) if total is None else self._with_points(total)
            if words and are_several and name in self._dates:
                words = f"{self.labels[name]} {words}"
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
