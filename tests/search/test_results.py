"""What comes back of a search: pages, order, totals and links, checks RD09, RD15 to RD21 and RD23."""

from base64 import urlsafe_b64encode

import pytest

from service.errors import Malformed
from service.search import query, query_from

BASE = "https://fhir.example.org/r4"
QR = "QuestionnaireResponse"
HERE = f"{BASE}/{QR}"


@pytest.fixture
def kept(looking, response, patient):
    dates = {"a": "2026-03", "b": "2026-01", "c": "2026-05", "d": "2026-02", "e": ""}
    subjects = {"a": "2", "b": "1", "c": "2", "d": "3", "e": "1"}
    made = [response(of_id, subject=patient(subjects[of_id]), authored=date) for of_id, date in dates.items()]
    return looking(*made)


def refused(url, *, strict=False):
    kind, _, text = url.partition("?")
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&")]
    with pytest.raises(Malformed) as fault:
        query_from(kind, pairs, strict=strict, base=BASE)
    return [(problem.kind, problem.text) for problem in fault.value.problems]


def pages(kept, url):
    """Yields each page, following the links."""
    while url:
        bundle = kept.bundle(url)
        yield bundle
        url = kept.link(bundle, "next")


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("", ""),
        ("?foo=1&status=completed&bar=", "?status=completed"),
        ("?_format=xml&_pretty=true&_format=json&_count=1", "?_count=1&_format=json&_pretty=true"),
        ("?_format=&_pretty=", ""),
        ("?status=&status=completed", "?status=completed"),
        ("?status=,&authored=2026", "?authored=2026"),
        ("?_count=1000000", "?_count=100"),
        ("?_count=3&_count=4", "?_count=4"),
        ("?_sort=foo,-authored,authored,_id", "?_sort=-authored%2C_id"),
        ("?_sort=foo", ""),
        ("?_elements=status,foo", "?_elements=status"),
        ("?_elements=foo", ""),
        ("?_elements=status&_summary=true", "?_elements=status"),
        ("?_elements=status&_summary=count", "?_elements=status&_summary=count"),
        ("?_summary=data", "?_summary=data"),
        ("?_total=none", "?_total=none"),
        ("?_include=RiskAssessment:basis", ""),
        ("?_revinclude=RiskAssessment:basis&_revinclude=x:y", "?_revinclude=RiskAssessment%3Abasis"),
        ("?_type=Patient&author.name=x&status=completed", "?status=completed"),
        ("?identifier=a%7Cb+c%2B%C3%BC%5C,d", "?identifier=a%7Cb+c%2B%C3%BC%5C%2Cd"),
    ],
)
def test_rd09_rd15_the_self_link_lists_only_what_was_used(kept, asked, used):
    assert kept.link(kept.bundle(f"{QR}{asked}"), "self") == f"{HERE}{used}"


@pytest.mark.parametrize(
    "name", ["foo", "patient.name", "_has:RiskAssessment:basis:risk", "_type", "_person"]
)
def test_rd16_an_unknown_parameter_is_refused_under_strict_handling_and_named(name):
    ((kind, text),) = refused(f"{QR}?{name}=secret&status=completed&{name}=again", strict=True)
    assert kind == "search-parameter"
    assert text.startswith(f"Parameter {name} is not known here. Expected one of _id, _lastUpdated, _tag, ")
    assert "secret" not in text


def test_rd16_what_does_not_look_like_a_name_is_not_repeated():
    ((_, text),) = refused(f"{QR}?Jane-Doe-1970=x", strict=True)
    assert text.startswith("A parameter is not known here.")


