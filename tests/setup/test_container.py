"""The image's recipe, built and run without an engine on a Debian that was made here."""

import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from patience import PATIENCE_S

from service.settings import Settings

SERVICE, BASE = "localhost/service", "localhost/bare"


@pytest.fixture(scope="module")
def recipe(root) -> str:
    return (root / "Dockerfile").read_text()


def stages(recipe: str) -> list[str]:
    return re.split(r"^FROM ", recipe, flags=re.MULTILINE)[1:]


def copied(recipe: str) -> list[str]:
    """Returns what the last stage takes from the project, the environment left out."""
    stage = stages(recipe)[-1]
    sources = re.findall(r"^COPY (?:--from=build /opt/service/(\S+)|(.+)) \S+$", stage, re.MULTILINE)
    made = {".venv", "checked"}
    return [name for one, several in sources for name in (one or several).split() if name not in made]


def test_what_the_recipe_copies_exists_and_is_not_ignored(root, recipe):
    ignored = (root / ".dockerignore").read_text().splitlines()
    for name in [*copied(recipe), "requirements.txt", "scripts/install"]:
        assert (root / name).exists()
        assert f"!{name}" in ignored


def test_the_recipe_has_two_stages_and_ends_as_a_user_without_rights(recipe):
    build, run = stages(recipe)
    assert "scripts/install" in build
    assert "HEALTHCHECK" in run
    assert re.findall(r"^USER (\S+)", recipe, re.MULTILINE) == ["10001"]


def test_all_that_is_written_goes_to_a_volume_of_that_user(recipe):
    """The default store is below the program, where a link stands; all else may be read-only."""
    run = stages(recipe)[-1]
    assert "install --directory --owner 10001 --mode 0700 /data" in run
    assert f"ln -s /data {re.search(r'^WORKDIR (.+)', run, re.MULTILINE)[1]}/data" in run
    assert re.findall(r"^VOLUME (.+)", run, re.MULTILINE) == ["/data"]
    assert Settings().store_url == "sqlite:///data/service.db"


def test_the_recipe_leaves_it_to_who_runs_the_image_to_let_everybody_in(recipe):
    """It listens on all addresses, or no port could be published; without SERVICE_OPEN it does not start."""
    assert "SERVICE_HOST=0.0.0.0" in recipe
    assert "SERVICE_OPEN" not in recipe


@dataclass(frozen=True)
class Image:
    """The built image: what it is told to run, and a container made from it."""

    buildah: Any
    container: str
    config: dict[str, Any]
    base: str

    def inside(self, *command: str) -> list[str]:
        """Returns the command that runs this one in the container, as its user."""
        options = ("--isolation", "chroot", "--network", "host")
        port = self.base.rpartition(":")[2]
        variables = ("--env", "SERVICE_HOST=127.0.0.1", "--env", f"SERVICE_PORT={port}")
        return self.buildah.command("run", *options, *variables, self.container, "--", *command)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs the command in the container to its end."""
        return subprocess.run(
            self.inside(*command),
            env=self.buildah.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Starts what the image names as its entry point."""
        command = self.inside(*self.config["Entrypoint"], *self.config["Cmd"])
        return subprocess.Popen(command, env=self.buildah.environment())


@pytest.fixture(scope="module")
def image(bare, buildah, root, pip_conf, port) -> Image:
    from_archive(buildah, bare.archive)
    buildah.run(
        *("build", "--pull-never", "--format", "docker", "--isolation", "chroot", "--network", "host"),
        *("--build-arg", f"BASE={BASE}", "--volume", "/etc/apt:/etc/apt:ro"),
        *("--secret", f"id=pip.conf,src={pip_conf}"),
        *("--secret", "id=ca.crt,src=/etc/ssl/certs/ca-certificates.crt"),
        *("--tag", SERVICE, root),
    )
    config = orjson.loads(buildah.run("inspect", "--type", "image", SERVICE))["Docker"]["config"]
    container = buildah.run("from", "--pull-never", SERVICE)
    return Image(buildah, container, config, f"http://127.0.0.1:{port}")


