"""What `check` keeps for the start: when it counts, when it does not, and that nothing else differs by it."""

import errno
import itertools
import logging
import marshal
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from case_responses import response_of

from service import catalogue, check, checked
from service.app import catalogue_from
from service.assess import OUTPUTS, Assessor
from service.catalogue import guidance_folders
from service.checked import CheckRecord, Kept
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.fhir.definitions import DOMAIN, Canonicals
from service.fhir.json import BodyLimits
from service.guidance import prepared
from service.questionnaire import fhirpath_syntax
from service.settings import ROOT, Settings

SettingsOf = Callable[[Path], Settings]


@pytest.fixture
def settings(new: Path, tmp_path: Path, settings_of: SettingsOf) -> Settings:
    """Of a copy of the worked PHQ-9 that `check` may keep what it finds about."""
    return replace(settings_of(new), checked_dir=tmp_path / "checked")


@pytest.fixture
def without_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "can_prove", lambda: False)


def checks(settings: Settings) -> int:
    """Checks what the settings name, and returns the exit code."""
    return check.run(settings, StringIO(), check.Wanted(cache=settings.checked_dir, every=True))


def record(settings: Settings) -> CheckRecord | None:
    """Returns what a start with these settings finds."""
    kept = Kept(settings.checked_dir, settings)
    return kept.record(settings.questionnaires_dir, guidance_folders(settings.mappings_dir))


@pytest.fixture
def sound(settings: Settings, without_proofs: None) -> Settings:
    """The settings once `check` has found everything sound."""
    assert record(settings) is None
    assert checks(settings) == check.SOUND
    assert record(settings) is not None
    return settings


