"""What README shows is what the service says."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from served import serving

from service.assess import Assessor
from service.catalogue import Pair


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def test_the_printed_answer_is_the_answer_to_the_sample(root: Path, readme: str, assessor: Assessor) -> None:
    (printed,) = re.findall(r"```json\n(\{.*?\n\})\n```", readme, re.DOTALL)
    body = assessor.assess_body((root / "samples" / "plain-eyelid.json").read_bytes()).body
    assert printed == orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()


def test_every_path_that_readme_names_exists(root: Path, readme: str) -> None:
    named = set(
        re.findall(
            r"`((?:samples|questionnaires|mappings|tests|service|scripts|benchmarks)/[\w./-]*)`", readme
        )
    )
    assert named
    assert [path for path in sorted(named) if not (root / path).exists()] == []


def test_every_file_of_a_mapping_is_listed(root: Path, readme: str, pair: Pair) -> None:
    folders = [
        root / "mappings" / "muscle-twitching",
        root / "tests" / "second_pair" / "mappings" / "workday-strain",
    ]
    files = {path.name for folder in folders for path in folder.iterdir()}
    assert {name for name in files if f"| `{name}` |" not in readme} == set()


def test_every_operation_that_readme_names_is_served(
    readme: str, served: Any, sample: Callable[[str], dict[str, Any]]
) -> None:
    from service.app import create_app
    from service.settings import Settings

    client = create_app(Settings(store_url="none")).test_client()
    operations = set(re.findall(r"POST (/fhir/\w+/\$[\w-]+)", readme))
    assert len(operations) >= 3
    for path in operations:
        answer = client.post(
            path, data=json.dumps(sample("plain-eyelid")), content_type="application/fhir+json"
        )
        assert answer.status_code == 200, path


def test_every_request_that_readme_shows_is_answered(root: Path, readme: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("README'S REQUESTS ARE NOT TRIED: curl is not on this machine")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "curl " in block]
    assert len(blocks) == 2
    with serving("service.app:from_environment()", STORE_URL=f"sqlite:///{tmp_path}/x.db") as server:
        script = "\n".join(blocks).replace("curl -s", "curl -sSf").replace(":8000/", f":{server.port}/")
        done = subprocess.run(["bash", "-ec", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"resourceType":"RiskAssessment"') >= 2
    assert 'rel="related"; title="RiskAssessment"' in done.stdout
    assert '"total": 1' in done.stdout
