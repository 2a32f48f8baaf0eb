"""The feedback of an EHR on its cards: which were accepted, and which were overridden and why.

Nobody's words are kept: of a reason that stands in `cds.yaml` its coding, of any other one and of a comment
only that there was one, since both may hold what a chart does.

Source:
    CDS Hooks 2.0.1, section "Feedback"; invariants cds-fb-1 to cds-fb-3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from service.cds_hooks.requests import fault_at, object_in
from service.cds_hooks.services import CdsService
from service.cds_hooks.triggers import OverrideReason
from service.errors import Malformed, Problem
from service.fhir.json import BodyLimits, Json

ACCEPTED: Final = "accepted"
OVERRIDDEN: Final = "overridden"
OTHER: Final = "other"
COMMENT: Final = "comment"

MOST_ITEMS: Final = 100
"""Most feedback that one request may bring."""

_LONGEST_ID: Final = 255
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Feedback(NamedTuple):
    """What became of one card.

    Args:
        card: its uuid.
        outcome: `accepted` or `overridden`.
        at: when, in UTC.
        details: ids of the suggestions that were taken; or why not: a coding as `system|code`, `other` for a
            coding that the service does not offer, `comment` for words alone; nothing where nobody says.
    """

    card: str
    outcome: str
    at: str
    details: tuple[str, ...] = ()


def feedback_in(data: bytes, service: CdsService, limits: BodyLimits) -> tuple[Feedback, ...]:
    """Reads the feedback on cards of a service.

    Raises:
        Malformed, TooLarge: it is no JSON object, or over a limit; or every fault of what it says.
    """
    listed = object_in(data, limits).get("feedback")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_ITEMS:
        raise Malformed(fault_at("feedback", f"an array of 1 to {MOST_ITEMS} objects"))
    faults = [fault for number, item in enumerate(listed) for fault in _faults(item, f"feedback[{number}]")]
    if faults:
        raise Malformed(*faults)
    return tuple(_read(item, service.triggers.override_reasons) for item in listed)


def _faults(item: Any, at: str) -> Iterator[Problem]:
    """Yields the faults of one item."""
    if not isinstance(item, Mapping):
        yield fault_at(at, "an object")
        return
    if not _is_id(item.get("card")):
        yield fault_at(f"{at}.card", "the uuid of a card")
    if item.get("outcome") not in (ACCEPTED, OVERRIDDEN):
        yield fault_at(f"{at}.outcome", f"{ACCEPTED} or {OVERRIDDEN} (cds-fb-1)")
    if _moment(item.get("outcomeTimestamp")) is None:
        yield fault_at(f"{at}.outcomeTimestamp", "date and time of RFC 3339, such as 2026-11-21T10:05:31Z")
    if item.get("outcome") == ACCEPTED:
        yield from _suggestion_faults(item.get("acceptedSuggestions"), f"{at}.acceptedSuggestions")
    else:
        yield from _reason_faults(item.get("overrideReason"), f"{at}.overrideReason")


def _suggestion_faults(listed: Any, at: str) -> Iterator[Problem]:
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_ITEMS:
        yield fault_at(at, "the suggestions that were accepted (cds-fb-2)")
        return
    for number, taken in enumerate(listed):
        if not isinstance(taken, Mapping) or not _is_id(taken.get("id")):
            yield fault_at(f"{at}[{number}].id", "the uuid of a suggestion")


def _reason_faults(given: Any, at: str) -> Iterator[Problem]:
    if given is None:
        return
    if not isinstance(given, Mapping):
        yield fault_at(at, "an object")
        return
    reason, comment = given.get("reason"), given.get("userComment")
    if reason is not None and not _is_coding(reason):
        yield fault_at(f"{at}.reason", "a Coding with a code")
    if comment is not None and not isinstance(comment, str):
        yield fault_at(f"{at}.userComment", "text")


def _is_coding(reason: Any) -> bool:
    if not isinstance(reason, Mapping) or not isinstance(reason.get("system", ""), str):
        return False
    return isinstance(reason.get("code"), str) and bool(reason["code"])


def _is_id(given: Any) -> bool:
    return isinstance(given, str) and 0 < len(given) <= _LONGEST_ID


def _read(item: Json, offered: Iterable[OverrideReason]) -> Feedback:
    """Returns one item that is well-formed."""
    outcome: str = item["outcome"]
    if outcome == ACCEPTED:
        details = tuple(dict.fromkeys(str(taken["id"]).lower() for taken in item["acceptedSuggestions"]))
    else:
        details = tuple(_reasons(item.get("overrideReason") or {}, offered))
    return Feedback(str(item["card"]).lower(), outcome, str(_moment(item["outcomeTimestamp"])), details)


def _reasons(given: Json, offered: Iterable[OverrideReason]) -> Iterator[str]:
    reason = given.get("reason")
    if reason is not None:
        own = ((coding.system, coding.code) for coding in offered)
        stated = (reason.get("system", ""), reason["code"])
        yield "|".join(stated) if stated in own else OTHER
    elif given.get("userComment"):
        yield COMMENT


def _moment(given: Any) -> str | None:
    """Returns a moment in UTC, always written in the same way; None if it is not valid."""
    if not isinstance(given, str) or not _MOMENT.fullmatch(given):
        return None
    try:
        return datetime.fromisoformat(given.upper()).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None
