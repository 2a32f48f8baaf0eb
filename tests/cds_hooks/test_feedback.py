"""What an EHR says of cards: what is taken and kept, and that nobody is shown again what was overridden.

The requests are written from the examples of CDS Hooks 2.0.1, section "Feedback", and from the source of its
public sandbox (cds-hooks/sandbox, card-list.jsx). None was recorded from an EHR. CF01 to CF03.
"""

import copy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from cds_calls import START, TWITCHING, VIEW, about, call_of, sample, searchset

from service import app, cli
from service.cds_hooks import ShownCard, ShownCards, cards_of
from service.cds_hooks.acceptance import table, tallies
from service.cds_hooks.feedback import Feedback
from service.cds_hooks.shown import CARD, MOST_OUTCOMES
from service.settings import Settings
from service.storage.model import Search, StoreUnavailable

FEEDBACK = f"{VIEW}/feedback"
KEY = "k" * 32
CANARY = "canary-7f3a"
REASONS = "https://guidance.example.org/fhir/CodeSystem/card-override-reason"
AT = "2026-11-21T10:05:31Z"
RESULT = call_of(responses=searchset(sample("progressive-weakness")))
OFFER = call_of(conditions=searchset(about("Condition", code=TWITCHING)))


def client_of(url, key=KEY):
    settings = Settings(store_url=url, feedback_key=key)
    return app.create_app(settings, lambda: datetime(2026, 11, 21, tzinfo=UTC)).test_client()


@pytest.fixture
def client(sqlite_url):
    return client_of(sqlite_url)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """Returns a client of a service that keeps nothing of what the tests send, as all of it is refused."""
    return client_of(f"sqlite:///{tmp_path_factory.mktemp('refusing') / 'store.db'}")


def shown(client, body=RESULT, url=VIEW):
    answer = client.post(url, json=body)
    assert answer.status_code == 200, answer.data
    return answer.json["cards"]


