"""Copies of the worked PHQ-9 that tests may change: an old version, and a new one beside it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.authoring.editions import Edition, editions_in
from service.datatypes.values import replace
from service.settings import ROOT, Settings

EXAMPLE = ROOT / "docs" / "authoring" / "phq-9"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "old"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "new"))


@pytest.fixture
def edit() -> Callable[[Path, str, str, str], None]:
    """Replaces a text in a file of a copy; the text must be there."""

    def edit_(copy: Path, file: str, was: str, now: str) -> None:
        folder = copy / "mappings" / "phq-9" if file.endswith(".yaml") else copy / "questionnaires"
        text = (folder / file).read_text()
        assert was in text, was
        (folder / file).write_text(text.replace(was, now, 1))

    return edit_


@pytest.fixture
def settings_of() -> Callable[[Path], Settings]:
    def settings(copy: Path) -> Settings:
        return replace(Settings(), questionnaires_dir=copy / "questionnaires", mappings_dir=copy / "mappings")

    return settings


@pytest.fixture
def edition() -> Callable[[Path], Edition]:
    def edition_(copy: Path) -> Edition:
        (found,) = editions_in(copy, Settings())
        return found

    return edition_
