"""The RiskAssessment that a chart shows: the step first, short, and nothing that argues at length."""

import json
import re
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.answers import Answers, Coding, Quantity
from service.datatypes.values import replace
from service.errors import Problem
from service.fhir import definitions
from service.fhir.chart import ChartValue, ChartValues
from service.fhir.xhtml import is_narrative
from service.guidance import model
from service.guidance.conditions import Group, Is, Named
from service.guidance.model import unfit_answers
from service.guidance.result import Due, Fired, Interval
from service.results import Renderer
from service.results.risk_assessment import LONGEST_RATIONALE
from service.results.summary import LONGEST_NARRATIVE

OWN = "https://example.org/fhir/CodeSystem/demo"
YES, NO = Coding("http://loinc.org", "LA33-6"), Coding("http://loinc.org", "LA32-8")


@pytest.fixture
def render(renderer, make_assessment):
    """Renders a result; keywords change the context."""

    def rendered(result: Any, answers: Answers | None = None, **more: Any) -> Any:
        return json.loads(renderer.document(make_assessment(result, answers or Answers({}), **more)))

    return rendered


@pytest.fixture
def with_written(guidance):
    """Makes a renderer of the guidance with other members of `Written`."""

    def made(**members: Any) -> Renderer:
        written = replace(guidance.written, **members)
        return Renderer(
            SimpleNamespace(
                written=written, form=guidance.form, contradictions=guidance.contradictions, language="en"
            )
        )

    return made


def lines(risk: Any) -> dict[str, str]:
    """The lines of the narrative by what they are about."""
    found = re.findall(r"<p><b>([^<]+):</b> (.*?)\.</p>", risk["text"]["div"])
    return {label: unescape(text) for label, text in found}


def test_the_step_is_the_first_prediction_and_the_patterns_follow(render, make_result, union):
    risk = render(make_result())
    step, flu = risk["prediction"]
    assert step["outcome"]["coding"] == [
        {"system": OWN, "code": "needs-evaluation", "display": "Needs evaluation"}
    ]
    assert step["qualitativeRisk"]["coding"] == [{"system": OWN, "code": "now", "display": "Now"}]
    assert step["rationale"] == "Clinician: rule fever-is-urgent"
    assert flu["rationale"] == "Clinician: rule flu-high"
    assert "extension" not in risk
    assert "extension" not in flu
    assert union([risk]) == [[]]


def test_without_a_reason_the_step_says_what_it_means(render, make_result):
    step, *_ = render(make_result(fired=()))["prediction"]
    assert step["rationale"] == "Clinician: tier now"


def test_ends_are_named_while_they_are_open_and_only_then(render, unsettled, make_result, union):
    risk = render(unsettled)
    assert [each["url"] for each in risk["extension"]] == [definitions.ASSESSMENT_TIER]
    step, flu = risk["prediction"]
    assert step["qualitativeRisk"] == {"text": "Not assessable yet; open questions could raise it to: Now"}
    assert [each["url"] for each in flu["extension"]] == [definitions.LEVEL_INTERVAL]
    assert flu["rationale"] == "If the open questions change nothing: Clinician: rule flu-low"
    assert risk["status"] == "preliminary"
    assert union([risk]) == [[]]
    settled_step = render(replace(unsettled, tier=Interval(2, 2)))
    assert "extension" not in settled_step


def test_a_level_without_a_rule_says_so(render, troubled):
    _, flu, _ = render(troubled)["prediction"]
    assert flu["rationale"].endswith("No rule for this outcome holds.")


def test_no_rationale_is_longer_than_a_line(with_written, make_assessment, make_result, guidance):
    long = model.Says("", "Word " * 60)
    rules = tuple(replace(rule, says=long) for rule in guidance.written.rules)
    fired = (Fired(rules[0], ("fever",)),)
    risks = tuple(
        replace(risk, fired=tuple(Fired(rules[2], ()) for _ in risk.fired)) for risk in make_result().risks
    )
    renderer = with_written(rules=rules)
    document = json.loads(renderer.document(make_assessment(make_result(fired=fired, risks=risks))))
    lengths = [len(each["rationale"]) for each in document["prediction"]]
    assert max(lengths) <= LONGEST_RATIONALE
    assert all(each["rationale"].endswith("Word\u2026") for each in document["prediction"])


