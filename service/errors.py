"""Everything that can go wrong, in one tree.

    ServiceError            safe to show; carries one Problem per fault
      Malformed             the body is not the resource that it claims to be
      Unauthenticated       nobody says who sends the request, or the token cannot be taken
      Forbidden             who sends it may not do this
      TooManyRequests       one client sends more than its share
      Unsupported           a media type, FHIR version or encoding that is not served
      TooLarge              a documented limit of size, depth or count is passed
      NotScorable           valid, but this service cannot score or process it
      NotFound              no such resource, version, route or operation
      NotAllowed            the route exists, the verb does not
      PreconditionFailed    what the request demands of the stored state does not hold
      Unavailable           the store, or a place to check in, cannot be had at the moment; it may be later
    StartupError            never over HTTP: the process does not start
      SettingsError         an environment variable is wrong
      GuidanceError         a questionnaire or a mapping file is wrong

An error knows neither HTTP status nor issue-type code: `web/problems.py` maps class to
status, the published CodeSystem `problem-kind` maps kind to code, and tests prove both maps total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

Ask = tuple[str, str]
"""What a terminology server is asked about: resource type (ValueSet or CodeSystem) and canonical."""


class Lookup(msgspec.Struct, frozen=True):
    """How a terminology server can settle a problem that says that something could not be decided.

    Args:
        asks: the code is right exactly if one of these has it.
        system, code: the code.
        refused: kind and text of the problem that takes the place of this one where the code is wrong.
    """

    asks: tuple[Ask, ...]
    system: str
    code: str
    refused: tuple[str, str]


class Problem(msgspec.Struct, frozen=True):
    """One fault, in words that are safe to show: it repeats no answer, identifier or token.

    Args:
        kind: stable code of the kind of fault, such as `answer-type`; never reused.
        text: names the element (by the question's text where there is one) and what was expected.
        expression: FHIRPath with indices, `QuestionnaireResponse.item[2].answer[0]`; the parent
            element where something is missing; empty if no element can be named.
        severity: `fatal`, `error`, `warning` or `information` (FHIR issue-severity).
        count: how many faults this stands for; more than one only where they are not listed one by one.
        lookup: how a terminology server can settle it, where it is undecided and one can.
        about: the text of the question that it is about; empty if it is about none.
        reason: name of the reason, where results say it in a language of their own.
    """

    kind: str
    text: str
    expression: str = ""
    severity: str = "error"
    count: int = 1
    lookup: Lookup | None = None
    about: str = ""
    reason: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it keeps what was sent from being taken."""
        return self.severity in ("error", "fatal")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Returns whether one of the problems is an error."""
    return any(problem.is_error for problem in problems)


MOST_OF_A_KIND: Final = 1000
"""A body can have more faults than anyone would read: so many of one kind are kept, the others counted."""


class ProblemList(list[Problem]):
    """Problems as they are found; what is left out changes no verdict: there are others of its kind."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[tuple[str, str], int] = {}

    def has_room(self, kind: str, severity: str = "error") -> bool:
        """Counts a problem that was found, and says whether it is to be kept."""
        found = self._found[kind, severity] = self._found.get((kind, severity), 0) + 1
        return found <= MOST_OF_A_KIND

    def keep(self, problem: Problem) -> None:
        """Counts a problem, and keeps it where there is room."""
        if self.has_room(problem.kind, problem.severity):
            self.append(problem)

    def keep_all(self, problems: Iterable[Problem]) -> None:
        """Does so with each of several."""
        for problem in problems:
            self.keep(problem)

    def listed(self) -> tuple[Problem, ...]:
        """Returns the problems that were kept, and one for all others."""
        left_out = sum(max(0, found - MOST_OF_A_KIND) for found in self._found.values())
        if not left_out:
            return tuple(self)
        text = "Further problems are not listed."
        return (*self, Problem("more-problems", text, severity="information", count=left_out))


class ServiceError(Exception):
    """A fault of the caller's request; every problem in it may be shown to the caller."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems: Sequence[Problem] = problems


class Malformed(ServiceError):
    """The body is not the resource that it claims to be."""


class Unauthenticated(ServiceError):
    """Nobody says who sends the request, or the token cannot be taken.

    Args:
        error: the code of RFC 6750, section 3.1, such as `invalid_token`; empty if no token came.
    """

    def __init__(self, *problems: Problem, error: str = "") -> None:
        super().__init__(*problems)
        self.error = error


class Forbidden(ServiceError):
    """Who sends the request is known, and may not do this; `error` as in Unauthenticated."""

    def __init__(self, *problems: Problem, error: str = "insufficient_scope") -> None:
        super().__init__(*problems)
        self.error = error


class TooManyRequests(ServiceError):
    """One client sends more than its share; the request may succeed after `retry_after_s`."""

    def __init__(self, *problems: Problem, retry_after_s: int = 5) -> None:
        super().__init__(*problems)
        self.retry_after_s = retry_after_s


class Unsupported(ServiceError):
    """The body comes in a media type, FHIR version or encoding that is not read."""


class NotAcceptable(ServiceError):
    """The answer is asked for in a media type or FHIR version that is not written."""


class TooLarge(ServiceError):
    """A documented limit of size, depth or count is passed."""


class NotScorable(ServiceError):
    """Valid FHIR, but it cannot be scored: its questionnaire, status or answers do not allow it."""


class NotFound(ServiceError):
    """No such resource, version, route or operation."""


class NotAllowed(ServiceError):
    """The route exists, this verb does not."""

    def __init__(self, *problems: Problem, allow: Sequence[str] = ()) -> None:
        super().__init__(*problems)
        self.allow: Sequence[str] = allow


class Misdirected(ServiceError):
    """The request was meant for a server of another name."""


class PreconditionFailed(ServiceError):
    """What the request demands of the stored state (If-Match, If-None-Exist) does not hold."""


class Unavailable(ServiceError):
    """The store, or a place to check in, cannot be had; the request may succeed after `retry_after_s`."""

    def __init__(self, *problems: Problem, retry_after_s: int = 5) -> None:
        super().__init__(*problems)
        self.retry_after_s = retry_after_s


class StartupError(Exception):
    """The process must not start; `faults` has one line per fault, each naming file and place."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults: Sequence[str] = faults

    def __reduce__(self) -> tuple[type[StartupError], tuple[Sequence[str]]]:
        """Lets it go from one process to another."""
        return type(self), (self.faults,)


class SettingsError(StartupError):
    """One or more environment variables are wrong; all are reported together."""


class GuidanceError(StartupError):
    """A questionnaire or a mapping file is wrong; all faults are reported together."""
