"""One call of a service: what it must have, and the part of a chart that it brings.

A key of the prefetch that is absent was not fetched. Where the call names the FHIR server of a registered
EHR and brings a token, it is read there, as further pages of a search are; else it is a failed precondition.
`null` says that there is no such data. Further pages that cannot be read are left, and the card says so,
unless the server sorts as the template asks it to: then they hold nothing that is newer.

Source:
    CDS Hooks 2.0.1, sections "Calling a CDS Service" and "Prefetch Template"; invariants cds-r-1, cds-r-2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from service.cds_hooks.chart import before, counting, has_died, latest, reasons_in, recorded_in
from service.cds_hooks.services import (
    INCLUDED,
    LABORATORY,
    PATIENT,
    READS,
    RESPONSES,
    TYPE_OF,
    CdsService,
)
from service.errors import Malformed, PreconditionFailed, Problem, TooLarge
from service.fhir.dates import compare, is_date_time
from service.fhir.extensions import mappings, text
from service.fhir.json import BodyLimits, Json, encoded, read_with_faults
from service.fhir.parameters import is_outcome, says_part
from service.fhir.primitives import ID
from service.questionnaire import COMPLETE_STATUSES
from service.settings import is_loopback

_IN_ORDER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
"""Writes what is the same in the same bytes, whatever order its members came in."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID: Final = re.compile(ID)
_USER: Final = frozenset({"Practitioner", "PractitionerRole", "Patient", "RelatedPerson"})
_MOST_URL: Final = 2048
_NOT_OF_FHIR: Final = frozenset({"null", "empty"})
"""Faults of FHIR JSON that are none here: prefetch says by null that there is no such data."""


class Brought(NamedTuple):
    """What a call brings.

    Args:
        patient: the id of the patient whose record is open.
        server: the FHIR server of the EHR; empty where it names none.
        responses: those of which one is the latest, as JSON.
        earlier: the responses before, as JSON, where the guidance compares them.
        finished: where that latest one is not finished, those of which one is the latest that is.
        reasons: type and id of the resources that give a reason for the form, each with the code that does.
        chart: Observations that answer questions of the form, or a Bundle of them, as JSON.
        recorded: what else the record has of what the form asks about, in its own words.
        is_alive: the person is not known to have died.
        unread: prefetch keys of searches of which not all was read, where the rest may be newer.
    """

    patient: str
    server: str
    responses: tuple[bytes, ...] = ()
    reasons: tuple[str, ...] = ()
    chart: tuple[bytes, ...] = ()
    recorded: tuple[str, ...] = ()
    is_alive: bool = True
    earlier: tuple[bytes, ...] = ()
    finished: tuple[bytes, ...] = ()
    unread: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True):
    """A call that is well-formed.

    Args:
        service: the service that is called.
        brought: what it brings.
        caller: who calls, where that is known; empty where nobody says.
    """

    service: CdsService
    brought: Brought
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Needed:
    """What a call does not bring and the FHIR server of the EHR may have.

    Args:
        server: the FHIR base.
        token: opens it to this call.
        queries: by prefetch key, a read or a search below the base.
        pages: by prefetch key, the url of the page after the one that was brought.
    """

    server: str
    token: str = field(repr=False)
    queries: Mapping[str, str] = field(default_factory=dict, repr=False)
    pages: Mapping[str, str] = field(default_factory=dict, repr=False)


class Reading(NamedTuple):
    """What the body of a call brings, or what its server must be asked for first; one of them is None."""

    brought: Brought | None
    needed: Needed | None


def _asks_nobody(_server: str) -> bool:
    return False


class Fetched(NamedTuple):
    """What the server of a call gave: pages by prefetch key."""

    pages: Mapping[str, tuple[bytes, ...]]


def brought_by(
    data: bytes,
    service: CdsService,
    limits: BodyLimits,
    may_ask: Callable[[str], bool] = _asks_nobody,
    fetched: Fetched | None = None,
) -> Reading:
    """Returns what the body of a call brings, or what is to be read from its FHIR server first.

    Args:
        data: the body.
        service: the service that is called.
        limits: of the body.
        may_ask: says whether a FHIR server may be asked.
        fetched: what was read there; None where nothing has been asked yet. Pages that are not what was asked
            for, or not about the patient, are not read.

    Raises:
        Malformed, TooLarge: it is no JSON object, or over a limit; every fault of the request; or prefetch
            data that is not what was asked for.
        PreconditionFailed: prefetch data is absent and cannot be read from the server.
    """
    sent = object_in(data, limits)
    faults = [*_request_faults(sent, service), *_access_faults(sent)]
    if faults:
        raise Malformed(*faults)
    prefetch = _Prefetch(sent, service)
    needed = prefetch.needed(may_ask) if fetched is None else None
    if needed is not None:
        return Reading(None, needed)
    return Reading(prefetch.brought(fetched or Fetched({}), limits), None)


