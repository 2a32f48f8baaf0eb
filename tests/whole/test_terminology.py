"""Terminology from outside, through the commands and operations: a folder, and a server that is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from loopback_servers import QuietHandler, listening

from service import catalogue, cli
from service.assess import Assessor
from service.errors import NotScorable
from service.fhir.json import BodyLimits
from service.settings import ROOT
from service.terminology import TerminologyServer
from service.validate import Validator

ELSEWHERE = "http://elsewhere.example.org/ValueSet/v"
SYSTEM = "http://elsewhere.example.org/codes"
FORM = {
    "resourceType": "Questionnaire",
    "url": "http://forms.example.org/q",
    "version": "1",
    "status": "active",
    "item": [{"linkId": "a", "text": "A", "type": "choice", "answerValueSet": ELSEWHERE}],
}


def response(code: str, form: str = "http://forms.example.org/q|1", **more: Any) -> dict[str, Any]:
    answer = {"valueCoding": {"system": SYSTEM, "code": code}}
    items = [{"linkId": "a", "answer": [answer]}]
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form,
        "status": "completed",
        "item": items,
    } | more


@pytest.fixture
def files(tmp_path: Path) -> Path:
    codes = {
        "resourceType": "ValueSet",
        "url": ELSEWHERE,
        "compose": {"include": [{"system": SYSTEM, "concept": [{"code": "c"}]}]},
    }
    (tmp_path / "terminology").mkdir()
    (tmp_path / "terminology" / "v.json").write_text(json.dumps(codes))
    (tmp_path / "q.json").write_text(json.dumps(FORM))
    for code in ("c", "d"):
        (tmp_path / f"{code}.json").write_text(json.dumps(response(code)))
    return tmp_path


@pytest.fixture
def base() -> Iterator[tuple[str, list[Any]]]:
    """A terminology server that knows the code c, and what it was asked."""
    asked: list[Any] = []

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            question = json.loads(self.body())
            asked.append(question)
            codes = [one["valueCode"] for one in question["parameter"] if one["name"] == "code"]
            result = {"name": "result", "valueBoolean": codes == ["c"]}
            self.tell(json.dumps({"resourceType": "Parameters", "parameter": [result]}).encode())

    with listening(Handler) as server:
        yield f"http://127.0.0.1:{server.server_port}/fhir", asked


def kinds(line: str) -> list[str]:
    issues = json.loads(line)["issue"]
    return [issue["details"]["coding"][0]["code"] for issue in issues if "details" in issue]


def validated(files: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[list[str]]:
    form = str(files / "q.json")
    cli.main(["validate", "--questionnaire", form, *options, str(files / "c.json"), str(files / "d.json")])
    return [kinds(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_a_folder_settles_what_is_undecided_without_it(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert validated(files, capsys) == [["membership-undecided"], ["membership-undecided"]]
    assert validated(files, capsys, "--terminology", str(files / "terminology")) == [[], ["answer-option"]]
    monkeypatch.setenv("SERVICE_TERMINOLOGY_DIR", str(files / "terminology"))
    assert validated(files, capsys) == [[], ["answer-option"]]


def test_a_folder_that_cannot_be_read_is_exit_code_2_with_its_file_named(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "terminology" / "w.json").write_text("{")
    assert cli.main(["validate", "--terminology", str(files / "terminology"), str(files / "c.json")]) == 2
    assert "error: w.json: " in capsys.readouterr().err


def test_the_command_line_asks_the_server_that_is_set(
    files: Path,
    base: tuple[str, list[Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVICE_TERMINOLOGY_SERVER", base[0])
    assert validated(files, capsys) == [[], ["answer-option"]]
    assert len(base[1]) == 2


def test_validate_asks_for_a_form_that_came_with_the_request_and_nothing_else_does(
    served: catalogue.Catalogue, base: tuple[str, list[Any]]
) -> None:
    url, asked = base
    validator = Validator(served, BodyLimits(), server=TerminologyServer(url, 5.0))
    patterned = {"url": "http://hl7.org/fhir/StructureDefinition/regex", "valueString": ".*"}
    form = FORM | {"id": "q", "item": [FORM["item"][0] | {"extension": [patterned]}]}  # type: ignore[index]
    body = orjson.dumps(response("d", "#q", contained=[form]))
    assert "membership-undecided" in [problem.kind for problem in validator.processed(body)]
    assert asked == []
    assert "answer-option" in [problem.kind for problem in validator.validated(body)]
    assert len(asked) == 1
    with pytest.raises(NotScorable):
        Assessor(served, BodyLimits()).scored(body)
    assert len(asked) == 1


def test_only_the_code_and_what_it_is_asked_of_leave_the_house(
    served: catalogue.Catalogue, base: tuple[str, list[Any]]
) -> None:
    url, asked = base
    validator = Validator(served, BodyLimits(), server=TerminologyServer(url, 5.0))
    sent = response("c", "#q", contained=[FORM | {"id": "q"}], subject={"reference": "Patient/canary"})
    validator.validated(orjson.dumps(sent))
    (question,) = asked
    assert sorted(one["name"] for one in question["parameter"]) == ["code", "system", "url"]
    assert "canary" not in json.dumps(question)


def test_the_samples_need_no_server(served: catalogue.Catalogue) -> None:
    validator = Validator(served, BodyLimits())
    for path in sorted((ROOT / "samples").glob("*.json")):
        found = validator.problems(orjson.loads(path.read_bytes()))
        assert [problem for problem in found if problem.lookup is not None] == []
        assert [problem for problem in found if problem.kind == "display-wrong"] == []
