"""Commands on the store: migrate, export, erase, expire.

Each function is one command: it prints its result, says what else there is to say, and returns the exit code.
No fault repeats an argument, as it may name a person.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import msgspec
import orjson

from service.audit import export_link, results_export_link
from service.bulk.scorer import ScoringOptions
from service.bulk.stored import StoredJob, score_stored
from service.cds_hooks import CARD, acceptance
from service.errors import StartupError
from service.fhir.primitives import is_id
from service.records import APPEND_ONLY
from service.retention import erasure
from service.retention.erasure import Person, Selector, of_cards, of_person, of_response, person_from
from service.search import PERSON
from service.settings import Settings
from service.storage import opening
from service.storage.database import StoreLimits
from service.storage.model import Store, StoreFault

DONE, REFUSED = 0, 1

_STATEMENT_S: Final = 3600  # there may be much to delete, and no caller waits
_NO_STORE: Final = "SERVICE_STORE_URL is none: nothing is stored."
_COUNTED: Final = "Nothing was deleted: --yes deletes so many versions, for good.\n"
_NOT_FOUND: Final = "No record refers to what was named: check it.\n"
_ALL_KEPT: Final = "Nothing expires: SERVICE_RETENTION_DAYS and SERVICE_AUDIT_RETENTION_DAYS are 0 here.\n"
_NOT_SCRUBBED: Final = (
    "It was deleted, but files of the database may still hold it: run the same command again."
)


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command works and where it prints.

    Args:
        settings: where the store is, and how long to keep what.
        out: takes the result: counts as JSON, or records as NDJSON.
        notes: takes what else there is to say.
        now: microseconds since 1970 UTC.
    """

    settings: Settings
    out: BinaryIO
    notes: TextIO
    now: int

    @property
    def base(self) -> str:
        """The public FHIR base."""
        return self.settings.public_base


class Named(msgspec.Struct, frozen=True):
    """A person as an operator names one, in one way or in several.

    Args:
        names: `Patient/123`, or absolute urls.
        identifiers: `system|value`.
    """

    names: Sequence[str] = ()
    identifiers: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.identifiers)


def migrate(console: Console) -> int:
    """Creates the tables of the store, or brings them up to date; raises as `translated` does."""
    with translated():
        done = opening.migrate(console.settings.store, _limits(console.settings))
    if done is None:
        raise StartupError([_NO_STORE])
    was = "already" if done.before == done.after else f"now, and was {done.before or 'not there'} before"
    console.out.write(f"The schema of the store is {done.after} {was}.\n".encode())
    return DONE


def export(console: Console, named: Named, output: str | None = None, *, tenant: str | None = None) -> int:
    """Prints every version of every record that refers to the person, as NDJSON.

    Args:
        console: where.
        named: the person.
        output: a new file to write to instead, for its owner alone.
        tenant: whose data it is; may be None where there is only the tenant without a name.

    Raises:
        StartupError: nobody is named, it is not clear whose data is meant, the file cannot be written, or
            as `translated` does.
    """
    person = _person(named, console.base)
    with opened(console.settings) as store:
        lines = _recorded(store, person, _tenant(store, tenant), console.now)
        found = _written(lines, console.out) if output is None else _filed(lines, Path(output))
    if not found:
        console.notes.write("Nothing refers to this person.\n")
    return DONE


def _recorded(store: Store, person: Person, tenant: str, now: int) -> Iterator[bytes]:
    """Yields the records that refer to the person; before the first one leaves, the audit trail says so."""
    for number, line in enumerate(store.export([PERSON], person, tenant)):
        if number == 0:
            with store.writing(tenant) as transaction:
                transaction.chain(export_link(person, now), now)
        yield line


def erase(
    console: Console,
    named: Named,
    responses: Sequence[str] = (),
    *,
    tenant: str | None = None,
    yes: bool = False,
) -> int:
    """Deletes everything that refers to the person, and these responses with all that was made of them.

    Args:
        console: where.
        named: the person; may be nobody where there are responses.
        responses: ids of QuestionnaireResponses.
        tenant: whose data it is; may be None where there is only the tenant without a name.
        yes: delete; without it, only count.

    Raises:
        StartupError: nothing is named, a name is not understood, it is not clear whose data is meant, or as
            `translated` does.
    """
    selectors = _selectors(named, responses, console.base)
    with opened(console.settings) as store:
        of_tenant = _tenant(store, tenant)
        selectors.append(of_cards(console.settings.feedback_key, of_tenant, named.names))
        if not yes:
            counts = erasure.count(store, selectors, of_tenant)
            _print(counts, console.out)
            console.notes.write(_COUNTED if counts else _NOT_FOUND)
            return REFUSED
        event = erasure.EventStamp(str(uuid.uuid4()), console.now, console.base)
        person = person_from(named.names, named.identifiers, console.base)
        counts = erasure.erase(store, selectors, event, of_tenant, person=person)
        _print(counts, console.out)
        console.notes.write("" if counts else _NOT_FOUND)
        _scrub(store)
    return DONE


