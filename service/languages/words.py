"""The service's own words in one language, read once from the file of that language.

A text may have places in braces, which results fill in. Texts that depend on a number have two forms, for
one (`one`) and for any other number (`other`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from string import Formatter
from typing import Final

from service.errors import GuidanceError, SettingsError
from service.mapping_files import read_yaml

ENGLISH: Final = "en"
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Args:
        language: its tag (BCP 47).
        texts: by key; a key names section and text, such as `patient.why`.
    """

    language: str
    texts: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        """Returns a text; its places are not filled in."""
        return self.texts[key]

    def say(self, key: str, **parts: object) -> str:
        """Returns a text with its places filled in."""
        return self.texts[key].format(**parts)

    def count(self, key: str, number: int, **parts: object) -> str:
        """Returns a text about a number of things, in the form for that number."""
        return self.say(f"{key}.{'one' if number == 1 else 'other'}", number=number, **parts)

    @cached_property
    def months(self) -> tuple[str, ...]:
        """The names of the months, as dates have them."""
        return tuple(self.texts[f"months.{number}"] for number in range(1, 13))


@cache
def words_in(language: str) -> Words:
    """Returns the words of a language; a text that its file lacks is the English one, and marked.

    Raises:
        GuidanceError: a file is not as it should be; a line for each fault.
    """
    english = _texts(ENGLISH)
    own = _texts(language)
    lacking = own.get("results.lacking", english["results.lacking"])
    rest = {key: lacking.replace("{text}", text) for key, text in english.items() if key not in own}
    return Words(language, {**rest, **own})


@cache
def languages() -> tuple[str, ...]:
    """Returns the languages for which there is a file, English first."""
    return (ENGLISH, *sorted({path.stem for path in _FOLDER.glob("*.yaml")} - {ENGLISH}))


def known_language(tag: str) -> str:
    """Returns the language that SERVICE_LANGUAGE names; raises SettingsError if it has no words."""
    found = {language.casefold(): language for language in languages()}.get(tag.casefold())
    if found is None:
        raise SettingsError([f"SERVICE_LANGUAGE: Expected one of {', '.join(languages())}."])
    return found


def missing_words(language: str) -> Iterator[str]:
    """Yields where the file of a language does not fit the English one: `file: key: what it is`."""
    file = f"service/languages/{language}.yaml"
    if language not in languages():
        yield f"{file}: expected this file"
        return
    english, own = _texts(ENGLISH), _texts(language)
    for key, text in english.items():
        if key not in own:
            yield f"{file}: {key}: lacks this text"
        elif _places(own[key]) - _places(text):
            yield f"{file}: {key}: expected no other places than {', '.join(sorted(_places(text))) or 'none'}"
    for key in own.keys() - english.keys():
        yield f"{file}: {key}: translates no text of the service"


def _places(text: str) -> set[str]:
    """Returns the names of the places of a text."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def _texts(language: str) -> dict[str, str]:
    path = _FOLDER / f"{language}.yaml"
    document = read_yaml(path)
    texts = dict(_leaves(document, "")) if isinstance(document, Mapping) else {}
    faults = [
        f"{path.name}: {key}: expected text (in quotes, if need be)"
        for key, text in texts.items()
        if text is None
    ]
    if faults or not texts:
        raise GuidanceError(faults or [f"{path.name}: expected the words of a language"])
    return {key: str(text) for key, text in texts.items()}


def _leaves(value: Mapping[str, object], above: str) -> Iterator[tuple[str, str | None]]:
    for name, below in value.items():
        if isinstance(below, Mapping):
            yield from _leaves(below, f"{above}{name}.")
        else:
            yield f"{above}{name}", below if isinstance(below, str) else None


def why_left_out(reason: str) -> str:
    """Returns in English why a value of the chart is not used, or an earlier response not compared."""
    return words_in(ENGLISH)[f"left-out.{reason}"]


# Which language an answer is in.


def chosen(wanted: Iterable[str], offered: Collection[str], otherwise: str) -> str:
    """Returns the first language that is wanted and offered.

    Args:
        wanted: language ranges, the dearest first: `de-CH` takes `de` too, `*` takes whatever there is.
        offered: tags of languages.
        otherwise: the language where nothing that is wanted is offered; one of those offered.

    Source:
        RFC 4647, section 3.4 (lookup); tags are compared without regard to case.
    """
    by_tag = {tag.casefold(): tag for tag in offered}
    for language_range in wanted:
        if language_range == "*":
            break
        found = _lookup(language_range.casefold(), by_tag)
        if found:
            return found
    return otherwise


def _lookup(language_range: str, by_tag: dict[str, str]) -> str:
    """Returns the language that a range means, cut from its end until one is found; else empty."""
    while language_range:
        if language_range in by_tag:
            return by_tag[language_range]
        language_range = language_range.rpartition("-")[0]
        if language_range[-2:-1] == "-":  # a single letter or digit only introduces what follows it
            language_range = language_range[:-2]
    return ""
