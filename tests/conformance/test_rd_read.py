"""Read, vread and conditional read, checks RD01 to RD07, RD22 and RD24."""

from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from fhir_client import PUBLISHED, STORED, codes_of, issues_of, path_of

EVERY = (*PUBLISHED, *STORED)
ILL_FORMED = ("bad_id!", "x" * 65, "..", "%00", "%ff", "a%2Fb")
SUBSETTED = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")
ALWAYS = {"resourceType", "id", "meta", "status"}


def plain(answer):
    """The headers that do not differ from request to request."""
    return {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Date")}


@pytest.mark.parametrize("kind", EVERY)
def test_rd01_a_resource_is_read_under_its_id(ehr, one_of_each, kind):
    resource = ehr.read(f"{kind}/{one_of_each[kind]}")
    assert (resource["resourceType"], resource["id"]) == (kind, one_of_each[kind])


@pytest.mark.parametrize("kind", EVERY)
def test_rd02_a_read_says_version_date_and_type(ehr, one_of_each, kind):
    answer = ehr.get(f"{kind}/{one_of_each[kind]}")
    meta = answer.json["meta"]
    assert answer.headers["ETag"] == f'W/"{meta["versionId"]}"'
    changed = datetime.fromisoformat(meta["lastUpdated"])
    assert parsedate_to_datetime(answer.headers["Last-Modified"]) == changed.replace(microsecond=0)
    assert answer.headers["Content-Type"].partition(";")[0] == "application/fhir+json"


def test_rd02_every_published_resource_says_version_and_date(ehr):
    for kind in PUBLISHED:
        for id_ in ehr.found(kind):
            answer = ehr.get(f"{kind}/{id_}")
            assert answer.headers["ETag"] == f'W/"{answer.json["meta"]["versionId"]}"'
            assert answer.headers["Last-Modified"]


@pytest.mark.parametrize("kind", EVERY)
def test_rd03_an_unknown_id_is_not_found(ehr, kind):
    assert {issue["code"] for issue in issues_of(ehr.get(f"{kind}/no-such-id"), 404)} == {"not-found"}


@pytest.mark.parametrize("id_", ILL_FORMED)
@pytest.mark.parametrize("kind", EVERY)
def test_rd03_an_ill_formed_id_is_refused(ehr, kind, id_):
    issues_of(ehr.get(f"{kind}/{id_}"), 400, 404)


@pytest.mark.parametrize("where", ["Patient/1", "Foo/1", "Patient", "Foo", "Patient/1/_history/1"])
def test_rd04_a_type_that_is_not_served_is_not_supported(ehr, where):
    assert {issue["code"] for issue in issues_of(ehr.get(where), 404)} == {"not-supported"}


def test_rd04_a_type_in_small_letters_is_not_that_type(ehr, one_of_each):
    where = f"questionnaire/{one_of_each['Questionnaire']}"
    assert {issue["code"] for issue in issues_of(ehr.get(where), 404)} == {"not-supported"}


@pytest.mark.parametrize("kind", STORED)
def test_rd05_a_version_is_read_under_its_number(ehr, one_of_each, kind):
    answer = ehr.get(f"{kind}/{one_of_each[kind]}/_history/1")
    assert answer.status == 200
    assert (answer.json["id"], answer.json["meta"]["versionId"]) == (one_of_each[kind], "1")
    assert answer.headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize("version", ["2", "0", "-1", "01", "abc", "1.0", "9" * 40, "%31%00"])
@pytest.mark.parametrize("kind", STORED)
def test_rd05_an_unknown_version_is_not_found(ehr, one_of_each, kind, version):
    issues_of(
        ehr.get(f"{kind}/{one_of_each[kind]}/_history/{version}"), *((404,) if version == "2" else (400, 404))
    )


def test_rd05_old_versions_stay_as_they_were(ehr, kept):
    before = ehr.get(f"{kept.at}/_history/1").data
    assert ehr.put(kept.at, kept.response | {"status": "amended"}).status == 200
    assert ehr.get(f"{kept.at}/_history/1").data == before
    assert ehr.read(f"{kept.at}/_history/2")["status"] == "amended"


@pytest.mark.parametrize("kind", PUBLISHED)
def test_rd05_a_published_version_is_read_or_said_to_be_not_kept(ehr, one_of_each, kind):
    current = ehr.read(f"{kind}/{one_of_each[kind]}")
    version = current["meta"]["versionId"]
    answer = ehr.get(f"{kind}/{one_of_each[kind]}/_history/{version}")
    if answer.status == 200:
        assert answer.json == current
    else:
        issues_of(answer, 404)


@pytest.mark.parametrize(
    "tail", ["", "/{id}", "/{id}/_history/1", "?_id={id}", "/no-such-id", "/{id}/_history"]
)
@pytest.mark.parametrize("kind", EVERY)
def test_rd06_head_says_what_get_says_without_a_body(ehr, one_of_each, kind, tail):
    where = kind + tail.format(id=one_of_each[kind])
    got, head = ehr.get(where), ehr.ask("HEAD", where)
    assert (head.status, head.data) == (got.status, b"")
    assert plain(head) == plain(got)


@pytest.mark.parametrize("where", ["metadata", "/healthz", "/readyz", "/nothing", "Patient/1", ""])
def test_rd06_head_works_wherever_get_does(ehr, where):
    got, head = ehr.get(where), ehr.ask("HEAD", where)
    assert (head.status, head.data, plain(head)) == (got.status, b"", plain(got))


@pytest.mark.parametrize("tags", ["{tag}", "*", 'W/"x", {tag}', '{tag} , "y"', "{strong}", '"x",{strong}'])
@pytest.mark.parametrize("kind", EVERY)
def test_rd07_a_resource_is_not_sent_again_to_who_has_it(ehr, one_of_each, kind, tags):
    where = f"{kind}/{one_of_each[kind]}"
    tag = ehr.get(where).headers["ETag"]
    answer = ehr.get(where, if_none_match=tags.format(tag=tag, strong=tag.removeprefix("W/")))
    assert (answer.status, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert not {"Content-Type", "Content-Length"} & set(answer.headers.keys())


@pytest.mark.parametrize("kind", EVERY)
def test_rd07_a_stale_tag_gets_the_resource(ehr, one_of_each, kind):
    assert ehr.get(f"{kind}/{one_of_each[kind]}", if_none_match='W/"stale"').status == 200


@pytest.mark.parametrize("kind", EVERY)
def test_rd07_a_date_decides_where_there_is_no_tag(ehr, one_of_each, kind):
    where = f"{kind}/{one_of_each[kind]}"
    stated = ehr.get(where).headers["Last-Modified"]
    older = format_datetime(parsedate_to_datetime(stated) - timedelta(seconds=1), usegmt=True)
    answers = [ehr.get(where, if_modified_since=date) for date in (stated, older, "garbage", "")]
    # What is stored may change within the second that a date tells: there the tag alone decides.
    assert [each.status for each in answers] == [200 if kind in STORED else 304, 200, 200, 200]


def test_rd07_a_tag_counts_and_not_the_date_beside_it(ehr, kept):
    headers = {"if_none_match": 'W/"stale"', "if_modified_since": kept.answer.headers["Last-Modified"]}
    assert ehr.get(kept.at, **headers).status == 200


@pytest.mark.parametrize("kind", EVERY)
def test_rd07_who_names_a_version_gets_that_one_or_none(ehr, one_of_each, kind):
    """RFC 9110, section 13.1.1; the tags are compared by their text, as in an update."""
    where = f"{kind}/{one_of_each[kind]}"
    tag = ehr.get(where).headers["ETag"]
    for tags in (tag, "*", f'W/"stale", {tag}', tag.removeprefix("W/")):
        assert ehr.get(where, if_match=tags).status == 200
    assert ehr.get(where, if_match=tag, if_none_match=tag).status == 304
    assert codes_of(ehr.get(where, if_match='W/"stale"'), 412) == {"conflict"}
    assert codes_of(ehr.get(where, if_match='W/"stale"', if_none_match=tag), 412) == {"conflict"}
    assert codes_of(ehr.get(where, if_match="stale"), 400)
    assert ehr.get(f"{kind}/no-such-id", if_match='W/"stale"').status == 404


def is_marked(resource):
    tags = [(tag.get("system"), tag.get("code")) for tag in resource["meta"].get("tag", ())]
    return SUBSETTED in tags


@pytest.mark.parametrize(
    ("kind", "wanted", "shown", "hidden"),
    [
        ("Questionnaire", "_elements=title,url", {"title", "url"}, {"item", "version"}),
        ("QuestionnaireResponse", "_elements=status,item", {"item"}, {"authored", "subject"}),
        ("QuestionnaireResponse", "_elements=authored", {"authored"}, {"item"}),
        ("Questionnaire", "_summary=true", {"url", "title"}, {"item", "text"}),
        ("QuestionnaireResponse", "_summary=true", {"authored", "subject", "questionnaire"}, {"item"}),
        ("RiskAssessment", "_summary=text", {"text", "subject"}, {"prediction"}),
        ("RiskAssessment", "_summary=data", {"prediction", "subject"}, {"text"}),
    ],
)
def test_rd22_a_part_of_a_resource_is_marked_and_valid(ehr, one_of_each, union, kind, wanted, shown, hidden):
    id_ = one_of_each[kind]
    read = ehr.read(f"{kind}/{id_}?{wanted}")
    (found,) = (each["resource"] for each in ehr.search(f"{kind}?_id={id_}&{wanted}")["entry"])
    for part in (read, found):
        assert shown <= set(part)
        assert not hidden & set(part)
        assert set(part) >= ALWAYS
        assert is_marked(part)
    assert union([read, found]) == [[], []]


@pytest.mark.parametrize("kind", EVERY)
def test_rd22_every_part_of_every_type_is_a_valid_resource(ehr, one_of_each, union, kind):
    where = f"{kind}/{one_of_each[kind]}"
    wanted = ("_summary=true", "_summary=text", "_summary=data", "_elements=id")
    assert union([ehr.read(f"{where}?{each}") for each in wanted]) == [[]] * len(wanted)


def test_rd22_the_whole_is_not_marked_as_a_part(ehr, known):
    assert ehr.read(f"{known.at}?_summary=false") == ehr.read(known.at)
    assert not is_marked(ehr.read(known.at))


def test_rd22_elements_that_were_asked_for_and_nothing_else_that_is_optional(ehr, known):
    assert set(ehr.read(f"{known.at}?_elements=author")) == ALWAYS | {"author"}


def test_rd22_a_part_has_the_version_of_the_whole(ehr, known):
    part = ehr.get(f"{known.at}?_elements=status")
    assert part.headers["ETag"] == 'W/"1"'
    assert part.json["meta"]["versionId"] == "1"


@pytest.mark.parametrize("where", ["Questionnaire", "QuestionnaireResponse", "metadata"])
def test_rd24_a_slash_at_the_end_changes_nothing(ehr, where):
    slashed = ehr.get(f"{where}/")
    assert slashed.status == 200
    assert slashed.data == ehr.get(where).data


def test_rd24_a_slash_at_the_end_of_an_instance_changes_nothing(ehr, known):
    assert ehr.get(f"{known.at}/").data == ehr.get(known.at).data


def test_rd24_a_form_search_with_a_slash_at_its_end_finds_the_same(ehr, known):
    answer = ehr.form("QuestionnaireResponse/_search/", [("_id", known.id)])
    assert answer.json["total"] == 1


def test_rd24_the_path_of_the_base_stands_in_the_links_and_not_in_the_paths(known):
    assert path_of(known.answer.headers["Location"]).startswith("/fhir/QuestionnaireResponse/")
