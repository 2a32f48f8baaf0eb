"""The service with every form of the project and of its tests, and people who fill them in."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from flask.testing import FlaskClient
from form_driver import FormDriver

from service import app, catalogue
from service.catalogue import Catalogue
from service.guidance.cases import AUTHORED
from service.settings import ROOT, Settings

NOON = datetime.fromisoformat(f"{AUTHORED}T12:00:00+00:00")
FOLDERS = ROOT, ROOT / "tests/second_pair", ROOT / "tests/instruments"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that serve all questionnaires with mappings that there are."""
    folder = tmp_path_factory.mktemp("every-form")
    for name in ("questionnaires", "mappings"):
        (folder / name).mkdir()
        for source in FOLDERS:
            for path in (source / name).iterdir():
                (folder / name / path.name).symlink_to(path)
    return Settings(
        questionnaires_dir=folder / "questionnaires",
        mappings_dir=folder / "mappings",
        store_url="none",
        emergency_number="112",
        embed_origins="https://app.example.org",
    )


class Clock:
    """Tells the time that a test sets; without that, noon of the day on which worked cases were answered."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(scope="session")
def session_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(session_clock: Clock) -> Iterator[Clock]:
    yield session_clock
    session_clock.at = NOON


@pytest.fixture(scope="session")
def client(settings: Settings, session_clock: Clock) -> FlaskClient:
    return app.create_app(settings, session_clock).test_client()


@pytest.fixture(scope="session")
def served(settings: Settings) -> Catalogue:
    return catalogue.read(settings.questionnaires_dir, settings.mappings_dir)


@pytest.fixture
def person(client: FlaskClient) -> Callable[..., FormDriver]:
    """Somebody who has opened a form: `person(slug)`, or `person(slug, "?language=de")`."""

    def opened(slug: str = "muscle-twitching", query: str = "") -> FormDriver:
        driver = FormDriver(client, f"/questionnaires/{slug}")
        driver.open(query)
        return driver

    return opened
