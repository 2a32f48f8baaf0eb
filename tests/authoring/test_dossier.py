"""The document for the clinician who reviews: all of the guidance, in words, and a place to sign."""

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service import cli
from service.authoring.dossier import dossier
from service.authoring.editions import Edition, editions_in
from service.datatypes.values import replace
from service.settings import ROOT, Settings

Edit = Callable[[Path, str, str, str], None]
Read = Callable[[Path], Edition]
VOID = {"meta"}


class Page(HTMLParser):
    """Reads a page: its text, and whether every element is closed where it must be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.seen: set[str] = set()
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(edition: Edition, old: Edition | None = None) -> Page:
    page = Page(dossier(edition, old))
    assert page.open == []
    return page


def test_the_document_is_whole_and_needs_nothing_from_elsewhere(new: Path, edition: Read) -> None:
    page = page_of(edition(new))
    assert not page.seen & {"script", "link", "img", "iframe"}
    assert "PHQ-9, severity and next step" in page.text


def test_every_finding_rule_and_case_is_there_with_what_the_source_says(new: Path, edition: Read) -> None:
    found = edition(new)
    text = page_of(found).text
    for stem, key in (("findings", "finding"), ("rules", "rule"), ("advice", "advice"), ("cases", "case")):
        assert [entry[key] for entry in found.entries(stem) if entry[key] not in text] == []
    assert "S004: As a single cut-off for major depression, a total of 10 or more works well." in text
    assert "S010" in text  # the one that nothing cites, with its reason


def test_conditions_are_told_in_words(new: Path, edition: Read) -> None:
    text = page_of(edition(new)).text
    thoughts = "Thoughts that you would be better off dead, or of hurting yourself in some way"
    days = "Several days or More than half the days or Nearly every day"
    assert f"\u201c{thoughts}\u201d: {days}" in text
    assert "at least 5 (symptoms-for-syndrome) of: interest-lost (Loss of interest)" in text
    assert "PHQ-9 total: at least 10 (cut-off)" in text
    assert "PHQ-9 total: Minimal depression" in text
    assert "Otherwise" in text


def test_a_worked_patient_has_answers_in_words_and_what_comes_out(new: Path, edition: Read) -> None:
    text = page_of(edition(new)).text
    assert "\u201cPoor appetite or overeating\u201d: Nearly every day" in text
    assert "step: watch to plan" in text
    assert "(no answer)" in text  # mood: null


def test_what_stands_in_a_file_is_text_and_never_markup(new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "guidance.yaml", "title: PHQ-9, severity", "title: <script>alert(1)</script> PHQ-9, severity")
    page = page_of(edition(new))
    assert "script" not in page.seen
    assert "<script>alert(1)</script>" in page.text


def test_there_is_a_place_to_sign_the_content_that_was_read(new: Path, edition: Read) -> None:
    found = edition(new)
    assert found.pair is not None
    text = page_of(found).text
    assert f"(content {found.pair.guidance.written.identity.hash[:12]})" in text
    for word in ("Name", "Role", "Date", "Signature"):
        assert word in text


def test_differences_to_the_last_version_are_there_on_demand(
    old: Path, new: Path, edit: Edit, edition: Read
) -> None:
    edit(old, "guidance.yaml", 'version: "1.1.0"', 'version: "1.0.9"')
    assert "What differs from the last version" not in page_of(edition(new)).text
    text = page_of(edition(new), edition(old)).text
    assert "version: 1.0.9 -> 1.1.0" in text


def test_a_fault_is_told_in_the_document(new: Path, edit: Edit, edition: Read) -> None:
    edit(new, "rules.yaml", "when: some-difficulty\n", "when: nothing-known\n")
    text = page_of(edition(new)).text
    assert "Fault: phq-9/rules.yaml: hard-to-cope-moderate.when" in text
    assert "several-days" in text  # without a questionnaire that fits, answers are told as they are written


def test_a_guidance_that_is_not_right_yet_has_a_document_too(new: Path, edition: Read) -> None:
    folder = new / "mappings" / "phq-9"
    (folder / "comparisons.yaml").write_text(
        "- {comparison: c, title: T, left: Left, right: {label: R}, rows: [{row: r, feature: F, left: L}]}\n"
    )
    (folder / "cases.yaml").write_text("- {case: one, about: Somebody., answers: {}, expect: nothing}\n")
    (folder / "rules.yaml").write_text(
        "- {rule: r, tier: plan, when: 5, says: Words}\n"
        "- {rule: s, tier: plan, when: {answer: mood, weighs: 3}}\n"
        "- {rule: t, tier: plan, when: {unsure: low-mood}}\n"
        "- {rule: u, tier: plan, when: {answer: mood, is: true}}\n"
        "- {rule: v, tier: plan, when: {parameter: overlay}}\n"
    )
    found = edition(new)
    options = [{"valueInteger": 4}, {"valueCoding": {"code": "x"}}]
    items = [{"linkId": "pain", "text": "Pain", "type": "integer", "answerOption": options}]
    text = page_of(replace(found, resource={"item": items})).text
    assert "pain Pain 4; x" in text
    assert "{weighs: 3}" in text
    assert "not sure whether: low-mood" in text
    assert "mood: yes" in text
    assert "the switch overlay is on" in text


@pytest.mark.parametrize("folder", ["tests/instruments", "tests/second_pair", "."])
def test_every_guidance_of_the_project_has_a_document(folder: str) -> None:
    for found in editions_in(ROOT / folder, Settings()):
        assert found.faults == ()
        assert len(page_of(found).text) > 2000


def test_dates_addressees_redirects_and_exceptions_are_told_by_name_and_number() -> None:
    (found,) = editions_in(ROOT, Settings())
    text = page_of(found).text
    guidance = found.guidance
    value = guidance["parameters"]["consult-within"]["value"]
    assert f"{value} d (consult-within); {guidance['addressees']['neurologist']['clinician']}" in text
    for key, name in (("exceptions", "finding"), ("redirects", "redirect")):
        assert [entry[name] for entry in guidance[key] if entry[name] not in text] == []
    assert [name for name in guidance["derived"] if name not in text] == []
    assert "{parameter: " not in text.partition("Worked patients")[0].partition("Quantities that")[0]


def test_the_command_prints_it(
    old: Path,
    new: Path,
    edit: Edit,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("SERVICE_QUESTIONNAIRES_DIR", str(new / "questionnaires"))
    monkeypatch.setenv("SERVICE_MAPPINGS_DIR", str(new / "mappings"))
    assert cli.main(["dossier", "phq-9"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"<!DOCTYPE html>\n")
    edit(old, "guidance.yaml", 'version: "1.1.0"', 'version: "1.0.9"')
    assert cli.main(["dossier", "phq-9", str(old)]) == 0
    assert b"1.0.9 -&gt; 1.1.0" in capsysbinary.readouterr().out


def test_an_old_folder_with_several_other_guidances_is_refused(
    new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = Path(shutil.copytree(ROOT / "tests" / "instruments", tmp_path / "others"))
    monkeypatch.setenv("SERVICE_QUESTIONNAIRES_DIR", str(new / "questionnaires"))
    monkeypatch.setenv("SERVICE_MAPPINGS_DIR", str(new / "mappings"))
    assert cli.main(["dossier", "phq-9", str(others)]) == 2
    assert "expected a folder with one other version of" in capsys.readouterr().err
