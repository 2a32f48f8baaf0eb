"""`$expand` on the value sets that are published here, and on those of R4 that are held here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from service.errors import Malformed, NotFound, Problem
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import Limits, read
from service.fhir.outcome import operation_outcome
from service.fhir.parameters import Given, Input, Values, given_in_parameters, given_in_query, values_of
from service.questionnaire import Wanted, expanded
from service.web.conditional import conditional
from service.web.negotiation import check_body_type
from service.web.reply import NO_STORE, REVALIDATE, VARY, Reply, json_reply
from service.web.request import Call, read_body
from service.web.routing import BASE_PATH, Route, View

if TYPE_CHECKING:
    from service.assess import Assessor
    from service.catalogue import Catalogue
    from service.validate import Validator


# Operations: the body of a request in, one resource out, nothing kept.

RESPONSE = "QuestionnaireResponse"


def operation_routes(assessor: Assessor, limit: int) -> tuple[Route, ...]:
    """Returns the routes of the operations.

    Args:
        assessor: turns the bytes of a body into the bytes of a result.
        limit: longest body in bytes.
    """
    path = f"{BASE_PATH}/{RESPONSE}"
    return (Route(f"{path}/$assess", {"POST": assess_view(assessor, limit)}, RESPONSE, operation="assess"),)


def assess_view(assessor: Assessor, limit: int) -> View:
    """Returns the view of `$assess`: a QuestionnaireResponse or Parameters in, a RiskAssessment out.

    Source:
        R4 operations.html; the OperationDefinition is published under the same base.
    """

    def assess(call: Call) -> Reply:
        check_body_type(call.environ.get("CONTENT_TYPE"))
        content_type = call.answer_type()
        assessed = assessor.assess_body(read_body(call.environ, limit))
        headers = (("Content-Type", content_type), NO_STORE, ("X-Guidance", assessed.guidance))
        return Reply(200, assessed.body, headers)

    return assess


# The operations that validate: `$validate` on responses, `$process-response` on questionnaires.

PROCESSED = Problem(
    "processed",
    "The response was checked and taken. Nothing is stored here; $assess returns its RiskAssessment.",
    severity="information",
)


def validation_routes(
    validator: Validator, forms: Sequence[str], limit: int, urls: Canonicals = AS_WRITTEN
) -> tuple[Route, ...]:
    """Returns the routes of the operations that validate.

    Args:
        validator: finds the problems of a body.
        forms: ids of the Questionnaires that are served.
        limit: longest body in bytes.
        urls: the canonical urls of what this service defines itself.
    """
    views = Validations(validator, frozenset(forms), limit, urls)
    validate = f"{BASE_PATH}/QuestionnaireResponse/$validate"
    process = "$process-response"
    return (
        Route(validate, {"POST": views.validate}, "QuestionnaireResponse", operation="validate"),
        Route(
            f"{BASE_PATH}/Questionnaire/{process}",
            {"POST": views.process},
            "Questionnaire",
            operation=process[1:],
        ),
        Route(f"{BASE_PATH}/Questionnaire/<id:id>/{process}", {"POST": views.process}, "Questionnaire"),
    )


class Validations:
    """The views; their answer is an OperationOutcome."""

    def __init__(self, validator: Validator, forms: frozenset[str], limit: int, urls: Canonicals) -> None:
        self._validator = validator
        self._forms = forms
        self._limit = limit
        self._urls = urls

    def validate(self, call: Call) -> Reply:
        """Returns 200 whether the resource is valid or not; 4xx only where it could not be validated."""
        body, content_type = self._body(call), call.answer_type()
        asked = dict(call.query())
        problems = self._validator.validated(body, asked.get("profile"), asked.get("mode"))
        return json_reply(operation_outcome(problems, self._urls), content_type, NO_STORE)

    def process(self, call: Call) -> Reply:
        """Returns 200 with warnings where the response was taken; errors are 422 with every problem."""
        slug = call.args.get("id")
        if slug is not None and slug not in self._forms:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        body, content_type = self._body(call), call.answer_type()
        problems = (*self._validator.processed(body, slug), PROCESSED)
        return json_reply(operation_outcome(problems, self._urls), content_type, NO_STORE)

    def _body(self, call: Call) -> bytes:
        check_body_type(call.environ.get("CONTENT_TYPE"))
        return read_body(call.environ, self._limit)


# The parameters of `$expand`: which are taken, which are refused, and what they ask for.
#
# Source: R4 OperationDefinition ValueSet-expand.

_PINS: Final = ("system-version", "check-system-version", "force-system-version")

INPUTS: Final = (
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

REFUSED: Final = frozenset(("valueSet", "context", "contextDirection", "date"))
"""What R4 declares beside that: leaving it out would be an answer to another question."""


def canonical_from(values: Values) -> str:
    """Returns `url` or `url|version`; raises Malformed where two versions are named."""
    (named,) = values.get("url", ("",))
    url, _, version = named.partition("|")
    (asked,) = values.get("valueSetVersion", (version,))
    if asked and (not url or version not in ("", asked)):
        text = "Parameter valueSetVersion: expected with a url, and the version that the url names, if any."
        raise Malformed(Problem("parameter", text))
    return f"{url}|{asked}" if asked else url


def wanted_from(values: Values) -> Wanted:
    """Returns how to expand, by the parameters of the operation.

    Raises:
        Malformed: a page that begins or ends below zero, or a code system without the version to use.
    """
    pinned = tuple((name, each) for name in _PINS for each in values.get(name, ()))
    problems = [*_negative(values), *_unversioned(pinned)]
    if problems:
        raise Malformed(*problems)
    single = {name: each[0] for name, each in values.items()}
    return Wanted(
        filter=single.get("filter", ""),
        offset=single.get("offset", 0),
        count=single.get("count"),
        active_only=single.get("activeOnly", False),
        flat=single.get("excludeNested", False),
        selectable_only=single.get("excludeNotForUI", False),
        definition=single.get("includeDefinition", False),
        designations=single.get("includeDesignations", "designation" in values),
        designation=values.get("designation", ()),
        language=single.get("displayLanguage", ""),
        without=values.get("exclude-system", ()),
        pinned=pinned,
        asked=tuple(_asked(values)),
    )


def _negative(values: Values) -> Iterator[Problem]:
    for name in ("offset", "count"):
        if values.get(name, (0,))[0] < 0:
            yield Problem("parameter", f"Parameter {name}: expected a whole number from 0.")


def _unversioned(pinned: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for name, canonical in pinned:
        if not canonical.partition("|")[2]:
            yield Problem("parameter", f"Parameter {name}: expected system|version.")


def _asked(values: Values) -> Iterator[dict[str, Any]]:
    """Yields the parameters as an expansion repeats them, in the order of their declaration."""
    for each in INPUTS:
        kind = "uri" if each.type == "canonical" else each.type
        for value in values.get(each.name, ()):
            if each.name not in ("url", "valueSetVersion"):
                yield {"name": each.name, f"value{kind[0].upper()}{kind[1:]}": value}


VALUE_SET: Final = "ValueSet"
EXPAND: Final = "expand"


def expansion_routes(catalogue: Catalogue, limits: Limits) -> tuple[Route, ...]:
    """Returns the routes of `$expand`.

    Args:
        catalogue: what is published.
        limits: of a body.
    """
    views = Expansions(catalogue, limits)
    by_method = {"GET": views.expand, "POST": views.expand_posted}
    path = f"{BASE_PATH}/{VALUE_SET}"
    return (
        Route(f"{path}/${EXPAND}", by_method, VALUE_SET, operation=EXPAND),
        Route(f"{path}/<id:id>/${EXPAND}", by_method, VALUE_SET),
    )


class Expansions:
    """The views; their answer is a ValueSet with its expansion.

    Source:
        R4 OperationDefinition ValueSet-expand.
    """

    def __init__(self, catalogue: Catalogue, limits: Limits) -> None:
        self._published = {
            artifact.id: artifact.resource
            for (kind, _), artifact in catalogue.artifacts.items()
            if kind == VALUE_SET
        }
        self._value_sets = catalogue.value_sets
        self._limits = limits

    def expand(self, call: Call) -> Reply:
        """Returns the expansion that the query string asks for.

        Raises:
            Malformed: a parameter is unknown, repeated, missing or not of its type.
            NotScorable: the value set cannot be expanded, or not as it is asked for.
            NotFound: there is no such value set.
        """
        reply = self._expansion(call, given_in_query(call.query()))
        etag = f'W/"{sha256(reply.body).hexdigest()[:32]}"'
        return conditional(call, reply, etag, None)

    def expand_posted(self, call: Call) -> Reply:
        """Returns the same for Parameters in the body, or in the query string, or both."""
        body = read_body(call.environ, self._limits.body_bytes)
        given = given_in_query(call.query())
        if body:
            check_body_type(call.environ.get("CONTENT_TYPE"))
            given += given_in_parameters(read(body, self._limits))
        return self._expansion(call, given)

    def _expansion(self, call: Call, given: list[Given]) -> Reply:
        content_type = call.answer_type()
        values = values_of(given, INPUTS, REFUSED)
        body = expanded(self._value_sets, self._named(call.args.get("id"), values), wanted_from(values))
        return Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))

    def _named(self, id_: str | None, values: Values) -> Mapping[str, Any]:
        canonical = canonical_from(values)
        if id_ is None:
            return self._by_canonical(canonical)
        found = self._published.get(id_)
        if found is None:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        if canonical not in ("", found.get("url"), f"{found.get('url')}|{found.get('version')}"):
            text = "Parameter url: expected the value set of the path, or no url."
            raise Malformed(Problem("parameter", text))
        return found

    def _by_canonical(self, canonical: str) -> Mapping[str, Any]:
        if not canonical:
            raise Malformed(Problem("parameter", "Parameter url: expected the canonical of a value set."))
        found = None if canonical.startswith("#") else self._value_sets.value_set(canonical)
        if found is None:
            text = "No value set with this url, or not in this version, is known here."
            raise NotFound(Problem("value-set-unknown", text))
        return found
