"""To two tenants one reference may be two people: a command touches the data of the tenant that it names."""

import json
from itertools import count

import orjson
import pytest
from fhir_client import BASE, STORED

from service import cli
from service.records import APPEND_ONLY, Reach, Repository

PATIENT = "Patient/canary-7"
ONE = dict.fromkeys(STORED, 1)
UNCLEAR = "error: --tenant: expected one of whom something is stored: north, south.\n"
LONG_AGO = 1_600_000_000_000_000


@pytest.fixture
def kept(url, open_one):
    return open_one(url, append_only=APPEND_ONLY)


@pytest.fixture
def put(kept, assessor, root):
    """Returns a function that stores a response of the patient; every tenant's ids are r1, r2 ..."""
    body = orjson.dumps(
        orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes())
        | {"subject": {"reference": PATIENT}}
    )
    of_tenants = {}

    def stored(tenant, now=LONG_AGO):
        numbers = of_tenants.setdefault(tenant, count(1))
        names = f"r{next(numbers)}"
        repository = Repository(kept, assessor, BASE, clock=lambda: now, new_id=lambda: names)
        repository.create(body, reach=Reach(tenant))

    return stored


@pytest.fixture
def run(url, monkeypatch, capsys):
    monkeypatch.setenv("SERVICE_STORE_URL", url)
    monkeypatch.setenv("SERVICE_BASE_URL", BASE)

    def done(*arguments):
        capsys.readouterr()
        return cli.main(arguments), *capsys.readouterr()

    return done


def bodies(store, tenant):
    """Returns every record of a tenant, byte for byte."""
    with store.erasing(tenant) as view:
        names = [name for kind in STORED for name in view.unchanged(kind, since=2**62, limit=99)]
    with store.reading(tenant) as view:
        return {name: view.read(*name).body for name in names}


@pytest.mark.parametrize("whom", [[PATIENT], ["--response", "r1"]])
def test_the_same_patient_and_ids_of_another_tenant_stay(put, kept, run, whom):
    for tenant in ("north", "south", ""):
        put(tenant)
    others = bodies(kept, "south"), bodies(kept, "")
    assert [len(each) for each in others] == [4, 4]
    assert run("erase", *whom, "--tenant", "north") == (
        1,
        json.dumps(ONE, separators=(",", ":"), sort_keys=True) + "\n",
        "Nothing was deleted: --yes deletes so many versions, for good.\n",
    )
    assert len(bodies(kept, "north")) == 4
    code, out, _ = run("erase", *whom, "--tenant", "north", "--yes")
    assert (code, json.loads(out)) == (0, ONE)
    assert (bodies(kept, "south"), bodies(kept, "")) == others
    (of_erasure,) = bodies(kept, "north").items()  # told to the tenant whose data it was
    assert of_erasure[0][0] == "AuditEvent"
    assert b"canary" not in of_erasure[1]


def test_only_the_data_of_the_tenant_is_given_out(put, run):
    put("north")
    put("south")
    put("south")
    lines = {
        tenant: run("export", PATIENT, "--tenant", tenant)[1].splitlines() for tenant in ("north", "south")
    }
    assert {tenant: len(found) for tenant, found in lines.items()} == {"north": 4, "south": 8}


@pytest.mark.parametrize("command", [["export", PATIENT], ["erase", PATIENT], ["erase", PATIENT, "--yes"]])
@pytest.mark.parametrize("named", [[], ["--tenant", ""], ["--tenant", "canary"]])
def test_it_must_be_clear_whose_data_is_meant(put, kept, run, command, named):
    """A name that is mistyped does not look like a person of whom nothing is stored, and is not repeated."""
    put("north")
    put("south")
    assert run(*command, *named) == (2, "", UNCLEAR)
    assert len(bodies(kept, "north")) == len(bodies(kept, "south")) == 4


def test_what_was_stored_without_a_tenant_is_named_by_an_empty_name(put, kept, run):
    put("north")
    put("")
    code, _, notes = run("erase", PATIENT, "--yes")
    assert code == 2
    assert notes.endswith("north. An empty name stands for what was stored without a tenant.\n")
    assert run("erase", PATIENT, "--tenant", "", "--yes")[0] == 0
    assert len(bodies(kept, "north")) == 4


def test_where_no_tenant_has_a_name_none_is_needed(put, run):
    assert run("export", PATIENT)[2] == "Nothing refers to this person.\n"
    put("")
    refusal = "error: --tenant: expected none, as nothing is stored of a tenant with a name.\n"
    assert run("erase", PATIENT, "--tenant", "north", "--yes") == (2, "", refusal)
    assert json.loads(run("erase", PATIENT, "--yes")[1]) == ONE


def test_what_is_old_ends_for_all_tenants(put, kept, run, monkeypatch):
    recent = 4 * LONG_AGO  # in the year 2172
    for tenant in ("north", "south", ""):
        put(tenant)
    put("south", recent)
    monkeypatch.setenv("SERVICE_RETENTION_DAYS", "30")
    monkeypatch.setenv("SERVICE_AUDIT_RETENTION_DAYS", "30")
    code, out, _ = run("expire")
    assert (code, json.loads(out)) == (0, dict.fromkeys(STORED, 3))
    assert {name[1] for name in bodies(kept, "south")} == {"r2", "r2.1"}
    assert bodies(kept, "north") == bodies(kept, "") == {}
