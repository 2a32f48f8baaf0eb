"""What callers send never stands in the log or in the text of an error, whatever route it takes."""

import pytest
from fhir_client import BASE, break_route
from sample_responses import SYSTEM, answered, identified, new_value, response, small

TYPE = "QuestionnaireResponse"
PERSON, NUMBER, WORD, TOKEN = "canary-person", "canary-number", "canary-answer", "canary-token"
CANARIES = (PERSON, NUMBER, WORD, TOKEN, "canary-7")
HEADERS = {
    "authorization": f"Bearer {TOKEN}",
    "x_request_id": NUMBER,
    "cookie": f"session={TOKEN}",
    "user_agent": TOKEN,
    "referer": f"https://app.example.org/{PERSON}",
    "accept": f"{TOKEN}/x, */*",
    "origin": f"https://{TOKEN}.example.org",
    "x_forwarded_for": TOKEN,
}


def about(**changes):
    people = {name: {"reference": f"Patient/{PERSON}", "display": PERSON} for name in ("subject", "source")}
    return small(**({"identifier": identified(NUMBER)} | people | changes))


def noted(document):
    return answered(document, "concerns", "notes", {"valueString": WORD})


def silent(log, *answers):
    text = log.getvalue()
    assert text
    for canary in CANARIES:
        assert canary not in text
        for answer in answers:
            if answer.status >= 400:
                assert canary.encode() not in answer.data
                shown = {name: value for name, value in answer.headers.items() if name != "X-Correlation-Id"}
                assert canary not in str(shown)


def test_what_is_accepted_is_not_logged(ehr, log):
    created = ehr.post(
        TYPE,
        noted(response(identifier=identified(NUMBER), subject={"reference": f"Patient/{PERSON}"})),
        **HEADERS,
    )
    id_ = created.json["id"]
    at = f"{TYPE}/{id_}"
    other = identified(f"{NUMBER}-{new_value()}")
    condition = f"identifier={SYSTEM}|{other['value']}"
    answers = (
        created,
        ehr.put(at, created.json | {"status": "amended"}, **HEADERS),
        ehr.post(TYPE, about(identifier=other), if_none_exist=condition, **HEADERS),
        ehr.post(TYPE, about(identifier=other), if_none_exist=condition, **HEADERS),
        ehr.get(f"{TYPE}?patient={PERSON}&identifier={NUMBER}", **HEADERS),
        ehr.form(f"{TYPE}/_search", [("patient", PERSON)]),
        ehr.get(f"{at}/_history", **HEADERS),
        ehr.get(f"{at}/_history/1", **HEADERS),
        ehr.get(f"RiskAssessment?patient={PERSON}&_include=RiskAssessment:basis", **HEADERS),
        ehr.get(f"Provenance?target={at}", **HEADERS),
        ehr.get(f"AuditEvent?patient={PERSON}", **HEADERS),
    )
    assert [each.status for each in answers] == [201, 200, 201, 200, *[200] * 7]
    assert id_ not in log.getvalue()
    silent(log, *answers)


