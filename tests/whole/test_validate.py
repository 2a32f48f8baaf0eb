"""Validation as a product of its own: `$validate`, `$process-response` and the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.cli import main
from service.errors import Malformed, NotScorable
from service.validate import R4_PROFILE, Validator

Json = dict[str, Any]
Sample = Callable[[str], Json]

FORM = {
    "resourceType": "Questionnaire",
    "id": "form",
    "status": "active",
    "item": [{"linkId": "n", "text": "How many?", "type": "integer", "required": True}],
}


def parameters(**named: Any) -> bytes:
    entries = [{"name": name, **value} for name, value in named.items()]
    return orjson.dumps({"resourceType": "Parameters", "parameter": entries})


def test_a_valid_response_has_no_problem(validator: Validator, sample: Sample) -> None:
    assert validator.validated(orjson.dumps(sample("plain-eyelid"))) == ()


def test_every_fault_is_reported_not_the_first(validator: Validator, sample: Sample) -> None:
    response = sample("plain-eyelid") | {"status": "done"}
    response["item"][0]["linkId"] = "no-such-question"
    kinds = {problem.kind for problem in validator.validated(orjson.dumps(response))}
    assert {"code", "item-unknown"} <= kinds


def test_a_disabled_answer_is_an_error_here(validator: Validator, sample: Sample) -> None:
    (problem,) = validator.validated(orjson.dumps(sample("contradictory")))
    assert (problem.kind, problem.severity) == ("disabled-item", "error")


def test_a_response_may_carry_its_form(validator: Validator) -> None:
    response = {
        "resourceType": "QuestionnaireResponse",
        "contained": [FORM],
        "questionnaire": "#form",
        "status": "completed",
        "item": [{"linkId": "n", "answer": [{"valueString": "three"}]}],
    }
    problems = validator.validated(orjson.dumps(response))
    assert "answer-type" in {problem.kind for problem in problems}
    response["item"] = [{"linkId": "n", "answer": [{"valueInteger": 3}]}]
    assert [
        problem for problem in validator.validated(orjson.dumps(response)) if problem.severity == "error"
    ] == []


def test_parameters_may_hold_the_resource(validator: Validator, sample: Sample) -> None:
    body = parameters(resource={"resource": sample("plain-eyelid")}, profile={"valueUri": R4_PROFILE})
    assert validator.validated(body) == ()


def test_an_unknown_profile_is_an_error_not_a_silent_pass(validator: Validator, sample: Sample) -> None:
    """OP02"""
    unknown = "https://example.org/StructureDefinition/unknown"
    body = orjson.dumps(sample("plain-eyelid"))
    with pytest.raises(NotScorable):
        validator.validated(body, profile=unknown)
    with pytest.raises(NotScorable):
        validator.validated(
            parameters(
                resource={"resource": {"resourceType": "QuestionnaireResponse"}},
                profile={"valueUri": unknown},
            )
        )


@pytest.mark.parametrize(
    "body",
    [
        parameters(),
        parameters(other={"valueString": "x"}),
        parameters(resource={"valueString": "x"}),
        parameters(
            resource={"resource": {"resourceType": "QuestionnaireResponse"}}, profile={"valueString": "x"}
        ),
        parameters(
            resource={"resource": {"resourceType": "QuestionnaireResponse"}}, mode={"valueCode": "delete"}
        ),
        orjson.dumps(
            {
                "resourceType": "Parameters",
                "parameter": [{"name": ["resource"], "resource": {"resourceType": "QuestionnaireResponse"}}],
            }
        ),
    ],
)
def test_wrong_parameters_are_named(body: bytes, validator: Validator) -> None:
    with pytest.raises(Malformed) as refused:
        validator.validated(body)
    assert [problem.kind for problem in refused.value.problems] in (["parameter"], ["empty"])


def test_a_processed_response_may_carry_warnings_but_no_error(validator: Validator, sample: Sample) -> None:
    assert validator.processed(orjson.dumps(sample("partial"))) == ()
    assert (
        validator.processed(parameters(**{"in": {"resource": sample("plain-eyelid")}}), "muscle-twitching")
        == ()
    )
    with pytest.raises(NotScorable) as refused:
        validator.processed(orjson.dumps(sample("contradictory")))
    assert [problem.kind for problem in refused.value.problems] == ["disabled-item"]


def test_a_response_to_process_must_name_its_form(validator: Validator, sample: Sample) -> None:
    response = sample("plain-eyelid")
    del response["questionnaire"]
    with pytest.raises(NotScorable) as refused:
        validator.processed(orjson.dumps(response))
    assert "canonical-missing" in {problem.kind for problem in refused.value.problems}


def test_a_response_sent_to_another_form_is_refused(validator: Validator, sample: Sample) -> None:
    response = sample("plain-eyelid") | {"questionnaire": "https://other.example.org/Questionnaire/x|1"}
    with pytest.raises(NotScorable) as refused:
        validator.processed(orjson.dumps(response), "muscle-twitching")
    assert "canonical-mismatch" in {problem.kind for problem in refused.value.problems}


def lines(capsys: pytest.CaptureFixture[str]) -> list[Json]:
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_command_prints_an_outcome_for_each_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = root / "samples"
    assert main(["validate", str(samples / "plain-eyelid.json"), str(samples / "partial.json")]) == 0
    assert [outcome["resourceType"] for outcome in lines(capsys)] == ["OperationOutcome", "OperationOutcome"]
    assert main(["validate", str(samples / "contradictory.json"), str(samples / "plain-eyelid.json")]) == 1
    first, second = lines(capsys)
    assert first["issue"][0]["severity"] == "error"
    assert second["issue"][0]["severity"] == "information"


def test_the_command_validates_against_any_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    form, response, broken = tmp_path / "q.json", tmp_path / "r.json", tmp_path / "b.json"
    form.write_bytes(orjson.dumps(FORM))
    document = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "urn:x"}
    response.write_bytes(
        orjson.dumps(document | {"item": [{"linkId": "n", "answer": [{"valueInteger": 3}]}]})
    )
    broken.write_text("{")
    main(["validate", "--questionnaire", str(form), str(response), str(broken)])
    first, second = lines(capsys)
    assert not [
        issue for issue in first["issue"] if issue["details"]["coding"][0]["code"].startswith("answer")
    ]
    assert second["issue"][0]["severity"] == "error"


def test_the_command_says_when_it_cannot_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, sound = str(tmp_path / "missing.json"), str(root / "samples" / "plain-eyelid.json")
    assert main(["validate", missing, sound]) == 2
    assert [outcome["resourceType"] for outcome in lines(capsys)] == ["OperationOutcome"]
    form = tmp_path / "q.json"
    form.write_text('{"resourceType":"Patient"}')
    assert main(["validate", "--questionnaire", str(form), "samples/plain-eyelid.json"]) == 2
    form.write_text("{")
    assert main(["validate", "--questionnaire", str(form), "samples/plain-eyelid.json"]) == 2
    assert "expected Questionnaire" in capsys.readouterr().err


def test_an_unknown_form_has_no_process(served: Any) -> None:
    from service.app import create_app
    from service.settings import Settings

    client = create_app(Settings(store_url="none")).test_client()
    answer = client.post(
        "/fhir/Questionnaire/nothing/$process-response", data=b"{}", content_type="application/fhir+json"
    )
    assert answer.status_code == 404
    assert orjson.loads(answer.data)["issue"][0]["code"] == "not-found"


def test_another_resource_is_not_validated_against_anything(validator: Validator) -> None:
    (problem,) = validator.validated(b'{"resourceType":"Patient"}')
    assert problem.kind == "resource-type"
