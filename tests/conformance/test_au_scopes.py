"""What a token permits by its scopes: checks AU03, AU08 to AU10 and AU13."""

import pytest
from fhir_client import issues_of, matches, over_http
from request_bundles import bundle, create, entry, statuses
from sample_responses import SYSTEM, identified, new_patient, new_value, strain

TYPE, RISK = "QuestionnaireResponse", "RiskAssessment"
LETTERS = "crsu"
"""What can be done with a response: create, read, search and update."""


class Interactions:
    """One response, and the four interactions with it under any token."""

    def __init__(self, guarded):
        self.guarded = guarded
        self.patient = "Patient/scopes"
        self.id = guarded.as_user().create(strain(self.patient))["id"]
        self.at = f"{TYPE}/{self.id}"

    def asked(self, letter, token):
        ehr = self.guarded.bearing(token)
        if letter == "c":
            return ehr.post(TYPE, strain(self.patient))
        if letter == "u":
            return ehr.put(self.at, strain(self.patient, id=self.id))
        return ehr.get(self.at if letter == "r" else f"{TYPE}?_id={self.id}")

    def permitted(self, scope, **claims):
        """Returns the letters that a token with this scope is let do; all others must be 403 (AU03)."""
        token = self.guarded.issuers["north"].token(scope, **claims)
        return "".join(letter for letter in LETTERS if self._is_permitted(letter, self.asked(letter, token)))

    def _is_permitted(self, letter, answer):
        if answer.status in (200, 201):
            assert answer.status == (201 if letter == "c" else 200)
            return True
        not_permitted(answer)
        return False


def not_permitted(answer):
    issues_of(answer, 403)
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


@pytest.fixture(scope="module")
def interactions(guarded):
    return Interactions(guarded)


# Verbs (AU08, AU09).

GRANTED = {
    "read": "rs",
    "write": "cu",
    "*": "crsu",
    "rs": "rs",
    "cud": "cu",
    "cruds": "crsu",
    "c": "c",
    "cu": "cu",
    "r": "r",
    "s": "s",
    "u": "u",
    "d": "",
    "cr": "cr",
    "rus": "rsu",
    "crs": "crs",
}
"""What stands behind the dot, with what it permits; no response can be deleted."""


@pytest.mark.parametrize("said", GRANTED)
def test_au08_au09_a_scope_permits_what_it_says_and_nothing_else(interactions, said):
    for scope, claims in (
        (f"user/{TYPE}.{said}", {}),
        (f"patient/{TYPE}.{said}", {"patient": interactions.patient.partition("/")[2]}),
    ):
        assert sorted(interactions.permitted(scope, **claims)) == sorted(GRANTED[said]), scope


@pytest.mark.parametrize("context", ["user", "system"])
def test_au08_scopes_add_up(interactions, context):
    assert interactions.permitted(f"openid {context}/{TYPE}.c launch {context}/{TYPE}.s") == "cs"


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        (
            f"user/{TYPE}.c",
            ["GET {at}", "GET {at}/_history", "GET {at}/_history/1", "GET {type}", "HEAD {at}"],
        ),
        (f"user/{TYPE}.r", ["GET {type}", "GET {type}?_id={id}", "HEAD {type}", "POST {type}/_search"]),
        (f"user/{TYPE}.s", ["GET {at}", "HEAD {at}", "GET {at}/_history/1"]),
        (f"user/{TYPE}.u", ["GET {at}", "GET {type}"]),
        (f"user/{TYPE}.write", ["GET {at}", "GET {type}"]),
        (f"user/{TYPE}.read", ["POST {type}", "PUT {at}"]),
        (f"user/{TYPE}.rs", ["POST {type}", "PUT {at}"]),
        (
            f"user/{TYPE}.cruds",
            ["GET RiskAssessment", "GET RiskAssessment/{id}", "GET AuditEvent", "GET Provenance"],
        ),
        ("user/RiskAssessment.cruds", ["GET {at}", "GET {type}", "POST {type}", "POST {type}/$assess"]),
        (
            "user/Patient.cruds user/Observation.cruds",
            ["GET {at}", "POST {type}/$validate", "GET AuditEvent"],
        ),
        ("openid fhirUser launch/patient offline_access", ["GET {at}", "GET {type}", "GET RiskAssessment"]),
    ],
)
def test_au03_au09_what_is_not_permitted_is_403(guarded, interactions, scope, refused):
    ehr = guarded.as_user(scope)
    for line in refused:
        method, where = line.format(at=interactions.at, type=TYPE, id=interactions.id).split(" ")
        if where.endswith("_search"):
            answer = ehr.form(where, [("_id", interactions.id)])
        else:
            answer = ehr.ask(method, where, None if method in ("GET", "HEAD") else strain())
        assert answer.status == 403, (line, answer.data)
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("claims", [{"scope": None}, {"scope": ""}, {"scope": " "}, {"scope": "\t"}], ids=str)
def test_au03_a_token_without_scopes_permits_nothing(interactions, claims):
    assert interactions.permitted(**claims) == ""


