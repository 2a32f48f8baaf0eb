"""The operations: the body or query of a request in, one resource out, nothing kept.

`$assess`, `$explain`, `$validate` and `$extract` on responses, `$explain` on results, `$process-response` and
`$populate` on questionnaires, `$apply` on plans, `$expand` on value sets.

Source:
    R4 operations.html; each OperationDefinition of this service's own is published under the same base.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from service.earlier import MOST_EARLIER
from service.errors import Malformed, NotFound, Problem
from service.fhir.dates import date_time
from service.fhir.json import MutableJson, read
from service.fhir.parameters import (
    DETAIL,
    Input,
    SentParameter,
    Values,
    parameters_in_body,
    parameters_in_query,
    unfit_parameter,
    values_of,
)
from service.records import RESPONSE
from service.records.compartment import check_subjects
from service.records.repository import UNKNOWN_ID
from service.terminology import ExpansionParameters, expand
from service.web.conditional import conditional
from service.web.reply import NO_STORE, REVALIDATE, VARY, VARY_BY_LANGUAGE, Reply, Version, json_reply

if TYPE_CHECKING:
    from service.apply import Applied, Applier
    from service.assess import Assessed, Assessor
    from service.catalogue import Catalogue
    from service.extract import Extractor
    from service.interview import Interviewer
    from service.populate import Populator
    from service.records import Repository
    from service.validate import Validator
    from service.web.deployment import Deployment
    from service.web.request import Request

PROCESSED: Final = Problem(
    "processed",
    "The response was checked and taken. Nothing is stored here; $assess returns its RiskAssessment.",
    severity="information",
)

MOST_EXPAND_BYTES: Final = 64 * 1024
"""Longest body of `$expand`: a hundred parameters that are plain values need no more."""


class Assessments(msgspec.Struct, frozen=True):
    """The views of `$assess` and `$explain`: a response that was sent or is stored in, its result or why out.

    Args:
        assessor: makes the result.
        deployment: its limits and base.
        repository: of the responses and results that they can be called on; None if nothing is stored.
    """

    assessor: Assessor
    deployment: Deployment
    repository: Repository | None = None

    def assess(self, request: Request) -> Reply:
        """Returns the RiskAssessment, or what `_detail` asks for.

        Raises:
            Malformed, TooLarge, NotScorable: what was sent cannot be scored.
            Forbidden: it is about another patient than the one whom the token names.
        """
        content_type, body = request.operation(self.deployment.body.body_bytes)
        if request.option(EARLIER_OF_STORE) is not None:
            raise Malformed(_NOT_STORED)
        assessed = self.assessor.assess_body(body, request.option(DETAIL) or "", request.languages())
        check_subjects(body, request.reach, self.deployment.base)
        return _told(assessed, content_type)

    def assess_stored(self, request: Request) -> Reply:
        """Returns the same for a stored response; `_earlier=stored` compares it with earlier ones.

        Only responses within the reach of the request are compared. The audit trail names each of them.

        Raises:
            Malformed: `_earlier` or `_detail` has an unknown value.
            NotScorable: the response must not be scored, or its guidance is not served any more.
            NotFound: there is no such response within reach.
        """
        content_type, detail = request.answer_type(), request.option(DETAIL) or ""
        wanted = request.option(EARLIER_OF_STORE)
        if wanted not in (None, STORED):
            raise Malformed(_ONLY_STORED)
        if self.repository is None:
            raise NotFound(UNKNOWN_ID)
        most = 0 if wanted is None else MOST_EARLIER
        records = self.repository.read_with_earlier(request.args["id"], most, reach=request.reach)
        response, *earlier = (record.body for record in records)
        if request.asked is not None:  # else there is no need to put them together
            entries = b",".join(b'{"resource":%b}' % record.body for record in records)
            request.record_read(b'{"resourceType":"Bundle","entry":[%b]}' % entries)
        assessed = self.assessor.assess_body(response, detail, request.languages(), tuple(earlier))
        return _told(assessed, content_type)

    def explain(self, request: Request) -> Reply:
        """Returns Parameters that say why the response in the body has its result.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: what was sent cannot be explained.
            Forbidden: it is about another patient than the one whom the token names.
        """
        content_type, body = request.operation(self.deployment.body.body_bytes)
        found = self.assessor.explain_body(body, request.languages())
        check_subjects(body, request.reach, self.deployment.base)
        return _told(found, content_type)

    def explain_stored(self, request: Request) -> Reply:
        """Returns the same for a stored result; a POST may bring Parameters, which must be empty.

        Raises:
            NotFound: there is no such result within reach, or it cannot be made again.
            Malformed, Unavailable: as `explain`.
        """
        content_type, body = request.answer_type(), request.optional_body(self.deployment.body.body_bytes)
        if body:
            values_of(parameters_in_body(read(body, self.deployment.body)), (), frozenset())
        if self.repository is None:
            raise NotFound(UNKNOWN_ID)
        record, found = self.repository.read_explained(request.args["id"], request.unit, reach=request.reach)
        request.record_read(record.body)
        return _told(found, content_type)


def _told(assessed: Assessed | Applied, content_type: str) -> Reply:
    """Returns a result, or what follows from it; headers name its language and its guidance."""
    headers = (
        ("Content-Type", content_type),
        ("Content-Language", assessed.language),
        NO_STORE,
        VARY_BY_LANGUAGE,
        ("X-Guidance", assessed.guidance),
    )
    return Reply(200, assessed.body, headers)


EARLIER_OF_STORE: Final = "_earlier"
STORED: Final = "stored"
"""The parameter by which earlier responses of the store are asked for, and its only value."""

_ONLY_STORED: Final = unfit_parameter(EARLIER_OF_STORE, STORED)
_NOT_STORED: Final = Problem(
    "parameter",
    f"Parameter {EARLIER_OF_STORE}: expected on a stored response only. Beside a response that is sent, "
    "earlier ones stand in Parameters.",
)


class Validations(msgspec.Struct, frozen=True):
    """The views of `$validate` and `$process-response`; their answer is an OperationOutcome.

    Args:
        validator: finds the problems of a body.
        forms: ids of the Questionnaires that are served.
        deployment: its limits and canonicals.
    """

    validator: Validator
    forms: frozenset[str]
    deployment: Deployment

    def validate(self, request: Request) -> Reply:
        """Returns 200 whether the resource is valid or not; 4xx only where it could not be validated."""
        body, content_type = self._body(request), request.answer_type()
        asked = dict(request.query())
        problems = self.validator.validated(body, asked.get("profile"), asked.get("mode"))
        return json_reply(self.deployment.outcome(problems), content_type, NO_STORE)

    def process(self, request: Request) -> Reply:
        """Returns 200 with warnings where the response was taken; errors are 422 with every problem.

        Raises:
            Forbidden: it is about another patient than the one whom the token names.
        """
        slug = request.args.get("id")
        if slug is not None and slug not in self.forms:
            raise NotFound(UNKNOWN_ID)
        body, content_type = self._body(request), request.answer_type()
        problems = (*self.validator.processed(body, slug), PROCESSED)
        check_subjects(body, request.reach, self.deployment.base)
        return json_reply(self.deployment.outcome(problems), content_type, NO_STORE)

    def _body(self, request: Request) -> bytes:
        request.check_body_type()
        return request.body(self.deployment.body.body_bytes)


def populated(populator: Populator, deployment: Deployment, request: Request) -> Reply:
    """Answers `$populate`: Parameters with resources of a chart in, those with a response out.

    Raises:
        Malformed, TooLarge, NotFound, NotScorable, Unavailable: no response can be made.
        Forbidden: it would be about another patient than the one whom the token names.
    """
    content_type, body = request.operation(deployment.body.body_bytes)
    now = date_time(datetime.now(UTC))
    found = populator.populate_body(body, now, request.args.get("id", ""), request.languages())
    check_subjects(found.body, request.reach, deployment.base)
    language = ("Content-Language", found.language)
    return Reply(200, found.body, (("Content-Type", content_type), language, NO_STORE, VARY_BY_LANGUAGE))


def next_question(interviewer: Interviewer, deployment: Deployment, request: Request) -> Reply:
    """Answers `$next-question`: a response in, the same with the next question out, or completed.

    Raises:
        Malformed, TooLarge, NotScorable, Unavailable: nothing can be asked.
        Forbidden: it is about another patient than the one whom the token names.
    """
    content_type, body = request.operation(deployment.body.body_bytes)
    found = interviewer.next_body(body)
    check_subjects(body, request.reach, deployment.base)
    return Reply(200, found, (("Content-Type", content_type), NO_STORE, VARY))


def applied(applier: Applier, deployment: Deployment, request: Request) -> Reply:
    """Answers `$apply`: Parameters with a response in, a Bundle with what a plan proposes out.

    Raises:
        NotFound, Malformed, TooLarge, NotScorable, Unavailable: nothing can be proposed.
        Forbidden: it would be for another patient than the one whom the token names.
    """
    content_type, body = request.operation(deployment.body.body_bytes)
    found = applier.apply_body(body, request.args.get("id", ""), request.languages())
    about = {"resourceType": RESPONSE, "subject": {"reference": found.subject}}
    check_subjects(orjson.dumps(about), request.reach, deployment.base)
    return _told(found, content_type)


class Extractions(msgspec.Struct, frozen=True):
    """The views of `$extract`: a response that was sent or is stored in, Parameters with a Bundle out.

    Args:
        extractor: makes the Bundle.
        deployment: its limits and base.
        repository: of the responses that it can be called on; None if nothing is stored.
    """

    extractor: Extractor
    deployment: Deployment
    repository: Repository | None = None

    def extract(self, request: Request) -> Reply:
        """Returns the resources extracted from the response in the body.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: nothing can be extracted.
            Forbidden: it is about another patient than the one whom the token names.
        """
        content_type, body = request.operation(self.deployment.body.body_bytes)
        found = self.extractor.extract_body(body)
        check_subjects(body, request.reach, self.deployment.base)
        return Reply(200, found, (("Content-Type", content_type), NO_STORE, VARY))

    def extract_stored(self, request: Request) -> Reply:
        """Returns those extracted from a stored response; a POST may bring its Questionnaire.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: nothing can be extracted.
            NotFound: there is no such response within reach.
        """
        content_type, body = request.answer_type(), request.optional_body(self.deployment.body.body_bytes)
        if self.repository is None:
            raise NotFound(UNKNOWN_ID)
        record = self.repository.read(RESPONSE, request.args["id"], request.unit, reach=request.reach)
        request.record_read(record.body)
        found = self.extractor.extract_body(body, record.body)
        return Reply(200, found, (("Content-Type", content_type), NO_STORE, VARY))


class Expansions:
    """The views of `$expand`; their answer is a ValueSet with its expansion.

    Source:
        R4 OperationDefinition ValueSet-expand.
    """

    def __init__(self, catalogue: Catalogue, deployment: Deployment) -> None:
        self._published = {
            artifact.id: artifact.resource
            for (kind, _), artifact in catalogue.artifacts.items()
            if kind == "ValueSet"
        }
        self._value_sets = catalogue.value_sets
        self._limits = deployment.body

    def expand(self, request: Request) -> Reply:
        """Returns the expansion that the query string asks for.

        Raises:
            Malformed: a parameter is unknown, repeated, missing or not of its type.
            NotScorable: the value set cannot be expanded, or not as it is asked for.
            NotFound: there is no such value set.
        """
        reply = self._expansion(request, parameters_in_query(request.query()))
        return conditional(request, reply, Version(f'W/"{sha256(reply.body).hexdigest()[:32]}"'))

    def expand_posted(self, request: Request) -> Reply:
        """Returns the same for Parameters in the body, or in the query string, or both."""
        body = request.body(min(self._limits.body_bytes, MOST_EXPAND_BYTES))
        given = parameters_in_query(request.query())
        if body:
            request.check_body_type()
            given += parameters_in_body(read(body, self._limits))
        return self._expansion(request, given)

    def _expansion(self, request: Request, given: list[SentParameter]) -> Reply:
        content_type = request.answer_type()
        values = values_of(given, EXPAND_INPUTS, EXPAND_REFUSED)
        body = expand(
            self._value_sets, self._named(request.args.get("id"), values), _expansion_parameters(values)
        )
        return Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))

    def _named(self, id_: str | None, values: Values) -> Mapping[str, Any]:
        canonical = _canonical(values)
        if id_ is None:
            return self._by_canonical(canonical)
        found = self._published.get(id_)
        if found is None:
            raise NotFound(UNKNOWN_ID)
        if canonical not in ("", found.get("url"), f"{found.get('url')}|{found.get('version')}"):
            raise Malformed(unfit_parameter("url", "the value set of the path, or no url"))
        return found

    def _by_canonical(self, canonical: str) -> Mapping[str, Any]:
        if not canonical:
            raise Malformed(unfit_parameter("url", "the canonical of a value set"))
        found = None if canonical.startswith("#") else self._value_sets.value_set(canonical)
        if found is None:
            text = "No value set with this url, or not in this version, is known here."
            raise NotFound(Problem("value-set-unknown", text))
        return found


# The parameters of `$expand`: which are taken, which are refused, and what they ask for.
#
# Source: R4 OperationDefinition ValueSet-expand.

_PINS: Final = ("system-version", "check-system-version", "force-system-version")

EXPAND_INPUTS: Final = (
    Input("url", "uri"),
    Input("valueSetVersion", "string"),
    Input("filter", "string"),
    Input("offset", "integer"),
    Input("count", "integer"),
    Input("includeDesignations", "boolean"),
    Input("designation", "string", repeats=True),
    Input("includeDefinition", "boolean"),
    Input("activeOnly", "boolean"),
    Input("excludeNested", "boolean"),
    Input("excludeNotForUI", "boolean"),
    Input("excludePostCoordinated", "boolean"),
    Input("displayLanguage", "code"),
    Input("exclude-system", "canonical", repeats=True),
    *(Input(name, "canonical", repeats=True) for name in _PINS),
)
"""What is supported of R4's declaration; there is no post-coordination, so that parameter changes nothing."""

