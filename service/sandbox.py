"""Work on what anybody may send, done in a process of its own that may not take much time or memory.

A hook or a timer cannot stop a long call into C, and no Python code can give memory back for sure;
the kernel can do both. The child is a fork of this process: it has all data at hand, sends bytes
back, and ends without a trace. The waiting is done with `select.poll`, `threading` and nothing else
that blocks, so that under gevent, which replaces both, other requests are served meanwhile.
"""

from __future__ import annotations

import gc
import os
import posix
import resource
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import NoReturn

MOST = 4
"""Children of one process at a time."""

_END = b"\n"
_STATUS = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one piece of work may take.

    Args:
        cpu_s: seconds of processor time. wall_s: seconds until the child is killed.
        memory_bytes: beside what this process has mapped already. result_bytes: longest result.
        place_s: seconds to wait for a place among the children.
    """

    cpu_s: int = 2
    wall_s: float = 3.0
    memory_bytes: int = 512 * 1024 * 1024
    result_bytes: int = 16 * 1024 * 1024
    place_s: float = 1.0


class OutOfBounds(Exception):
    """The work did not end within its bounds, or broke down."""


class NoPlace(Exception):
    """As many children as there may be are at work."""


def bounded(work: Callable[[], bytes], bounds: Bounds) -> bytes:
    """Returns the result of the work, which sees this process as it is and cannot change it.

    Raises:
        OutOfBounds, NoPlace: see there.
    """
    if not _places().acquire(timeout=bounds.place_s):
        raise NoPlace
    try:
        return _result(work, bounds)
    finally:
        _places().release()


@cache
def _places() -> threading.BoundedSemaphore:
    """Made on first use: by then gevent has replaced what it is made of."""
    return threading.BoundedSemaphore(MOST)


def _result(work: Callable[[], bytes], bounds: Bounds) -> bytes:
    try:
        child, pipe = _forked(work, bounds)
    except OSError as fault:
        raise OutOfBounds from fault
    sent = None
    try:
        sent = _received(pipe, bounds.wall_s, bounds.result_bytes)
    finally:
        _end(child, pipe, kill=sent is None)
    if sent is None or not sent.endswith(_END):
        raise OutOfBounds
    return sent.removesuffix(_END)


def _forked(work: Callable[[], bytes], bounds: Bounds) -> tuple[int, int]:
    """Returns the process id of the child and the pipe that it writes to.

    No signal arrives between the fork and the moment when the child has put off our ways with them.
    """
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = posix.fork()
        if child == 0:  # pragma: no cover - the child is not measured
            _work(work, bounds, writing, before)
    except OSError:
        os.close(reading)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    return child, reading


def _received(pipe: int, seconds: float, most: int) -> bytes | None:
    """Returns what comes before the pipe is closed, or None where that takes too long or is too much."""
    deadline = monotonic() + seconds
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    found = bytearray()
    while (left := deadline - monotonic()) > 0 and len(found) <= most:
        if poll.poll(left * 1000):
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return bytes(found)
            found += chunk
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


def _work(  # pragma: no cover - runs in the child
    work: Callable[[], bytes], bounds: Bounds, pipe: int, mask: set[signal.Signals | int]
) -> NoReturn:
    """Does the work as a process that has nothing of ours but its memory; never returns."""
    try:
        gc.freeze()  # nothing of the parent, such as a suspended greenlet, is taken down here
        _take_leave(pipe, mask)
        _limit(bounds)
        left = memoryview(work() + _END)
        while left:
            left = left[os.write(pipe, left) :]
    except BaseException:  # noqa: BLE001 - whatever it is, the parent sees that the end is missing
        os._exit(1)
    os._exit(0)


def _take_leave(pipe: int, mask: set[signal.Signals | int]) -> None:  # pragma: no cover - runs in the child
    """Drops connections, listening sockets and signal handlers; only the pipe and 0 to 2 stay open."""
    signal.set_wakeup_fd(-1)
    for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):  # the C library keeps some to itself
            signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit(bounds: Bounds) -> None:  # pragma: no cover - runs in the child
    """Sets the limits; the alarm ends a child whose parent is no more."""
    signal.setitimer(signal.ITIMER_REAL, bounds.wall_s + 1.0)
    os.nice(10)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, bounds.cpu_s)
    if _STATUS.exists():
        mapped = int(_STATUS.read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, mapped + bounds.memory_bytes)


def _lower(kind: int, to: int) -> None:  # pragma: no cover - runs in the child
    _, hard = resource.getrlimit(kind)
    most = to if hard == resource.RLIM_INFINITY else min(to, hard)
    resource.setrlimit(kind, (most, most))
