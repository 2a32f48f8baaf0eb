"""Discovery, calls and cards of CDS Hooks (CH01-CH13, CO02).

The requests are written from the tables of CDS Hooks 2.0 (HTTP Request, Prefetch Template, Card) and
from the source of its public sandbox (cds-hooks/sandbox, service-exchange.js). None was
recorded from an EHR.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cds_calls import START, TWITCHING, VIEW, about, call_of, sample, searchset, with_answer
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml

from service import app
from service.cds_hooks import Reading
from service.cds_hooks.cards import MOST_SUMMARY, escaped, plain
from service.sandbox import Sandbox
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    client-id: forms
    scopes: [launch, openid, fhirUser, patient/Patient.r]
"""


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """Returns a client of the service on a day."""
    registry = tmp_path_factory.mktemp("ehrs") / "ehrs.yaml"
    registry.write_text(REGISTRY)
    clock = [datetime(2026, 11, 21, tzinfo=UTC)]
    settings = Settings(store_url="none", ehrs_file=registry)
    client = app.create_app(settings, lambda: clock[0]).test_client()

    def on(day: str = "2026-11-21"):
        clock[0] = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        return client

    return on


@pytest.fixture
def cards(at):
    def ask(body: dict[str, Any], url: str = VIEW, day: str = "2026-11-21") -> list[Any]:
        answer = at(day).post(url, json=body)
        assert answer.status_code == 200, answer.data
        return answer.json["cards"]

    return ask


WORSE = "Since earlier responses"

# Discovery.


def test_discovery_lists_two_services_for_each_form_ch01_ch02(at):
    answer = at().get("/cds-services")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    services = answer.json["services"]
    assert [(found["hook"], found["id"]) for found in services] == [
        ("patient-view", "muscle-twitching-patient-view"),
        ("encounter-start", "muscle-twitching-encounter-start"),
    ]
    assert all(isinstance(value, str) for found in services for value in found["prefetch"].values())
    assert holds_something(answer.json)


def test_prefetch_is_plain_read_or_search_ch03(at):
    for service in at().get("/cds-services").json["services"]:
        tokens = {
            "context.patientId",
            *(["context.encounterId"] if service["hook"] != "patient-view" else []),
        }
        for template in service["prefetch"].values():
            assert set(re.findall(r"\{\{(.*?)\}\}", template)) <= tokens
            names = re.findall(r"[?&]([^=]+)=", template)
            assert set(names) <= {"patient", "questionnaire", "code", "_sort", "_count"}


