"""Published resources are searched in memory, and what was found once is not looked up again."""

from urllib.parse import parse_qsl

import orjson
import pytest

from service.fhir.definitions import artifact
from service.search import PublishedResources, query_from
from service.search import published as module

BASE = "https://fhir.example.org/r4"
DATED = {"id": "a", "date": "2026-01-05", "meta": {"lastUpdated": "2026-01-05T00:00:00Z"}}


def query(text):
    return query_from("CodeSystem", parse_qsl(text), strict=False, base=BASE)


def ids(bundle):
    return [entry["resource"]["id"] for entry in orjson.loads(bundle).get("entry", ())]


@pytest.fixture
def resources():
    shared = {"resourceType": "CodeSystem", "url": "urn:x", "status": "active"}
    return PublishedResources([artifact({**shared, **DATED}), artifact({**shared, "id": "b"})], BASE)


@pytest.fixture
def searches(monkeypatch):
    """Returns the queries that were looked up, in order."""
    asked, searchset = [], module.searchset

    def noted(query, view):
        asked.append(query)
        return searchset(query, view)

    monkeypatch.setattr(module, "searchset", noted)
    return asked


def test_a_resource_is_found_by_what_it_says(resources):
    assert ids(resources.searchset(query("url=urn:x"))) == ["a", "b"]
    assert ids(resources.searchset(query("date=2026-01"))) == ["a"]
    assert ids(resources.searchset(query("status=draft"))) == []


def test_a_resource_without_a_date_counts_as_last_changed_in_1970(resources):
    assert ids(resources.searchset(query("_lastUpdated=1970-01-01"))) == ["b"]
    assert ids(resources.searchset(query("_lastUpdated=2026-01-05"))) == ["a"]


def test_the_same_query_is_looked_up_once_and_answered_with_the_same_bytes(resources, searches):
    first, again = (resources.searchset(query("status=active&_count=1")) for _ in range(2))
    assert first == again
    assert len(searches) == 1


def test_answers_to_different_queries_are_not_mixed_up(resources, searches):
    page = orjson.loads(resources.searchset(query("_count=1")))
    following = page["link"][1]["url"].partition("?")[2]
    assert ids(resources.searchset(query(following))) == ["b"]
    assert ids(resources.searchset(query("_count=1&_summary=true"))) == ["a"]
    assert len(searches) == 3


def test_only_the_latest_answers_are_kept_and_none_to_a_long_query(resources, searches):
    for number in range(module._MOST_ANSWERS + 1):
        resources.searchset(query(f"version={number}"))
    for _ in range(2):
        resources.searchset(query("version=0"))
        resources.searchset(query(f"version={'1' * module._LONGEST_QUERY}"))
    assert len(searches) == module._MOST_ANSWERS + 1 + 1 + 2


def test_a_long_answer_is_not_kept(resources, searches, monkeypatch):
    length = len(resources.searchset(query("status=active")))
    searches.clear()
    for longest, looked_up in ((length, 1), (length - 1, 2)):
        monkeypatch.setattr(module, "_LONGEST_ANSWER", longest)
        resources._kept.clear()
        searches.clear()
        for _ in range(2):
            resources.searchset(query("status=active"))
        assert len(searches) == looked_up


def test_what_was_asked_for_last_is_kept_longest(resources, searches):
    for number in range(module._MOST_ANSWERS):
        resources.searchset(query(f"version={number}"))
    resources.searchset(query("version=0"))
    resources.searchset(query("version=new"))
    assert len(searches) == module._MOST_ANSWERS + 1
    resources.searchset(query("version=0"))
    assert len(searches) == module._MOST_ANSWERS + 1
    resources.searchset(query("version=1"))
    assert len(searches) == module._MOST_ANSWERS + 2


def test_no_resources_are_found_where_none_are_published():
    assert orjson.loads(PublishedResources([], BASE).searchset(query("")))["total"] == 0
