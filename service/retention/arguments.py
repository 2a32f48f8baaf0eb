"""The command line of the commands on the store: which arguments there are, and which command gets them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Mapping
from typing import Final

from service.retention import commands
from service.retention.commands import Console, Named


def add_to(parsers: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to those of a command line."""
    parsers.add_parser("migrate", help="create the tables of the store, or bring them up to date")
    export = parsers.add_parser("export", help="print everything that refers to a person, as NDJSON")
    _add_person(export)
    export.add_argument("--output", metavar="FILE", help="a new file, for its owner alone")
    erase = parsers.add_parser("erase", help="delete everything that refers to a person, for good")
    _add_person(erase)
    of_response = "this response, with all that was made of it"
    erase.add_argument("--response", action="append", default=[], metavar="ID", help=of_response)
    erase.add_argument("--yes", action="store_true", help="delete; without it, only count")
    parsers.add_parser("expire", help="delete what is older than the settings of retention allow")


def _add_person(parser: ArgumentParser) -> None:
    parser.add_argument("person", nargs="*", metavar="PERSON", help="Patient/123, or an absolute URL")
    identified = "the same person, by an identifier"
    parser.add_argument("--identifier", action="append", default=[], metavar="SYSTEM|VALUE", help=identified)


def run(arguments: Namespace, console: Console) -> int:
    """Runs the command that was parsed and returns its exit code.

    Raises:
        StartupError: nothing is stored, the store cannot be used, or an argument is not understood.
    """
    return _COMMANDS[arguments.command](arguments, console)


def _named(arguments: Namespace) -> Named:
    return Named(arguments.person, arguments.identifier)


_COMMANDS: Final[Mapping[str, Callable[[Namespace, Console], int]]] = {
    "migrate": lambda _, console: commands.migrate(console),
    "export": lambda given, console: commands.export(console, _named(given), given.output),
    "erase": lambda given, console: commands.erase(console, _named(given), given.response, yes=given.yes),
    "expire": lambda _, console: commands.expire(console),
}
NAMES: Final = frozenset(_COMMANDS)
"""The names of the commands."""
