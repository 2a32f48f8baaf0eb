"""Resources in a store, and searches in them: the database is SQLite in memory."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from service.search import entries_of, query_from, searchset
from service.storage.model import Draft, Reading
from service.storage.opening import store_in_memory

BASE = "https://fhir.example.org/r4"
START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000_000

Resource = dict[str, Any]


@pytest.fixture
def looking(request) -> Callable[..., Any]:
    """Returns a function that keeps resources, an hour after another, and one that searches them."""

    def keep(*resources: Resource) -> "Looking":
        store = store_in_memory([draft(resource, number) for number, resource in enumerate(resources)])
        request.addfinalizer(store.close)
        view = store.reading()
        request.addfinalizer(lambda: view.__exit__(None, None, None))
        return Looking(view.__enter__())

    return keep


def draft(resource: Resource, number: int = 0) -> Draft:
    body, updated = orjson.dumps(resource), START + number * HOUR
    return Draft(resource["resourceType"], resource["id"], updated, body, entries_of(resource, BASE))


class Looking:
    """Searches what is kept."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def bundle(self, url: str, *, strict: bool = False) -> Resource:
        """Returns the Bundle of a search such as `RiskAssessment?date=2026`, its query decoded once."""
        kind, _, text = url.removeprefix(f"{BASE}/").partition("?")
        query = query_from(kind, parse_qsl(text, keep_blank_values=True), strict=strict, base=BASE)
        return orjson.loads(searchset(query, self.reading))

    def ids(self, url: str) -> str:
        """Returns the ids of the matches with blanks between, on one page."""
        bundle = self.bundle(url)
        assert bundle["total"] == len(self.entries(bundle))
        return " ".join(self.entries(bundle))

    @staticmethod
    def entries(bundle: Resource, mode: str = "match") -> list[str]:
        """Returns the ids of the entries of a mode."""
        entries = bundle.get("entry", ())
        return [each["resource"]["id"] for each in entries if each["search"]["mode"] == mode]

    @staticmethod
    def link(bundle: Resource, relation: str) -> str | None:
        """Returns the link of a relation, None where there is none."""
        return {each["relation"]: each["url"] for each in bundle["link"]}.get(relation)


@pytest.fixture
def response() -> Callable[..., Resource]:
    def make(of_id: str, **more: Any) -> Resource:
        return {"resourceType": "QuestionnaireResponse", "id": of_id, "status": "completed", **more}

    return make


@pytest.fixture
def risk() -> Callable[..., Resource]:
    def make(of_id: str, **more: Any) -> Resource:
        made = {"resourceType": "RiskAssessment", "id": of_id, "status": "final"}
        return {**made, "subject": {"reference": "Patient/1"}, **more}

    return make


@pytest.fixture
def patient() -> Callable[..., Resource]:
    """Returns a Reference to a patient by id, or as given."""

    def make(text: str) -> Resource:
        return {"reference": text if "/" in text or text.startswith("#") else f"Patient/{text}"}

    return make
