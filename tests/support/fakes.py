"""The application on a fake assessor and fake published resources: what HTTP does, nothing clinical."""

import gc
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson

from service.datatypes.values import replace
from service.errors import Malformed, Problem
from service.fhir.json import BodyLimits
from service.web.application import Application
from service.web.deployment import Deployment
from service.web.routes import Parts, all_routes

BASE = "https://fhir.example.org/r4"
LIMIT = 4096
DEPLOYMENT = Deployment(BASE, body=BodyLimits(LIMIT, 64), bundle_entries=5)
FHIR = "application/fhir+json"


@dataclass
class FakeAssessor:
    """Answers with a fixed document; `raises` makes it fail."""

    raises: Exception | None = None
    seen: list[bytes] = field(default_factory=list)

    def assess_body(self, data: bytes, *_: Any) -> Any:
        self.seen.append(data)
        if self.raises is not None:
            raise self.raises
        if not data.startswith(b"{"):
            raise Malformed(Problem("json", "Expected: one JSON object."))
        return SimpleNamespace(
            body=b'{"resourceType":"RiskAssessment","x":1.50}', guidance="urn:g|1", language="en"
        )


def published(kind: str, number: int, **more: Any) -> SimpleNamespace:
    resource = {
        "resourceType": kind,
        "id": f"{kind.lower()}-{number}",
        "url": f"https://example.org/{kind}/{number}",
        "version": "1.0",
        "name": f"Name{number}",
        "title": f"Über title {number}",
        "status": "active",
        "meta": {"versionId": f"v{number}", "lastUpdated": "2026-01-02T03:04:05Z"},
        **more,
    }
    return SimpleNamespace(
        type=kind,
        id=resource["id"],
        url=resource["url"],
        version=resource["version"],
        resource=resource,
        body=orjson.dumps(resource),
        etag=f'W/"v{number}"',
    )


def artifacts() -> list[SimpleNamespace]:
    """Six questionnaires (one a draft), one code system, and the definition of the operation."""
    forms = [published("Questionnaire", number) for number in range(5)]
    more = {"status": "draft", "version": "2.0", "title": "One, two", "meta": {"versionId": "v9"}}
    draft = published("Questionnaire", 9, **more)
    operation = published("OperationDefinition", 1, code="assess")
    return [*forms, draft, operation, published("CodeSystem", 1)]


def composed(assessor: Any = None, resources: Any = None, **deployment: Any) -> Application:
    """The application on the fakes; keywords are fields of its deployment."""
    of = replace(DEPLOYMENT, **deployment)
    parts = Parts(resources or artifacts(), assessor or FakeAssessor())
    return Application(all_routes(parts, of), of)


def application(origins: Sequence[str] = ()) -> Application:
    """For gunicorn: the real server and worker around the fake."""
    return composed(origins=frozenset(origins))


def collecting(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says which process this is, and whether it collects what can be thrown away."""
    body = orjson.dumps([os.getpid(), gc.isenabled()])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def told_to_stop_while_it_loads() -> Application:
    """Has the server get SIGTERM before it listens."""
    os.kill(os.getpid(), signal.SIGTERM)
    return application()


def told_to_stop_when_forked() -> Application:
    """Has each worker get SIGTERM in its very first moment."""
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
    return application()


class _StopsItself(FakeAssessor):
    def assess_body(self, data: bytes, *_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().assess_body(data)


def told_to_stop_while_it_answers() -> Application:
    """Has a worker get SIGTERM in the middle of a request."""
    return composed(_StopsItself())