def item(card, outcome="overridden", **members):
    return {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": AT} | members


def accepted(card, place=0):
    return item(card, "accepted", acceptedSuggestions=[{"id": card["suggestions"][place]["uuid"]}])


def send(client, *items, url=FEEDBACK):
    return client.post(url, json={"feedback": [*items]})


def numbers(url, tenant=""):
    store = app.open_store(url)
    try:
        return {
            found.says: (
                found.shown,
                found.accepted,
                found.overridden,
                dict(found.suggestions | found.reasons),
            )
            for found in tallies(store, tenant)
        }
    finally:
        store.close()


def test_an_accepted_suggestion_is_counted_once_cf01(client, sqlite_url):
    (card,) = shown(client)
    for _ in range(3):
        answer = send(client, accepted(card))
        assert (answer.status_code, answer.json) == (200, {})
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
    ((_, counted),) = numbers(sqlite_url).items()
    assert counted == (1, 1, 0, {"keep": 1})


def test_several_items_are_taken_together_cf01(client, sqlite_url):
    (result,), (offer,) = shown(client), shown(client, OFFER)
    assert send(client, accepted(result, 1), item(offer), accepted(result, 1)).status_code == 200
    found = numbers(sqlite_url)
    assert found.pop("missing") == (1, 0, 1, {})
    assert [*found.values()] == [(1, 1, 0, {"keep-and-refer": 1})]


def test_what_was_done_at_another_time_is_another_outcome_cf01(client, sqlite_url):
    (card,) = shown(client)
    send(client, accepted(card))
    send(client, accepted(card) | {"outcomeTimestamp": "2026-11-21T11:05:31Z"})
    send(client, accepted(card) | {"outcomeTimestamp": "2026-11-21T12:05:31+01:00"})
    ((_, counted),) = numbers(sqlite_url).items()
    assert counted == (1, 1, 0, {"keep": 2})


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ({}, {}),
        (
            {"overrideReason": {"reason": {"code": "in-hand", "system": REASONS}, "userComment": CANARY}},
            {f"{REASONS}|in-hand": 1},
        ),
        ({"overrideReason": {"userComment": CANARY}}, {"comment": 1}),
        ({"overrideReason": {"reason": {"code": CANARY, "system": f"urn:{CANARY}"}}}, {"other": 1}),
        ({"overrideReason": {"reason": {"code": CANARY}}}, {"other": 1}),
        ({"overrideReason": None}, {}),
        ({"overrideReason": {}}, {}),
        ({"acceptedSuggestions": [{"id": CANARY}]}, {}),
        ({"extension": {"x": CANARY}}, {}),
    ],
)
def test_an_override_is_taken_and_its_words_are_not_kept_cf02(client, sqlite_url, tmp_path, reason, kept):
    (card,) = shown(client)
    assert send(client, item(card, **reason)).status_code == 200
    ((_, counted),) = numbers(sqlite_url).items()
    assert counted == (1, 0, 1, kept)
    assert all(CANARY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


GOOD: dict[str, Any] = {
    "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}],
    "outcomeTimestamp": "2021-12-11T10:05:31Z",
}


@pytest.mark.parametrize(
    "moment", ["2026-11-21t10:05:31z", "2026-11-21T10:05:31.123456789Z", "1985-04-12T23:20:50.52Z"]
)
def test_a_card_that_nobody_was_shown_is_taken_and_not_kept_cf01(client, sqlite_url, moment):
    assert send(client, GOOD | {"outcomeTimestamp": moment}).status_code == 200
    assert send(client, GOOD | {"card": "no uuid at all"}).status_code == 200
    assert numbers(sqlite_url) == {}


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


BAD = [
    (GOOD | {"outcome": "ignored"}, "outcome"),
    (GOOD | {"outcome": "ACCEPTED"}, "outcome"),
    (GOOD | {"outcome": None}, "outcome"),
    (GOOD | {"outcome": ["accepted"]}, "outcome"),
    (without("outcome"), "outcome"),
    (without("acceptedSuggestions"), "acceptedSuggestions"),
    (GOOD | {"acceptedSuggestions": []}, "acceptedSuggestions"),
    (GOOD | {"acceptedSuggestions": {"id": "x"}}, "acceptedSuggestions"),
    (GOOD | {"acceptedSuggestions": [{}]}, "acceptedSuggestions[0].id"),
    (GOOD | {"acceptedSuggestions": ["x"]}, "acceptedSuggestions[0].id"),
    (GOOD | {"acceptedSuggestions": [{"id": ""}]}, "acceptedSuggestions[0].id"),
    (GOOD | {"acceptedSuggestions": [{"id": "x"}] * 101}, "acceptedSuggestions"),
    (without("outcomeTimestamp"), "outcomeTimestamp"),
    *(
        (GOOD | {"outcomeTimestamp": moment}, "outcomeTimestamp")
        for moment in (
            "",
            "yesterday",
            "2026-11-21",
            "2026-11-21T10:05Z",
            "2026-11-21T10:05:31",
            "2026-02-30T10:05:31Z",
            "2026-11-21T25:05:31Z",
            "2026-11-21 10:05:31Z",
            "2026-11-21T10:05:31+0100",
            "0001-01-01T00:00:00+14:00",
            1637489131,
        )
    ),
    (without("card"), "card"),
    (GOOD | {"card": ""}, "card"),
    (GOOD | {"card": 5}, "card"),
    (GOOD | {"card": "x" * 256}, "card"),
    (GOOD | {"outcome": "overridden", "overrideReason": "no"}, "overrideReason"),
    (GOOD | {"outcome": "overridden", "overrideReason": {"reason": "no"}}, "overrideReason.reason"),
    (GOOD | {"outcome": "overridden", "overrideReason": {"reason": {}}}, "overrideReason.reason"),
    (GOOD | {"outcome": "overridden", "overrideReason": {"reason": {"code": 5}}}, "overrideReason.reason"),
    (GOOD | {"outcome": "overridden", "overrideReason": {"userComment": 5}}, "overrideReason.userComment"),
]


@pytest.mark.parametrize(("given", "element"), BAD)
def test_bad_feedback_is_refused_with_the_element_named_cf03(refusing, given, element):
    answer = send(refusing, GOOD, given)
    assert answer.status_code == 400
    assert [issue["expression"] for issue in answer.json["issue"]] == [[f"feedback[1].{element}"]]


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "[{}]",
        "{}",
        '{"feedback":[]}',
        '{"feedback":{}}',
        '{"feedback":null}',
        '{"feedback":[5]}',
        '"x"',
        "",
        "{",
    ],
)
def test_a_body_without_feedback_is_refused_cf03(refusing, body):
    assert refusing.post(FEEDBACK, data=body, content_type="application/json").status_code == 400


