"""The code system of a guidance: every code of its own that its results name, made of its mapping.

Source: https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from service.fhir.definitions import PUBLISHER
from service.fhir.extensions import mappings
from service.fhir.json import Json
from service.guidance.model import Written
from service.languages import ENGLISH, words_in
from service.results import wording
from service.results.risk_assessment import NEEDS_EVALUATION, STEP, TRIAGE

_KIND: Final = {
    "code": "kind",
    "description": "What the code stands for: tier, outcome, level, score, or what every result names.",
    "type": "code",
}
_NOT_OF_AN_ID: Final = re.compile(r"[^A-Za-z0-9\-.]+")


class Concept(NamedTuple):
    """A code of a guidance's own."""

    code: str
    display: str
    definition: str
    kind: str

    def stated(self, names: Mapping[str, str]) -> Json:
        """Returns the concept as a CodeSystem has it, with its names by language."""
        designations = [{"language": language, "value": name} for language, name in names.items()]
        return {
            "code": self.code,
            **({"display": self.display} if self.display else {}),
            "definition": self.definition,
            **({"designation": designations} if designations else {}),
            "property": [{"code": _KIND["code"], "valueCode": self.kind}],
        }


_OF_EVERY_RESULT: Final = (
    (NEEDS_EVALUATION, "Somebody should look at what was reported; how soon is said by a tier."),
    (TRIAGE, "Answers to a questionnaire were sorted by urgency by software. Nobody was examined."),
    (STEP, "Which tier the answers lead to."),
)
"""Codes, which are keys of the service's own words too, and what they mean."""


def guidance_codes(written: Written, language: str = ENGLISH) -> dict[str, Concept]:
    """Returns every code of its own that the results of a guidance name, by code.

    Args:
        written: the guidance, in a language.
        language: this one.
    """
    words = words_in(language)
    common = (
        Concept(code, words[f"results.{code}"], meaning, "result") for code, meaning in _OF_EVERY_RESULT
    )
    return {concept.code: concept for concept in (*_own(written), *common)}


def _own(written: Written) -> Iterator[Concept]:
    identity = written.identity
    if identity.code.system == identity.terminology:
        yield Concept(identity.code.code, identity.code_display, identity.title, "result")
    for tier in written.tiers:
        yield Concept(tier.code, tier.display, tier.says.clinician, "tier")
    for outcome in written.outcomes:
        yield Concept(outcome.code, outcome.display, outcome.says.clinician, "outcome")
    for level in written.levels.values():
        if level.coding is None:
            yield Concept(level.code, level.display, f"A level of likelihood: {level.display}.", "level")
    for score in written.scores:
        yield Concept(score.name, score.display, f"The sum of {len(score.items)} questions.", "score")


def code_system(guidances: Sequence[Written], further: Iterable[tuple[str, Written]] = ()) -> Json:
    """Returns the CodeSystem of versions of one guidance; codes of older ones are kept.

    Args:
        guidances: in English, the newest first.
        further: the same in other languages, each with its language.
    """
    newest = guidances[0].identity
    concepts: Mapping[str, Concept] = {
        code: concept for written in reversed(guidances) for code, concept in guidance_codes(written).items()
    }
    names: dict[str, dict[str, str]] = {code: {} for code in concepts}
    for language, written in further:
        for code, concept in guidance_codes(written, language).items():
            names[code].setdefault(language, concept.display)
    id_ = _NOT_OF_AN_ID.sub("-", newest.terminology.rstrip("/").rpartition("/")[2])[:64]
    title = f"Results of: {newest.title}"
    description = f"Codes that results of the guidance name: {newest.title}. Made of its mapping."
    return {
        "resourceType": "CodeSystem",
        "id": id_,
        "language": ENGLISH,
        "text": wording.narrative(ENGLISH, title, description),
        "url": newest.terminology,
        "version": newest.version,
        "name": _name(id_),
        "title": title,
        "status": newest.status,
        "experimental": False,
        "date": newest.date,
        "publisher": PUBLISHER,
        "description": description,
        "caseSensitive": True,
        "compositional": False,
        "versionNeeded": False,
        "content": "complete",
        "count": len(concepts),
        "property": [_KIND],
        "concept": [concept.stated(names[code]) for code, concept in concepts.items()],
    }


def missing_codes(stated: Json, guidances: Iterable[Written]) -> Iterator[str]:
    """Yields the codes that results name and that a CodeSystem does not state."""
    known = set(_codes(stated))
    for code in {code: None for written in guidances for code in guidance_codes(written)}:
        if code not in known:
            yield code


def _codes(stated: Json) -> Iterator[str]:
    for concept in mappings(stated.get("concept")):
        yield str(concept.get("code", ""))
        yield from _codes(concept)


def _name(id_: str) -> str:
    """Returns a name for programs, which begins with a capital letter."""
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", id_))
    return name if name[:1].isalpha() else f"Guidance{name}"
