"""Limits on work that anybody may ask for: a time limit within this process, and children with limits.

`time_limit` stops Python code. It cannot stop a long call into C, and no Python code can give memory
back for sure; the kernel can do both. A `Sandbox` therefore works in a fork of this process: the child has
all data at hand, sends bytes back, and ends without a trace. The waiting is done with `select.poll`,
`time.sleep` and nothing else that blocks, so that under gevent, which replaces both, other requests are
served meanwhile.

All processes of the service share the places of one sandbox. A place is a file in memory, and who works in it
holds a lock on it: the kernel takes the lock back when the last process ends that has the file open, so a
worker or child that is killed leaves its place free, and one that lives on keeps it.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import posix
import resource
import select
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Final, NoReturn, Protocol, TypeVar

import msgspec

from service.errors import NotScorable, Problem, ServiceError, Unavailable

Result = TypeVar("Result")
Returned_co = TypeVar("Returned_co", covariant=True)


class Work(Protocol[Returned_co]):
    """Work that a child can do.

    Args:
        apart: it is done in a child. Where it is not and turns out to be too much, it raises TooMuchHere.
    """

    def __call__(self, *, apart: bool) -> Returned_co:
        """Does the work."""


PLACES: Final = 4
"""Children at a time, of all processes together."""

SMALL_BYTES: Final = 16 * 1024
"""A body up to this size is read and checked where it arrives."""

_END: Final = b"\n"
_DONE, _REFUSED, _FAILED = b"+", b"-", b"!"
_POLL_S: Final = 0.02
_OBJECTS_BETWEEN_COLLECTIONS: Final = 100_000
_NICENESS: Final = 5
"""A child yields to the workers, yet gets about a quarter of a core beside one that never rests. At 10 it got
a tenth, and small work was given up on a busy machine."""

_MEMORY_IN_PAGES: Final = Path("/proc/self/statm")
_LOG: Final = logging.getLogger("service.sandbox")


@contextmanager
def time_limit(seconds: float, raising: type[Exception]) -> Iterator[None]:
    """Stops the Python code of this block, once the time is up, by raising an error in the midst of it.

    It hooks function calls, so it works in any thread, needs no signal, and cannot stop a single
    long call into C. Blocks may be nested; while an inner one runs, its own limit holds.
    """
    deadline = monotonic() + seconds

    def tick(_: FrameType, event: str, __: object) -> None:  # pragma: no cover - never traced itself
        if event == "call" and monotonic() > deadline:
            sys.setprofile(None)
            raise raising("it took too long")

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        yield
    finally:
        sys.setprofile(before)


class SandboxLimits(msgspec.Struct, frozen=True):
    """What one piece of work in a child may take.

    Args:
        cpu_s: seconds of processor time. wall_s: seconds until the child is killed.
        memory_bytes: what it may have for itself, copies of what this process has included.
        result_bytes: longest result.
        wait_s: seconds to wait for a place.
    """

    cpu_s: int = 2
    wall_s: float = 20.0
    memory_bytes: int = 256 * 1024 * 1024
    result_bytes: int = 16 * 1024 * 1024
    wait_s: float = 5.0


class LimitExceeded(Exception):
    """The work needs more processor time, memory or room for its result than it may have."""


class TooMuchHere(Exception):
    """The work turns out to be more than may be done in this process; a child is to do it."""


class Sandbox:
    """Places in which children work; made before the fork of the processes that share them.

    Args:
        limits: of one child.
        places: children at a time, of all processes together. Together they take at most
            `places * limits.memory_bytes`.
    """

    def __init__(self, limits: SandboxLimits | None = None, places: int = PLACES) -> None:
        self.limits = limits or SandboxLimits()
        self._places = tuple(os.memfd_create("sandbox-place") for _ in range(places))
        for place in self._places:
            weakref.finalize(self, os.close, place)

    @property
    def allowed(self) -> str:
        """What one piece of work may take, in words."""
        return f"{self.limits.cpu_s} s and {self.limits.memory_bytes >> 20} MiB"

    def call(self, work: Callable[[], Result], kind: type[Result]) -> Result:
        """Does the work in a child: returns its result, or raises its ServiceError.

        Args:
            work: sees this process as it is, and cannot change it.
            kind: what it returns, in types that msgspec writes and reads.

        Raises:
            LimitExceeded: the work did not end within its limits.
            Unavailable: no place became free, or the machine is too busy to do the work in time.
        """
        sent = self.run(partial(_written, work))
        mark, content = sent[:1], sent[1:]
        if mark == _DONE:
            return msgspec.msgpack.decode(content, type=kind)
        if mark == _REFUSED:
            name, problems = msgspec.msgpack.decode(content, type=tuple[str, tuple[Problem, ...]])
            raise next(error for error in ServiceError.__subclasses__() if error.__name__ == name)(*problems)
        raise RuntimeError("the work failed; the log of the child says where")

    def small_or_apart(
        self, size: int, work: Work[Result], kind: type[Result], small: int = SMALL_BYTES
    ) -> Result:
        """Does the work here where its body is small, else in a child; returns and raises as `call` does.

        Args:
            size: bytes of the body that the work is about.
            work: see `Work`.
            kind: what it returns.
            small: the largest size that is done here.
        """
        if size <= small:
            with suppress(TooMuchHere):
                return work(apart=False)
        return self.call(partial(work, apart=True), kind)

    def run(self, work: Callable[[], bytes]) -> bytes:
        """Returns the bytes that the work returns, done in a child; raises as `call` does."""
        with self._place() as place:
            return _result(work, self.limits, place)

    @contextmanager
    def _place(self) -> Iterator[int]:
        """Yields a file that is locked until this process and the child have closed it."""
        deadline = monotonic() + self.limits.wait_s
        while (held := self._free_place()) is None:
            if monotonic() >= deadline:
                raise _busy()
            time.sleep(_POLL_S)
        try:
            yield held
        finally:
            os.close(held)

    def _free_place(self) -> int | None:
        for place in self._places:
            # Opened anew: a lock belongs to the open file, and the processes share the one they inherited.
            held = os.open(f"/proc/self/fd/{place}", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(held)
            else:
                return held
        return None


def in_time(
    sandbox: Sandbox | None,
    size: int,
    work: Work[Result],
    kind: type[Result],
    *,
    expected: str,
    at: str = "",
    small: int = SMALL_BYTES,
) -> Result:
    """Does work for which a request waits, as `Sandbox.small_or_apart` does; too much of it is refused.

    Args:
        sandbox: None on the command line and in bulk, where nobody waits: the work is done here.
        size, work, kind, small: as `small_or_apart` takes them.
        expected: the text of the refusal; `{allowed}` stands for what one piece of work may take.
        at: place in the body.

    Raises:
        NotScorable: the work takes more than it may. Others as `Sandbox.call` does.
    """
    if sandbox is None:
        return work(apart=True)
    with _refusing(sandbox, expected, at):
        return sandbox.small_or_apart(size, work, kind, small)


def in_child(
    sandbox: Sandbox | None, work: Callable[[], Result], kind: type[Result], *, expected: str, at: str = ""
) -> Result:
    """Does work that may take long whatever its size, always in a child; else as `in_time` does."""
    if sandbox is None:
        return work()
    with _refusing(sandbox, expected, at):
        return sandbox.call(work, kind)


@contextmanager
def _refusing(sandbox: Sandbox, expected: str, at: str) -> Iterator[None]:
    try:
        yield
    except LimitExceeded as fault:
        raise NotScorable(Problem("too-costly", expected.format(allowed=sandbox.allowed), at)) from fault


def _busy() -> Unavailable:
    text = "The service has too much to check at the moment. The same request may succeed in a moment."
    return Unavailable(Problem("sandbox-busy", text), retry_after_s=1)


def _written(work: Callable[[], Any]) -> bytes:  # pragma: no cover - runs in the child
    """Does the work and returns its result, or its refusal, in bytes."""
    try:
        return _DONE + msgspec.msgpack.encode(work())
    except ServiceError as refused:
        return _REFUSED + msgspec.msgpack.encode((type(refused).__name__, tuple(refused.problems)))
    except (MemoryError, RecursionError, SystemError):
        raise  # without memory the interpreter may end a call without saying that it was that
    except Exception:  # noqa: BLE001 - the last resort: the log has the places, the parent answers
        _LOG.exception({"event": "failed"})
        return _FAILED


def _result(work: Callable[[], bytes], limits: SandboxLimits, place: int) -> bytes:
    try:
        child, pipe = _fork(work, limits, place)
    except OSError as fault:
        raise _busy() from fault
    sent = None
    try:
        sent = _received(pipe, limits.wall_s, limits.result_bytes)
    finally:
        _end(child, pipe, kill=sent is None)
    if sent is None:
        raise _busy()
    if not sent.endswith(_END):
        raise LimitExceeded
    return sent.removesuffix(_END)


def _fork(work: Callable[[], bytes], limits: SandboxLimits, place: int) -> tuple[int, int]:
    """Forks the child, which keeps the place open; returns its process id and the pipe that it writes to.

    Signals are blocked from before the fork until the child has reset its handlers, so that no signal
    finds the parent's handlers in the child.
    """
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = posix.fork()
        if child == 0:  # pragma: no cover - the child is not measured
            _work_in_child(work, limits, (writing, place), before)
    except OSError:
        os.close(reading)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    return child, reading


def _received(pipe: int, seconds: float, max_bytes: int) -> bytes | None:
    """Returns all bytes until the pipe is closed; None if that takes too long.

    Of more than `max_bytes` it returns a part, without the mark that ends a result.
    """
    deadline = monotonic() + seconds
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    found = bytearray()
    while (left := deadline - monotonic()) > 0:
        if poll.poll(left * 1000):
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return bytes(found)
            found += chunk
            if len(found) > max_bytes + len(_END):
                return b""
    return None


def _end(child: int, pipe: int, *, kill: bool) -> None:
    """Ends and reaps the child.

    The kernel closes the pipe once the memory of the child is given back: waiting for that lets
    others run, and leaves nothing to wait for when it is reaped.
    """
    try:
        if kill:
            os.kill(child, signal.SIGKILL)
            _received(pipe, 1.0, 1 << 20)
    finally:
        os.close(pipe)
        with suppress(ChildProcessError):
            posix.waitpid(child, 0)


# What runs in the child.


def _work_in_child(  # pragma: no cover - runs in the child
    work: Callable[[], bytes], limits: SandboxLimits, files: tuple[int, int], mask: set[signal.Signals | int]
) -> NoReturn:
    """Does the work in a process that shares only memory with its parent; never returns.

    Args:
        work: what is to be done.
        limits: what it may take.
        files: the pipe, and the place.
        mask: signals that are blocked once all handlers are gone.
    """
    pipe = files[0]
    try:
        sys.settrace(None)  # what a debugger or a measurement of coverage would note ends with the child
        gc.freeze()  # nothing of the parent, such as a suspended greenlet, is taken down here
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        _detach(files, mask)
        _set_limits(limits)
        left = memoryview(work() + _END)
        while left:
            left = left[os.write(pipe, left) :]
    except BaseException:  # noqa: BLE001 - whatever it is, the parent sees that the end is missing
        os._exit(1)
    os._exit(0)


def _detach(
    files: tuple[int, int], mask: set[signal.Signals | int]
) -> None:  # pragma: no cover - runs in the child
    """Drops connections, listening sockets and signal handlers; only these files and 0 to 2 stay open."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):  # the C library keeps some to itself
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    first, second = sorted(files)
    os.closerange(3, first)
    os.closerange(first + 1, second)
    os.closerange(second + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _set_limits(limits: SandboxLimits) -> None:  # pragma: no cover - runs in the child
    """Sets the limits; the alarm ends a child whose parent is no more."""
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s + 1.0)
    os.nice(_NICENESS)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.cpu_s)
    if _MEMORY_IN_PAGES.exists():
        mapped, resident, of_files = (
            int(pages) * resource.getpagesize() for pages in _MEMORY_IN_PAGES.read_text().split()[:3]
        )
        # What the child writes to is copied for it: that may be all that the worker has for itself.
        left = limits.memory_bytes - (resident - of_files)
        _lower(resource.RLIMIT_AS, mapped + max(left, limits.memory_bytes // 4))


def _lower(kind: int, to: int) -> None:  # pragma: no cover - runs in the child
    _, hard = resource.getrlimit(kind)
    most = to if hard == resource.RLIM_INFINITY else min(to, hard)
    resource.setrlimit(kind, (most, most))
