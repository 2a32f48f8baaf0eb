"""Earlier responses in `$assess`: which are compared, which are refused or left out, and what is said."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.assess import OUTPUTS, Assessor
from service.catalogue import Catalogue, Pair, read, read_questionnaires
from service.datatypes.values import replace
from service.earlier import MOST_EARLIER, comparable
from service.errors import Malformed, NotScorable
from service.fhir.definitions import Canonicals
from service.fhir.json import BodyLimits
from service.guidance import load
from service.mapping_files import read_documents
from service.results import Renderer
from service.settings import ROOT

Json = dict[str, Any]
Sample = Callable[[str], Json]

NO = {"system": "http://loinc.org", "code": "LA32-8"}
YES = {"system": "http://loinc.org", "code": "LA33-6"}
FORM = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching"
NOW, BEFORE = "2026-11-20T09:30:00Z", "2026-10-20T09:30:00Z"
RULE = "worse-since-earlier-raises-priority"


def items(response: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    waiting = [*response["item"]]
    while waiting:
        item = waiting.pop()
        found[item["linkId"]] = item
        waiting += item.get("item", [])
    return found


def dated(response: Json, authored: str | None, name: str) -> Json:
    """The response of another time; without `authored` it says none."""
    changed = deepcopy(response)
    changed["id"] = changed["identifier"]["value"] = name
    changed.pop("authored", None)
    return {**changed, "authored": authored} if authored else changed


@pytest.fixture
def before(sample: Sample) -> Json:
    return dated(sample("plain-eyelid"), BEFORE, "before")


@pytest.fixture
def now(sample: Sample) -> Json:
    """The same person a month later; the eyelid closes, which was denied before."""
    changed = dated(sample("plain-eyelid"), NOW, "now")
    items(changed)["eyelid-closes"]["answer"] = [{"valueCoding": YES}]
    return changed


def parameters(response: Json, *earlier: Json) -> bytes:
    listed = [{"name": "questionnaire-response", "resource": response}]
    listed += [{"name": "earlier", "resource": one} for one in earlier]
    return orjson.dumps({"resourceType": "Parameters", "parameter": listed})


@pytest.fixture
def compared(assessor: Assessor) -> Callable[..., Json]:
    """The RiskAssessment in full of a response beside earlier ones."""
    return lambda response, *earlier: orjson.loads(
        assessor.assess_body(parameters(response, *earlier), "full").body
    )


def says_worse(document: Json) -> bool:
    return RULE.encode() in orjson.dumps(document)


def step_of(document: Json) -> str:
    return str(document["prediction"][0]["qualitativeRisk"]["coding"][0]["code"])


def notes(document: Json) -> str:
    return " ".join(note["text"] for note in document["note"])


def test_what_an_earlier_response_denied_is_named_with_both_answers_and_both_responses(
    assessor: Assessor, compared: Callable[..., Json], now: Json, before: Json
) -> None:
    document = compared(now, before)
    assert says_worse(document)
    assert step_of(document) == "consult"
    assert document["basis"] == [
        {"reference": "QuestionnaireResponse/now"},
        {"reference": "QuestionnaireResponse/before"},
    ]
    clinician = assessor.shown(parameters(now, before), "clinician")
    assert "Since earlier responses: eyelid closes: no on 20 October 2026, now yes; " in clinician
    text = assessor.shown(parameters(now, before), "text")
    assert "What is new or worse since last time:\nDoes the twitching make your eyelid close" in text
    assert "On 20 October 2026: no. Now: yes." in text
    german = assessor.shown(parameters(now, before), "clinician", ("de",))
    assert "nein am 20. Oktober 2026, jetzt ja" in german


def test_a_clinician_reads_the_first_four_answers_that_got_worse_and_how_many_more_there_are(
    assessor: Assessor,
) -> None:
    samples = (ROOT / "samples" / f"{name}.json" for name in ("progressive-weakness", "plain-eyelid"))
    now, before = (orjson.loads(sample.read_bytes()) for sample in samples)
    before["authored"] = "2026-10-20T09:30:00Z"
    clinician = assessor.shown(parameters(now, before), "clinician")
    (line,) = (line for line in clinician.splitlines() if line.startswith("Since earlier responses: "))
    assert line.count(", now ") == 4
    assert line.endswith("; and 10 more; compared with: 20 October 2026.")


def test_a_detail_that_a_no_of_then_had_closed_is_not_said_to_have_had_no_answer(
    assessor: Assessor, sample: Sample
) -> None:
    now = dated(sample("progressive-weakness"), NOW, "now")
    before = dated(sample("plain-eyelid"), BEFORE, "before")
    sent = parameters(now, before)
    assert "weakness: did not apply on 20 October 2026, now " in assessor.shown(sent, "clinician")
    assert "no answer" not in assessor.shown(sent, "text")
    assert "Schwäche: traf nicht zu am 20. Oktober 2026, jetzt " in assessor.shown(sent, "clinician", ("de",))


def test_the_date_is_that_of_an_expedited_consultation(assessor: Assessor, now: Json, before: Json) -> None:
    alone = assessor.shown(orjson.dumps(now), "clinician")
    beside = assessor.shown(parameters(now, before), "clinician")
    assert alone.startswith("Step: See a neurologist: by 1 January 2027,")
    assert beside.startswith("Step: See a neurologist: by 11 December 2026,")


def test_a_response_as_before_is_not_worse(compared: Callable[..., Json], now: Json) -> None:
    document = compared(now, dated(now, BEFORE, "before"))
    assert not says_worse(document)
    assert len(document["basis"]) == 2


@pytest.mark.parametrize(
    ("link", "answer"),
    [("weakness", YES), ("wasting", YES), ("known-conditions", "mnd"), ("suspected-conditions", "mnd")],
)
def test_what_a_patient_denied_is_new_whatever_a_professional_would_have_been_asked(
    compared: Callable[..., Json], before: Json, link: str, answer: Json | str
) -> None:
    now = dated(before, NOW, "now") | {"status": "in-progress"}  # so that no detail of it has to be answered
    given = items(now)[link]
    (coding,) = (one["valueCoding"] for one in given["answer"])
    given["answer"] = [{"valueCoding": answer if isinstance(answer, dict) else coding | {"code": answer}}]
    for shown in given["answer"]:
        shown["valueCoding"].pop("display", None)
    assert RULE in orjson.dumps(compared(now, before)).decode()


def test_one_that_is_silent_denies_nothing(compared: Callable[..., Json], now: Json, before: Json) -> None:
    before["status"] = "in-progress"
    del items(before)["eyelid-closes"]["answer"]
    assert not says_worse(compared(now, before))


def test_an_unfinished_or_amended_one_counts(compared: Callable[..., Json], now: Json, before: Json) -> None:
    for status in ("in-progress", "amended"):
        assert says_worse(compared(now, {**before, "status": status}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "entered-in-error"}, "its status says that it must not be used"),
        ({"status": "stopped"}, "its status says that it must not be used"),
        ({"meta": {"security": [{"code": "REDACTED"}]}}, "its labels say that it is not whole"),
        ({"meta": {"security": [{"code": "HTEST"}]}}, "made for a test"),
        ({"authored": "2026-11-21T09:30:00Z"}, "not certainly written before"),
        ({"authored": NOW}, "not certainly written before"),
        ({"authored": "2026-11-20"}, "not certainly written before"),
        ({"authored": "2026"}, "not certainly written before"),
        ({"authored": None}, "does not say when it was written"),
        ({"questionnaire": f"{FORM}|0.9.0"}, "a version of the questionnaire that is not known"),
        ({"identifier": {"system": "urn:x", "value": "1"}, "id": "now"}, "another version of the response"),
    ],
)
def test_one_that_cannot_be_compared_is_left_out_and_named(
    compared: Callable[..., Json], now: Json, before: Json, change: Mapping[str, Any], reason: str
) -> None:
    if "identifier" in change:
        now["identifier"] = change["identifier"]
    before.update(change)
    before = {name: value for name, value in before.items() if value is not None}
    document = compared(now, before)
    assert not says_worse(document)
    assert document["basis"] == [{"reference": "QuestionnaireResponse/now"}]
    assert "An earlier response was not compared: " in notes(document)
    assert reason in notes(document)


def test_one_whose_answers_do_not_fit_its_form_is_left_out(
    compared: Callable[..., Json], now: Json, before: Json
) -> None:
    items(before)["eyelid-closes"]["answer"] = [{"valueString": "no"}]
    document = compared(now, before)
    assert not says_worse(document)
    assert "do not fit the questionnaire that it names" in notes(document)


@pytest.mark.parametrize(
    ("change", "kind", "element"),
    [
        ({"subject": {"reference": "Patient/other"}}, "earlier-subject", "subject"),
        ({"subject": {"display": "The same name"}}, "earlier-subject", "subject"),
        ({"subject": None}, "earlier-subject", "subject"),
        (
            {"questionnaire": "http://x.org/other|1"},
            "earlier-questionnaire",
            "questionnaire",
        ),
    ],
)
def test_one_of_somebody_else_or_to_another_form_is_refused_by_name(
    assessor: Assessor, now: Json, before: Json, change: Mapping[str, Any], kind: str, element: str
) -> None:
    before.update(change)
    before = {name: value for name, value in before.items() if value is not None}
    with pytest.raises(NotScorable) as refused:
        assessor.assess_body(parameters(now, before))
    (problem,) = refused.value.problems
    assert (problem.kind, problem.expression) == (kind, f"Parameters.parameter[1].resource.{element}")
    assert "Patient/other" not in problem.text


def test_two_contained_subjects_are_not_the_same_person(assessor: Assessor, now: Json, before: Json) -> None:
    for response, value in ((now, "1"), (before, "2")):
        patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:x", "value": value}]}
        response.update({"contained": [patient], "subject": {"reference": "#p"}})
    with pytest.raises(NotScorable) as refused:
        assessor.assess_body(parameters(now, before))
    assert refused.value.problems[0].kind == "earlier-subject"
    before["contained"][0]["identifier"][0]["value"] = "1"
    assert assessor.assess_body(parameters(now, before)).step == "consult"


def test_what_is_no_response_is_refused_where_it_stands(assessor: Assessor, now: Json, before: Json) -> None:
    with pytest.raises(Malformed) as refused:
        assessor.assess_body(parameters(now, {"resourceType": "Observation"}))
    assert refused.value.problems[0].expression == "Parameters.parameter[1].resource"
    before["status"] = "done"
    with pytest.raises(Malformed) as refused:
        assessor.assess_body(parameters(now, before))
    assert refused.value.problems[0].expression == "Parameters.parameter[1].resource.status"


def test_a_bundle_of_them_is_read_and_one_that_stands_twice_counts_once(
    compared: Callable[..., Json], now: Json, before: Json
) -> None:
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": before}]}
    assert compared(now, bundle) == compared(now, before) == compared(now, before, bundle)
    empty = {"resourceType": "Bundle", "type": "searchset"}
    assert compared(now, empty) == compared(now)


def test_the_order_in_which_they_are_sent_does_not_matter(
    compared: Callable[..., Json], now: Json, before: Json
) -> None:
    between = dated(now, "2026-11-01", "between")
    document = compared(now, before, between)
    assert document == compared(now, between, before)
    assert says_worse(document)
    assert [entry["reference"].rpartition("/")[2] for entry in document["basis"]] == [
        "now",
        "between",
        "before",
    ]


def test_only_so_many_are_compared(assessor: Assessor, now: Json, before: Json) -> None:
    many = [dated(before, f"2026-09-{day:02}", f"n{day}") for day in range(1, MOST_EARLIER + 2)]
    assert assessor.assess_body(parameters(now, *many[1:])).step == "consult"
    with pytest.raises(Malformed) as refused:
        assessor.assess_body(parameters(now, *many))
    assert f"at most {MOST_EARLIER}" in refused.value.problems[0].text


# Without earlier responses the bytes are the same, with and without what reads them.


@pytest.fixture(scope="module")
def without(root: Path, pair: Pair) -> Pair:
    """The guidance as if nobody had written anything on earlier responses; it keeps its hash."""
    written = read_documents(root / "mappings" / "muscle-twitching")
    changed = deepcopy(written)
    ours = {"new-sign-since-earlier", "worse-answer-since-earlier"}
    changed["guidance"]["exceptions"] = [  # type: ignore[index]
        entry
        for entry in changed["guidance"]["exceptions"]
        if entry["finding"] not in ours  # type: ignore[index]
    ]
    changed["findings"] = [entry for entry in changed["findings"] if entry["finding"] not in ours]  # type: ignore[attr-defined]
    changed["rules"] = [entry for entry in changed["rules"] if entry["rule"] != RULE]  # type: ignore[attr-defined]
    changed["cases"] = [entry for entry in changed["cases"] if "before" not in entry]  # type: ignore[attr-defined]
    for entry in changed["findings"]:  # type: ignore[attr-defined]
        when = entry["when"]
        if isinstance(when, dict) and "any" in when:
            when["any"] = [part for part in when["any"] if not (isinstance(part, str) and part in ours)]
    assert b"new-since-earlier" not in orjson.dumps(changed, default=str)
    guidance = load(changed, pair.compiled.form, slug=pair.slug, hashed=written)
    return replace(pair, guidance=guidance, renderer=Renderer(guidance, Canonicals()), further={})


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_without_earlier_responses_the_bytes_of_every_sample_are_the_same(
    root: Path, served: Catalogue, pair: Pair, without: Pair, output: str
) -> None:
    catalogues = [
        replace(served, pairs={one.compiled.canonical: one}) for one in (replace(pair, further={}), without)
    ]
    ours, before = (Assessor(one, BodyLimits()) for one in catalogues)
    for path in sorted((root / "samples").glob("*.json")):
        if ".expected" not in path.name:
            data = path.read_bytes()
            assert ours.shown(data, output) == before.shown(data, output), path.name


def test_without_earlier_responses_every_worked_case_has_the_same_result(pair: Pair, without: Pair) -> None:
    for case in pair.guidance.cases:
        answers = pair.compiled.answers_of(case.answers, chart=case.chart, authored=case.authored)
        ours, before = pair.guidance.evaluate(answers), without.guidance.evaluate(answers)
        assert dict(ours.findings) == dict(before.findings), case.name
        assert replace(ours, findings=before.findings) == before, case.name


def test_every_red_flag_and_reason_to_consult_can_be_worse_but_three(root: Path) -> None:
    findings: Any = read_documents(root / "mappings" / "muscle-twitching")["findings"]
    of_kind = {entry["finding"] for entry in findings if entry["kind"] in ("red-flag", "consult-trigger")}
    (listed,) = (
        entry["when"]["new-since-earlier"]
        for entry in findings
        if entry["finding"] == "new-sign-since-earlier"
    )
    ours = {"new-sign-since-earlier", "worse-answer-since-earlier"}
    excepted = {"over-duration-cut-off", "strong-worry", "wants-examination"}
    assert of_kind - ours - excepted - {"worsening"} | {"certain-worsening"} == set(listed)


# Another version of the questionnaire.


@pytest.fixture(scope="module")
def versions(root: Path) -> Catalogue:
    """Both versions side by side, the older one without its guidance."""
    served = read(root / "questionnaires", root / "mappings")
    older = read_questionnaires(root / "tests/muscle_twitching_1_0_0/questionnaires", Canonicals())
    return replace(served, questionnaires={**older.compiled, **served.questionnaires})


OLD = f"{FORM}|1.0.0"


def test_of_another_version_what_it_asks_in_the_same_words_is_compared_and_the_rest_is_named(
    versions: Catalogue, before: Json, now: Json
) -> None:
    older = versions.questionnaires[OLD]
    alike = set(comparable(older, versions.pairs[now["questionnaire"]].guidance))
    assert {"eyelid-closes", "weakness", "task-difficulty"} <= alike
    assert not alike & {"vision", "other-nerve-signs", "mri", "area", "course", "urgent-signs", "jerks"}
    assessor = Assessor(versions, BodyLimits())
    old = {
        **before,
        "questionnaire": OLD,
        "status": "in-progress",
        "item": old_items(older, before, ["area", "eyelid-closes"]),
    }
    text = assessor.shown(parameters(now, old), "full")
    assert "does not ask alike were not compared" in text
    assert " vision," in text
    assert RULE in text


def old_items(older: Any, response: Json, links: list[str]) -> list[Json]:
    """The answers to these questions where the older form has them."""
    known, built = items(response), []
    for link in links:
        item: Json = {"linkId": link, "answer": known[link]["answer"]}
        parent = older.items[link].parent
        while parent is not None:
            item = {"linkId": parent, "item": [item]}
            parent = older.items[parent].parent
        built.append(item)
    return built


def test_what_another_version_did_not_offer_was_not_denied(
    versions: Catalogue, before: Json, now: Json
) -> None:
    older = versions.questionnaires[OLD]
    system = items(before)["vision"]["answer"][0]["valueCoding"]["system"]
    items(now)["vision"]["answer"] = [{"valueCoding": {"system": system, "code": "double"}}]
    old = {
        **before,
        "questionnaire": OLD,
        "status": "in-progress",
        "item": old_items(older, before, ["vision"]),
    }
    items(now)["eyelid-closes"]["answer"] = [{"valueCoding": NO}]
    found = Assessor(versions, BodyLimits()).shown(parameters(now, old), "full")
    assert RULE not in found
    assert RULE in Assessor(versions, BodyLimits()).shown(parameters(now, before), "full")
