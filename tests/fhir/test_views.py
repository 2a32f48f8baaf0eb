"""The other views of one result: every reason as JSON, and how files show JSON."""

import json
from decimal import Decimal

from service.datatypes.answers import UNREAD, Uncoded
from service.datatypes.values import replace
from service.guidance.arguments import Minimal
from service.guidance.changes import Change, Changes, Counterfactual
from service.guidance.result import Interval
from service.results import Why, explained, indented
from service.results.explanation import view


def test_explain_has_every_part_of_the_result(guidance, troubled, answers):
    shown = json.loads(explained(guidance, troubled, answers), parse_float=Decimal)
    assert shown["guidance"]["canonical"] == f"{guidance.written.identity.url}|1.2.0"
    assert shown["tier"] == {"at-least": "soon", "at-most": "now", "settled": False, "assessable": True}
    assert shown["reasons"][0]["rule"] == "cough-is-soon"
    assert shown["reasons"][0]["tier"] == "soon"
    assert shown["risks"][1] == {
        "outcome": "other",
        "at-least": "some",
        "at-most": "some",
        "settled": True,
        "listed": True,
        "reasons": [shown["risks"][1]["reasons"][0]],
    }
    assert shown["risks"][1]["reasons"][0]["tier"] is None
    assert shown["open"] == [{"linkId": "fever", "moves": ["tier", "a-score"], "red-flag": True}]
    assert shown["contradictions"] == [{"code": "fever-and-none", "between": ["fever", "no-fever"]}]
    assert shown["tables"][0]["rows"]["row-2"] == "both"
    assert shown["scores"][0]["at-most"] == Decimal("3.0")
    assert [advice["name"] for advice in shown["advice"]] == ["rest", "outlook", "film"]
    assert shown["ignored"] == ["pain", "not-in-the-form"]
    assert shown["findings"] == {"fever": "present", "rash": "unknown"}
    assert shown["settled"] is False


def test_explain_names_what_minimal_reasons_force_and_whether_these_are_all(guidance, troubled, answers):
    minimal = [
        Minimal("tier", 2, (("fever",), ("days", "pain")), finished=True),
        Minimal("other", 1, (), finished=False),
    ]
    assert view(guidance, troubled, answers, Why(tuple(minimal)))["minimal-reasons"] == [
        {"of": "tier", "forces": "soon", "finished": True, "answers": [["fever"], ["days", "pain"]]},
        {"of": "other", "forces": "some", "finished": False, "answers": []},
    ]


def test_explain_names_other_answers_with_the_step_that_they_lead_to(guidance, troubled, answers):
    one = Counterfactual((Change("pain", (3,)), Change("note", ())), Interval(1, 2))
    shown = view(guidance, troubled, answers, Why((), Changes((one,), 2, finished=True)))
    assert shown["lower"] == {
        "changes": [
            {
                "says": "pain from 0 to 10: 3; note: no answer \u2192 Home \u2026 Soon",
                "answers": {"pain": [3], "note": []},
                "tier": {"at-least": "home", "at-most": "soon", "settled": False},
            }
        ],
        "within": 2,
        "finished": True,
    }
    assert shown["higher"] == {"changes": [], "within": 0, "finished": False}


def test_explain_shows_the_answers_as_they_were_read(guidance, troubled, answers):
    assert view(guidance, troubled, answers)["answers"] == {
        "given": {
            "fever": [{"system": "http://loinc.org", "code": "LA33-6"}],
            "days": [{"value": Decimal("2.50"), "unit": "d"}],
            "pain": [0],
            "note": ["free text"],
        },
        "chart": {"crp": [{"value": Decimal(12), "unit": "mg/L"}]},
        "ignored": {"cough": [{"system": "http://loinc.org", "code": "LA32-8"}]},
        "closed": ["ph"],
    }
    assert '"value": 2.50' in explained(guidance, troubled, answers)


def test_explain_shows_an_option_without_a_code_by_its_display_and_what_is_unread_as_nothing(
    guidance, troubled, answers
):
    given = {"fever": (Uncoded("", "A little"), UNREAD), "pain": (Uncoded("http://example.org", "A lot"),)}
    assert view(guidance, troubled, replace(answers, given=given))["answers"]["given"] == {
        "fever": [{"system": "", "display": "A little"}, None],
        "pain": [{"system": "http://example.org", "display": "A lot"}],
    }


def test_indented_json_keeps_the_digits_of_its_numbers():
    assert indented(b'{"a":2.00}') == '{\n  "a": 2.00\n}\n'
