"""What is stored for each version of a response: four records in one transaction, or none."""

import uuid

import orjson
import pytest

from service.errors import Malformed, NotFound, NotScorable, PreconditionFailed, Unavailable
from service.records import APPEND_ONLY, AUDIT, KINDS, PROVENANCE, RESPONSE, RISK, Unit
from service.records.repository import Repository, ordered_id
from service.search import PERSON, condition_from
from service.storage import store as view_module
from service.storage.model import (
    AppendOnly,
    ReferenceTo,
    Search,
    StoreBusy,
    StoreFull,
    StoreUnavailable,
    UnknownRecord,
    VersionConflict,
)


def document(record):
    return orjson.loads(record.body)


def stored(store):
    """Returns how many resources of each type there are."""
    with store.reading() as view:
        return {kind: view.search(Search(kind, limit=0, total=True)).total for kind in KINDS}


def test_cr01_a_response_is_stored_with_its_result_and_its_trail(repository, store, body):
    kept = repository.create(body())
    assert kept.is_new
    assert (kept.record.type, kept.record.id, kept.record.version) == (RESPONSE, "r1", 1)
    assert (kept.risk.type, kept.risk.id, kept.risk.version) == (RISK, "r1", 1)
    assert kept.guidance.endswith("|1.1.0")
    assert stored(store) == dict.fromkeys(KINDS, 1)


def test_the_result_is_based_on_the_response_as_stored(repository, body):
    kept = repository.create(body(id="theirs"))
    risk = document(kept.risk)
    assert risk["id"] == "r1"
    assert risk["basis"][0] == {"reference": "QuestionnaireResponse/r1"}
    assert risk["meta"]["lastUpdated"] == document(kept.record)["meta"]["lastUpdated"]


def test_provenance_names_what_was_made_of_what_and_by_whom(repository, store, body):
    repository.create(body(author={"reference": "Practitioner/p"}, source={"reference": "Patient/example"}))
    with store.reading() as view:
        found = document(view.read(PROVENANCE, "r1.1"))
    assert [each["reference"] for each in found["target"]] == [
        "QuestionnaireResponse/r1/_history/1",
        "RiskAssessment/r1/_history/1",
    ]
    assert [each["who"].get("reference") for each in found["agent"]] == [
        "Practitioner/p",
        "Patient/example",
        None,
    ]
    assert found["entity"] == [
        {"role": "source", "what": {"reference": "QuestionnaireResponse/r1/_history/1"}}
    ]
    assert found["policy"] == ["https://guidance.example.org/guidance/muscle-twitching"]


def test_provenance_of_an_update_names_the_version_before(repository, store, body):
    repository.create(body())
    repository.update("r1", body(id="r1"))
    with store.reading() as view:
        found = document(view.read(PROVENANCE, "r1.2"))
    assert found["activity"]["coding"][0]["code"] == "UPDATE"
    assert found["entity"][0] == {
        "role": "revision",
        "what": {"reference": "QuestionnaireResponse/r1/_history/1"},
    }


def test_an_author_who_is_not_stated_is_not_invented(repository, store, body):
    repository.create(body())
    with store.reading() as view:
        agents = document(view.read(PROVENANCE, "r1.1"))["agent"]
    assert [each["who"] for each in agents] == [
        {"display": "Not stated in the response"},
        {"display": "Questionnaire guidance service"},
    ]


def test_the_audit_record_says_who_it_is_about(repository, store, body):
    repository.create(body())
    with store.reading() as view:
        found = document(view.read(AUDIT, "r1.1"))
    assert (found["action"], found["outcome"]) == ("C", "0")
    assert found["entity"][-1]["what"] == {"reference": "Patient/example"}


def test_the_audit_record_of_nobody_names_nobody(repository, store, body):
    repository.create(body(subject=None))
    repository.update("r1", body(id="r1", subject=None))
    with store.reading() as view:
        found = document(view.read(AUDIT, "r1.2"))
    assert found["action"] == "U"
    assert [each["what"]["reference"] for each in found["entity"]] == [
        "QuestionnaireResponse/r1/_history/2",
        "RiskAssessment/r1/_history/2",
    ]


def test_all_four_are_found_when_the_person_is_to_be_forgotten(repository, store, body):
    repository.create(body())
    with store.erasing() as transaction:
        found = transaction.named([PERSON], [ReferenceTo("example", "Patient")])
    assert {kind for kind, _ in found} == set(KINDS)