def test_it_says_what_was_done_in_which_language_and_why(
    guidance, with_written, make_assessment, make_result, union
):
    identity = guidance.written.identity
    asked = replace(identity, reason=Coding("urn:s", "twitch"), reason_display="Twitching")
    bare = replace(asked, reason_display="")
    risks = [
        json.loads(with_written(identity=each).document(make_assessment(make_result())))
        for each in (identity, asked, bare)
    ]
    assert risks[0]["language"] == "en"
    assert risks[0]["code"]["text"] == "Questionnaire triage by software, not an examination: Demo <guidance>"
    assert [risk.get("reasonCode") for risk in risks] == [
        None,
        [{"coding": [{"system": "urn:s", "code": "twitch", "display": "Twitching"}], "text": "Twitching"}],
        [{"coding": [{"system": "urn:s", "code": "twitch"}]}],
    ]
    assert union(risks) == [[], [], []]


def test_a_guidance_that_names_the_triage_itself_names_it_once(
    guidance, with_written, make_assessment, make_result
):
    own = replace(guidance.written.identity, code=Coding(OWN, "questionnaire-triage"))
    risk = json.loads(with_written(identity=own).document(make_assessment(make_result())))
    assert [coding["code"] for coding in risk["code"]["coding"]] == ["questionnaire-triage"]


@pytest.mark.parametrize(
    ("context", "same"),
    [
        ({"status": "amended"}, True),
        ({"id": "another"}, True),
        ({"authored": "2026-02-01"}, True),
        ({"questionnaire": "https://example.org/fhir/Questionnaire/demo|1.0.1"}, True),
        ({"identifier": {"value": "2"}}, False),
        ({"identifier": None}, False),
        ({"subject": {"reference": "Patient/p2"}}, False),
        ({"questionnaire": "https://example.org/fhir/Questionnaire/other|1.0.0"}, False),
    ],
)
def test_versions_of_one_response_share_an_identifier_and_others_do_not(render, make_result, context, same):
    first, second = render(make_result())["identifier"], render(make_result(), **context)["identifier"]
    assert (first == second) is same


def test_without_identifier_the_id_tells_and_without_both_the_person_and_the_time(render, make_result):
    nameless = {"identifier": None, "id": None}
    by_id = [render(make_result(), identifier=None, id=each)["identifier"] for each in ("a", "b", "a")]
    by_time = [render(make_result(), **nameless, authored=each)["identifier"] for each in ("2026", "2027")]
    assert by_id[0] == by_id[2]
    assert len({json.dumps(each) for each in (*by_id, *by_time)}) == 4
    for missing in ({"subject": None}, {"authored": None}):
        assert "identifier" not in render(make_result(), **nameless, **missing)


# The narrative.


def test_the_narrative_says_step_findings_patterns_and_review(render, make_result):
    said = lines(render(make_result()))
    assert said == {
        "Step": "Now. Target now",
        "Findings": "Clinician: rule fever-is-urgent. Cough <b>&</b> more",
        "Patterns": "Flu pattern: high likelihood",
        "Review": "none. Decision support, not a diagnosis. https://example.org/fhir/guidance/demo|1.2.0",
    }


def test_a_finding_with_a_semicolon_is_told_from_the_next(
    with_written, make_assessment, make_result, guidance
):
    first, second, *others = guidance.written.rules
    worse = replace(first, says=model.Says("", "Worsening; expedited."))
    result = make_result(fired=(Fired(worse, ()), Fired(second, ())))
    said = lines(json.loads(with_written(rules=(worse, second, *others)).document(make_assessment(result))))
    assert said["Findings"] == "Worsening; expedited. Cough <b>&</b> more"


def test_what_is_not_known_what_clashes_and_scores_have_lines(render, troubled, unsettled):
    said = lines(render(troubled))
    assert said["Not known"] == "fever above 38 \u00b0C & chills <today>"
    assert said["Contradictions"] == "Clinician: both cannot be"
    assert said["Scores"] == "Sum of two: 0 to 3.0 (Mild to Severe); 1 of 2 parts known"
    unsure = replace(unsettled, open=(replace(unsettled.open[1], unsure=True),))
    assert lines(render(unsure))["Not known"] == "note (not sure)"


