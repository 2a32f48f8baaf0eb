"""The fixture `union`: FHIR R4 validators that are loaded once for all tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from fhir_validators import FOLDER, Judge, by_schema, opened

INSTALLED = FOLDER / "node_modules/.package-lock.json"  # npm writes it last
CONSEQUENCE = "NO RESOURCE IS VALIDATED (Debian: apt-get install nodejs npm)"
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


@pytest.fixture(scope="session")
def union() -> Iterator[Judge]:
    """Takes resources, returns the list of problems of each: `assert union([resource]) == [[]]`.

    Where VALIDATORS=schema those in Node are left out: in two parts they take about 30 s of processor time.
    """
    make_ready()
    if os.environ.get("VALIDATORS") == "schema":
        yield by_schema
        return
    with opened() as judge:
        yield judge


def make_ready() -> None:
    """Installs the packages of Node where they are missing.

    Without Node no resource is judged, so the tests that ask are skipped, or fail where CI=true.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            refuse(f"{program} is not here: {CONSEQUENCE}")
    if not INSTALLED.is_file():
        subprocess.run(INSTALL, cwd=FOLDER, check=True)


def refuse(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
