"""Operations: the body of a request in, one resource out, nothing kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.web.body import read_body
from service.web.call import Call
from service.web.negotiation import check_body_type
from service.web.reply import NO_STORE, Reply
from service.web.route import BASE_PATH, Route, View

if TYPE_CHECKING:
    from service.assess import Assessor

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
