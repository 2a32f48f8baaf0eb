"""What holds between the entries of a Bundle: their order and their identities; and where in it a fault is.

Source: R4 http.html#trules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from service.errors import Malformed, NotAllowed, Problem, ServiceError
from service.web.bundle_entries import Entry

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
_LAST = 3


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the entries as they are processed: DELETE, POST, PUT and PATCH, GET and HEAD.

    Those of one kind go by their paths: then no two transactions wait for each other in a circle.
    """
    return sorted(entries, key=lambda entry: (_ORDER.get(entry.method, _LAST), entry.path))


def repeated(entries: Sequence[Entry], resolved: Mapping[str, str]) -> dict[str, Problem]:
    """Returns, by place, a problem for each entry that changes what another one changes too.

    Args:
        entries: of one Bundle.
        resolved: `Type/id` by place, of entries whose path does not say what they are about.
    """
    named = {entry.place: resolved.get(entry.place, entry.changes) for entry in entries}
    counts = Counter(named.values())
    text = "request: expected a resource that no other entry creates or changes."
    return {
        place: Problem("bundle-duplicate", text, place)
        for place, name in named.items()
        if name and counts[name] > 1
    }


@contextmanager
def placed(entry: Entry) -> Iterator[None]:
    """Gives every problem that the block raises its place in the Bundle.

    What the path of an entry answers to is not what the base answers to, so NotAllowed becomes Malformed.
    """
    try:
        yield
    except ServiceError as error:
        error.problems = tuple(_placed(problem, entry.place) for problem in error.problems)
        if isinstance(error, NotAllowed):
            raise Malformed(*error.problems) from error
        raise


def _placed(problem: Problem, place: str) -> Problem:
    if not problem.expression:
        return replace(problem, expression=place)
    _, dot, rest = problem.expression.partition(".")
    return replace(problem, expression=f"{place}.resource{dot}{rest}")
