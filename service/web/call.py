"""One request as a view sees it: a thin reading of the WSGI environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from service.errors import Malformed, Problem
from service.web.negotiation import answer_type

if TYPE_CHECKING:
    from service.repository import Unit

Environ = Mapping[str, Any]
Query = tuple[tuple[str, str], ...]

_MOST_PARAMETERS = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        environ: the WSGI environment.
        args: the variable parts of the path, by name.
        unit: the transaction that the request is part of, where it came in a Bundle.
    """

    environ: Environ
    args: Mapping[str, str]
    unit: Unit | None = None

    def header(self, name: str) -> str | None:
        """Returns a request header by its WSGI name, such as `IF_NONE_MATCH`."""
        value: str | None = self.environ.get("HTTP_" + name)
        return value

    def query(self) -> Query:
        """Returns the parameters of the query string in order, decoded once."""
        text: str = self.environ.get("QUERY_STRING", "")
        return parameters(text.encode("latin-1")) if text else ()

    def answer_type(self) -> str:
        """Returns the media type of the answer; raises NotAcceptable."""
        return answer_type(self.environ.get("HTTP_ACCEPT"), self._option("_format"))

    def is_pretty(self) -> bool:
        """Whether the answer is wanted with line breaks."""
        return self._option("_pretty") == "true"

    def _option(self, name: str) -> str | None:
        if name not in self.environ.get("QUERY_STRING", ""):
            return None
        return dict(self.query()).get(name)


def parameters(text: bytes) -> Query:
    """Returns the pairs of a query string or a form body, in order; empty values are kept.

    Raises:
        Malformed: not UTF-8, or more than a hundred parameters.
    """
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError as error:
        expected = f"Expected at most {_MOST_PARAMETERS} parameters in UTF-8, percent-encoded."
        raise Malformed(Problem("query", f"The parameters cannot be read. {expected}")) from error
    return tuple(pairs)