def object_in(data: bytes, limits: BodyLimits) -> Json:
    """Returns the JSON object of a body; raises Malformed, TooLarge."""
    read, problems = read_with_faults(data, limits)
    found = [problem for problem in problems if problem.kind not in _NOT_OF_FHIR]
    if found:
        raise Malformed(*found)
    return read


class _Prefetch:
    """The prefetch of a call that is well-formed otherwise."""

    def __init__(self, sent: Json, service: CdsService) -> None:
        self._service = service
        self._server = str(sent.get("fhirServer") or "").rstrip("/")
        self._token = str(sent.get("fhirAuthorization", {}).get("access_token", ""))
        self._context: Json = sent["context"]
        self._patient = str(self._context["patientId"])
        prefetch = sent.get("prefetch") or {}
        self._templates = service.prefetch()
        self._sent = {
            key: prefetch[key]
            for key in self._templates
            if key in prefetch and not is_outcome(prefetch[key]) and not _is_withheld(key, prefetch[key])
        }

    def needed(self, may_ask: Callable[[str], bool]) -> Needed | None:
        """Returns what to ask the server for; None for nothing, or if it must not be asked."""
        if not self._token or not may_ask(self._server):
            return None
        queries = {key: self._query(key) for key in self._templates if key not in self._sent}
        following = {key: next_link(bundle) for key, bundle in self._sent.items()}
        pages = {key: url for key, url in following.items() if url}
        return Needed(self._server, self._token, queries, pages) if queries or pages else None

    def _query(self, key: str) -> str:
        query = self._templates[key]
        for name in ("patientId", "encounterId"):
            query = query.replace(f"{{{{context.{name}}}}}", str(self._context.get(name, "")))
        return query.replace("|", "%7C")

    def brought(self, fetched: Fetched, limits: BodyLimits) -> Brought:
        """Completes the call with what was read from its server; raises as `brought_by` does."""
        pages = {key: [value] for key, value in self._sent.items()}
        strangers = [*_strangers(_found(pages), self._patient, self._server)]
        if strangers:
            raise Malformed(*strangers)
        skipped = set()
        for key, bodies in fetched.pages.items():
            read = self._searched(key, bodies, limits)
            if key in pages or read is not None:
                pages[key] = [*pages.get(key, ()), *(read or ())]
            if len(read or ()) < len(bodies):
                skipped.add(key)
        missing = [key for key in self._templates if key not in pages]
        if missing:
            raise PreconditionFailed(*(_absent(key) for key in missing))
        found = _found(pages)
        unread = tuple(
            key
            for key in _DATES
            if key in pages
            and (
                _says_part(pages[key])
                or (
                    (key in skipped or _is_cut(key, pages[key], found[key]))
                    and not self._is_newest_first(key, pages[key][0], found[key])
                )
            )
        )
        brought = _brought(found, self._service, self._patient, self._server)
        return brought._replace(
            unread=unread, chart=_of_a_page(brought.chart) if LABORATORY in unread else brought.chart
        )

    def _is_newest_first(self, key: str, page: Json, found: Iterable[Json]) -> bool:
        """Says whether what was read is newer than what was not.

        The server says that it has sorted as the template asks, and has done so; and among the responses is
        one that is finished: else the latest of these is not among them.

        Source:
            R4 search.html#conformance: the self link has the parameters that the server has used.
        """
        wanted, used = (
            [value for name, value in parse_qsl(url.partition("#")[0].partition("?")[2]) if name == "_sort"]
            for url in (self._templates[key], _link_of(page, "self"))
        )
        if wanted != used or not _fall(map(_DATES[key], found)):
            return False
        return key != RESPONSES or any(map(_is_finished, counting(found, self._service.form_url)))

    def _searched(self, key: str, bodies: Iterable[bytes], limits: BodyLimits) -> list[Json] | None:
        """Returns the pages of the server; None where they are no answer to what was asked.

        A page behind the first that cannot be read is left.
        """
        read: list[Json] = []
        for number, body in enumerate(bodies):
            page = self._read(key, body, limits)
            if page is None and number == 0:
                return None
            read += [] if page is None else [page]
        is_empty = not any(True for page in read for _ in _resources(key, page))
        return None if is_empty and read and _is_withheld(key, read[-1]) else read

    def _read(self, key: str, body: bytes, limits: BodyLimits) -> Json | None:
        """Returns a page of the server; None if it is not what was asked for."""
        try:
            page = object_in(body, limits)
            resources = tuple(_resources(key, page))
        except (Malformed, TooLarge):
            return None
        return None if any(_strangers({key: resources}, self._patient, self._server)) else page