def test_values_stand_behind_what_was_found(with_written, make_assessment, make_result, guidance):
    shows = replace(guidance.written.rules[0], shows=("days", "pain"))
    told = replace(shows, says=replace(shows.says, patient_unsure="You were not sure."))
    fired = (Fired(shows, ("fever",), unsure=True), Fired(told, ("fever",), unsure=True))
    answers = Answers({"days": (Quantity(4, "mo"),)}, chart={"days": (Quantity(1, "d"),), "pain": (3,)})
    renderer = with_written(summary=("pain", "cough", "days"))
    risk = json.loads(renderer.document(make_assessment(make_result(fired=fired), answers)))
    said = lines(risk)
    assert said["Findings"] == (
        "Clinician: rule fever-is-urgent (4 months; 3). "
        "Clinician: rule fever-is-urgent (not sure; 4 months; 3)"
    )
    assert said["Reported"] == "pain from 0 to 10: 3; for how many days: 4 months"
    assert risk["prediction"][0]["rationale"] == "Clinician: rule fever-is-urgent (4 months; 3)"


def test_a_reason_that_another_one_contains_is_left_out(render, make_result, guidance):
    first, second = guidance.written.rules[:2]
    contained = Fired(replace(first, beside=(second.name,)), ())
    assert lines(render(make_result(fired=(contained, Fired(second, ())))))["Findings"] == (
        "Cough <b>&</b> more"
    )
    assert "rule fever-is-urgent" in lines(render(make_result(fired=(contained,))))["Findings"]


def test_what_is_sure_is_not_contained_in_what_somebody_was_not_sure_about(render, make_result, guidance):
    first, second = guidance.written.rules[:2]
    contained = Fired(replace(first, beside=(second.name,)), ())
    said = lines(render(make_result(fired=(contained, Fired(second, (), unsure=True)))))["Findings"]
    assert "rule fever-is-urgent" in said
    both = (replace(contained, unsure=True), Fired(second, (), unsure=True))
    assert "rule fever-is-urgent" not in lines(render(make_result(fired=both)))["Findings"]


def test_a_worse_value_that_counted_beside_an_answer_stands_behind_it(
    with_written, make_assessment, make_result, guidance
):
    fired = Fired(replace(guidance.written.rules[0], shows=("days",)), ("fever",))
    given, worse = {"days": (Quantity(4, "mo"),)}, {"days": (Quantity(1, "d"),)}
    unfit = tuple(one for one in unfit_answers(guidance.form) if one.name == "unfit-days")

    def found(answers: Answers) -> str:
        assessment = make_assessment(make_result(fired=(fired,), contradictions=unfit), answers)
        return lines(json.loads(with_written().document(assessment)))["Findings"]

    assert found(Answers(given, chart=worse)) == "Clinician: rule fever-is-urgent (4 months; 1 day)"
    assert found(Answers({}, ignored=given)) == "Clinician: rule fever-is-urgent (4 months)"
    assert found(Answers({}, chart=worse)) == "Clinician: rule fever-is-urgent (1 day)"


def dated(rule: model.Rule, days: int, to: str = "") -> Due:
    return Due(days, to, rule)


