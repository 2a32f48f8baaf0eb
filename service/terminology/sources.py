"""Where code systems and value sets come from: R4's own file beside this module, and a folder.

R4's file has blocks of resources, one resource a line, and an index of where each stands: one value set
costs the index, read once, and one block. `scripts/r4_terminology.py` writes it; `r4.NOTICE` says whose
it is. A folder is read whole, once, at the start.

Source: FHIR R4 4.0.1 definitions: valuesets, v2-tables, v3-codesystems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import orjson

from service.errors import GuidanceError
from service.fhir.extensions import mappings, text
from service.fhir.json import read_published

VERSION: Final = "4.0.1"
_FILE: Final = "r4.zip"
_TYPES: Final = ("CodeSystem", "ValueSet")

Resource = Mapping[str, Any]


def r4_resource(canonical: str) -> Resource | None:
    """Returns the R4 ValueSet or CodeSystem with this url (no version, `|4.0.1` or its own), or None."""
    if canonical in _index():  # R4 has two urls with a bar in them
        return _resource(canonical)
    url, _, version = canonical.partition("|")
    found = _resource(url) if url in _index() else None
    return found if found is not None and version in (VERSION, found.get("version")) else None


@cache
def _resource(url: str) -> Resource:
    block, first, end = _index()[url]
    resource: Resource = orjson.loads(_block(block)[first:end])
    return resource


@cache
def _index() -> Mapping[str, tuple[int, int, int]]:
    with _archive() as archive:
        index: Mapping[str, tuple[int, int, int]] = orjson.loads(archive.read("index.json"))
        return index


@lru_cache(maxsize=4)
def _block(number: int) -> bytes:
    with _archive() as archive:
        return archive.read(f"{number}.ndjson")


def _archive() -> ZipFile:
    return ZipFile(BytesIO(files(__package__).joinpath(_FILE).read_bytes()))


# A folder of terminology.


def resources_in(folder: Path) -> tuple[Resource, ...]:
    """Returns the CodeSystems and ValueSets in the JSON files of a folder, at any depth.

    A file holds one of them, or a Bundle with some among its entries; other resources in a Bundle are
    passed over.

    Raises:
        GuidanceError: every fault of every file, a line each, with the file named.
    """
    found: list[Resource] = []
    faults: list[str] = []
    paths = sorted(folder.rglob("*.json"))
    for path in paths:
        try:
            found.extend(_resources_of(path))
        except (ValueError, OSError) as fault:
            faults.append(f"{path.relative_to(folder)}: {fault}")
    if not paths:
        faults.append(f"{folder}: no terminology found; expected *.json files")
    if faults:
        raise GuidanceError(faults)
    return tuple(found)


def _resources_of(path: Path) -> Iterator[Resource]:
    document = read_published(path.read_bytes())
    type_ = document.get("resourceType")
    if type_ not in (*_TYPES, "Bundle"):
        raise ValueError("expected a CodeSystem, a ValueSet or a Bundle")
    held = [entry.get("resource") for entry in mappings(document.get("entry"))]
    for resource in held if type_ == "Bundle" else [document]:
        if isinstance(resource, Mapping) and resource.get("resourceType") in _TYPES:
            if not text(resource.get("url")):
                raise ValueError(f"expected a url in each {resource['resourceType']}")
            yield resource
