"""`PlanDefinition/$apply`: a person's response in, the proposals of the plan out; nothing is stored.

A PlanDefinition follows from a guidance, and its CQL decides as the guidance does. So it is the guidance
that decides here: step and date are those of `$assess` for the same response and the same data. Where the
result is not assessable nothing is proposed: the RequestGroup then has no action.

Source: R4 OperationDefinition PlanDefinition-apply; HL7 Clinical Practice Guidelines 2.0,
OperationDefinition cpg-plandefinition-apply, which adds `url`, `version` and `data` to it, and returns a
Bundle where R4 returns a CarePlan.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from service.assess import Assessor, Languages, Scored, SentBody, check_response
from service.catalogue import Catalogue, Pair
from service.clinical_reasoning.definitions import (
    activity_canonical,
    can_be_written,
    plan_canonical,
    plan_of,
)
from service.errors import Malformed, NotFound, NotScorable, Problem
from service.fhir.extensions import text
from service.fhir.json import BodyLimits, Json, encoded, read
from service.fhir.parameters import (
    AssessInput,
    Input,
    ResourceAt,
    SentParameter,
    Values,
    is_page,
    parameters_in_body,
    unfit_parameter,
    values_of,
)
from service.fhir.references import target_type
from service.questionnaire import canonical_named
from service.sandbox import Sandbox, in_child, in_time

SUBJECT: Final = "subject"
DATA: Final = "data"
URL: Final = "url"
VERSION: Final = "version"
PLAN: Final = "planDefinition"
SERVER_DATA: Final = "useServerData"

_OF_ONE: Final = (Input(SUBJECT, "string"), Input(SERVER_DATA, "boolean"))
_OF_TYPE: Final = (*_OF_ONE, Input(URL, "uri"), Input(VERSION, "string"))
_APART: Final = (DATA, PLAN)
"""Parameters that hold resources, which are read apart."""
_NOT_TAKEN: Final = frozenset(
    (
        *("encounter", "practitioner", "organization"),
        *("userType", "userLanguage", "userTaskContext", "setting", "settingContext"),
        *("parameters", "prefetchData", "mergeNestedCarePlans", "artifactEndpointConfiguration"),
        *("dataEndpoint", "contentEndpoint", "terminologyEndpoint"),
    )
)
"""What R4 and the guidelines declare beside: leaving it out would be an answer to another question."""

_SUBJECTS: Final = ("Patient", "Group")
_RESPONSE: Final = "QuestionnaireResponse"
_NOT_COMPARED: Final = frozenset(("id", "meta", "text"))


class Applied(NamedTuple):
    """What a plan proposes.

    Args:
        body: the Bundle.
        guidance: `url|version` of the guidance that decided. language: its language.
        step: code of the step that the result reaches at least.
        subject: whom it is about.
        response, chart: the response about them as it was scored, and the Observations beside it.
    """

    body: bytes
    guidance: str
    language: str
    step: str
    subject: str
    response: bytes
    chart: tuple[bytes, ...]


class _Sent(msgspec.Struct, frozen=True):
    """What was sent, read and not yet checked."""

    subject: str
    response: ResourceAt
    data: tuple[ResourceAt, ...]


class Applier:
    """Applies the plans of the guidances that are served.

    Args:
        catalogue: what is served.
        assessor: scores responses.
        limits: of a body.
        sandbox: where what is large is done; None if nobody waits.
    """

    def __init__(
        self, catalogue: Catalogue, assessor: Assessor, limits: BodyLimits, sandbox: Sandbox | None = None
    ) -> None:
        self._plans = {pair.slug: pair for pair in catalogue.pairs.values() if pair.is_scored}
        self._assessor = assessor
        self._limits = limits
        self._sandbox = sandbox
        self._readable: frozenset[str] | None = None

    def apply_body(self, data: bytes, plan: str, languages: Languages) -> Applied:
        """Returns a Bundle with a RequestGroup, and what the step of the response proposes.

        Args:
            data: Parameters with `subject`, and `data`: a Bundle with a response, and Observations beside it.
            plan: id of the PlanDefinition; empty where Parameters name it by `url`, or hold it.
            languages: in which the texts are wanted.

        Raises:
            NotFound: there is no such plan.
            Malformed, TooLarge: the body cannot be read, its parameters are wrong, or the response is none of
                R4.
            NotScorable: a parameter is not supported; or the response is to another form than that of the
                plan, is about somebody else than `subject`, or cannot be scored; every problem.
            Unavailable: there is too much to check at the moment.
        """
        expected = "Expected a response that takes at most {allowed} to check and score."
        work = partial(self._applied, data, plan, languages, self._can_be_read())
        applied = in_time(self._sandbox, len(data), work, Applied, expected=expected, at="Parameters")
        scored = SentBody(applied.response, chart=applied.chart, guidance=applied.guidance)
        self._assessor.given_or_stored(applied.guidance, applied.step, scored)
        return applied

    def _can_be_read(self) -> frozenset[str]:
        """Returns the ids of the plans that are read at /fhir: all but those whose CQL cannot be written.

        That takes a good part of a second, so it is found out in a child, once.
        """
        if self._readable is None:
            plans = self._plans.items()
            self._readable = frozenset(slug for slug, pair in plans if self._is_written(pair))
        return self._readable

    def _is_written(self, pair: Pair) -> bool:
        try:
            work = partial(can_be_written, pair.guidance, pair.compiled)
            return in_child(self._sandbox, work, bool, expected="")
        except NotScorable:
            return False

    def _applied(
        self, data: bytes, plan: str, languages: Languages, readable: frozenset[str], *, apart: bool
    ) -> Applied:
        given = parameters_in_body(read(data, self._limits))
        beside = [sent for sent in given if sent.name not in _APART]
        values = values_of(beside, _OF_ONE if plan else _OF_TYPE, _NOT_TAKEN)
        _check_server_data(values)
        pair = self._asked_for(plan, [sent for sent in given if sent.name == PLAN], values)
        sent = _sent(values, [sent for sent in given if sent.name == DATA], pair)
        assessed = AssessInput(sent.response.resource, sent.response.at, sent.data, leaves_out=True)
        check_response(assessed)
        scored = self._assessor.scored_of(assessed, languages, apart=apart)
        if scored.pair.compiled.canonical != pair.compiled.canonical:
            text_ = f"Expected a response to {pair.compiled.canonical}, the questionnaire of the plan."
            raise NotScorable(Problem("canonical-mismatch", text_, f"{sent.response.at}.questionnaire"))
        body, step = _bundle(scored, are_named=pair.slug in readable)
        response = encoded(sent.response.resource)
        chart = tuple(encoded(one.resource) for one in sent.data)
        return Applied(body, scored.guidance, scored.language, step, sent.subject, response, chart)

    def _asked_for(self, plan: str, held: list[SentParameter], values: Values) -> Pair:
        """Returns the plan of an id, or else of the parameters; raises Malformed, NotFound, NotScorable."""
        if plan:
            if held:
                raise Malformed(unfit_parameter(PLAN, "none where the path names the plan", held[0].at))
            pair = self._plans.get(plan)
            if pair is None:
                raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
            return pair
        if not held:
            (url,) = values.get(URL, ("",))
            return self._named(url, values.get(VERSION, ("",))[0], unfit_parameter(URL, _NAMED, "Parameters"))
        return self._held(held, values)

    def _held(self, held: list[SentParameter], values: Values) -> Pair:
        """Returns the plan that `planDefinition` holds, or names by its canonical."""
        (sent, *others) = held
        fault = unfit_parameter(PLAN, _HELD, sent.at)
        if others or values.keys() & {URL, VERSION}:
            raise Malformed(fault)
        if sent.element in ("valueCanonical", "valueUri") and isinstance(sent.value, str):
            return self._named(sent.value, "", fault)
        resource = sent.value if sent.element == "resource" else None
        if not isinstance(resource, dict) or resource.get("resourceType") != "PlanDefinition":
            raise Malformed(fault)
        pair = self._named(text(resource.get("url")), text(resource.get("version")), fault)
        if _compared(resource) != _compared(_as_json(plan_of(pair.guidance, pair.compiled))):
            raise NotScorable(Problem("parameter-unsupported", _CHANGED, sent.at))
        return pair

    def _named(self, url: str, of_version: str, fault: Problem) -> Pair:
        """Returns the plan with this url and version; raises Malformed with the fault, NotFound."""
        named, _, version = url.partition("|")
        asked = of_version or version
        if not named or version not in ("", asked):
            raise Malformed(fault)
        for pair in self._plans.values():
            canonical, _, its = plan_canonical(pair.guidance, pair.compiled).partition("|")
            if canonical == named and asked in ("", its):
                return pair
        words = "No plan with this url, or not in this version, is applied here."
        raise NotFound(Problem("plan-unknown", words))


_NAMED: Final = "the canonical of a PlanDefinition, with one version at most"
_HELD: Final = (
    f"exactly one PlanDefinition, or its canonical, with one version at most, and neither {URL} nor {VERSION}"
)
_CHANGED: Final = (
    f"Parameter {PLAN}: expected the PlanDefinition as it is read here. What another one says is not applied."
)


def _compared(plan: Json) -> dict[str, Any]:
    return {name: value for name, value in plan.items() if name not in _NOT_COMPARED}


def _as_json(plan: Json) -> Json:
    """Returns a plan read back from its JSON."""
    read_again: Json = orjson.loads(orjson.dumps(plan))
    return read_again


def _check_server_data(values: Values) -> None:
    """Raises NotScorable if data of this server are asked for: only what is sent counts."""
    if True in values.get(SERVER_DATA, ()):
        words = f"Parameter {SERVER_DATA}: expected false; what counts stands in {DATA}."
        raise NotScorable(Problem("parameter-unsupported", words, "Parameters"))


def _bundle(scored: Scored, *, are_named: bool) -> tuple[bytes, str]:
    """Returns the Bundle, and the code of the step that the result reaches at least."""
    assessment, pair = scored.assessment(), scored.pair
    tier = assessment.result.tiers[assessment.result.tier.at_least]
    activity = activity_canonical(pair.guidance, pair.compiled, tier)
    plan = plan_canonical(pair.guidance, pair.compiled)
    return pair.renderer.proposed(assessment, plan, activity, are_named=are_named), tier.code


def _sent(values: Values, data: list[SentParameter], pair: Pair) -> _Sent:
    """Returns the response about the subject; raises Malformed, NotScorable."""
    (subject,) = values.get(SUBJECT, ("",))
    if target_type({"reference": subject}, {}) not in _SUBJECTS:
        expected = f"Type/id of one of these: {', '.join(_SUBJECTS)}"
        raise Malformed(unfit_parameter(SUBJECT, expected, "Parameters"))
    found = list(_resources(data))
    response = _response(found, pair)
    about = response.resource.get("subject")
    if about is None:
        named = {**response.resource, "subject": {"reference": subject}}
        response = ResourceAt(named, response.at)
    elif not isinstance(about, dict) or about.get("reference") != subject:
        words = f"Expected a response about the {SUBJECT} of the operation, by the same reference."
        raise NotScorable(Problem("apply-subject", words, f"{response.at}.subject"))
    observations = (one for one in found if one.resource.get("resourceType") == "Observation")
    return _Sent(subject, response, tuple(observations))


def _resources(data: list[SentParameter]) -> Iterator[ResourceAt]:
    """Yields the resources in the Bundle of `data`; raises Malformed if it is not a Bundle."""
    if len(data) != 1:
        raise Malformed(unfit_parameter(DATA, f"exactly one, a Bundle with a {_RESPONSE}", "Parameters"))
    (sent,) = data
    bundle = sent.value if sent.element == "resource" else None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed(unfit_parameter(DATA, "a Bundle", sent.at))
    entries, of_page = bundle.get("entry"), is_page(bundle)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield ResourceAt(resource, f"{sent.at}.resource.entry[{index}].resource", of_page)


def _response(found: list[ResourceAt], pair: Pair) -> ResourceAt:
    """Returns the response to the form of the plan, or the only one there is.

    Raises:
        Malformed: it is not clear which.
    """
    responses = [one for one in found if one.resource.get("resourceType") == _RESPONSE]
    url = pair.compiled.url
    ours = [one for one in responses if canonical_named(one.resource).partition("|")[0] == url]
    (response, *others) = ours or responses or [ResourceAt({}, "Parameters")]
    if others or not response.resource:
        expected = f"exactly one response to the questionnaire of the plan, {url}"
        raise Malformed(unfit_parameter(DATA, expected, "Parameters"))
    return response
