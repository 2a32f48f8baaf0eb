"""The services of the catalogue: for every questionnaire in use one per hook, and how an EHR finds them.

Prefetch templates name what a card is made of and nothing else: the person, the responses to this form, what
the Questionnaire's own codes find, and those Conditions, Observations and the encounter that `cds.yaml` has
codes for.

Source:
    CDS Hooks 2.0.1, sections "Discovery" and "Prefetch query restrictions"; hooks patient-view 1.0 and
    encounter-start 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from service.catalogue import Catalogue, Pair
from service.cds_hooks.triggers import Triggers
from service.datatypes.answers import Coding
from service.fhir.json import Json
from service.questionnaire import ASKED_ID
from service.questionnaire.chart_answers import observed_codes
from service.questionnaire.translations import translated

PATIENT_VIEW: Final = "patient-view"
ENCOUNTER_START: Final = "encounter-start"
HOOKS: Final = (PATIENT_VIEW, ENCOUNTER_START)

PATIENT: Final = "patient"
RESPONSES: Final = "responses"
LABORATORY: Final = "laboratory"
MEDICINES: Final = "medicines"
CONDITIONS: Final = "conditions"
OBSERVATIONS: Final = "observations"
ENCOUNTER: Final = "encounter"
TYPE_OF: Final[Mapping[str, str]] = {
    PATIENT: "Patient",
    RESPONSES: "QuestionnaireResponse",
    LABORATORY: "Observation",
    MEDICINES: "MedicationRequest",
    CONDITIONS: "Condition",
    OBSERVATIONS: "Observation",
    ENCOUNTER: "Encounter",
}
"""The type of resource under each prefetch key."""
INCLUDED: Final[Mapping[str, tuple[str, ...]]] = {MEDICINES: ("Medication",)}
"""The types of resource that may come along under a key, since what is looked for refers to them."""
READS: Final = frozenset({PATIENT, ENCOUNTER})
"""Keys of a single resource, which is read; the others are searched."""

_OF_PATIENT: Final = "patient={{context.patientId}}"
_PERSON: Final = ("userId", "patientId")
_OBSERVED: Final = frozenset({"http://loinc.org", "http://unitsofmeasure.org"})
"""Systems whose codes are of Observations."""
_OF_MEDICINES: Final = frozenset(
    {"http://www.nlm.nih.gov/research/umls/rxnorm", "http://www.whocc.no/atc", "http://hl7.org/fhir/sid/ndc"}
)


class CdsService(msgspec.Struct, frozen=True):
    """One service of one hook.

    Args:
        id: its id in the path.
        hook: the name of the hook.
        pair: the questionnaire and its guidance.
        triggers: what in a chart makes the form worth filling in.
    """

    id: str
    hook: str
    pair: Pair
    triggers: Triggers

    @property
    def title(self) -> str:
        """What people call the form; its name or url where it has no title."""
        form: Json = self.pair.compiled.resource
        return str(form.get("title") or form.get("name") or self.form_url)

    def title_in(self, language: str) -> str:
        """Returns what people call the form in a language, where it has words for it."""
        return translated(self.pair.compiled.resource, "title", language) or self.title

    @property
    def form_url(self) -> str:
        """The canonical url of the form, whatever its version."""
        return self.pair.compiled.url

    @property
    def context(self) -> tuple[str, ...]:
        """The members that the context of its hook must have."""
        return (*_PERSON, "encounterId") if self.hook == ENCOUNTER_START else _PERSON

    @property
    def asked_conditions(self) -> frozenset[Coding]:
        """Codes of questions that a Condition may have."""
        return frozenset(
            code
            for code in self._asked()
            if code.system not in _OBSERVED and code.system not in _OF_MEDICINES
        )

    @property
    def asked_medicines(self) -> frozenset[Coding]:
        """Codes of questions that a medicine may have."""
        return frozenset(code for code in self._asked() if code.system in _OF_MEDICINES)

    def _asked(self) -> Iterator[Coding]:
        """Yields the codes of the questions that no Observation answers."""
        observed = observed_codes(self.pair.compiled, self.pair.guidance)
        for item in self.pair.compiled.items.values():
            if item.answerable:
                yield from (code for code in item.codes if code not in observed)

    def prefetch(self) -> dict[str, str]:
        """Returns its prefetch templates by key."""
        searches: dict[str, tuple[Iterable[Coding], str]] = {
            LABORATORY: (observed_codes(self.pair.compiled, self.pair.guidance), "_sort=-date&_count=100"),
            CONDITIONS: (
                dict.fromkeys((*self.triggers.conditions, *sorted(self.asked_conditions))),
                "_sort=-recorded-date&_count=50",
            ),
            OBSERVATIONS: (self.triggers.observations, "_sort=-date&_count=50"),
        }
        # Some servers find a short form by what it is derived from, others by the name of what it contains.
        form = f"{quote(self.form_url, safe=':/')},{quote(f'#{ASKED_ID}')}"
        found = {
            PATIENT: "Patient/{{context.patientId}}",
            RESPONSES: f"{TYPE_OF[RESPONSES]}?{_OF_PATIENT}&questionnaire={form}&_sort=-authored&_count=20",
        }
        for key, (codes, layout) in searches.items():
            tokens = ",".join(map(_token, codes))
            if tokens:
                found[key] = f"{TYPE_OF[key]}?{_OF_PATIENT}&code={tokens}&{layout}"
        if self.asked_medicines:
            # Without codes: a search by code finds no order that refers to a Medication.
            layout = "status=active,on-hold&_sort=-authoredon&_count=50"
            found[MEDICINES] = f"{TYPE_OF[MEDICINES]}?{_OF_PATIENT}&{layout}"
        if self.hook == ENCOUNTER_START and self.triggers.reasons:
            found[ENCOUNTER] = "Encounter/{{context.encounterId}}"
        return found

    def described(self) -> dict[str, Any]:
        """Returns the service as discovery lists it."""
        description = (
            f"Shows the result of the latest response to this form and suggests what follows from it; "
            f"offers the form where the chart gives a reason to fill it in. Form: {self.title}."
        )
        return {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": description,
            "prefetch": self.prefetch(),
            "usageRequirements": (
                "The prefetch data of this service. What is missing is read from fhirServer with the token "
                "of the call, where the server is registered here."
            ),
        }


def services_of(catalogue: Catalogue, triggers: Mapping[str, Triggers]) -> tuple[CdsService, ...]:
    """Returns two services for the newest active version of each questionnaire.

    Args:
        catalogue: what is served.
        triggers: those of each guidance by the name of its mapping folder.
    """
    return tuple(
        CdsService(f"{pair.slug}-{hook}", hook, pair, triggers[pair.slug])
        for pair in _newest(catalogue)
        for hook in HOOKS
    )


def discovery(services: Iterable[CdsService]) -> dict[str, Any]:
    """Returns the answer of discovery."""
    return {"services": [service.described() for service in services]}


def _newest(catalogue: Catalogue) -> Iterator[Pair]:
    for canonical in catalogue.unversioned.values():
        yield catalogue.pairs[canonical]


def _token(coding: Coding) -> str:
    system, code = quote(coding.system, safe=":/"), quote(coding.code, safe=":")
    return f"{system}|{code}" if system else code
