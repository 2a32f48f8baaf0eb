"""Proofs: promises hold for every response, and one that does not is refuted by a response."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dated_headache
import headache
import pytest
from patience import PATIENCE_S

from service import check
from service.guidance import load
from service.guidance.conditions import Answered, Group, Is, Measured, Switch
from service.proofs import prove
from service.questionnaire import compile_questionnaire
from service.terminology import value_sets_from

ROOT = Path(__file__).resolve().parents[2]

YES_ONLY = {
    "head-side": Is("head-pain", ("yes",)),
    "head-since": Is("head-pain", ("yes",)),
    "tense-jaw": Group("all", (Is("tense", ("yes",)),)),
}

Change = Callable[[dict[str, Any]], None]


def failures(
    change: Change = lambda documents: None, asked: Any = None, documents: dict[str, Any] | None = None
) -> list[str]:
    documents = documents or headache.documents()
    change(documents)
    documents["cases"] = []
    return [proof.line for proof in prove(load(documents, headache.form()), asked).failed]


def entry(documents: dict[str, Any], file: str, key: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in documents[file] if entry[key] == name)
    return found


def promises(*written: dict[str, Any]) -> Change:
    def change(documents: dict[str, Any]) -> None:
        documents["guidance"]["promises"] = list(written)

    return change


def test_every_promise_of_the_fixture_is_proved():
    assert failures(asked=YES_ONLY) == []
    report = prove(headache.guidance(), YES_ONLY)
    assert report.lines == (f"{len(report.proofs)} of {len(report.proofs)} promises proved",)
    assert report.proofs[0].line == "proved: alarms-are-soon: the tier is then at least soon"


def test_a_tier_that_a_finding_does_not_reach_is_refuted_by_the_answers():
    written = {"promise": "worse-is-soon", "when": "gets-worse", "tier-at-least": "soon"}
    (failure,) = failures(promises(written, {"promise": "none", "never-lowers-tier": ["alarm"]}))
    assert failure.startswith("FAILED: worse-is-soon: the tier is then at least soon (for example: ")
    assert "worse: LA33-6" in failure or "worse: LA12688-0" in failure  # yes or not sure


def test_a_tier_without_its_condition_is_refuted_by_the_answers():
    written = {"promise": "rest-only-when-checked", "tier": "rest", "only-if": "was-checked"}
    (failure,) = failures(promises(written, {"promise": "none", "never-lowers-tier": ["alarm"]}))
    assert failure.startswith("FAILED: rest-only-when-checked: the tier is rest only then")


def test_a_finding_that_lowers_the_tier_is_found():
    (failure,) = [
        line
        for line in failures(promises({"promise": "p", "never-lowers-tier": ["helper"]}))
        if "no-pain" in line
    ]
    assert "p: no-pain never lowers the tier" in failure
    assert "head-pain: LA33-6; worse: LA" in failure  # yes or not sure


def test_a_finding_that_lowers_the_tier_to_one_that_is_not_the_lowest_is_found():
    def soothe(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "worse-soon")["when"]["all"].append({"not": "strong-pain"})
        documents["guidance"]["promises"] = [{"promise": "p", "never-lowers-tier": ["trigger"]}]

    assert failures(promises({"promise": "p", "never-lowers-tier": ["trigger"]})) == []
    (failure,) = failures(soothe)
    assert failure.startswith("FAILED: p: strong-pain never lowers the tier")


def test_without_such_a_promise_no_finding_at_all_may_lower_the_tier():
    names = [line.split(": ")[2].split()[0] for line in failures(promises())]
    assert names == ["mild-pain", "no-pain"]


def test_a_declared_exception_may_cancel_its_rules():
    def undeclared(documents: dict[str, Any]) -> None:
        documents["guidance"]["exceptions"] = []
        documents["guidance"]["promises"] = []

    assert any("was-checked never lowers the tier" in line for line in failures(undeclared))


def test_a_recorded_finding_that_changes_the_tier_is_found():
    def read_the_note(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "signs-plan")["when"]["any"].append("wrote-a-note")

    (failure,) = failures(read_the_note)
    assert failure.startswith("FAILED: notes-change-nothing: wrote-a-note never changes the tier")


def test_a_rule_that_is_always_overruled_is_found():
    def hide(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "signs-plan")["when"] = {"all": ["sudden-pain", "strong-pain"]}
        for name in ("several-signs", "low-iron", "tense-and-worse", "much-screen"):
            entry(documents, "findings", "finding", name)["kind"] = "recorded"

    assert "FAILED: the rule signs-plan can decide the tier" in failures(hide)


def test_a_level_that_no_response_reaches_is_found():
    def shadow(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "eyes-high")["when"] = {"all": ["no-pain", {"not": "no-pain"}]}
        for name in ("new-glasses", "at-the-front"):
            entry(documents, "findings", "finding", name)["kind"] = "recorded"

    assert failures(shadow) == [
        "FAILED: the rule eyes-high can decide eyes",
        "FAILED: the level high of eyes can be reached",
    ]


def test_a_rule_that_needs_answers_to_questions_never_asked_together_is_found():
    def impossible(documents: dict[str, Any]) -> None:
        when = {"all": [{"answer": "head-pain", "is": "no"}, {"answer": "head-side", "is": "left"}]}
        entry(documents, "rules", "rule", "eyes-high")["when"] = when
        for name in ("new-glasses", "at-the-front"):
            entry(documents, "findings", "finding", name)["kind"] = "recorded"

    assert failures(impossible) == []
    assert "FAILED: the rule eyes-high can decide eyes" in failures(impossible, YES_ONLY)


def any_pain_is_soon(promised_when: Any) -> Change:
    def change(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "alarms-soon")["when"]["any"].append(
            {"answer": "head-pain", "is": "yes"}
        )
        promise = {"promise": "p", "when": promised_when, "tier-at-least": "soon"}
        documents["guidance"]["promises"] = [promise, {"promise": "q", "never-lowers-tier": ["alarm"]}]

    return change


def test_a_question_is_not_answered_where_the_one_that_opens_it_rules_it_out():
    both = any_pain_is_soon({"all": ["one-sided", "no-pain"]})
    assert "FAILED: p:" not in " ".join(failures(both, YES_ONLY))
    assert "FAILED: p:" in " ".join(failures(both))


def test_a_question_may_be_answered_where_the_one_that_opens_it_cannot_be_read():
    (failure,) = [line for line in failures(any_pain_is_soon("one-sided"), YES_ONLY) if "FAILED: p:" in line]
    assert "head-pain" not in failure


def test_what_holds_is_proved_for_every_setting_of_a_switch():
    def switched(documents: dict[str, Any]) -> None:
        entry(documents, "rules", "rule", "alarms-soon")["when"]["any"][0] = {
            "all": [{"parameter": "overlay"}, "sudden-pain"]
        }

    assert any("alarms-are-soon" in line for line in failures(switched))


def test_a_contradiction_counts_in_the_proofs():
    def only_by_contradiction(documents: dict[str, Any]) -> None:
        documents["guidance"]["promises"] = [
            {
                "promise": "p",
                "when": {"all": [{"answer": "head-side", "is": "back"}, "strong-pain"]},
                "tier-at-least": "soon",
            },
            {"promise": "q", "never-lowers-tier": ["alarm"]},
        ]

    assert failures(only_by_contradiction) == []


@pytest.mark.parametrize(
    "condition",
    [
        Group("any", (Is("sudden", (True,)), Is("head-pain", ("yes",)))),
        Group("none", (Is("head-pain", ("no", "not-sure")),)),
        Group("not", (Is("glasses", ("new",)),)),
        Measured("strength", ">=", ()),
        Answered("glasses"),
    ],
)
def test_questions_may_be_asked_under_any_condition_on_answers(condition: Any) -> None:
    assert failures(asked={"head-since": condition, "note": Answered("checked")}) == []


def test_a_question_that_opens_another_may_be_one_that_nothing_reads():
    def unread(documents: dict[str, Any]) -> None:
        findings = documents["findings"]
        documents["findings"] = [finding for finding in findings if finding["finding"] != "wrote-a-note"]

    asked = {"head-since": Answered("note"), "note": Answered("checked")}
    assert failures(unread, asked) == []


def test_a_condition_that_is_not_about_answers_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="a question is asked by what is answered"):
        failures(asked={"note": Switch("overlay")})


def test_proofs_are_skipped_in_one_line_where_the_solver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "can_prove", lambda: False)
    lines, sound = check.proof_report(headache.guidance(), YES_ONLY)
    assert (lines, sound) == (("proofs skipped: z3-solver is not installed",), True)


def test_the_program_starts_where_the_solver_is_missing() -> None:
    program = "import sys; sys.modules['z3'] = None; import service.cli"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=PATIENCE_S)


def test_when_questions_are_asked_is_read_off_the_questionnaire():
    def item(link_id: str, kind: str = "boolean", **more: Any) -> dict[str, Any]:
        return {"linkId": link_id, "text": link_id, "type": kind, **more}

    def when(question: str, operator: str, **answer: Any) -> dict[str, Any]:
        return {"question": question, "operator": operator, **answer}

    options = [{"valueCoding": {"system": headache.SYSTEM, "code": code}} for code in ("one", "two", "three")]
    coding = {"answerCoding": {"system": headache.SYSTEM, "code": "one"}}
    compiled = compile_questionnaire(
        {
            "resourceType": "Questionnaire",
            "url": "https://guidance.example.org/fhir/Questionnaire/asked",
            "version": "1",
            "title": "Asked",
            "name": "Asked",
            "status": "active",
            "item": [
                item("a"),
                item("b", "choice", answerOption=options),
                item("n", "integer"),
                item(
                    "c",
                    enableWhen=[when("a", "=", answerBoolean=True), when("b", "=", **coding)],
                    enableBehavior="any",
                ),
                item("d", enableWhen=[when("b", "!=", **coding)]),
                item("e", enableWhen=[when("b", "exists", answerBoolean=False)]),
                item("f", "group", enableWhen=[when("b", "exists", answerBoolean=True)], item=[item("g")]),
                item("h", enableWhen=[when("n", ">=", answerInteger=3)]),
            ],
        },
        value_sets_from(()),
    )

    def alone(*parts: Any, word: str = "all") -> Group:
        return Group("all", (Group(word, parts),))

    assert check.asked_when(compiled) == {
        "c": alone(Is("a", (True,)), Is("b", ("one",)), word="any"),
        "d": alone(Is("b", ("two", "three"))),
        "e": alone(Group("not", (Answered("b"),))),
        "g": alone(Answered("b")),
        "h": alone(Measured("n", ">=", ())),
    }


# Dates.


def dated_failures(change: Change = lambda documents: None) -> list[str]:
    return failures(change, YES_ONLY, dated_headache.documents())


def test_a_finding_that_brings_nothing_down_and_nothing_back_is_proved() -> None:
    assert dated_failures() == []
    lines = [proof.line for proof in prove(dated_headache.guidance(), YES_ONLY).proofs]
    words = "stiff-neck, unsure or present, neither lowers the tier nor makes it later"
    assert f"proved: alarms-never-later: {words}" in lines


def test_a_finding_that_raises_the_step_but_makes_the_date_later_is_found() -> None:
    def sooner_without(documents: dict[str, Any]) -> None:
        plan = entry(documents, "rules", "rule", "signs-plan")
        plan["when"]["any"].append({"all": ["sudden-pain", {"not": "stiff-neck"}]})
        plan["within"] = {"parameter": "within-sooner"}
        entry(documents, "rules", "rule", "now-on-overlay")["when"] = {"all": ["overlay-alarm", "one-sided"]}

    (failure,) = dated_failures(sooner_without)
    assert "alarms-never-later: stiff-neck, unsure or present, neither lowers the tier nor" in failure


def test_a_finding_that_lowers_the_step_breaks_the_promise_that_it_is_never_later() -> None:
    def lower(documents: dict[str, Any]) -> None:
        documents["guidance"]["promises"][-1]["never-later"] = ["helper"]

    names = [line.split(": ")[2].split(",")[0] for line in dated_failures(lower)]
    assert {"no-pain", "mild-pain"} <= set(names)
    assert "was-checked" not in names  # it may cancel its rule


def test_a_finding_that_is_never_later_only_while_a_switch_is_on_is_found() -> None:
    def switched(documents: dict[str, Any]) -> None:
        plan = entry(documents, "rules", "rule", "signs-plan")
        plan["when"]["any"].append({"all": ["sudden-pain", {"not": "stiff-neck"}]})
        plan["within"] = {"parameter": "within-now"}
        documents["guidance"]["parameters"].pop("within-plan")
        documents["guidance"]["tiers"][1].pop("within")
        entry(documents, "rules", "rule", "signs-plan")["when"]["any"][-1]["all"].append(
            {"parameter": "overlay"}
        )

    assert dated_failures(switched) == []

    def switched_the_other_way(documents: dict[str, Any]) -> None:
        switched(documents)
        entry(documents, "rules", "rule", "signs-plan")["when"]["any"][-1]["all"][-1] = {
            "not": {"parameter": "overlay"}
        }

    (failure,) = dated_failures(switched_the_other_way)
    assert "alarms-never-later: stiff-neck" in failure


def unsure_within(parameter: str) -> Change:
    """Makes "not sure" about getting worse a reason of its own, with this date; a yes is for three days."""

    def change(documents: dict[str, Any]) -> None:
        entry(documents, "findings", "finding", "gets-worse").pop("not-sure")
        entry(documents, "rules", "rule", "worse-soon")["when"] = "gets-worse"
        for name in ("was-checked", "no-pain"):
            entry(documents, "findings", "finding", name)["kind"] = "recorded"
        documents["guidance"]["exceptions"] = []
        rule = entry(documents, "rules", "rule", "long-pain-plans")
        rule |= {"when": {"any": ["long-pain", {"unsure": "gets-worse"}]}, "within": {"parameter": parameter}}
        documents["guidance"]["promises"] = [
            {"promise": "p", "never-later": ["trigger"]},
            {"promise": "q", "never-lowers-tier": ["trigger"]},
        ]
        if parameter != "within-later":
            documents["guidance"]["parameters"].pop("within-later")

    return change


def test_a_not_sure_that_is_sooner_than_a_yes_is_found() -> None:
    assert dated_failures(unsure_within("within-sooner")) == []
    assert dated_failures(unsure_within("within-later")) == []
    (failure,) = dated_failures(unsure_within("within-now"))
    assert failure.startswith("FAILED: p: gets-worse, unsure or present, neither lowers the tier nor")
    assert "worse: LA12688-0" in failure  # not sure


def test_a_not_sure_that_loses_the_reason_of_a_no_is_found() -> None:
    def lose(documents: dict[str, Any]) -> None:
        unsure_within("within-later")(documents)
        rule = entry(documents, "rules", "rule", "signs-plan")
        rule["when"]["any"].append({"all": ["sudden-pain", {"not": "gets-worse"}]})
        rule["within"] = {"parameter": "within-sooner"}

    assert [line.split(":")[2].split(",")[0].strip() for line in dated_failures(lose)] == ["gets-worse"]


def test_a_rule_that_is_always_overruled_may_still_decide_the_date() -> None:
    def hide(documents: dict[str, Any]) -> None:
        rule = entry(documents, "rules", "rule", "signs-plan")
        rule |= {"when": {"all": ["sudden-pain", "strong-pain"]}, "within": {"parameter": "within-sooner"}}
        for name in ("several-signs", "low-iron", "tense-and-worse", "much-screen"):
            entry(documents, "findings", "finding", name)["kind"] = "recorded"

    def hide_for_good(documents: dict[str, Any]) -> None:
        hide(documents)
        entry(documents, "rules", "rule", "signs-plan")["within"] = {"parameter": "within-soon"}

    assert dated_failures(hide) == []
    assert dated_failures(hide_for_good) == ["FAILED: the rule signs-plan can decide the tier or the date"]


def test_in_the_proofs_too_what_does_not_fit_lifts_no_rule_that_holds_without_it() -> None:
    def lifted(documents: dict[str, Any]) -> None:
        without_long = {"all": ["one-sided", {"not": "long-pain"}]}
        entry(documents, "rules", "rule", "signs-plan")["when"]["any"].append(without_long)
        documents["contradictions"][0]["between"] = ["one-sided", {"answer": "tense", "is": "no"}]
        short = {"answer": "head-since", "less-than": {"parameter": "short"}}
        documents["guidance"]["promises"] = [
            {"promise": "p", "when": {"all": ["one-sided", short]}, "tier-at-least": "plan"},
            {"promise": "q", "never-lowers-tier": ["alarm"]},
        ]

    assert failures(lifted) == []