def test_so_is_too_much_and_another_type_cf03(refusing):
    assert send(refusing, *[GOOD] * 101).status_code == 400
    assert refusing.post(FEEDBACK, data="x", content_type="text/plain").status_code == 415
    assert send(refusing, GOOD, url="/cds-services/unknown/feedback").status_code == 404
    assert refusing.get(FEEDBACK).status_code == 405


def test_of_bad_and_good_items_none_is_kept_cf03(client, sqlite_url):
    (card,) = shown(client)
    assert send(client, accepted(card), GOOD | {"outcome": "x"}).status_code == 400
    ((_, counted),) = numbers(sqlite_url).items()
    assert counted == (1, 0, 0, {})


def test_without_a_store_no_feedback_is_taken(sqlite_url):
    client = client_of("none")
    assert shown(client)
    assert send(client, GOOD).status_code == 404


# Silence.


@pytest.mark.parametrize("body", [RESULT, OFFER])
def test_no_card_after_an_override_until_something_changes(client, body):
    (card,) = shown(client, body)
    assert shown(client, body) == [card]
    send(client, item(card))
    assert shown(client, body) == []
    changed = copy.deepcopy(body)
    if body is RESULT:
        changed["prefetch"]["responses"]["entry"][0]["resource"]["authored"] = "2026-11-21"
    else:
        changed["prefetch"]["conditions"]["entry"][0]["resource"]["id"] = "y"
    assert len(shown(client, changed)) == 1


def test_an_override_does_not_silence_a_new_response_that_dates_do_not_set_apart(client):
    """The most urgent of them is shown, and that may be the one to which somebody said no."""
    seen = {key: value for key, value in sample("progressive-weakness").items() if key != "authored"}
    (card,) = shown(client, call_of(responses=searchset(seen)))
    send(client, item(card))
    new = seen | {"id": "new"}
    (other,) = shown(client, call_of(responses=searchset(seen, new)))
    assert (other["uuid"], other["indicator"]) != (card["uuid"], "info")
    send(client, item(other))
    assert shown(client, call_of(responses=searchset(new, seen))) == []


def test_an_override_holds_in_every_hook_and_language_and_after_a_restart(client, sqlite_url):
    (card,) = shown(client)
    send(client, item(card))
    body = call_of("encounter-start", responses=RESULT["prefetch"]["responses"])
    assert shown(client, body, START) == []
    assert client.post(VIEW, json=RESULT, headers={"Accept-Language": "de"}).json["cards"] == []
    assert shown(client_of(sqlite_url)) == []


def test_an_override_is_of_one_patient(client):
    (card,) = shown(client)
    send(client, item(card))
    other = copy.deepcopy(RESULT)
    other["context"]["patientId"] = "other"
    other["prefetch"]["responses"]["entry"][0]["resource"]["subject"] = {"reference": "Patient/other"}
    assert len(shown(client, other)) == 1


def test_what_is_accepted_is_shown_on(client):
    (card,) = shown(client)
    send(client, accepted(card))
    assert shown(client) == [card]


def test_another_key_knows_nothing_of_before(client, sqlite_url):
    (card,) = shown(client)
    send(client, item(card))
    assert len(shown(client_of(sqlite_url, "l" * 32))) == 1
    assert len(shown(client_of(sqlite_url, ""))) == 1


def test_no_identifier_stands_in_the_store(client, tmp_path):
    body = copy.deepcopy(OFFER)
    body["context"]["patientId"] = CANARY
    body["prefetch"]["conditions"]["entry"][0]["resource"] |= {
        "id": CANARY,
        "subject": {"reference": f"Patient/{CANARY}"},
    }
    (card,) = shown(client, body)
    send(client, item(card))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert CANARY.encode() not in written
    assert card["uuid"].encode() not in written
    assert b"overridden" in written


