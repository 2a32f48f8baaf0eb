"""A guidance in a further language: the same entries, with the texts of a messages file in place of theirs.

A text stands at a key such as `rules.new-weakness.patient`: the section, the name of the entry, and what it
is. The mapping itself is the English; nothing is compiled again, since only words change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from service.datatypes.form import Form
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.guidance.model import (
    UNFIT,
    Advice,
    AnswerWords,
    Comparison,
    Contradiction,
    Head,
    Identity,
    Level,
    Outcome,
    Row,
    Rule,
    Says,
    Score,
    ScoreBand,
    Tier,
    Written,
    unfit_answers,
)
from service.guidance.result import Due, Fired, Result, Risk, RowTally, Tally, Total
from service.guidance.scores import with_band_rules

ENGLISH: Final = "en"
"""The language of the mapping files themselves."""

Key = tuple[str, ...]
"""Where a text stands: section, name of the entry, and what it is."""

Entry = TypeVar(
    "Entry", bound=Tier | Outcome | Rule | Advice | Contradiction | Comparison | Row | Score | ScoreBand
)

Say = Callable[[Key, str], str]
"""Makes of a text, which stands at a key, the text in another language."""

_MAY_BE_EMPTY: Final = ("before", "after")
"""Words around an answer, which another language may do without."""


# A messages file.


class Messages(msgspec.Struct, frozen=True):
    """The texts of a guidance in one language, as `messages/<language>.yaml` has them.

    Args:
        language: tag of the language (BCP 47), as the file is named.
        version: the version of the guidance that was translated.
        texts: by key.
    """

    language: str
    version: str
    texts: Mapping[Key, str]

    @property
    def file(self) -> str:
        """The name of the file in the mapping folder."""
        return f"messages/{self.language}.yaml"


def messages_from(document: object, language: str) -> Messages:
    """Reads a messages file.

    Args:
        document: its plain value.
        language: as the file is named.

    Raises:
        GuidanceError: one line per fault, `messages/<language>.yaml: key path: what was expected`.
    """
    given = dict(document) if isinstance(document, Mapping) else {}
    version = given.pop("version", None)
    faults = (
        []
        if isinstance(version, str)
        else ["version: expected the version of the guidance that this translates"]
    )
    texts: dict[Key, str] = {}
    for key, value in _leaves(given, ()):
        if isinstance(value, str) and (value.strip() or key[-1] in _MAY_BE_EMPTY):
            texts[key] = value.strip()
        else:
            faults.append(f"{'.'.join(key)}: expected text (in quotes, if need be)")
    if faults:
        raise GuidanceError([f"messages/{language}.yaml: {fault}" for fault in faults])
    return Messages(language, str(version), texts)


def _leaves(value: Mapping[str, object], above: Key) -> Iterator[tuple[Key, object]]:
    for name, below in value.items():
        if isinstance(below, Mapping) and below:
            yield from _leaves(below, (*above, name))
        else:
            yield (*above, name), below


# The texts of a guidance, and the guidance with other texts.


def texts_of(written: Written) -> dict[Key, str]:
    """Returns every text that readers of a result may meet, by key."""
    found: dict[Key, str] = {}

    def say(key: Key, text: str) -> str:
        found[key] = text
        return text

    retold(written, say)
    return found


def differences(written: Written, messages: Messages) -> Iterator[str]:
    """Yields where a messages file does not fit its guidance: `file: key: what it is`."""
    if messages.version != written.identity.version:
        stated = f"translates {messages.version}, the guidance is {written.identity.version}"
        yield f"{messages.file}: version: {stated}"
    texts = texts_of(written)
    for key in texts:
        if key not in messages.texts:
            yield f"{messages.file}: {'.'.join(key)}: lacks this text"
    for key in messages.texts:
        if key not in texts:
            yield f"{messages.file}: {'.'.join(key)}: translates no text of the guidance"


def retold(written: Written, say: Say) -> Written:
    """Returns the guidance with what `say` makes of each of its texts; empty ones stay empty."""
    teller = _Teller(say)
    scores = tuple(map(teller.score, written.scores))
    outcomes = tuple(teller.entry(outcome, "outcomes", outcome.code) for outcome in written.outcomes)
    made = {name for score in written.scores for name in _made_by(score)}
    rules = [teller.entry(rule, "rules", rule.name) for rule in written.rules if rule.name not in made]
    tiers = tuple(teller.entry(tier, "tiers", tier.code) for tier in written.tiers)
    return replace(
        written,
        identity=teller.identity(written.identity),
        tiers=tiers,
        levels={code: teller.level(level) for code, level in written.levels.items()},
        outcomes=outcomes,
        rules=with_band_rules(rules, scores, tiers, outcomes),
        comparisons=tuple(map(teller.comparison, written.comparisons)),
        advice=tuple(teller.entry(advice, "advice", advice.name) for advice in written.advice),
        contradictions=tuple(
            teller.entry(found, "contradictions", found.name) for found in written.contradictions
        ),
        scores=scores,
        addressees={name: teller.says(says, "addressees", name) for name, says in written.addressees.items()},
        answer_words={link: teller.answer_words(link, words) for link, words in written.answer_words.items()},
    )


def _made_by(score: Score) -> Iterator[str]:
    """Yields the names of the rules that the bands of a score may make."""
    for band in score.bands:
        yield f"{score.name}-{band.name}"
        yield f"{score.name}-{band.name}-{score.outcome}"


_WORDS: Final = ("title", "display", "target", "feature")
"""Members of entries that are texts, each under its own name; `says` holds the words for the readers."""


class _Teller:
    """Tells each kind of entry again."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def text(self, text: str, *key: str) -> str:
        return self._say(key, text) if text else ""

    def says(self, says: Says, *key: str) -> Says:
        return Says(
            self.text(says.patient, *key, "patient"),
            self.text(says.clinician, *key, "clinician"),
            self.text(says.patient_unsure, *key, "patient-unsure"),
            self.text(says.step, *key, "step"),
        )

    def entry(self, entry: Entry, *key: str) -> Entry:
        """Returns an entry with its own words told again."""
        members: dict[str, Any] = {
            name: self.text(getattr(entry, name), *key, name) for name in _WORDS if hasattr(entry, name)
        }
        says = getattr(entry, "says", None)
        members |= {} if says is None else {"says": self.says(says, *key)}
        return replace(entry, **members)

    def identity(self, identity: Identity) -> Identity:
        return replace(
            identity,
            title=self.text(identity.title, "guidance", "title"),
            patient_title=self.text(identity.patient_title, "guidance", "patient-title"),
            intended_use=self.says(identity.intended_use, "guidance", "intended-use"),
            review=self.text(identity.review, "guidance", "review"),
            source_note=self.text(identity.source_note, "guidance", "source"),
            secondary_sources=tuple(
                self.text(source, "guidance", "secondary-sources", str(number))
                for number, source in enumerate(identity.secondary_sources, 1)
            ),
            reason_text=self.text(identity.reason_display, "guidance", "reason"),
        )

    def level(self, level: Level) -> Level:
        display = self.text(level.display, "levels", level.code, "display")
        return replace(level, display=display, coding_display=level.coding_display or level.display)

    def answer_words(self, link: str, words: AnswerWords) -> AnswerWords:
        return AnswerWords(
            self.text(words.label, "answer-words", link, "label"),
            self.text(words.before, "answer-words", link, "before"),
            self.text(words.after, "answer-words", link, "after"),
        )

    def comparison(self, table: Comparison) -> Comparison:
        key = ("comparisons", table.name)
        return replace(
            self.entry(table, *key),
            left=self.head(table.left, *key, "left"),
            right=self.head(table.right, *key, "right"),
            rows=tuple(self.row(row, *key, "rows", row.name) for row in table.rows),
        )

    def head(self, head: Head, *key: str) -> Head:
        return replace(head, label=self.text(head.label, *key))

    def row(self, row: Row, *key: str) -> Row:
        return replace(
            self.entry(row, *key),
            left=replace(row.left, says=self.text(row.left.says, *key, "left")),
            right=replace(row.right, says=self.text(row.right.says, *key, "right")),
        )

    def score(self, score: Score) -> Score:
        key = ("scores", score.name)
        bands = tuple(self.entry(band, *key, "bands", band.name) for band in score.bands)
        return replace(self.entry(score, *key), bands=bands)


