"""Validation as a product of its own: any QuestionnaireResponse against any Questionnaire, every problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from service.catalogue import Catalogue
from service.datatypes.values import replace
from service.errors import GuidanceError, Malformed, NotScorable, Problem, ServiceError, has_errors
from service.fhir.extensions import mappings, text
from service.fhir.json import BodyLimits, Json, read_with_faults, refuse, without_faults
from service.fhir.parameters import unfit_parameter
from service.fhir.structure import check_response as check_structure
from service.questionnaire import (
    CompiledQuestionnaire,
    compile_leniently,
    load_engine,
    validate,
)
from service.sandbox import LimitExceeded, Sandbox, Work
from service.settings import Settings
from service.terminology import TerminologyServer

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

    Args:
        catalogue: what is served.
        limits: of a body.
        sandbox: where what is large, and what comes with a Questionnaire of its own, is read and checked;
            that it cannot be checked within its limits is a problem like any other. None where nobody
            waits: all is done in this process.
        server: asked about what stays undecided, by `$validate` and the command line, never for scoring.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        limits: BodyLimits,
        sandbox: Sandbox | None = None,
        *,
        server: TerminologyServer | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._sandbox = sandbox
        self._server = server
        load_engine()  # here, once: not in the children that check forms of callers, each time

    def validated(
        self, data: bytes, profile: str | None = None, mode: str | None = None
    ) -> tuple[Problem, ...]:
        """Does the work of `$validate`: returns the problems of a body.

        Args:
            data: a QuestionnaireResponse, or Parameters with `resource` and, if wanted, `mode`, `profile`.
            profile, mode: the same parameters where the body is the resource itself.

        Raises:
            Malformed, TooLarge: the body cannot be read, or its parameters are wrong.
            NotScorable: the profile is not known here, so it could not be validated against.
            Unavailable: there is too much to check at the moment.

        Source:
            R4 OperationDefinition Resource-validate.
        """
        return self.settled(self._in_time(data, partial(self._validated, data, profile, mode)))

    def _validated(
        self, data: bytes, profile: str | None, mode: str | None, *, apart: bool
    ) -> tuple[Problem, ...]:
        body, of_forms = read_response(data, self._limits)
        parameters = [("profile", profile), ("mode", mode)]
        if body.get("resourceType") == "Parameters":
            body, further = _from_parameters(body)
            parameters += further
        _check_parameters(parameters)
        return (*of_forms, *self.problems(body, apart=apart))

    def processed(self, data: bytes, slug: str | None = None) -> tuple[Problem, ...]:
        """Does the work of `$process-response`: returns the problems of a response, to `slug` if it is given.

        Args:
            data: a QuestionnaireResponse, or Parameters with the parameter `in`.
            slug: id of the Questionnaire that the operation was called on.

        Raises:
            Malformed, TooLarge: the body cannot be read, or its parameters are wrong.
            NotScorable: every problem, when one of them is an error: nothing was processed.
            Unavailable: there is too much to check at the moment.

        Source:
            SDC OperationDefinition Questionnaire-process-response.
        """
        problems = self._in_time(data, partial(self._processed, data, slug))
        if has_errors(problems):
            raise NotScorable(*problems)
        return problems

    def _processed(self, data: bytes, slug: str | None, *, apart: bool) -> tuple[Problem, ...]:
        body, of_forms = read_response(data, self._limits)
        if body.get("resourceType") == "Parameters":
            body = _resource_in(body, "in")
        return (*of_forms, *self._misaddressed(body, slug), *self.problems(body, apart=apart))

    def _in_time(self, data: bytes, check: Work[tuple[Problem, ...]]) -> tuple[Problem, ...]:
        """Returns the problems that a check finds, or the one that it takes too much."""
        if self._sandbox is None:
            return check(apart=True)
        try:
            return self._sandbox.small_or_apart(len(data), check, tuple[Problem, ...])
        except LimitExceeded:
            words = (
                f"Expected a response, and a Questionnaire in it, that take at most {self._sandbox.allowed}."
            )
            return (Problem("too-costly", words, "QuestionnaireResponse"),)

    def problems(
        self, response: Json, form: CompiledQuestionnaire | None = None, *, apart: bool = True
    ) -> tuple[Problem, ...]:
        """Returns everything that is wrong with a decoded body, its structure first.

        Args:
            response: the body.
            form: the Questionnaire; None if the response names it.
            apart: nobody waits meanwhile; where somebody does, TooMuchHere may be raised.
        """
        structure = check_structure(response, "QuestionnaireResponse")
        if any((problem.kind, problem.expression) == _NO_RESPONSE for problem in structure):
            return structure
        value_sets, known = self._catalogue.value_sets, self._catalogue.questionnaires.values()
        answers = validate(response, form, value_sets, known=known, apart=apart)
        return tuple(_without_repetitions((*structure, *answers)))

    def of_file(self, data: bytes, form: CompiledQuestionnaire | None = None) -> tuple[Problem, ...]:
        """Returns the problems of a response in a file, to a form where one is given.

        Raises:
            Malformed, TooLarge: it is not one resource in strict JSON.
        """
        response, of_forms = read_response(data, self._limits)
        return (*of_forms, *self.problems(response, form))

    def settled(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Returns the problems, those that are undecided as the terminology server settles them."""
        return problems if self._server is None else self._server.settled(problems)

    def read_form(self, data: bytes) -> CompiledQuestionnaire:
        """Returns a Questionnaire to validate against; its own faults stand under `lint`.

        Whoever gives a form wants responses checked: what is empty in it is a fault that is named, no more.

        Raises:
            GuidanceError: it is not a Questionnaire in JSON.
        """
        try:
            decoded, faults = read_with_faults(data, self._limits)
        except ServiceError as refused:
            raise GuidanceError([problem.text for problem in refused.problems]) from refused
        resource = without_faults(decoded)
        if resource.get("resourceType") != "Questionnaire":
            raise GuidanceError(["resourceType: expected Questionnaire."])
        restated = self._catalogue.canonicals.restated(resource)
        form = compile_leniently(restated, self._catalogue.value_sets)
        return replace(form, lint=(*faults, *form.lint))

    def _misaddressed(self, response: Json, slug: str | None) -> Iterator[Problem]:
        if slug is None:
            return
        form = self._catalogue.artifacts[("Questionnaire", slug)]
        named = str(response.get("questionnaire", ""))
        if named not in (form.url, f"{form.url}|{form.version}"):
            words = f"Expected: questionnaire = {form.url}|{form.version}, the form this was sent to."
            yield Problem("canonical-mismatch", words, "QuestionnaireResponse.questionnaire")


