"""Searches of stored and published resources, checks RD08 to RD12 and RD15 to RD17."""

from urllib.parse import parse_qsl, quote

import pytest
from fhir_client import BASE, included, issues_of, link, matches, names_used, used
from sample_responses import CANONICAL, new_patient, new_value, response, small

STRICT = "handling=strict"


def about(patient):
    return f"QuestionnaireResponse?patient={patient}"


def test_rd08_a_published_questionnaire_is_found_by_its_canonical(ehr, one_of_each):
    bundle = ehr.search(f"Questionnaire?url={CANONICAL}")
    (entry,) = bundle["entry"]
    assert entry["search"]["mode"] == "match"
    assert entry["fullUrl"] == f"{BASE}/Questionnaire/{one_of_each['Questionnaire']}"
    assert entry["resource"]["url"] == CANONICAL
    assert bundle["total"] == 1


def test_rd08_every_entry_of_a_search_has_its_own_address(ehr, known):
    for entry in ehr.search(f"{about(known.patient)}&_revinclude=RiskAssessment:basis")["entry"]:
        resource = entry["resource"]
        assert entry["fullUrl"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Questionnaire?status=active&foo=1", {"status"}),
        ("QuestionnaireResponse?status=completed&foo=1&_count=1", {"status", "_count"}),
        ("QuestionnaireResponse?_count=", set()),
        ("QuestionnaireResponse?status=completed&identifier=", {"status"}),
        ("QuestionnaireResponse?foo:exact=1&bar.baz=2&status:not=amended", {"status:not"}),
        (
            "QuestionnaireResponse?_format=json&_pretty=true&status=amended",
            {"status", "_format", "_pretty"},
        ),
        ("Questionnaire?_format=&_pretty=true&foo=1", {"_pretty"}),
    ],
)
def test_rd09_the_self_link_lists_what_took_part(ehr, query, expected):
    assert names_used(ehr.search(query)) == expected


def test_rd09_a_search_for_nothing_in_particular_has_a_self_link(ehr):
    assert link(ehr.search("QuestionnaireResponse"), "self").startswith(f"{BASE}/QuestionnaireResponse")


def test_rd09_the_self_link_finds_the_same_again(ehr, known):
    bundle = ehr.search(f"{about(known.patient)}&foo=1")
    again = ehr.search(link(bundle, "self"))
    assert matches(again) == matches(bundle)
    assert used(again) == used(bundle)


@pytest.mark.parametrize(
    ("in_url", "in_body"),
    [
        ([], [("patient", "P"), ("status", "completed,amended")]),
        ([("patient", "P")], [("status", "completed,amended")]),
        ([("patient", "P"), ("status", "completed,amended")], []),
        ([("patient", "P")], [("status", "completed,amended"), ("status", "amended")]),
    ],
)
def test_rd10_a_form_search_finds_what_a_get_finds(ehr, in_url, in_body):
    patient = new_patient()
    for status in ("completed", "amended", "in-progress"):
        ehr.create(response(patient, status=status))

    def named(pairs):
        return [(name, patient if value == "P" else value) for name, value in pairs]

    def query(pairs):
        return "&".join(f"{name}={value}" for name, value in pairs)

    tail = f"?{query(named(in_url))}" if in_url else ""
    posted = ehr.form(f"QuestionnaireResponse/_search{tail}", named(in_body))
    got = ehr.search(f"QuestionnaireResponse?{query(named(in_url + in_body))}")
    assert posted.status == 200
    assert posted.json["total"] == got["total"] > 0
    assert matches(posted.json) == matches(got)


@pytest.mark.parametrize(
    "kind", ["Questionnaire", "CodeSystem", "RiskAssessment", "Provenance", "AuditEvent"]
)
def test_rd10_every_type_is_searched_by_form(ehr, one_of_each, kind):
    answer = ehr.form(f"{kind}/_search", [("_id", one_of_each[kind])])
    assert answer.json["total"] == 1


def test_rd10_repeated_parameters_of_url_and_body_must_all_hold(ehr):
    patient = new_patient()
    ehr.create(response(patient))
    answer = ehr.form(
        f"QuestionnaireResponse/_search?patient={patient}&status=completed", [("status", "amended")]
    )
    assert answer.json["total"] == 0


def test_rd11_an_id_finds_exactly_that_resource(ehr, known):
    bundle = ehr.search(f"QuestionnaireResponse?_id={known.id}")
    assert [each["id"] for each in matches(bundle)] == [known.id]


@pytest.mark.parametrize("kind", ["Questionnaire", "QuestionnaireResponse", "RiskAssessment"])
def test_rd11_an_unknown_id_finds_nothing_and_the_bundle_has_no_entries(ehr, kind):
    bundle = ehr.search(f"{kind}?_id=no-such-id")
    assert bundle["total"] == 0
    assert "entry" not in bundle