# A guidance in a language, and its results.


class Telling(NamedTuple):
    """How a language is spoken where a guidance has no words for it.

    Args:
        lacking: says a text that the language lacks, which stays in English (`{text}`).
        unfit: what is said of an answer that does not fit the others (`{question}`).
    """

    lacking: str = "[English: {text}]"
    unfit: Says = UNFIT


@dataclass(frozen=True)
class Translation:
    """A guidance in one language.

    Args:
        messages: its texts.
        written: what the mapping files say, in that language.
        form: the questionnaire, in that language.
        unfit: as `Telling` has it.
    """

    messages: Messages
    written: Written
    form: Form = field(repr=False)
    unfit: Says

    @cached_property
    def contradictions(self) -> Mapping[str, Contradiction]:
        """Every contradiction that a result can name."""
        all_of_them = (*self.written.contradictions, *unfit_answers(self.form, self.unfit))
        return {contradiction.name: contradiction for contradiction in all_of_them}

    @cached_property
    def _entries(self) -> Mapping[tuple[type, str], Any]:
        """The entries that a result can name, by kind and name."""
        told = self.written
        named: list[Any] = [*told.rules, *told.comparisons, *told.advice, *told.scores]
        found = {(type(entry), entry.name): entry for entry in named}
        return found | {(Outcome, outcome.code): outcome for outcome in told.outcomes}

    @cached_property
    def _rows(self) -> Mapping[tuple[str, str], Row]:
        return {(table.name, row.name): row for table in self.written.comparisons for row in table.rows}

    def of(self, result: Result) -> Result:
        """Returns a result with the entries of this language in place of those that it names."""
        return replace(
            result,
            tiers=self.written.tiers,
            fired=tuple(map(self._fired, result.fired)),
            risks=tuple(map(self._risk, result.risks)),
            contradictions=tuple(self.contradictions[found.name] for found in result.contradictions),
            tables=tuple(map(self._tally, result.tables)),
            totals=tuple(map(self._total, result.totals)),
            advice=self._told(result.advice),
            precautions=self._told(result.precautions),
            due=self._due(result.due),
            step_due=self._due(result.step_due),
        )

    def _told(self, advice: tuple[Advice, ...]) -> tuple[Advice, ...]:
        return tuple(self._entries[Advice, found.name] for found in advice)

    def _fired(self, fired: Fired) -> Fired:
        return replace(fired, rule=self._entries[Rule, fired.rule.name])

    def _due(self, due: Due | None) -> Due | None:
        return None if due is None else replace(due, rule=self._entries[Rule, due.rule.name])

    def _risk(self, risk: Risk) -> Risk:
        outcome = self._entries[Outcome, risk.outcome.code]
        return replace(risk, outcome=outcome, fired=tuple(map(self._fired, risk.fired)))

    def _tally(self, tally: Tally) -> Tally:
        name = tally.comparison.name
        rows = tuple(RowTally(self._rows[name, found.row.name], found.state) for found in tally.rows)
        return replace(tally, comparison=self._entries[Comparison, name], rows=rows)

    def _total(self, total: Total) -> Total:
        return replace(total, score=self._entries[Score, total.score.name])


def translation(written: Written, messages: Messages, form: Form, telling: Telling) -> Translation:
    """Returns a guidance in the language of its messages; a text that they lack stays, and is marked.

    Its hash is over the guidance and the messages: the same hash says the same words.

    Args:
        written: in English.
        messages: the texts.
        form: the questionnaire, in that language.
        telling: what the language says where the guidance has no words for it.
    """

    def say(key: Key, text: str) -> str:
        known = messages.texts.get(key)
        return telling.lacking.format(text=text) if known is None else known

    told = retold(written, say)
    digest = _hash_of(written.identity.hash, messages)
    told = replace(told, identity=replace(told.identity, hash=digest))
    return Translation(messages, told, form, telling.unfit)


def _hash_of(guidance: str, messages: Messages) -> str:
    texts = {".".join(key): text for key, text in messages.texts.items()}
    text = json.dumps([guidance, messages.language, texts], sort_keys=True, ensure_ascii=False)
    return sha256(text.encode()).hexdigest()
