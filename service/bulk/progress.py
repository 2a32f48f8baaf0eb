"""Shows how far a run is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

_WINDOW_S: Final = 30.0
_EVERY_S: Final = 10.0
_EVERY_ON_A_TERMINAL_S: Final = 0.2
_BAR: Final = 24


class Progress:
    """Writes how far a run is.

    Args:
        out: where to; standard error.
        size: of the input in bytes; None where nobody knows it.
        done: bytes of it that were done before this run.
        clock: seconds that only grow.
    """

    def __init__(
        self, out: TextIO, size: int | None, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._size, self._clock = out, size, clock
        self._is_terminal = out.isatty()
        now = clock()
        self._began, self._first, self._written_at = now, done, now
        self._seen: deque[tuple[float, int, int]] = deque([(now, done, 0)])

    def tell(self, position: int, lines: int) -> None:
        """Writes it where it is time to.

        Args:
            position: bytes of the input that are done, those before this run included.
            lines: lines that this run has done.
        """
        now = self._clock()
        if now - self._written_at < (_EVERY_ON_A_TERMINAL_S if self._is_terminal else _EVERY_S):
            return
        self._written_at = now
        self._seen.append((now, position, lines))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()
        self._write(self._said(position, lines))

    def end(self, lines: int) -> None:
        """Writes what it came to in all."""
        took = max(self._clock() - self._began, 1e-9)
        text = f"{lines:,} lines in {duration(took)}, {_rate(lines / took)}"
        self._put(f"\r\x1b[K{text}\n" if self._is_terminal else f"{text}\n")

    def _said(self, position: int, lines: int) -> str:
        (then, before, lines_before), (now, _, _) = self._seen[0], self._seen[-1]
        took = max(now - then, 1e-9)
        parts = [f"{lines:,} lines", _rate((lines - lines_before) / took)]
        if not self._size:
            return ", ".join(parts)
        share = min(position / self._size, 1.0)
        speed = (position - before) / took
        if speed > 0:
            parts.append(f"{duration(max(self._size - position, 0) / speed)} left")
        told = f"{share:4.0%} {', '.join(parts)}"
        full = round(share * _BAR)
        return f"[{'#' * full}{'.' * (_BAR - full)}] {told}" if self._is_terminal else told

    def _write(self, text: str) -> None:
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            self._put(f"\r{text[: width - 1]}\x1b[K")
        else:
            self._put(f"{text}\n")

    def _put(self, text: str) -> None:
        with suppress(OSError):  # that nobody reads it any more stops nothing
            self._out.write(text)
            self._out.flush()


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f} lines/s"


def duration(seconds: float) -> str:
    """Returns a time in words, such as `2 min 5 s`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
