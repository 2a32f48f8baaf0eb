"""Remembers what `check` has found sound, until anything that it depends on changes.

There are three kinds. A report counts again for `check` while nothing has changed: a proof takes much longer
than reading files. A record tells the start that the worked cases of what it serves need not be run again.
Beside it stands what was compiled of the same files, so that a start need not do that again either.

Both stand in a folder of their own, under the hash of what they are about: the questionnaires, the mappings,
the terminology, the program, the packages it runs with and the Python below it. So no change of them is
missed, and what is kept may be copied with what it is about, as into an image. It is no seal: whoever may
write to the folder may say there what was checked, as who may write to the mappings decides what is served.
What was compiled counts only where nobody may write but this user and root.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from tempfile import mkstemp

import msgspec

from service.settings import Settings, files_below

_PROGRAM = Path(__file__).parent
_TOTAL = sha256().digest_size
_MOST_COMPILED = 4


class CheckedGuidance(msgspec.Struct, frozen=True):
    """What was found of one guidance.

    Args:
        slug: name of its mapping folder.
        hash: of its mapping files, as results name it.
        cases: how many worked cases passed.
        is_proved: whether what it promises was proved; else z3 was not at hand.
    """

    slug: str
    hash: str
    cases: int
    is_proved: bool


class CheckRecord(msgspec.Struct, frozen=True):
    """What was found of everything that is served from two folders: no fault."""

    guidances: tuple[CheckedGuidance, ...]

    @property
    def is_proved(self) -> bool:
        """Whether all that the guidances promise was proved."""
        return all(guidance.is_proved for guidance in self.guidances)

    def hashes(self) -> Mapping[str, str]:
        """Returns the hash of each guidance by the name of its mapping folder."""
        return {guidance.slug: guidance.hash for guidance in self.guidances}


class Kept:
    """What is kept in a folder; nothing is where there is none.

    Args:
        folder: it is made when something is kept for the first time.
        reads: whether what is kept counts; else it is only replaced.
    """

    def __init__(self, folder: Path | None, settings: Settings, *, reads: bool = True) -> None:
        self._folder = folder
        self._reads = reads
        self._basis = "" if folder is None else _basis(settings)
        self._files: Callable[[], Iterable[Path]] = tuple
        self._found = digest_of(())

    # For `check`.

    def watch(self, files: Callable[[], Iterable[Path]]) -> None:
        """Keeps nothing from now on once these files are not what they are now: a check takes its time."""
        self._files = files
        self._found = digest_of(_named(files()))

    def report(self, files: Iterable[Path]) -> str:
        """Returns the report on these files as they stand; empty if none is kept."""
        return self._read(self._report(files)) if self._reads else ""

    def keep(self, files: Iterable[Path], report: str) -> None:
        """Keeps a report; where that cannot be done, the next check takes as long as this one."""
        self._write(self._report(files), report)

    # For the start.

    def record(self, questionnaires: Path, mappings: Iterable[Path]) -> CheckRecord | None:
        """Returns the record of these folders; None if there is none, or it does not match them.

        Args:
            questionnaires: folder of published resources.
            mappings: the folder of each guidance.
        """
        with suppress(OSError, msgspec.DecodeError):
            line = self._read(self._record(questionnaires, mappings))
            return msgspec.json.decode(line, type=CheckRecord) if line else None
        return None

    def keep_record(self, questionnaires: Path, mappings: Iterable[Path], record: CheckRecord) -> None:
        """Keeps what was found; what is kept and was proved is not replaced by what was not."""
        folders = tuple(mappings)
        known = self.record(questionnaires, folders)
        if known is None or record.is_proved or not known.is_proved:
            self._write(self._record(questionnaires, folders), msgspec.json.encode(record).decode())

    def prepared(self, questionnaires: Path, mappings: Iterable[Path]) -> bytes:
        """Returns what was compiled of these folders; empty if there is none, or others may write."""
        place = self._prepared(questionnaires, mappings)
        if place is not None:
            with suppress(OSError):
                if _is_ours(place.parent) and _is_ours(place):
                    kept = place.read_bytes()
                    content, total = kept[:-_TOTAL], kept[-_TOTAL:]
                    return content if sha256(content).digest() == total else b""
        return b""

    def keep_prepared(self, questionnaires: Path, mappings: Iterable[Path], content: bytes) -> None:
        """Keeps what was compiled of these folders, and of what was kept before the newest: it is large."""
        place = self._prepared(questionnaires, mappings)
        self._write_bytes(place, content + sha256(content).digest())
        if place is not None:
            with suppress(OSError):
                kept = sorted(place.parent.glob(f"*{place.suffix}"), key=lambda path: path.stat().st_mtime_ns)
                for old in kept[:-_MOST_COMPILED]:
                    old.unlink()

    def _prepared(self, questionnaires: Path, mappings: Iterable[Path]) -> Path | None:
        return self._place(_served(questionnaires, mappings), "", "compiled")

    def _report(self, files: Iterable[Path]) -> Path | None:
        return self._place(_named(files), f" proofs: {can_prove()}", "txt")

    def _record(self, questionnaires: Path, mappings: Iterable[Path]) -> Path | None:
        return self._place(_served(questionnaires, mappings), "", "json")

    def _place(self, files: Iterable[tuple[str, Path]], told: str, ending: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{digest_of(files, self._basis + told)}.{ending}"

    def _read(self, place: Path | None) -> str:
        """Returns the content if it is whole: the machine may have stopped while it was written."""
        if place is not None:
            with suppress(OSError, UnicodeDecodeError):
                content, _, total = place.read_text("utf-8").rpartition("\n")
                return content if total == _hash(content) else ""
        return ""

    def _write(self, place: Path | None, content: str) -> None:
        """Writes a text with its own hash at the end."""
        self._write_bytes(place, f"{content}\n{_hash(content)}".encode())

    def _write_bytes(self, place: Path | None, content: bytes) -> None:
        """Writes a file as a whole, which nobody else may change."""
        if place is None:
            return
        with suppress(OSError):
            if digest_of(_named(self._files())) != self._found:
                return
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            number, name = mkstemp(f".{place.name}.part", dir=place.parent)  # which nobody else has made
            part = Path(name)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(content)
                part.chmod(0o644)
                part.replace(place)
            except BaseException:  # a full disk: half of it is of no use to anybody
                part.unlink(missing_ok=True)
                raise


def _is_ours(place: Path) -> bool:
    """Returns whether nobody but this user and root may write there."""
    found = place.stat()
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & (S_IWGRP | S_IWOTH)


def can_prove() -> bool:
    """Whether what proves a guidance is installed: z3, which is large and no part of the service."""
    return find_spec("z3") is not None


def _named(files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    return ((f"{path.parent.name}/{path.name}", path) for path in files)


def _served(questionnaires: Path, mappings: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yields every file that is read of both folders."""
    yield from files_in("questionnaires", questionnaires, "*.json")
    for folder in mappings:
        yield from files_in(f"mappings/{folder.name}", folder, "*.yaml")


def _basis(settings: Settings) -> str:
    """Returns a digest of all that anything kept rests on beside its files."""
    terminology = settings.terminology_dir
    files = () if terminology is None else files_in("terminology", terminology, "*.json")
    return digest_of(files, f"{settings.canonical_base}\n{program_digest()}")


def program_digest() -> str:
    """Returns a digest of what runs: the files of this package, the packages beside it, and Python."""
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    return digest_of(files_in("service", _PROGRAM), "\n".join((sys.version, *packages)))


def files_in(name: str, folder: Path, pattern: str = "*") -> Iterator[tuple[str, Path]]:
    """Yields the files below a folder, with a name that does not say where the folder is."""
    for path in files_below(folder, pattern):
        yield f"{name}/{path.relative_to(folder)}", path


def digest_of(files: Iterable[tuple[str, Path]], told: str = "") -> str:
    """Returns SHA-256 in hex over names and contents of files, and over a text."""
    found = sha256(told.encode())
    for name, path in sorted(files):
        content = path.read_bytes()
        found.update(f"\n{name} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


def _hash(content: str) -> str:
    return sha256(content.encode()).hexdigest()
