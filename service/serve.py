"""The command `serve`: runs gunicorn, and imports little else."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from service.settings import HOME, PREFIX, ROOT, Settings, from_environment


def serve() -> NoReturn:
    """Serves over HTTP until it is stopped: from here on the process is gunicorn's master.

    Raises:
        SettingsError: as `prepare` does.
    """
    checked = checked_dir(prepare())
    if checked is not None:
        os.environ[f"{PREFIX}CHECKED_DIR"] = str(checked)
    gc.disable()  # nearly all that is imported stays; gunicorn.conf.py collects before the first worker
    gunicorn = find_spec("gunicorn.__main__")
    # What `python -m gunicorn` would see: gunicorn starts itself anew by it (USR2).
    sys.argv = [str(gunicorn and gunicorn.origin), "--config", str(ROOT / "gunicorn.conf.py")]
    os.chdir(HOME)
    from gunicorn.app.wsgiapp import run  # a fault of the settings need not wait for it

    run(prog="gunicorn")
    raise SystemExit


def prepare(*, reloads: bool = False) -> Settings:
    """Returns the settings, if they let the service start.

    Args:
        reloads: whether changed files are served at once, for authors.

    Raises:
        SettingsError: a setting is wrong, or lets others in who need no token.
    """
    if reloads:
        # Gunicorn reads it there. Requests would hide what is told.
        os.environ[f"{PREFIX}RELOAD"] = "true"
        os.environ.setdefault(f"{PREFIX}LOG_LEVEL", "WARNING")
    settings = from_environment(os.environ)
    settings.check_address(controlled=_controls_access(settings.ehrs_file))
    return settings


def _controls_access(ehrs_file: Path | None) -> bool:
    if ehrs_file is None:
        return False
    from service.auth.ehrs import names_access  # reads YAML

    return names_access(ehrs_file)


def checked_dir(settings: Settings) -> Path | None:
    """Returns the folder where `check` keeps its records: that of the settings, else the user's cache."""
    if settings.checked_dir is not None:
        return settings.checked_dir.absolute()
    with suppress(RuntimeError):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(home) / "questionnaire-guidance"
    return None
