"""Validation as a product of its own: any QuestionnaireResponse against any Questionnaire, every problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import orjson

from service.catalogue import Catalogue
from service.errors import GuidanceError, Malformed, NotScorable, Problem
from service.fhir.extensions import mappings, text
from service.fhir.json import BodyLimits, Json, read
from service.fhir.structure import check_response as check_structure
from service.questionnaire import (
    CompiledQuestionnaire,
    carries_code,
    compile_leniently,
    load_engine,
    validate,
)
from service.sandbox import LimitExceeded, SandboxBusy, SandboxLimits, run_limited

R4_PROFILE: Final = "http://hl7.org/fhir/StructureDefinition/QuestionnaireResponse"
MODES: Final = ("create", "update", "profile")

_NO_RESPONSE: Final = ("resource-type", "QuestionnaireResponse")
_INSIDE_ANSWER = re.compile(r"\.value(?:\..*)?$")

_FOUND_BY_STRUCTURE: Final = frozenset(
    (
        "answer-empty",
        "answer-format",
        "answer-several-values",
        "answer-type",
        "item-nesting",
        "link-id-missing",
        "malformed",
        "reference-contained",
        "reference-syntax",
        "response-status",
        "response-type",
    )
)
"""Kinds that the check of the structure reports as well, at the same place."""


class Validator:
    """Finds every problem of a response: its structure as R4, then its answers against the Questionnaire.

    A Questionnaire that comes with the response and has expressions or patterns is checked in a process of
    its own, within `sandbox`; that it cannot be checked so is a problem like any other.
    """

    def __init__(
        self, catalogue: Catalogue, limits: BodyLimits, sandbox: SandboxLimits | None = None
    ) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._sandbox = sandbox or SandboxLimits()
        load_engine()  # here, once: not in the children that check forms of callers, each time

    def validated(
        self, data: bytes, profile: str | None = None, mode: str | None = None
    ) -> tuple[Problem, ...]:
        """Returns the problems of what `$validate` was sent.

        Args:
            data: a QuestionnaireResponse, or Parameters with `resource` and, if wanted, `mode`, `profile`.
            profile, mode: the same parameters where the body is the resource itself.

        Raises:
            Malformed, TooLarge: the body cannot be read, or its parameters are wrong.
            NotScorable: the profile is not known here, so it could not be validated against.

        Source:
            R4 OperationDefinition Resource-validate.
        """
        body = read(data, self._limits)
        parameters = [("profile", profile), ("mode", mode)]
        if body.get("resourceType") == "Parameters":
            body, further = _from_parameters(body)
            parameters += further
        _check_parameters(parameters)
        return self.problems(body)

    def processed(self, data: bytes, slug: str | None = None) -> tuple[Problem, ...]:
        """Returns the problems of what `$process-response` was sent, a response to `slug` where it is given.

        Args:
            data: a QuestionnaireResponse, or Parameters with the parameter `in`.
            slug: id of the Questionnaire that the operation was called on.

        Raises:
            Malformed, TooLarge: the body cannot be read, or its parameters are wrong.
            NotScorable: every problem, when one of them is an error: nothing was processed.

        Source:
            SDC OperationDefinition Questionnaire-process-response.
        """
        body = read(data, self._limits)
        if body.get("resourceType") == "Parameters":
            body = _resource_in(body, "in")
        problems = (*self._misaddressed(body, slug), *self.problems(body))
        if any(problem.severity in ("error", "fatal") for problem in problems):
            raise NotScorable(*problems)
        return problems

    def problems(self, response: Json, form: CompiledQuestionnaire | None = None) -> tuple[Problem, ...]:
        """Returns everything that is wrong with a decoded body, its structure first."""
        structure = check_structure(response, "QuestionnaireResponse")
        if any((problem.kind, problem.expression) == _NO_RESPONSE for problem in structure):
            return structure
        value_sets, known = self._catalogue.value_sets, self._catalogue.questionnaires.values()
        check = partial(validate, response, form, value_sets, known=known)
        in_sandbox = form is None and carries_code(response)
        answers = _checked_in_sandbox(check, self._sandbox) if in_sandbox else check()
        return tuple(_without_repetitions((*structure, *answers)))

    def read_response(self, data: bytes) -> dict[str, Any]:
        """Returns a response as strict JSON; raises Malformed and TooLarge."""
        return read(data, self._limits)

    def read_form(self, data: bytes) -> CompiledQuestionnaire:
        """Returns a Questionnaire to validate against; its own faults stand under `lint`.

        Raises:
            GuidanceError: it is not a Questionnaire in strict JSON.
        """
        try:
            resource = read(data, self._limits)
        except Malformed as refused:
            raise GuidanceError([problem.text for problem in refused.problems]) from refused
        if resource.get("resourceType") != "Questionnaire":
            raise GuidanceError(["resourceType: expected Questionnaire."])
        return compile_leniently(self._catalogue.canonicals.restated(resource), self._catalogue.value_sets)

    def _misaddressed(self, response: Json, slug: str | None) -> Iterator[Problem]:
        if slug is None:
            return
        form = self._catalogue.artifacts[("Questionnaire", slug)]
        named = str(response.get("questionnaire", ""))
        if named not in (form.url, f"{form.url}|{form.version}"):
            words = f"Expected: questionnaire = {form.url}|{form.version}, the form this was sent to."
            yield Problem("canonical-mismatch", words, "QuestionnaireResponse.questionnaire")


def _checked_in_sandbox(
    check: Callable[[], tuple[Problem, ...]], limits: SandboxLimits
) -> tuple[Problem, ...]:
    """Returns the problems that a check finds in a process of its own, or the one that it cannot."""
    try:
        found = run_limited(lambda: orjson.dumps(check()), limits)
    except LimitExceeded:
        allowed = f"{limits.cpu_s} s and {limits.memory_bytes >> 20} MiB"
        words = f"Expected a contained Questionnaire that can be checked within {allowed}."
    except SandboxBusy:
        words = "Expected fewer contained Questionnaires with expressions at a time: please try again."
    else:
        return tuple(Problem(**problem) for problem in orjson.loads(found))
    return (Problem("too-costly", words, "QuestionnaireResponse.contained"),)


def _without_repetitions(problems: tuple[Problem, ...]) -> Iterator[Problem]:
    """Yields problems; what structure and answers both find at the same place, once."""
    seen: set[str] = set()
    for problem in problems:
        if problem.kind in _FOUND_BY_STRUCTURE and problem.expression in seen:
            continue
        seen.update((problem.expression, _INSIDE_ANSWER.sub("", problem.expression)))
        yield problem


# The parameters of the operations.


def _from_parameters(parameters: Json) -> tuple[dict[str, Any], list[tuple[str, str | None]]]:
    resource = _resource_in(parameters, "resource", frozenset(("mode", "profile")))
    elements = {"mode": "valueCode", "profile": "valueUri"}
    named = [(text(entry.get("name")), entry) for entry in mappings(parameters.get("parameter"))]
    return resource, [(name, _text(entry, elements[name])) for name, entry in named if name in elements]


def _resource_in(parameters: Json, name: str, allowed: frozenset[str] = frozenset()) -> dict[str, Any]:
    entries = list(mappings(parameters.get("parameter")))
    unknown = [entry for entry in entries if text(entry.get("name")) not in {name, *allowed}]
    found = [entry.get("resource") for entry in entries if entry.get("name") == name]
    if unknown or len(found) != 1 or not isinstance(found[0], dict):
        expected = ", ".join((name, *sorted(allowed)))
        words = f"Expected exactly one parameter {name} with a resource, and none but: {expected}."
        raise Malformed(Problem("parameter", words, "Parameters.parameter"))
    return found[0]


def _text(entry: Json, element: str) -> str:
    value = entry.get(element, entry.get("valueCanonical"))
    if not isinstance(value, str):
        words = f"Parameter {entry['name']}: expected {element}."
        raise Malformed(Problem("parameter", words, "Parameters.parameter"))
    return value


def _check_parameters(parameters: list[tuple[str, str | None]]) -> None:
    for name, value in parameters:
        if name == "mode" and value is not None and value not in MODES:
            raise Malformed(Problem("parameter", f"Parameter mode: expected one of {', '.join(MODES)}."))
        if name == "profile" and value is not None and value.partition("|")[0] != R4_PROFILE:
            words = f"Parameter profile: that profile is not known here. Expected: {R4_PROFILE}."
            raise NotScorable(Problem("profile-unknown", words))
