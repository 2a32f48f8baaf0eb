"""Log lines as JSON, one object a line, without anything that a caller sent."""

from __future__ import annotations

import logging
import logging.config
import os
import traceback
from datetime import UTC, datetime
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Final, NamedTuple

import orjson

REQUESTS: Final = logging.getLogger("service.request")
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""The methods that logs and spans name; they call every other one "other"."""


class Begun(NamedTuple):
    """The beginning of a request: the id under which the log knows it, and the time."""

    request_id: str
    at_ns: int

    @classmethod
    def now(cls) -> Begun:
        """Returns a beginning with an id of its own."""
        return cls(os.urandom(16).hex(), perf_counter_ns())


class JsonLines(logging.Formatter):
    """One JSON object per record.

    Of an exception it keeps the class and the places, never its text: that may repeat what a caller sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line; a mapping as message becomes members of the object."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
        }
        line |= record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            line |= {"exception": record.exc_info[0].__name__, "places": _places(record.exc_info[2])}
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


def _places(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def logging_config(level: str) -> dict[str, Any]:
    """Returns the logging configuration of the process: every line to standard error as JSON."""
    to_stderr = {"handlers": ["stderr"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {"service": to_stderr, "gunicorn.error": to_stderr},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }
