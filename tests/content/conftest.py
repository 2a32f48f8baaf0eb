"""The published questionnaire, its terminology and the samples, read as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _walk(items: list[Json]) -> Iterator[Json]:
    for item in items:
        yield item
        yield from _walk(item.get("item", []))


@pytest.fixture(scope="session")
def questionnaire() -> Json:
    """The questionnaire."""
    document: Json = _read(ROOT / "questionnaires" / "muscle-twitching.json")
    return document


@pytest.fixture(scope="session")
def items(questionnaire: Json) -> dict[str, Json]:
    """Every item by linkId, in order, parents before children."""
    return {item["linkId"]: item for item in _walk(questionnaire["item"])}


@pytest.fixture(scope="session")
def questions(items: dict[str, Json]) -> dict[str, Json]:
    """Every item that can be answered, by linkId, in order."""
    return {link: item for link, item in items.items() if item["type"] not in ("group", "display")}


@pytest.fixture(scope="session")
def section_of(questionnaire: Json) -> dict[str, str]:
    """LinkId of the top-level group that an item stands in, by linkId."""
    return {item["linkId"]: group["linkId"] for group in questionnaire["item"] for item in _walk([group])}


@pytest.fixture(scope="session")
def terminology() -> dict[str, Json]:
    """The CodeSystems and ValueSets by file stem."""
    return {
        path.stem: _read(path) for path in sorted((ROOT / "questionnaires" / "terminology").glob("*.json"))
    }


@pytest.fixture(scope="session")
def samples() -> dict[str, Json]:
    """The samples by file stem."""
    return {
        path.stem: _read(path) for path in sorted((ROOT / "samples").glob("*.json")) if "." not in path.stem
    }


@pytest.fixture(scope="session")
def responses(samples: dict[str, Json]) -> dict[str, Json]:
    """The QuestionnaireResponse of every sample, taken out of its Parameters where it is in one."""
    return {
        name: sample["parameter"][0]["resource"] if sample["resourceType"] == "Parameters" else sample
        for name, sample in samples.items()
    }


@pytest.fixture(scope="session")
def verified_codes() -> set[tuple[str, str, str]]:
    """The standard codes whose meaning was looked up: (system, code, display)."""
    rows = _read(Path(__file__).parent / "verified_codes.json")
    return {(row["system"], row["code"], row["display"]) for row in rows}
