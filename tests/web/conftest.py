"""The application on fakes, and its client."""

from collections.abc import Callable
from typing import Any

import fakes
import orjson
import pytest
from flask.testing import FlaskClient

from service import app
from service.settings import Settings
from service.web.application import Application


@pytest.fixture(scope="session")
def real() -> FlaskClient:
    """The whole service on the questionnaires and mappings of the project, read once."""
    return app.create_app(Settings(store_url="none")).test_client()


@pytest.fixture
def artifacts() -> list[Any]:
    return fakes.artifacts()


@pytest.fixture(scope="session")
def fake_assessor() -> fakes.FakeAssessor:
    """Belongs to the one application of all tests; a test takes it as `assessor`."""
    return fakes.FakeAssessor()


@pytest.fixture(scope="session")
def application(fake_assessor: fakes.FakeAssessor) -> Application:
    return fakes.composed(fake_assessor)


@pytest.fixture
def assessor(fake_assessor: fakes.FakeAssessor) -> fakes.FakeAssessor:
    """Has seen nothing yet, and does not fail."""
    fake_assessor.raises = None
    fake_assessor.seen.clear()
    return fake_assessor


@pytest.fixture
def client(application: Application, assessor: fakes.FakeAssessor) -> FlaskClient:
    return application.test_client()


@pytest.fixture
def assess(client: FlaskClient) -> Callable[..., Any]:
    """Posts a body to $assess."""

    def post(data: bytes = b"{}", **more: Any) -> Any:
        headers = {"Content-Type": fakes.FHIR} | more.pop("headers", {})
        return client.post(
            "/fhir/QuestionnaireResponse/$assess" + more.pop("query", ""), data=data, headers=headers
        )

    return post


@pytest.fixture
def is_outcome() -> Callable[[Any], None]:
    """Asserts that an answer is an OperationOutcome with at least one issue."""

    def check(answer: Any) -> None:
        document = orjson.loads(answer.data)
        assert answer.headers["Content-Type"] == fakes.FHIR
        assert document["resourceType"] == "OperationOutcome"
        assert document["issue"]
        assert all({"severity", "code", "diagnostics"} <= issue.keys() for issue in document["issue"])

    return check
