"""Pages of a search and their links, checks RD18 to RD20."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from fhir_client import issues_of, link, matches, used
from sample_responses import new_patient, small

COUNT = 5


@pytest.fixture(scope="module")
def patient(ehr):
    return with_responses(ehr)


@pytest.fixture(scope="module")
def other(ehr):
    return with_responses(ehr)


def with_responses(ehr):
    patient = new_patient()
    for day in range(COUNT):
        ehr.create(small(patient, authored=f"2026-04-0{day + 1}"))
    return patient


def pages_of(patient, tail="&_count=2"):
    return f"QuestionnaireResponse?patient={patient}{tail}"


def cursor_of(url, query):
    """Returns the name and value of what the link adds to the search."""
    asked = dict(parse_qsl(urlsplit(query).query))
    (found,) = [pair for pair in parse_qsl(urlsplit(url).query) if pair[0] not in asked]
    return found


def with_cursor(url, name, value):
    pairs = [(key, value if key == name else text) for key, text in parse_qsl(urlsplit(url).query)]
    return f"{url.partition('?')[0]}?{urlencode(pairs)}"


@pytest.mark.parametrize("tail", ["", "&_sort=-authored", "&_sort=status,authored", "&_sort=_lastUpdated"])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_rd18_following_next_to_the_end_gives_each_match_once(ehr, patient, size, tail):
    pages = list(ehr.pages(pages_of(patient, f"&_count={size}{tail}")))
    found = [each["id"] for page in pages for each in matches(page)]
    assert all(len(matches(page)) <= size for page in pages)
    assert len(pages) == -(-COUNT // size)
    assert len(found) == len(set(found)) == COUNT


def test_rd18_every_page_says_the_total_and_keeps_the_count(ehr, patient):
    for page in ehr.pages(pages_of(patient)):
        assert page.get("total", COUNT) == COUNT
        assert ("_count", "2") in used(page)
        following = link(page, "next")
        assert following is None or ("_count", "2") in parse_qsl(urlsplit(following).query)


@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "CodeSystem"])
@pytest.mark.parametrize("form", ["_format=json", "_format=application/json", "_pretty=true&_format=json"])
def test_rd18_the_form_of_the_answer_stays_in_the_links(ehr, kind, form):
    wanted = dict(parse_qsl(form))
    answer = ehr.get(f"{kind}?_count=1&{form}", accept="application/xml")
    content_type = answer.headers["Content-Type"]
    for relation in ("self", "next"):
        followed = link(answer.json, relation)
        assert wanted.items() <= dict(parse_qsl(urlsplit(followed).query)).items()
        page = ehr.get(followed, accept="application/xml")
        assert (page.status, page.headers["Content-Type"]) == (200, content_type)
        assert page.data.startswith(b"{\n") == ("_pretty" in wanted)


def test_rd18_the_form_of_the_answer_is_said_in_the_url_of_a_form_search(ehr, patient):
    """R4 http.html#search: `_format` is part of the url; in the form it says nothing and stays in no link."""
    pairs = [("patient", patient), ("_count", "1"), ("_format", "xml")]
    page = ehr.form("QuestionnaireResponse/_search?_format=json", pairs)
    assert page.status == 200
    assert dict(parse_qsl(urlsplit(link(page.json, "next")).query))["_format"] == "json"


def test_rd18_what_is_created_meanwhile_does_not_shift_the_pages(ehr):
    patient = with_responses(ehr)
    first = ehr.search(pages_of(patient, "&_count=2&_sort=-authored"))
    ehr.create(small(patient, authored="2026-05-01"))
    rest = ehr.found(link(first, "next"))
    assert len({*rest, *(each["id"] for each in matches(first))}) == COUNT
    assert len(rest) == COUNT - 2


def test_rd18_a_huge_count_is_capped(ehr, patient):
    bundle = ehr.search(pages_of(patient, "&_count=1000000"))
    assert len(matches(bundle)) == COUNT
    assert all(int(value) < 1000000 for name, value in used(bundle) if name == "_count")


def test_rd18_no_page_holds_more_than_the_cap(ehr):
    bundle = ehr.search("QuestionnaireResponse?_count=1000000")
    asked = dict(used(bundle)).get("_count")
    assert asked is not None
    assert len(matches(bundle)) <= int(asked)


