"""A route as it is declared: the table of all routes says everything that the service answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.web.call import Call
from service.web.reply import Reply

View = Callable[[Call], Reply]

BASE_PATH = "/fhir"


@dataclass(frozen=True, slots=True)
class Route:
    """One path and what it answers.

    Args:
        template: the path; `<id:name>` stands for a FHIR id. It is what the log shows.
        views: the view by HTTP method; HEAD follows GET, OPTIONS is answered everywhere.
            A route without views is known but offers nothing: other methods get 405, not 404.
        resource: the FHIR type that the route belongs to, or empty.
        interactions: the FHIR interaction codes (`read`, `search-type`) that the views answer.
        operation: the name of the operation without `$`, or empty.
        public: whether pages of every origin may read the answers.
    """

    template: str
    views: Mapping[str, View]
    resource: str = ""
    interactions: tuple[str, ...] = ()
    operation: str = ""
    public: bool = False