@pytest.mark.parametrize(
    "scope", [["user/*.cruds"], {"user/*.cruds": 1}, 7, True, [], ["user/*.cruds", 1]], ids=str
)
def test_au03_scopes_in_another_form_break_nothing(guarded, scope):
    """RFC 9068 demands one text; a list is not understood."""
    token = guarded.issuers["north"].token(scope=scope)
    assert guarded.bearing(token).get(TYPE).status in (401, 403)


def test_au09_who_may_only_create_does_not_learn_what_is_there(guarded):
    """If-None-Exist finds, and its 200 shows."""
    value = new_value()
    there = guarded.as_user().create(strain(identifier=identified(value)))
    writer = guarded.as_user(f"user/{TYPE}.c")
    for sought in (value, new_value()):
        answer = writer.post(TYPE, strain(), if_none_exist=f"identifier={SYSTEM}|{sought}")
        not_permitted(answer)
        assert there["id"].encode() not in answer.data


def test_au09_what_comes_along_with_a_search_must_be_permitted_too(guarded, interactions):
    both = f"user/{RISK}.rs user/{TYPE}.rs"
    query = f"{RISK}?basis={interactions.at}&_include={RISK}:basis"
    assert len(guarded.as_user(both).search(query)["entry"]) == 2
    for scope in (f"user/{RISK}.rs", f"user/{RISK}.rs user/{TYPE}.s", f"user/{RISK}.rs user/{TYPE}.r"):
        answer = guarded.as_user(scope).get(query)
        assert answer.status in (200, 403)
        assert [each["resourceType"] for each in kept(answer)] in ([], [RISK])
    backwards = f"{TYPE}?_id={interactions.id}&_revinclude={RISK}:basis"
    assert len(guarded.as_user(both).search(backwards)["entry"]) == 2
    answer = guarded.as_user(f"user/{TYPE}.rs").get(backwards)
    assert answer.status in (200, 403)
    assert RISK.encode() not in b"".join(str(each).encode() for each in kept(answer))


def kept(answer):
    entries = answer.json.get("entry", ()) if answer.status == 200 else ()
    return [each["resource"] for each in entries if each["search"]["mode"] != "outcome"]


# What is no scope (AU10).