def test_both_dates_are_told_where_the_step_has_a_later_one(
    with_written, make_assessment, make_result, guidance
):
    renderer = with_written(addressees={"own": model.Says("your doctor", "Usual doctor")})
    rule = guidance.written.rules[0]
    early, late = dated(rule, 7, "own"), dated(rule, 42)

    def step(authored: str | None, **due: Any) -> str:
        assessment = make_assessment(make_result(**due), authored=authored)
        return lines(json.loads(renderer.document(assessment)))["Step"]

    assert step("2026-01-05", due=early, step_due=late) == (
        "Now: by 12 January 2026, Usual doctor; the step itself by 16 February 2026"
    )
    assert step("2026-01-05", due=early, step_due=late, date_settled=False) == (
        "Now: by 12 January 2026, Usual doctor; the step itself by 16 February 2026; "
        "open questions could lead to an earlier date"
    )
    assert step("2026-01", due=early, step_due=early) == "Now: within 7 days, Usual doctor"
    assert step(None, due=dated(rule, 0), step_due=dated(rule, 0)) == "Now: today"
    assert step(None, due=early, step_due=None) == "Now: within 7 days, Usual doctor"
    assert step("2026-01-05", tier=Interval(2, 3), due=early, step_due=late) == (
        "At least: Soon (by 12 January 2026, Usual doctor; the step itself by 16 February 2026); "
        "open questions could raise it to: Now"
    )
    assert step("2026-01-05", recheck=14) == "Now: check again on 19 January 2026"
    tiers = (*guidance.written.tiers[:3], replace(guidance.written.tiers[3], overlay=True))
    now = dated(rule, 0, "own")
    assert step(None, tiers=tiers, due=now, step_due=now) == "Now: Usual doctor"


SIGNS = (
    ("fever-sign", Is("fever", ("yes",)), "red"),
    ("cough-sign", Group("any", (Is("cough", ("yes",)), Is("pain", ("some",)))), "red"),
    ("both", Group("all", (Is("note", ("yes",)), Named("fever-sign"))), "red"),
    ("plain", Is("days", ("yes",)), "plain"),
)


@pytest.fixture
def with_signs(guidance):
    """Makes a renderer of a guidance with warning signs; a no to cough closes the question on pain."""

    def made(*signs: Any, a_list: str = "pain", **members: Any) -> Renderer:
        findings = tuple(
            model.Finding(name, kind, "", when, False, (), "article", ()) for name, when, kind in signs
        )
        kinds = {"red": True, "plain": False}
        words = {"no": NO.code}
        written = replace(guidance.written, findings=findings, kinds=kinds, words=words, **members)
        questions = {**guidance.form.questions}
        questions["pain"] = replace(questions["pain"], enabled_by=("cough",))
        questions[a_list] = replace(questions[a_list], repeats=a_list != "pain")
        form = replace(guidance.form, questions=questions)
        return Renderer(SimpleNamespace(written=written, form=form, contradictions=(), language="en"))

    return made


def test_warning_signs_that_were_denied_are_named(with_signs, make_assessment, make_result, make_states):
    renderer = with_signs(*SIGNS)

    def denied(answers: Answers, **states: str) -> str | None:
        findings = make_states(**(dict.fromkeys((name for name, _, _ in SIGNS), "absent") | states))
        risk = json.loads(renderer.document(make_assessment(make_result(findings=findings), answers)))
        return lines(risk).get("Denied or normal")

    every = Answers(dict.fromkeys(("fever", "cough", "pain", "note", "days"), (NO,)))
    assert denied(every) == 'fever above 38 \u00b0C & chills <today>; do you "cough"; pain from 0 to 10'
    assert denied(every, **{"cough-sign": "unknown"}) == "fever above 38 \u00b0C & chills <today>"
    assert denied(Answers({})) is None


def test_a_list_in_which_something_is_ticked_is_not_denied(
    with_signs, make_assessment, make_result, make_states
):
    renderer = with_signs(("fever-sign", Is("fever", ("yes",)), "red"), a_list="fever")
    result = make_result(findings=make_states(**{"fever-sign": "absent"}))

    def denied(*given: Any) -> str | None:
        risk = json.loads(renderer.document(make_assessment(result, Answers({"fever": given}))))
        return lines(risk).get("Denied or normal")

    assert denied(NO) == "fever above 38 \u00b0C & chills <today>"
    assert denied(YES) is None
    assert denied(NO, YES) is None


def test_an_answer_by_which_nothing_was_found_out_denies_nothing(
    guidance, with_signs, make_assessment, make_result, make_states
):
    result = make_result(findings=make_states(**{"fever-sign": "absent"}))

    def denied(**not_known: Any) -> str | None:
        renderer = with_signs(("fever-sign", Is("fever", ("yes",)), "red"), not_known=not_known)
        assessment = make_assessment(result, Answers({"fever": (NO,)}))
        return lines(json.loads(renderer.document(assessment))).get("Denied or normal")

    assert denied() == denied(cough=("no",)) == "fever above 38 \u00b0C & chills <today>"
    assert denied(fever=("no",)) is None


