"""What the service publishes about itself: its definitions, their canonical urls, and how they are served.

The files in `definitions/` define extensions, operations, a search parameter and the kinds of problem.
Files and constants name the domain that is reserved for examples. Whoever owns a domain sets it as
`SERVICE_CANONICAL_BASE`, and everything that is read or written names that one instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from service.fhir.json import Json, MutableJson, encoded, read_published

Value = TypeVar("Value")

FOLDER: Final = Path(__file__).with_name("definitions")

DOMAIN: Final = "https://guidance.example.org"
"""What the canonical urls in our files and in the constants below begin with: reserved for examples."""

BASE: Final = f"{DOMAIN}/fhir"

PROBLEM_KIND: Final = f"{BASE}/CodeSystem/problem-kind"

ANSWER_ORIGIN: Final = f"{BASE}/StructureDefinition/answer-origin"
ASSESSMENT_TIER: Final = f"{BASE}/StructureDefinition/assessment-tier"
COMPARISON: Final = f"{BASE}/StructureDefinition/comparison"
CONTRADICTION: Final = f"{BASE}/StructureDefinition/contradiction"
GUIDANCE_CANONICAL: Final = f"{BASE}/StructureDefinition/guidance-canonical"
GUIDANCE_HASH: Final = f"{BASE}/StructureDefinition/guidance-hash"
IGNORED_ANSWER: Final = f"{BASE}/StructureDefinition/ignored-answer"
LEVEL_INTERVAL: Final = f"{BASE}/StructureDefinition/level-interval"
OPEN_QUESTION: Final = f"{BASE}/StructureDefinition/open-question"
REASON: Final = f"{BASE}/StructureDefinition/reason"
SCORE: Final = f"{BASE}/StructureDefinition/score"

PUBLISHER: Final = "Guidance service (example publisher; name your own before use)"
RISK_ASSESSMENT_BASIS: Final = f"{BASE}/SearchParameter/RiskAssessment-basis"


class Canonicals(msgspec.Struct, frozen=True):
    """Canonical urls of one deployment; they begin with `domain`, which has no slash at its end."""

    domain: str = DOMAIN

    def restated(self, value: Value) -> Value:
        """Returns a constant of this module, or what a file says, with the domain of the deployment.

        Args:
            value: text, number, true, false or None, or lists and dicts of such; it is not changed.
        """
        return value if self.domain == DOMAIN else self._restated(value)

    def _restated(self, value: object) -> Any:
        if isinstance(value, str):
            return value.replace(f"{DOMAIN}/", f"{self.domain}/")
        if isinstance(value, list):
            return [self._restated(entry) for entry in value]
        if isinstance(value, dict):
            return {name: self._restated(member) for name, member in value.items()}
        return value


AS_WRITTEN: Final = Canonicals()
"""Those of our files as they stand: nothing is restated."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A published resource, ready to be served: its bytes, and the entity tag that changes with them.

    Args:
        type: resourceType.
        id, url, version: of the resource; empty if it states none.
        resource: with meta.versionId, and meta.lastUpdated where it states a full date.
        body: the same as JSON.
        etag: weak entity tag; its value is meta.versionId.
    """

    type: str
    id: str
    url: str
    version: str
    resource: Json = field(repr=False)
    body: bytes = field(repr=False)
    etag: str


def artifact(resource: Json) -> Artifact:
    """Returns a resource as it is served; its version id is a digest of its content."""
    version_id = sha256(encoded(resource)).hexdigest()[:32]
    served = _with_meta(resource, version_id)
    return Artifact(
        type=resource["resourceType"],
        id=resource.get("id", ""),
        url=resource.get("url", ""),
        version=resource.get("version", ""),
        resource=served,
        body=encoded(served),
        etag=f'W/"{version_id}"',
    )


def _with_meta(resource: Json, version_id: str) -> MutableJson:
    """Returns the resource with meta after its id, as R4 orders properties."""
    meta = {**resource.get("meta", {}), "versionId": version_id}
    date = resource.get("date", "")
    if len(date) == len("YYYY-MM-DD"):
        meta["lastUpdated"] = f"{date}T00:00:00Z"
    first = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return {
        **first,
        "meta": meta,
        **{name: value for name, value in resource.items() if name not in (*first, "meta")},
    }


def own_definitions(canonicals: Canonicals = AS_WRITTEN) -> Iterator[Artifact]:
    """Yields every definition in `definitions/`, in the order of file names, with these canonical urls.

    Raises:
        ValueError: a file is not strict FHIR JSON.
    """
    for path in sorted(FOLDER.glob("*.json")):
        yield artifact(canonicals.restated(read_published(path.read_bytes())))