def test_pages_of_every_origin_may_read_discovery_co02(at):
    answer = at().get("/cds-services", headers={"Origin": "https://sandbox.example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


# Cards.


def holds_something(value: Any) -> bool:
    """Whether no member is null, "", [] or {} (CH13)."""
    if isinstance(value, dict):
        return all(found not in (None, "", [], {}) and holds_something(found) for found in value.values())
    return not isinstance(value, list) or all(map(holds_something, value))


def test_nothing_to_say_is_an_empty_list_ch04(cards):
    assert cards(call_of()) == []
    assert cards(call_of(responses=searchset(), conditions=searchset())) == []


@pytest.mark.parametrize(
    "name", ["progressive-weakness", "professional-with-labs", "partial", "contradictory"]
)
def test_card_of_a_result_keeps_to_the_specification_ch09_ch13(cards, name):
    (card,) = cards(call_of(responses=searchset(sample(name))))
    assert holds_something(card)
    assert 0 < len(card["summary"]) < 140
    assert card["indicator"] in ("info", "warning", "critical")
    assert card["source"]["label"]
    assert card["source"]["url"].startswith("http")
    assert ("selectionBehavior" in card) == ("suggestions" in card)
    for reason in card["overrideReasons"]:
        assert set(reason) == {"system", "code", "display"}
    for link in card.get("links", []):
        assert link["type"] == "smart"
        assert link["url"].endswith("/app/launch")
        assert orjson.loads(link["appContext"]) == {"form": "muscle-twitching"}


def test_finished_result_suggests_itself_and_the_draft_of_its_referral_ch11(cards):
    (card,) = cards(call_of(responses=searchset(sample("progressive-weakness"))))
    assert card["indicator"] == "warning"
    assert card["selectionBehavior"] == "at-most-one"
    kept, referred = card["suggestions"]
    assert [found.get("isRecommended", False) for found in (kept, referred)] == [False, True]
    risk, order = (action["resource"] for action in referred["actions"])
    assert {action["type"] for action in referred["actions"]} == {"create"}
    assert all(action["description"] for action in referred["actions"])
    assert (risk["resourceType"], risk["subject"]) == ("RiskAssessment", {"reference": "Patient/example"})
    assert (order["resourceType"], order["status"]) == ("ServiceRequest", "draft")
    assert "urn:uuid:" not in str(order.get("supportingInfo"))
    assert [action["resource"] for action in kept["actions"]] == [risk]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Labelled in the record: restricted; PSY. It holds for this card too."),
        ("de", "In der Akte gekennzeichnet: restricted; PSY. Das gilt auch für diese Karte."),
    ],
)
def test_a_card_says_how_what_it_was_made_from_is_labelled(at, language, said):
    """A card has no element for security labels; the resources of its suggestions have."""
    labels = [
        {"system": "urn:any", "code": "R", "display": "restricted"},
        {"system": "urn:any", "code": "PSY"},
    ]
    emergency = with_answer(sample("partial"), "emergency-signs", "severe-breathlessness")
    for response in (sample("progressive-weakness"), sample("partial"), emergency):
        told = [
            at().post(VIEW, json=call_of(responses=searchset(found)), headers={"Accept-Language": language})
            for found in (response, response | {"meta": {"security": labels}})
        ]
        plain_, labelled = (answer.json["cards"][0]["detail"].replace("\\", "") for answer in told)
        assert labelled.replace(f"\n- {said}", "") == plain_ != labelled


def test_safety_step_is_critical_and_offers_no_form_ch12(cards):
    emergency = with_answer(sample("partial"), "emergency-signs", "severe-breathlessness")
    (unfinished,) = cards(call_of(responses=searchset(sample("partial"))))
    assert unfinished["links"]
    found = cards(call_of(responses=searchset(emergency)))
    assert [(card["indicator"], "links" in card) for card in found] == [("critical", False)]


@pytest.mark.parametrize(
    ("language", "highest"), [("en", "Get emergency help now"), ("de", "Jetzt Notfallhilfe holen")]
)
@pytest.mark.parametrize("name", ["partial", "progressive-weakness"])
def test_summary_says_what_could_still_raise_the_step_ch09(at, name, language, highest):
    """With its dates and the name of the form it would not fit."""
    response = sample(name) | {"status": "in-progress"}
    response["item"] = response["item"][:4]
    body = call_of(responses=searchset(response))
    (card,) = at().post(VIEW, json=body, headers={"Accept-Language": language}).json["cards"]
    assert card["summary"].endswith(highest)
    assert len(card["summary"]) <= MOST_SUMMARY


def test_self_care_has_no_card_until_it_is_time_to_look_again(cards):
    response = sample("plain-eyelid")
    assert cards(call_of(responses=searchset(response)), day="2026-11-25") == []
    (card,) = cards(call_of(responses=searchset(response)), day="2027-06-01")
    assert "again" in card["summary"]
    assert card["links"]
    assert "suggestions" not in card


def test_latest_response_that_is_not_withdrawn_counts(cards):
    old = sample("progressive-weakness") | {"authored": "2026-11-01T08:00:00Z"}
    new = sample("professional-with-labs") | {"authored": "2026-11-20T08:00:00+01:00"}
    withdrawn = new | {"status": "entered-in-error", "authored": "2026-11-21T08:00:00Z"}
    other = old | {"questionnaire": "https://other.example.org/Questionnaire/x", "authored": "2026-11-21"}
    (card,) = cards(call_of(responses=searchset(old, withdrawn, new, other)))
    assert card["indicator"] == "info"
    (card,) = cards(call_of(responses=searchset(old, withdrawn, other)))
    assert card["indicator"] == "warning"