def test_an_answer_that_is_a_reason_of_another_kind_denies_nothing(
    guidance, with_signs, make_assessment, make_result, make_states
):
    rules = (replace(guidance.written.rules[0], when=Named("chills")), *guidance.written.rules[1:])
    renderer = with_signs(
        ("fever-sign", Is("fever", ("yes",)), "red"), ("chills", Is("fever", ("no",)), "plain"), rules=rules
    )

    def denied(chills: str) -> str | None:
        findings = make_states(**{"fever-sign": "absent", "chills": chills})
        assessment = make_assessment(make_result(findings=findings), Answers({"fever": (NO,)}))
        return lines(json.loads(renderer.document(assessment))).get("Denied or normal")

    assert denied("absent") == "fever above 38 \u00b0C & chills <today>"
    assert denied("present") is None


def test_a_no_that_closed_a_warning_question_is_named(make_assessment, make_result, make_states, with_signs):
    renderer = with_signs(("pain-sign", Is("pain", ("some",)), "red"))
    result = make_result(findings=make_states(**{"pain-sign": "absent"}))
    for answers, said in (
        ({"cough": (NO,)}, 'do you "cough"'),
        ({"note": (YES,)}, None),
        ({"cough": (YES,)}, None),
        ({"cough": (YES,), "pain": (0,)}, "pain from 0 to 10"),
    ):
        risk = json.loads(renderer.document(make_assessment(result, Answers(answers))))
        assert lines(risk).get("Denied or normal") == said


def test_a_narrative_never_grows_beyond_its_limit_and_says_what_is_left_out(
    with_written, make_assessment, make_result, guidance
):
    texts = [
        f"Finding {number} \u00e9\u00e9\u00e9 & <more> of the same, told at length" for number in range(40)
    ]
    rules = tuple(
        replace(guidance.written.rules[0], name=f"r{number}", says=model.Says("", text))
        for number, text in enumerate(texts)
    )
    result = make_result(fired=tuple(Fired(rule, ()) for rule in rules))
    risk = json.loads(with_written(rules=(*guidance.written.rules, *rules)).document(make_assessment(result)))
    div = risk["text"]["div"]
    assert LONGEST_NARRATIVE - 120 < len(div.encode()) <= LONGEST_NARRATIVE
    assert is_narrative(div)
    found = re.search(r"\. And (\d+) more$", lines(risk)["Findings"])
    assert found
    assert int(found[1]) + lines(risk)["Findings"].count("Finding ") == 40
    assert "Review" in lines(risk)


def test_no_text_leaves_its_place(render, make_result):
    hostile = '<script>alert("x")</script>\u2028</div>\\"'
    problem = Problem("item-text", hostile, "", "warning")
    risk = render(make_result(), problems=(problem,))
    assert "<script" not in risk["text"]["div"]
    assert risk["note"][-1] == {"text": hostile}
    assert is_narrative(risk["text"]["div"])


def test_values_of_the_chart_are_printed_with_unit_and_date_used_or_not(render, make_result):
    values = (
        ChartValue("crp", "> 12", "mg/L", "2026-01-02", ""),
        ChartValue("crp", "", "", "", "no-quantity"),
    )
    assert lines(render(make_result(), chart=ChartValues(printed=values)))["Chart"] == (
        "C-reactive protein > 12 mg/L, 2 January 2026; "
        "C-reactive protein, no date (left out: it has no quantity)"
    )


def test_words_of_the_chart_are_short_and_cannot_turn_a_line(render, make_result):
    values = (ChartValue("crp", "12", "mg\u202e/L\n" + "x" * 300, "2026-01-02", ""),)
    shown = lines(render(make_result(), chart=ChartValues(printed=values)))["Chart"]
    assert "\u202e" not in shown
    assert "x" * 100 not in shown
    assert shown.startswith("C-reactive protein 12 mg /L")


def test_the_chart_is_a_basis(render, make_result):
    reference = {"reference": "Observation/o1"}
    risk = render(make_result(), chart=ChartValues({}, {"crp": (reference,)}))
    assert risk["basis"][1] == reference
