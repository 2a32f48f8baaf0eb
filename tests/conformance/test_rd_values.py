"""How values are compared, ordered and written in a search, checks RD13, RD14, RD21 and RD23."""

from urllib.parse import quote

import pytest
from fhir_client import issues_of, link, matches, names_used, used
from sample_responses import CANONICAL, SYSTEM, identified, new_patient, new_value, response, small

STRICT = "handling=strict"
STATUSES = "http://hl7.org/fhir/questionnaire-answers-status"


def about(patient):
    return f"QuestionnaireResponse?patient={patient}"


def test_rd13_an_identifier_is_found_with_and_without_its_system(ehr):
    patient, value, other = new_patient(), new_value(), new_value()
    in_system = ehr.create(small(patient, identifier=identified(value)))["id"]
    in_none = ehr.create(small(patient, identifier=identified(value, None)))["id"]
    elsewhere = ehr.create(small(patient, identifier=identified(other, f"{SYSTEM}/other")))["id"]

    def found(text):
        return set(ehr.found(f"{about(patient)}&identifier={quote(text, safe='')}"))

    assert found(f"{SYSTEM}|{value}") == {in_system}
    assert found(value) == {in_system, in_none}
    assert found(f"|{value}") == {in_none}
    assert found(f"{SYSTEM}|") == {in_system}
    assert found(f"{SYSTEM}/other|{value}") == set()
    assert found(f"{SYSTEM}|{value},{other}") == {in_system, elsewhere}
    assert found("nobody-has-this") == set()


def test_rd13_commas_mean_or_and_repetition_means_and(ehr):
    patient = new_patient()
    ids = {
        status: ehr.create(response(patient, status=status))["id"]
        for status in ("completed", "amended", "stopped")
    }

    def found(tail):
        return set(ehr.found(about(patient) + tail))

    assert found("&status=completed,amended") == {ids["completed"], ids["amended"]}
    assert found("&status=completed&status=amended") == set()
    assert found("&status=completed,amended&status=amended,stopped") == {ids["amended"]}
    assert found(f"&status={STATUSES}%7Ccompleted") == found("&status=completed") == {ids["completed"]}
    assert found("&status:not=completed") == {ids["amended"], ids["stopped"]}


AUTHORED = {"early": "2026-01-10T12:00:00Z", "day": "2026-01-20", "late": "2026-02-01T12:00:00+01:00"}


@pytest.fixture(scope="module")
def dated(ehr):
    patient = new_patient()
    ids = {ehr.create(small(patient, authored=date))["id"]: name for name, date in AUTHORED.items()}
    ids[ehr.create(small(patient, authored=None))["id"]] = "undated"
    return lambda tail: {ids[each] for each in ehr.found(about(patient) + tail)}


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("authored=2026-01-10", {"early"}),
        ("authored=eq2026-01-20", {"day"}),
        ("authored=2026-01", {"early", "day"}),
        ("authored=2026", {"early", "day", "late"}),
        ("authored=ne2026-01-10", {"day", "late"}),
        ("authored=lt2026-01-20", {"early"}),
        ("authored=le2026-01-20", {"early", "day"}),
        ("authored=gt2026-01-20", {"late"}),
        ("authored=ge2026-01-20", {"day", "late"}),
        ("authored=gt2026-01", {"late"}),
        ("authored=ge2026-01-01&authored=lt2026-02-01", {"early", "day"}),
        ("authored=2026-01-10,2026-02-01", {"early", "late"}),
        ("authored=lt2026-01-10T12:00:00Z", set()),
        ("authored=le2026-01-10T12:00:00Z", {"early"}),
        ("authored=2026-02-01T11:00:00Z", {"late"}),
        ("authored=2026-02-01T12:00:00%2B01:00", {"late"}),
        ("authored=ge2027", set()),
    ],
)
def test_rd13_a_date_is_compared_as_its_prefix_says(dated, tail, expected):
    assert dated(f"&{tail}") == expected


def test_rd14_a_version_after_the_canonical_is_compared_with_the_version(ehr, known):
    one = f"QuestionnaireResponse?_id={known.id}&questionnaire="
    assert ehr.found(one + CANONICAL) == [known.id]
    assert ehr.found(f"{one}{CANONICAL}%7C1.1.0") == [known.id]
    assert ehr.found(f"{one}{CANONICAL}|1.1.0") == [known.id]
    assert ehr.found(f"{one}{CANONICAL}%7C9.9.9") == []
    assert ehr.found(f"{one}{CANONICAL}-other") == []


def test_rd14_a_published_questionnaire_is_found_by_canonical_and_version(ehr):
    assert ehr.total(f"Questionnaire?url={CANONICAL}&version=1.1.0") == 1
    assert ehr.total(f"Questionnaire?url={CANONICAL}&version=9") == 0


@pytest.fixture(scope="module")
def three(ehr):
    patient = new_patient()
    days = ("2026-03-02", "2026-03-03", "2026-03-01")
    return patient, {day: ehr.create(small(patient, authored=day))["id"] for day in days}