@pytest.mark.parametrize(
    ("day", "moment", "is_shown"),
    [
        ("2026-11-20", "2026-11-21T01:00:00Z", True),  # the evening of that day in California
        ("2026-11-20", "2026-11-21T12:00:00Z", False),
        ("2026-11-20", "2026-11-21", False),
        ("2026-11-20T23:00:00Z", "2026-11-21", True),  # the next morning in Auckland
        ("2026-11-20T09:00:00Z", "2026-11-21", False),
    ],
)
def test_a_day_may_be_one_of_any_zone(day, moment, is_shown, cards):
    """The most urgent result counts of responses whose dates do not tell which is the latest."""
    urgent = sample("progressive-weakness") | {"authored": day}
    calm = sample("plain-eyelid") | {"authored": moment}
    for responses in ((urgent, calm), (calm, urgent)):
        found = cards(call_of(responses=searchset(*responses)), day="2026-11-25")
        assert [card["indicator"] for card in found] == ["warning"] * is_shown


def test_a_short_form_counts_as_the_full_one_does(cards):
    """What was asked is contained: its canonical stands there, and `questionnaire` says `#asked` alone."""
    calm = sample("plain-eyelid") | {"authored": "2026-11-19T08:00:00Z"}
    full = sample("progressive-weakness") | {"authored": "2026-11-20T08:00:00Z"}
    asked = {"resourceType": "Questionnaire", "id": "asked", "status": "active"}
    short = full | {
        "questionnaire": "#asked",
        "contained": [asked | {"derivedFrom": [full["questionnaire"]]}],
    }
    (of_full,) = cards(call_of(responses=searchset(full, calm)))
    (of_short,) = cards(call_of(responses=searchset(short, calm)))
    said = ("summary", "detail", "indicator")
    assert [of_short[name] for name in said] == [of_full[name] for name in said]
    other = short | {"contained": [asked | {"derivedFrom": ["https://other.example.org/Questionnaire/x|1"]}]}
    assert cards(call_of(responses=searchset(other, calm))) == []


def test_a_form_that_was_only_begun_takes_back_no_finished_result(cards):
    old = sample("progressive-weakness") | {"authored": "2026-11-01T08:00:00Z"}
    begun = sample("partial") | {"authored": "2026-11-20T08:00:00Z"}
    (alone,) = cards(call_of(responses=searchset(old)))
    assert cards(call_of(responses=searchset(begun, old)))[0] == alone
    found = cards(call_of(responses=searchset(begun, old)))
    assert [(card["indicator"], "links" in card) for card in found] == [("warning", False), ("info", True)]
    calm = sample("plain-eyelid") | {"authored": "2026-11-20T08:00:00Z"}
    assert cards(call_of(responses=searchset(calm, old))) == [], "what was finished later counts"
    calm |= {"authored": "2026-11-01T08:00:00Z"}
    assert [card["uuid"] for card in cards(call_of(responses=searchset(begun, calm)))] == [found[1]["uuid"]]


def test_earlier_responses_tell_what_got_worse_in_one_line(cards):
    before = sample("plain-eyelid") | {"authored": "2026-09-20T10:00:00Z", "id": "before"}
    before["identifier"] = before["identifier"] | {"value": "before"}
    now = with_answer(sample("plain-eyelid"), "eyelid-closes", "LA33-6") | {
        "authored": "2026-11-20T08:00:00Z"
    }
    (alone,) = cards(call_of(responses=searchset(now)))
    assert WORSE not in alone["detail"]
    (card,) = cards(call_of(responses=searchset(now, before)))
    (line,) = [line for line in card["detail"].splitlines() if WORSE in line]
    assert "20 September 2026" in line
    assert card["uuid"] != alone["uuid"]
    same = now | {name: before[name] for name in ("authored", "id", "identifier")}
    for other in (  # one that denied nothing, and one that cannot be read
        same,
        before | {"item": [{"linkId": 1}]},
    ):
        (card,) = cards(call_of(responses=searchset(now, other)))
        assert "now yes" not in card["detail"]
        assert (card["uuid"], card["summary"]) == (alone["uuid"], alone["summary"])
    assert cards(call_of(responses=searchset(now, before | {"status": "stopped"}))) == [alone]


