"""What a run has done so far, beside its output, so that the same command goes on where it was stopped.

The output grows in `OUT.part` and takes its name when it is whole. `OUT.journal` says how much of it is
sure, and what that was made of: it is written after the output, and put in the place of the one before it at
once. What stands behind it in the output is cut off, and made again to the same bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from service.bulk.pool import Counted, Done
from service.bulk.ranges import Range
from service.bulk.scorer import ScoringOptions
from service.checked import digest_of, files_in, program_digest
from service.errors import StartupError

_FORMAT: Final = 1
_FOR_ITS_OWNER: Final = 0o600
_OWN: Final = os.O_CLOEXEC | os.O_NOFOLLOW


class Basis(msgspec.Struct, frozen=True):
    """Everything that the bytes of an output depend on, apart from the records.

    Args:
        guidance: digest of questionnaires, mappings and terminology.
        program: digest of the program, its packages and Python.
        options: of the scoring, with the name of the output's compression.
        input_bytes: size of the input; None where it has none.
    """

    guidance: str
    program: str
    options: str
    input_bytes: int | None


def basis(options: ScoringOptions, compression: str, input_bytes: int | None) -> Basis:
    """Returns the basis of an output by the present contents of the files."""
    folders = ("questionnaires_dir", "mappings_dir", "terminology_dir")
    named = ((name, getattr(options, name)) for name in folders)
    files = (found for name, folder in named if folder for found in files_in(name, Path(folder)))
    said = options._replace(questionnaires_dir="", mappings_dir="", terminology_dir="")
    return Basis(digest_of(files), program_digest(), repr((*said, compression)), input_bytes)


class State(msgspec.Struct):
    """How far a run is.

    Args:
        basis: what it rests on.
        ranges, lines: how many are done.
        output_bytes: how much of the output is sure.
        digest: of the digests of all these ranges, in hex.
        counts: what was counted.
        is_whole: nothing is left to be done but to give the output its name.
        format: of this file.
        after: id of the last stored response that is done, where they are read from a store.
    """

    basis: Basis
    ranges: int = 0
    lines: int = 0
    output_bytes: int = 0
    digest: str = ""
    counts: list[tuple[Counted, int]] = []
    is_whole: bool = False
    format: int = _FORMAT
    after: str = ""


def journal_of(output: Path) -> Path:
    """Returns the path of the journal that an output has until its run is complete."""
    return output.with_name(f"{output.name}.journal")


def files_beside(output: Path) -> tuple[Path, ...]:
    """Returns the other paths that a run writes to until it is complete."""
    return tuple(
        output.with_name(f"{output.name}{ending}") for ending in (".part", ".journal", ".journal.new")
    )


class Journal(msgspec.Struct):
    """The output of a run while it grows, and the record of how far it is.

    Args:
        output: where the whole is to stand.
        state: how far it is.
        counts: what was counted.
    """

    output: Path
    state: State
    counts: Counter[Counted] = msgspec.field(default_factory=Counter)
    _part: int = -1

    @classmethod
    def opened(cls, output: Path, now: Basis, *, restart: bool, made: Path | None = None) -> Journal:
        """Opens the output: where a run of the same on the same was stopped, or at the beginning.

        Args:
            output: where the whole is to stand.
            now: what it rests on.
            restart: what is there is done without.
            made: what is made of the output, which goes once this is there; None where it stays.

        Raises:
            StartupError: it names no file; something else stands there; or another run writes to it.
        """
        if output.name == "-":
            text = "expected the name of a file: how far a run is stands in another one beside it"
            raise StartupError([f"{output}: {text}"])
        found = cls(output, State(now))
        known = None if restart else found._known()
        if output.exists() and not restart and (known is None or not known.is_whole):
            raise StartupError([f"{output}: it is there already; --restart puts another in its place"])
        if known is not None:
            found._take(known, now)
        if not found.state.is_whole:
            found._open(is_known=known is not None or restart)
        elif output.exists() or found._part_path.exists():
            found._hold(output if output.exists() else found._part_path)
        elif made is None or not made.exists():
            raise StartupError([f"{output}: it is gone; --restart begins anew"])
        return found

    @property
    def _part_path(self) -> Path:
        return self.output.with_name(f"{self.output.name}.part")

    @property
    def path(self) -> Path:
        """Where the journal stands."""
        return journal_of(self.output)

    def _known(self) -> State | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise StartupError([f"{self.path}: it is no journal; --restart begins anew"]) from None

    def _take(self, known: State, now: Basis) -> None:
        faults = [
            f"{self.path}: {what} since the run began; --restart begins anew"
            for what, is_other in (
                ("the guidance has changed", known.basis.guidance != now.guidance),
                ("the program, a package or Python has changed", known.basis.program != now.program),
                ("the options or settings have changed", known.basis.options != now.options),
                ("the input has another size", known.basis.input_bytes != now.input_bytes),
                ("its form has changed", known.format != _FORMAT),
            )
            if is_other
        ]
        if faults:
            raise StartupError(faults)
        self.state = known
        self.counts = Counter(dict(known.counts))

    def _open(self, *, is_known: bool) -> None:
        self._hold(self._part_path, os.O_CREAT)
        os.fchmod(self._part, _FOR_ITS_OWNER)  # it may have stood there before
        size = os.fstat(self._part).st_size
        if size and not is_known:
            raise StartupError([f"{self._part_path}: nothing says what it is; --restart begins anew"])
        if size < self.state.output_bytes:
            raise StartupError([f"{self._part_path}: a part of it is gone; --restart begins anew"])
        os.ftruncate(self._part, self.state.output_bytes)
        os.lseek(self._part, 0, os.SEEK_END)
        self._write_journal()

    def _hold(self, path: Path, flags: int = 0) -> None:
        """Opens the output; until it is closed, other runs keep away from it and from what is made of it."""
        self._part = os.open(path, os.O_RDWR | flags | _OWN, _FOR_ITS_OWNER)
        try:
            # A lock of this process alone: one of the open file would live on in processes that it forked.
            fcntl.lockf(self._part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartupError([f"{path}: another run writes to it"]) from None
        if not self._is_named(path):
            raise StartupError([f"{path}: another run has just ended; the same command goes on"])

    def _is_named(self, path: Path) -> bool:
        """Says whether the open output still has the name by which it was opened."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._part), path.stat())
        return False

    def check(self, found: Range, digest: str) -> str:
        """Returns the digest of the ranges so far with one that is done already.

        Raises:
            StartupError: it is the last of these, and they are not what they were.
        """
        chained = _chained(digest, found.digested())
        if found.ordinal + 1 == self.state.ranges and chained != self.state.digest:
            raise StartupError(
                [f"{self.path}: the input has changed since the run began; --restart begins anew"]
            )
        return chained

    def add(self, done: Done, after: str = "") -> None:
        """Adds the next range to the output; it is sure once the journal is saved.

        Args:
            done: what came of it.
            after: as the state has it.
        """
        left = memoryview(done.output)
        while left:
            left = left[os.write(self._part, left) :]
        state = self.state
        state.ranges += 1
        state.lines += done.lines
        state.after = after
        state.output_bytes += len(done.output)
        state.digest = _chained(state.digest, done.digest)
        self.counts.update(dict(done.counts))

    def save(self) -> None:
        """Makes what was added sure."""
        os.fsync(self._part)
        self._write_journal()

    def _write_journal(self) -> None:
        self.state.counts = list(self.counts.items())
        new = self.path.with_name(f"{self.path.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OWN
        with os.fdopen(os.open(new, flags, _FOR_ITS_OWNER), "wb") as file:
            file.write(msgspec.json.encode(self.state))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def complete(self, empty: bytes) -> None:
        """Gives the output its name; `empty`: what a file has that has no line."""
        if not self.state.is_whole:
            if not self.state.output_bytes:
                os.write(self._part, empty)
            self.state.is_whole = True
            self.save()
        with suppress(FileNotFoundError):  # it has its name already
            self._part_path.replace(self.output)

    def forget(self) -> None:
        """Takes the journal away, once nothing is left to be done."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the output."""
        if self._part >= 0:
            os.close(self._part)
            self._part = -1


@contextmanager
def told_of_a_full_disk(output: Path) -> Iterator[None]:
    """Says which file has no space left, which the system does not, and what becomes of the run.

    Raises:
        StartupError: there was none.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        what = f"{fault.filename or output}: {fault.strerror}."
        text = f"{what} What is done is kept; with more space the same command goes on"
        raise StartupError([text]) from None


def _chained(digest: str, following: bytes) -> str:
    return sha256(digest.encode() + following).hexdigest()
