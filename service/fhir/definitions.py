"""The definitions that the service publishes about itself: extensions, operations, kinds of problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.fhir.artifacts import Artifact, artifact
from service.fhir.body import read_published
from service.fhir.canonicals import AS_WRITTEN, Canonicals

FOLDER = Path(__file__).with_name("definitions")


def definitions(canonicals: Canonicals = AS_WRITTEN) -> Iterator[Artifact]:
    """Yields every definition in `definitions/`, in the order of file names, with these canonical urls.

    Raises:
        ValueError: a file is not strict FHIR JSON.
    """
    for path in sorted(FOLDER.glob("*.json")):
        yield artifact(canonicals.restated(read_published(path.read_bytes())))
