"""The service's own words: every language says all of them, and every one of them is said."""

import re
from pathlib import Path

import pytest

from service.errors import GuidanceError, SettingsError
from service.fhir.outcome import problem_kinds
from service.languages import known_language, languages, missing_words, words, words_in

SERVICE = Path(words.__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of words of its own: English, and a language that is begun."""
    monkeypatch.setattr(words, "_FOLDER", tmp_path)
    (tmp_path / "en.yaml").write_text(
        'results: {lacking: "[English: {text}]"}\na: {b: "One {thing}", c: Two}\n'
    )
    (tmp_path / "xx.yaml").write_text("a: {b: Uno}\n")
    for cached in (words.words_in, words.languages):
        cached.cache_clear()
        monkeypatch.setattr(words, cached.__name__, cached.__wrapped__)
    return tmp_path


@pytest.mark.parametrize("language", languages())
def test_every_language_has_every_text(language: str) -> None:
    assert list(missing_words(language)) == []


def test_every_text_is_said_somewhere() -> None:
    sources = "".join(path.read_text() for kind in ("*.py", "*.html") for path in SERVICE.rglob(kind))
    # Chosen by what is told:
    sections = ("months", "units", "numbers", "states", "clinician", "patient", "problems", "left-out")
    chosen = ("form.error.", "form.hint.", "form.message.", "form.respondent.")
    chosen += ("form.result.urgency.", "form.result.call.", "form.result.marks.")
    chosen += ("form.length.",)  # tests/pages/test_short_form.py has these
    chosen += ("app.",)  # tests/pages/test_smart_app.py has these
    chosen += ("not-filled.",)  # tests/populate/test_whole.py has these
    chosen += ("preview.states.", "preview.lower", "preview.higher")
    chosen += ("cards.",)  # tests/cds_hooks/test_calls.py has these
    unsaid = [
        key
        for key in words_in("en").texts
        if not any(f'"{part}' in sources or f"'{part}" in sources for part in _parts(key))
    ]
    assert [key for key in unsaid if key.split(".")[0] not in sections and not key.startswith(chosen)] == []
    names = set(re.findall(r'"([a-z-]+)"', sources))
    inside = {key.partition(".")[2] for key in unsaid if key.startswith(("clinician", "patient"))}
    assert {name for name in inside if name not in names and not name.endswith(("-by", "-first"))} == set()


def test_every_kind_that_is_no_error_in_a_response_can_be_told() -> None:
    """Those that only `$validate` finds, in the head of a response or in a form, are in no result."""
    rooms = ("questionnaire/check", "questionnaire/pairing", "questionnaire/answer_checks", "fhir/chart")
    rooms += ("questionnaire/constraints", "earlier", "assess")
    sources = "".join((SERVICE / f"{room}.py").read_text() for room in rooms)
    found = {kind for kind in re.findall(r'"([a-z-]+)"', sources) if kind in problem_kinds()}
    notes = {kind for kind in found if problem_kinds()[kind].severity not in ("error", "fatal")}
    told = {key.partition(".")[2] for key in words_in("en").texts if key.startswith("problems.")}
    assert told == notes | {"constraint", "more-problems", "other"}


def _parts(key: str) -> tuple[str, ...]:
    """The key as code may have it: whole, without its form, or the end of a code of results."""
    return key, key.removesuffix(".one").removesuffix(".other"), key.removeprefix("results.")


def test_a_text_that_a_language_lacks_is_english_and_marked(folder: Path) -> None:
    assert words.words_in("xx").say("a.b", thing="apple") == "Uno"
    assert words.words_in("xx")["a.c"] == "[English: Two]"


def test_what_a_language_lacks_is_listed(folder: Path) -> None:
    (folder / "xx.yaml").write_text('a: {b: "Uno {thing} {other}"}\nold: Viejo\n')
    assert list(words.missing_words("xx")) == [
        "service/languages/xx.yaml: results.lacking: lacks this text",
        "service/languages/xx.yaml: a.b: expected no other places than thing",
        "service/languages/xx.yaml: a.c: lacks this text",
        "service/languages/xx.yaml: old: translates no text of the service",
    ]
    assert list(words.missing_words("yy")) == ["service/languages/yy.yaml: expected this file"]


@pytest.mark.parametrize("text", ["a: {b: true}", "", "- a"])
def test_a_file_that_holds_no_words_is_refused(text: str, folder: Path) -> None:
    (folder / "xx.yaml").write_text(text)
    with pytest.raises(GuidanceError, match=r"xx\.yaml: "):
        words.words_in("xx")


def test_a_setting_names_a_language_that_there_is() -> None:
    assert known_language("DE") == "de"
    with pytest.raises(SettingsError, match="SERVICE_LANGUAGE: Expected one of en, de"):
        known_language("tlh")
