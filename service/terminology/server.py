"""Asks a terminology server what cannot be decided here: `$validate-code`, once the rest is checked.

Only codes leave the house: the code, its system, and the url of the value set or code system. They go in the
body of a POST, so that no log on the way has them, to the one server that the operator named: that is the
whole list of permitted hosts, and no answer leads elsewhere. Whatever goes wrong leaves the question
undecided, with that reason.

Source: R4 OperationDefinition ValueSet-validate-code and CodeSystem-validate-code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

import orjson

from service.datatypes.values import replace
from service.errors import Ask, Lookup, Problem
from service.fhir.extensions import mappings, text
from service.fhir.outcome import severity
from service.outbound import Answer, Outbound, OutboundFault, TooSlow, Unreadable
from service.settings import origin_of

MAX_QUESTIONS: Final = 50
"""More questions than these are not asked for one response."""

CACHED: Final = 10_000
KEPT_S: Final = 3600.0
REST_S: Final = 10.0
"""After a failure the server is left alone for so long."""

_MAX_ANSWER: Final = 256 * 1024
_HEADERS: Final = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
_UNKNOWN: Final = frozenset(("not-found", "not-supported"))
_UNKNOWN_SYSTEM: Final = frozenset(("x-unknown-system", "x-caused-by-unknown-system"))

_AWAY: Final = "could not be reached"
_SLOW: Final = "took too long"
_UNREADABLE: Final = "gave an answer that cannot be read"
_ELSEWHERE: Final = "referred to another address, which is not followed"
_NOT_KNOWN: Final = "cannot tell either"
_BUSY: Final = f"is asked at most {MAX_QUESTIONS} questions at once"


class _NoAnswer(Exception):
    """The server gave no verdict; says what it did instead. `is_failure`: it is left alone for a while."""

    def __init__(self, did: str, *, is_failure: bool = False) -> None:
        super().__init__(did)
        self.did = did
        self.is_failure = is_failure


class TerminologyServer:
    """Settles problems that could not be decided.

    Args:
        base: FHIR base of the server, without a slash at its end.
        timeout_s: longest time for one question, and for all questions of one response.
        clock: seconds, for what is kept and for how long.
    """

    def __init__(self, base: str, timeout_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._base = base
        self._timeout_s = timeout_s
        self._outbound = Outbound([origin_of(base)], most_bytes=_MAX_ANSWER)
        self._clock = clock
        self._kept: OrderedDict[tuple[Ask, str, str], tuple[float, bool]] = OrderedDict()
        self._rests_until = 0.0
        self._last_failure = _AWAY

    def settled(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Has the server settle the problems: they are gone if the code is right, else errors."""
        deadline, left = self._clock() + self._timeout_s, [MAX_QUESTIONS]
        found = (self._settled(problem, problem.lookup, deadline, left) for problem in problems)
        return tuple(problem for problem in found if problem is not None)

    def _settled(
        self, problem: Problem, lookup: Lookup | None, deadline: float, left: list[int]
    ) -> Problem | None:
        if lookup is None:
            return problem
        try:
            is_right = any(self._verdict(ask, lookup, deadline, left) for ask in lookup.asks)
        except _NoAnswer as fault:
            words = f"{problem.text} The terminology server {fault.did}."
            return replace(problem, text=words, lookup=None)
        if is_right:
            return None
        kind, words = lookup.refused
        return Problem(kind, words, problem.expression, severity(kind))

    def _verdict(self, ask: Ask, lookup: Lookup, deadline: float, left: list[int]) -> bool:
        key = (ask, lookup.system, lookup.code)
        until, verdict = self._kept.get(key, (0.0, False))
        if until > self._clock():
            self._kept.move_to_end(key)
            return verdict
        verdict = self._asked(ask, lookup, deadline, left)
        self._kept[key] = (self._clock() + KEPT_S, verdict)
        if len(self._kept) > CACHED:
            self._kept.popitem(last=False)
        return verdict

    def _asked(self, ask: Ask, lookup: Lookup, deadline: float, left: list[int]) -> bool:
        if self._rests_until > self._clock():
            raise _NoAnswer(self._last_failure)
        if left[0] == 0:
            raise _NoAnswer(_BUSY)
        left[0] -= 1
        seconds = deadline - self._clock()
        if seconds <= 0:
            raise _NoAnswer(_SLOW)
        try:
            return _result(self._answer(ask[0], _question(ask, lookup), seconds))
        except _NoAnswer as fault:
            if fault.is_failure:
                self._rests_until, self._last_failure = self._clock() + REST_S, fault.did
            raise

    def _answer(self, type_: str, question: bytes, seconds: float) -> bytes:
        """Returns the body of the answer to one POST."""
        url = f"{self._base}/{type_}/$validate-code"
        try:
            answer = self._outbound.request("POST", url, _HEADERS, question, timeout_s=seconds)
        except TooSlow as fault:
            raise _NoAnswer(_SLOW, is_failure=True) from fault
        except Unreadable as fault:
            raise _NoAnswer(_UNREADABLE) from fault
        except OutboundFault as fault:
            raise _NoAnswer(_AWAY, is_failure=True) from fault
        return _body(answer)


def _question(ask: Ask, lookup: Lookup) -> bytes:
    type_, canonical = ask
    url, _, version = canonical.partition("|")
    named = {"url": ("valueUri", url), "code": ("valueCode", lookup.code)}
    if type_ == "ValueSet":
        named |= {"valueSetVersion": ("valueString", version), "system": ("valueUri", lookup.system)}
    else:
        named["version"] = ("valueString", version)
    parameters = [{"name": name, element: value} for name, (element, value) in named.items() if value]
    return orjson.dumps({"resourceType": "Parameters", "parameter": parameters})


def _body(answer: Answer) -> bytes:
    if 300 <= answer.status < 400:
        raise _NoAnswer(_ELSEWHERE)
    if answer.status >= 500 or answer.status == 429:
        raise _NoAnswer(_AWAY, is_failure=True)
    if answer.status != 200:
        raise _NoAnswer(_NOT_KNOWN)
    return answer.body


def _result(body: bytes) -> bool:
    """Returns the verdict; a `false` that only says that the code system is unknown is none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise _NoAnswer(_UNREADABLE) from fault
    if not isinstance(answer, Mapping) or answer.get("resourceType") != "Parameters":
        raise _NoAnswer(_UNREADABLE)
    parameters = {text(one.get("name")): one for one in mappings(answer.get("parameter"))}
    result = parameters.get("result", {}).get("valueBoolean")
    if not isinstance(result, bool):
        raise _NoAnswer(_UNREADABLE)
    if not result and _is_unknown(parameters):
        raise _NoAnswer(_NOT_KNOWN)
    return result


def _is_unknown(parameters: Mapping[str, Mapping[str, Any]]) -> bool:
    """Returns whether the server says that it lacks the value set or the code system."""
    outcome = parameters.get("issues", {}).get("resource")
    issues = mappings(outcome.get("issue")) if isinstance(outcome, Mapping) else ()
    return bool(_UNKNOWN_SYSTEM & parameters.keys()) or any(issue.get("code") in _UNKNOWN for issue in issues)
