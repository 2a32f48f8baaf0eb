"""Two form renderers of others, built as pages (see `build`), and the published Questionnaire in them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from loopback_servers import listening
from playwright.sync_api import Browser

from benchmarks import chromium
from service.settings import ROOT

HERE = Path(__file__).resolve().parent
BUILT = HERE / "built"
ASKED = os.environ.get("RENDERERS") == "true"
WHY_NOT = "FOREIGN RENDERERS: they take minutes and 350 MB; set RENDERERS=true (docs/testing.md)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not ASKED:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=WHY_NOT))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is served beside the renderers, at their address."""
    return tmp_path_factory.mktemp("files")


class _Files(SimpleHTTPRequestHandler):
    """Serves a folder, and no lines about it."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(files: Path) -> Iterator[str]:
    """Where the two renderers are served; they are built where they are not."""
    subprocess.run([HERE / "build"], check=True)
    for name in ("lhc-forms", "smart-forms"):
        (files / name).symlink_to(BUILT / name)
    shutil.copy(ROOT / "questionnaires/muscle-twitching.json", files / "questionnaire.json")
    with listening(partial(_Files, directory=str(files))) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which ends with the module: its event loop would be in the way of other tests."""
    with chromium.launched() as browser:
        yield browser
