"""What `check` says beside faults, and that it does not prove again what has not changed."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from service import check, cli
from service.datatypes.values import replace
from service.settings import ROOT, Settings

Edit = Callable[[Path, str, str, str], None]
SettingsOf = Callable[[Path], Settings]


@pytest.fixture
def report(settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a check of a copy, without proofs where none is looked at; returns exit code and report."""

    def report_(copy: Path, wanted: check.Wanted | None = None, *, proofs: bool = False) -> tuple[int, str]:
        out = io.StringIO()
        with monkeypatch.context() as without:
            if not proofs:
                without.setattr(check, "proof_report", lambda guidance, asked: (("proved",), True))
            return check.run(settings_of(copy), out, wanted), out.getvalue()

    return report_


Report = Callable[..., tuple[int, str]]


def active(edit: Edit, copy: Path) -> None:
    edit(copy, "guidance.yaml", "status: draft", "status: active")


# ---- Faults ----------------------------------------------------------------------------------------


def test_a_folder_without_mapping_files_is_a_fault(new: Path, report: Report) -> None:
    (new / "mappings" / "empty").mkdir()
    (new / "mappings" / ".git").mkdir()
    code, text = report(new)
    assert (code, text) == (1, "fault: empty/guidance.yaml: is missing; expected mapping files (*.yaml)\n")


def test_a_case_that_expects_nothing_is_a_fault(new: Path, edit: Edit, report: Report) -> None:
    edit(
        new,
        "cases.yaml",
        "expect: {tier: watch, major-depression: low, score: {total: 5}, fires: [total-mild]}",
        "expect: {}",
    )
    code, text = report(new)
    assert code == 1
    assert "fault: phq-9/cases.yaml: total-five.expect: expected something that must come out\n" in text


def test_an_active_guidance_without_a_worked_case_is_a_fault_and_a_draft_is_warned(
    new: Path, edit: Edit, report: Report
) -> None:
    (new / "mappings" / "phq-9" / "cases.yaml").write_text("[]\n")
    code, text = report(new)
    assert (code, "warning: phq-9/cases.yaml: there is no worked case" in text) == (0, True)
    active(edit, new)
    code, text = report(new)
    assert (code, text) == (
        1,
        "fault: phq-9/cases.yaml: expected a worked case: nothing tries this active guidance\n",
    )


def test_a_questionnaire_without_a_version_is_named_where_its_guidance_looks_for_it(
    new: Path, edit: Edit, report: Report
) -> None:
    edit(new, "phq-9.json", '"version": "1.0.0",', "")
    code, text = report(new)
    url = "https://guidance.example.org/fhir/Questionnaire/phq-9"
    assert code == 1
    assert f"no questionnaire {url}|1.0.0 is published; there is {url} without a version" in text


def test_a_guidance_that_names_no_version_of_its_questionnaire_is_told_so(
    new: Path, edit: Edit, report: Report
) -> None:
    edit(new, "guidance.yaml", "Questionnaire/phq-9|1.0.0", "Questionnaire/phq-9")
    _, text = report(new)
    assert "phq-9/guidance.yaml: questionnaire: expected url|version; " in text


def test_an_empty_guidance_is_told_in_one_line(new: Path, report: Report) -> None:
    (new / "mappings" / "phq-9" / "guidance.yaml").write_text("{}\n")
    _, text = report(new)
    expected = "fault: phq-9/guidance.yaml: is empty; expected a mapping that starts with `guidance:`\n"
    assert text == expected


# ---- Codes of CDS Hooks ----------------------------------------------------------------------------


