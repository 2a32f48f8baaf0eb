"""Conditions, answers and values of mapping files in words, for a reader who knows no YAML.

They are read as the files write them: a key that is not known here is told as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.authoring.editions import Edition, listed
from service.guidance.conditions import COMPARISONS, NEWLY

Words = str | tuple[str, list["Words"]]
"""A condition in words; a group is its heading and its parts."""

_GROUPS = {
    "any": "any of:",
    "all": "all of:",
    "none": "none of:",
    "not": "not:",
    NEWLY: "any of these, denied in an earlier response:",
}


def plain(value: object) -> str:
    """Returns a value of a file as one text: lists and mappings in their own brackets."""
    if isinstance(value, list):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


class InWords:
    """Puts what the files of one version write into words."""

    def __init__(self, edition: Edition) -> None:
        self._words = _mapping(edition.guidance.get("words"))
        self._parameters = _mapping(edition.guidance.get("parameters"))
        self._addressees = _mapping(edition.guidance.get("addressees"))
        self._means = {str(entry.get("finding")): entry for entry in edition.entries("findings")}
        self._scores = {str(entry.get("score")): entry for entry in edition.entries("scores")}
        self._questions = {str(item.get("linkId")): item for item in edition.items()}
        form = edition.pair.guidance.form.questions if edition.pair is not None else {}
        self._options = {
            link_id: {option.coding.code: option.display for option in question.options}
            for link_id, question in form.items()
        }

    def condition(self, when: object) -> Words:
        """Returns a condition in words."""
        if isinstance(when, str):
            return self._finding(when)
        if not isinstance(when, Mapping):
            return plain(when)
        for word, heading in _GROUPS.items():
            if word in when:
                return heading, [self.condition(part) for part in _several(when[word])]
        if "of" in when:
            number = self._parameter(when.get("at-least"))
            return f"at least {number} of:", [self.condition(part) for part in _several(when["of"])]
        return self._test(when)

    def answer(self, link_id: str, value: object) -> str:
        """Returns one answer of a worked case, with its question."""
        return f"{self.question(link_id)}: {self.option(link_id, value)}"

    def question(self, link_id: str) -> str:
        """Returns the words of a question, in quotation marks; the linkId where there are none."""
        found = self._questions.get(link_id, {}).get("text")
        return f"\u201c{found}\u201d" if found else link_id

    def option(self, link_id: str, value: object) -> str:
        """Returns an answer in words: the display of an option, or the value itself."""
        if isinstance(value, list):
            return ", ".join(self.option(link_id, one) for one in value)
        if value is None:
            return "(no answer)"
        code = str(self._words.get(plain(value), plain(value)))
        shown = self._options.get(link_id, {})
        return shown.get(code) or shown.get(plain(value)) or _yes_or_no(value)

    def _finding(self, name: str) -> str:
        means = self._means.get(name, {}).get("means")
        return f"{name} ({plain(means).rstrip('.')})" if means else name

    def _test(self, when: Mapping[str, Any]) -> Words:
        if "unsure" in when:
            return "not sure whether:", [self.condition(when["unsure"])]
        if "answer" in when:
            return self._of_answer(str(when["answer"]), when)
        if "score" in when:
            return self._of_score(when)
        if set(when) == {"parameter"}:
            return f"the switch {when['parameter']} is on"
        for word, end in (("tier-at-least", "at least"), ("tier-at-most", "at most")):
            if word in when:
                return f"the step is {end} {when[word]}"
        return plain(when)

    def _of_answer(self, link_id: str, when: Mapping[str, Any]) -> str:
        if "is" in when:
            options = [self.option(link_id, value) for value in _several(when["is"])]
            return f"{self.question(link_id)}: {' or '.join(options)}"
        if "answered" in when:
            return f"{self.question(link_id)} is answered"
        return f"{self.question(link_id)}: {self._compared(when)}"

    def _of_score(self, when: Mapping[str, Any]) -> str:
        score = self._scores.get(str(when["score"]), {})
        name = plain(score.get("display", when["score"]))
        if "band" not in when:
            return f"{name}: {self._compared(when)}"
        wanted = _several(when["band"])
        shown = {plain(band.get("band")): plain(band.get("display")) for band in listed(score.get("bands"))}
        return f"{name}: {' or '.join(shown.get(plain(band), plain(band)) for band in wanted)}"

    def _compared(self, when: Mapping[str, Any]) -> str:
        for word, edge in COMPARISONS.items():
            if word in when:
                return f"{edge} {self._parameter(when[word])}"
        return plain({key: value for key, value in when.items() if key not in ("answer", "score")})

    def _parameter(self, written: object) -> str:
        """Returns the number behind `{parameter: name}`, or behind the first of several."""
        named = written if isinstance(written, Mapping) else {}
        names = [named["parameter"]] if "parameter" in named else named.get("parameters", ())
        return " or ".join(self.number(str(name)) for name in names) or plain(written)

    def told(self, key: str, value: object) -> str:
        """Returns the value of a key of a step or rule: a parameter with its number, an addressee by name."""
        if isinstance(value, Mapping) and set(value) == {"parameter"}:
            return self.number(str(value["parameter"]))
        addressee = _mapping(self._addressees.get(plain(value))) if key == "to" else {}
        return plain(addressee.get("clinician", value))

    def number(self, name: str) -> str:
        """Returns a parameter: its value, its unit and its name."""
        entry = _mapping(self._parameters.get(name))
        unit = plain(entry.get("unit"))
        shown = "" if unit in ("", "1") or unit.startswith("{") else f" {unit}"
        return f"{plain(entry.get('value'))}{shown} ({name})"


def flat(words: Words) -> str:
    """Returns a condition on one line."""
    if isinstance(words, str):
        return words
    heading, parts = words
    return f"{heading} {'; '.join(_bracketed(parts))}"


def _bracketed(parts: Iterable[Words]) -> list[str]:
    return [part if isinstance(part, str) else f"({flat(part)})" for part in parts]


def _several(value: object) -> list[Any]:
    """Returns a list as it is, and one value as a list."""
    return value if isinstance(value, list) else [value]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _yes_or_no(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(value)
