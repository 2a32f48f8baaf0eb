"""Reads questionnaires/ and mappings/ once, pairs them, checks them and freezes them.

A questionnaire is served by its `url|version`; its guidance is the mapping folder that names
exactly that canonical. Several versions live side by side, and a response that names a version
is scored by that version's guidance for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from service.errors import GuidanceError, NotScorable, Problem
from service.fhir.definitions import AS_WRITTEN, DOMAIN, Artifact, Canonicals, artifact, own_definitions
from service.fhir.json import read_published
from service.guidance import Guidance, load
from service.guidance.cases import Case
from service.guidance.result import Result
from service.questionnaire import Compiled, ValueSets, compile_questionnaire, value_sets_from
from service.results.risk_assessment import Renderer

# Reads mapping files: YAML without surprises.
#
# Only mappings, lists, text, whole and decimal numbers, true, false and null. A key stated twice,
# an anchor, an alias or a tag is refused, and what plain YAML would turn into something else stays
# text: `no`, `on`, `1:30`, `2024-01-01`, `0x10`, `1e3`.
#
# Source: https://yaml.org/spec/1.2.2/ section 10.2 (JSON schema), with decimals instead of floats.

_SCALARS = (
    ("null", re.compile(r"(?:null|)\Z"), ("n", "")),
    ("bool", re.compile(r"(?:true|false)\Z"), "tf"),
    ("int", re.compile(r"-?(?:0|[1-9][0-9]*)\Z"), "-0123456789"),
    ("float", re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+\Z"), "-0123456789"),
)
_DEEPEST = 64


class _Refused(Exception):
    """The file holds something that mapping files do not use; line is from 1."""

    def __init__(self, line: int, expected: str) -> None:
        super().__init__(expected)
        self.line = line


def read_yaml(path: Path) -> object:
    """The plain value that a file writes: dict, list, str, int, Decimal, bool or None.

    Raises:
        GuidanceError: `file: line n: what was expected`; also where the file cannot be read.
    """
    try:
        return value_from(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise GuidanceError([f"{path.name}: expected a readable file in UTF-8"]) from error


def read_documents(folder: Path) -> dict[str, object]:
    """The values of all `*.yaml` files of a folder, by file stem.

    Raises:
        GuidanceError: the faults of all files together, a line each; also where there is no file.
    """
    documents: dict[str, object] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            documents[path.stem] = read_yaml(path)
        except GuidanceError as error:
            faults.extend(error.faults)
    if not documents and not faults:
        faults.append(f"{folder.name}: expected mapping files (*.yaml)")
    if faults:
        raise GuidanceError(faults)
    return documents


def value_from(text: str, name: str) -> object:
    """The plain value that a YAML text writes; `name` is the file's, for faults.

    Raises:
        GuidanceError: `name: line n: what was expected`.
    """
    try:
        _refuse_references(text)
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _value(node, 0)
    except _Refused as refused:
        raise GuidanceError([f"{name}: line {refused.line}: {refused}"]) from refused
    except yaml.YAMLError as error:
        raise GuidanceError([f"{name}: {_place(error)}not YAML: {_problem(error)}"]) from error
    except RecursionError as error:
        raise GuidanceError([f"{name}: expected at most {_DEEPEST} levels"]) from error


class _Loader(yaml.SafeLoader):
    """Knows text, whole and decimal numbers, true, false and null; nothing else has a meaning."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _place(error: yaml.YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f"line {mark.line + 1}: "


def _problem(error: yaml.YAMLError) -> str:
    known = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return known or "expected printable characters only"


def _refuse_references(text: str) -> None:
    for event in yaml.parse(text, Loader=_Loader):
        line = getattr(event.start_mark, "line", 0) + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(line, "expected no anchor (&) and no alias (*)")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise _Refused(line, "expected no tag (!)")


def _value(node: yaml.Node, depth: int) -> Any:
    line = node.start_mark.line + 1
    if depth > _DEEPEST:
        raise _Refused(line, f"expected at most {_DEEPEST} levels")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, depth + 1) for each in node.value]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, depth: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _value(key_node, depth + 1)
        if not isinstance(key, str):
            raise _Refused(line, "expected text as a key; put it in quotes")
        if key in values:
            raise _Refused(line, f"expected each key once; {key} stands here again")
        values[key] = _value(value_node, depth + 1)
    return values


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int":
            return int(text)
        case "float":
            return Decimal(text)
    return text


