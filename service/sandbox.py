"""Limits on work that anybody may ask for: a time limit within this process, and a child with limits.

`time_limit` stops Python code. It cannot stop a long call into C, and no Python code can give memory
back for sure; the kernel can do both. `run_limited` therefore works in a fork of this process: it has
all data at hand, sends bytes back, and ends without a trace. The waiting is done with `select.poll`,
`threading` and nothing else that blocks, so that under gevent, which replaces both, other requests are
served meanwhile.
"""

from __future__ import annotations

import gc
import os
import posix
import resource
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import NoReturn

MAX_CHILDREN = 4
"""Children of one process at a time."""

_END = b"\n"
_MEMORY_IN_PAGES = Path("/proc/self/statm")


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


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one piece of work in a child may take.

    Args:
        cpu_s: seconds of processor time. wall_s: seconds until the child is killed.
        memory_bytes: beside what this process has mapped already. result_bytes: longest result.
        wait_s: seconds to wait until fewer than MAX_CHILDREN are at work.
    """

    cpu_s: int = 2
    wall_s: float = 3.0
    memory_bytes: int = 512 * 1024 * 1024
    result_bytes: int = 16 * 1024 * 1024
    wait_s: float = 1.0


class LimitExceeded(Exception):
    """The work did not end within its limits, or broke down."""


class SandboxBusy(Exception):
    """As many children as there may be are at work."""


def run_limited(work: Callable[[], bytes], limits: SandboxLimits) -> bytes:
    """Returns the result of the work, which sees this process as it is and cannot change it.

    Raises:
        LimitExceeded: the work did not end within its limits, or broke down.
        SandboxBusy: too many children are at work, and none ended while this waited.
    """
    if not _free_children().acquire(timeout=limits.wait_s):
        raise SandboxBusy
    try:
        return _result(work, limits)
    finally:
        _free_children().release()


@cache
def _free_children() -> threading.BoundedSemaphore:
    """Made on first use: by then gevent has replaced what it is made of."""
    return threading.BoundedSemaphore(MAX_CHILDREN)


def _result(work: Callable[[], bytes], limits: SandboxLimits) -> bytes:
    try:
        child, pipe = _fork(work, limits)
    except OSError as fault:
        raise LimitExceeded from fault
    sent = None
    try:
        sent = _received(pipe, limits.wall_s, limits.result_bytes)
    finally:
        _end(child, pipe, kill=sent is None)
    if sent is None or not sent.endswith(_END):
        raise LimitExceeded
    return sent.removesuffix(_END)


def _fork(work: Callable[[], bytes], limits: SandboxLimits) -> tuple[int, int]:
    """Forks the child; returns its process id and the pipe that it writes to.

    Signals are blocked from before the fork until the child has reset its handlers, so that no signal
    finds the parent's handlers in the child.
    """
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = posix.fork()
        if child == 0:  # pragma: no cover - the child is not measured
            _work_in_child(work, limits, writing, before)
    except OSError:
        os.close(reading)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    return child, reading


def _received(pipe: int, seconds: float, max_bytes: int) -> bytes | None:
    """Returns what comes before the pipe is closed, or None where that takes too long or is too much."""
    deadline = monotonic() + seconds
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    found = bytearray()
    while (left := deadline - monotonic()) > 0 and len(found) <= max_bytes:
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


# What runs in the child.


def _work_in_child(  # pragma: no cover - runs in the child
    work: Callable[[], bytes], limits: SandboxLimits, pipe: int, mask: set[signal.Signals | int]
) -> NoReturn:
    """Does the work in a process that shares only memory with its parent; never returns."""
    try:
        gc.freeze()  # nothing of the parent, such as a suspended greenlet, is taken down here
        _detach(pipe, mask)
        _set_limits(limits)
        left = memoryview(work() + _END)
        while left:
            left = left[os.write(pipe, left) :]
    except BaseException:  # noqa: BLE001 - whatever it is, the parent sees that the end is missing
        os._exit(1)
    os._exit(0)


def _detach(pipe: int, mask: set[signal.Signals | int]) -> None:  # pragma: no cover - runs in the child
    """Drops connections, listening sockets and signal handlers; only the pipe and 0 to 2 stay open."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):  # the C library keeps some to itself
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _set_limits(limits: SandboxLimits) -> None:  # pragma: no cover - runs in the child
    """Sets the limits; the alarm ends a child whose parent is no more."""
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s + 1.0)
    os.nice(10)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.cpu_s)
    if _MEMORY_IN_PAGES.exists():
        mapped = int(_MEMORY_IN_PAGES.read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, mapped + limits.memory_bytes)


def _lower(kind: int, to: int) -> None:  # pragma: no cover - runs in the child
    _, hard = resource.getrlimit(kind)
    most = to if hard == resource.RLIM_INFINITY else min(to, hard)
    resource.setrlimit(kind, (most, most))
