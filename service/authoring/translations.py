"""What a language lacks, and what may no longer say what the English says.

The English text that each translation was made from is remembered, so that a change is noticed.

A file for each language, `messages/sources/<language>.yaml`, has a digest of the English text at every key
that was translated. It is written by the command `translations`, when somebody says that all texts fit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from service.authoring.editions import Edition
from service.catalogue import Pair
from service.errors import GuidanceError
from service.guidance.messages import differences, texts_of
from service.languages import missing_words
from service.mapping_files import read_yaml
from service.questionnaire import languages_in, missing_texts, texts_in

_DIGITS: Final = 8
_HEAD: Final = """\
# Digests of the English texts that were translated.
# Written by: python -m service translations --accept
"""


class Translation(NamedTuple):
    """One text in two languages.

    Args:
        source: where it stands: `phq-9/messages/de.yaml`, or the name of the Questionnaire.
        key: its place there: `rules.worse.patient`.
    """

    source: str
    key: str
    english: str
    translated: str


def translations_in(pair: Pair, language: str) -> Iterator[Translation]:
    """Yields every text of a guidance and of its questionnaire that is there in a language."""
    english = texts_of(pair.guidance.written)
    for messages in pair.messages:
        for key, text in messages.texts.items():
            if messages.language == language and key in english:
                yield Translation(f"{pair.slug}/{messages.file}", ".".join(key), english[key], text)
    name = _form_of(pair)
    for place, original, text in texts_in(pair.compiled, language):
        if text:
            yield Translation(name, place, original, text)


def _form_of(pair: Pair) -> str:
    return f"Questionnaire {pair.compiled.resource.get('id', 'questionnaire')}"


def languages_of(pair: Pair) -> list[str]:
    """Returns the languages that the guidance or its questionnaire has texts in, English left out."""
    told = {messages.language for messages in pair.messages}
    return sorted({*told, *filter(None, languages_in(pair.compiled.resource))})


def language_gaps(pair: Pair) -> Iterator[str]:
    """Yields every text that a language lacks, and every one that translates nothing any more.

    A language is meant to be there as soon as the guidance or its questionnaire has a text in it.
    """
    by_language = {messages.language: messages for messages in pair.messages}
    for language in languages_of(pair):
        if language in by_language:
            gaps = differences(pair.guidance.written, by_language[language])
            yield from (f"{pair.slug}/{gap}" for gap in gaps)
        else:
            expected = f"expected this file: the questionnaire has texts in {language}"
            yield f"{pair.slug}/messages/{language}.yaml: {expected}"
        yield from (f"{_form_of(pair)}: {gap}" for gap in missing_texts(pair.compiled, language))
        yield from missing_words(language)


def outdated(pair: Pair, folder: Path, language: str) -> Iterator[tuple[Translation, str]]:
    """Yields the texts that may no longer say what the English says, each with why that is so.

    Args:
        folder: of the mapping files.

    Raises:
        GuidanceError: what is recorded cannot be read.
    """
    known = _recorded(folder, language)
    for text in translations_in(pair, language):
        if text.key not in known:
            yield text, "it is not recorded which English text this translates"
        elif known[text.key] != _digest(text.english):
            yield text, "its English text has changed since it was translated"


def outdated_lines(pair: Pair, folder: Path) -> Iterator[str]:
    """Yields a line, with file and key, for each text that is outdated in a language or cannot be read."""
    for language in languages_of(pair):
        file = _file(folder, language)
        if not file.is_file():
            place = f"{pair.slug}/{file.relative_to(folder)}"
            yield f"{place}: expected this file: python -m service translations --accept writes it"
            continue
        try:
            for text, why in outdated(pair, folder, language):
                yield f"{text.source}: {text.key}: {why}"
        except GuidanceError as error:
            yield from (f"{pair.slug}/messages/sources/{fault}" for fault in error.faults)


def shown(edition: Edition, *, accepts: bool) -> Iterator[str]:
    """Yields each outdated text of a guidance in both languages; records it if that is wanted.

    Raises:
        GuidanceError: the guidance has faults, or what is recorded cannot be read.
    """
    if edition.pair is None:
        raise GuidanceError(edition.faults)
    for language in languages_of(edition.pair):
        for text, why in outdated(edition.pair, edition.folder, language):
            yield f"{text.source}: {text.key}: {why}\n  en: {text.english}\n  {language}: {text.translated}"
        if accepts:
            _accept(edition.pair, edition.folder, language)


def _accept(pair: Pair, folder: Path, language: str) -> None:
    """Records that every text in a language translates the English text as it is now."""
    lines = [
        f"{json.dumps(text.key, ensure_ascii=False)}: {json.dumps(_digest(text.english))}\n"
        for text in translations_in(pair, language)
    ]
    file = _file(folder, language)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_HEAD + "".join(lines), "utf-8")


def _file(folder: Path, language: str) -> Path:
    return folder / "messages" / "sources" / f"{language}.yaml"


def _recorded(folder: Path, language: str) -> Mapping[str, object]:
    """Returns the digests by key; none if nothing is recorded.

    Raises:
        GuidanceError: the file is not one that `accept` wrote.
    """
    file = _file(folder, language)
    if not file.is_file():
        return {}
    found = read_yaml(file)
    if not isinstance(found, dict):
        raise GuidanceError([f"{file.name}: expected digests by key"])
    return found


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGITS]
