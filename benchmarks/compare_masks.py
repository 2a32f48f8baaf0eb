"""Masks what differs between two runs of the same program: ids, times, cursors and request numbers.

A masked value is named for the exchange in which it was first seen, `<id create/empty#1>`, so that the
relations between values are still compared, and one more id in one answer changes no name in others.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_VARIABLE = re.compile(
    r"(?P<id>(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f]))"
    r"|(?P<hex>(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f]))"
    r"|(?P<time>(?<!\d)20\d\d-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)"
    r"|(?<=_cursor=)(?P<cursor>[0-9A-Za-z_.~%+/=-]+)"
    r"|(?P<http>\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT)"
)
_LONGEST_RUN = timedelta(hours=3)


class Masks:
    """The names of the values of one run."""

    def __init__(self, started: datetime) -> None:
        self._first = started.replace(microsecond=0) - timedelta(seconds=2)
        self._last = started + _LONGEST_RUN
        self._names: dict[str, str] = {}
        self._plain: set[str] = set()
        self._label = ""
        self._count = 0

    def begin(self, label: str) -> None:
        """Names what is seen from now on for this exchange."""
        self._label, self._count = label, 0

    def masked(self, text: str) -> str:
        """Returns the text with a name in place of each value that belongs to this run alone."""
        if text in self._plain:
            return text
        found, count = _VARIABLE.subn(self._masked, text)
        if count == 0:
            self._plain.add(text)  # much is answered many times over
        return found

    def written(self, text: str) -> str:
        """Returns the text of a request with names in place of values that answers have shown before."""
        return _VARIABLE.sub(lambda found: self._names.get(found[0], found[0]), text)

    def _masked(self, found: re.Match[str]) -> str:
        kind, value = found.lastgroup or "", found[0]
        if kind == "http":
            return self._http_date(value)
        if kind == "time":
            return self._time(value)
        return self._name(kind, value)

    def _name(self, kind: str, value: str) -> str:
        name = self._names.get(value)
        if name is None:
            self._count += 1
            name = f"<{kind} {self._label}#{self._count}>"
            self._names[value] = name
        return name

    def _time(self, value: str) -> str:
        text = value.replace("%3A", ":")
        moment = _moment(text)
        if moment is None or not self._first <= moment <= self._last:
            return value
        if "." not in text:
            # Whether two of them fall into the same second is chance: they get no numbers.
            return f"<second{'%3A' * ('%3A' in value)}{text[19:]}>"
        return self._name("time", value)

    def _http_date(self, value: str) -> str:
        if not self._first <= parsedate_to_datetime(value) <= self._last:
            return value
        self._names[value] = f"<http-date {self._label}#1>"
        return "<http-date>"


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