@pytest.mark.parametrize(
    "scope",
    [
        f"user/{TYPE}.dus",
        f"user/{TYPE}.sr",
        f"user/{TYPE}.rc",
        f"user/{TYPE}.uc",
        f"user/{TYPE}.sdurc",
        f"user/{TYPE}.crudss",
        f"user/{TYPE}.cc",
        f"user/{TYPE}.rr",
        f"user/{TYPE}.CRUDS",
        f"user/{TYPE}.Read",
        f"user/{TYPE}.READ",
        f"user/{TYPE}.reads",
        f"user/{TYPE}.readwrite",
        f"user/{TYPE}.read.write",
        f"user/{TYPE}.r.s",
        f"user/{TYPE}.r,s",
        f"user/{TYPE}.cruds,",
        f"user/{TYPE}.crudsx",
        f"user/{TYPE}.",
        f"user/{TYPE}",
        f"user/{TYPE}.**",
        f"user/{TYPE}/*",
        f"user/{TYPE}/cruds",
        "user/questionnaireresponse.cruds",
        "user/QUESTIONNAIRERESPONSE.cruds",
        "user/questionnaireResponse.cruds",
        "user/Questionnaire.cruds",
        "user/QuestionnaireResponses.cruds",
        "user/Questionnaire*.cruds",
        "user/*Response.cruds",
        "user/**.cruds",
        "user/.cruds",
        "user/*",
        "user/*.",
        "user/all.cruds",
        f"User/{TYPE}.cruds",
        f"USER/{TYPE}.cruds",
        f"users/{TYPE}.cruds",
        f"xuser/{TYPE}.cruds",
        f"/{TYPE}.cruds",
        f"{TYPE}.cruds",
        f"*/{TYPE}.cruds",
        f"admin/{TYPE}.cruds",
        f"SYSTEM/{TYPE}.cruds",
        f"user//{TYPE}.cruds",
        f"user\\{TYPE}.cruds",
        f"user/{TYPE}.cruds\tuser",
        f"user/{TYPE}.cruds\nx",
        f"user/{TYPE}.cruds,user/*.cruds",
        f"user%2F{TYPE}.cruds",
        f"user/{TYPE}.cruds?",
        f"user/{TYPE}.cruds#",
        f"us\u0435r/{TYPE}.cruds",
        f"user/{TYPE}.\u0441ruds",
        "*",
        "*.*",
        "*/*.*",
        "*/*.cruds",
        "admin",
        "true",
        "openid profile fhirUser online_access launch launch/patient",
    ],
)
def test_au10_what_is_no_scope_grants_nothing(interactions, scope):
    """AU03, AU13: and what ends in a question mark is no scope without a condition."""
    assert interactions.permitted(scope, patient="scopes") == ""


def test_au10_read_is_not_r_with_e_a_and_d(interactions):
    """Version 1: `.read` is `.rs`, and nothing of it creates, updates or deletes."""
    assert interactions.permitted(f"user/{TYPE}.read") == "rs"


def test_au10_what_is_not_understood_takes_nothing_from_what_is(interactions):
    assert interactions.permitted(f"user/{TYPE}.dus user/{TYPE}.rs ??? patient/x") == "rs"


@pytest.mark.parametrize(
    ("scope", "letters"),
    [
        ("user/*.cruds", "crsu"),
        ("user/*.*", "crsu"),
        ("user/*.read", "rs"),
        ("user/*.write", "cu"),
        ("system/*.rs", "rs"),
        ("system/*.cruds", "crsu"),
        ("patient/*.c", "c"),
        ("patient/*.cruds", "crsu"),
    ],
)
def test_au10_wildcards_work(interactions, scope, letters):
    assert sorted(interactions.permitted(scope, patient="scopes")) == sorted(letters)


# Granular scopes (AU13).


@pytest.mark.parametrize(
    ("condition", "meet"),
    [
        ("status=completed", ["completed"]),
        ("status=amended&authored=ge2020-01-01", ["amended"]),
        ("status=completed,in-progress", ["completed"]),
        ("status=in-progress", []),
        ("patient=Patient/somebody-else", []),
        ("questionnaire=https://other.example.org/q", []),
        ("_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|N", []),
        ("made-up=1", []),
        ("status:not=completed", []),
        ("_id=none", []),
        ("=", []),
        ("status", []),
        ("&", []),
    ],
)
@pytest.mark.parametrize("context", ["user", "patient"])
def test_au13_a_condition_is_heeded_or_the_scope_is_not_granted(guarded, context, condition, meet):
    """Heeded, it shows at most what meets it; left out, it would widen access."""
    patient = new_patient()
    ehr = guarded.as_user()
    there = {status: ehr.create(strain(patient, status=status))["id"] for status in ("completed", "amended")}
    narrow = guarded.as_user(f"{context}/{TYPE}.rs?{condition}", patient=patient.partition("/")[2])
    found = narrow.get(f"{TYPE}?patient={patient}")
    assert found.status in (200, 403)
    shown = {each["id"] for each in matches(found.json)} if found.status == 200 else set()
    assert shown <= {there[status] for status in meet}
    for id_ in there.values():
        read = {narrow.get(f"{TYPE}/{id_}{more}").status for more in ("", "/_history", "/_history/1")}
        assert read == {200} if id_ in shown else read <= {403, 404}
    assert narrow.post(TYPE, strain(patient)).status == 403


