"""Reads the mapping files: plain YAML values in, a draft out, or every fault of shape at once.

Faults come in two rounds, so that one mistake is not reported twice: first the shape of every
file (here), then, when all shapes are right, the names and numbers between them (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from service.errors import GuidanceError
from service.guidance.conditions import Place
from service.guidance.draft import Draft
from service.guidance.grammar_content import (
    AdviceShape,
    ContradictionShape,
    FindingShape,
    RuleShape,
    StatementShape,
)
from service.guidance.grammar_guidance import GuidanceShape
from service.guidance.grammar_tables import CaseShape, ScoreShape, TableShape

_LISTS: Mapping[str, tuple[str, type[Schema]]] = {
    "sources": ("statement", StatementShape),
    "findings": ("finding", FindingShape),
    "rules": ("rule", RuleShape),
    "comparisons": ("comparison", TableShape),
    "advice": ("advice", AdviceShape),
    "contradictions": ("contradiction", ContradictionShape),
    "scores": ("score", ScoreShape),
    "cases": ("case", CaseShape),
}
"""File stem: the key that names an entry, and the shape of an entry."""

_OPTIONAL = ("scores",)
_NAMING = (*(key for key, _ in _LISTS.values()), "row", "band", "promise", "tier", "outcome")
"""Keys that name an entry of a list; where an entry has several, the first of these."""


def draft_from(documents: Mapping[str, object]) -> Draft:
    """The draft that the documents write.

    Args:
        documents: parsed YAML values by file stem (`guidance`, `sources`, `findings` ...).

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """
    faults = list(_file_faults(documents))
    header = _loaded(GuidanceShape(), "guidance", documents, faults) if "guidance" in documents else None
    lists = {
        stem: tuple(_loaded(shape(many=True), stem, documents, faults) or ())
        for stem, (_, shape) in _LISTS.items()
        if stem in documents
    }
    if faults or header is None:
        raise GuidanceError(faults)
    return Draft(
        header=header,
        statements=lists["sources"],
        findings=lists["findings"],
        rules=lists["rules"],
        tables=lists["comparisons"],
        advice=lists["advice"],
        contradictions=lists["contradictions"],
        scores=lists.get("scores", ()),
        cases=lists["cases"],
    )


def fault_line(file: str, place: Place, expected: str) -> str:
    """One fault as it is reported: `file.yaml: key path: what was expected`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    return f"{file}: {path}: {expected}" if path else f"{file}: {expected}"


def _file_faults(documents: Mapping[str, object]) -> Iterator[str]:
    for stem in ("guidance", *_LISTS):
        if stem not in documents and stem not in _OPTIONAL:
            yield fault_line(f"{stem}.yaml", (), "is missing; expected this file")
    for stem in documents:
        if stem != "guidance" and stem not in _LISTS:
            yield fault_line(
                f"{stem}.yaml", (), f"unknown file; expected one of: guidance, {', '.join(_LISTS)}"
            )


def _loaded(shape: Schema, stem: str, documents: Mapping[str, object], faults: list[str]) -> Any:
    document = documents[stem]
    expected = list if shape.many else dict
    if not isinstance(document, expected):
        key = _LISTS[stem][0] if shape.many else "guidance"
        words = "a list of entries" if shape.many else "a mapping"
        faults.append(fault_line(f"{stem}.yaml", (), f"expected {words} that start with `{key}:`"))
        return None
    try:
        return shape.load(document)
    except ValidationError as error:
        faults.extend(
            fault_line(f"{stem}.yaml", place, text) for place, text in _flat(error.messages, document)
        )
        return None


def _flat(messages: Any, written: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """The messages in the order of the keys, each with its place; entries are named, not numbered."""
    if isinstance(messages, dict):
        for key, below in messages.items():
            inner = written[key] if _holds(written, key) else None
            step = () if key == "_schema" else (_step(key, inner),)
            yield from _flat(below, inner if step else written, (*place, *step))
        return
    for text in messages if isinstance(messages, Iterable) and not isinstance(messages, str) else [messages]:
        yield place, str(text)


def _holds(written: Any, key: Any) -> bool:
    if isinstance(written, list):
        return isinstance(key, int) and key < len(written)
    return isinstance(written, dict) and key in written


def _step(key: Any, inner: Any) -> str | int:
    if isinstance(key, int) and isinstance(inner, dict):
        return next((inner[name] for name in _NAMING if isinstance(inner.get(name), str)), key)
    return key if isinstance(key, int) else str(key)
