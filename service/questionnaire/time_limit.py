"""A limit on the time that Python code may take, for forms and expressions that anybody may send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType


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