@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "RiskAssessment"])
def test_rd12_every_way_to_name_a_patient_finds_the_same(ehr, known, kind):
    bare = known.patient.removeprefix("Patient/")
    ways = (
        f"patient={bare}",
        f"patient={known.patient}",
        f"patient={quote(known.patient, safe='')}",
        f"subject={known.patient}",
        f"subject={bare}",
        f"subject:Patient={bare}",
        f"subject={BASE}/{known.patient}",
        f"patient={BASE}/{known.patient}",
    )
    assert [ehr.found(f"{kind}?{way}") for way in ways] == [[known.id]] * len(ways)


def test_rd12_a_patient_of_another_server_is_somebody_else(ehr, known):
    assert ehr.found(about(f"https://other.example.org/fhir/{known.patient}")) == []
    theirs = f"https://other.example.org/fhir/{known.patient}x"
    id_ = ehr.create(small(theirs))["id"]
    assert ehr.found(about(theirs)) == [id_]
    assert ehr.found(about(f"{known.patient}x")) == []


def test_rd12_a_reference_that_was_sent_with_our_own_address_is_the_short_one(ehr):
    patient = new_patient()
    ids = [ehr.create(small(patient))["id"], ehr.create(small(f"{BASE}/{patient}"))["id"]]
    assert sorted(ehr.found(about(patient))) == sorted(ehr.found(about(f"{BASE}/{patient}"))) == sorted(ids)


def test_rd12_only_a_patient_is_a_patient(ehr):
    somebody = new_patient().replace("Patient/", "https://people.example.org/")
    id_ = ehr.create(small(somebody))["id"]
    assert ehr.found(f"QuestionnaireResponse?subject={somebody}") == [id_]
    assert ehr.found(f"QuestionnaireResponse?patient={somebody}") == []


@pytest.mark.parametrize("prefer", ["", "handling=lenient"])
@pytest.mark.parametrize("kind", ["Questionnaire", "QuestionnaireResponse", "RiskAssessment"])
def test_rd15_an_unknown_parameter_is_left_out(ehr, one_of_each, kind, prefer):
    answer = ehr.get(f"{kind}?_id={one_of_each[kind]}&foo=1", **({"prefer": prefer} if prefer else {}))
    assert answer.status == 200
    assert names_used(answer.json) == {"_id"}
    assert len(matches(answer.json)) == 1
    for entry in answer.json["entry"]:
        if entry["search"]["mode"] == "outcome":
            assert not {"error", "fatal"} & {issue["severity"] for issue in entry["resource"]["issue"]}


def test_rd13_a_response_is_found_by_its_tag_and_its_label(ehr):
    code, patient = new_value(), new_patient()
    coded = {"system": "https://ehr.example.org/tags", "code": code}
    meta = {"tag": [coded], "security": [coded], "profile": [f"https://ehr.example.org/{code}|1"]}
    id_ = ehr.create(small(patient, meta=meta))["id"]
    ehr.create(small(patient))
    for query in (
        f"_tag={code}",
        f"_security={coded['system']}|{code}",
        f"_profile=https://ehr.example.org/{code}",
        f"_tag={code}&identifer=x",
    ):
        assert ehr.found(f"QuestionnaireResponse?{query}") == [id_]
    names = {each["name"] for each in declared(ehr, "QuestionnaireResponse")}
    assert {"_tag", "_security", "_profile"} <= names


def declared(ehr, kind):
    (resource,) = (each for each in ehr.read("metadata")["rest"][0]["resource"] if each["type"] == kind)
    return resource["searchParam"]


UNUSED = ("identifier=", "_id=", "identifer=x", "mrn=1", "identifier=%20", "_id:missing=", "mrn=1&_count=5")


