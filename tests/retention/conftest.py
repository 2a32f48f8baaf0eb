"""The whole service on a store of each kind, the commands on the same store, and people nobody else knows."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from fhir_client import BASE, Ehr, through
from store_fixtures import new_database

from service import app, cli
from service.settings import ROOT, Settings
from service.storage.opening import open_store

Json = dict[str, Any]
_numbers = count(1)


@dataclass(frozen=True)
class Place:
    """A store, and the service that stores there."""

    url: str
    ehr: Ehr


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory) -> Iterator[Place]:
    with place(f"sqlite:///{tmp_path_factory.mktemp('kept') / 'service.db'}") as made:
        yield made


@pytest.fixture(scope="session")
def on_postgresql(postgresql_server) -> Iterator[Place]:
    with place(new_database(postgresql_server, "kept")) as made:
        yield made


@contextmanager
def place(url: str) -> Iterator[Place]:
    opened = []

    def noted(*given, **named):
        opened.append(open_store(*given, **named))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "open_store", noted)
        application = app.create_app(Settings(store_url=url, base_url=BASE))
    yield Place(url, through(application.test_client()))
    opened[0].close()


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def kept(request) -> Place:
    return request.getfixturevalue(request.param)


@pytest.fixture
def ehr(kept) -> Ehr:
    return kept.ehr


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    notes: str


@pytest.fixture
def command(kept, monkeypatch, capsys) -> Callable[..., Done]:
    """Returns a function that runs a command on the store."""
    monkeypatch.setenv("SERVICE_STORE_URL", kept.url)
    monkeypatch.setenv("SERVICE_BASE_URL", BASE)

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = cli.main(arguments)
        return Done(code, *capsys.readouterr())

    return run


@dataclass(frozen=True)
class Somebody:
    """A person of whom nothing is stored yet; every text is found nowhere else."""

    reference: str
    identifier: Json
    answer: str

    def named(self, like: str = "plain-eyelid", **changes: Any) -> Json:
        """Returns a sample about the person, with an answer in the person's own words."""
        document = json.loads((ROOT / "samples" / f"{like}.json").read_bytes())
        concerns = next(each for each in document["item"] if each["linkId"] == "concerns")
        concerns["item"].append({"linkId": "notes", "answer": [{"valueString": self.answer}]})
        ours = {"id": None, "identifier": None, "subject": {"reference": self.reference}}
        return {name: value for name, value in (document | ours | changes).items() if value is not None}


@pytest.fixture
def somebody() -> Callable[[], Somebody]:
    def new() -> Somebody:
        number = f"{next(_numbers):03d}x"
        identifier = {"system": "urn:canary", "value": f"canary-number-{number}"}
        return Somebody(f"Patient/canary-{number}", identifier, f"canary answer {number}")

    return new


@pytest.fixture
def person(somebody) -> Somebody:
    return somebody()
