"""Tokens of one patient: checks AU11 and AU12."""

import pytest
from fhir_client import STORED, included, issues_of, link, matches
from request_bundles import bundle, create, entry, statuses
from sample_responses import SYSTEM, identified, new_patient, new_value, strain

TYPE, RISK = "QuestionnaireResponse", "RiskAssessment"


class Pair:
    """Two patients, A with two responses and B with three, and the tokens of each."""

    def __init__(self, guarded):
        self.a, self.b = new_patient(), new_patient()
        self.user = guarded.as_user()
        self.of_a = [self.user.create(strain(self.a))["id"] for _ in range(2)]
        self.value = new_value()
        self.of_b = [
            self.user.create(strain(self.b, identifier=identified(value)))["id"]
            for value in (self.value, new_value(), new_value())
        ]
        self.names_of_a = {self.a, f"{guarded.issuers['north'].base}/{self.a}"}
        self.as_a, self.as_b = guarded.as_patient(self.a), guarded.as_patient(self.b)

    def trail(self, id_):
        """Returns the paths of everything that was stored about a response."""
        at = f"{TYPE}/{id_}"
        queries = (f"?_id={id_}", f"?basis={at}", f"?target={at}", f"?entity={at}")
        return [
            f"{kind}/{found}"
            for kind, query in zip(STORED, queries, strict=True)
            for found in self.user.found(kind + query)
        ]


@pytest.fixture(scope="module")
def pair(guarded):
    return Pair(guarded)


def same(answers):
    """Expects that answers tell nothing apart, but for the id that was asked for."""
    assert len({(each.status, each.data) for each in answers}) == 1, [each.data for each in answers]


# Who the patient is (AU11).


@pytest.mark.parametrize(
    "patient",
    [
        None,
        "",
        " ",
        "A B",
        "Patient/",
        "../B",
        "A,B",
        "*",
        "%",
        "A'--",
        "x" * 65,
        7,
        True,
        {},
        [],
        ["A"],
    ],
    ids=str,
)
@pytest.mark.parametrize("scope", [f"patient/{TYPE}.cruds", "patient/*.cruds", "patient/*.* launch/patient"])
def test_au11_without_a_patient_a_patient_scope_reaches_nobody(guarded, pair, scope, patient):
    ehr = guarded.as_user(scope, patient=patient)
    at = f"{TYPE}/{pair.of_a[0]}"
    answers = [
        ehr.get(TYPE),
        ehr.get(f"{TYPE}?patient={pair.a}"),
        ehr.get(at),
        ehr.get(f"{at}/_history"),
        ehr.get(RISK),
        ehr.post(TYPE, strain(pair.a)),
        ehr.put(at, strain(pair.a, id=pair.of_a[0])),
        ehr.post("", bundle("transaction", create(strain(pair.a)))),
    ]
    for answer in answers:
        issues_of(answer, 401, 403)
    inside = ehr.post("", bundle("batch", entry("GET", at), entry("GET", TYPE), create(strain(pair.a))))
    assert inside.status in (401, 403) or set(statuses(inside)) == {403}


@pytest.mark.parametrize("name", ["patient_id", "patients", "Patient", "fhirUser", "launch", "ctx"])
def test_au11_no_other_claim_names_the_patient(guarded, pair, name):
    claims = {name: pair.a.partition("/")[2]}
    assert guarded.as_user("patient/*.cruds", **claims).get(TYPE).status in (401, 403)
    assert guarded.as_user("patient/*.cruds", **{name: {"patient": pair.a}}).get(TYPE).status in (401, 403)


def test_au11_a_system_needs_no_patient(guarded, pair):
    system = guarded.as_user(f"system/{TYPE}.crs", sub="backend", client_id="backend")
    assert set(pair.of_a) <= set(system.found(f"{TYPE}?patient={pair.a}"))
    assert system.post(TYPE, strain(pair.b)).status == 201


def test_au11_a_patient_beside_a_user_scope_takes_nothing_away(guarded, pair):
    """The scope says who is meant: a launch context narrows the patient scopes alone."""
    ehr = guarded.as_user(f"user/{TYPE}.rs patient/{TYPE}.c", patient=pair.a.partition("/")[2])
    assert ehr.read(f"{TYPE}/{pair.of_b[0]}")["subject"]["reference"] == pair.b
    assert ehr.post(TYPE, strain(pair.a)).status == 201
    assert ehr.post(TYPE, strain(pair.b)).status == 403


