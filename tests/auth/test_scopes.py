"""Scopes of SMART: what they permit, and that what is not understood permits nothing (AU08 to AU11, AU13)."""

import pytest

from service.auth.principal import ANONYMOUS, Principal
from service.auth.scopes import scopes_from
from service.errors import Forbidden
from service.records.reach import EVERYTHING, Reach

KIND = "QuestionnaireResponse"
A = ("Patient/A", "https://ehr.example.org/fhir/Patient/A")


def principal(scopes, patients=A):
    return Principal("token", tenant="north", scopes=scopes_from(scopes), patients=patients)


def letters_of(scopes, kind=KIND):
    return "".join(letter for letter in "cruds" if principal(scopes).may_reach(kind, letter) is not None)


@pytest.mark.parametrize(
    ("said", "letters"),
    [
        ("write", "cud"),
        ("read", "rs"),
        ("*", "cruds"),
        ("c", "c"),
        ("cu", "cu"),
        ("cud", "cud"),
        ("r", "r"),
        ("s", "s"),
        ("rs", "rs"),
        ("cruds", "cruds"),
        ("ds", "ds"),
    ],
)
@pytest.mark.parametrize("context", ["patient", "user", "system"])
def test_au08_both_versions_permit_what_they_say(context, said, letters):
    assert letters_of(f"{context}/{KIND}.{said}") == letters


@pytest.mark.parametrize(
    ("said", "refused"), [("c", "rs"), ("r", "s"), ("s", "r"), ("write", "rs"), ("u", "r")]
)
def test_au09_one_permission_does_not_imply_another(said, refused):
    for letter in refused:
        with pytest.raises(Forbidden) as error:
            principal(f"patient/{KIND}.{said}").reach(KIND, letter)
        assert error.value.error == "insufficient_scope"


@pytest.mark.parametrize(
    "scope",
    [
        f"patient/{KIND}.dus",
        f"patient/{KIND}.sr",
        f"patient/{KIND}.rr",
        f"patient/{KIND}.",
        f"patient/{KIND}",
        f"patient/{KIND}.Read",
        f"patient/{KIND}.READ",
        f"patient/{KIND}.R",
        f"patient/{KIND}.reads",
        f"patient/{KIND}.readwrite",
        f"patient/{KIND}.read.write",
        f"patient/{KIND}.cruds*",
        f"patient/{KIND}.**",
        f"patient/{KIND.lower()}.c",
        f"Patient/{KIND}.r",
        f"PATIENT/{KIND}.r",
        f"practitioner/{KIND}.r",
        f"/{KIND}.r",
        f"{KIND}.r",
        f"patient/{KIND}.r\n",
        f"patient/{KIND}.r\tuser/{KIND}.r",
        f"patient/{KIND}.r,user/{KIND}.r",
        f"patient/ {KIND}.r",
        "patient/Questionnaire*.r",
        "patient/**.r",
        "patient/.r",
        "patient/Observation.rs",
        "openid",
        "launch/patient",
        "fhirUser",
        "*",
        "*/*.*",
        "",
    ],
)
def test_au10_what_is_not_defined_permits_nothing(scope):
    assert letters_of(scope) == ""


def test_au10_read_is_never_taken_for_letters():
    assert "d" not in letters_of(f"user/{KIND}.read")


@pytest.mark.parametrize(
    ("scope", "letters"),
    [("patient/*.c", "c"), ("user/*.cruds", "cruds"), ("system/*.rs", "rs"), ("patient/*.*", "cruds")],
)
def test_au10_wildcards_stand_for_every_type(scope, letters):
    assert letters_of(scope) == letters_of(scope, "RiskAssessment") == letters


def test_au11_a_patient_scope_without_patient_reaches_nothing():
    with pytest.raises(Forbidden):
        principal(f"patient/{KIND}.cruds", patients=()).reach(KIND, "r")


@pytest.mark.parametrize("context", ["user", "system"])
def test_au11_other_scopes_need_no_patient(context):
    assert principal(f"{context}/{KIND}.rs", patients=()).reach(KIND, "rs") == Reach("north")


def test_a_patient_scope_reaches_the_one_patient_of_the_tenant():
    assert principal(f"patient/{KIND}.rs").reach(KIND, "s") == Reach("north", A)


def test_a_wider_scope_beside_it_reaches_all_patients_for_its_own_letters_alone():
    both = principal(f"patient/{KIND}.rs user/{KIND}.r")
    assert both.reach(KIND, "r") == Reach("north")
    assert both.reach(KIND, "s") == Reach("north", A)
    assert both.reach(KIND, "rs") == Reach("north", A)


def test_letters_of_two_contexts_do_not_add_up():
    with pytest.raises(Forbidden):
        principal(f"patient/{KIND}.s user/{KIND}.r").reach(KIND, "rs")


@pytest.mark.parametrize(
    "query", ["status=completed", "", "?", "status=completed&author=Practitioner/1", "%73tatus=completed"]
)
def test_au13_a_granular_scope_is_not_granted(query):
    assert letters_of(f"patient/{KIND}.rs?{query}") == ""


def test_no_more_scopes_are_read_than_a_token_has():
    assert letters_of(f"{'x ' * 200}user/{KIND}.r") == ""


def test_a_refusal_names_the_scope_and_the_right_reason():
    with pytest.raises(Forbidden, match=rf"user/{KIND}\.c"):
        principal("openid").reach(KIND, "c")


def test_what_belongs_to_no_type_needs_a_token_alone():
    assert principal("").reach("", "") == Reach("north")


def test_a_type_without_letters_is_permitted_to_nobody():
    with pytest.raises(Forbidden):
        principal("user/*.cruds").reach(KIND, "")


def test_without_access_control_everything_is_reached():
    assert ANONYMOUS.reach(KIND, "cruds") is EVERYTHING
    assert ANONYMOUS.may_reach("RiskAssessment", "s") is EVERYTHING
