"""The commands of README on a Debian that has python3, git and curl, and nothing else."""

import subprocess

import orjson
import pytest

pytestmark = pytest.mark.slow


def test_the_demo_shows_a_risk_assessment(newcomer):
    assert "RiskAssessment" in newcomer.run("scripts/demo")


def test_the_service_starts_answers_the_sample_and_stops(newcomer, root, port):
    base = f"http://127.0.0.1:{port}"
    answer = newcomer.run(f"""
        scripts/install >&2
        SERVICE_PORT={port} .venv/bin/python -m service serve & server=$!
        curl -sSf --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null {base}/readyz
        curl -sSf -H 'Content-Type: application/fhir+json' --data-binary @samples/plain-eyelid.json \
            '{base}/fhir/QuestionnaireResponse/$assess'
        kill $server
        wait $server
    """)
    expected = (root / "samples/plain-eyelid.expected.json").read_bytes()
    assert orjson.loads(answer) == orjson.loads(expected)


def test_the_test_command_passes_for_what_talks_to_servers(newcomer):
    """Not every test: they would take as long again as all of CI. These failed on a bare machine before."""
    selected = ("tests/web/test_stopping.py", "tests/web/test_server.py")
    printed = newcomer.run(f"scripts/test --no-cov {' '.join(selected)}")
    assert printed.endswith("all checks hold\n")


def test_nothing_that_is_mounted_is_removed_with_the_folder(remove, tmp_path):
    kept = tmp_path / "kept"
    removed = tmp_path / "removed"
    for path in (kept, removed / "here"):
        path.mkdir(parents=True)
    (kept / "precious").touch()
    subprocess.run(["mount", "--bind", kept, removed / "here"], check=True)
    remove(removed)
    assert not removed.exists()
    assert (kept / "precious").exists()