def test_au11_a_system_scope_beside_a_patient_one_does_not_widen_other_types(guarded, pair):
    ehr = guarded.as_user(f"system/{RISK}.rs patient/{TYPE}.rs", patient=pair.a.partition("/")[2])
    assert ehr.get(f"{TYPE}/{pair.of_b[0]}").status == 404
    assert ehr.get(f"{RISK}/{pair.of_b[0]}").status == 200
    found = ehr.search(f"{RISK}?basis={TYPE}/{pair.of_b[0]}&_include={RISK}:basis")
    assert [len(matches(found)), len(included(found))] == [1, 0]


def test_au11_who_is_introspected_has_a_patient_too(guarded, pair):
    asked = guarded.issuers["asked"]
    for number, patient in enumerate((None, "A")):
        claims = asked.claims(f"patient/{TYPE}.rs") | ({} if patient is None else {"patient": patient})
        asked.tokens[f"opaque-patient-{number}"] = {"active": True, **claims}
        expected = 403 if patient is None else 200
        assert guarded.bearing(f"opaque-patient-{number}").get(TYPE).status == expected


# What the patient's token reaches (AU12).


def test_au12_what_is_ones_own_is_there(pair):
    for path in pair.trail(pair.of_a[0]):
        assert pair.as_a.get(path).status == 200, path
    assert set(pair.of_a) <= set(pair.as_a.found(TYPE))
    assert pair.as_a.post(TYPE, strain(pair.a)).status == 201


@pytest.mark.parametrize(
    "subject",
    [
        "{b}",
        "Patient/nobody",
        "https://other.example.org/fhir/{a}",
        "https://south.example.org/fhir/{a}",
        "{a}x",
        "Group/{a_id}",
        "RelatedPerson/{a_id}",
        "Device/{a_id}",
        "{a_id}",
        "#{a_id}",
        "urn:uuid:0f3a1cfe-6f4f-4a2f-9d5c-3b1a6c5e8f10",
    ],
)
def test_au12_nothing_is_created_about_somebody_else(pair, subject):
    said = subject.format(a=pair.a, b=pair.b, a_id=pair.a.partition("/")[2])
    before = pair.user.total(TYPE)
    for body in (strain(subject={"reference": said}), strain(subject={"reference": said, "type": "Patient"})):
        issues_of(pair.as_a.post(TYPE, body), 400, 403, 422)
    assert pair.as_a.post(TYPE, strain(pair.b)).status == 403
    assert pair.user.total(TYPE) == before


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        {"display": "A"},
        {"identifier": {"system": "urn:x", "value": "A"}},
        {"type": "Patient"},
        {"reference": None},
        {"extension": [{"url": "http://example.org/x", "valueString": "A"}]},
    ],
    ids=str,
)
def test_au12_nothing_is_created_without_a_subject(pair, subject):
    body = {name: value for name, value in strain(pair.a).items() if name != "subject"}
    answer = pair.as_a.post(TYPE, body if subject is None else body | {"subject": subject})
    issues_of(answer, *((403,) if subject is None else (400, 403)))


def test_au12_a_contained_patient_is_nobody(pair):
    """A contained copy that says it is A is a claim of the sender's, not a patient of the EHR."""
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"value": pair.a}]}
    answer = pair.as_a.post(TYPE, strain(subject={"reference": "#p"}, contained=[patient]))
    issues_of(answer, 400, 403)


def test_au12_the_patient_may_be_named_by_the_url_of_the_ehr(guarded, pair):
    absolute = f"{guarded.issuers['north'].base}/{pair.a}"
    stored = pair.as_a.create(strain(absolute))
    assert pair.as_a.read(f"{TYPE}/{stored['id']}")["subject"]["reference"] == absolute
    assert stored["id"] in pair.as_a.found(TYPE)
    assert pair.as_b.get(f"{TYPE}/{stored['id']}").status == 404


@pytest.mark.parametrize(
    "more", ["", "/_history", "/_history/1", "/_history/2", "?_format=json", "?_pretty=true"]
)
def test_au12_what_is_somebody_elses_is_as_if_it_did_not_exist(pair, more):
    paths = [pair.as_a.get(f"{TYPE}/{id_}{more}") for id_ in (pair.of_b[0], "none", pair.of_b[0][::-1])]
    same(paths)
    assert paths[0].status == 404
    for path in pair.trail(pair.of_b[0]):
        kind = path.partition("/")[0]
        same([pair.as_a.get(path + more), pair.as_a.get(f"{kind}/none{more}")])
        assert pair.as_a.ask("HEAD", path + more).status == 404
        assert pair.as_a.get(path + more, if_none_match='W/"1"').status == 404