def from_archive(buildah: Any, archive: Path) -> None:
    """Makes the base image from the archive of a root."""
    container = buildah.run("from", "scratch")
    buildah.run("add", container, archive, "/")
    buildah.run("commit", "--rm", container, BASE)


@pytest.fixture(scope="module")
def served(image: Image) -> Iterator[Image]:
    """The image while it serves; its namespace ends with it, so nothing of it is left."""
    process = image.start()
    try:
        until_ready(image.base, process)
        yield image
    finally:
        process.kill()
        process.wait()


def until_ready(base: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, "the image does not start"
        try:
            urllib.request.urlopen(base + "/readyz", timeout=5).close()
        except OSError:
            assert time.monotonic() < limit, "the image does not get ready"
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
def test_the_image_answers_the_sample(served, root):
    status, answer = post(served, "/fhir/QuestionnaireResponse/$assess", root)
    assert status == 200
    assert answer == orjson.loads((root / "samples/plain-eyelid.expected.json").read_bytes())


@pytest.mark.slow
def test_the_image_stores_in_its_volume_what_only_its_user_may_read(served, root):
    status, _ = post(served, "/fhir/QuestionnaireResponse", root)
    assert status == 201
    assert served.run("stat", "--format", "%a %u", "/data/service.db").stdout == "600 10001\n"
    command = (*served.config["Entrypoint"], "export", "Patient/example")
    assert len(served.run(*command).stdout.splitlines()) == 4
    erased = served.run(*served.config["Entrypoint"], "erase", "Patient/example", "--yes")
    assert sum(orjson.loads(erased.stdout).values()) == 4


@pytest.mark.slow
def test_the_image_relies_on_what_its_build_has_checked(image):
    """A start that fails for another reason says before that what it has found."""
    code = "import logging; from service import app; from service.settings import *; import os; "
    code += "logging.basicConfig(level='INFO'); app.catalogue_from(from_environment(os.environ))"
    told = image.run(".venv/bin/python", "-c", code).stderr
    assert "checked-before" in told, told


@pytest.mark.slow
def test_the_image_knows_whether_it_is_healthy(served):
    kind, *command = served.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert served.run(*command).returncode == 0
    assert served.run("env", "SERVICE_PORT=1", *command).returncode != 0


@pytest.mark.slow
def test_the_image_does_not_start_where_others_reach_it_before_it_is_told_that_they_may(image):
    refused = image.run("env", "SERVICE_HOST=0.0.0.0", *image.config["Entrypoint"], *image.config["Cmd"])
    assert refused.returncode == 2
    assert "SERVICE_OPEN=true" in refused.stderr


@pytest.mark.slow
def test_the_image_runs_as_a_user_who_may_write_to_the_volume_and_not_to_the_program(image):
    assert image.run("id", "--user").stdout == "10001\n"
    assert image.run("test", "-w", "/data").returncode == 0
    assert image.run("test", "-w", "/opt/service/service").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/root/.cache"])
def test_nothing_of_the_build_is_left_in_the_image(image, name):
    assert image.run("test", "-e", "/opt/service/.venv").returncode == 0
    assert image.run("test", "-e", name).returncode == 1


@pytest.mark.slow
def test_the_image_has_no_tools_of_the_tests(image):
    assert image.run(".venv/bin/python", "-c", "import flask").returncode == 0
    assert image.run(".venv/bin/python", "-c", "import pytest").returncode == 1


def post(image: Image, path: str, root: Path) -> tuple[int, Any]:
    """Posts the sample; returns the status and the document of the answer."""
    sample = (root / "samples/plain-eyelid.json").read_bytes()
    request = urllib.request.Request(
        image.base + path, data=sample, headers={"Content-Type": "application/fhir+json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.status, orjson.loads(answer.read())
