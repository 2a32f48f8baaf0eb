"""The real server, with a questionnaire that is read quickly, on a store of one's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from fhir_client import BASE, ORIGIN, Ehr, over_http
from gunicorn_server import Served, serving
from sample_responses import SECOND

from benchmarks.local_postgresql import Server

_APP = "service.app:from_environment()"
_GIVEN = {
    "BASE_URL": BASE,
    "CORS_ORIGINS": ORIGIN,
    "WORKERS": "3",
    "DRAIN_S": "0",
    "QUESTIONNAIRES_DIR": str(SECOND / "questionnaires"),
    "MAPPINGS_DIR": str(SECOND / "mappings"),
}
_numbers = count(1)


@contextmanager
def running(store_url: str, **settings: str) -> Iterator[tuple[Served, Ehr]]:
    """Runs the service in several processes while the block runs."""
    with serving(_APP, STORE_URL=store_url, **(_GIVEN | settings)) as server:
        yield server, over_http(server.port)


def new_database(server: Server) -> str:
    """Returns the URL of an empty database of a PostgreSQL server."""
    name = f"served_{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.database(name)
