"""The command line: `python -m service serve | assess | validate | check`, and the commands on the store.

Exit codes: 0 done, all valid; 1 refused, invalid, or a check found faults; 2 it could not run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import orjson

from service import catalogue, check, retention
from service.assess import OUTPUTS, Assessor
from service.errors import Problem, ServiceError, StartupError
from service.fhir.definitions import Canonicals
from service.fhir.json import Limits
from service.fhir.outcome import operation_outcome
from service.questionnaire import Compiled
from service.settings import ROOT, Settings, from_environment
from service.validate import Validator

DONE, REFUSED, COULD_NOT_RUN = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    asked = _asked(arguments)
    try:
        settings = from_environment(os.environ)
        if asked.command == "serve":
            _serve()
        if asked.command == "check":
            return check.run(settings, sys.stdout)
        if asked.command in retention.NAMES:
            return _keep(settings, asked)
        if asked.command == "validate":
            return _validate(settings, asked.questionnaire, asked.files)
        return _assess(settings, asked.file, asked.output)
    except StartupError as error:
        return _could_not_run(error.faults)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _could_not_run([f"{place}{error.strerror}"])


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    asked, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(asked, "person") or any(each.startswith("-") for each in rest)):
        # The parser's own fault would repeat them, and one of them may name a person.
        parser.error(f"{len(rest)} of the arguments were not expected")
    if rest:
        asked.person.extend(rest)  # the parser takes no PERSON behind an option that follows a PERSON
    return asked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="Scores FHIR questionnaire responses."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve over HTTP until stopped")
    commands.add_parser("check", help="check questionnaires and mappings, and run their worked cases")
    validate = commands.add_parser(
        "validate", help="validate responses: one OperationOutcome a line, in order"
    )
    validate.add_argument(
        "--questionnaire", metavar="FILE", help="the form; without it, each response names its own"
    )
    validate.add_argument(
        "files", nargs="+", metavar="FILE", help="QuestionnaireResponses in JSON, or - for standard input"
    )
    assess = commands.add_parser("assess", help="assess one QuestionnaireResponse or Parameters")
    assess.add_argument("file", help="a JSON file, or - for standard input")
    assess.add_argument("--output", choices=OUTPUTS, default="risk", help="what is printed (default: risk)")
    retention.add_to(commands)
    return parser


def _serve() -> NoReturn:
    """Becomes gunicorn, so that signals and the exit code are its own."""
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
    os.chdir(ROOT)
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


def _keep(settings: Settings, asked: argparse.Namespace) -> int:
    now = time.time_ns() // 1000
    out, notes = sys.stdout.buffer, sys.stderr
    return retention.run(asked, retention.Console(settings=settings, out=out, notes=notes, now=now))


def _validate(settings: Settings, questionnaire: str | None, files: Sequence[str]) -> int:
    served = _catalogue(settings)
    validator = Validator(served, Limits(settings.max_body_bytes, settings.max_depth))
    form = None if questionnaire is None else validator.read_form(_read(questionnaire))
    return max(_validated(validator, file, form, served.canonicals) for file in files)


def _validated(validator: Validator, file: str, form: Compiled | None, urls: Canonicals) -> int:
    """Prints the outcome of one file; one that cannot be read does not keep the others from being checked."""
    try:
        data = _read(file)
    except OSError as error:
        return _could_not_run([f"{error.filename}: {error.strerror}"])
    return DONE if _print_outcome(_problems(validator, data, form), urls) else REFUSED


def _problems(validator: Validator, data: bytes, form: Compiled | None) -> Sequence[Problem]:
    try:
        return validator.problems(validator.read_response(data), form)
    except ServiceError as error:
        return error.problems


def _print_outcome(problems: Sequence[Problem], urls: Canonicals) -> bool:
    """Prints one line and returns whether the resource is valid: no error in it."""
    print(orjson.dumps(operation_outcome(problems, urls)).decode(), flush=True)
    return not any(each.severity in ("error", "fatal") for each in problems)


def _catalogue(settings: Settings) -> catalogue.Catalogue:
    folders = settings.questionnaires_dir, settings.mappings_dir
    return catalogue.read(*folders, canonical_base=settings.canonical_base)


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _assess(settings: Settings, file: str, output: str) -> int:
    data = _read(file)
    served = _catalogue(settings)
    assessor = Assessor(served, Limits(settings.max_body_bytes, settings.max_depth))
    try:
        print(assessor.shown(data, output))
    except ServiceError as error:
        outcome = operation_outcome(error.problems, served.canonicals)
        print(orjson.dumps(outcome, option=orjson.OPT_INDENT_2).decode())
        return REFUSED
    return DONE


def _could_not_run(faults: Sequence[str]) -> int:
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return COULD_NOT_RUN