def test_au12_an_update_of_somebody_elses_finds_nothing(pair):
    for condition in ({}, {"if_match": 'W/"1"'}, {"if_match": "*"}):
        for subject in (pair.a, pair.b):
            answers = [
                pair.as_a.put(f"{TYPE}/{id_}", strain(subject, id=id_), **condition)
                for id_ in (pair.of_b[1], "none")
            ]
            assert {each.status for each in answers} <= {403, 404, 412}
            same(answers)
    assert pair.user.read(f"{TYPE}/{pair.of_b[1]}")["meta"]["versionId"] == "1"


def test_au12_ones_own_is_not_given_to_somebody_else(pair):
    stored = pair.as_a.create(strain(pair.a))
    answer = pair.as_a.put(f"{TYPE}/{stored['id']}", strain(pair.b, id=stored["id"]))
    issues_of(answer, 403)
    assert pair.user.read(f"{TYPE}/{stored['id']}")["subject"]["reference"] == pair.a


def test_au12_what_was_moved_away_is_gone_with_its_history(pair):
    """A user corrects the patient of a response: neither patient sees what was filed with the wrong one."""
    stored = pair.as_a.create(strain(pair.a))
    at = f"{TYPE}/{stored['id']}"
    assert pair.user.put(at, strain(pair.b, id=stored["id"])).status == 200
    assert {pair.as_a.get(at + more).status for more in ("", "/_history", "/_history/1", "/_history/2")} == {
        404
    }
    assert pair.as_a.found(f"{TYPE}?_id={stored['id']}") == []
    assert pair.as_b.get(at).status == 200
    assert pair.as_b.get(f"{at}/_history/1").status == 404
    assert pair.a.encode() not in pair.as_b.get(f"{at}/_history").data


@pytest.mark.parametrize(
    "query",
    [
        "?patient={b}",
        "?patient={b_id}",
        "?subject={b}",
        "?subject:Patient={b_id}",
        "?patient={a},{b}",
        "?_id={of_b}",
        "?_id={of_b},{of_a}",
        "?identifier={system}|{value}",
        "?identifier={value}",
        "?status=completed",
        "?status=completed,amended&patient={b}",
        "?_lastUpdated=gt2000-01-01",
        "?authored=ge2000-01-01",
        "?_sort=-_lastUpdated&_count=100",
        "?_count=100",
        "?foo=1&_id={of_b}",
        "?_id={of_b}&_revinclude=RiskAssessment:basis",
        "?_id={of_b}&_revinclude=Provenance:target&_revinclude=AuditEvent:entity",
    ],
)
@pytest.mark.parametrize("kind", [TYPE, RISK])
def test_au12_a_search_finds_nothing_of_somebody_else(pair, kind, query):
    """By a GET and by a form; a parameter that the type does not know may be refused."""
    filled = query.format(
        a=pair.a,
        b=pair.b,
        b_id=pair.b.partition("/")[2],
        of_a=pair.of_a[0],
        of_b=pair.of_b[0],
        value=pair.value,
        system=SYSTEM,
    )
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in filled[1:].split("&"))]
    for answer in (pair.as_a.get(kind + filled), pair.as_a.form(f"{kind}/_search", pairs)):
        if answer.status != 200:
            issues_of(answer, 400, 403)
            continue
        shown = [each["resource"] for each in answer.json.get("entry", ())]
        assert {each["subject"]["reference"] for each in shown if "subject" in each} <= pair.names_of_a
        assert not any(id_ in str(shown) for id_ in pair.of_b)


@pytest.mark.parametrize("kind", STORED)
def test_au12_totals_count_ones_own(pair, kind):
    everything, own = pair.user.total(kind), pair.as_a.total(kind)
    assert 0 < own < everything
    assert own == len(pair.as_a.found(f"{kind}?_count=3"))
    for total in ("accurate", "estimate"):
        answer = pair.as_a.get(f"{kind}?_total={total}&_count=1")
        assert answer.status == 400 or answer.json.get("total", own) == own