@pytest.mark.parametrize(
    "query", ["_sort=foo", "_elements=foo", "_include=RiskAssessment:basis", "_revinclude=Provenance:agent"]
)
def test_rd16_unknown_keys_elements_and_includes_are_refused_under_strict_handling(kept, query):
    assert [kind for kind, _ in refused(f"{QR}?{query}", strict=True)] == ["search-parameter"]
    assert kept.ids(f"{QR}?{query}") == "a b c d e"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("_count=abc", "search-value"),
        ("_count=-1", "search-value"),
        ("_count=1.5", "search-value"),
        ("_count=²", "search-value"),
        ("_count=1234567890", "search-value"),
        ("_summary=all", "search-value"),
        ("_total=maybe", "search-value"),
        ("_count:foo=1", "search-modifier"),
        ("_include:iterate=RiskAssessment:basis", "search-modifier"),
        ("_revinclude:iterate=RiskAssessment:basis", "search-modifier"),
        ("_summary=text&_revinclude=RiskAssessment:basis", "search-value"),
        ("_id=" + ",".join(["abc"] * 501), "search-value"),
        ("authored=" + ",".join(["2027"] * 51), "search-value"),
        ("&".join(["status=amended"] * 51), "search-value"),
    ],
)
def test_rd17_a_value_that_cannot_be_read_is_refused_in_words_that_do_not_repeat_it(query, kind):
    ((found, text),) = refused(f"{QR}?{query}")
    assert found == kind
    assert query.partition("=")[2] not in text


def test_rd17_all_faults_are_named_at_once():
    found = refused(f"{QR}?authored=23.May.2009&status:text=x&_count=abc&foo=1&_sort=bar", strict=True)
    kinds = ["search-value", "search-modifier", "search-parameter", "search-value", "search-parameter"]
    assert [kind for kind, _ in found] == kinds


def test_as_many_values_as_are_allowed_are_searched(kept):
    assert kept.ids(f"{QR}?subject=1,3,{','.join(['x'] * 498)}") == "b d e"
    assert kept.ids(f"{QR}?_id=a,{','.join(['x'] * 499)}") == "a"
    assert kept.ids(f"{QR}?authored=2026-01,{','.join(['2027'] * 49)}") == "b"
    assert kept.ids(f"{QR}?{'&'.join(['_sort=-_id'] * 20 + ['status=completed'] * 50)}") == "e d c b a"


@pytest.mark.parametrize(
    "query", ["", "&_sort=-authored", "&_sort=subject,-_lastUpdated", "&_sort=-_id", "&patient=1,2"]
)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_rd18_following_next_gives_every_match_once_in_order(kept, query, count):
    whole = kept.bundle(f"{QR}?_count=100{query}")
    assert kept.link(whole, "next") is None
    seen = []
    for page in pages(kept, f"{QR}?_count={count}{query}"):
        assert page["total"] == whole["total"]
        assert 0 < len(kept.entries(page)) <= count
        assert f"_count={count}" in kept.link(page, "self")
        seen += kept.entries(page)
    assert seen == kept.entries(whole)


def test_rd18_the_self_link_of_a_later_page_gives_that_page(kept):
    _, second, _ = pages(kept, f"{QR}?_count=2")
    assert kept.bundle(kept.link(second, "self")) == second


@pytest.mark.parametrize(
    "query", ["_count=0", "_summary=count", "_count=0&_total=none", "_count=0&_sort=_id"]
)
def test_rd19_a_count_alone_has_a_total_and_neither_entries_nor_next(kept, query):
    bundle = kept.bundle(f"{QR}?{query}&subject=1")
    assert bundle["total"] == 2
    assert "entry" not in bundle
    assert [each["relation"] for each in bundle["link"]] == ["self"]


def test_rd11_a_search_that_finds_nothing_has_a_total_and_no_entry(kept):
    bundle = kept.bundle(f"{QR}?_id=none")
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{HERE}?_id=none"}],
    }


@pytest.mark.parametrize(("text", "counted"), [("none", False), ("estimate", True), ("accurate", True)])
def test_a_total_is_left_out_where_none_is_wanted(kept, text, counted):
    assert ("total" in kept.bundle(f"{QR}?_total={text}")) == counted


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("authored", "b d a c e"),
        ("-authored", "c a d b e"),
        ("-authored,foo", "c a d b e"),
        ("subject,authored", "b e a c d"),
        ("-subject,-_id", "d c a e b"),
        ("-_lastUpdated", "e d c b a"),
        ("_id", "a b c d e"),
        ("identifier", "a b c d e"),
    ],
)
def test_rd21_matches_come_in_the_order_that_is_asked_for(kept, sort, expected):
    assert kept.ids(f"{QR}?_sort={sort}") == expected


