"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# tests/validators/plugin.py: the fixture `union`; tests/storage/stores.py: stores on SQLite and PostgreSQL
pytest_plugins = ["plugin", "stores"]

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("CI") == "true":
        return
    skip = pytest.mark.skip(reason="slow: set CI=true to run it")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project root."""
    return ROOT
