"""The worked cases of every mapping that there is, and what the command line says of a response to it."""

import json
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from service import catalogue
from service.cli import program
from service.datatypes.answers import Answer
from service.guidance.cases import Case
from service.settings import ROOT

FOLDERS = (ROOT, ROOT / "tests/second_pair", ROOT / "tests/instruments")
"""Where questionnaires and mappings are."""


def folder_of(slug: str) -> Path:
    """Returns where the pair of this name is."""
    return next(folder for folder in FOLDERS if (folder / "mappings" / slug).is_dir())


@cache
def cases_of(slug: str) -> dict[str, Case]:
    """Returns the worked cases of a mapping by name."""
    folder = folder_of(slug)
    pairs = catalogue.read(folder / "questionnaires", folder / "mappings").pairs.values()
    return {case.name: case for pair in pairs if pair.slug == slug for case in pair.guidance.cases}


def as_of_today(case: Case) -> dict[str, tuple[Answer, ...]]:
    """Returns the answers of a case, each date as far back from today as it was from the day of the case."""
    later = datetime.now(UTC).date() - date.fromisoformat(case.authored)

    def moved(answer: Answer) -> Answer:
        try:
            return (
                (date.fromisoformat(str(answer)) + later).isoformat() if isinstance(answer, str) else answer
            )
        except ValueError:
            return answer

    return {link_id: tuple(map(moved, given)) for link_id, given in case.answers.items()}


def assessed(slug: str, response: Path, **settings: str) -> Any:
    """Returns what `python -m service assess` prints of a response, with these settings."""
    folder = folder_of(slug)
    given = {
        name: str(folder / name.split("_")[0].lower()) for name in ("QUESTIONNAIRES_DIR", "MAPPINGS_DIR")
    }
    environment = {f"SERVICE_{name}": value for name, value in (given | settings).items()}
    done = CliRunner(env=environment).invoke(program, ["assess", str(response)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
