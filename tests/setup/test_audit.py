"""A package counts as looked up only where the index said, of that very version, what is known against it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from loopback_servers import QuietHandler, listening

SCHEMAS = Path(__file__).parent / "cyclonedx"
LOCK = """\
one==1.0 \\
    --hash=sha256:{a}
    # via questionnaire-guidance-service (pyproject.toml)
two_parts==2.0 ; platform_python_implementation != 'PyPy' \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via
    #   one
    #   three
three[extra]==3.0 \\
    --hash=sha256:{b}
    # via questionnaire-guidance-service (pyproject.toml)
""".format(a="a" * 64, b="b" * 64)

Told = dict[str, tuple[int, Any]]


def release(version: str, *ids: str, **more: Any) -> tuple[int, Any]:
    return 200, {
        "info": {"version": version},
        "vulnerabilities": [{"id": known, "withdrawn": None} for known in ids],
        **more,
    }


SOUND: Told = {
    "jinja2/2.10": release("2.10", "PYSEC-2019-217"),
    "one/1.0": release("1.0"),
    "two-parts/2.0": release("2.0"),
    "three/3.0": release("3.0"),
}


@pytest.fixture
def audited(root: Path, tmp_path: Path) -> Iterator[Callable[[Told], subprocess.CompletedProcess[str]]]:
    """Returns a function that audits a lock of three packages with an index that tells so much."""
    told: Told = {}

    class Index(QuietHandler):
        def do_GET(self) -> None:
            status, document = told.get(self.path.removeprefix("/pypi/").removesuffix("/json"), (404, {}))
            self.tell(json.dumps(document).encode(), status)

    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    with listening(Index) as server:

        def run(index: Told) -> subprocess.CompletedProcess[str]:
            told.update(index)
            environment = {"PATH": "/usr/bin:/bin", "AUDIT_INDEX": f"http://127.0.0.1:{server.server_port}"}
            command = [root / "scripts/audit", "--lock", lock]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

        yield run


def test_packages_that_were_looked_up_and_have_no_advisory_pass(audited):
    done = audited(SOUND)
    assert (done.returncode, done.stdout) == (0, "3 packages, 0 with faults\n"), done.stderr


def test_an_advisory_fails_and_is_named(audited):
    done = audited(SOUND | {"one/1.0": release("1.0", "PYSEC-2026-1", "GHSA-x")})
    assert done.returncode == 1
    assert "ADVISORY: one 1.0: PYSEC-2026-1, GHSA-x" in done.stdout


def test_an_advisory_that_was_withdrawn_is_none(audited):
    told = {"info": {"version": "1.0"}, "vulnerabilities": [{"id": "x", "withdrawn": "2026-01-01T00:00:00Z"}]}
    assert audited(SOUND | {"one/1.0": (200, told)}).returncode == 0


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}),
        (403, {}),
        (500, {}),
        (200, []),
        (200, {"info": {"version": "1.0"}}),
        (200, {"info": {"version": "1.0"}, "vulnerabilities": None}),
        release("1.1"),
    ],
    ids=["404", "403", "500", "no release", "no list", "null", "another version"],
)
def test_a_package_that_was_not_looked_up_fails(audited, answer):
    done = audited(SOUND | {"one/1.0": answer})
    assert done.returncode == 1
    assert "NOT LOOKED UP: one 1.0: " in done.stdout
    assert "3 packages, 1 with faults" in done.stdout


@pytest.mark.parametrize(
    "answer",
    [(404, {}), (405, {}), (200, {"info": {"version": "2.10"}}), release("2.10")],
    ids=["no releases", "not allowed", "no list", "nothing against a version that is known to be bad"],
)
def test_an_index_that_gives_no_advisories_is_said_to_and_does_not_pass(audited, answer):
    done = audited(SOUND | {"jinja2/2.10": answer})
    assert done.returncode == 3
    assert "skipped: no advisories here" in done.stderr
    assert done.stdout == ""


def test_an_index_that_fails_is_not_one_without_advisories(audited):
    done = audited(SOUND | {"jinja2/2.10": (503, {})})
    assert done.returncode == 1
    assert "NOT LOOKED UP: all 3 packages" in done.stderr


def test_an_index_without_tls_is_not_asked(root):
    environment = {"PATH": "/usr/bin:/bin", "AUDIT_INDEX": "http://index.example"}
    done = subprocess.run(
        [root / "scripts/audit"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not on https" in done.stderr


def bill(root: Path, target: Path, *options: str | Path) -> dict[str, Any]:
    subprocess.run([root / "scripts/audit", "--bom", target, *options], check=True)
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def test_the_bill_of_materials_lists_every_package_of_the_lock_with_its_hashes(root, tmp_path):
    found = bill(root, tmp_path / "bom.json")
    lock = (root / "requirements.txt").read_text()
    listed = {f"{component['name']}=={component['version']}" for component in found["components"]}
    assert listed == set(re.findall(r"^[\w.-]+==[^\s;]+", lock, re.MULTILINE))
    hashes = [
        digest["content"]
        for part in found["components"]
        for digest in part["externalReferences"][0]["hashes"]
    ]
    assert hashes == re.findall("sha256:([0-9a-f]{64})", lock)


def test_the_bill_of_materials_says_what_needs_what(root, tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    found = bill(root, tmp_path / "bom.json", "--lock", lock)
    needs = {each["ref"]: each["dependsOn"] for each in found["dependencies"]}
    assert needs == {
        "questionnaire-guidance-service": ["pkg:pypi/one@1.0", "pkg:pypi/three@3.0"],
        "pkg:pypi/one@1.0": ["pkg:pypi/two-parts@2.0"],
        "pkg:pypi/two-parts@2.0": [],
        "pkg:pypi/three@3.0": ["pkg:pypi/two-parts@2.0"],
    }


def test_the_bill_of_materials_is_valid_and_the_same_for_the_same_lock(root, tmp_path):
    found = bill(root, tmp_path / "one.json")
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    named = [(f"http://cyclonedx.org/schema/{name}", schema) for name, schema in schemas.items()]
    registry = jsonschema_rs.Registry(named)
    validator = jsonschema_rs.Draft7Validator(schemas["bom-1.5.SNAPSHOT.schema.json"], registry=registry)
    assert [str(error) for error in validator.iter_errors(found)] == []
    assert not validator.is_valid(found | {"bomFormat": "SPDX"})
    assert bill(root, tmp_path / "two.json") == found


def test_a_line_that_is_not_understood_is_not_passed_over(root, tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK + "four @ https://example.org/four.whl\n")
    done = subprocess.run(
        [root / "scripts/audit", "--lock", lock], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "line 13 is not understood" in done.stderr


def test_the_index_is_the_one_that_packages_are_installed_from(root):
    ask = "from scripts.audit import index_of; import os; print(index_of(os.environ))"

    def index(**environment: str) -> str:
        command = [sys.executable, "-c", ask]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert index(PIP_INDEX_URL="https://mirror.example.org/a/simple/") == "https://mirror.example.org/a"
    assert index(AUDIT_INDEX="https://b.example.org", PIP_INDEX_URL="https://c") == "https://b.example.org"
    assert index().startswith("https://")