def test_au13_a_condition_on_writing_is_heeded_or_the_scope_is_not_granted(guarded):
    patient = new_patient()
    narrow = guarded.as_user(f"patient/{TYPE}.cu?status=completed", patient=patient.partition("/")[2])
    assert narrow.post(TYPE, strain(patient, status="in-progress", item=[])).status in (403, 422)
    stored = guarded.as_user().create(strain(patient, status="amended"))
    assert narrow.put(f"{TYPE}/{stored['id']}", strain(patient, id=stored["id"])).status in (403, 404)


# Entries of a Bundle (BU07).


def test_bu07_each_entry_of_a_batch_is_authorised_on_its_own(guarded, interactions):
    ehr = guarded.as_user(f"user/{TYPE}.cr")
    mixed = bundle(
        "batch",
        create(strain()),
        entry("GET", interactions.at),
        entry("GET", f"{TYPE}?_id={interactions.id}"),
        entry("PUT", interactions.at, strain(id=interactions.id)),
        entry("GET", f"{RISK}/{interactions.id}"),
        entry("GET", RISK),
        entry("GET", f"{interactions.at}/_history/1"),
        entry("GET", "metadata"),
    )
    answer = ehr.post("", mixed)
    assert (answer.status, answer.json["type"]) == (200, "batch-response")
    assert statuses(answer) == [201, 200, 403, 403, 403, 403, 200, 200]
    for each in answer.json["entry"]:
        if each["response"]["status"].startswith("403"):
            assert each["response"]["outcome"]["resourceType"] == "OperationOutcome"
            assert "resource" not in each


def test_bu07_one_forbidden_entry_fails_a_whole_transaction(guarded, interactions):
    patient = new_patient()
    ehr = guarded.as_user(f"user/{TYPE}.cr")
    for forbidden in (
        entry("GET", RISK),
        entry("GET", f"{RISK}/{interactions.id}"),
        entry("GET", f"{TYPE}?_id={interactions.id}"),
        entry("PUT", interactions.at, strain(id=interactions.id)),
    ):
        for entries in ((create(strain(patient)), forbidden), (forbidden, create(strain(patient)))):
            issues_of(ehr.post("", bundle("transaction", *entries)), 403)
    assert guarded.as_user().found(f"{TYPE}?patient={patient}") == []
    assert ehr.post("", bundle("transaction", create(strain(patient)))).status == 200


def test_bu07_a_bundle_is_no_way_round_the_door(guarded):
    nobody = over_http(guarded.server.port)
    for kind in ("batch", "transaction"):
        for entries in ((), (create(strain()),), (entry("GET", "metadata"),)):
            assert nobody.post("", bundle(kind, *entries)).status == 401
            assert guarded.bearing("garbage").post("", bundle(kind, *entries)).status == 401


def test_bu07_what_is_forbidden_does_not_decide_by_what_is_there(guarded, interactions):
    """A conditional create in a Bundle finds as little as one that is sent alone."""
    value = new_value()
    guarded.as_user().create(strain(identifier=identified(value)))
    writer = guarded.as_user(f"user/{TYPE}.c")
    for sought in (value, new_value()):
        one = create(strain(), ifNoneExist=f"identifier={SYSTEM}|{sought}")
        assert statuses(writer.post("", bundle("batch", one))) == [403]
        issues_of(writer.post("", bundle("transaction", one)), 403)
