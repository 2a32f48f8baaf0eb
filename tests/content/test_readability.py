"""A person can read the questions: short words, short sentences, nothing that frightens.

The grade is Flesch-Kincaid: 0.39 * words per sentence + 11.8 * syllables per word - 15.59.
Source: Kincaid, Fishburne, Rogers, Chissom: Derivation of new readability formulas, 1975.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

Json = dict[str, Any]

PROFESSIONAL = ("examination", "tests", "chart")
WHOLE_FORM, ONE_QUESTION, ONE_OPTION = 8.0, 10.0, 10.0
LONG_ENOUGH = 5  # the formula says nothing about fewer words: one long word alone reaches grade 30

NAMES_OF_ILLNESSES = {
    "low-minerals": "names the minerals that the person was told about",
    "als": "the name of an illness, as a doctor says it",
}
"""Options that may read harder than grade 10, each with the reason."""

FRIGHTENING = re.compile(
    r"\b(die[sd]?|dying|death|dead|deadly|fatal|lethal|terminal|incurable|untreatable|paraly\w+|life-threatening|"
    r"surviv\w+|prognosis|disab\w+|cripp\w+|degenerat\w+|devastat\w+|dangerous|horr\w+|suffer\w*)\b",
    re.IGNORECASE,
)

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|\d+(?:\.\d+)?")
_SILENT_E = re.compile(r"(?<=[aeiouy])[^aeiouy]+(?:e|es)$")
_SPOKEN_E = re.compile(r"[^aeiouy]les?$|(?:s|x|z|ch|sh|g|c)es$")
_SILENT_ED = re.compile(r"[^aeioutd]ed$")
_SPOKEN_APART = re.compile(r"ia|io(?!u|n)|eo(?!u)|ua|ying")
_UNEVEN = {
    "anxiety": 4, "area": 3, "being": 2, "calcium": 3, "continuous": 4, "coordination": 5,
    "does": 1, "doing": 2, "earlier": 3, "every": 2, "fluid": 2, "magnesium": 4,
    "movement": 2, "movements": 2, "people": 2, "potassium": 4, "quiet": 2, "safety": 2,
    "someone": 2, "something": 2, "sometimes": 2, "somewhere": 2, "tired": 2, "tongue": 1,
}  # fmt: skip


def syllables(word: str) -> int:
    """The number of spoken syllables; a number or an abbreviation counts one per sign."""
    lower = word.lower()
    if (word.isupper() and len(word) > 1) or not word[0].isalpha():
        return len(re.sub(r"\W", "", word))
    if lower in _UNEVEN:
        return _UNEVEN[lower]
    count = len(re.findall(r"[aeiouy]+", lower)) + len(_SPOKEN_APART.findall(lower))
    if _SILENT_ED.search(lower) or (_SILENT_E.search(lower) and not _SPOKEN_E.search(lower)):
        count -= 1
    return max(1, count)


def grade(texts: Iterable[str]) -> float:
    """The school grade of these texts; each is one sentence at least."""
    sentences = [part for text in texts for part in re.split(r"[.!?]+\s+|:\s+", text) if _WORD.search(part)]
    words = [word for sentence in sentences for word in _WORD.findall(sentence)]
    spoken = sum(syllables(word) for word in words)
    return 0.39 * len(words) / len(sentences) + 11.8 * spoken / len(words) - 15.59


@pytest.fixture(scope="module")
def for_patients(items: dict[str, Json], section_of: dict[str, str]) -> list[Json]:
    return [item for link, item in items.items() if section_of[link] not in PROFESSIONAL]


def test_syllables_are_counted_as_spoken() -> None:
    spoken = {"twitch": 1, "muscle": 2, "twitches": 2, "breathe": 1, "changed": 1, "started": 2, "body": 2}
    assert {word: syllables(word) for word in spoken} == spoken


def test_the_grade_follows_the_formula() -> None:
    assert grade(["The cat sat on the mat."]) == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    assert grade(["Progressive neurological deterioration necessitates investigation."]) > 20


def test_the_whole_form_reads_at_grade_8_or_lower(for_patients: list[Json]) -> None:
    assert grade(item["text"] for item in for_patients) <= WHOLE_FORM


def test_each_question_and_each_help_reads_at_grade_10_or_lower(for_patients: list[Json]) -> None:
    hard = {item["linkId"]: grade([item["text"]]) for item in for_patients if item["type"] != "group"}
    assert {link: found for link, found in hard.items() if found > ONE_QUESTION} == {}


def test_each_option_reads_at_grade_10_or_lower_unless_it_names_an_illness(for_patients: list[Json]) -> None:
    options = [option["valueCoding"] for item in for_patients for option in item.get("answerOption", [])]
    long = [each for each in options if len(_WORD.findall(each["display"])) >= LONG_ENOUGH]
    hard = {each["code"] for each in long if grade([each["display"]]) > ONE_OPTION}
    assert hard == set(NAMES_OF_ILLNESSES)


def test_no_sentence_for_patients_is_longer_than_25_words(for_patients: list[Json]) -> None:
    sentences = [part for item in for_patients for part in re.split(r"[.!?]\s+", item["text"])]
    assert [part for part in sentences if len(_WORD.findall(part)) > 25] == []


def test_no_word_frightens(for_patients: list[Json]) -> None:
    displays = [
        option["valueCoding"]["display"] for item in for_patients for option in item.get("answerOption", [])
    ]
    texts = [item["text"] for item in for_patients] + displays
    assert [text for text in texts if FRIGHTENING.search(text)] == []


def test_the_form_opens_with_a_calm_word(questionnaire: Json) -> None:
    first = questionnaire["item"][0]["item"][0]
    assert first["type"] == "display"
    assert "common" in first["text"]
    assert "harmless" in first["text"]
