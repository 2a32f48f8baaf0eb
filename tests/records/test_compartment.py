"""What a reach excludes is as if it did not exist (AU11, AU12, AU13)."""

import orjson
import pytest

from service.errors import Forbidden, NotFound
from service.records import AUDIT, PROVENANCE, RESPONSE, RISK, Reach
from service.records.compartment import criteria_of
from service.search import query_from, searchset
from service.storage.model import Criterion, Search, TokenIs

BASE = "https://fhir.example.org/r4"
A, B = (Reach("north", (f"Patient/{who}", f"https://ehr.example.org/fhir/Patient/{who}")) for who in "ab")
NORTH, SOUTH = Reach("north"), Reach("south")
COMPLETED = Reach("north", ("Patient/a",), (("status", "completed"),))
KINDS = ((RESPONSE, "r1"), (RISK, "r1"), (PROVENANCE, "r1.1"), (AUDIT, "r1.1"))


def about(who):
    return {"reference": who}


@pytest.fixture
def stored(repository, body):
    """r1 is about a, r2 about b with a as its author, r3 about nobody; all in tenant north."""
    repository.create(body(subject=about("Patient/a")), reach=NORTH)
    other = body(subject=about("Patient/b"), author=about("Patient/a"), source=about("Patient/a"))
    repository.create(other, reach=NORTH)
    repository.create(body(subject=None), reach=NORTH)
    return repository


def found_ids(repository, kind, reach, pairs=(), reach_of=None):
    query = query_from(kind, pairs, strict=True, base=BASE)
    with repository.reading(reach=reach, reach_of=reach_of) as view:
        bundle = orjson.loads(searchset(query, view))
    names = [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in bundle.get("entry", ())
    ]
    return names if bundle["total"] else []


@pytest.mark.parametrize(("kind", "of_id"), KINDS)
def test_what_is_of_the_patient_is_read(stored, kind, of_id):
    assert stored.read(kind, of_id, reach=A).id == of_id
    assert stored.read_version(kind, of_id, 1, reach=A).version == 1
    assert stored.history(kind, of_id, limit=9, reach=A).total == 1
    assert found_ids(stored, kind, A) == [f"{kind}/{of_id}"]


@pytest.mark.parametrize(
    "reach", [B, SOUTH, Reach(), Reach("north", ("https://other.example.org/Patient/a",))]
)
@pytest.mark.parametrize(("kind", "of_id"), KINDS)
def test_for_everybody_else_it_is_refused_as_what_does_not_exist(stored, kind, of_id, reach):
    for ask in (
        lambda name: stored.read(kind, name, reach=reach),
        lambda name: stored.read_version(kind, name, 1, reach=reach),
        lambda name: stored.history(kind, name, limit=9, reach=reach),
    ):
        refused = []
        for name in (of_id, "no-such"):
            with pytest.raises(NotFound) as error:
                ask(name)
            refused.append(error.value.problems)
        assert refused[0] == refused[1]


def test_a_result_in_more_detail_is_of_its_patient_too(stored):
    assert stored.read_result("r1", "full", reach=A).record.id == "r1"
    with pytest.raises(NotFound):
        stored.read_result("r1", "full", reach=B)


def test_a_search_for_another_patient_or_by_id_finds_and_counts_nothing(stored):
    query = query_from(RESPONSE, [("_id", "r2"), ("_total", "accurate")], strict=True, base=BASE)
    with stored.reading(reach=A) as view:
        assert orjson.loads(searchset(query, view))["total"] == 0
        assert view.search(Search(RESPONSE, total=True)).total == 1


def test_what_comes_along_is_of_the_types_and_the_patient_that_may_be_touched(stored):
    pairs = [("_revinclude", "Provenance:target"), ("_id", "r1")]
    both = [f"{RESPONSE}/r1", f"{PROVENANCE}/r1.1"]
    assert found_ids(stored, RESPONSE, A, pairs) == both
    assert found_ids(stored, RESPONSE, A, pairs, lambda kind: A if kind == RESPONSE else None) == both[:1]


@pytest.mark.parametrize("subject", [about("Patient/b"), {"display": "a"}, None])
def test_nobody_else_may_be_written_about(stored, body, subject):
    with pytest.raises(Forbidden):
        stored.create(body(subject=subject), reach=A)
    for of_id in ("r1", "r2", "no-such"):
        with pytest.raises(Forbidden):
            stored.update(of_id, body(id=of_id, subject=subject), reach=A)
    assert stored.read(RESPONSE, "r1", reach=A).version == 1


OF_B = {"system": "urn:ids", "value": "b-1"}