def test_what_was_checked_is_served_without_its_cases_and_says_the_same(
    sound: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = catalogue_from(replace(sound, checked_dir=None))
    before = catalogue_from(sound)
    (ran,), (relied,) = now.pairs.values(), before.pairs.values()
    assert len(ran.guidance.cases) > 3
    assert relied.guidance.cases == ()
    assert relied.guidance.written.identity == ran.guidance.written.identity
    assert before.artifacts == now.artifacts
    assert [line.msg for line in caplog.records] == [
        {"event": "checked-now", "cases": len(ran.guidance.cases)},
        {"event": "checked-before", "cases": len(ran.guidance.cases), "proofs": False},
    ]


@pytest.mark.slow
def test_every_answer_is_the_same_byte_for_byte(sound: Settings) -> None:
    active(sound)
    assert checks(sound) == check.SOUND
    now, before = catalogue_from(replace(sound, checked_dir=None)), catalogue_from(sound)
    (pair,), (relied,) = now.pairs.values(), before.pairs.values()
    assert (pair.guidance.cases != (), relied.guidance.cases) == (True, ())
    for case in pair.guidance.cases:
        body = orjson.dumps(response_of(pair, case))
        for output in OUTPUTS:
            told = [Assessor(served, BodyLimits()).shown(body, output) for served in (now, before)]
            assert told[0] == told[1]


# ---- When it counts --------------------------------------------------------------------------------


def touched(settings: Settings, name: str) -> None:
    """Changes a file in its last line, in a way that changes nothing that it says."""
    (path,) = settings.mappings_dir.parent.rglob(name)
    path.write_text(path.read_text() + "\n")


def active(settings: Settings) -> None:
    """Makes the guidance one that scores."""
    path = settings.mappings_dir / "phq-9" / "guidance.yaml"
    path.write_text(path.read_text().replace("status: draft", "status: active"))


@pytest.mark.parametrize(
    "name", ["cases.yaml", "guidance.yaml", "rules.yaml", "scores.yaml", "sources.yaml", "phq-9.json"]
)
def test_any_change_of_a_file_runs_the_cases(sound: Settings, name: str) -> None:
    touched(sound, name)
    assert record(sound) is None
    (pair,) = catalogue_from(sound).pairs.values()
    assert pair.guidance.cases


def test_a_change_behind_a_link_runs_the_cases(settings: Settings, without_proofs: None) -> None:
    """Versions of a guidance may share their texts by a link, which the reader of the texts follows."""
    texts, shared = settings.mappings_dir / "phq-9" / "messages", settings.mappings_dir.parent / "shared"
    shared.mkdir()
    texts.symlink_to(shared)
    (shared / "self").symlink_to(shared)
    assert checks(settings) == check.SOUND
    assert record(settings) is not None
    (shared / "de.yaml").write_text("")
    assert record(settings) is None
    assert checks(settings) != check.SOUND


def test_a_change_that_breaks_a_case_stops_the_start(sound: Settings) -> None:
    path = sound.mappings_dir / "phq-9" / "cases.yaml"
    path.write_text(path.read_text().replace("expect: {tier: watch", "expect: {tier: treat", 1))
    with pytest.raises(GuidanceError, match=r"cases\.yaml"):
        catalogue_from(sound)


def test_a_file_that_comes_or_goes_or_has_another_name_runs_the_cases(sound: Settings) -> None:
    more = sound.questionnaires_dir / "more.json"
    more.write_text('{"resourceType": "CodeSystem", "id": "more", "url": "https://example.org/more"}')
    assert record(sound) is None
    more.unlink()
    assert record(sound) is not None
    form = sound.questionnaires_dir / "phq-9.json"
    form.rename(sound.questionnaires_dir / "phq.json")
    assert record(sound) is None
    (sound.questionnaires_dir / "phq.json").rename(form)
    texts = sound.mappings_dir / "phq-9" / "messages"
    texts.mkdir()
    (texts / "de.yaml").write_text("")
    assert record(sound) is None


def test_another_folder_of_the_same_files_is_known(sound: Settings, tmp_path: Path) -> None:
    """An image is made elsewhere than it runs."""
    sound.mappings_dir.parent.rename(tmp_path / "moved")
    moved = replace(
        sound,
        questionnaires_dir=tmp_path / "moved" / "questionnaires",
        mappings_dir=tmp_path / "moved" / "mappings",
    )
    assert record(moved) is not None


def test_another_program_runs_the_cases(
    sound: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte of any file of it, whatever its name says of what is in it."""
    program = Path(shutil.copytree(checked._PROGRAM, tmp_path / "program"))
    monkeypatch.setattr(checked, "_PROGRAM", program)
    assert record(sound) is not None
    for file in ("guidance/evaluate.py", "fhir/r4.txt", "languages/en.yaml", "terminology/r4.zip"):
        before = (program / file).read_bytes()
        (program / file).write_bytes(before + b"#")
        assert record(sound) is None, file
        (program / file).write_bytes(before)
    (program / "guidance" / "__pycache__").mkdir(exist_ok=True)
    (program / "guidance" / "__pycache__" / "new.pyc").write_bytes(b"")
    assert record(sound) is not None


def test_other_packages_or_another_python_run_the_cases(
    sound: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
        assert record(sound) is None
    with monkeypatch.context() as later:
        later.setattr("sys.version", "3.99")
        assert record(sound) is None
    assert record(sound) is not None


def test_other_terminology_or_another_address_runs_the_cases(sound: Settings, tmp_path: Path) -> None:
    (tmp_path / "terminology").mkdir()
    further = replace(sound, terminology_dir=tmp_path / "terminology")
    assert record(further) is not None  # there is nothing in it
    (tmp_path / "terminology" / "a.json").write_text('{"resourceType": "CodeSystem", "url": "https://a"}')
    assert record(further) is None
    assert record(replace(sound, canonical_base="https://example.net")) is None


def test_who_writes_guidance_has_its_cases(sound: Settings) -> None:
    """The preview fills in the form with the answers of a case."""
    (pair,) = catalogue_from(replace(sound, reload=True)).pairs.values()
    assert pair.guidance.cases


# ---- What is no record -----------------------------------------------------------------------------


def only(settings: Settings) -> Path:
    """Returns the file of the only record."""
    assert settings.checked_dir is not None
    (file,) = settings.checked_dir.glob("*.json")
    return file


@pytest.mark.parametrize("kept", [0, 1, 40, -1, -70])
def test_a_record_of_which_a_part_was_written_is_none(sound: Settings, kept: int) -> None:
    whole = only(sound).read_bytes()
    only(sound).write_bytes(whole[:kept])
    assert record(sound) is None
    assert catalogue_from(sound).pairs
    assert checks(sound) == check.SOUND  # which replaces it
    assert only(sound).read_bytes() == whole


@pytest.mark.parametrize("told", ["", "[]", '{"guidances": 1}', '{"guidances": [{"slug": "phq-9"}]}'])
def test_a_whole_file_that_is_no_record_is_none(sound: Settings, told: str) -> None:
    only(sound).write_text(f"{told}\n{sha256(told.encode()).hexdigest()}")
    assert record(sound) is None


def test_what_is_not_text_is_no_record(sound: Settings) -> None:
    only(sound).write_bytes(b"\xff\xfe")
    assert record(sound) is None


def test_a_folder_that_cannot_be_read_is_no_hindrance(settings: Settings) -> None:
    (settings.questionnaires_dir / "a.json").mkdir()
    assert record(settings) is None


def test_what_has_a_fault_leaves_no_record(settings: Settings, without_proofs: None) -> None:
    path = settings.mappings_dir / "phq-9" / "cases.yaml"
    path.write_text(path.read_text().replace("expect: {tier: watch", "expect: {tier: treat", 1))
    assert checks(settings) == check.FAULTY
    assert record(settings) is None


def test_what_is_changed_while_it_is_checked_leaves_no_record(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof takes a minute, and what was proved is what stood there when it began."""

    def prove(_guidance: object, _asked: object) -> tuple[tuple[str, ...], bool]:
        touched(settings, "rules.yaml")
        return ("proved",), True

    monkeypatch.setattr(check, "proof_report", prove)
    assert checks(settings) == check.SOUND
    assert record(settings) is None
    assert settings.checked_dir is not None
    assert not settings.checked_dir.exists() or not [*settings.checked_dir.iterdir()]


def test_files_that_change_while_they_are_read_are_read_again(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = catalogue.read

    def slowly(*folders: Path, **how: Any) -> catalogue.Catalogue:
        if how.get("record") is not None:
            touched(sound, "rules.yaml")
        return read(*folders, **how)

    monkeypatch.setattr(catalogue, "read", slowly)
    (pair,) = catalogue_from(sound).pairs.values()
    assert pair.guidance.cases


def test_what_was_proved_is_not_replaced_by_what_was_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "proof_report", lambda _guidance, _asked: (("proved",), True))
    assert checks(settings) == check.SOUND
    (proved,) = record(settings).guidances
    monkeypatch.setattr(check, "can_prove", lambda: False)
    assert checks(settings) == check.SOUND
    assert record(settings).guidances == (proved,)
    assert proved.is_proved


def test_a_record_that_was_deleted_is_made_again(sound: Settings) -> None:
    only(sound).unlink()
    assert check.run(sound, StringIO(), check.Wanted(cache=sound.checked_dir)) == check.SOUND
    assert record(sound) is not None


# ---- What was compiled -----------------------------------------------------------------------------


def compiled(settings: Settings) -> Path:
    """Returns the file of what was compiled."""
    assert settings.checked_dir is not None
    (file,) = settings.checked_dir.glob("*.compiled")
    return file


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Returns the mapping folders that a start reads, as it goes on."""
    read, found = catalogue.read_documents, list[Path]()

    def noted(folder: Path, *args: Any, **how: Any) -> dict[str, object]:
        found.append(folder)
        return read(folder, *args, **how)

    monkeypatch.setattr(catalogue, "read_documents", noted)
    return found


def parts_of(value: Any) -> Any:
    """Returns everything that a value holds, in an order of its own, so that two can be compared."""
    if isinstance(value, msgspec.Struct):
        held = {name: getattr(value, name) for name in value.__struct_fields__}
    elif is_dataclass(value):
        held = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, Mapping):
        slots = {name: getattr(value, name) for name in getattr(value, "__slots__", ())}
        held = {"held": sorted((repr(key), parts_of(of)) for key, of in value.items()), **slots}
    elif isinstance(value, set | frozenset):
        return type(value).__name__, sorted(map(repr, value))
    elif isinstance(value, tuple | list):
        return type(value).__name__, [parts_of(part) for part in value]
    else:
        return type(value).__name__, repr(value)
    return type(value).__name__, [(name, parts_of(part)) for name, part in held.items()]


@pytest.mark.parametrize("mapping", ["phq-9", "muscle-twitching"])
def test_what_was_compiled_is_all_that_would_be_compiled(settings: Settings, mapping: str) -> None:
    home = settings.mappings_dir.parent if mapping == "phq-9" else ROOT
    published = catalogue.read_questionnaires(home / "questionnaires", Canonicals(DOMAIN))
    folder = home / "mappings" / mapping
    pair = catalogue.read_pair(folder, published.compiled, Canonicals(DOMAIN), run_cases=False)
    bare = catalogue.read_pair(folder, published.compiled, Canonicals(DOMAIN), known_hash="some")
    (taken,) = prepared.unpacked(catalogue.prepared_from([pair], published)).guidances.values()
    guidance = replace(taken.guidance, form=bare.guidance.form)
    identity = replace(guidance.written.identity, hash="some")
    guidance = replace(guidance, written=replace(guidance.written, identity=identity))
    assert pair.guidance.cases
    assert parts_of(guidance) == parts_of(bare.guidance)
    assert parts_of(taken.messages) == parts_of(pair.messages)


def test_a_start_reads_no_mapping_again(sound: Settings, reads: list[Path]) -> None:
    (pair,) = catalogue_from(sound).pairs.values()
    assert reads == []
    assert pair.guidance.form is pair.compiled.form


def test_a_start_parses_no_expression_again(sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "%resource.item.where(linkId = 'of this test alone').exists()"
    shape, parts = fhirpath_syntax._shape_of(text)
    trees = fhirpath_syntax.trees_by_shape([text, "not (FHIRPath"])
    assert [*trees] == [shape]
    expected = fhirpath_syntax.syntax_tree(text)
    fhirpath_syntax._parsed_shape.cache_clear()
    monkeypatch.setattr(fhirpath_syntax, "_KNOWN", {})
    monkeypatch.setattr(fhirpath_syntax, "_parsed_strictly", lambda _: pytest.fail("parsed again"))
    fhirpath_syntax.know(trees)
    assert fhirpath_syntax.syntax_tree(text) == expected
    assert parts


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_not_taken(sound: Settings, reads: list[Path], mode: int) -> None:
    compiled(sound).chmod(mode)
    assert catalogue_from(sound).pairs
    assert reads


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_what_others_may_replace_is_not_taken(sound: Settings, reads: list[Path], mode: int) -> None:
    compiled(sound).parent.chmod(mode)
    assert catalogue_from(sound).pairs
    assert reads


def test_what_somebody_else_owns_is_not_taken(
    sound: Settings, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked.os, "geteuid", lambda: 4711)
    path, status = compiled(sound), compiled(sound).stat()
    other = os.stat_result((*status[:4], 4712, *status[5:]))
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda of, **how: other if of == path else stat(of, **how))
    assert catalogue_from(sound).pairs
    assert reads


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_half_of_what_was_compiled_is_not_taken(sound: Settings, reads: list[Path], kept: int) -> None:
    whole = compiled(sound).read_bytes()
    compiled(sound).write_bytes(whole[:kept])
    assert catalogue_from(sound).pairs
    assert reads
    assert checks(sound) == check.SOUND  # which replaces it
    assert compiled(sound).read_bytes() == whole


def test_what_was_deleted_is_compiled_again_and_nothing_else(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest are kept, and who checks many folders need not prove them all again."""
    whole = compiled(sound).read_bytes()
    compiled(sound).unlink()
    monkeypatch.setattr(check, "type_faults", lambda _: pytest.fail("checked again"))
    assert check.run(sound, StringIO(), check.Wanted(cache=sound.checked_dir)) == check.SOUND
    assert compiled(sound).read_bytes() == whole


def test_a_questionnaire_that_goes_while_it_is_read_is_a_fault(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = catalogue.read_questionnaires

    def late(folder: Path, *args: Any, **how: Any) -> catalogue.Published:
        (folder / "phq-9.json").write_text(
            '{"resourceType": "CodeSystem", "id": "a", "url": "https://a.org"}'
        )
        return read(folder, *args, **how)

    monkeypatch.setattr(catalogue, "read_questionnaires", late)
    with pytest.raises(GuidanceError, match=r"no questionnaire .* is published"):
        catalogue_from(sound)


def test_a_full_disk_is_not_filled_with_halves(sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(sound).unlink()
    before = {*compiled_and_kept(sound)}
    with monkeypatch.context() as full:
        full.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert checks(sound) == check.SOUND
    assert {*compiled_and_kept(sound)} == before


def compiled_and_kept(settings: Settings) -> list[str]:
    assert settings.checked_dir is not None
    return [path.name for path in settings.checked_dir.iterdir()]


@pytest.mark.parametrize(
    "name",
    [
        ("os", "mkdir"),
        ("pathlib", "Path"),
        ("builtins", "eval"),
        ("service.catalogue", "Pair"),
        ("service.guidance.loading", "load"),
        ("service.guidance.loading", "sha256"),
        ("service.guidance.checks", "Checked"),
        ("service.guidance.prepared", "sys"),
        ("service.guidance.unheard", "Of"),
    ],
)
def test_nothing_but_values_is_made(sound: Settings, reads: list[Path], name: tuple[str, str]) -> None:
    made = compiled(sound).parent / "made"
    asked = marshal.dumps(((name,), [str(made)], [(0, (0,))]))
    with pytest.raises(ValueError, match="not a prepared guidance") as refused:
        prepared.unpacked(asked)
    assert str(refused.value.__cause__) == "expected values only"
    compiled(sound).write_bytes(asked + sha256(asked).digest())
    assert catalogue_from(sound).pairs
    assert reads
    assert not made.exists()


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"{",
        marshal.dumps(1),
        marshal.dumps(((), [], [])),
        marshal.dumps(((("builtins", "dict"),), [1], [(0, (0,))])),
        marshal.dumps(((("builtins", "tuple"),), [], [(0, (5,))])),
        marshal.dumps(((("builtins", "tuple"),), [], [(3, ())])),
        marshal.dumps(((("builtins", "tuple"),), [], [(0, ())])),
        marshal.dumps(((("service.guidance.model", "Says"),), [], [(0, ())])),
        marshal.dumps(((("fractions", "Fraction"),), [1, 0], [(0, (0, 1))])),
        marshal.dumps(((("decimal", "Decimal"),), ["x"], [(0, (0,))])),
    ],
    ids=itertools.count(),
)
def test_what_is_no_prepared_guidance_is_refused(other: bytes) -> None:
    with pytest.raises(ValueError, match="not a prepared guidance"):
        prepared.unpacked(other)


def test_the_newest_are_kept(sound: Settings) -> None:
    whole = compiled(sound)
    for age in range(6):
        old = whole.with_name(f"{age}.compiled")
        old.write_bytes(b"")
        os.utime(old, (age, age))
    assert checks(sound) == check.SOUND
    kept = {path.name for path in whole.parent.glob("*.compiled")}
    assert kept == {"3.compiled", "4.compiled", "5.compiled", whole.name}
