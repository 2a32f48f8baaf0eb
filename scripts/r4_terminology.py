"""Writes R4's own code systems and value sets as one compressed file: `service/terminology/r4.zip`.

    .venv/bin/python scripts/r4_terminology.py

It reads them from a package of HAPI FHIR, which repeats HL7's definitions of R4 as they were published. Maven
fetches the package; its SHA-256 is pinned here, and another one is refused. The same package gives the same
bytes.

What is kept: what tells which codes there are, how they are named and how they hang together. What is left
out: definitions in prose, extensions other than weights, whole code systems of other owners, and the
displays of other owners' codes (SNOMED CT, LOINC, DICOM ...), because the licence of FHIR does not cover
them.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

PACKAGE = "ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.4.1"
PACKAGE_SHA256 = "4723850c5db71501323919abef1d4c8e473d05d3f0f394b693da182e6c88db5a"
FOLDER = "org/hl7/fhir/r4/model/valueset/"
PARTS = ("valuesets.xml", "v2-tables.xml", "v3-codesystems.xml")
TARGET = Path(__file__).resolve().parent.parent / "service" / "terminology" / "r4.zip"

BLOCK_BYTES = 60_000
"""About so many bytes of resources are compressed together: one value set costs one block."""

_FHIR = "{http://hl7.org/fhir}"
_FREE_TO_NAME = ("http://hl7.org/", "http://terminology.hl7.org/", "http://unitsofmeasure.org", "urn:i")
"""Code systems whose displays are kept: HL7's own, UCUM, and what ISO, IETF and IANA publish openly."""

_LEFT_OUT = (
    "http://dicom.nema.org/resources/ontology/DCM",
    "urn:oid:1.2.36.1.2001.1001.101.104.16592",
    "urn:iso-astm:E1762-95:2013",
)
_WEIGHTS = ("ordinalValue", "codesystem-ordinalValue", "valueset-ordinalValue", "itemWeight")
_LEFT_OUT_PROPERTY = "deprecationDate"
_LISTS = frozenset(
    (
        "concept",
        "property",
        "designation",
        "include",
        "exclude",
        "filter",
        "valueSet",
        "contains",
        "extension",
    )
)
_KEPT = {
    "CodeSystem": (
        "url", "version", "name", "title", "status", "date", "caseSensitive", "content", "hierarchyMeaning",
        "concept",
    ),
    "ValueSet": ("url", "version", "name", "title", "status", "date", "compose", "expansion"),
    "concept": ("extension", "code", "display", "designation", "property", "concept"),
    "designation": ("language", "use", "value"),
    "use": ("system", "code"),
    "compose": ("lockedDate", "inactive", "include", "exclude"),
    "expansion": ("timestamp", "total", "offset", "contains"),
    "contains": ("system", "abstract", "inactive", "version", "code", "display", "designation", "contains"),
    "include": ("system", "version", "concept", "filter", "valueSet"),
    "filter": ("property", "op", "value"),
}  # fmt: skip
_KEPT["exclude"] = _KEPT["include"]


def main() -> None:
    """Fetches the package and writes the file."""
    TARGET.write_bytes(packed(sorted(resources(package()), key=lambda resource: resource["url"])))
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes, SHA-256 {sha256(TARGET.read_bytes()).hexdigest()}")


def package() -> bytes:
    """Returns the package as Maven fetches it; ends the process where it is not the pinned one."""
    group, name, version = PACKAGE.split(":")
    with tempfile.TemporaryDirectory() as folder:
        copy = ["dependency:copy", f"-Dartifact={PACKAGE}", f"-DoutputDirectory={folder}"]
        subprocess.run(["mvn", "-q", *copy], check=True)  # noqa: S603, S607 - our own words
        found = (Path(folder) / f"{name}-{version}.jar").read_bytes()
    if sha256(found).hexdigest() != PACKAGE_SHA256:
        sys.exit(f"{group}:{name}:{version} is not the package that is pinned here.")
    return found


def resources(jar: bytes) -> Iterator[dict[str, Any]]:
    """Yields the CodeSystems and ValueSets of the package as JSON, as far as they are kept."""
    with zipfile.ZipFile(io.BytesIO(jar)) as archive:
        for part in PARTS:
            root = ET.fromstring(archive.read(FOLDER + part))  # noqa: S314 - pinned by its hash
            for holder in root.iter(f"{_FHIR}resource"):
                found = _resource(holder[0])
                if found["url"] not in _LEFT_OUT:
                    yield found


def _resource(element: ET.Element) -> dict[str, Any]:
    type_ = element.tag.removeprefix(_FHIR)
    found = {"resourceType": type_, "id": _value(element, "id")} | _object(element, type_)
    _drop_foreign_displays(found)
    return found


def _object(element: ET.Element, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _KEPT.get(kind, ()):
        children = [child for child in element.findall(_FHIR + name) if _is_kept(child, name)]
        values = [_json(child, name) for child in children]
        if values:
            found[name] = values if name in _LISTS else values[0]
    return found


def _is_kept(element: ET.Element, name: str) -> bool:
    if name == "extension":
        return element.get("url", "").rpartition("/")[2] in _WEIGHTS
    return name != "property" or len(element) == 0 or _value(element, "code") != _LEFT_OUT_PROPERTY


def _json(element: ET.Element, name: str) -> Any:
    if name == "extension":
        return {"url": element.get("url"), "valueDecimal": float(_typed(element)[1])}
    if name == "property" and len(element):
        type_, value = _typed(element)
        return {"code": _value(element, "code"), type_: value == "true" if type_ == "valueBoolean" else value}
    text = element.get("value")
    if text is None:
        return _object(element, name)
    if name in ("inactive", "abstract", "caseSensitive"):
        return text == "true"
    return int(text) if name in ("total", "offset") else text


def _typed(element: ET.Element) -> tuple[str, str]:
    value = next(child for child in element if child.tag.startswith(f"{_FHIR}value"))
    return value.tag.removeprefix(_FHIR), value.get("value", "")


def _value(element: ET.Element, name: str) -> str:
    found = element.find(_FHIR + name)
    return found.get("value", "") if found is not None else ""


def _drop_foreign_displays(resource: dict[str, Any]) -> None:
    compose = resource.get("compose", {})
    for include in (*compose.get("include", ()), *compose.get("exclude", ())):
        if not include.get("system", "").startswith(_FREE_TO_NAME):
            for concept in include.get("concept", ()):
                concept.pop("display", None)
                concept.pop("designation", None)
    for entry in resource.get("expansion", {}).get("contains", ()):
        if not entry.get("system", "").startswith(_FREE_TO_NAME):
            entry.pop("display", None)


def packed(found: list[dict[str, Any]]) -> bytes:
    """Returns the archive: blocks of resources, one a line, and an index of where each stands.

    The index has, by url: the block, and the first and the last byte of the line in it.
    """
    index: dict[str, tuple[int, int, int]] = {}
    blocks: list[bytearray] = [bytearray()]
    for resource in found:
        line = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        if blocks[-1] and len(blocks[-1]) + len(line) > BLOCK_BYTES:
            blocks.append(bytearray())
        index[resource["url"]] = (len(blocks) - 1, len(blocks[-1]), len(blocks[-1]) + len(line))
        blocks[-1] += line
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        _add(archive, "index.json", json.dumps(index, separators=(",", ":")).encode())
        for number, block in enumerate(blocks):
            _add(archive, f"{number}.ndjson", bytes(block))
    return target.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # dated 1980, so that the same content gives the same bytes
    entry.compress_type = zipfile.ZIP_LZMA
    archive.writestr(entry, content)


if __name__ == "__main__":
    main()