def test_earlier_responses_may_name_the_patient_by_an_address_and_a_version(cards):
    server = "https://ehr.example.org/fhir"
    before = sample("plain-eyelid") | {"authored": "2026-09-20T10:00:00Z", "id": "before"}
    before["identifier"] = before["identifier"] | {"value": "before"}
    before["subject"] = {"reference": f"{server}/Patient/example/_history/3"}
    now = with_answer(sample("plain-eyelid"), "eyelid-closes", "LA33-6") | {
        "authored": "2026-11-20T08:00:00Z"
    }
    (card,) = cards(call_of(responses=searchset(now, before)) | {"fhirServer": server})
    assert WORSE in card["detail"]


def test_response_that_cannot_be_scored_is_said_to_be_so(cards):
    broken = sample("progressive-weakness") | {"item": [{"linkId": "no-such", "answer": []}]}
    (card,) = cards(call_of(responses=searchset(broken)))
    assert "cannot be scored" in card["summary"]
    assert card["links"]


@pytest.mark.parametrize(
    "prefetch",
    [
        {"conditions": searchset(about("Condition", code=TWITCHING))},
        {"observations": searchset(about("Observation", code=TWITCHING, valueBoolean=True))},
        {"encounter": about("Encounter", reasonCode=[TWITCHING])},
    ],
)
def test_code_in_the_chart_is_a_reason_to_offer_the_form(cards, prefetch):
    (card,) = cards(call_of("encounter-start", **prefetch), START)
    assert card["indicator"] == "info"
    assert card["links"]
    assert "suggestions" not in card


@pytest.mark.parametrize(
    "prefetch",
    [
        {"conditions": searchset(about("Condition", code={"text": "twitching"}))},
        {
            "conditions": searchset(
                about("Condition", code={"coding": [{"system": "urn:x", "code": "82470000"}]})
            )
        },
        {
            "conditions": searchset(
                about(
                    "Condition", code=TWITCHING, verificationStatus={"coding": [{"code": "entered-in-error"}]}
                )
            )
        },
        {
            "conditions": searchset(
                about("Condition", code=TWITCHING, clinicalStatus={"coding": [{"code": "resolved"}]})
            )
        },
        {"observations": searchset(about("Observation", code=TWITCHING, valueBoolean=False))},
        {"observations": searchset(about("Observation", code=TWITCHING, status="cancelled"))},
        {"encounter": about("Encounter", reasonCode=[TWITCHING], status="cancelled")},
        {"encounter": about("Encounter")},
    ],
)
def test_what_does_not_hold_is_no_reason(cards, prefetch):
    assert cards(call_of("encounter-start", **prefetch), START) == []


def test_uuid_stays_until_something_changes(cards):
    first = call_of(responses=searchset(sample("progressive-weakness")))
    changed = call_of(responses=searchset(sample("progressive-weakness") | {"authored": "2026-11-21"}))
    again = first | {"hookInstance": "11111111-2222-4333-8444-555555555555"}
    uuids = [cards(body)[0]["uuid"] for body in (first, again, changed)]
    assert uuids[0] == uuids[1] != uuids[2]


def test_card_speaks_the_language_that_is_asked_for(at):
    body = call_of(conditions=searchset(about("Condition", code=TWITCHING)))
    (card,) = at().post(VIEW, json=body, headers={"Accept-Language": "de"}).json["cards"]
    assert card["summary"].startswith("Fragebogen zum Muskelzucken: ")
    assert "Akte" in card["summary"]
    assert card["source"]["label"].startswith("Muskelzucken: Ersteinschätzung und wahrscheinliche Muster")
    assert [reason["display"] for reason in card["overrideReasons"]] == [
        "Schon bekannt",
        "Schon veranlasst",
        "Passt nicht zu dieser Person",
        "Die Person möchte es nicht",
    ]


