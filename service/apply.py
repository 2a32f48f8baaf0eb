"""`PlanDefinition/$apply`: a response of a person in, what the plan proposes for them out; nothing is stored.

A PlanDefinition follows from a guidance, and its CQL decides as the guidance does. So it is the guidance
that decides here: step and date are those of `$assess` for the same response and the same data. Where the
result is not assessable nothing is proposed: the RequestGroup then has no action.

Source: R4 OperationDefinition PlanDefinition-apply; HL7 Clinical Practice Guidelines 2.0,
OperationDefinition cpg-plandefinition-apply, which adds `url`, `version` and `data` to it, and returns a
Bundle where R4 returns a CarePlan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from service.assess import Assessor, Languages, Scored, check_response
from service.catalogue import Catalogue, Pair
from service.clinical_reasoning.definitions import activity_canonical, plan_canonical
from service.errors import Malformed, NotFound, NotScorable, Problem
from service.fhir.extensions import text
from service.fhir.json import BodyLimits, read
from service.fhir.parameters import (
    AssessInput,
    Input,
    ResourceAt,
    SentParameter,
    Values,
    parameters_in_body,
    values_of,
)
from service.fhir.references import target_type
from service.sandbox import Sandbox, in_time

SUBJECT: Final = "subject"
DATA: Final = "data"
URL: Final = "url"
VERSION: Final = "version"

_OF_ONE: Final = (Input(SUBJECT, "string"), Input(DATA, ""))
_OF_TYPE: Final = (*_OF_ONE, Input(URL, "uri"), Input(VERSION, "string"))
_NOT_TAKEN: Final = frozenset(
    (
        "planDefinition",
        *("encounter", "practitioner", "organization"),
        *("userType", "userLanguage", "userTaskContext", "setting", "settingContext"),
        *("parameters", "useServerData", "prefetchData"),
        *("dataEndpoint", "contentEndpoint", "terminologyEndpoint"),
    )
)
"""What R4 and the guidelines declare beside: leaving it out would be an answer to another question."""

_SUBJECTS: Final = ("Patient", "Group")
_RESPONSE: Final = "QuestionnaireResponse"


class Applied(NamedTuple):
    """The Bundle, `url|version` of the guidance that decided, its language, and whom it is about."""

    body: bytes
    guidance: str
    language: str
    subject: str


@dataclass(frozen=True, slots=True)
class _Sent:
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
        sandbox: where what is large is done; None where nobody waits.
    """

    def __init__(
        self, catalogue: Catalogue, assessor: Assessor, limits: BodyLimits, sandbox: Sandbox | None = None
    ) -> None:
        self._plans = {pair.slug: pair for pair in catalogue.pairs.values() if pair.is_scored}
        self._assessor = assessor
        self._limits = limits
        self._sandbox = sandbox

    def apply_body(self, data: bytes, plan: str, languages: Languages) -> Applied:
        """Returns a Bundle with a RequestGroup, and what the step of the response proposes.

        Args:
            data: Parameters with `subject`, and `data`: a Bundle with a response, and Observations beside it.
            plan: id of the PlanDefinition; empty where Parameters name it by `url`.
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
        work = partial(self._applied, data, plan, languages)
        return in_time(self._sandbox, len(data), work, Applied, expected=expected, at="Parameters")

    def _applied(self, data: bytes, plan: str, languages: Languages, apart: bool) -> Applied:  # noqa: FBT001 - as the sandbox hands it over
        given = parameters_in_body(read(data, self._limits))
        beside = [sent for sent in given if sent.name != DATA]
        values = values_of(beside, _OF_ONE if plan else _OF_TYPE, _NOT_TAKEN)
        pair = self._plans.get(plan) if plan else self._named(values)
        if pair is None:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        sent = _sent(values, [sent for sent in given if sent.name == DATA], pair)
        assessed = AssessInput(sent.response.resource, sent.response.at, sent.data, leaves_out=True)
        check_response(assessed)
        scored = self._assessor.scored_of(assessed, languages, apart=apart)
        if scored.pair.compiled.canonical != pair.compiled.canonical:
            text_ = f"Expected a response to {pair.compiled.canonical}, the questionnaire of the plan."
            raise NotScorable(Problem("canonical-mismatch", text_, f"{sent.response.at}.questionnaire"))
        return Applied(_bundle(scored), scored.guidance, scored.language, sent.subject)

    def _named(self, values: Values) -> Pair:
        """Returns the plan that `url` and `version` name; raises Malformed, NotFound."""
        (url,) = values.get(URL, ("",))
        named, _, version = url.partition("|")
        (asked,) = values.get(VERSION, (version,))
        if not named or version not in ("", asked):
            words = "expected the canonical of a PlanDefinition, with one version at most."
            raise Malformed(Problem("parameter", f"Parameter {URL}: {words}", "Parameters"))
        for pair in self._plans.values():
            canonical, _, its = plan_canonical(pair.guidance, pair.compiled).partition("|")
            if canonical == named and asked in ("", its):
                return pair
        words = "No plan with this url, or not in this version, is applied here."
        raise NotFound(Problem("plan-unknown", words))


def _bundle(scored: Scored) -> bytes:
    assessment, pair = scored.assessment(), scored.pair
    tier = assessment.result.tiers[assessment.result.tier.at_least]
    activity = activity_canonical(pair.guidance, pair.compiled, tier)
    return pair.renderer.proposed(assessment, plan_canonical(pair.guidance, pair.compiled), activity)


def _sent(values: Values, data: list[SentParameter], pair: Pair) -> _Sent:
    """Returns the response about the subject; raises Malformed, NotScorable."""
    (subject,) = values.get(SUBJECT, ("",))
    if target_type({"reference": subject}, {}) not in _SUBJECTS:
        words = f"expected Type/id of one of these: {', '.join(_SUBJECTS)}."
        raise Malformed(Problem("parameter", f"Parameter {SUBJECT}: {words}", "Parameters"))
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
    """Yields what stands in the Bundle of `data`; raises Malformed where it is none."""
    if len(data) != 1:
        words = f"Parameter {DATA}: expected exactly one, a Bundle with a {_RESPONSE}."
        raise Malformed(Problem("parameter", words, "Parameters"))
    (sent,) = data
    bundle = sent.value if sent.element == "resource" else None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed(Problem("parameter", f"Parameter {DATA}: expected a Bundle.", sent.at))
    entries = bundle.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield ResourceAt(resource, f"{sent.at}.resource.entry[{index}].resource")


def _response(found: list[ResourceAt], pair: Pair) -> ResourceAt:
    """Returns the response to the form of the plan, or the only one there is.

    Raises:
        Malformed: it is not clear which.
    """
    responses = [one for one in found if one.resource.get("resourceType") == _RESPONSE]
    url = pair.compiled.canonical.partition("|")[0]
    ours = [one for one in responses if text(one.resource.get("questionnaire")).partition("|")[0] == url]
    (response, *others) = ours or responses or [ResourceAt({}, "Parameters")]
    if others or not response.resource:
        words = f"Parameter {DATA}: expected exactly one response to the questionnaire of the plan, {url}."
        raise Malformed(Problem("parameter", words, "Parameters"))
    return response