def _found(pages: Mapping[str, Iterable[Any]]) -> dict[str, tuple[Json, ...]]:
    """Returns the resources by key; raises Malformed."""
    return {
        key: tuple(found for page in read for found in _resources(key, page)) for key, read in pages.items()
    }


_DATES: Final[Mapping[str, Callable[[Json], str]]] = {
    RESPONSES: lambda found: text(found.get("authored")),
    LABORATORY: lambda found: text(found.get("effectiveDateTime")) or text(found.get("effectiveInstant")),
}
"""The keys of which the newest resource counts, and how each is dated."""


def _says_part(pages: Iterable[Any]) -> bool:
    return any(isinstance(page, Mapping) and says_part(page) for page in pages)


def _is_cut(key: str, pages: Sequence[Any], found: Iterable[Json]) -> bool:
    """Says whether a search has found more than its pages show."""
    shown = sum(resource["resourceType"] == TYPE_OF[key] for resource in found)
    totals = [page.get("total") for page in pages if isinstance(page, Mapping)]
    return bool(next_link(pages[-1])) or any(isinstance(total, int) and total > shown for total in totals)


def _fall(dates: Iterable[str]) -> bool:
    """Says whether each date is one, and none is after the one before it."""
    return all(
        is_date_time(before) and is_date_time(after) and (compare(after, before) or 0) <= 0
        for before, after in pairwise(dates)
    )


def _brought(
    found: Mapping[str, tuple[Json, ...]], service: CdsService, patient: str, server: str
) -> Brought:
    responses = latest(found[RESPONSES], service.form_url)
    earlier: tuple[Json, ...] = ()
    if responses and service.pair.guidance.reads_earlier:
        earlier = before(found[RESPONSES], service.form_url, responses)
    finished: tuple[Json, ...] = ()
    if not any(map(_is_finished, responses)):
        finished = latest(filter(_is_finished, found[RESPONSES]), service.form_url)
    return Brought(
        patient=patient,
        server=server,
        responses=tuple(map(_IN_ORDER.encode, responses)),
        reasons=tuple(sorted(reasons_in(found, service.triggers))),
        chart=tuple(map(encoded, found.get(LABORATORY, ()))),
        recorded=tuple(dict.fromkeys(recorded_in(found, service, server))),
        is_alive=not any(map(has_died, found[PATIENT])),
        earlier=tuple(map(_IN_ORDER.encode, earlier)),
        finished=tuple(map(_IN_ORDER.encode, finished)),
    )


def _of_a_page(observations: Iterable[bytes]) -> tuple[bytes, ...]:
    """Returns Observations as a page of a search whose next one is missing: none of them denies anything."""
    entries = [{"resource": msgspec.Raw(one)} for one in observations]
    page = {"resourceType": "Bundle", "link": [{"relation": "next", "url": "urn:unread"}], "entry": entries}
    return (encoded(page),)


def _is_finished(response: Json) -> bool:
    return response.get("status") in COMPLETE_STATUSES


def next_link(bundle: object) -> str:
    """Returns the url of the page after a Bundle; empty if it is the last."""
    return _link_of(bundle, "next")


def _link_of(bundle: object, relation: str) -> str:
    links = bundle.get("link") if isinstance(bundle, Mapping) else None
    urls = (link.get("url") for link in mappings(links) if link.get("relation") == relation)
    return next((found for found in urls if isinstance(found, str)), "")


def _absent(key: str) -> Problem:
    text = (
        f"prefetch.{key}: expected what its template finds, or null. It was not sent and cannot be read from "
        f"fhirServer: that takes a token, and a registered server that answers in time."
    )
    return Problem("prefetch-missing", text, f"prefetch.{key}")


def fault_at(element: str, expected: str) -> Problem:
    """Returns the problem of an element of a request that is not as expected."""
    return Problem("cds-request", f"{element}: expected {expected}.", element)


def _request_faults(sent: Json, service: CdsService) -> Iterator[Problem]:
    """Yields the faults of hook, hookInstance, context and prefetch."""
    if sent.get("hook") != service.hook:
        yield fault_at("hook", f"{service.hook}, the hook of this service")
    if not _matches(_UUID, sent.get("hookInstance")):
        yield fault_at("hookInstance", "a UUID")
    context = sent.get("context")
    if isinstance(context, Mapping):
        yield from _context_faults(context, service)
    else:
        yield fault_at("context", "an object")
    if not isinstance(sent.get("prefetch", {}), Mapping | None):
        yield fault_at("prefetch", "an object")
    if not isinstance(sent.get("extension", {}), Mapping):
        yield fault_at("extension", "an object")


