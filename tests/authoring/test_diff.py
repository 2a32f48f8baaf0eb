"""Two versions of a guidance side by side: what was changed, and who is told something else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from service import cli
from service.authoring import pattern_changes
from service.authoring.diff import Diff, Section, compared, diff, text_of
from service.authoring.editions import Edition, editions_in
from service.errors import GuidanceError
from service.settings import Settings

Edit = Callable[[Path, str, str, str], None]
Read = Callable[[Path], Edition]


def move_cut_off(edit: Edit, copy: Path, points: int) -> None:
    """Lets the moderate band begin at another total."""
    edit(copy, "guidance.yaml", "    value: 10\n", f"    value: {points}\n")
    edit(copy, "scores.yaml", "      to: 9\n", f"      to: {points - 1}\n")


def section(found: Diff, what: str) -> Section:
    return next(section for section in found.sections if section.what == what)


def test_a_version_does_not_differ_from_itself(old: Path, new: Path, edition: Read) -> None:
    found = diff(edition(old), edition(new))
    assert (found.sections, found.cases, found.compared, found.faults) == ((), (), 14, ())
    assert list(text_of(found))[-1] == "worked cases: 0 of 14 come out differently"


def test_an_entry_is_added_removed_or_changed_by_its_keys(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    edit(new, "findings.yaml", "- finding: some-difficulty\n", "- finding: some-trouble\n")
    edit(new, "rules.yaml", "when: some-difficulty\n", "when: some-trouble\n")
    edit(new, "guidance.yaml", "    value: 5\n", "    value: 4\n")
    found = diff(edition(old), edition(new))
    findings = section(found, "findings")
    assert (findings.added, findings.removed) == (
        {"some-trouble": "impairment"},
        {"some-difficulty": "impairment"},
    )
    (change,) = section(found, "rules").changed["hard-to-cope-moderate"]
    assert change.line == "when: some-difficulty -> some-trouble"
    assert section(found, "parameters").changed["symptoms-for-syndrome"][0].line == "value: 5 -> 4"


def test_long_values_are_named_and_not_told(old: Path, new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "guidance.yaml", "Your answers show mild signs of depression.", "Your answers show something.")
    (change,) = section(diff(edition(old), edition(new)), "tiers").changed["watch"]
    assert change.line == "patient"
    assert change.new.startswith("Your answers show something.")


def test_bands_are_compared_by_their_names(old: Path, new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "scores.yaml", "      tier: watch\n", "      tier: plan\n")
    found = diff(edition(old), edition(new))
    (change,) = section(found, "scores").changed["total"]
    assert change.line == "bands.mild.tier: watch -> plan"


def test_questions_are_compared_by_their_link_ids(old: Path, new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "phq-9.json", "Feeling down, depressed, or hopeless", "Feeling low")
    found = diff(edition(old), edition(new))
    assert section(found, "questions").changed["mood"][0].new == "Feeling low"
    assert section(found, "questions").added == {}


def test_a_worked_case_that_comes_out_differently_is_told_with_both_values(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    move_cut_off(edit, new, 12)
    found = diff(edition(old), edition(new))
    ten = next(case for case in found.cases if case.case == "total-ten")
    assert (ten.of, ten.step) == ("both", "lower")
    assert [change.line for change in ten.changes] == [
        "step: plan -> watch",
        "major-depression: moderate -> low",
    ]
    lines = list(text_of(found))
    assert "  total-ten (lower)" in lines
    assert lines[lines.index("  total-ten (lower)") + 2] == "      step: plan -> watch"


def test_a_case_of_one_version_is_a_patient_for_both(old: Path, new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "cases.yaml", "- case: total-nine\n", "- case: nine-points\n")
    for _ in range(2):
        edit(new, "cases.yaml", "like: total-nine\n", "like: nine-points\n")
    move_cut_off(edit, new, 9)
    marks = {case.case: (case.of, case.step) for case in diff(edition(old), edition(new)).cases}
    assert marks["total-nine"] == ("old", "higher")
    assert marks["nine-points"] == ("new", "higher")


def test_answers_that_the_other_questionnaire_cannot_take_are_left_out_and_named(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    edit(new, "phq-9.json", '"code": "LA6575-0"', '"code": "LA6575-9"')
    edit(new, "phq-9.json", '"linkId": "movement"', '"linkId": "moving"')
    for file in ("findings.yaml", "scores.yaml", "cases.yaml"):
        path = new / "mappings" / "phq-9" / file
        path.write_text(path.read_text().replace("movement", "moving"))
    edit(new, "guidance.yaml", "very-difficult: LA6575-0", "very-difficult: LA6575-9")
    edit(new, "cases.yaml", "- case: total-fifteen\n", "- case: fifteen\n")
    edit(new, "cases.yaml", "like: total-fifteen\n", "like: fifteen\n")
    cases = {case.case: case for case in diff(edition(old), edition(new)).cases}
    assert cases["total-fifteen"].left_out == ("movement", "difficulty")
    assert cases["fifteen"].left_out == ("moving", "difficulty")
    line = "      answers that the other version does not ask for: movement, difficulty"
    assert line in text_of(diff(edition(old), edition(new)))


def test_a_later_date_is_marked(old: Path, new: Path, edit: Edit, edition: Read) -> None:
    rest = "unit: d, edge: at most, means: S., origin: project, sources: []"
    days = f"parameters:\n  soon: {{value: %s, {rest}}}\n"
    for copy, value in ((old, "14"), (new, "28")):
        edit(copy, "guidance.yaml", "parameters:\n", days % value)
        within = "  - tier: plan\n    within: {parameter: soon}\n"
        edit(copy, "guidance.yaml", "  - tier: plan\n", within)
    cases = {case.case: case for case in diff(edition(old), edition(new)).cases}
    assert cases["total-ten"].step == "later"
    assert [change.line for change in cases["total-ten"].changes] == ["date: day 14 -> day 28"]
    assert {case.step for case in diff(edition(new), edition(old)).cases} == {"sooner"}


def test_a_step_that_only_one_version_has_is_neither_higher_nor_lower(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    for file, count in (("guidance.yaml", 1), ("scores.yaml", 1), ("cases.yaml", 3)):
        key = "tier: plan" if file != "guidance.yaml" else "  - tier: plan"
        for _ in range(count):
            edit(new, file, key, key.replace("plan", "meet"))
    edit(new, "cases.yaml", "[watch, plan]", "[watch, meet]")
    cases = {case.case: case for case in diff(edition(old), edition(new)).cases}
    assert cases["total-ten"].step == ""
    assert cases["total-ten"].changes[0].line == "step: plan -> meet"


def test_a_rule_for_a_likelihood_is_told_with_its_level(old: Path, new: Path, edition: Read) -> None:
    path = new / "mappings" / "phq-9" / "rules.yaml"
    path.write_text(path.read_text().replace("- rule: hard-to-cope-high\n", "- rule: very-hard-to-cope\n"))
    found = section(diff(edition(old), edition(new)), "rules")
    assert found.added == {"very-hard-to-cope": "hard-to-cope high"}


def test_a_version_that_no_longer_loads_is_compared_by_its_entries(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    edit(old, "rules.yaml", "when: some-difficulty\n", "when: nothing-known\n")
    found = diff(edition(old), edition(new))
    assert section(found, "rules").changed["hard-to-cope-moderate"]
    assert found.cases == ()
    fault = next(fault for fault in found.faults if "hard-to-cope-moderate" in fault)
    assert fault.startswith("phq-9/rules.yaml: hard-to-cope-moderate.when: ")
    assert f"worked cases cannot be compared: {fault}" in text_of(found)


def test_folders_with_several_guidances_are_compared_by_their_addresses(
    new: Path, root: Path, tmp_path: Path
) -> None:
    both = Path(shutil.copytree(root / "tests" / "instruments", tmp_path / "both"))
    for part in ("questionnaires", "mappings"):
        shutil.copytree(new / part, both / part, dirs_exist_ok=True)
    fewer = Path(shutil.copytree(both, tmp_path / "fewer"))
    shutil.rmtree(fewer / "mappings" / "gad-7")
    found = compared(editions_in(both, Settings()), editions_in(fewer, Settings()))
    assert len(found.diffs) == 5
    assert found.only_old == ("https://guidance.example.org/guidance/gad-7|1.0.0",)
    assert "only in the old folder: https://guidance.example.org/guidance/gad-7|1.0.0" in found.lines()
    back = compared(editions_in(fewer, Settings()), editions_in(both, Settings()))
    assert back.only_new == found.only_old


def test_a_folder_without_guidance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuidanceError, match=r"expected a folder with guidance\.yaml"):
        editions_in(tmp_path, Settings())


def test_the_folder_of_one_guidance_finds_the_questionnaire_beside_it(old: Path) -> None:
    (found,) = editions_in(old / "mappings" / "phq-9", Settings())
    assert found.pair is not None
    (same,) = editions_in(old / "mappings", Settings())
    assert same.name == found.name


def test_the_command_prints_text_or_json(
    old: Path, new: Path, edit: Edit, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    move_cut_off(edit, new, 12)
    assert cli.main(["diff", str(old), str(new)]) == 1
    assert b"scores: 0 added, 0 removed, 1 changed\n" in capsysbinary.readouterr().out
    assert cli.main(["diff", "--json", str(old), str(new)]) == 1
    printed = orjson.loads(capsysbinary.readouterr().out)
    cases = {case["case"]: case for case in printed["diffs"][0]["cases"]}
    assert cases["total-ten"]["changes"][0] == {"key": "step", "old": "plan", "new": "watch"}
    patterns = printed["diffs"][0]["patterns"]
    assert patterns["patterns"] == "9765625"
    steps = {
        (change["old"], change["new"]): change for change in patterns["changes"] if change["what"] == "step"
    }
    assert set(steps) == {("plan", "watch")}
    assert len(steps["plan", "watch"]["examples"]) == 10


def test_the_exit_code_says_whether_anything_differs(
    old: Path, new: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.main(["diff", str(old), str(new)]) == 0
    assert b"answer patterns: 0 of 9 765 625 come out differently\n" in capsysbinary.readouterr().out
    shutil.rmtree(new / "mappings")
    assert cli.main(["diff", str(old), str(new)]) == 2


def test_patterns_that_cannot_be_counted_are_named_as_such(
    old: Path, new: Path, edit: Edit, edition: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_changes, "NODES", 64)
    many = diff(edition(old), edition(new), examples=1)
    assert many.uncounted == "the decision diagrams need more than 64 nodes"
    assert f"answer patterns not counted: {many.uncounted}" in text_of(many)
    assert not many.is_change
    monkeypatch.setattr("service.authoring.diff.find_spec", lambda name: None)
    assert diff(edition(old), edition(new), examples=1).uncounted == "oxidd is not installed"
    edit(old, "rules.yaml", "when: some-difficulty\n", "when: nothing-known\n")
    assert diff(edition(old), edition(new), examples=1).uncounted == "one of the versions cannot be loaded"
