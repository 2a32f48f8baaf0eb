"""Stores for tests: fixtures that every folder of tests may use."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.local_postgresql import NoServer, Server, server
from service.storage.database import StoreLimits
from service.storage.model import Store
from service.storage.opening import migrate, open_store

QUICK = StoreLimits(connect_s=2, lock_s=0.4, statement_s=5, connections=4)
PATIENT = StoreLimits(lock_s=30)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    in_ci = os.environ.get("CI") == "true"
    try:
        with server(install=in_ci) as running:
            yield running
    except NoServer as missing:
        if in_ci:
            pytest.fail(str(missing))
        pytest.skip(f"NOT TESTED ON POSTGRESQL: {missing}")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_migrated(postgresql_server) -> str:
    url = new_database(postgresql_server, "tested")
    migrate(url)
    return url


def new_database(running: Server, name: str) -> str:
    with psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return running.database(name)


@pytest.fixture
def sqlite_url(sqlite_template, tmp_path) -> str:
    shutil.copy(sqlite_template, tmp_path / "store.db")
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def postgresql_url(postgresql_migrated) -> str:
    with psycopg.connect(postgresql_migrated, autocommit=True) as connection:
        tables = ("record", "used", "chain_part", "chain_name", "chain_entry", "chain_head")
        for table in tables:
            connection.execute(f"DELETE FROM {table}")
    return postgresql_migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request) -> str:
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def open_one(request) -> Iterator:
    """Returns a function that opens a store, closed after the test."""

    def opened(url: str, limits: StoreLimits = QUICK, **options) -> Store:
        store = open_store(url, limits, **options)
        assert store is not None
        request.addfinalizer(store.close)
        return store

    return opened


@pytest.fixture
def store(url, open_one) -> Store:
    return open_one(url, append_only=["Log"])


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    running = request.getfixturevalue("postgresql_server")
    return new_database(running, f"empty_{abs(hash(request.node.name))}")
