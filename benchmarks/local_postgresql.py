"""A PostgreSQL server of its own on a free loopback port, in a temporary folder, gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.http import free_port

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"


class NoServer(Exception):
    """PostgreSQL is not on this machine; the text says what would bring it here."""


@dataclass(frozen=True)
class Server:
    """A running server; `url` names an empty database of it."""

    programs: Path
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The database that every server has."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Returns the URL of the database of this name."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._control("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stops it at once, as a loss of power would."""
        self._control("stop", "-w", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        _run(self.programs / "pg_ctl", "-D", self.folder / "data", *arguments)


@contextmanager
def server(*, install: bool = False) -> Iterator[Server]:
    """Runs a server while the block runs.

    Args:
        install: whether Debian's package may be installed where it is missing; needs root.

    Raises:
        NoServer: it is missing.
    """
    programs = _programs(install=install)
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        made = _initialised(programs, folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)


def _initialised(programs: Path, folder: Path) -> Server:
    password = secrets.token_hex(16)
    words = folder / "password"
    words.write_text(password)
    if os.geteuid() == 0:
        for path in (folder, words):
            shutil.chown(path, _USER)
    options = ("-U", _USER, "-A", "scram-sha-256", "--pwfile", words, "-E", "UTF8", "--locale=C.UTF-8")
    _run(programs / "initdb", "-D", folder / "data", "--no-sync", *options)
    return Server(programs, folder, free_port(), password)


def _run(program: Path, *arguments: str | Path) -> None:
    # The server refuses to run as root.
    other: dict[str, Any] = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([program, *arguments], cwd="/", check=True, **quiet, **other)


def _programs(*, install: bool) -> Path:
    found = _found()
    if found is None and install and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"]
        subprocess.run(command, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
        found = _found()
    if found is None:
        raise NoServer("PostgreSQL is not on this machine (on Debian: apt-get install postgresql)")
    return found


def _found() -> Path | None:
    on_path = shutil.which("initdb")
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return Path(on_path).resolve().parent if on_path else next(iter(folders), None)