def expire(console: Console) -> int:
    """Deletes what is older than the settings of retention allow, of all tenants; raises as `translated`."""
    settings = console.settings
    periods = erasure.Periods(settings.retention_days, settings.audit_retention_days)
    with opened(settings) as store:
        _print(erasure.expire(store, periods, console.now), console.out)
        if any(periods):
            _scrub(store)
        else:
            console.notes.write(_ALL_KEPT)
    return DONE


def rescore(
    console: Console,
    output: Path,
    options: ScoringOptions,
    *,
    tenant: str | None = None,
    workers: int = 0,
    restart: bool = False,
) -> int:
    """Scores all stored responses again, by the guidance of the settings, into a file; the store stays.

    Args:
        console: where.
        output: the file.
        options: of the scoring.
        tenant: whose responses; may be None where there is only the tenant without a name.
        workers, restart: as a StoredJob has them.

    Raises:
        StartupError: it is not clear whose data is meant, or as `score_stored` and `translated` do.
    """
    with opened(console.settings) as store:
        place = opening.place_of(console.settings.store)
        job = StoredJob(_tenant(store, tenant), output, workers, restart, place=place)
        with store.writing(job.tenant) as transaction:  # before anything leaves
            transaction.chain(results_export_link(console.now), console.now)
        found = score_stored(store, job, options, console.notes)
    return REFUSED if found.refused else DONE


def feedback(console: Console, tenant: str | None = None, *, as_json: bool = False) -> int:
    """Prints how often the cards of each rule were accepted, and why people said no.

    Args:
        console: where.
        tenant: whose cards; None for those of all.
        as_json: print one JSON array instead of a table.

    Raises:
        StartupError: as `translated` does.
    """
    with opened(console.settings) as store:
        names = store.tenants(CARD) if tenant is None else [tenant]
        found = [tally for name in names for tally in acceptance.tallies(store, name)]
    if as_json:
        console.out.write(orjson.dumps([tally.plain() for tally in found], option=orjson.OPT_APPEND_NEWLINE))
    else:
        console.out.write("".join(f"{line}\n" for line in acceptance.table(found)).encode())
    return DONE


@contextmanager
def translated() -> Iterator[None]:
    """Turns a fault of the store, which names no value, into the StartupError that ends a command."""
    try:
        yield
    except StoreFault as fault:
        raise StartupError([f"SERVICE_STORE_URL: {fault}"]) from fault


def _person(named: Named, base: str) -> Person:
    if not named:
        raise StartupError(["Expected a PERSON or an --identifier."])
    return person_from(named.names, named.identifiers, base)


def _selectors(named: Named, responses: Sequence[str], base: str) -> list[Selector]:
    if any(not is_id(of_id) for of_id in responses):
        raise StartupError(["--response: expected the id of a QuestionnaireResponse."])
    selectors = [of_response(of_id) for of_id in responses]
    if selectors and not named:
        return selectors
    return [*selectors, of_person(_person(named, base))]


def _tenant(store: Store, given: str | None) -> str:
    """Returns whose data is meant; raises StartupError if nothing is stored of such a tenant.

    A name that is mistyped must not look like a person of whom nothing is stored.
    """
    stored = erasure.tenants(store)
    names = ", ".join(filter(None, stored))
    if given in stored or not (given or names):
        return given or ""
    if not names:
        raise StartupError(["--tenant: expected none, as nothing is stored of a tenant with a name."])
    unnamed = " An empty name stands for what was stored without a tenant." if "" in stored else ""
    raise StartupError([f"--tenant: expected one of whom something is stored: {names}.{unnamed}"])


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """Opens the store for one command; raises StartupError if there is none, and as `translated` does."""
    limits = _limits(settings)
    with translated():
        opening.check(settings.store, limits)
        store = opening.open_store(settings.store, limits, append_only=APPEND_ONLY)
        if store is None:
            raise StartupError([_NO_STORE])
        try:
            yield store
        finally:
            store.close()


def _limits(settings: Settings) -> StoreLimits:
    wait_s = settings.store_timeout_s
    return StoreLimits(connect_s=wait_s, lock_s=wait_s, statement_s=_STATEMENT_S, connections=1)


def _scrub(store: Store) -> None:
    try:
        store.scrub()
    except StoreFault as fault:
        raise StartupError([f"SERVICE_STORE_URL: {fault} {_NOT_SCRUBBED}"]) from fault


def _filed(lines: Iterable[bytes], path: Path) -> int:
    """Writes a new file, all of it or none; no fault names the file, as its name may be the person's."""
    try:
        with _new_file(path) as file:
            return _written(lines, file)
    except FileExistsError as error:
        raise StartupError(["--output: expected the name of a file that does not exist yet."]) from error
    except OSError as error:
        raise StartupError([f"--output: {error.strerror}."]) from error


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise


def _written(lines: Iterable[bytes], out: BinaryIO) -> int:
    return sum(out.write(line) for line in lines)


def _print(counts: Mapping[str, int], out: BinaryIO) -> None:
    out.write(orjson.dumps(counts, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    out.flush()
