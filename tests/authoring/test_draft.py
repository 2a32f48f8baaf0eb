"""`new` drafts a mapping folder that `check` passes, but for what only a person can decide."""

import io
import os
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import check, cli
from service.mapping_files import read_yaml
from service.settings import ROOT, from_environment

PHQ_9 = ROOT / "docs" / "authoring" / "phq-9" / "questionnaires" / "phq-9.json"
INSTRUMENTS = ROOT / "tests" / "instruments" / "questionnaires"
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
SYSTEM = "https://guidance.example.org/fhir/CodeSystem/instrument-answers"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for questionnaires and mappings, but for the codes of the instruments."""
    for name in ("questionnaires", "mappings"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"SERVICE_{name.upper()}_DIR", str(tmp_path / name))
    codes = "CodeSystem-instrument-answers.json"
    (tmp_path / "questionnaires" / codes).write_bytes((INSTRUMENTS / codes).read_bytes())
    return tmp_path


@pytest.fixture
def checked() -> Callable[[], tuple[int, list[str]]]:
    """Returns exit code and lines of a check, with its proofs."""

    def checked_() -> tuple[int, list[str]]:
        out = io.StringIO()
        code = check.run(from_environment(os.environ), out)
        return code, out.getvalue().splitlines()

    return checked_


Checked = Callable[[], tuple[int, list[str]]]


def new(slug: str, file: Path, *options: str) -> int:
    return cli.main(["new", slug, "--from", str(file), *options])


def entries(place: Path, slug: str, stem: str) -> Any:
    return read_yaml(place / "mappings" / slug / f"{stem}.yaml")


def case(place: Path, slug: str, name: str) -> Any:
    (found,) = [one for one in entries(place, slug, "cases") if one["case"] == name]
    return found


def points(case: Any, weights: dict[str, int]) -> int:
    return sum(weights[code] for code in case["answers"].values())


def only_decisions(lines: list[str], slug: str) -> list[str]:
    """The warnings that name nothing a draft leaves to a person, nor the lack of cards."""
    known = ("to be decided", "nothing reads the answer", "status: draft", f"{slug}/cds.yaml")
    return [line for line in lines if "warning" in line and not any(one in line for one in known)]


@pytest.mark.parametrize(
    ("slug", "file"),
    [
        ("phq-9", PHQ_9),
        ("gad-7", INSTRUMENTS / "gad-7.json"),
        ("pss-4", INSTRUMENTS / "pss-4.json"),
        ("curb-65", INSTRUMENTS / "curb-65.json"),
    ],
)
def test_check_passes_a_draft_and_names_only_what_a_person_must_decide(
    checked: Checked, slug: str, file: Path
) -> None:
    assert new(slug, file) == cli.DONE
    code, lines = checked()
    assert code == check.SOUND, lines
    assert f"  warning: {slug}/guidance.yaml: status: draft: no response is scored by it" in lines
    to_decide = f"  warning: {slug}/guidance.yaml: tiers.step-2.display: to be decided: the name of step 2"
    assert to_decide in lines
    assert only_decisions(lines, slug) == []


def test_bands_are_those_that_are_named_with_cases_on_both_sides_of_each_edge(
    checked: Checked, place: Path
) -> None:
    assert new("phq-9", PHQ_9, "--bands", "5,10,15,20") == cli.DONE
    (score,) = entries(place, "phq-9", "scores")
    ends = [(0, 4), (5, 9), (10, 14), (15, 19), (20, 27)]
    assert [(band["from"], band["to"]) for band in score["bands"]] == ends
    assert score["sum-of"][0] == "interest"
    assert "functioning" not in score["sum-of"]
    weights = {"LA6568-5": 0, "LA6569-3": 1, "LA6570-1": 2, "LA6571-9": 3}
    for number, (low, high) in enumerate(ends, 1):
        for name, total in (("lowest", low), ("highest", high)):
            found = case(place, "phq-9", f"{name}-of-band-{number}")
            assert points(found, weights) == total == found["expect"]["score"]["total"]
            assert found["expect"]["tier"] == f"step-{number}"
    assert checked()[0] == check.SOUND


def test_a_draft_has_a_case_with_the_last_question_open(checked: Checked, place: Path) -> None:
    assert new("gad-7", INSTRUMENTS / "gad-7.json", "--bands", "10") == cli.DONE
    found = case(place, "gad-7", "one-question-open")
    assert found["status"] == "in-progress"
    assert "item-7" not in found["answers"]
    assert found["expect"]["score"]["total"] == [7, 10]
    assert found["expect"]["tier"] == ["not-assessable", "step-2"]
    assert checked()[0] == check.SOUND


def test_an_active_guidance_with_what_a_draft_left_open_is_a_fault(checked: Checked, place: Path) -> None:
    new("gad-7", INSTRUMENTS / "gad-7.json")
    file = place / "mappings" / "gad-7" / "guidance.yaml"
    file.write_text(file.read_text().replace("status: draft", "status: active"))
    code, lines = checked()
    assert code == check.FAULTY
    assert (
        "fault: gad-7/guidance.yaml: intended-use.patient: to be decided: "
        "what the result is for, and what it is not" in lines
    )
    assert "fault: gad-7/sources.yaml: S001.where: to be decided: where in it" in lines


def test_a_published_questionnaire_is_not_copied_and_another_one_is(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = place / "questionnaires" / "form.json"
    published.write_bytes(PHQ_9.read_bytes())
    assert new("mine", published) == cli.DONE
    assert "questionnaires" not in capsys.readouterr().out
    assert new("gad-7", INSTRUMENTS / "gad-7.json") == cli.DONE
    copy = place / "questionnaires" / "gad-7.json"
    assert copy.read_bytes() == (INSTRUMENTS / "gad-7.json").read_bytes()
    assert f"wrote {copy}\n" in capsys.readouterr().out


def test_nothing_is_overwritten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("gad-7", INSTRUMENTS / "gad-7.json")
    before = {path: path.read_bytes() for path in place.rglob("*.*")}
    assert new("gad-7", PHQ_9) == cli.COULD_NOT_RUN
    assert capsys.readouterr().err.splitlines() == [
        "error: gad-7: is there already; nothing is overwritten",
        "error: gad-7.json: is there already; nothing is overwritten",
    ]
    assert {path: path.read_bytes() for path in place.rglob("*.*")} == before


# ---- Other questionnaires --------------------------------------------------------------------------


def option(code: str, weight: float | None = None) -> dict[str, Any]:
    coded: dict[str, Any] = {"valueCoding": {"system": SYSTEM, "code": code}}
    if weight is not None:
        coded["extension"] = [{"url": ORDINAL, "valueDecimal": weight}]
    return coded


FORM: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "id": "form",
    "url": "https://guidance.example.org/fhir/Questionnaire/form",
    "version": "1.0.0",
    "status": "active",
    "item": [
        {
            "linkId": "/1",
            "text": "One",
            "type": "choice",
            "answerOption": [option("no", 0), option("1", 0.5), option("yes", 2)],
        },
        {
            "linkId": "/2",
            "text": "Two",
            "type": "choice",
            "enableWhen": [
                {"question": "/1", "operator": "=", "answerCoding": {"system": SYSTEM, "code": "yes"}}
            ],
            "answerOption": [option("no", 1), option("yes", 2)],
        },
    ],
}


@pytest.fixture
def form(tmp_path: Path) -> Callable[..., Path]:
    """Writes FORM with changes, made by a function."""

    def form_(change: Callable[[dict[str, Any]], Any] = lambda made: None) -> Path:
        made = deepcopy(FORM)
        change(made)
        path = tmp_path / "given.json"
        path.write_bytes(orjson.dumps(made))
        return path

    return form_


Form = Callable[..., Path]


def test_points_keep_their_decimals_and_a_question_that_is_not_asked_adds_nothing(
    checked: Checked, place: Path, form: Form
) -> None:
    assert new("form", form(), "--bands", "3.5") == cli.DONE
    (score,) = entries(place, "form", "scores")
    assert [(band["from"], band["to"]) for band in score["bands"]] == [
        (0, Decimal("3.4")),
        (Decimal("3.5"), 4),
    ]
    named = {one["case"]: one["answers"] for one in entries(place, "form", "cases")}
    assert named == {
        "lowest-of-band-1": {"/1": "no"},
        "highest-of-band-1": {"/1": "yes", "/2": "no"},
        "lowest-of-band-2": {"/1": "yes", "/2": "yes"},
    }
    code, lines = checked()
    assert code == check.SOUND
    assert "  worked cases reach 2 of 2 rules, 2 of 2 bands, 4 of 5 options" in lines
    assert not [line for line in lines if "has the total" in line], "no answers add up to 3.4 or 3.5"


def test_without_points_each_question_becomes_a_finding(checked: Checked, place: Path, form: Form) -> None:
    def change(made: dict[str, Any]) -> None:
        for item in made["item"]:
            item["answerOption"] = [option("yes"), option("no")]
        made["item"] += [
            {"linkId": "1", "text": "Three", "type": "boolean"},
            {"linkId": "four", "text": "Four", "type": "text"},
        ]

    assert new("form", form(change)) == cli.DONE
    assert not (place / "mappings" / "form" / "scores.yaml").exists()
    found = [(one["finding"], one["when"]) for one in entries(place, "form", "findings")]
    assert found == [
        ("1", {"answer": "/1", "is": "yes"}),
        ("2", {"answer": "/2", "is": "yes"}),
        ("1-2", {"answer": "1", "is": True}),
    ]
    assert case(place, "form", "only-question-2-marked")["answers"] == {"1": True}
    code, lines = checked()
    assert code == check.SOUND, lines
    assert "  3 worked cases pass" in lines


def test_a_draft_answers_what_opens_other_questions_and_never_counts_not_sure(
    checked: Checked, place: Path, form: Form
) -> None:
    def change(made: dict[str, Any]) -> None:
        first, second = made["item"]
        first["answerOption"] = [option("yes"), option("no"), option("not-sure")]
        second["answerOption"] = [option("yes"), option("no"), option("not-sure")]
        second["enableWhen"] = [{"question": "age", "operator": ">=", "answerInteger": 50}]
        made["item"].insert(0, {"linkId": "age", "text": "Age", "type": "integer"})

    assert new("form", form(change)) == cli.DONE
    assert entries(place, "form", "guidance")["words"] == {"not-sure": "not-sure"}
    assert case(place, "form", "nothing-marked")["answers"] == {"age": 50, "/1": "no", "/2": "no"}
    code, lines = checked()
    assert code == check.SOUND, lines


def test_a_sum_of_questions_that_another_one_opens_is_worked_out_with_it(
    checked: Checked, place: Path, form: Form
) -> None:
    def change(made: dict[str, Any]) -> None:
        made["item"][0]["enableWhen"] = [{"question": "tube", "operator": "=", "answerBoolean": False}]
        made["item"][1]["enableWhen"] = [{"question": "tube", "operator": "=", "answerBoolean": True}]
        made["item"].insert(0, {"linkId": "tube", "text": "Tube", "type": "boolean"})

    assert new("form", form(change), "--bands", "2") == cli.DONE
    found = case(place, "form", "lowest-of-band-1")
    assert found["answers"] == {"tube": False, "/1": "no"}
    code, lines = checked()
    assert code == check.SOUND, lines


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda made: made.pop("version"), "given.json: Questionnaire.version: is missing; expected it, "),
        (lambda made: made.update(resourceType="Patient"), "given.json: resourceType: expected Question"),
        (
            lambda made: made.update(status="canary"),
            "given.json: Questionnaire.status: Expected one of active, ",
        ),
        (
            lambda made: made["item"][1].update(linkId="/1"),
            "given.json: Questionnaire.item[1]: Expected a linkId of its own; ",
        ),
        (
            lambda made: made["item"][1]["enableWhen"][0].update(question="one"),
            "given.json: Questionnaire.item[1].enableWhen[0]: “Two”: expected question to be the linkId of ",
        ),
        (
            lambda made: made["item"][1].update(
                enableWhen=[{"question": "/1", "operator": "=", "answerInteger": "1"}]
            ),
            "given.json: Questionnaire.item[1].enableWhen[0]: Expected answer[x], with a value that “One” c",
        ),
        (
            lambda made: made.update(item=[{"linkId": "a", "text": "A", "type": "text"}]),
            "Questionnaire.item: expected a question with options, or one to be answered with yes or no",
        ),
        (
            lambda made: made["item"].__delitem__(0) or made["item"][0].pop("enableWhen"),
            "--bands: expected rising numbers above 1, up to 2, in steps of 1",
        ),
    ],
)
def test_faults_of_a_questionnaire_name_the_element_and_nothing_is_written(
    change: Callable[[dict[str, Any]], Any],
    expected: str,
    place: Path,
    form: Form,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = form(change)
    options = ["--bands", "7"] if "--bands" in expected else []
    assert new("form", given, *options) == cli.COULD_NOT_RUN
    errors = capsys.readouterr().err
    assert f"error: {expected}" in errors
    assert [*(place / "mappings").iterdir()] == []
    assert not (place / "questionnaires" / "form.json").exists()


def test_a_version_that_is_published_with_other_questions_is_refused(
    place: Path, form: Form, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "questionnaires" / "old.json").write_bytes(orjson.dumps(FORM | {"title": "Old"}))
    assert new("form", form()) == cli.COULD_NOT_RUN
    expected = "given.json: Questionnaire.version: expected one that is not published yet"
    assert expected in capsys.readouterr().err