# On each database.


def card(uuid="4e0a3a1e-3283-4575-ab82-028d55fe2719", tenant="north", patient="a", says="urgent"):
    return ShownCard(tenant, patient, "https://g.example.org|1", says, uuid)


def override(of, at=AT):
    return Feedback(of.uuid, "overridden", at)


@pytest.fixture
def cards(store):
    return ShownCards(store, KEY.encode(), lambda: 7)


def test_tenants_know_nothing_of_each_other(cards, store):
    north, south = card(), card(tenant="south")
    assert cards.shows(north)
    assert cards.shows(south)
    cards.take("south", [override(north)])
    assert (cards.shows(north), cards.shows(south)) == (True, False)
    assert [found.overridden for name in ("north", "south") for found in tallies(store, name)] == [0, 1]
    assert tallies(store, "") == []


def test_one_tenant_cannot_say_no_for_another(cards):
    north = card()
    assert cards.shows(north)
    cards.take("south", [override(north)])
    assert cards.shows(north)


def test_no_more_is_kept_of_one_card_than_anybody_would_read(cards, store):
    one = card()
    cards.shows(one)
    for number in range(MOST_OUTCOMES + 3):
        cards.take("north", [Feedback(one.uuid, "accepted", f"{number}", ("x",))])
    (found,) = tallies(store, "north")
    assert found.suggestions == {"other": MOST_OUTCOMES}


def test_all_pages_are_counted(cards, store, monkeypatch):
    monkeypatch.setattr("service.cds_hooks.acceptance._PAGE", 2)
    for number in range(5):
        cards.shows(card(uuid=str(uuid4()), says=("urgent", "missing")[number % 2]))
    assert [(found.says, found.shown) for found in tallies(store, "north")] == [("missing", 2), ("urgent", 3)]


def test_cards_of_a_patient_are_erased_in_all_versions(cards, store):
    mine, other, elsewhere = card(), card(uuid=str(uuid4()), patient="b"), card(tenant="south")
    for one in (mine, other, elsewhere):
        cards.shows(one)
        cards.take(one.tenant, [override(one)])
    with store.erasing("north") as view:
        assert cards_of(view, KEY.encode(), "north", []) == set()
        found = cards_of(view, KEY.encode(), "north", ["a"])
        assert view.erase(found) == {CARD: 2}
    assert [cards.shows(one) for one in (mine, other, elsewhere)] == [True, False, False]


def test_a_card_is_shown_where_the_store_cannot_be_had(caplog):
    class Gone:
        def reading(self, tenant):
            raise StoreUnavailable("The store cannot be reached.")

    assert ShownCards(Gone(), KEY.encode(), lambda: 7).shows(card(patient=CANARY))
    assert CANARY not in caplog.text
    assert "overrides are not seen" in caplog.text


def test_of_two_calls_at_once_both_show_the_card(cards, store):
    one = card()

    class Late:
        """A store in which another call stores the card between the look and the write."""

        reading = staticmethod(store.reading)

        def writing(self, tenant):
            assert cards.shows(one)
            return store.writing(tenant)

    assert ShownCards(Late(), KEY.encode(), lambda: 8).shows(one)
    with store.reading("north") as view:
        assert [found.updated for found in view.search(Search(CARD)).records] == [7]


# The command.


@pytest.fixture
def run(monkeypatch, capsys, sqlite_url):
    monkeypatch.setenv("SERVICE_STORE_URL", sqlite_url)

    def done(*arguments):
        assert cli.main(["feedback", *arguments]) == 0
        return capsys.readouterr().out

    return done