def test_rd21_the_newest_comes_first(ehr, three):
    patient, ids = three
    bundle = ehr.search(f"{about(patient)}&_sort=-authored&_count=1")
    assert [each["id"] for each in matches(bundle)] == [ids["2026-03-03"]]
    assert ("_sort", "-authored") in used(bundle)
    newest_first = [ids[day] for day in sorted(ids, reverse=True)]
    assert ehr.found(f"{about(patient)}&_sort=-authored&_count=1") == newest_first
    assert ehr.found(f"{about(patient)}&_sort=authored") == newest_first[::-1]


def test_rd21_the_last_change_orders_too(ehr, three):
    patient, ids = three
    assert ehr.found(f"{about(patient)}&_sort=_lastUpdated") == list(ids.values())
    assert ehr.found(f"{about(patient)}&_sort=-_lastUpdated,_id") == list(ids.values())[::-1]


def test_rd21_an_unknown_key_is_left_out_or_refused_where_handling_is_strict(ehr, three):
    query = f"{about(three[0])}&_sort=nonsense"
    assert "_sort" not in names_used(ehr.search(query))
    issues_of(ehr.get(query, prefer=STRICT), 400)


ODD = ("a b", "a+b", "a,b", "a|b", "a$b", "a/b", "a\\b", "größe-漢字😀", "a%2Bb", "50%", "a&b=c", "#?")


@pytest.fixture(scope="module")
def oddities(ehr):
    patient = new_patient()
    return patient, {value: ehr.create(small(patient, identifier=identified(value)))["id"] for value in ODD}


def escaped(value):
    for sign in "\\,|$":
        value = value.replace(sign, "\\" + sign)
    return value


@pytest.mark.parametrize("value", ODD)
def test_rd23_a_value_is_decoded_once_and_its_escapes_are_literals(ehr, oddities, value):
    patient, ids = oddities
    for text in (escaped(value), f"{SYSTEM}|{escaped(value)}"):
        query = f"{about(patient)}&identifier={quote(text, safe='')}"
        assert ehr.found(query) == [ids[value]]
        assert ehr.found(link(ehr.search(query), "self")) == [ids[value]]


def test_rd23_a_raw_plus_is_a_blank_and_an_encoded_one_is_a_plus(ehr, oddities):
    patient, ids = oddities
    assert ehr.found(f"{about(patient)}&identifier=a+b") == [ids["a b"]]
    assert ehr.found(f"{about(patient)}&identifier=a%20b") == [ids["a b"]]
    assert ehr.found(f"{about(patient)}&identifier=a%2Bb") == [ids["a+b"]]


def test_rd23_signs_of_the_search_may_be_encoded(ehr, oddities):
    patient, ids = oddities
    assert ehr.found(f"{about(patient)}&identifier={quote(SYSTEM, safe='')}%7Ca%20b%2Ca%2Bb") != []
    assert ehr.found(about(patient.replace("/", "%2F")) + "&identifier=50%25") == [ids["50%"]]


def test_rd12_a_person_who_is_only_identified_is_found_by_the_identifier(ehr):
    value = new_value()
    subject = {"type": "Patient", "identifier": identified(value)}
    id_ = ehr.create(small(subject=subject))["id"]
    for name in ("subject", "patient"):
        for text in (f"{SYSTEM}|{value}", value):
            assert ehr.found(f"QuestionnaireResponse?{name}:identifier={quote(text, safe='')}") == [id_]
    assert ehr.found(f"QuestionnaireResponse?subject:identifier={SYSTEM}/other%7C{value}") == []
    assert ehr.found(f"RiskAssessment?subject:identifier={SYSTEM}%7C{value}") == [id_]


def test_rd13_what_is_missing_is_found_by_its_absence(ehr):
    patient = new_patient()
    without = ehr.create(small(patient, authored=None))["id"]
    dated = ehr.create(small(patient, identifier=identified(new_value())))["id"]
    assert ehr.found(f"{about(patient)}&authored:missing=true") == [without]
    assert ehr.found(f"{about(patient)}&authored:missing=false") == [dated]
    assert ehr.found(f"{about(patient)}&identifier:missing=false") == [dated]
    assert ehr.found(f"{about(patient)}&identifier:missing=true&authored:missing=true") == [without]


def test_rd13_a_text_is_found_by_its_beginning_its_parts_or_the_whole_of_it(ehr, one_of_each):
    title = ehr.read(f"Questionnaire/{one_of_each['Questionnaire']}")["title"]
    start, middle = quote(title[:6]), quote(title[3:9])
    assert ehr.total(f"Questionnaire?title={start}") == ehr.total(f"Questionnaire?title={start.upper()}") == 1
    assert ehr.total(f"Questionnaire?title={middle}") == 0
    assert ehr.total(f"Questionnaire?title:contains={middle}") == 1
    assert ehr.total(f"Questionnaire?title:exact={quote(title)}") == 1
    assert ehr.total(f"Questionnaire?title:exact={quote(title.lower())}") == 0
