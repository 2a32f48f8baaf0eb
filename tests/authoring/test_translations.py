"""A translation whose English text has changed is told, until somebody says that it fits."""

import io
import shutil
from pathlib import Path

import pytest

from service import check, cli
from service.settings import ROOT, Settings

MESSAGES = "workday-strain/messages/de.yaml"
CHANGED = "its English text has changed since it was translated"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the second pair, which has all its texts in German."""
    return Path(shutil.copytree(ROOT / "tests" / "second_pair", tmp_path / "pair"))


def replaced(folder: Path, file: str, was: str, now: str) -> None:
    (path,) = [path for path in folder.rglob(file) if path.parent.name != "sources"]
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now, 1))


@pytest.fixture
def warned(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Returns what `check` warns of translations, without the proofs."""
    monkeypatch.setattr(check, "proof_report", lambda guidance, asked: ((), True))

    def warned_() -> list[str]:
        out = io.StringIO()
        assert check.run(Settings(), out, check.Wanted(folders=(folder,))) == check.SOUND
        lines = [line.strip().removeprefix("warning: ") for line in out.getvalue().splitlines()]
        return [line for line in lines if "English" in line or "messages/sources" in line]

    return warned_


def test_nothing_is_told_while_the_english_is_what_was_translated(folder, warned) -> None:
    assert warned() == []
    replaced(folder, "de.yaml", "Darüber sprechen", "Sprechen Sie darüber")
    assert warned() == []


def test_a_changed_text_of_the_guidance_is_told_with_file_and_key_until_it_is_accepted(
    folder, warned, capsys
) -> None:
    replaced(folder, "guidance.yaml", "Talk about it", "Talk it over")
    assert warned() == [f"{MESSAGES}: tiers.talk.display: {CHANGED}"]
    assert cli.main(["translations", str(folder)]) == cli.DONE
    shown = f"{MESSAGES}: tiers.talk.display: {CHANGED}\n  en: Talk it over\n  de: Darüber sprechen\n"
    assert capsys.readouterr().out == shown
    assert len(warned()) == 1
    assert cli.main(["translations", "--accept", str(folder)]) == cli.DONE
    assert capsys.readouterr().out == shown
    assert warned() == []


def test_a_changed_text_of_the_questionnaire_is_told(folder, warned) -> None:
    replaced(folder, "workday-strain.json", '"text": "felt tense while working?"', '"text": "felt tense?"')
    (line,) = warned()
    assert line.startswith("Questionnaire workday-strain: ")
    assert line.endswith(f": text: {CHANGED}")


def test_a_text_whose_english_is_not_recorded_is_told(folder, warned) -> None:
    sources = folder / "mappings" / "workday-strain" / "messages" / "sources" / "de.yaml"
    lines = sources.read_text().splitlines(keepends=True)
    sources.write_text("".join(line for line in lines if "tiers.talk.display" not in line))
    assert warned() == [
        f"{MESSAGES}: tiers.talk.display: it is not recorded which English text this translates"
    ]
    sources.write_text("- a")
    assert warned() == ["workday-strain/messages/sources/de.yaml: expected digests by key"]
    sources.unlink()
    expected = "expected this file: python -m service translations --accept writes it"
    assert warned() == [f"workday-strain/messages/sources/de.yaml: {expected}"]


def test_texts_of_a_guidance_with_faults_are_not_shown(folder, capsys) -> None:
    replaced(folder, "rules.yaml", "tier: act", "tier: acts")
    assert cli.main(["translations", str(folder)]) == cli.COULD_NOT_RUN
    assert "workday-strain/rules.yaml" in capsys.readouterr().err