REFUSED = [
    about(status=WORD),
    about(questionnaire=f"https://{WORD}.example.org/q|{WORD}"),
    about(item=[{"linkId": WORD}]),
    about(authored=WORD),
    about(language=[WORD]),
    about(identifier={"value": NUMBER, "system": 3}),
    about(subject={"reference": PERSON, "type": 1}),
    about(author={"reference": f"#{PERSON}"}),
    about(modifierExtension=[{"url": f"https://{WORD}.example.org", "valueString": WORD}]),
    about(
        text={
            "status": "generated",
            "div": f"<div xmlns='http://www.w3.org/1999/xhtml'><script>{WORD}</script></div>",
        }
    ),
    answered(response(), "concerns", "worry", {"valueString": WORD}),
    answered(response(), "concerns", "notes", {"valueString": WORD}, {"valueString": WORD}),
    answered(
        response(),
        "urgent",
        "emergency-signs",
        {"valueCoding": {"system": f"https://{WORD}.example.org", "code": WORD}},
    ),
    answered(
        response(), "place-time", "duration", {"valueQuantity": {"value": 3, "unit": WORD, "code": WORD}}
    ),
    f'{{"resourceType": "{TYPE}", "{WORD}": "{WORD}"}}'.encode(),
    f'{{"resourceType": "{WORD}"}}'.encode(),
    f"{WORD}".encode(),
    f'{{"resourceType": "{TYPE}", "status": "{WORD}", "status": "{WORD}"}}'.encode(),
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_refused_is_neither_logged_nor_repeated(ehr, kept, log, body):
    entry = {"resource": body, "request": {"method": "POST", "url": TYPE}}
    answers = [
        ehr.post(TYPE, body, **HEADERS),
        ehr.post(f"{TYPE}/$assess", body, **HEADERS),
        ehr.put(kept.at, body | {"id": kept.id} if isinstance(body, dict) else body, **HEADERS),
        *(
            ehr.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
            for kind in ("batch", "transaction")
            if isinstance(body, dict)
        ),
    ]
    for answer in answers:
        assert answer.status in (200, 400, 422), answer.data
        assert not any(canary.encode() in answer.data for canary in CANARIES)
    silent(log, *answers)


@pytest.mark.parametrize(
    "where",
    [
        f"{TYPE}/{PERSON}",
        f"{TYPE}/{PERSON}/_history",
        f"{TYPE}/{PERSON}/_history/{NUMBER}",
        f"RiskAssessment/{PERSON}",
        f"Patient/{PERSON}",
        f"{PERSON}/{NUMBER}",
        f"/{PERSON}",
        f"{TYPE}/${WORD}",
        f"{TYPE}?authored={PERSON}",
        f"{TYPE}?_count={PERSON}",
        f"{TYPE}?identifier:{WORD}={NUMBER}",
        f"{TYPE}?_summary={PERSON}",
        f"{TYPE}?_format={PERSON}",
        f"{TYPE}?_sort={PERSON}&foo={NUMBER}",
        f"{TYPE}?canary-7=1",
        f"{TYPE}?_include={PERSON}:{NUMBER}",
        f"{TYPE}?patient={BASE}/Patient/{PERSON}&_count=-1",
        f"RiskAssessment?probability={NUMBER}",
        f"ValueSet/$expand?url={NUMBER}",
        f"%ff{PERSON}",
    ],
)
def test_an_address_is_neither_logged_nor_repeated(ehr, log, where):
    answers = [
        ehr.ask(method, where, **HEADERS, prefer="handling=strict")
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
    ]
    silent(log, *answers)


def test_a_condition_is_neither_logged_nor_repeated(ehr, log):
    twice = about(identifier=identified(f"{NUMBER}-twice"))
    ehr.create(twice)
    ehr.create(twice)
    conditions = (
        f"identifier={SYSTEM}|{NUMBER}-twice",
        f"foo={NUMBER}",
        f"identifier:{WORD}={NUMBER}",
        f"authored={NUMBER}",
        f"https://{PERSON}/",
    )
    answers = [ehr.post(TYPE, twice, if_none_exist=each, **HEADERS) for each in conditions]
    assert all(each.status in (400, 412) for each in answers)
    silent(log, *answers)


def test_a_precondition_is_neither_logged_nor_repeated(ehr, kept, log):
    answers = [ehr.put(kept.at, kept.response, if_match=each) for each in (f'W/"{TOKEN}"', TOKEN)]
    silent(log, *answers)


def test_no_route_logs_what_it_is_sent(app, ehr, log):
    answers = []
    for route in app.routes:
        path = route.path.replace("<id:id>", PERSON).replace("<id:version>", NUMBER)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            query = f"?patient={PERSON}&name={WORD}&_count={NUMBER}&identifier={NUMBER}"
            body = None if method in ("GET", "DELETE", "OPTIONS") else noted(response())
            answers.append(ehr.ask(method, path + query, body, **HEADERS, prefer=TOKEN))
    silent(log, *answers)


def test_a_store_that_fails_is_not_logged_with_what_it_was_asked(app, ehr, log, monkeypatch):
    def fail(_call):
        raise RuntimeError(f"INSERT INTO record VALUES ('{PERSON}', '{WORD}')")

    break_route(app, monkeypatch, "POST", f"/fhir/{TYPE}", fail)
    answer = ehr.post(TYPE, about(), **HEADERS)
    assert answer.status == 500
    silent(log, answer)


def test_what_a_response_calls_an_item_is_refused_and_not_repeated(ehr, log):
    document = response()
    document["item"][0]["text"] = f"\u202e{WORD}"
    answers = [ehr.post(path, document) for path in (TYPE, f"{TYPE}/$assess", f"{TYPE}/$validate")]
    assert [answer.status for answer in answers] == [422, 422, 200]
    assert all("expected the text" in str(answer.json) for answer in answers)
    silent(log, *answers)
    assert "\u202e" not in str([answer.json for answer in answers])