def test_au12_a_next_link_of_somebody_else_shows_nothing(pair):
    """RD20: what a link carries is where to go on, and not whose it is."""
    for caller in (pair.as_b, pair.user):
        following = link(caller.search(f"{TYPE}?patient={pair.b}&_count=1"), "next")
        answer = pair.as_a.get(following)
        if answer.status == 200:
            assert answer.json.get("entry", []) == []
            assert answer.json.get("total", 0) == 0
        else:
            issues_of(answer, 400, 403, 404)
    own = link(pair.user.search(f"{TYPE}?_count=1"), "next")
    for bundle_ in pair.as_a.pages(own):
        assert not any(id_ in str(matches(bundle_)) for id_ in pair.of_b)


def test_au12_a_conditional_create_does_not_find_somebody_elses(pair):
    condition = f"identifier={SYSTEM}|{pair.value}"
    answer = pair.as_a.post(TYPE, strain(pair.a, identifier=identified(pair.value)), if_none_exist=condition)
    assert answer.status == 201
    assert answer.json["id"] not in pair.of_b
    again = pair.as_a.post(TYPE, strain(pair.a, identifier=identified(pair.value)), if_none_exist=condition)
    assert (again.status, again.json["id"]) == (200, answer.json["id"])


def test_au12_includes_stay_with_the_patient(pair):
    for id_, count in ((pair.of_a[0], 1), (pair.of_b[0], 0)):
        found = pair.as_a.search(f"{RISK}?basis={TYPE}/{id_}&_include={RISK}:basis")
        assert [len(matches(found)), len(included(found))] == [count, count]


def test_bu07_au12_a_bundle_reaches_no_further_than_its_entries_would_alone(pair):
    at = f"{TYPE}/{pair.of_b[0]}"
    mixed = bundle(
        "batch",
        entry("GET", at),
        entry("GET", f"{at}/_history"),
        entry("GET", f"{TYPE}?patient={pair.b}"),
        create(strain(pair.b)),
        entry("PUT", at, strain(pair.b, id=pair.of_b[0])),
        entry("GET", f"{TYPE}/{pair.of_a[0]}"),
        create(strain(pair.a)),
    )
    answer = pair.as_a.post("", mixed)
    assert answer.status == 200
    said = statuses(answer)
    assert said[4] in (403, 404)
    assert [*said[:4], *said[5:]] == [404, 404, 200, 403, 200, 201]
    assert answer.json["entry"][2]["resource"]["total"] == 0
    assert pair.user.read(at)["meta"]["versionId"] == "1"
    before = pair.user.total(TYPE)
    issues_of(pair.as_a.post("", bundle("transaction", create(strain(pair.a)), create(strain(pair.b)))), 403)
    assert pair.user.total(TYPE) == before


def test_bu07_au12_a_response_of_ones_own_is_not_filed_under_the_identifier_of_another(pair):
    """At every way in, lest a search by identifier finds as somebody else's what is not."""
    value = new_value()
    claimed = {"reference": pair.a, "identifier": {"system": SYSTEM, "value": value}}
    own, body = pair.of_a[0], strain(subject=claimed)
    at, here = f"{TYPE}/{own}", strain(subject=claimed, id=own)
    once = {"if_none_exist": f"identifier={SYSTEM}|{value}"}
    for answer in (
        pair.as_a.post(TYPE, body),
        pair.as_a.ask("POST", TYPE, body, **once),
        pair.as_a.put(at, here),
        pair.as_a.post("", bundle("transaction", create(body))),
        pair.as_a.post("", bundle("transaction", entry("PUT", at, here))),
    ):
        (issue,) = issues_of(answer, 403)
        assert "subject.identifier" in issue["diagnostics"]
    assert statuses(pair.as_a.post("", bundle("batch", create(body), entry("PUT", at, here)))) == [403] * 2
    assert pair.user.total(f"{TYPE}?subject:identifier={SYSTEM}|{value}") == 0
    assert pair.user.post(TYPE, body).status == 201
    assert pair.user.total(f"{TYPE}?subject:identifier={SYSTEM}|{value}") == 1


def test_bu07_au12_a_reference_to_an_entry_is_no_way_to_another_patient(pair):
    """A conditional reference or one to a stored resource finds nothing of somebody else."""
    one = create(strain(pair.a, basedOn=[{"reference": f"{TYPE}?identifier={SYSTEM}|{pair.value}"}]))
    answer = pair.as_a.post("", bundle("transaction", one))
    assert not any(id_.encode() in answer.data for id_ in pair.of_b)
    issues_of(
        pair.as_a.post("", bundle("transaction", create(strain(f"{TYPE}?_id={pair.of_b[0]}")))), 400, 403, 412
    )
