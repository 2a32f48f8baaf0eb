"""Reports of what `check` found sound, kept by the content of the files that they are about.

A report counts again while files, program and settings are what they were: a proof takes much longer
than reading them. They stand in a folder of the user's, never beside the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from service.settings import Settings

_PROGRAM = Path(__file__).parent.parent


class Kept:
    """Kept reports; nothing is kept where there is no folder for it.

    Args:
        folder: where they stand; it is made when the first one is kept.
        reads: whether what is kept counts; else it is only replaced.
    """

    def __init__(self, folder: Path | None, settings: Settings, *, reads: bool) -> None:
        self._folder = folder
        self._reads = reads
        self._basis = "" if folder is None else _basis(settings)

    def report(self, files: Iterable[Path]) -> str:
        """Returns the report on these files as they stand; empty where none is kept."""
        if self._folder is not None and self._reads:
            with suppress(OSError):
                return self._place(self._folder, files).read_text("utf-8")
        return ""

    def keep(self, files: Iterable[Path], report: str) -> None:
        """Keeps a report; where that cannot be done, the next check takes as long as this one."""
        if self._folder is not None:
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._place(self._folder, files).write_text(report, "utf-8")

    def _place(self, folder: Path, files: Iterable[Path]) -> Path:
        return folder / f"{_digest(files, self._basis)}.txt"


def _basis(settings: Settings) -> str:
    """Returns a digest of all that a report rests on beside its files: program, terminology, z3."""
    terminology = settings.terminology_dir
    files = [*_PROGRAM.rglob("*.py"), *_PROGRAM.rglob("*.yaml")]
    files += terminology.rglob("*.json") if terminology is not None else ()
    return _digest(files, f"{settings.canonical_base} {find_spec('z3') is not None}")


def _digest(files: Iterable[Path], told: str) -> str:
    """Returns SHA-256 in hex over names and contents of files, and over a text."""
    digest = sha256(told.encode())
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"\n{path.parent.name}/{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