@pytest.mark.parametrize("changes", [{"status": "done"}, {"questionnaire": "https://example.org/none"}])
def test_of_a_response_that_is_refused_nothing_is_stored(repository, store, body, changes):
    with pytest.raises((Malformed, NotScorable)):
        repository.create(body(**changes))
    assert stored(store) == dict.fromkeys(KINDS, 0)


def test_parameters_are_not_stored(repository, root):
    with pytest.raises(Malformed) as refused:
        repository.create((root / "samples" / "parameters-with-chart-data.json").read_bytes())
    assert [each.kind for each in refused.value.problems] == ["resource-type"]


def test_when_the_last_record_fails_the_first_are_undone(repository, store, body, monkeypatch):
    def fails(*_arguments):
        raise RuntimeError

    monkeypatch.setattr("service.records.drafts.audit_event", fails)
    with pytest.raises(RuntimeError):
        repository.create(body())
    assert stored(store) == dict.fromkeys(KINDS, 0)


def test_entered_in_error_retracts_the_result(repository, body):
    repository.create(body())
    kept = repository.update("r1", body(id="r1", status="entered-in-error"))
    risk = document(kept.risk)
    assert (kept.risk.version, risk["status"]) == (2, "entered-in-error")
    assert not {"prediction", "mitigation", "extension"} & risk.keys()
    assert risk["basis"][0] == {"reference": "QuestionnaireResponse/r1"}
    assert risk["subject"] == {"reference": "Patient/example"}
    assert "must not be used" in risk["text"]["div"]


def test_stopped_cancels_the_result(repository, body):
    repository.create(body(status="in-progress"))
    kept = repository.update("r1", body(id="r1", status="stopped"))
    assert document(kept.risk)["status"] == "cancelled"
    assert kept.guidance == ""


@pytest.mark.parametrize("status", ["stopped", "entered-in-error"])
def test_what_is_never_scored_is_stored_without_a_result(repository, store, body, status):
    kept = repository.create(body(status=status))
    assert kept.risk is None
    assert stored(store) == {RESPONSE: 1, RISK: 0, PROVENANCE: 1, AUDIT: 1}


def test_a_stopped_response_must_fit_its_questionnaire(repository, body):
    with pytest.raises(NotScorable):
        repository.create(body(status="stopped", item=[{"linkId": "no-such-item"}]))


def test_a_withdrawn_response_can_be_amended(repository, body):
    repository.create(body(status="entered-in-error"))
    kept = repository.update("r1", body(id="r1", status="amended"))
    assert (kept.record.version, kept.risk.version) == (2, 1)


@pytest.mark.parametrize("given", [None, "r2"])
def test_cr12_an_update_names_the_id_of_the_path(repository, body, given):
    repository.create(body())
    with pytest.raises(Malformed) as refused:
        repository.update("r1", body(id=given))
    assert [each.kind for each in refused.value.problems] == ["id-mismatch"]


def test_a_condition_that_would_take_too_long_to_decide_is_refused(repository, store, body, monkeypatch):
    for name, value in {"_MANY": 1, "LOOKED_AT": 1, "MOST_LOOKED_AT": 2}.items():
        monkeypatch.setattr(view_module, name, value)
    for _ in range(3):
        repository.create(body())
    wide = condition_from(RESPONSE, "status:not=completed", base="https://fhir.example.org/r4")
    with pytest.raises(PreconditionFailed) as refused:
        repository.create(body(), wide)
    assert [each.kind for each in refused.value.problems] == ["too-costly"]
    assert stored(store)[RESPONSE] == 3


def test_reads_of_what_is_not_there_are_not_found(repository, body):
    repository.create(body())
    for call in (
        lambda: repository.read(RESPONSE, "r9"),
        lambda: repository.read_version(RESPONSE, "r1", 2),
        lambda: repository.history(RESPONSE, "r9", limit=5),
    ):
        with pytest.raises(NotFound):
            call()


def test_versions_are_read_and_listed(repository, body):
    repository.create(body())
    repository.update("r1", body(id="r1"))
    assert repository.read(RESPONSE, "r1").version == 2
    assert repository.read_version(RESPONSE, "r1", 1).version == 1
    assert [each.version for each in repository.history(RISK, "r1", limit=5).records] == [2, 1]


