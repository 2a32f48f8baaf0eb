"""`$expand` on the value sets that are published here, and on those of R4 that are held here."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from service.errors import Malformed, NotFound, Problem
from service.fhir.body import Limits, read
from service.fhir.inputs import Given, Values, given_in_parameters, given_in_query, values_of
from service.questionnaire import expanded
from service.web.body import read_body
from service.web.call import Call
from service.web.conditional import conditional
from service.web.expansion_inputs import INPUTS, REFUSED, canonical_from, wanted_from
from service.web.negotiation import check_body_type
from service.web.reply import REVALIDATE, VARY, Reply
from service.web.route import BASE_PATH, Route

if TYPE_CHECKING:
    from service.catalogue import Catalogue

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