def test_nobody_is_written_about_under_somebody_elses_identifier(stored, body):
    subject = {**about("Patient/a"), "identifier": OF_B}
    completed = Search(RESPONSE, (Criterion("status", (TokenIs("completed"),)),))
    for condition in (None, completed):
        with pytest.raises(Forbidden, match=r"subject\.identifier"):
            stored.create(body(subject=subject), condition, reach=A)
    with pytest.raises(Forbidden, match=r"subject\.identifier"):
        stored.update("r1", body(id="r1", subject=subject), reach=A)
    assert found_ids(stored, RESPONSE, NORTH, [("subject:identifier", "urn:ids|b-1")]) == []
    assert stored.create(body(subject=subject), reach=NORTH).is_new


def test_an_identifier_that_is_stored_stays_but_takes_no_other_in_its_place(stored, body):
    own = {"system": "urn:ids", "value": "a-1"}
    named = {**about("Patient/a"), "identifier": own}
    stored.update("r1", body(id="r1", subject=named), reach=NORTH)
    for other in (OF_B, {"value": "a-1"}):
        with pytest.raises(Forbidden):
            stored.update("r1", body(id="r1", subject={**named, "identifier": other}), reach=A)
    assert stored.update("r1", body(id="r1", subject=named), reach=A).record.version == 3
    assert found_ids(stored, RESPONSE, A, [("subject:identifier", "urn:ids|a-1")]) == [f"{RESPONSE}/r1"]


@pytest.mark.parametrize("identifier", [{"system": "urn:ids"}, {"use": "official"}])
def test_an_identifier_by_which_nobody_is_found_may_stand_there(stored, body, identifier):
    subject = {**about("Patient/a"), "identifier": identifier}
    assert stored.create(body(subject=subject), reach=A).is_new


def test_a_response_of_another_patient_is_not_there_to_be_taken_over(stored, body):
    for of_id in ("r2", "no-such"):
        with pytest.raises(NotFound):
            stored.update(of_id, body(id=of_id, subject=about("Patient/a")), reach=A)


def test_the_patient_may_be_named_as_the_ehr_does(stored, body):
    named = about("https://ehr.example.org/fhir/Patient/a")
    made = stored.create(body(subject=named), reach=A)
    assert stored.read(RESPONSE, made.record.id, reach=A).version == 1


def test_a_version_filed_with_the_wrong_patient_is_shown_to_neither(stored, body):
    stored.update("r1", body(id="r1", subject=about("Patient/b")), reach=NORTH)
    with pytest.raises(NotFound):
        stored.read_version(RESPONSE, "r1", 1, reach=A)
    with pytest.raises(NotFound):
        stored.read_version(RESPONSE, "r1", 1, reach=B)
    assert [each.version for each in stored.history(RESPONSE, "r1", limit=9, reach=B).records] == [2]


def test_a_condition_is_met_only_by_what_may_be_touched(stored, body):
    completed = Search(RESPONSE, (Criterion("status", (TokenIs("completed"),)),))
    assert stored.create(body(subject=about("Patient/a")), completed, reach=A).record.id == "r1"
    other = Reach("north", ("Patient/c",))
    assert stored.create(body(subject=about("Patient/c")), completed, reach=other).is_new


def test_a_finer_grained_scope_is_enforced_on_what_is_read_found_and_stored(stored, body):
    assert stored.read(RESPONSE, "r1", reach=COMPLETED).id == "r1"
    amended = Reach("north", (), (("status", "amended"),))
    with pytest.raises(NotFound):
        stored.read(RESPONSE, "r1", reach=amended)
    with stored.reading(reach=amended) as view:
        assert view.search(Search(RESPONSE, total=True)).total == 0
    with pytest.raises(Forbidden):
        stored.create(body(subject=about("Patient/a")), reach=amended)
    with stored.reading(reach=NORTH) as view:
        assert view.search(Search(RESPONSE, total=True)).total == 3


@pytest.mark.parametrize("pair", [("no-such", "x"), ("status", ""), ("authored", "never")])
def test_a_scope_that_is_not_understood_gives_nothing(pair):
    with pytest.raises(Forbidden):
        criteria_of(RESPONSE, Reach("north", (), (pair,)), BASE)


def test_what_was_filed_with_the_wrong_patient_leaves_no_trail_to_them(repository, body):
    """It names who the response was by, which is the right patient as a rule."""
    right, wrong = about("Patient/a"), about("Patient/b")
    of_id = repository.create(body(subject=wrong, author=right), reach=NORTH).record.id
    assert repository.read(PROVENANCE, f"{of_id}.1", reach=B)
    repository.update(of_id, body(id=of_id, subject=right, author=right), reach=NORTH)
    for kind in (PROVENANCE, AUDIT):
        with pytest.raises(NotFound):
            repository.read(kind, f"{of_id}.1", reach=B)
        with pytest.raises(NotFound):
            repository.read_version(kind, f"{of_id}.1", 1, reach=B)
        with repository.reading(reach=B) as view:
            page = view.search(Search(kind, (), limit=9, total=True))
        assert (page.records, page.total) == ((), 0)
        assert repository.read(kind, f"{of_id}.2", reach=A)
        assert repository.read(kind, f"{of_id}.1", reach=NORTH)
