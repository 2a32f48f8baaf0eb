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


def answered(**form: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "contained": [FORM | form],
        "questionnaire": "#form",
        "status": "completed",
        "item": [{"linkId": "n", "answer": [{"valueInteger": 3}]}],
    }


FAULTY_FORMS = {
    "an empty array": {"code": []},
    "an empty text": {"title": ""},
    "an empty object": {"meta": {}},
    "null": {"title": None},
    "something empty in an item": {"item": [{**FORM["item"][0], "code": [], "prefix": ""}]},
    "an empty text in an array": {"subjectType": ["Patient", ""]},
    "a control character": {"title": "a\u0001b"},
    "an array in an array": {"code": [["x"]]},
}


@pytest.mark.parametrize("name", FAULTY_FORMS)
def test_k17_a_fault_of_a_contained_form_is_a_warning_and_the_response_is_checked(
    name: str, validator: Validator
) -> None:
    response = answered(**FAULTY_FORMS[name])
    for body in (orjson.dumps(response), parameters(resource={"resource": response})):
        problems = validator.validated(body)
        assert [problem for problem in problems if problem.severity == "error"] == []
        assert any(".contained[0]." in problem.expression for problem in problems)
    response["item"][0]["answer"] = [{"valueString": "three"}]
    problems = validator.validated(orjson.dumps(response))
    assert "answer-type" in {problem.kind for problem in problems if problem.severity == "error"}


@pytest.mark.parametrize(
    "more",
    [
        {"item": []},
        {"text": ""},
        {"extension": []},
        {"item": [{"linkId": "n", "answer": []}]},
        {"subject": {}},
        {
            "contained": [FORM, {"resourceType": "Patient", "id": "p", "name": []}],
            "subject": {"reference": "#p"},
        },
    ],
)
def test_k17_a_response_is_read_as_strictly_as_ever(more: Json, validator: Validator) -> None:
    with pytest.raises(Malformed) as refused:
        validator.validated(orjson.dumps(answered() | more))
    assert {problem.kind for problem in refused.value.problems} == {"empty"}


@pytest.mark.parametrize("name", FAULTY_FORMS)
def test_k17_a_fault_of_a_given_form_is_a_warning_with_its_place(name: str, validator: Validator) -> None:
    form = validator.read_form(orjson.dumps(FORM | FAULTY_FORMS[name]))
    response = answered() | {"contained": [], "questionnaire": "urn:x"}
    del response["contained"]
    problems = validator.of_file(orjson.dumps(response), form)
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert [problem for problem in problems if problem.expression.startswith("Questionnaire.")]


UNREADABLE = {
    "missing": None,
    "empty": b"",
    "binary": bytes(range(256)),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"resourceType":"Questionnaire"}'.encode("utf-16"),
    "nothing but NUL": b"\0" * 1000,
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"item":[' * 50_000,
    "deep and closed": b"[" * 5000 + b"]" * 5000,
    "a text": b'"x"',
    "a number": b"1e999999",
    "long digits": b'{"a":' + b"9" * 5000 + b"}",
    "half a surrogate": b'{"resourceType":"Questionnaire","title":"\\ud800"}',
    "another resource": b'{"resourceType":"Patient"}',
    "a type that is a list": b'{"resourceType":["Questionnaire"]}',
    "items that are none": b'{"resourceType":"Questionnaire","item":{"item":[1,null,[[]]]}}',
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("as_form", [True, False])
def test_k13_no_file_ends_the_command_with_a_traceback(
    name: str, as_form: bool, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.json"
    content = UNREADABLE[name]
    if content is not None:
        file.write_bytes(content)
    sound = str(root / "samples" / "plain-eyelid.json")
    arguments = ["validate", "--questionnaire", str(file), sound] if as_form else ["validate", str(file)]
    assert main(arguments) in (1, 2)
    said = capsys.readouterr()
    assert said.err.startswith("error: ") or '"severity":"error"' in said.out


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "--questionnaire"], ["assess"]])
def test_k13_a_folder_is_no_file(
    arguments: list[str], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = [str(root / "samples" / "plain-eyelid.json")] if len(arguments) == 2 else []
    assert main([*arguments, str(tmp_path), *sound]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_k13_a_file_may_be_larger_than_a_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_MAX_BODY_BYTES", "2048")
    items = [{"linkId": f"q{number}", "text": "t" * 300, "type": "string"} for number in range(20)]
    form, response = tmp_path / "q.json", tmp_path / "r.json"
    form.write_bytes(orjson.dumps(FORM | {"item": items}))
    said = [
        {"linkId": item["linkId"], "text": item["text"], "answer": [{"valueString": "x"}]} for item in items
    ]
    document = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": said}
    response.write_bytes(orjson.dumps(document))
    assert main(["validate", "--questionnaire", str(form), str(response)]) == 0
    assert lines(capsys)[0]["resourceType"] == "OperationOutcome"