def server_from(settings: Settings) -> TerminologyServer | None:
    """Returns the terminology server that the settings name, or None."""
    if not settings.terminology_server:
        return None
    return TerminologyServer(settings.terminology_server, settings.terminology_timeout_s)


# What is read of a body: strictly, but for the forms in it.


def read_response(data: bytes, limits: BodyLimits) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Returns a response, or Parameters with one, and the faults of JSON of the forms that it contains.

    Raises:
        Malformed, TooLarge: there is such a fault anywhere else.
    """
    body, faults = read_with_faults(data, limits)
    forms = dict(_forms_in(body)) if faults else {}
    if any(not fault.expression.startswith(tuple(forms)) for fault in faults):
        refuse(faults)
    for contained, index in forms.values():
        contained[index] = without_faults(contained[index])
    return body, tuple(replace(fault, severity="warning") for fault in faults)


def _forms_in(body: Json) -> Iterator[tuple[str, tuple[list[Any], int]]]:
    """Yields, for each contained Questionnaire, what the paths in it begin with, and where it stands."""
    entries = body.get("parameter") if body.get("resourceType") == "Parameters" else None
    places: list[tuple[str, Any]] = [("QuestionnaireResponse", body)]
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            places.append((f"Parameters.parameter[{index}].resource", entry.get("resource")))
    for place, response in places:
        contained: Any = response.get("contained") if isinstance(response, dict) else None
        for index, form in enumerate(contained if isinstance(contained, list) else ()):
            if isinstance(form, dict) and form.get("resourceType") == "Questionnaire":
                yield f"{place}.contained[{index}].", (contained, index)


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
        raise Malformed(unfit_parameter(entry["name"], element, "Parameters.parameter"))
    return value


def _check_parameters(parameters: list[tuple[str, str | None]]) -> None:
    for name, value in parameters:
        if name == "mode" and value is not None and value not in MODES:
            raise Malformed(unfit_parameter(name, f"one of {', '.join(MODES)}"))
        if name == "profile" and value is not None and value.partition("|")[0] != R4_PROFILE:
            words = f"Parameter profile: that profile is not known here. Expected: {R4_PROFILE}."
            raise NotScorable(Problem("profile-unknown", words))
