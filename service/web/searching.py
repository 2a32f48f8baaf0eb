"""The parameters of a search, wherever R4 lets a caller put them.

Source: R4 http.html#search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.errors import Problem, Unsupported
from service.web.body import read_body
from service.web.call import Query, parameters

if TYPE_CHECKING:
    from service.web.call import Call

QUIET: Final = frozenset(("_format", "_pretty"))
"""Parameters that say how the answer is written, not what is looked for."""

_FORM: Final = "application/x-www-form-urlencoded"


def asked(call: Call, limit: int) -> Query:
    """Returns the pairs of the query string and, of a POST, of the form too.

    Args:
        call: a GET, or a POST to `_search`.
        limit: longest form in bytes.

    Raises:
        Unsupported: the body is not a form.
        Malformed, TooLarge: it cannot be read.
    """
    if call.environ["REQUEST_METHOD"] != "POST":
        return call.query()
    content_type: str = call.environ.get("CONTENT_TYPE", "")
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise Unsupported(Problem("content-type", f"Expected Content-Type: {_FORM}."))
    return (*call.query(), *parameters(read_body(call.environ, limit)))
