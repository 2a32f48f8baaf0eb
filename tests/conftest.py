"""What every test may use."""

import gc
import io
import logging
import os
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from examples import IN_CI, examples
from hypothesis import is_hypothesis_test, settings

from service import app, catalogue
from service.assess import Assessor
from service.bulk import pool
from service.fhir.json import BodyLimits
from service.pages.fields import Control, Fields
from service.questionnaire.compiled import Item
from service.sandbox import SandboxLimits
from service.web.logs import JsonLines

# Of tests/support: the fixture `union`, and stores on SQLite and PostgreSQL.
pytest_plugins = ["validator_fixtures", "store_fixtures"]

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("repeatable", examples(100), deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the accepted texts anew")


@pytest.fixture(scope="session")
def rewrites_golden(request: pytest.FixtureRequest) -> bool:
    """Whether the accepted texts are to be written anew."""
    return bool(request.config.getoption("--rewrite-golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves properties out of coverage, which doubles their cost, and what is slow out of a run by hand.

    A line that only a property reaches is a line that no test names: it counts as missing.
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
    if IN_CI:
        return
    skip = pytest.mark.skip(reason="slow: set CI=true to run it")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Lets Python look for garbage again, but not through 200,000 objects of the collected tests.

    What tests make is still looked through, and what they forget to close is still a warning.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was skipped in one line for each reason; scripts/test adds up what its parts skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    lines = [f"{count:5} {reason}\n" for reason, count in reasons.most_common()]
    if folder := os.environ.get("TESTS_SKIPPED_DIR"):
        Path(folder, str(os.getpid())).write_text("".join(lines), encoding="utf-8")
    elif lines:
        terminalreporter.section("skipped")
        terminalreporter.write("".join(lines))


def pytest_configure(config: pytest.Config) -> None:
    """Reads the same questionnaires and mappings once for all tests, as long as no file of them changes.

    The controls of a question, half of what a service costs to make, are made once in each language too: they
    come from the questionnaire alone.
    """
    gc.disable()  # until the tests are collected: what comes with them stays
    config.add_cleanup(gc.enable)
    read, called = catalogue.read, signature(catalogue.read)

    @lru_cache(maxsize=12)
    def known(
        _files: tuple[tuple[Path, int, int], ...], *folders: Path, **options: Any
    ) -> catalogue.Catalogue:
        return read(*folders, **options)

    def read_once(*folders: Path, **options: Any) -> catalogue.Catalogue:
        asked = called.bind(*folders, **options)
        asked.apply_defaults()  # what is stated and what is left to its default are one
        given = (*asked.args, *asked.kwargs.values())
        files = (path for folder in given if isinstance(folder, Path) for path in folder.rglob("*"))
        stamps = ((path, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(files))
        return known(tuple(stamps), *asked.args, **asked.kwargs)

    control, controls = Fields._control, dict[tuple[int, str, frozenset[str]], tuple[Item, Control]]()

    def made_once(fields: Fields, item: Item) -> Control:
        key = id(item), fields._language, fields._safety  # the item is kept, so that no other has its id
        if key not in controls:
            controls[key] = item, control(fields, item)
        return controls[key][1]

    patch = pytest.MonkeyPatch()
    patch.setattr(Fields, "_control", made_once)
    patch.setattr(catalogue, "read", read_once)
    # A run of `score` is a process of its own. Here each would go through all that tests made, and thaw it.
    patch.setattr(pool, "gc", SimpleNamespace(collect=int, freeze=int, unfreeze=int))
    # A machine that runs all tests at once is busier than one that would rather answer 503 after 20 s.
    patch.setattr(app, "SandboxLimits", partial(SandboxLimits, wall_s=180.0, wait_s=60.0))
    config.add_cleanup(patch.undo)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project root."""
    return ROOT


@pytest.fixture(scope="session")
def served(root: Path) -> catalogue.Catalogue:
    """The questionnaires and mappings of the project."""
    return catalogue.read(root / "questionnaires", root / "mappings")


@pytest.fixture(scope="session")
def pair(served: catalogue.Catalogue) -> catalogue.Pair:
    """The questionnaire of the project that is in use, with its guidance."""
    (found,) = served.pairs.values()
    return found


@pytest.fixture(scope="session")
def assessor(served: catalogue.Catalogue) -> Assessor:
    return Assessor(served, BodyLimits())


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level, as the lines of the real formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
