"""The arguments of the commands: what may be given, and what is meant by it."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Final

from service.errors import StartupError
from service.keeping.erasure import Choice, of_person, of_response
from service.keeping.persons import Person, person_from

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
