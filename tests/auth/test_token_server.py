"""Tokens of a real authorisation server, npm `oidc-provider`: signed, and such as must be asked about."""

import pytest
from token_server import EHR, registry, running_tokens

from service.auth.ehrs import asked_origins, read_ehrs
from service.auth.keys import KeySets
from service.auth.tokens import TokenChecks
from service.errors import Unauthenticated
from service.outbound import Outbound
from service.records.reach import Reach

BASE = "https://forms.example.org/fhir"
SCOPES = ("system/*.cruds", "patient/QuestionnaireResponse.crus")
KIND = "QuestionnaireResponse"
PATIENT = Reach("north", ("Patient/p1", f"{EHR}/Patient/p1"))


def checks_of(folder, server, *, asks=False):
    """Composes the checks of a registry that names the server, as a deployment does."""
    ehrs = read_ehrs(registry(folder, server, BASE, asks=asks), server="https://forms.example.org", forms=())
    outbound = Outbound(asked_origins(ehrs))
    return TokenChecks(ehrs, KeySets(outbound), outbound)


@pytest.fixture
def signed(tmp_path):
    with running_tokens(BASE, SCOPES, patient="p1") as server:
        yield server, checks_of(tmp_path, server)


def test_tokens_of_programs_and_of_people_are_taken(signed):
    """AU11: Backend Services reach all patients of the tenant, the app of a patient that one."""
    server, checks = signed
    program = checks.principal(server.for_program("system/*.cruds"))
    assert (program.tenant, program.client_id, program.reach(KIND, "cruds")) == (
        "north",
        "the-program",
        Reach("north"),
    )
    person = checks.principal(server.for_person(SCOPES[1]))
    assert (person.subject, person.client_id) == ("somebody", "the-app")
    assert person.reach(KIND, "crus") == PATIENT
    assert person.may_reach("RiskAssessment", "r") is None


def test_a_token_for_another_service_is_refused(signed):
    """AU04."""
    server, checks = signed
    with pytest.raises(Unauthenticated):
        checks.principal(server.for_program("system/*.cruds", "https://other.example.org/fhir"))


def test_a_key_that_was_withdrawn_signs_nothing_more(signed):
    """AU07: the first token of a new key has the set fetched again, which has the old key no more."""
    server, checks = signed
    seen, unseen = server.for_program("system/*.cruds"), server.for_person(SCOPES[1])
    assert checks.principal(seen).client_id == "the-program"
    server.rotate()
    assert checks.principal(server.for_program("system/*.cruds")).client_id == "the-program"
    with pytest.raises(Unauthenticated):
        checks.principal(unseen)


def test_tokens_that_are_asked_about_are_taken_until_they_are_withdrawn(tmp_path):
    """AU14."""
    with running_tokens(BASE, SCOPES, patient="p1", format_="opaque") as server:
        checks = checks_of(tmp_path, server, asks=True)
        token = server.for_person(SCOPES[1])
        assert checks.principal(token).reach(KIND, "crus") == PATIENT
        withdrawn = server.for_person(SCOPES[1])
        server.revoke(withdrawn)
        with pytest.raises(Unauthenticated):
            checks.principal(withdrawn)
        with pytest.raises(Unauthenticated):
            checks.principal(server.for_person(SCOPES[1], "https://other.example.org/fhir"))