def test_the_command_tells_the_acceptance_of_each_card(client, run):
    (result,), (offer,) = shown(client), shown(client, OFFER)
    send(client, accepted(result), item(offer, overrideReason={"userComment": "no"}))
    heading, *lines = run().splitlines()
    assert heading.split() == ["tenant", "guidance", "card", "shown", "accepted", "overridden", "acceptance"]
    assert [line.split()[-4:] for line in lines if "%" in line] == [
        ["1", "0", "1", "0%"],
        ["1", "1", "0", "100%"],
    ]
    assert [line.strip() for line in lines if "%" not in line] == [
        "overridden, comment: 1",
        "accepted keep: 1",
    ]
    told = orjson.loads(run("--json"))
    assert (told[0]["card"], told[0]["acceptance"], told[0]["tenant"]) == ("missing", 0.0, "")
    assert told[1]["suggestions"] == {"keep": 1}
    assert told[0]["guidance"].startswith("https://guidance.example.org/")


def test_the_command_tells_of_one_tenant(run, sqlite_url):
    store = app.open_store(sqlite_url)
    cards = ShownCards(store, KEY.encode(), lambda: 7)
    cards.shows(card())
    cards.shows(card(tenant="south"))
    store.close()
    assert [found["tenant"] for found in orjson.loads(run("--json"))] == ["north", "south"]
    assert [found["tenant"] for found in orjson.loads(run("--json", "--tenant", "south"))] == ["south"]
    assert orjson.loads(run("--json", "--tenant", "")) == []
    assert len(run("--tenant", "none").splitlines()) == 1


def test_a_table_without_feedback_names_no_share(cards, store):
    cards.shows(card(says="urgent"))
    assert [line.split() for line in table(tallies(store, "north"))][1] == [
        "north",
        "https://g.example.org|1",
        "urgent",
        "1",
        "0",
        "0",
    ]


# Erasure and expiry, by the commands.


@pytest.fixture
def command(monkeypatch, capsys, sqlite_url):
    monkeypatch.setenv("SERVICE_STORE_URL", sqlite_url)

    def done(*arguments, code=0, key=KEY, **settings):
        monkeypatch.setenv("SERVICE_FEEDBACK_KEY", key)
        for name, value in settings.items():
            monkeypatch.setenv(f"SERVICE_{name}", value)
        assert cli.main([*arguments]) == code
        return orjson.loads(capsys.readouterr().out)

    return done


@pytest.fixture
def kept(sqlite_url, open_one):
    """Returns the cards of a store, with one of a patient that was overridden, and one of another."""
    cards = ShownCards(open_one(sqlite_url), KEY.encode(), lambda: 7)
    for patient in ("a", "b"):
        cards.shows(card(uuid=f"uuid-{patient}", patient=patient))
        cards.take("north", [override(card(uuid=f"uuid-{patient}"))])
    return cards


@pytest.mark.parametrize("name", ["Patient/a", "https://ehr.example.org/fhir/Patient/a"])
def test_what_is_known_of_a_persons_cards_is_erased_with_the_person(kept, command, sqlite_url, name):
    assert command("erase", name, "--tenant", "north", code=1) == {CARD: 2}
    assert command("erase", name, "--tenant", "north", "--yes") == {CARD: 2}
    shown_again = [kept.shows(card(uuid=f"uuid-{patient}", patient=patient)) for patient in ("a", "b")]
    assert shown_again == [True, False]


def test_the_record_of_the_erasure_calls_a_card_no_resource(kept, command, sqlite_url, open_one):
    command("erase", "Patient/a", "--tenant", "north", "--yes")
    with open_one(sqlite_url).reading("north") as view:
        (event,) = view.search(Search("AuditEvent")).records
    (entity,) = orjson.loads(event.body)["entity"]
    assert entity["type"] == {"display": "Card of CDS Hooks"}


@pytest.mark.parametrize("name", ["Practitioner/a", "https://ehr.example.org/OtherPatient/a"])
def test_who_is_no_patient_has_no_cards(kept, command, name):
    assert command("erase", name, "--tenant", "north", "--yes") == {}


def test_without_the_key_nobody_can_tell_whom_a_card_is_about(kept, command):
    assert command("erase", "Patient/a", "--tenant", "north", "--yes", key="l" * 32) == {}


def test_cards_end_with_the_term_of_responses(kept, command):
    assert command("expire") == {}
    assert command("expire", RETENTION_DAYS="30") == {CARD: 4}
    assert kept.shows(card(uuid="uuid-a"))