def _context_faults(context: Json, service: CdsService) -> Iterator[Problem]:
    for name in ("patientId", "encounterId"):
        if (name in service.context or name in context) and not _matches(_ID, context.get(name)):
            yield fault_at(f"context.{name}", "the id of a resource")
    user = context.get("userId")
    of_type, _, of_id = user.partition("/") if isinstance(user, str) else ("", "", "")
    if of_type not in _USER or not _ID.fullmatch(of_id):
        yield fault_at("context.userId", f"type and id, the type one of {', '.join(sorted(_USER))}")


def _access_faults(sent: Json) -> Iterator[Problem]:
    """Yields the faults of fhirServer and fhirAuthorization; the token is never repeated."""
    if "fhirServer" in sent and not _is_server(sent["fhirServer"]):
        yield fault_at("fhirServer", "an https url without user, query and fragment")
    if "fhirAuthorization" not in sent:
        return
    if "fhirServer" not in sent:
        yield fault_at("fhirServer", "the FHIR server that fhirAuthorization is for (cds-r-1)")
    granted = sent["fhirAuthorization"]
    if not isinstance(granted, Mapping):
        yield fault_at("fhirAuthorization", "an object")
        return
    for name in ("access_token", "scope", "subject"):
        if not isinstance(granted.get(name), str) or not granted[name]:
            yield fault_at(f"fhirAuthorization.{name}", "text")
    if granted.get("token_type") != "Bearer":
        yield fault_at("fhirAuthorization.token_type", "Bearer")
    seconds = granted.get("expires_in")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
        yield fault_at("fhirAuthorization.expires_in", "a whole number of seconds")
    if "patient" in granted and not _matches(_ID, granted["patient"]):
        yield fault_at("fhirAuthorization.patient", "the id of a resource")


def _is_server(url: object) -> bool:
    if not isinstance(url, str) or len(url) > _MOST_URL:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return bool(parts.hostname) and plain and (parts.scheme == "https" or is_local)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


# What the prefetch brings.


def _is_withheld(key: str, value: object) -> bool:
    """Says whether a search for responses shows none of those that it says are there, or has failed.

    That there is none is another answer: no card follows. Of other keys nothing follows from what is absent.
    """
    if key != RESPONSES or not isinstance(value, Mapping) or value.get("resourceType") != "Bundle":
        return False
    listed = [entry.get("resource") for entry in mappings(value.get("entry"))]
    if not all(map(is_outcome, listed)):
        return False
    issues = (issue for outcome in mappings(listed) for issue in mappings(outcome.get("issue")))
    has_failed = any(issue.get("severity") in ("error", "fatal") for issue in issues)
    return has_failed or value.get("total", 0) != 0 or bool(next_link(value))


def _resources(key: str, value: Any) -> Iterator[Json]:
    """Yields the resources under a key: of a Bundle what it found and refers to, and a single one as it is.

    Raises:
        Malformed: it is neither null nor what the template of the key finds.
    """
    if value is None:
        return
    kind, at = TYPE_OF[key], f"prefetch.{key}"
    if not isinstance(value, Mapping):
        raise Malformed(fault_at(at, f"null or {kind if key in READS else 'a Bundle'}"))
    if key in READS and value.get("resourceType") == kind:
        yield value
        return
    if key in READS or value.get("resourceType") != "Bundle" or value.get("type") != "searchset":
        raise Malformed(fault_at(at, f"{kind if key in READS else 'a Bundle of type searchset'}"))
    entries = value.get("entry", [])
    if not isinstance(entries, list):
        raise Malformed(fault_at(f"{at}.entry", "an array"))
    kinds = kind, *INCLUDED.get(key, ())
    for number, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if is_outcome(resource):  # a search may say in its Bundle what it did not understand
            continue
        if not isinstance(resource, Mapping) or resource.get("resourceType") not in kinds:
            raise Malformed(fault_at(f"{at}.entry[{number}].resource", kind))
        yield resource


def _strangers(found: Mapping[str, tuple[Json, ...]], patient: str, server: str) -> Iterator[Problem]:
    """Yields the resources that are not about the patient whose record is open."""
    own = {f"Patient/{patient}"} | ({f"{server}/Patient/{patient}"} if server else set())
    for key, resources in found.items():
        if key == PATIENT:
            if any(resource.get("id") != patient for resource in resources):
                yield fault_at(f"prefetch.{key}", "the patient of context.patientId")
            continue
        for number, resource in enumerate(resources):
            if resource["resourceType"] in INCLUDED.get(key, ()):  # a medicine is nobody's
                continue
            subject = resource.get("subject")
            literal = subject.get("reference") if isinstance(subject, Mapping) else None
            plain = literal.partition("/_history/")[0] if isinstance(literal, str) else ""
            if plain not in own:
                at = f"prefetch.{key}[{number}].subject"
                yield fault_at(at, "the patient of context.patientId")