CDS = """triggers:
  conditions: [{system: http://snomed.info/sct, code: "%s"}]
  observations: [{system: http://loinc.org, code: 44249-1}]
override-reasons:
  - {system: https://guidance.example.org/fhir/CodeSystem/card-override-reason, code: %s, display: Known}
"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CDS % ("370143001", "already-known"), "triggers.conditions[0].code: expected a code of SNOMED CT;"),
        (
            CDS % ("370143000", "x"),
            "override-reasons[0].code: expected a code of https://guidance.example.org/",
        ),
        ("override-reasons: []\n", "triggers: is missing"),
        ("triggers: {}\n", "triggers: expected at least one code"),
    ],
)
def test_a_code_that_there_cannot_be_and_missing_triggers_are_faults_of_cds_yaml(
    new: Path, report: Report, text: str, fault: str
) -> None:
    (new / "mappings" / "phq-9" / "cds.yaml").write_text(text)
    code, told = report(new)
    assert code == 1
    assert f"fault: phq-9/cds.yaml: {fault}" in told


def test_cds_yaml_with_codes_that_there_may_be_is_no_fault(new: Path, report: Report) -> None:
    (new / "mappings" / "phq-9" / "cds.yaml").write_text(CDS % ("370143000", "already-known"))
    code, told = report(new)
    assert (code, "cds.yaml" in told) == (0, False)


def test_a_reason_to_say_no_without_words_in_a_language_is_warned(tmp_path: Path, report: Report) -> None:
    for part in ("questionnaires", "mappings"):
        shutil.copytree(ROOT / part, tmp_path / part)
    path = tmp_path / "mappings/muscle-twitching/cds.yaml"
    path.write_text(path.read_text().replace("    translations: {de: Schon bekannt}\n", ""))
    _, told = report(tmp_path)
    assert "cds.yaml: override-reasons[0].translations: has none for de" in told
    assert "override-reasons[1]" not in told


def test_a_form_that_no_chart_gives_a_reason_for_is_warned(new: Path, report: Report) -> None:
    (form,) = (new / "questionnaires").rglob("*.json")
    resource = orjson.loads(form.read_bytes())
    resource.pop("code", None)
    form.write_bytes(orjson.dumps(resource))
    code, told = report(new)
    assert code == 0
    assert "warning: phq-9/cds.yaml: is missing, and the Questionnaire has no code" in told


# ---- Warnings --------------------------------------------------------------------------------------


def warnings(text: str) -> list[str]:
    return [line.strip().removeprefix("warning: ") for line in text.splitlines() if "warning: " in line]


def test_a_draft_a_retired_and_an_unsigned_guidance_are_warned_of(
    new: Path, edit: Edit, report: Report
) -> None:
    assert warnings(report(new)[1]) == ["phq-9/guidance.yaml: status: draft: no response is scored by it"]
    edit(new, "guidance.yaml", "status: draft", "status: retired")
    assert warnings(report(new)[1]) == [
        "phq-9/guidance.yaml: status: retired: it scores its own version only"
    ]
    edit(new, "guidance.yaml", "status: retired", "status: active")
    assert warnings(report(new)[1]) == [
        "phq-9/guidance.yaml: review: nobody has signed: expected by, role and on"
    ]
    signed = "state: reviewed\n  by: A. Example\n  role: physician\n  on: '2026-11-28'\n"
    edit(new, "guidance.yaml", "state: example for authors, not reviewed by a clinician\n", signed)
    assert warnings(report(new)[1]) == []


def test_an_edge_between_two_bands_that_no_case_tries_is_warned_of(
    new: Path, edit: Edit, report: Report
) -> None:
    twenty = "answers: {interest: nearly-every-day}\n  expect: {tier: treat, score: {total: 20}}"
    more = "answers: {interest: nearly-every-day, concentration: nearly-every-day}\n  expect: {tier: treat}"
    edit(new, "cases.yaml", twenty, more)
    found = warnings(report(new)[1])
    assert found[1:] == ["phq-9/scores.yaml: total.bands.severe.from: no worked case has the total 20"]


def test_an_option_that_says_not_sure_and_is_read_as_a_plain_answer_is_warned_of(
    new: Path, edit: Edit, report: Report
) -> None:
    edit(new, "phq-9.json", '"display": "Not difficult at all"', '"display": "I don\'t know"')
    text = "the option LA6572-7 seems to say it, and is read as a plain answer"
    assert f"phq-9/guidance.yaml: words.not-sure: {text}" in warnings(report(new)[1])
    edit(new, "guidance.yaml", "words:\n", "words:\n  not-sure: LA6572-7\n")
    assert text not in report(new)[1]


def test_a_question_whose_answer_nothing_reads_is_warned_of(new: Path, report: Report) -> None:
    path = new / "questionnaires" / "phq-9.json"
    form = orjson.loads(path.read_bytes())
    form["item"] += [
        {"linkId": "alone", "text": "Do you live alone?", "type": "boolean"},
        {"linkId": "remarks", "text": "Anything else?", "type": "text"},
    ]
    path.write_bytes(orjson.dumps(form))
    found = [line for line in warnings(report(new)[1]) if "nothing reads" in line]
    assert found == ["phq-9/Questionnaire phq-9: alone: nothing reads the answer to it"]


def test_a_questionnaire_with_faults_is_not_called_missing_as_well(
    new: Path, edit: Edit, report: Report
) -> None:
    edit(new, "phq-9.json", '"linkId": "mood"', '"linkId": "sleep"')
    code, text = report(new)
    assert (code, len(text.splitlines())) == (1, 1), text
    assert "Expected a linkId of its own" in text


def test_an_option_of_a_sum_without_a_weight_is_warned_of(new: Path, edit: Edit, report: Report) -> None:
    path = new / "questionnaires" / "phq-9.json"
    form = orjson.loads(path.read_bytes())
    item = next(item for item in form["item"][0]["item"] if item["linkId"] == "concentration")
    del item["answerOption"][3]["extension"]
    path.write_bytes(orjson.dumps(form))
    found = warnings(report(new)[1])
    text = "the option LA6571-9 of concentration has no weight; it leaves the total a range"
    assert f"phq-9/scores.yaml: total.sum-of[6]: {text}" in found


def test_what_the_lint_says_of_a_questionnaire_is_shown(new: Path, edit: Edit, report: Report) -> None:
    edit(new, "phq-9.json", '"status": "active"', '"status": "draft"')
    found = warnings(report(new)[1])
    assert (
        "phq-9/Questionnaire phq-9: status: draft: a response that names no version does not find it" in found
    )


def test_a_warning_of_the_lint_is_shown(new: Path, edit: Edit, report: Report) -> None:
    ordinal = '{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 9}'
    edit(new, "phq-9.json", '"code": "LA6568-5"', f'"extension": [{ordinal}], "code": "LA6568-5"')
    (line,) = [line for line in warnings(report(new)[1]) if "itemWeight and ordinalValue" in line]
    assert line.startswith("phq-9/Questionnaire phq-9: Questionnaire.item[0].item[0].answerOption[0]")


MIN_OCCURS = "http://hl7.org/fhir/StructureDefinition/questionnaire-minOccurs"


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"type": "attachment"}, "a file cannot be attached"),
        ({"type": "reference"}, "a record cannot be pointed at"),
        ({"type": "date", "repeats": True}, "several of type date cannot be filled in"),
        (
            {"type": "string", "extension": [{"url": MIN_OCCURS, "valueInteger": 2}]},
            "several answers are expected (minOccurs), and it does not repeat",
        ),
    ],
)
def test_an_item_that_the_form_cannot_show_is_warned_of(
    new: Path, report: Report, item: dict[str, object], why: str
) -> None:
    path = new / "questionnaires/phq-9.json"
    form = orjson.loads(path.read_bytes())
    form["item"].append({"linkId": "more", "text": "More", **item})
    path.write_bytes(orjson.dumps(form))
    assert f"phq-9/Questionnaire phq-9: not shown as a form: more: {why}" in warnings(report(new)[1])


def test_a_questionnaire_that_is_no_json_is_a_fault(new: Path, report: Report) -> None:
    (new / "questionnaires" / "phq-9.json").write_text("{")
    code, text = report(new)
    assert (code, text.startswith("fault: phq-9.json: not a FHIR resource in JSON")) == (1, True)


def test_a_questionnaire_that_nothing_scores_is_warned_of(new: Path, report: Report) -> None:
    other = orjson.loads((new / "questionnaires" / "phq-9.json").read_bytes())
    (new / "questionnaires" / "z.json").write_bytes(orjson.dumps({**other, "id": "z", "version": "2"}))
    url = "https://guidance.example.org/fhir/Questionnaire/phq-9"
    assert f"z.json: no mapping scores {url}|2" in warnings(report(new)[1])
    del other["version"]
    (new / "questionnaires" / "z.json").write_bytes(orjson.dumps({**other, "id": "z"}))
    missing = "z.json: version: is missing; a guidance names its questionnaire as url|version"
    assert missing in warnings(report(new)[1])


def test_a_folder_that_is_named_is_not_asked_for_what_stands_elsewhere(new: Path, report: Report) -> None:
    wanted = check.Wanted(folders=(new / "mappings" / "phq-9",))
    other = orjson.loads((new / "questionnaires" / "phq-9.json").read_bytes())
    (new / "questionnaires" / "z.json").write_bytes(orjson.dumps({**other, "id": "z", "version": "2"}))
    code, text = report(ROOT, wanted)
    assert (code, "no mapping scores" in text) == (0, False)


# ---- What has not changed --------------------------------------------------------------------------


@pytest.fixture
def cached(new: Path, tmp_path: Path, report: Report) -> check.Wanted:
    wanted = check.Wanted(cache=tmp_path / "cache")
    assert report(new, wanted)[0] == 0
    return wanted


AGAIN = "nothing has changed since this was checked; --all checks it again"


def test_what_has_not_changed_is_told_and_not_checked_again(
    new: Path, cached: check.Wanted, report: Report
) -> None:
    first = report(new)[1]
    assert report(new, cached) == (0, f"{first}{AGAIN}\n")


@pytest.mark.parametrize(
    ("file", "was", "now"),
    [
        ("cases.yaml", "The last total of the mild band.", "The last one of the mild band."),
        ("phq-9.json", "Feeling down", "Feeling low"),
    ],
)
def test_a_change_of_a_file_is_checked(
    new: Path, cached: check.Wanted, edit: Edit, report: Report, file: str, was: str, now: str
) -> None:
    edit(new, file, was, now)
    assert AGAIN not in report(new, cached)[1]
    assert AGAIN in report(new, cached)[1]


def test_all_checks_what_has_not_changed_too(new: Path, cached: check.Wanted, report: Report) -> None:
    every = check.Wanted(cache=cached.cache, every=True)
    assert AGAIN not in report(new, every)[1]


def test_other_terminology_or_another_address_is_another_check(
    new: Path, cached: check.Wanted, settings_of: SettingsOf
) -> None:
    out = io.StringIO()
    moved = replace(settings_of(new), canonical_base="https://example.net")
    assert check.run(moved, out, cached) == check.SOUND
    assert AGAIN not in out.getvalue()


def test_only_the_guidance_that_changed_is_proved_again(
    new: Path, cached: check.Wanted, edit: Edit, report: Report
) -> None:
    for part in ("questionnaires", "mappings"):
        shutil.copytree(ROOT / "tests" / "second_pair" / part, new / part, dirs_exist_ok=True)
    _, text = report(new, cached)
    assert text.count("unchanged since it was checked") == 0  # other terminology stands beside it now
    edit(new, "cases.yaml", "The last total of the mild band.", "The last one of the mild band.")
    _, text = report(new, cached)
    first, second = text.split("workday-strain|2.1.0: ")
    assert "unchanged since it was checked" not in first
    assert "unchanged since it was checked" in second


def test_a_failed_proof_is_not_kept(new: Path, edit: Edit, tmp_path: Path, report: Report) -> None:
    edit(new, "guidance.yaml", "tier-at-least: same-day", "tier-at-least: treat")
    edit(
        new,
        "rules.yaml",
        "when: thoughts-of-self-harm\n",
        "when: {answer: self-harm, is: [several-days, nearly-every-day]}\n",
    )
    wanted = check.Wanted(cache=tmp_path / "cache")
    for _ in range(2):
        code, text = report(new, wanted, proofs=True)
        assert (code, "FAILED: " in text, AGAIN in text) == (1, True, False)


def test_a_place_that_cannot_be_written_costs_only_time(new: Path, tmp_path: Path, report: Report) -> None:
    (tmp_path / "file").write_text("")
    wanted = check.Wanted(cache=tmp_path / "file" / "cache")
    assert report(new, wanted) == report(new, wanted)
    assert AGAIN not in report(new, wanted)[1]


def test_the_command_keeps_reports_in_the_cache_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[check.Wanted] = []
    monkeypatch.setattr("service.check.run", lambda settings, out, wanted: asked.append(wanted) or 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["check", "--all", str(ROOT / "tests")]) == 0
    assert cli.main(["check", "--cache", str(tmp_path / "own")]) == 0
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cli.main(["check"]) == 0
    first, second, third = asked
    assert first == check.Wanted((ROOT / "tests",), tmp_path / "questionnaire-guidance", every=True)
    assert second.cache == tmp_path / "own"
    assert third.cache == tmp_path / "home" / ".cache" / "questionnaire-guidance"
