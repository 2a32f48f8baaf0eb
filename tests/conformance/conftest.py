"""The whole service, started once for all of these tests on each kind of store."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from capability_probes import instances
from fhir_client import BASE, ORIGIN, PUBLISHED, STORED, Answer, Ehr, Json, result_of, through
from guarded_service import Guarded, every_kind_of_issuer, guarded_service
from running_service import new_database
from sample_responses import identified, new_value, response

from service import app as composition
from service.app import create_app, store_from
from service.settings import Settings
from service.storage.model import Store
from service.web.application import Application


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def app(request: pytest.FixtureRequest, database: Callable[[str], str]) -> Iterator[Application]:
    made: list[Store | None] = []

    def kept(settings: Settings) -> Store | None:
        made.append(store_from(settings))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "store_from", kept)
        url = database(request.param)
        yield composition.create_app(Settings(store_url=url, base_url=BASE, cors_origins=ORIGIN))
    for store in filter(None, made):
        store.close()


@pytest.fixture(scope="session")
def ehr(app: Application) -> Ehr:
    return through(app.test_client())


@pytest.fixture(scope="session")
def stateless() -> Ehr:
    """The same without a store and without origins of browser apps."""
    return through(create_app(Settings(store_url="none", base_url=BASE)).test_client())


@pytest.fixture(scope="session")
def caller(ehr: Ehr, stateless: Ehr) -> Callable[[str], Ehr]:
    """Returns one of the services by its name: `ehr` or `stateless`."""
    return {"ehr": ehr, "stateless": stateless}.__getitem__


@pytest.fixture(scope="session")
def guarded(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The service with access control, in one process: what it keeps of keys and tokens is in one place."""
    folder = tmp_path_factory.mktemp("registered")
    with guarded_service(folder, database("sqlite"), *every_kind_of_issuer()) as service:
        yield service


class Known:
    """One stored response with everything that was made of it."""

    def __init__(self, ehr: Ehr, answer: Answer) -> None:
        self.answer = answer
        self.response = answer.json
        self.id = self.response["id"]
        self.patient = self.response["subject"]["reference"]
        self.risk = ehr.read(result_of(answer))

    @property
    def at(self) -> str:
        return f"QuestionnaireResponse/{self.id}"


@pytest.fixture(scope="session")
def known(ehr: Ehr) -> Known:
    """Must not be changed by a test; it has every element that a search may look for."""
    return made(
        ehr,
        response(
            identifier=identified(new_value()),
            encounter={"reference": "Encounter/visit"},
            author={"reference": "Practitioner/doctor"},
            source={"reference": "Patient/source"},
            basedOn=[{"reference": "ServiceRequest/order"}],
            partOf=[{"reference": "Procedure/visit"}],
        ),
    )


@pytest.fixture
def kept(ehr: Ehr) -> Known:
    """One of a test's own."""
    return made(ehr, response(identifier=identified(new_value())))


def made(ehr: Ehr, document: dict[str, Any]) -> Known:
    answer = ehr.post("QuestionnaireResponse", document)
    assert answer.status == 201, answer.data
    return Known(ehr, answer)


@pytest.fixture(scope="session")
def trail(ehr: Ehr) -> Callable[[str], dict[str, list[str]]]:
    """Returns the ids of what was stored about a response, by type."""

    def about(id_: str) -> dict[str, list[str]]:
        at = f"QuestionnaireResponse/{id_}"
        queries = (f"?_id={id_}", f"?basis={at}", f"?target={at}", f"?entity={at}")
        return {kind: ehr.found(kind + query) for kind, query in zip(STORED, queries, strict=True)}

    return about


@pytest.fixture(scope="session")
def one_of_each(ehr: Ehr, known: Known, trail: Any) -> dict[str, str]:
    """Returns the id of an existing resource by type, for every type that is served."""
    first = {kind: ids[0] for kind, ids in trail(known.id).items()}
    return first | {kind: ehr.found(kind)[0] for kind in PUBLISHED if ehr.total(kind)}


@pytest.fixture(scope="session")
def existing(ehr: Ehr, stateless: Ehr) -> dict[str, dict[str, Json]]:
    """Returns an existing resource by type by service; not to be changed."""
    return {"ehr": instances(ehr), "stateless": instances(stateless)}


@pytest.fixture(scope="session")
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Returns a function that returns the URL of an empty database of a kind, `sqlite` or `postgresql`."""

    def made(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('served') / 'service.db'}"
        return new_database(request.getfixturevalue("postgresql_server"))

    return made