EXPAND_REFUSED: Final = frozenset(("valueSet", "context", "contextDirection", "date"))
"""What R4 declares beside that: leaving it out would be an answer to another question."""


def _canonical(values: Values) -> str:
    """Returns `url` or `url|version`; raises Malformed if two versions are named."""
    (named,) = values.get("url", ("",))
    url, _, version = named.partition("|")
    (asked,) = values.get("valueSetVersion", (version,))
    if asked and (not url or version not in ("", asked)):
        expected = "with a url, and the version that the url names, if any"
        raise Malformed(unfit_parameter("valueSetVersion", expected))
    return f"{url}|{asked}" if asked else url


def _expansion_parameters(values: Values) -> ExpansionParameters:
    """Returns how to expand, by the parameters of the operation.

    Raises:
        Malformed: a page that begins or ends below zero, or a code system without the version to use.
    """
    pinned = tuple((name, canonical) for name in _PINS for canonical in values.get(name, ()))
    problems = [*_negative(values), *_unversioned(pinned)]
    if problems:
        raise Malformed(*problems)
    single = {name: given[0] for name, given in values.items()}
    return ExpansionParameters(
        filter=single.get("filter", ""),
        offset=single.get("offset", 0),
        count=single.get("count"),
        active_only=single.get("activeOnly", False),
        exclude_nested=single.get("excludeNested", False),
        exclude_not_for_ui=single.get("excludeNotForUI", False),
        include_definition=single.get("includeDefinition", False),
        include_designations=single.get("includeDesignations", "designation" in values),
        designation=values.get("designation", ()),
        display_language=single.get("displayLanguage", ""),
        exclude_system=values.get("exclude-system", ()),
        system_versions=pinned,
        stated=tuple(_as_repeated(values)),
    )


def _negative(values: Values) -> Iterator[Problem]:
    for name in ("offset", "count"):
        if values.get(name, (0,))[0] < 0:
            yield unfit_parameter(name, "a whole number from 0")


def _unversioned(pinned: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for name, canonical in pinned:
        if not canonical.partition("|")[2]:
            yield unfit_parameter(name, "system|version")


def _as_repeated(values: Values) -> Iterator[MutableJson]:
    """Yields the parameters as an expansion repeats them, in the order of their declaration."""
    for declared in EXPAND_INPUTS:
        datatype = "uri" if declared.type == "canonical" else declared.type
        for value in values.get(declared.name, ()):
            if declared.name not in ("url", "valueSetVersion"):
                yield {"name": declared.name, f"value{datatype[0].upper()}{datatype[1:]}": value}
