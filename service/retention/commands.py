"""The commands of an operator on what is stored: `migrate`, `export`, `erase` and `expire`."""

from __future__ import annotations

import os
import re
import uuid
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import orjson

from service import storage
from service.errors import StartupError
from service.records import APPEND_ONLY
from service.retention import erasure
from service.retention.erasure import Choice, Person, of_person, of_response, person_from
from service.settings import Settings
from service.storage import Store, StoreFault, StoreLimits

# The arguments of the commands: what may be given, and what is meant by it.

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def add_to(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to those of a command line."""
    commands.add_parser("migrate", help="create the tables of the store, or bring them up to date")
    export = commands.add_parser("export", help="print everything that refers to a person, as NDJSON")
    _add_person(export)
    export.add_argument("--output", metavar="FILE", help="a new file, for its owner alone")
    erase = commands.add_parser("erase", help="delete everything that refers to a person, for good")
    _add_person(erase)
    of_response = "this response, with all that was made of it"
    erase.add_argument("--response", action="append", default=[], metavar="ID", help=of_response)
    erase.add_argument("--yes", action="store_true", help="delete; without it, only count")
    commands.add_parser("expire", help="delete what is older than the settings of retention allow")


def _add_person(command: ArgumentParser) -> None:
    command.add_argument("person", nargs="*", metavar="PERSON", help="Patient/123, or an absolute URL")
    identified = "the same person, by an identifier"
    command.add_argument("--identifier", action="append", default=[], metavar="SYSTEM|VALUE", help=identified)


def person_of(asked: Namespace, base: str) -> Person:
    """Returns the references to the person who is asked for; raises StartupError if there is none."""
    if not asked.person and not asked.identifier:
        raise StartupError(["Expected a PERSON or an --identifier."])
    return person_from(asked.person, asked.identifier, base)


def choices_of(asked: Namespace, base: str) -> list[Choice]:
    """Returns what is to be erased; raises StartupError if that is nothing, or not understood."""
    if any(not _ID.fullmatch(each) for each in asked.response):
        raise StartupError(["--response: expected the id of a QuestionnaireResponse."])
    responses = [of_response(each) for each in asked.response]
    if responses and not asked.person and not asked.identifier:
        return responses
    return [*responses, of_person(person_of(asked, base))]


DONE, REFUSED = 0, 1

_STATEMENT_S: Final = 3600  # there may be much to delete, and no caller waits
_NO_STORE: Final = "SERVICE_STORE_URL is none: nothing is stored."
_NOT_SCRUBBED: Final = (
    "It was deleted, but files of the database may still hold it: run the same command again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is to be done.

    Args:
        settings: where the store is, and how long to keep what.
        asked: what the parser of a command line made of the arguments.
        out: takes the result: counts as JSON, or records as NDJSON.
        notes: takes what else there is to say.
        now: microseconds since 1970 UTC.
    """

    settings: Settings
    asked: Namespace
    out: BinaryIO
    notes: TextIO
    now: int

    @property
    def base(self) -> str:
        """The public FHIR base."""
        return self.settings.public_base


def run(command: Command) -> int:
    """Runs the command and returns its exit code.

    Raises:
        StartupError: nothing is stored, the store cannot be used, or an argument is not understood.
    """
    try:
        return _COMMANDS[command.asked.command](command)
    except StoreFault as fault:
        raise StartupError([f"SERVICE_STORE_URL: {fault}"]) from fault


def _migrate(command: Command) -> int:
    done = storage.migrate(command.settings.store, _limits(command.settings))
    if done is None:
        raise StartupError([_NO_STORE])
    was = "already" if done.before == done.after else f"now, and was {done.before or 'not there'} before"
    command.out.write(f"The schema of the store is {done.after} {was}.\n".encode())
    return DONE


def _export(command: Command) -> int:
    person, output = person_of(command.asked, command.base), command.asked.output
    with _opened(command.settings) as store:
        lines = erasure.export(store, person)
        found = _written(lines, command.out) if output is None else _filed(lines, Path(output))
    if not found:
        command.notes.write("Nothing refers to this person.\n")
    return DONE


def _erase(command: Command) -> int:
    choices = choices_of(command.asked, command.base)
    with _opened(command.settings) as store:
        if not command.asked.yes:
            _print(erasure.count(store, choices), command.out)
            command.notes.write("Nothing was deleted: --yes deletes so many versions, for good.\n")
            return REFUSED
        stamp = erasure.Stamp(str(uuid.uuid4()), command.now, command.base)
        _print(erasure.erase(store, choices, stamp), command.out)
        _scrub(store)
    return DONE


def _expire(command: Command) -> int:
    terms = erasure.Terms(command.settings.retention_days, command.settings.audit_retention_days)
    with _opened(command.settings) as store:
        _print(erasure.expire(store, terms, command.now), command.out)
        if any(terms):
            _scrub(store)
    return DONE


_COMMANDS: Final[Mapping[str, Callable[[Command], int]]] = {
    "migrate": _migrate,
    "export": _export,
    "erase": _erase,
    "expire": _expire,
}
NAMES: Final = frozenset(_COMMANDS)


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    limits = _limits(settings)
    storage.check(settings.store, limits)
    store = storage.open_store(settings.store, limits, append_only=APPEND_ONLY)
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
