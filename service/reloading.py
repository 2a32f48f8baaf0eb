"""Reloads changed files while an author works, and says what is wrong with them.

A process of its own looks at the files of the questionnaires and mappings, some times a second, by name, time
and size. Once they have changed and come to rest, it sends the signal HUP to the server, which reads them
again (`app.reloaded`, gunicorn.conf.py) and starts new workers. It ends when the server does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from service.settings import ROOT, Settings, files_below, from_environment

_PAUSE_S: Final = 0.15
_SUFFIXES: Final = (".json", ".yaml")


class Edition(msgspec.Struct):
    """The files that are served, or that were to be served.

    Args:
        files: what `fingerprint` said of the files that were read last.
        faults: what is wrong with them, a line each: an earlier edition is served. Without any they are.
        previews: address of the preview of each mapping.
    """

    files: str
    faults: tuple[str, ...] = ()
    previews: tuple[str, ...] = ()


def folders_of(settings: Settings) -> tuple[Path, ...]:
    """Returns the folders that authors write in."""
    current = settings.questionnaires_dir, settings.mappings_dir, settings.terminology_dir
    named = *current, settings.next_questionnaires_dir, settings.next_mappings_dir
    # Not resolved: a link among them may lead elsewhere later.
    return tuple(folder.absolute() for folder in named if folder is not None)


def fingerprint(folders: Iterable[Path]) -> str:
    """Returns a text that changes with any file of the folders; empty if a file is just gone.

    Files whose names begin with a dot are an editor's own.
    """
    found = sha256()
    for folder in folders:
        if not folder.is_dir():
            return ""
        for path in sorted(files_below(folder)):
            if path.suffix not in _SUFFIXES or path.name.startswith("."):
                continue
            with suppress(OSError):  # it has gone since it was listed
                seen = path.stat()
                found.update(repr((str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino)).encode())
    return found.hexdigest()


def watch(
    look: Callable[[], str], known: str, changed: Callable[[], None], pause: Callable[[], bool]
) -> None:
    """Tells of each change once the files have come to rest, until there is nobody left to tell.

    Args:
        look: gives the fingerprint of the files; empty while a folder is being moved.
        known: the fingerprint of the files that are served.
        changed: is told.
        pause: waits a moment, and returns whether to go on.
    """
    before = known
    while pause():
        now = look()
        if now and now == before and now != known:
            changed()
            known = now
        before = now


def start_watching(edition: Edition) -> None:
    """Starts the process that watches the files on behalf of this one, which serves them."""
    sys.stderr.write("".join(f"reload: preview at {address}\n" for address in edition.previews))
    command = [sys.executable, "-m", "service.reloading", str(os.getpid()), edition.files]
    subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)  # noqa: S603 - our own interpreter, no shell


def _watch_for(server: int, known: str) -> None:
    """Watches on behalf of a server, which has started this process, until it ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # from a terminal it comes to the server too, which then ends
    folders = folders_of(from_environment(os.environ))

    def pause() -> bool:
        time.sleep(_PAUSE_S)
        return os.getppid() == server

    watch(lambda: fingerprint(folders), known, lambda: os.kill(server, signal.SIGHUP), pause)


if __name__ == "__main__":
    _watch_for(int(sys.argv[1]), sys.argv[2])
