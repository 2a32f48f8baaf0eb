"""The operations that validate: `$validate` on responses, `$process-response` on questionnaires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.errors import NotFound, Problem
from service.fhir.canonicals import AS_WRITTEN, Canonicals
from service.fhir.outcome import operation_outcome
from service.web.body import read_body
from service.web.call import Call
from service.web.negotiation import check_body_type
from service.web.reply import NO_STORE, Reply, json_reply
from service.web.route import BASE_PATH, Route

if TYPE_CHECKING:
    from service.validate import Validator

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