def test_rd18_a_search_of_a_form_is_paged_too(ehr, patient):
    first = ehr.form("QuestionnaireResponse/_search", [("patient", patient), ("_count", "3")]).json
    rest = ehr.found(link(first, "next"))
    assert len(matches(first)) == 3
    assert len({*rest, *(each["id"] for each in matches(first))}) == COUNT


def test_rd18_the_published_are_paged_as_the_stored(ehr):
    total = ehr.total("StructureDefinition")
    found = ehr.found("StructureDefinition?_count=2")
    assert len(found) == len(set(found)) == total > 2


@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "RiskAssessment"])
def test_rd18_a_history_is_paged_too_and_gives_each_version_once(ehr, kept, kind):
    for status in ("amended", "completed", "amended", "completed"):
        assert ehr.put(kept.at, kept.response | {"status": status}).status == 200
    following, versions = f"{kind}/{kept.id}/_history?_count=2", []
    while following:
        page = ehr.read(following)
        assert page["type"] == "history"
        assert len(page["entry"]) <= 2
        versions += [each["resource"]["meta"]["versionId"] for each in page["entry"]]
        following = link(page, "next")
    assert versions == ["5", "4", "3", "2", "1"]
    for count in ("x", "-1"):
        issues_of(ehr.get(f"{kind}/{kept.id}/_history?_count={count}"), 400)


@pytest.mark.parametrize(
    "tail", ["&_count=0", "&_summary=count", "&_summary=count&_count=2", "&_count=0&_sort=authored"]
)
def test_rd19_a_search_for_the_total_has_no_entries_and_no_further_pages(ehr, patient, tail):
    bundle = ehr.search(pages_of(patient, tail))
    assert bundle["total"] == COUNT
    assert "entry" not in bundle
    assert {each["relation"] for each in bundle["link"]} == {"self"}


def tampered(value):
    middle = len(value) // 2
    swapped = "A" if value[middle] != "A" else "B"
    yield value[:middle] + swapped + value[middle + 1 :]
    yield ("A" if value[0] != "A" else "B") + value[1:]
    yield value[:middle]
    yield value[1:]
    yield value + "AAAA"
    yield value.swapcase()
    yield value[::-1]
    yield "garbage"
    yield "%00"
    yield "ü"
    yield "-1"
    yield "0" * 10_000


@pytest.mark.parametrize("tail", ["&_count=2", "&_count=2&_sort=-authored"])
def test_rd20_a_tampered_link_is_refused(ehr, patient, tail):
    query = pages_of(patient, tail)
    following = link(ehr.search(query), "next")
    name, value = cursor_of(following, query)
    for changed in tampered(value):
        issues_of(ehr.get(with_cursor(following, name, changed)), 400, 403, 404)


def test_rd20_the_link_of_one_search_opens_no_other(ehr, patient, other):
    mine, theirs = (pages_of(each, "&_count=2&_sort=authored") for each in (patient, other))
    links = [link(ehr.search(query), "next") for query in (mine, theirs)]
    name, cursor = cursor_of(links[0], mine)
    answer = ehr.get(with_cursor(links[1], name, cursor))
    if answer.status == 200:
        assert {each["subject"]["reference"] for each in matches(answer.json)} <= {other}
    else:
        issues_of(answer, 400, 403, 404)


def test_rd20_a_link_for_one_order_is_refused_or_harmless_in_another(ehr, patient):
    mine = pages_of(patient, "&_count=2&_sort=authored")
    name, cursor = cursor_of(link(ehr.search(mine), "next"), mine)
    for tail in ("&_count=2", "&_count=2&_sort=-_lastUpdated", "&_count=2&_sort=status,authored"):
        answer = ehr.get(f"{pages_of(patient, tail)}&{urlencode({name: cursor})}")
        assert answer.status in (200, 400, 403, 404)
        if answer.status == 200:
            assert {each["subject"]["reference"] for each in matches(answer.json)} <= {patient}


def test_rd20_a_link_shows_nothing_of_what_it_points_at(ehr, patient):
    query = pages_of(patient, "&_count=2")
    _, cursor = cursor_of(link(ehr.search(query), "next"), query)
    assert patient.removeprefix("Patient/") not in cursor