Key = tuple[str, str]
"""Resource type and id."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A questionnaire, the guidance that scores it, and the writer of its results."""

    compiled: Compiled
    guidance: Guidance
    renderer: Renderer

    @property
    def is_active(self) -> bool:
        """Whether the guidance may be used: its status is `active`."""
        return self.guidance.written.identity.status == "active"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that is served.

    Args:
        artifacts: published resources by type and id.
        value_sets: the ValueSets and CodeSystems among them.
        questionnaires: compiled questionnaires by `url|version`, with or without guidance.
        pairs: questionnaires that can be scored, by `url|version`.
        unversioned: the canonical that a bare url stands for: its only active scorable version.
        canonicals: what the canonical urls of all these begin with.
    """

    artifacts: Mapping[Key, Artifact]
    value_sets: ValueSets
    questionnaires: Mapping[str, Compiled]
    pairs: Mapping[str, Pair]
    unversioned: Mapping[str, str]
    canonicals: Canonicals = AS_WRITTEN

    def find(self, canonical: str | None) -> Pair:
        """Returns the pair that scores responses to `canonical` (`url|version`, or a bare url).

        Raises:
            NotScorable: the response names no questionnaire, an unknown one, an unknown version,
                one that is not active, or a bare url with several active versions.
        """
        named = self.unversioned.get(canonical, canonical) if canonical else None
        pair = self.pairs.get(named) if named else None
        if pair is None or not pair.is_active:
            raise NotScorable(_not_found(canonical, self))
        return pair


def _not_found(canonical: str | None, catalogue: Catalogue) -> Problem:
    served = ", ".join(sorted(catalogue.pairs))
    if not canonical:
        kind, found = "canonical-missing", "The response names no questionnaire"
    elif canonical.partition("|")[0] in {known.partition("|")[0] for known in catalogue.pairs}:
        kind, found = "canonical-mismatch", "The named version of the questionnaire cannot be scored"
    else:
        kind, found = "canonical-unknown", "The named questionnaire cannot be scored here"
    text = f"{found}. Expected: questionnaire = one active url|version of: {served}."
    return Problem(kind, text, "QuestionnaireResponse.questionnaire")


def read(questionnaires: Path, mappings: Path, *, canonical_base: str = DOMAIN) -> Catalogue:
    """Reads both folders.

    Args:
        questionnaires: folder of Questionnaire, CodeSystem and ValueSet resources (*.json, any depth).
        mappings: one folder per guidance.
        canonical_base: what takes the place of the domain for examples in every file, and in every result.

    Raises:
        GuidanceError: every fault of every file, a line each; worked cases that fail count as faults.
    """
    canonicals = Canonicals(canonical_base)
    resources = list(_resources(questionnaires, canonicals))
    value_sets = value_sets_from(resource for _, resource in resources)
    compiled, faults = _compiled(resources, value_sets)
    pairs, more = _pairs(compiled, mappings, canonicals)
    if faults or more:
        raise GuidanceError([*faults, *more])
    artifacts = [artifact(resource) for _, resource in resources] + list(own_definitions(canonicals))
    return Catalogue(
        artifacts={(each.type, each.id): each for each in artifacts},
        value_sets=value_sets,
        questionnaires=compiled,
        pairs=pairs,
        unversioned=_unversioned(pairs),
        canonicals=canonicals,
    )


def _resources(folder: Path, canonicals: Canonicals) -> Iterator[tuple[Path, dict[str, Any]]]:
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise GuidanceError([f"{folder}: no questionnaire found; expected *.json files"])
    for path in paths:
        try:
            yield path, canonicals.restated(read_published(path.read_bytes()))
        except (ValueError, OSError) as fault:
            raise GuidanceError([f"{path.name}: not a FHIR resource in JSON: {fault}"]) from fault


def _compiled(
    resources: list[tuple[Path, dict[str, Any]]], value_sets: ValueSets
) -> tuple[dict[str, Compiled], list[str]]:
    compiled: dict[str, Compiled] = {}
    faults: list[str] = []
    for path, resource in resources:
        if resource.get("resourceType") != "Questionnaire":
            continue
        try:
            one = compile_questionnaire(resource, value_sets)
        except GuidanceError as error:
            faults.extend(f"{path.name}: {fault}" for fault in error.faults)
            continue
        if one.canonical in compiled:
            faults.append(f"{path.name}: url and version: expected a canonical that no other file has")
        compiled[one.canonical] = one
    return compiled, faults


def _pairs(
    compiled: Mapping[str, Compiled], mappings: Path, canonicals: Canonicals
) -> tuple[dict[str, Pair], list[str]]:
    pairs: dict[str, Pair] = {}
    faults: list[str] = []
    for folder in sorted(path.parent for path in mappings.glob("*/guidance.yaml")):
        try:
            pair = _pair(folder, compiled, canonicals)
        except GuidanceError as error:
            faults.extend(f"{folder.name}/{fault}" for fault in error.faults)
            continue
        if pair.compiled.canonical in pairs:
            faults.append(
                f"{folder.name}/guidance.yaml: questionnaire: expected one that no other mapping scores"
            )
        pairs[pair.compiled.canonical] = pair
    return pairs, faults


def _pair(folder: Path, compiled: Mapping[str, Compiled], canonicals: Canonicals) -> Pair:
    written = read_documents(folder)
    documents = canonicals.restated(written)
    canonical = _canonical_of(documents)
    form = compiled.get(canonical)
    if form is None:
        raise GuidanceError([f"guidance.yaml: questionnaire: no questionnaire {canonical} is published"])
    guidance = load(documents, form.form, slug=folder.name, hashed=written)
    faults = [
        f"cases.yaml: {case.name}: {fault}"
        for case in guidance.cases
        for fault in failures(case, guidance, form)
    ]
    if faults:
        raise GuidanceError(faults)
    return Pair(form, guidance, Renderer(guidance, canonicals))


def _canonical_of(documents: Mapping[str, object]) -> str:
    guidance = documents.get("guidance")
    return str(guidance.get("questionnaire")) if isinstance(guidance, Mapping) else ""


def failures(case: Case, guidance: Guidance, form: Compiled) -> tuple[str, ...]:
    """Returns what a worked case expects and does not get, in words."""
    return case.faults(outcome_of(case, guidance, form))


def outcome_of(case: Case, guidance: Guidance, form: Compiled) -> Result:
    """Returns the result of a worked case, hidden questions treated as in a real response."""
    return guidance.evaluate(form.answers_of(case.answers, chart=case.chart))


def _unversioned(pairs: Mapping[str, Pair]) -> dict[str, str]:
    active: dict[str, list[str]] = {}
    for canonical, pair in pairs.items():
        if pair.is_active:
            active.setdefault(canonical.partition("|")[0], []).append(canonical)
    return {url: versions[0] for url, versions in active.items() if len(versions) == 1}
