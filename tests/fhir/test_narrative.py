"""IV19 (dom-6, txt-1, txt-2), SH08: the narrative can be shown as it is, and says everything that matters."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.values import replace
from service.errors import Problem
from service.fhir.xhtml import is_narrative
from service.results.full import FullNarrative
from service.results.phrases import phrases_in


@pytest.fixture
def narrative(guidance):
    written = FullNarrative(guidance, phrases_in("en"))

    def div(result: Any, problems: Any = (), chart: Any = ()) -> str:
        assessment = SimpleNamespace(result=result, problems=problems)
        return json.loads(written.div(assessment, [risk for risk in result.risks if risk.listed], chart))

    return div


def text_of(div: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", div)).strip()


def sections(div: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", div)


def test_every_kind_of_result_is_basic_xhtml(narrative, make_result, unsettled, troubled):
    for result in (make_result(), unsettled, troubled, make_result(advice=(), tables=(), fired=(), risks=())):
        assert is_narrative(narrative(result))


def test_a_settled_result_is_readable_by_itself(narrative, make_result):
    text = text_of(narrative(make_result()))
    for said in (
        "Now. Target now.",
        "Clinician: tier now",
        "No open question can change this result.",
        "Clinician: rule fever-is-urgent (Answers to: Fever above 38 °C &amp; chills &lt;today&gt;.",
        "Statements: S1, S2. Rule: fever-is-urgent)",
        "Choice of this project. Rule: cough-is-soon",
        "Flu pattern : High likelihood. Clinician: rule flu-high",
        "Flu: 2 matched. Cold: 2 matched. Answered: 3. Open: 0.",
        "Feature 0 matches",
        "You: rest &amp; drink",
        "Clinician: rest &amp; drink",
        "Clinician: decision support",
        "You: decision support",
        "guidance/demo|1.2.0",
        "ab" * 32,
        "A paper.",
    ):
        assert said in text


def test_texts_beside_the_source_are_named_beside_it(guidance, make_result):
    identity = replace(guidance.written.identity, secondary_sources=("A guideline. 2020. A summary.",))
    written = replace(guidance.written, identity=identity)
    parts = SimpleNamespace(written=written, form=guidance.form, contradictions=guidance.contradictions)
    assessment = SimpleNamespace(result=make_result(), problems=())
    div = json.loads(FullNarrative(parts, phrases_in("en")).div(assessment, (), ()))
    assert "Source: A paper. Secondary source: A guideline. 2020. A summary." in div


def test_a_long_list_of_answers_is_shortened_and_counted(narrative, make_result):
    assert "; Pain from 0 to 10; C-reactive protein; and 2 more." in text_of(narrative(make_result()))
    fired = make_result().fired[1]
    four = replace(fired, answers=fired.answers[:4])
    assert "; Pain from 0 to 10; C-reactive protein. Statements" in text_of(
        narrative(make_result(fired=(four,)))
    )


def test_sections_without_content_are_left_out(narrative, make_result, unsettled, troubled):
    bare = make_result(advice=(), tables=(), fired=(), risks=())
    assert sections(narrative(bare)) == ["Intended use"]
    assert sections(narrative(make_result())) == [
        "Why this step",
        "Patterns; no probability is given",
        "Flu against cold",
        "Advice for the patient",
        "For the clinician",
        "Intended use",
    ]
    assert sections(narrative(unsettled))[0].startswith("Questions that are still open")
    assert sections(narrative(troubled))[:2] == [
        "Contradictions; the worse answer counts",
        "Questions that are still open, in the order in which they should be asked",
    ]


def test_open_questions_say_what_they_can_change(narrative, unsettled):
    text = text_of(narrative(unsettled))
    assert (
        "Fever above 38 °C &amp; chills &lt;today&gt;? (Red flag. Can change: step of care, Flu pattern)"
        in text
    )
    assert "note (Can change: Other cause)" in text


def test_rows_that_are_open_are_not_shown_as_answered(narrative, unsettled):
    div = narrative(unsettled)
    assert "<tr><td>Feature 0</td><td>open</td><td>open</td></tr>" in div
    assert "<tr><td>Feature 1</td><td></td><td></td></tr>" in div
    assert "<tr><td>Feature 3</td><td>for information</td><td>for information</td></tr>" in div


def test_scores_show_both_ends_and_how_much_was_answered(narrative, troubled, make_result):
    div = narrative(troubled)
    assert "<li>Sum of two: 0 to 3.0 (Mild to Severe); 1 of 2 parts known.</li>" in div
    settled = troubled.totals[0]
    known = {"value": settled.at_most, "answered": 2, "missing": 0}
    same = replace(settled, at_least=settled.at_most, bands=("severe", "severe"), **known)
    assert "<li>Sum of two: 3.0 (Severe); 2 of 2 parts known.</li>" in narrative(make_result(totals=(same,)))


def test_answers_that_did_not_count_are_named(narrative, troubled):
    assert "<ul><li>Pain from 0 to 10?</li></ul>" in narrative(troubled)


HOSTILE = '<script>alert("x")</script>\u2028</div>\\"'


def test_sh08_no_text_leaves_its_place(guidance, narrative, make_result):
    div = narrative(make_result(), (Problem("item-text", HOSTILE),))
    assert "<script" not in div
    assert "Demo &lt;guidance&gt;" in div
    assert "Cough &lt;b&gt;&amp;&lt;/b&gt; more" in div
    assert is_narrative(div)


def test_prognosis_meant_for_clinicians_stays_out_of_the_patients_list(narrative, make_result):
    div: Any = narrative(make_result())
    patient = div[div.index("Advice for the patient") : div.index("For the clinician")]
    assert "Prognosis" not in patient
    assert "Prognosis for clinicians" in div