def test_what_the_sandbox_sends_is_taken_ch04(at):
    """As in the source of the sandbox: its members, its user, a key and an extension of no meaning here.

    A search that found nothing is a Bundle without entries.
    """
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    sandbox_call = {
        "hookInstance": "0d8cb2d6-8c2b-4e53-9a5b-0f1a4c7c2f10",
        "hook": "patient-view",
        "fhirServer": "https://launch.example.org/v/r2/fhir",
        "context": {"patientId": "smart-1288992", "userId": "Practitioner/COREPRACTITIONER1", "more": "x"},
        "fhirAuthorization": {
            "access_token": "sandbox-token",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "patient/Patient.read patient/Observation.read",
            "subject": "sandbox-client",
        },
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "smart-1288992"},
            **dict.fromkeys(["responses", "laboratory", "conditions", "observations", "further"], empty),
        },
        "extension": {"a": 1},
    }
    headers = {"Accept": "application/json", "Authorization": "Bearer not.checked.here"}
    answer = at().post(VIEW, json=sandbox_call, headers=headers)
    assert (answer.status_code, answer.json) == (200, {"cards": []})


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://evil.example)",
        "https://evil.example",
        "a\n# b",
        "<!-- x",
        "| a | b |",
        "`x`",
        "&lt;img&gt;",
        "- x",
        "+ x",
        "12. x",
        "2026) x",
        "WWW.evil.example",
        "mailto:a@evil.example",
        "---",
        "a\\*b*",
        "**a** _b_ ~~c~~",
        "Within 3 days (by 4 December): see a self-care page. At 10:30, 1.5 mg!",
    ],
)
def test_detail_shows_its_text_and_nothing_else_ch09_sh08(text):
    """No element but the item of the list, and no link that GitHub Flavored Markdown makes by itself."""
    shown = escaped(text)
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"- {shown}")
    assert html == f"<ul>\n<li>{escapeHtml(' '.join(text.split()))}</li>\n</ul>\n"
    assert not re.search(r"(?<!\\):(?=//|\w+@)|www\.|(?<!\\)@", shown, re.IGNORECASE)


def test_words_stay_readable_where_nothing_renders_markdown_ch09():
    text = "See a neurologist (by 4 December 2026): today's step - self-care = no. At 10:30!"
    assert escaped(text) == text


def test_summary_is_cut_by_code_points_ch09():
    assert plain("🦵" * 200) == "🦵" * (MOST_SUMMARY - 1) + "…"
    assert plain("a\r\nb\u202ec") == "a b c"


# Refusals.


def changed(path: str, value: Any) -> dict[str, Any]:
    """Returns a call with one member changed; `...` takes it out."""
    body = call_of("encounter-start")
    body |= {
        "fhirServer": "https://ehr.example.org/fhir",
        "fhirAuthorization": {
            "access_token": "canary-token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "cds",
        },
    }
    *above, last = path.split(".")
    holder = body
    for name in above:
        holder = holder[name]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return body


BAD = [
    *[("hook", value) for value in (..., None, "", 1, [], "patient-view", "Encounter-Start")],
    *[
        ("hookInstance", value)
        for value in (..., None, "", 7, "x", "d1577c69-dfbe-44ad-ba6d", "d1577c69dfbe44adba6d3e05e953b2ea")
    ],
    *[("context", value) for value in (..., None, [], "x", 1)],
    *[("context.patientId", value) for value in (..., None, "", 1, [], "a/b", "Patient/example", "x" * 65)],
    *[("context.encounterId", value) for value in (..., None, "", 1, "a b")],
    *[
        ("context.userId", value)
        for value in (..., None, "", 1, "example", "Practitioner", "Practitioner/", "Device/x", "x/y/z")
    ],
    *[
        ("fhirServer", value)
        for value in (
            ...,
            None,
            "",
            1,
            "file:///etc/passwd",
            "http://10.0.0.1/fhir",
            "http://169.254.169.254/",
            "https://u:p@ehr.example.org",
            "https://ehr.example.org/?a=b",
            "https://[",
        )
    ],
    *[("fhirAuthorization", value) for value in (None, [], "x")],
    *[("fhirAuthorization.access_token", value) for value in (..., "", 1)],
    *[("fhirAuthorization.token_type", value) for value in (..., "bearer", "Basic")],
    *[("fhirAuthorization.expires_in", value) for value in (..., "300", -1, True, 1.5)],
    *[("fhirAuthorization.scope", value) for value in (..., 1)],
    *[("fhirAuthorization.subject", value) for value in (..., "")],
    *[("fhirAuthorization.patient", value) for value in ("", 1)],
    *[("prefetch", value) for value in ([], "x", 1)],
    *[("extension", value) for value in ([], "x")],
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_bad_request_is_refused_with_the_element_named_ch05_ch08(at, path, value):
    answer = at().post(START, json=changed(path, value))
    assert answer.status_code == 400
    assert path in str([issue.get("expression") for issue in answer.json["issue"]])
    assert "canary-token" not in answer.text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("context.patientId", "example"),
        ("fhirServer", "http://localhost:8080/fhir"),
        ("fhirServer", "http://127.0.0.2/fhir"),
        ("fhirServer", "http://[::1]:8080/fhir"),
    ],
)
def test_good_request_of_those_is_taken(at, path, value):
    assert at().post(START, json=changed(path, value)).status_code == 200


