"""Validation as a product of its own: any QuestionnaireResponse against any Questionnaire, every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import orjson

from service.catalogue import Catalogue
from service.errors import GuidanceError, Malformed, NotScorable, Problem
from service.fhir.json import BodyLimits, Json, read
from service.fhir.structure import check_response as check_structure
from service.questionnaire import Compiled, carries_code, compile_leniently, load_engine, validate
from service.sandbox import Bounds, NoPlace, OutOfBounds, bounded

R4_PROFILE: Final = "http://hl7.org/fhir/StructureDefinition/QuestionnaireResponse"
MODES: Final = ("create", "update", "profile")


class Validator:
    """Finds every fault of a response: its structure as R4, then its answers against the Questionnaire.

    A form that comes with the response and has expressions or patterns is checked in a process of
    its own, within `bounds`; that it cannot be checked so is a problem like any other.
    """

    def __init__(self, catalogue: Catalogue, limits: BodyLimits, bounds: Bounds | None = None) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._bounds = bounds or Bounds()
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
        asked = [("profile", profile), ("mode", mode)]
        if body.get("resourceType") == "Parameters":
            body, more = _from_parameters(body)
            asked += more
        _refuse(asked)
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
            body = _only(body, "in")
        problems = (*self._misaddressed(body, slug), *self.problems(body))
        if any(each.severity in ("error", "fatal") for each in problems):
            raise NotScorable(*problems)
        return problems

    def problems(self, response: Json, form: Compiled | None = None) -> tuple[Problem, ...]:
        """Returns everything that is wrong with a decoded body, its structure first."""
        structure = check_structure(response, "QuestionnaireResponse")
        if any(each.kind == "resource-type" for each in structure):
            return structure
        known = self._catalogue
        check = partial(validate, response, form, known.value_sets, forms=known.questionnaires.values())
        answers = _apart(check, self._bounds) if form is None and carries_code(response) else check()
        return tuple(_once((*structure, *answers)))

    def read_response(self, data: bytes) -> dict[str, Any]:
        """Returns a response as strict JSON; raises Malformed and TooLarge."""
        return read(data, self._limits)

    def read_form(self, data: bytes) -> Compiled:
        """Returns a Questionnaire to validate against; its own faults stand under `lint`.

        Raises:
            GuidanceError: it is not a Questionnaire in strict JSON.
        """
        try:
            resource = read(data, self._limits)
        except Malformed as refused:
            raise GuidanceError([each.text for each in refused.problems]) from refused
        if resource.get("resourceType") != "Questionnaire":
            raise GuidanceError(["resourceType: expected Questionnaire."])
        return compile_leniently(self._catalogue.canonicals.restated(resource), self._catalogue.value_sets)

    def _misaddressed(self, response: Json, slug: str | None) -> Iterator[Problem]:
        if slug is None:
            return
        form = self._catalogue.artifacts[("Questionnaire", slug)]
        named = str(response.get("questionnaire", ""))
        if named not in (form.url, f"{form.url}|{form.version}"):
            text = f"Expected: questionnaire = {form.url}|{form.version}, the form this was sent to."
            yield Problem("canonical-mismatch", text, "QuestionnaireResponse.questionnaire")


def _apart(check: Callable[[], tuple[Problem, ...]], bounds: Bounds) -> tuple[Problem, ...]:
    """Returns the problems that a check finds in a process of its own, or the one that it cannot."""
    try:
        found = bounded(lambda: orjson.dumps(check()), bounds)
    except OutOfBounds:
        limits = f"{bounds.cpu_s} s and {bounds.memory_bytes >> 20} MiB"
        words = f"Expected a contained Questionnaire that can be checked within {limits}."
    except NoPlace:
        words = "Expected fewer contained Questionnaires with expressions at a time: please try again."
    else:
        return tuple(Problem(**each) for each in orjson.loads(found))
    return (Problem("too-costly", words, "QuestionnaireResponse.contained"),)


def _once(problems: tuple[Problem, ...]) -> Iterator[Problem]:
    """Where structure and answers find the same kind of fault at the same place, the first is enough."""
    seen: set[str] = set()
    for each in problems:
        place = each.expression
        if each.kind in _ALSO_STRUCTURE and place in seen:
            continue
        seen.add(place)
        yield each


_ALSO_STRUCTURE: Final = frozenset(
    (
        "answer-empty",
        "answer-format",
        "answer-several-values",
        "answer-type",
        "item-nesting",
        "link-id-missing",
        "malformed",
        "response-status",
        "response-type",
    )
)


def _entries(parameters: Json) -> list[Json]:
    found = parameters.get("parameter")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _only(parameters: Json, name: str, allowed: frozenset[str] = frozenset()) -> dict[str, Any]:
    entries = _entries(parameters)
    unknown = [each for each in entries if each.get("name") not in {name, *allowed}]
    found = [each.get("resource") for each in entries if each.get("name") == name]
    if unknown or len(found) != 1 or not isinstance(found[0], dict):
        expected = ", ".join((name, *sorted(allowed)))
        text = f"Expected exactly one parameter {name} with a resource, and none but: {expected}."
        raise Malformed(Problem("parameter", text, "Parameters.parameter"))
    return found[0]


def _from_parameters(parameters: Json) -> tuple[dict[str, Any], list[tuple[str, str | None]]]:
    resource = _only(parameters, "resource", frozenset(("mode", "profile")))
    named = {"mode": "valueCode", "profile": "valueUri"}
    entries = [each for each in _entries(parameters) if each.get("name") in named]
    return resource, [(str(each["name"]), _text(each, named[str(each["name"])])) for each in entries]


def _text(entry: Json, element: str) -> str:
    value = entry.get(element, entry.get("valueCanonical"))
    if not isinstance(value, str):
        text = f"Parameter {entry['name']}: expected {element}."
        raise Malformed(Problem("parameter", text, "Parameters.parameter"))
    return value


def _refuse(asked: list[tuple[str, str | None]]) -> None:
    for name, value in asked:
        if name == "mode" and value is not None and value not in MODES:
            raise Malformed(Problem("parameter", f"Parameter mode: expected one of {', '.join(MODES)}."))
        if name == "profile" and value is not None and value.partition("|")[0] != R4_PROFILE:
            text = f"Parameter profile: that profile is not known here. Expected: {R4_PROFILE}."
            raise NotScorable(Problem("profile-unknown", text))
