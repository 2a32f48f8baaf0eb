"""Debian's Chromium, the service as it runs, and pages of which every fault fails the test.

The fixtures that other tests use too: `browser`, `origin`, `served`, `new_context`, `axe`, `judge`,
`measure`.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from gunicorn_server import ROOT, Served, serving
from page_checks import Axe, geometry
from playwright.sync_api import Browser, Page
from validator_fixtures import INSTALL, refuse
from watched_pages import NewContext, watched_contexts

from benchmarks import chromium

APP = "service.app:from_environment()"
PAIRS = (ROOT, ROOT / "tests/second_pair", ROOT / "tests/instruments")
NPM = Path(__file__).resolve().parent / "npm"
NUMBERS = {"EMERGENCY_NUMBER": "112", "CRISIS_LINE": "116 123"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped, or fail where CI=true.

    It ends with the module: its event loop would be in the way of tests that have one of their own.
    """
    if chromium.where() is None:
        refuse(f"NO PAGE IS TRIED: {chromium.MISSING}")
    with chromium.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that name one folder of all questionnaires and one of all mappings that there are."""
    together = tmp_path_factory.mktemp("pairs")
    for pair in PAIRS:
        for kind in ("questionnaires", "mappings"):
            shutil.copytree(pair / kind, together / kind, dirs_exist_ok=True)
    return {f"{kind.upper()}_DIR": str(together / kind) for kind in ("questionnaires", "mappings")}


@pytest.fixture(scope="session")
def served(folders: dict[str, str]) -> Iterator[Callable[..., str]]:
    """Gives the origin of a service with these settings; the same settings, the same service."""
    running: dict[frozenset[tuple[str, str]], Served] = {}
    with ExitStack() as stack:

        def origin(**settings: str) -> str:
            given = {"STORE_URL": "none", "WORKERS": "2"} | folders | NUMBERS | settings
            key = frozenset(given.items())
            if key not in running:
                running[key] = stack.enter_context(serving(APP, **given))
            return f"http://127.0.0.1:{running[key].port}"

        yield origin
    logs = "".join(line for server in running.values() for line in server.log)
    assert "Traceback" not in logs


@pytest.fixture(scope="session")
def origin(served: Callable[..., str]) -> str:
    """The origin of the service as it is set up by default, with every questionnaire that there is."""
    return served()


@pytest.fixture
def new_context(browser: Browser, origin: str) -> Iterator[NewContext]:
    """Makes contexts: see `watched_contexts`. What they report and the test does not expect fails it."""
    with watched_contexts(browser, [origin]) as make:
        yield make


@pytest.fixture(scope="session")
def axe() -> Axe:
    """axe-core, which is installed where it is missing."""
    path = NPM / "node_modules/axe-core/axe.min.js"
    if not path.is_file():
        if shutil.which("npm") is None:
            refuse("npm is not here: NO PAGE IS JUDGED BY AXE (Debian: apt-get install npm)")
        subprocess.run(INSTALL, cwd=NPM, check=True)
    return Axe(path)


@pytest.fixture
def judge(axe: Axe) -> Iterator[Callable[[Page], None]]:
    """Judges a page as it stands; whatever axe-core or a ruler finds fault with fails the test at its end."""
    with faults_of(lambda page: [*axe.new_problems(page), *geometry(page)]) as judged:
        yield judged


@pytest.fixture
def measure() -> Iterator[Callable[[Page], None]]:
    """Does the same without axe-core, for a page without script."""
    with faults_of(geometry) as measured:
        yield measured


@contextmanager
def faults_of(find: Callable[[Page], list[str]]) -> Iterator[Callable[[Page], None]]:
    """Gives what notes the faults of a page; fails after the block where there are some."""
    found: list[str] = []

    def noted(page: Page) -> None:
        place = f"{page.locator('main').get_attribute('data-page')} at {page.viewport_size}"
        found.extend(f"{place}: {fault}" for fault in find(page))

    yield noted
    if found:
        raise AssertionError("\n".join(found))
