"""ER02, ER03: every problem is an issue, every kind of problem has an issue-type and a published code."""

import ast
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import service
from service.errors import MOST_OF_A_KIND, Problem, ProblemList
from service.fhir.definitions import FOLDER, PROBLEM_KIND
from service.fhir.outcome import MOST_ISSUES, operation_outcome, problem_kinds, severity

SERVICE = Path(service.__file__).parent


def test_an_issue_says_what_where_and_which_kind(union):
    outcome = operation_outcome(
        [
            Problem("code", "status: expected one of the codes a, b.", "QuestionnaireResponse.status"),
            Problem("json", "The body is not JSON.", severity="fatal"),
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
    assert [issue["severity"] for issue in outcome["issue"]] == ["information"]
    assert union([outcome]) == [[]]


def test_more_problems_than_anyone_reads_are_counted():
    outcome = operation_outcome([Problem("format", "x")] * (MOST_ISSUES + 7))
    assert len(outcome["issue"]) == MOST_ISSUES + 1
    last = outcome["issue"][-1]
    assert (last["severity"], last["diagnostics"]) == ("information", "7 further problems are not listed.")


def test_what_was_not_even_kept_is_counted_too():
    found = ProblemList()
    for _ in range(MOST_OF_A_KIND + 7):
        found.keep(Problem("format", "x"))
    found.keep(Problem("code", "y"))
    outcome = operation_outcome(found.listed())
    assert {issue["details"]["coding"][0]["code"] for issue in outcome["issue"]} == {
        "format",
        "more-problems",
    }
    last = outcome["issue"][-1]
    assert (last["severity"], last["diagnostics"]) == (
        "information",
        "At least 8 further problems are not listed.",
    )


@pytest.mark.parametrize("level", ["fatal", "error", "warning", "information"])
def test_what_is_left_out_is_never_worse_than_what_is_said(level):
    many = [Problem("item-text", "x", severity="information")] * MOST_ISSUES
    assert (
        operation_outcome([*many, Problem("format", "y", severity=level)])["issue"][-1]["severity"] == level
    )


def test_of_each_kind_and_severity_some_are_kept_so_that_no_verdict_changes():
    found = ProblemList()
    for level in ("warning", "error"):
        for _ in range(MOST_OF_A_KIND + 1):
            found.keep(Problem("constraint", "x", severity=level))
    kept = Counter(problem.severity for problem in found.listed())
    assert kept == {"warning": MOST_OF_A_KIND, "error": MOST_OF_A_KIND, "information": 1}


def test_an_unknown_kind_is_still_an_issue():
    assert operation_outcome([Problem("never-seen", "x")])["issue"][0]["code"] == "processing"


MAKERS = {"Problem", "Fault", "Refused", "problem", "report", "_problem", "_refuse", "_report"}
"""What takes a kind of problem as its first argument."""


def texts(node: ast.AST | None) -> Iterator[str]:
    """Yields the text that an expression is; of `a if b else c`, both; of a tuple, its first."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Tuple) and node.elts:
        yield from texts(node.elts[0])


def name_called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_kind(target: ast.expr) -> bool:
    first = target.elts[0] if isinstance(target, ast.Tuple) else target
    return isinstance(first, ast.Name) and first.id in ("kind", "fault")


def kinds_in(node: ast.AST) -> Iterator[str]:
    """Yields the kinds that one node names: where a problem is made, yielded in parts, or its kind chosen."""
    if isinstance(node, ast.Call):
        if name_called(node) in MAKERS and node.args:
            yield from texts(node.args[0])
        named = (word for word in node.keywords if word.arg in ("fault", "kind"))
        if name_called(node) == "RecordedRequest":  # what the audit trail says of a request
            return
        yield from (text for word in named for text in texts(word.value))
    elif isinstance(node, ast.arguments):
        usual = zip(reversed(node.args), reversed(node.defaults), strict=False)
        yield from (text for arg, value in usual if arg.arg == "kind" for text in texts(value))
    elif isinstance(node, ast.FunctionDef) and node.name.endswith("_faults"):
        yields = (inner for inner in ast.walk(node) if isinstance(inner, ast.Yield))
        yield from (text for inner in yields for text in texts(inner.value))
    elif isinstance(node, ast.Assign) and is_kind(node.targets[0]):
        # What begins with a capital is a kind of resource.
        yield from (text for text in texts(node.value) if not text[:1].isupper())


def nodes() -> Iterator[ast.AST]:
    """Yields the program's nodes; guidance is no FHIR, and what is wrong with it is no Problem."""
    for path in SERVICE.rglob("*.py"):
        if "guidance" not in path.parts:
            yield from ast.walk(ast.parse(path.read_text()))


def test_the_published_code_system_has_the_kinds_of_the_code_and_no_other():
    assert {kind for node in nodes() for kind in kinds_in(node)} == set(problem_kinds())


def severity_stated(problem: ast.Call) -> Iterator[str]:
    """Yields the severity that a call of `Problem` states as text."""
    named = [word.value for word in problem.keywords if word.arg == "severity"]
    stated = named or problem.args[3:4]
    yield from texts(stated[0]) if stated else ("error",)


def test_a_problem_that_is_made_with_a_severity_has_the_published_one():
    made = {
        (kind, stated)
        for node in nodes()
        if isinstance(node, ast.Call) and name_called(node) == "Problem" and node.args
        for kind in texts(node.args[0])
        for stated in severity_stated(node)
    }
    assert len(made) > 50
    assert made - {(code, kind.severity) for code, kind in problem_kinds().items()} == set()


def test_the_published_code_system_is_whole():
    published = json.loads((FOLDER / "CodeSystem-problem-kind.json").read_text())
    codes = [concept["code"] for concept in published["concept"]]
    assert published["url"] == PROBLEM_KIND
    assert published["count"] == len(codes) == len(set(codes))
    assert all(concept["display"] for concept in published["concept"])
    declared = [stated["code"] for stated in published["property"]]
    for concept in published["concept"]:
        assert [stated["code"] for stated in concept["property"]] == declared


def test_a_kind_has_a_usual_severity():
    assert severity("item-unknown") == "error"
    assert severity("display-wrong") == "warning"
    assert severity("constraint-undecided") == "information"
    assert severity("never-seen") == "error"


@pytest.mark.parametrize("issue_type", sorted({kind.issue_type for kind in problem_kinds().values()}))
def test_er02_every_issue_type_is_one_of_r4(union, issue_type):
    kind = next(code for code, kind in problem_kinds().items() if kind.issue_type == issue_type)
    assert union([operation_outcome([Problem(kind, "x")])]) == [[]]