@pytest.mark.parametrize("query", UNUSED)
@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "RiskAssessment"])
def test_rd15_a_search_of_which_no_criterion_took_effect_is_refused_on_stored_types(ehr, kind, query):
    """RD17: an empty value is no criterion either. In the query, in a form, and in a batch."""
    name = query.partition("=")[0].partition(":")[0]
    assert name in str(issues_of(ehr.get(f"{kind}?{query}"), 400))
    assert name in str(issues_of(ehr.get(f"{kind}/?{query}"), 400))
    pairs = parse_qsl(query, keep_blank_values=True)
    assert name in str(issues_of(ehr.form(f"{kind}/_search", pairs), 400))
    assert name in str(issues_of(ehr.form(f"{kind}/_search?{query}", []), 400))
    requests = [
        {"method": "GET", "url": f"{kind}?{query}"},
        {"method": "POST", "url": f"{kind}/_search?{query}"},
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": each} for each in requests]}
    for entry in ehr.post("", batch).json["entry"]:
        assert entry["response"]["status"].startswith("400")
        assert name in str(entry["response"]["outcome"])
        assert "resource" not in entry


@pytest.mark.parametrize("query", UNUSED)
def test_rd15_what_is_published_is_everybodys(ehr, query):
    assert ehr.total(f"Questionnaire?{query}") > 0


@pytest.mark.parametrize("query", ["identifier=", "identifer=x", "mrn=1", "_id=%20", "status:not="])
def test_rd17_no_write_goes_by_a_condition_that_takes_no_effect(ehr, known, query):
    before = ehr.totals()
    document = small(new_patient())
    issues_of(ehr.post("QuestionnaireResponse", document, if_none_exist=query), 400)
    issues_of(ehr.post(f"QuestionnaireResponse?{query}", document), 400)
    assert ehr.put(f"QuestionnaireResponse?{query}", document).status == 405
    assert ehr.ask("DELETE", f"QuestionnaireResponse?{query}").status == 405
    issues_of(ehr.put(f"{known.at}?{query}", known.response), 400)
    assert ehr.totals() == before


@pytest.mark.parametrize(
    "path",
    ["Patient/1/QuestionnaireResponse", "Patient/1/QuestionnaireResponse?status=", "Patient/1/*"],
)
def test_rd15_a_path_that_would_narrow_a_search_is_not_read_as_its_end(ehr, path):
    issues_of(ehr.get(path), 404)


@pytest.mark.parametrize(
    "kind", ["Questionnaire", "QuestionnaireResponse", "RiskAssessment", "Provenance", "AuditEvent"]
)
def test_rd16_an_unknown_parameter_is_refused_where_handling_is_strict(ehr, kind):
    issues = issues_of(ehr.get(f"{kind}?foo=1", prefer=STRICT), 400)
    assert "foo" in str(issues)


def test_rd16_a_misspelt_patient_is_refused_where_handling_is_strict(ehr, known):
    issues_of(ehr.get(f"QuestionnaireResponse?pateint={known.patient}", prefer=STRICT), 400)
    assert ehr.get(about(known.patient), prefer=STRICT).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "authored=23.May.2009",
        "authored=2026-13-01",
        "authored=xx2026",
        "_count=abc",
        "_count=-1",
        "_count=1.5",
        "status:text=x",
        "authored:exact=2026",
        "patient:nonsense=x",
        "_id:nonsense=x",
        "_lastUpdated=yesterday",
        "_summary=nonsense",
        "status:missing=perhaps",
    ],
)
def test_rd17_what_cannot_be_read_is_refused(ehr, query):
    issues_of(ehr.get(f"QuestionnaireResponse?{query}"), 400)


@pytest.mark.parametrize(
    "query", ["patient=Patient/nobody", "status=no-such-code", "identifier=nobody%7Cnone"]
)
def test_rd17_what_nobody_has_finds_nothing(ehr, query):
    assert ehr.search(f"QuestionnaireResponse?{query}")["total"] == 0


@pytest.mark.parametrize(
    "name", ["status", "status:not", "authored", "_id", "_count", "_sort", "_summary", "_include"]
)
def test_rd17_an_empty_value_is_left_out(ehr, known, name):
    bundle = ehr.search(f"{about(known.patient)}&{name}=")
    assert [each["id"] for each in matches(bundle)] == [known.id]
    assert names_used(bundle) == {"patient"}


def test_the_result_of_a_response_comes_along_and_the_response_with_its_result(ehr, known):
    bundle = ehr.search(f"QuestionnaireResponse?_id={known.id}&_revinclude=RiskAssessment:basis")
    assert [each["id"] for each in included(bundle)] == [known.risk["id"]]
    assert bundle["total"] == 1
    bundle = ehr.search(f"RiskAssessment?_id={known.risk['id']}&_include=RiskAssessment:basis")
    assert [each["id"] for each in included(bundle)] == [known.id]


def test_a_result_is_found_by_what_it_rests_on(ehr, known):
    for basis in (known.at, f"{BASE}/{known.at}"):
        assert ehr.found(f"RiskAssessment?basis={basis}") == [known.risk["id"]]
    assert ehr.found("RiskAssessment?basis=QuestionnaireResponse/none") == []


@pytest.mark.parametrize("name", ["author", "source", "encounter", "subject"])
def test_a_response_is_found_by_each_of_its_references(ehr, known, name):
    stated = known.response[name]["reference"]
    assert ehr.found(f"QuestionnaireResponse?_id={known.id}&{name}={stated}") == [known.id]
    assert ehr.found(f"QuestionnaireResponse?_id={known.id}&{name}={stated}-x") == []