def test_rd21_several_sort_parameters_are_one_list_of_keys(kept):
    assert kept.ids(f"{QR}?_sort=-subject&_sort=-_id") == "d c a e b"


@pytest.fixture
def cursor(kept):
    url = kept.link(kept.bundle(f"{QR}?_count=2&_sort=authored&subject=1,2"), "next")
    return url.partition("_cursor=")[2]


def test_rd20_a_cursor_belongs_to_its_search(kept, cursor):
    query = "_sort=authored&subject=1,2"
    page = kept.bundle(f"{QR}?{query}&_cursor={cursor}")
    assert kept.entries(page) == ["c", "e"]
    assert kept.link(kept.bundle(f"{QR}?{query}&_count=1&_summary=true&_cursor={cursor}"), "next")
    for other in (
        "_sort=authored&subject=2",
        "_sort=-authored&subject=1,2",
        "_sort=authored",
        query + "&_id=e",
    ):
        ((kind, text),) = refused(f"{QR}?{other}&_cursor={cursor}")
        assert kind == "search-cursor"
        assert cursor not in text
    assert refused(f"RiskAssessment?{query}&_cursor={cursor}")[0][0] == "search-cursor"


@pytest.mark.parametrize("place", [0, 15, 16, 20, -1])
def test_rd20_a_cursor_that_was_tampered_with_is_refused(cursor, place):
    letter = "A" if cursor[place] != "A" else "B"
    changed = f"{cursor[:place]}{letter}{cursor[place:][1:]}"
    assert refused(f"{QR}?_sort=authored&subject=1,2&_cursor={changed}")[0][0] == "search-cursor"


@pytest.mark.parametrize(
    "position",
    [
        (2**63, "a"),
        (-(2**64), "a"),
        (1, "\0"),
        (1, "\ud800"),
        ("a", 1),
        (1,),
        (),
    ],
)
def test_rd20_a_forged_position_that_no_database_takes_is_refused(position):
    pairs = [("_sort", "_lastUpdated")]
    forged = query.cursor_of(position, QR, pairs)
    assert refused(f"{QR}?_sort=_lastUpdated&_cursor={forged}")[0][0] == "search-cursor"


def test_rd20_a_forged_position_that_is_nested_too_deeply_is_refused(monkeypatch):
    nested = urlsafe_b64encode(b"[" * 99_999).decode()
    monkeypatch.setattr(query, "encode_position", lambda _: nested)
    forged = query.cursor_of((), QR, [])
    assert refused(f"{QR}?_cursor={forged}")[0][0] == "search-cursor"


def test_rd23_values_are_literal_after_one_decoding(looking, response):
    texts = {"a": "a+b", "b": "a b", "c": "50%2C", "d": "ü", "e": "a,b"}
    kept = looking(*(response(of_id, identifier={"value": text}) for of_id, text in texts.items()))
    asked = {"a": "a%2Bb", "b": "a+b", "c": "50%252C", "d": "%C3%BC", "e": "a%5C%2Cb"}
    for of_id, text in asked.items():
        assert kept.ids(f"{QR}?identifier={text}") == of_id
        assert kept.entries(kept.bundle(kept.link(kept.bundle(f"{QR}?identifier={text}"), "self"))) == [of_id]


def test_a_bundle_holds_what_is_stored_digit_by_digit(looking, response):
    body = response("a", item=[{"linkId": "1", "answer": [{"valueDecimal": 1.5}]}])
    kept = looking(body)
    (entry,) = kept.bundle(f"{QR}?_id=a")["entry"]
    assert entry == {"fullUrl": f"{HERE}/a", "resource": body, "search": {"mode": "match"}}