KEYS = ["patient", "responses", "laboratory", "conditions", "observations", "encounter"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [..., {"resourceType": "OperationOutcome", "issue": []}])
def test_prefetch_that_is_missing_or_failed_is_412_ch06(at, key, value):
    answer = at().post(START, json=changed(f"prefetch.{key}", value))
    assert answer.status_code == 412
    assert answer.json["issue"][0]["expression"] == [f"prefetch.{key}"]


@pytest.mark.parametrize(
    "found",
    [
        {"total": 3},
        {"link": [{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}]},
        searchset({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}),
    ],
)
def test_a_search_that_shows_none_of_the_responses_that_there_are_is_412_ch06(at, found):
    """No card follows where there is no response: that none is shown says something else."""
    answer = at().post(START, json=changed("prefetch.responses", searchset() | {"entry": []} | found))
    assert answer.status_code == 412
    assert answer.json["issue"][0]["expression"] == ["prefetch.responses"]
    nothing = searchset() | {"total": 0}
    assert at().post(START, json=changed("prefetch.responses", nothing)).status_code == 200


STRANGER = {"subject": {"reference": "Patient/canary"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("patient", "x"),
        ("patient", {"resourceType": "Patient", "id": "canary"}),
        ("patient", {"resourceType": "Person", "id": "example"}),
        ("laboratory", searchset(about("Condition"))),
        ("laboratory", searchset(about("Observation") | STRANGER)),
        ("responses", "x"),
        ("responses", []),
        ("responses", sample("partial")),
        ("responses", searchset(about("Condition"))),
        ("responses", searchset(sample("partial") | STRANGER)),
        ("responses", searchset(sample("partial")) | {"type": "collection"}),
        ("conditions", searchset(about("Condition") | STRANGER)),
        ("conditions", searchset(about("Condition", subject={"reference": "https://other/Patient/example"}))),
        ("conditions", searchset(about("Condition", subject={"identifier": {"value": "example"}}))),
        ("conditions", searchset(about("Observation"))),
        ("conditions", searchset("x")),
        ("conditions", searchset({})),
        ("conditions", searchset(about("Condition", code=TWITCHING, resourceType=None) | STRANGER)),
        ("conditions", searchset(about("Condition", resourceType=["Condition"]))),
        ("responses", searchset(sample("partial") | STRANGER | {"resourceType": None})),
        ("observations", {"resourceType": "Bundle", "type": "searchset", "entry": "x"}),
        ("observations", searchset(None)),
        ("encounter", searchset(about("Encounter"))),
        ("encounter", about("Condition")),
        ("encounter", about("Encounter") | STRANGER),
    ],
)
def test_prefetch_of_another_kind_or_patient_is_refused_ch07(at, key, value):
    answer = at().post(START, json=changed(f"prefetch.{key}", value))
    assert answer.status_code == 400
    assert f"prefetch.{key}" in str(answer.json["issue"][0]["expression"])
    assert "canary" not in answer.text


