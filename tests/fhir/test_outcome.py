"""ER02, ER03: every problem is an issue, every kind of problem has an issue-type and a published code."""

import ast
import json
from pathlib import Path

import pytest

import service
from service.errors import Problem
from service.fhir import kinds
from service.fhir.definitions import FOLDER, PROBLEM_KIND
from service.fhir.outcome import ISSUE_TYPE, MOST_ISSUES, operation_outcome
from service.questionnaire import KINDS

SERVICE = Path(service.__file__).parent


def test_an_issue_says_what_where_and_which_kind(union):
    outcome = operation_outcome(
        [
            Problem(kinds.CODE, "status: expected one of the codes a, b.", "QuestionnaireResponse.status"),
            Problem(kinds.JSON, "The body is not JSON.", severity="fatal"),
        ]
    )
    assert outcome["issue"] == [
        {
            "severity": "error",
            "code": "code-invalid",
            "details": {"coding": [{"system": PROBLEM_KIND, "code": "code"}]},
            "diagnostics": "status: expected one of the codes a, b.",
            "expression": ["QuestionnaireResponse.status"],
        },
        {
            "severity": "fatal",
            "code": "structure",
            "details": {"coding": [{"system": PROBLEM_KIND, "code": "json"}]},
            "diagnostics": "The body is not JSON.",
        },
    ]
    assert union([outcome]) == [[]]


def test_without_a_problem_it_says_so(union):
    outcome = operation_outcome([])
    assert [each["severity"] for each in outcome["issue"]] == ["information"]
    assert union([outcome]) == [[]]


def test_more_problems_than_anyone_reads_are_counted():
    outcome = operation_outcome([Problem(kinds.FORMAT, "x")] * (MOST_ISSUES + 7))
    assert len(outcome["issue"]) == MOST_ISSUES + 1
    last = outcome["issue"][-1]
    assert (last["severity"], last["diagnostics"]) == ("information", "7 further problems are not listed.")


def test_an_unknown_kind_is_still_an_issue():
    assert operation_outcome([Problem("never-seen", "x")])["issue"][0]["code"] == "processing"


def literal_kinds() -> dict[str, set[str]]:
    """Kinds that are written as text where a Problem is made, by module."""
    found: dict[str, set[str]] = {}
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and node.args:
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    found.setdefault(path.name, set()).add(kind.value)
    return found


CATALOGUE = {"questionnaire-missing", "questionnaire-unknown", "questionnaire-version"}
OWN = {value for name, value in vars(kinds).items() if name.isupper()}


def test_every_kind_that_the_code_uses_has_an_issue_type():
    written = set().union(*literal_kinds().values())
    assert "status-not-scorable" in written
    assert written - ISSUE_TYPE.keys() == set()
    assert OWN - ISSUE_TYPE.keys() == set()
    assert CATALOGUE - ISSUE_TYPE.keys() == set()


def test_the_kinds_of_the_questionnaire_room_have_the_issue_types_that_it_states():
    assert {kind: ISSUE_TYPE.get(kind) for kind in KINDS} == {kind: KINDS[kind][0] for kind in KINDS}


def test_no_kind_is_left_over():
    used = set().union(*literal_kinds().values(), OWN, CATALOGUE, KINDS)
    assert ISSUE_TYPE.keys() - used == set()


def test_the_published_code_system_is_the_table():
    published = json.loads((FOLDER / "CodeSystem-problem-kind.json").read_text())
    table = {each["code"]: each["property"][0]["valueCode"] for each in published["concept"]}
    assert published["url"] == PROBLEM_KIND
    assert table == dict(ISSUE_TYPE)
    assert published["count"] == len(table) == len(published["concept"])


@pytest.mark.parametrize("issue_type", sorted(set(ISSUE_TYPE.values())))
def test_er02_every_issue_type_is_one_of_r4(union, issue_type):
    kind = next(kind for kind, code in ISSUE_TYPE.items() if code == issue_type)
    assert union([operation_outcome([Problem(kind, "x")])]) == [[]]