def test_requests_of_one_unit_are_undone_together(repository, store, body):
    def two_requests() -> None:
        with repository.writing() as writing:
            repository.create(body(), unit=Unit(writing, "reserved"))
            assert repository.read(RESPONSE, "reserved", Unit(writing)).version == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        two_requests()
    assert stored(store) == dict.fromkeys(KINDS, 0)


def test_a_part_of_a_response_is_not_taken_for_the_whole(repository, store, body):
    repository.create(body())
    part = body(id="r1", meta={"tag": [{"code": "SUBSETTED"}]}, item=None)
    with pytest.raises(NotScorable) as refused:
        repository.update("r1", part)
    assert [each.kind for each in refused.value.problems] == ["subsetted"]
    assert stored(store)[PROVENANCE] == 1


@pytest.mark.parametrize(
    ("fault", "expected", "kind"),
    [
        (StoreFull("x"), Unavailable, "store-full"),
        (StoreBusy("x"), Unavailable, "store-busy"),
        (UnknownRecord("x"), NotFound, "id-unknown"),
        (VersionConflict("x"), PreconditionFailed, "version-conflict"),
    ],
)
def test_px04_every_fault_of_the_store_is_said_in_words_of_its_own(repository, fault, expected, kind):
    def fails() -> None:
        with repository.writing():
            raise fault

    with pytest.raises(expected) as refused:
        fails()
    assert [each.kind for each in refused.value.problems] == [kind]


def test_a_fault_that_nobody_can_mend_stays_a_failure(repository):
    def fails() -> None:
        with repository.writing():
            raise AppendOnly("x")

    with pytest.raises(AppendOnly):
        fails()


def test_what_never_changes_is_append_only():
    assert set(APPEND_ONLY) == {PROVENANCE, AUDIT}


def test_px04_a_store_that_is_gone_is_said_to_be_so(repository, tmp_path, body):
    repository.ping()
    (tmp_path / "store.db").unlink()
    with pytest.raises(Exception) as unavailable:  # noqa: PT011 - its class is asserted below
        repository.create(body())
    assert type(unavailable.value).__name__ == "Unavailable"
    assert isinstance(unavailable.value.__cause__, StoreUnavailable)
    assert unavailable.value.retry_after_s > 0


def test_ids_come_in_the_order_of_time_and_are_otherwise_random():
    ids = [ordered_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in ids} == {(7, uuid.RFC_4122)}


@pytest.mark.parametrize(
    ("condition", "own", "claimed"),
    [
        ("identifier=urn:s|v", "v", {"v"}),
        ("identifier=urn:s|v", "w", {"v", "w"}),
        ("identifier=v,w&status=completed", None, {"v", "w"}),
        ("identifier=v", None, {"v"}),
        ("identifier=urn:s|", "v", set()),
        ("identifier:not=v&status=completed", "v", set()),
        ("status=completed", "v", set()),
    ],
)
def test_a_conditional_create_makes_those_wait_that_it_may_meet_and_no_others(
    store, repository, body, monkeypatch, condition, own, claimed
):
    """Two that could meet each other have a code in common, or one of them claims whatever there is."""
    seen, claim = [], view_module.Transaction.claim
    monkeypatch.setattr(
        view_module.Transaction,
        "claim",
        lambda self, search, codes=(): seen.append(set(codes)) or claim(self, search, codes),
    )
    search = condition_from(RESPONSE, condition, base="https://fhir.example.org/r4")
    identifier = None if own is None else {"system": "urn:s", "value": own}
    assert repository.create(body(identifier=identifier), search).is_new
    assert seen == [claimed]


def test_a_version_is_never_older_than_the_one_before_though_the_clock_is_set_back(store, assessor, body):
    """Whoever asks for what has changed since would miss it."""
    moments = iter([2_000_000_000_000_000, 1_900_000_000_000_000, 2_100_000_000_000_000])
    repository = Repository(
        store, assessor, "https://fhir.example.org/r4", clock=lambda: next(moments), new_id=lambda: "r1"
    )
    versions = [repository.create(body()), *(repository.update("r1", body(id="r1")) for _ in range(2))]
    times = [document(kept.record)["meta"]["lastUpdated"] for kept in versions]
    assert times[0] == times[1] < times[2]
    assert [kept.risk.updated for kept in versions] == [kept.record.updated for kept in versions]
