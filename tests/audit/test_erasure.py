"""From the first request to the erasure, by the service and the commands: what is left of a person (AU16)."""

import json
import re
from pathlib import Path

import orjson
import psycopg
import pytest
from audit_trail import event as an_event
from audit_trail import links, verdict, written
from psycopg.errors import InsufficientPrivilege
from sample_responses import small
from sqlalchemy import make_url
from store_fixtures import PATIENT

from service import app, cli
from service.settings import ROOT, Settings

API = "https://guidance.example.org/fhir"
RESPONSES, FHIR = "/fhir/QuestionnaireResponse", "application/fhir+json"
CANARY = "canary-5b1c"


def contents(url):
    """Returns all bytes of the database: the files, or the rows of every table."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    with psycopg.connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = [name for (name,) in connection.execute(query)]
        rows = [row for name in tables for row in connection.execute(f"SELECT * FROM {name}")]
    cells = (cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row)
    return b"\n".join(cells)


def test_nothing_is_left_of_a_person_and_the_chain_is_whole(url, open_one, monkeypatch, capsys):
    service = app.create_app(Settings(store_url=url, base_url=API, audit=True, public_form=False))
    client = service.test_client()
    for person in (CANARY, "somebody-else"):
        body = orjson.dumps(small(f"Patient/{person}"))
        created = client.post(RESPONSES, data=body, content_type=FHIR).json
        client.post(f"{RESPONSES}/$assess", data=body, content_type=FHIR)
        client.get(f"/fhir/RiskAssessment/{created['id']}")
        client.get(f"{RESPONSES}?subject=Patient/{person}")
    assert service.audit.trail.flush()
    service.audit.trail._store.close()
    store = open_one(url, PATIENT)
    before = [link.hash for link in links(store)]
    assert len(before) == 8
    assert CANARY.encode() in contents(url)

    monkeypatch.setenv("SERVICE_STORE_URL", url)
    monkeypatch.setenv("SERVICE_BASE_URL", API)
    assert cli.main(["export", f"Patient/{CANARY}"]) == 0
    assert cli.main(["erase", f"Patient/{CANARY}", "--yes"]) == 0
    capsys.readouterr()
    assert cli.main(["audit", "--verify"]) == 0
    line = json.loads(capsys.readouterr().out)

    assert (line["whole"], line["entries"], line["erased"]) == (True, 10, 5), "four requests and an export"
    assert [link.hash for link in links(store)][:8] == before
    store.close()
    left = contents(url)
    assert CANARY.encode() not in left
    assert b"Patient/somebody-else" in left


# The role that the page gives to the service.


@pytest.fixture
def role_url(postgresql_url):
    """A connection as a role that has what docs/audit.md and no more grants it on the tables of chains."""
    page = (ROOT / "docs" / "audit.md").read_text()
    grants = re.search(r"```sql\n(.*?)```", page, re.DOTALL)[1].replace(" TO service", " TO chain_writer")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        password = make_url(postgresql_url).password
        connection.execute(f"CREATE ROLE chain_writer LOGIN PASSWORD '{password}'")
        connection.execute(grants)
        yield make_url(postgresql_url).set(username="chain_writer").render_as_string(hide_password=False)
        connection.execute("DROP OWNED BY chain_writer")
        connection.execute("DROP ROLE chain_writer")


def test_the_role_of_the_service_adds_to_the_chain_and_changes_nothing_of_it(role_url, open_one):
    store = open_one(role_url, PATIENT)
    written(store, an_event(), an_event())
    assert verdict(store).faults == []
    with psycopg.connect(role_url, autocommit=True) as connection:
        for statement in (
            "DELETE FROM chain_entry",
            "UPDATE chain_entry SET written = 1",
            "DELETE FROM chain_part",
            "DELETE FROM chain_head",
        ):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)