def test_further_page_is_not_fetched_and_warnings_of_a_search_are_left_ch07(cards):
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "processing"}]}
    found = searchset(sample("progressive-weakness"), outcome)
    found["link"] = [{"relation": "next", "url": "http://169.254.169.254/"}]
    assert len(cards(call_of(responses=found))) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"null", b'{"hook":1,"hook":2}', b"\xff"])
def test_body_that_is_no_object_is_refused_ch05(at, body):
    answer = at().post(VIEW, data=body, content_type="application/json")
    assert answer.status_code == 400


def test_unknown_service_and_method_are_refused_ch05(at):
    assert at().post("/cds-services/no-such", json=call_of()).status_code == 404
    answer = at().get(VIEW)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def undated(name: str) -> dict[str, Any]:
    return {key: value for key, value in sample(name).items() if key != "authored"}


@pytest.mark.parametrize("turned", [False, True])
def test_an_urgent_result_without_a_date_is_not_passed_over_for_a_reassuring_one(cards, turned):
    calm = sample("plain-eyelid") | {"authored": "2026-11-20T08:00:00Z"}
    both = [calm, undated("progressive-weakness")]
    (card,) = cards(call_of(responses=searchset(*(both[::-1] if turned else both))))
    assert card["indicator"] == "warning"


def test_the_most_urgent_of_results_that_dates_do_not_order_is_shown(cards):
    calm = sample("plain-eyelid") | {"authored": "2026-11-20"}
    urgent = sample("progressive-weakness") | {"authored": "2026-11"}
    (card,) = cards(call_of(responses=searchset(calm, urgent)))
    assert card["indicator"] == "warning"
    earlier = urgent | {"authored": "2026-10"}
    assert cards(call_of(responses=searchset(earlier, calm))) == []


@pytest.mark.parametrize("turned", [False, True])
def test_what_cannot_be_scored_and_may_be_the_latest_is_not_hidden_by_a_result(cards, turned):
    """Without a date it may say anything; beside a safety step no form is offered."""
    broken = undated("plain-eyelid") | {"id": "broken", "item": [{"linkId": "no-such", "answer": []}]}
    both = [undated("progressive-weakness"), broken]
    result, unscored = cards(call_of(responses=searchset(*(both[::-1] if turned else both))))
    assert result["indicator"] == "warning"
    assert "cannot be scored" in unscored["summary"]
    assert result["uuid"] != unscored["uuid"]
    emergency = with_answer(sample("partial"), "emergency-signs", "severe-breathlessness")
    emergency.pop("authored", None)
    (alone,) = cards(call_of(responses=searchset(emergency, broken)))
    assert alone["indicator"] == "critical"


@pytest.mark.parametrize("authored", ["2026-12-24", "2026-11"])
def test_no_card_rests_on_a_day_that_nobody_knows_or_that_is_still_to_come(cards, authored):
    assert cards(call_of(responses=searchset(sample("plain-eyelid") | {"authored": "2026-11-20"}))) == []
    assert cards(call_of(responses=searchset(sample("plain-eyelid") | {"authored": authored}))) != []


def test_more_responses_than_dates_can_order_are_refused(at):
    many = searchset(*(undated("plain-eyelid") | {"id": f"r{number}"} for number in range(11)))
    answer = at().post(VIEW, json=call_of(responses=many))
    assert answer.status_code == 400
    assert "prefetch.responses" in answer.json["issue"][0]["diagnostics"]


def test_a_large_call_is_read_apart_since_others_wait_meanwhile(at, monkeypatch):
    apart, call = [], Sandbox.call

    def noted(sandbox, work, kind):
        apart.append(kind)
        return call(sandbox, work, kind)

    monkeypatch.setattr(Sandbox, "call", noted)
    many = searchset(*(about("Condition", code=TWITCHING, id=f"c{number}") for number in range(1000)))
    assert len(at().post(VIEW, json=call_of(conditions=many)).json["cards"]) == 1
    assert apart == [Reading]
    assert (
        len(
            at()
            .post(VIEW, json=call_of(conditions=searchset(about("Condition", code=TWITCHING))))
            .json["cards"]
        )
        == 1
    )
    assert apart == [Reading]
