"""The command line: `python -m service serve | assess | validate | check`, and the commands on the store.

Exit codes: 0 done, all valid; 1 refused, invalid, or a check found faults; 2 it could not run.
No error repeats what a person typed: it may be the name of a patient.
"""

from __future__ import annotations

import io
import os
import re
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click
import orjson

from service import catalogue, check, retention, serve, shadow
from service.assess import OF_RESPONSE, OUTPUTS, Assessor
from service.authoring.diff import compared
from service.authoring.dossier import dossier
from service.authoring.draft import Wanted as DraftWanted
from service.authoring.draft import write_draft
from service.authoring.editions import editions_in, of_same_guidance
from service.authoring.generator import Wanted as GeneratorWanted
from service.authoring.generator import generated
from service.authoring.json_schema import write_schemas
from service.authoring.translations import shown
from service.bulk.evaluation import evaluate, read_labels
from service.bulk.ranges import compression, opened
from service.bulk.scorer import OUTPUTS as LINE_OUTPUTS
from service.bulk.scorer import SUMMARY, Scorer, ScoringOptions
from service.bulk.tables import format_of
from service.cds_hooks import FileShape
from service.clinical_reasoning.definitions import write_guidance
from service.datatypes.values import replace
from service.errors import Problem, ServiceError, StartupError, has_errors
from service.fhir.definitions import Canonicals
from service.fhir.json import BodyLimits
from service.fhir.outcome import operation_outcome
from service.languages import known_language
from service.questionnaire import CompiledQuestionnaire
from service.settings import HOME, Settings, from_environment
from service.validate import Validator, server_from

DONE, REFUSED, COULD_NOT_RUN = 0, 1, 2
_COMMAND = "questionnaire-guidance"
UNREAD, STOPPED = 128 + signal.SIGPIPE, 128 + signal.SIGINT
"""What a shell says where the reader has gone, as `head` does once it has its lines, and after Ctrl+C."""
CHANGED = 1
"""What `diff` returns where two versions differ."""
_METRICS_WAIT_S = 10


def run() -> NoReturn:
    """Runs the command that the process was started with, and ends the process with its exit code."""
    _replace_closed_streams()
    try:
        code = main(sys.argv[1:])
    except BrokenPipeError:  # of what is told on standard error
        code = UNREAD
    except KeyboardInterrupt:
        code = STOPPED
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # told already: the interpreter would tell of it again, and end with its own code
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _replace_closed_streams() -> None:
    """Opens the standard streams that whoever started the process has closed; to read or write them fails.

    Otherwise the files that are opened first take their numbers, and what is told would be written into them.
    """
    modes = {"stdin": ("r", os.O_WRONLY), "stdout": ("w", os.O_RDONLY), "stderr": ("w", os.O_WRONLY)}
    for name, (mode, unlike) in modes.items():
        if getattr(sys, name) is None:
            raw = io.FileIO(os.open(os.devnull, unlike), mode)
            setattr(sys, name, io.TextIOWrapper(raw, write_through=True))  # so that nothing waits for the end


def _program_name() -> str:
    """Returns what the program was started by: as a module, or by the command that a wheel installs."""
    return _COMMAND if Path(sys.argv[0]).name == _COMMAND else "python -m service"


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        # Not by `program.main`, which ends the process where a reader of the output stops reading.
        with program.make_context(_program_name(), [*arguments]) as context:
            code = int(program.invoke(context) or DONE)
            sys.stdout.flush()
            return code
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.UsageError as error:
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        return _could_not_run([_expected(error)])
    except StartupError as error:
        return _could_not_run(error.faults)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
            return UNREAD
        place = f"{error.filename}: " if error.filename else ""
        return _could_not_run([f"{place}{error.strerror}"])


def _is_unread(stream: TextIO) -> bool:
    """Returns whether a stream is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # an error is told of in any case
    return any(event & select.POLLERR for _, event in poll.poll(0))


@click.group(no_args_is_help=False, context_settings={"max_content_width": 110})
def program() -> None:
    """Scores FHIR questionnaire responses."""


@program.command("serve")
@click.option(
    "--reload",
    "reloads",
    is_flag=True,
    help="For authors: serve changed files at once, and preview each form.",
)
def serve_(reloads: bool) -> NoReturn:
    """Serve over HTTP until stopped."""
    serve.prepare(reloads=reloads)
    command = [sys.executable, "-m", "service", "serve"]  # which imports nothing of what other commands need
    os.chdir(HOME)
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell; signals and exit code are gunicorn's


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@program.command("check")
@click.option("--all", "every", is_flag=True, help="Also check what has not changed since it passed.")
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where to remember what passed."
)
@click.argument("folders", nargs=-1, type=_FOLDER, metavar="[FOLDER]...")
def check_(folders: tuple[Path, ...], cache: Path | None, every: bool) -> int:
    """Check questionnaires and mappings, and run their worked cases. FOLDER: only the guidance in it."""
    settings = _settings()
    return check.run(settings, sys.stdout, check.Wanted(folders, cache or serve.checked_dir(settings), every))


def _new_slug(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is None:
        raise click.BadParameter("", context, parameter)
    return value


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[Decimal, ...]:
    """Returns the numbers that a text lists, with commas between them."""
    listed = value.split(",") if value is not None else []
    if not all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", one) for one in listed):
        raise click.BadParameter("", context, parameter)
    return tuple(map(Decimal, listed))


@program.command("new")
@click.argument("slug", metavar="SLUG", callback=_new_slug)
@click.option("--from", "source", required=True, metavar="FILE", help="A Questionnaire in JSON.")
@click.option(
    "--bands",
    metavar="N,N",
    callback=_numbers,
    help="Totals at which the second and each further band begin, such as 5,10,15.",
)
def new_(slug: str, source: str, bands: tuple[Decimal, ...]) -> int:
    """Draft the mapping folder SLUG from a Questionnaire. SLUG is in small letters, digits and hyphens."""
    wanted = DraftWanted(slug, datetime.now(UTC).date().isoformat(), bands)
    _print_wrote(write_draft(wanted, Path(source), _settings()))
    return DONE


@program.command("generate")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    metavar="NUMBER",
    help="The same seed writes the same responses.",
)
@click.option(
    "--questionnaire",
    metavar="SLUG",
    default="",
    help="The form, by the name of its mapping folder; otherwise all.",
)
@click.option(
    "--partial",
    type=click.FloatRange(0, 1),
    default=0.2,
    metavar="SHARE",
    help="Share of unfinished responses, from 0 to 1.",
)
@click.argument("count", type=click.IntRange(1), metavar="COUNT")
@click.argument("out", metavar="OUT")
def generate_(count: int, out: str, seed: int, questionnaire: str, partial: float) -> int:
    """Write COUNT valid responses like the worked cases into OUT, one a line; - for standard output."""
    lines = generated(
        catalogue.from_settings(_settings()),
        GeneratorWanted(count, seed, questionnaire, partial),
    )
    first = next(lines)  # a fault is told before the file is there
    with ExitStack() as open_:
        file = sys.stdout.buffer if out == "-" else open_.enter_context(Path(out).open("wb"))
        file.writelines(line + b"\n" for line in chain([first], lines))
    return DONE


@program.command("evaluate")
@click.option(
    "--labels",
    metavar="CSV",
    help="Labels in a table: columns id (of the response) and label (code of a step).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", metavar="FILE")
def evaluate_(file: str, labels: str | None, as_json: bool) -> int:
    """Compare results with labels that somebody gave: sensitivity and over-triage of each step.

    FILE: a response on each line, or an object of response and label; .gz and .zst too; - for standard
    input.
    """
    known = {} if labels is None else read_labels(Path(labels))
    scorer = Scorer(ScoringOptions.from_settings(_settings()))
    with opened(file) as source:
        found = evaluate(source.read, scorer, known)
    _print_found(found.plain() if as_json else found.lines())
    return DONE


@program.command("schemas")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER")
def schemas_(folder: Path) -> int:
    """Write a JSON Schema of every mapping file into FOLDER, for editors."""
    _print_wrote(write_schemas(folder, {"cds": FileShape()}))
    return DONE


@program.command("diff")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--examples",
    type=click.IntRange(0, 100),
    default=10,
    metavar="NUMBER",
    help="How many patients to show for each change.",
)
@click.argument("old", type=_FOLDER)
@click.argument("new", type=_FOLDER)
def diff_(old: Path, new: Path, as_json: bool, examples: int) -> int:
    """Compare two versions of a guidance: what was changed, and whose result changes with it.

    Exits with 0 where nothing differs, and with 1 where something does.
    """
    settings = _settings()
    found = compared(editions_in(old, settings), editions_in(new, settings), examples=examples)
    _print_found(found.plain() if as_json else found.lines())
    return CHANGED if found.is_change else DONE


def _slug(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Returns the name of a folder of mappings, if it is one."""
    folder = _settings().mappings_dir
    if value not in {path.name for path in folder.iterdir() if path.is_dir()}:
        raise click.BadParameter("", context, parameter)
    return value


@program.command("definitions")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER")
def definitions_(folder: Path) -> int:
    """Write every guidance as CQL, PlanDefinition, ActivityDefinitions and Libraries into FOLDER."""
    for pair in catalogue.from_settings(_settings()).pairs.values():
        _print_wrote(write_guidance(pair.guidance, pair.compiled, folder / pair.slug))
    return DONE


@program.command("dossier")
@click.argument("slug", metavar="SLUG", callback=_slug)
@click.argument("old", type=_FOLDER, required=False)
def dossier_(slug: str, old: Path | None) -> int:
    """Print one document, in HTML, for the clinician who reviews the guidance in the folder SLUG.

    OLD: a folder with the last version; the document then says what differs from it.
    """
    settings = _settings()
    (edition,) = editions_in(settings.mappings_dir / slug, settings)
    before = None if old is None else of_same_guidance(edition, editions_in(old, settings))
    _print(dossier(edition, before).rstrip().encode())
    return DONE


@program.command("translations")
@click.option("--accept", is_flag=True, help="Record that the translations fit the English texts again.")
@click.argument("folders", nargs=-1, type=_FOLDER, metavar="[FOLDER]...")
def translations_(folders: tuple[Path, ...], accept: bool) -> int:
    """Show translations whose English text has changed since. FOLDER: only the guidance in it."""
    settings = _settings()
    for folder in folders or (settings.mappings_dir,):
        for edition in editions_in(folder, settings):
            for line in shown(edition, accepts=accept):
                _print(line.encode())
    return DONE


@program.command()
@click.option("--questionnaire", metavar="FILE", help="The form; without it, each response names its own.")
@click.option("--terminology", metavar="DIR", help="A folder of further CodeSystems and ValueSets in JSON.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def validate(questionnaire: str | None, terminology: str | None, files: tuple[str, ...]) -> int:
    """Validate responses in JSON: one OperationOutcome a line, in order. FILE may be - for standard input."""
    settings = _settings()
    if terminology is not None:
        settings = replace(settings, terminology_dir=Path(terminology))
    served = catalogue.from_settings(settings)
    validator = Validator(served, _of_a_file(settings), server=server_from(settings))
    form = None if questionnaire is None else validator.read_form(_read(questionnaire))
    return max(_validated(validator, file, form, served.canonicals) for file in files)


@program.command()
@click.option(
    "--output", type=click.Choice(OUTPUTS), default="risk", show_default=True, help="What is printed."
)
@click.option(
    "--language", metavar="TAG", help="Language of the result, such as de; otherwise that of the response."
)
@click.option(
    "--earlier",
    multiple=True,
    metavar="FILE",
    help="An earlier response of the same person, or a Bundle of them; may be repeated.",
)
@click.argument("file")
def assess(file: str, output: str, language: str | None, earlier: tuple[str, ...]) -> int:
    """Assess one QuestionnaireResponse, or Parameters with chart data. FILE may be - for standard input."""
    settings, data = _settings(), _read(file)
    served = catalogue.from_settings(settings)
    assessor = Assessor(served, _of_a_file(settings), language=known_language(settings.language))
    try:
        before = tuple(map(_read, earlier))
        _print(assessor.shown(data, output, (language or OF_RESPONSE,), before).encode())
    except ServiceError as error:
        outcome = operation_outcome(error.problems, served.canonicals)
        _print(orjson.dumps(outcome, option=orjson.OPT_INDENT_2))
        return REFUSED
    return DONE


def of_lines(command: Any) -> Any:
    """Adds to a command how a population is scored, a response a line."""
    workers = click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="How many processes; otherwise one per core.",
    )
    output = click.option(
        "--output",
        type=click.Choice(LINE_OUTPUTS),
        default="risk",
        show_default=True,
        help="What each line holds.",
    )
    language = click.option(
        "--language",
        metavar="TAG",
        help="Language of the results, such as de; otherwise that of each response.",
    )
    restart = click.option("--restart", is_flag=True, help="Start from the beginning and replace OUT.")
    return workers(output(language(restart(command))))


@program.command("score")
@of_lines
@click.option("--report", metavar="FOLDER", help="Also write the report there, as text and as a picture.")
@click.option("--spark", metavar="MASTER", help="Score on this Spark cluster; OUT is then a folder.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
def score_(
    source: str,
    target: str,
    workers: int | None,
    output: str,
    language: str | None,
    report: str | None,
    restart: bool,
    spark: str | None,
) -> int:
    """Score a file of responses: NDJSON in, NDJSON out; a name ending in .gz or .zst is compressed.

    IN may be - for standard input. If OUT ends in .parquet or .csv, it is a table. After a stop, the same
    command goes on where it was.
    """
    from service.bulk.score import Job, as_table, score  # not loaded for other commands

    settings = _settings()
    options = ScoringOptions.from_settings(settings, output, language or OF_RESPONSE)
    if spark is not None:
        return _on_spark((spark, source, target, restart), options)
    if Path(target).is_dir():
        return _could_not_run(["OUT: expected a file, and there is a folder of this name"])
    if compression(target) and format_of(Path(target).with_suffix("")):
        return _could_not_run(["OUT: expected a table without .gz or .zst; only NDJSON is compressed"])
    job = Job(source, Path(target), workers or 0, Path(report) if report else None, restart)
    if format_of(job.output):
        job, options = as_table(job), options._replace(output=SUMMARY)
    ended = score(job, options, sys.stderr)
    if ended.signal:
        print(f"Stopped at line {ended.lines:,}; the same command goes on from there.", file=sys.stderr)
        return 128 + ended.signal
    return REFUSED if ended.report.refused else DONE


def _on_spark(job: tuple[str, str, str, bool], options: ScoringOptions) -> int:
    from service.bulk.report import text_of  # not loaded for other commands
    from service.bulk.spark import SparkJob, score_on_spark

    found = score_on_spark(SparkJob(*job), options)
    sys.stderr.write(text_of(found))
    return REFUSED if found.refused else DONE


@program.command("shadow")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", required=False)
def shadow_(file: str | None, as_json: bool) -> int:
    """Show which results the next guidance would change, of responses that the running service has scored.

    FILE: the responses in this file instead, one on each line in JSON; - for standard input.
    """
    settings = _settings()
    tally = _of_running(settings) if file is None else _of_responses(settings, file)
    _print_found(shadow.plain(tally) if as_json else shadow.lines_of(tally))
    return DONE


def _of_running(settings: Settings) -> shadow.Tally:
    """Returns the counts of the service that runs on this machine with these settings."""
    from service.web.metrics import shadow_counts  # not loaded for other commands

    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    headers = {"Authorization": f"Bearer {settings.metrics_token}"} if settings.metrics_token else {}
    connection = HTTPConnection(host, settings.port, timeout=_METRICS_WAIT_S)
    try:
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException, UnicodeDecodeError):
        raise StartupError([f"{settings.address}: no service answers there"]) from None
    finally:
        connection.close()
    if answer.status != 200:
        expected = "a service with SERVICE_METRICS=true, and its SERVICE_METRICS_TOKEN if it asks for one"
        raise StartupError([f"{settings.address}: expected {expected}"])
    return shadow_counts(text)


def _of_responses(settings: Settings, file: str) -> shadow.Tally:
    """Scores the responses in a file by both guidances and returns the counts."""
    following = shadow.next_edition(settings)
    if following is None:
        raise StartupError(["SERVICE_NEXT_MAPPINGS_DIR: expected the folder of the next mappings"])
    tally = Counter[shadow.Count]()
    watch = shadow.Shadow(
        catalogue.from_settings(settings), following, _of_a_file(settings), lambda one: tally.update([one])
    )
    for line in _read(file).splitlines():
        if line.strip():
            watch.score_body(line)
    return tally


def of_a_person(command: Any) -> Any:
    """Adds to a command how a person is named: references and identifiers, and whose data it is."""
    identifier = click.option(
        "--identifier",
        "identifiers",
        multiple=True,
        metavar="SYSTEM|VALUE",
        help="An identifier of the person; may be repeated.",
    )
    tenant = click.option("--tenant", metavar="NAME", help="Whose data, where there are several tenants.")
    return tenant(identifier(click.argument("persons", nargs=-1, metavar="[PERSON]...")(command)))


@program.command()
def migrate() -> int:
    """Create the tables of the store, or bring them up to date."""
    return retention.migrate(_console())


@program.command()
@of_a_person
@click.option("--output", metavar="FILE", help="Write into this new file, which only its owner can read.")
def export(
    persons: tuple[str, ...], identifiers: tuple[str, ...], tenant: str | None, output: str | None
) -> int:
    """Print everything that refers to a person, as NDJSON. PERSON is Patient/123, or an absolute URL."""
    return retention.export(_console(), retention.Named(persons, identifiers), output, tenant=tenant)


@program.command()
@of_a_person
@click.option(
    "--response",
    "responses",
    multiple=True,
    metavar="ID",
    help="A response, by its id, with its result; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Delete; without it, only count.")
def erase(
    persons: tuple[str, ...],
    identifiers: tuple[str, ...],
    tenant: str | None,
    responses: tuple[str, ...],
    yes: bool,
) -> int:
    """Delete everything that refers to a person, for good. PERSON is Patient/123, or an absolute URL."""
    named = retention.Named(persons, identifiers)
    return retention.erase(_console(), named, responses, tenant=tenant, yes=yes)


@program.command("rescore")
@click.option("--tenant", metavar="NAME", help="Whose responses, where there are several tenants.")
@of_lines
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
def rescore_(
    target: Path,
    tenant: str | None,
    workers: int | None,
    output: str,
    language: str | None,
    restart: bool,
) -> int:
    """Score all stored responses again, by the guidance of the settings, into the file OUT.

    Nothing that is stored changes. The same command goes on where it was stopped.
    """
    console = _console()
    options = ScoringOptions.from_settings(console.settings, output, language or OF_RESPONSE)
    try:
        return retention.rescore(
            console, target, options, tenant=tenant, workers=workers or 0, restart=restart
        )
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from there.", file=sys.stderr)
        return STOPPED


@program.command()
def expire() -> int:
    """Delete what is older than the settings of retention allow."""
    return retention.expire(_console())


@program.command()
@click.option("--verify", "verifies", is_flag=True, help="Print whether the trail is whole, and its end.")
@click.option("--anchors", metavar="FILE", help="With --verify: what it printed before, kept elsewhere.")
@click.option(
    "--since", metavar="INSTANT", help="Only entries from this time on, such as 2026-11-30T08:00:00Z."
)
@click.option("--tenant", metavar="NAME", help="Only this tenant.")
def audit(verifies: bool, anchors: str | None, since: str | None, tenant: str | None) -> int:
    """Print the audit trail as AuditEvents, one a line; or whether nothing in it was changed or removed."""
    if verifies:
        return retention.verify_trail(_console(), tenant, anchors)
    return retention.feed(_console(), since, tenant)


@program.command("feedback")
@click.option("--tenant", metavar="NAME", help="Only this tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def feedback_(tenant: str | None, as_json: bool) -> int:
    """Show how often the cards of CDS Hooks were accepted, by guidance and card, and why they were not."""
    return retention.feedback(_console(), tenant, as_json=as_json)


def _settings() -> Settings:
    return from_environment(os.environ)


def _console() -> retention.Console:
    settings, now = _settings(), time.time_ns() // 1000
    return retention.Console(settings=settings, out=sys.stdout.buffer, notes=sys.stderr, now=now)


def _validated(validator: Validator, file: str, form: CompiledQuestionnaire | None, urls: Canonicals) -> int:
    """Prints the outcome of one file; one that cannot be read does not keep the others from being checked."""
    try:
        data = _read(file)
    except OSError as error:
        return _could_not_run([f"{error.filename}: {error.strerror}"])
    return DONE if _print_outcome(_problems(validator, data, form), urls) else REFUSED


def _problems(validator: Validator, data: bytes, form: CompiledQuestionnaire | None) -> Sequence[Problem]:
    try:
        return validator.settled(validator.of_file(data, form))
    except ServiceError as error:
        return error.problems


def _print_outcome(problems: Sequence[Problem], urls: Canonicals) -> bool:
    """Prints one line and returns whether the resource is valid: no error in it."""
    _print(orjson.dumps(operation_outcome(problems, urls)))
    return not has_errors(problems)


def _print(line: bytes) -> None:
    """Prints a line in UTF-8, whatever the locale of the terminal is: FHIR knows no other encoding."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _print_found(found: Mapping[str, Any] | Iterable[str]) -> None:
    """Prints plain values as JSON, and lines as text."""
    if isinstance(found, Mapping):
        _print(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        _print("\n".join(found).encode())


def _print_wrote(paths: Iterable[Path]) -> None:
    for path in paths:
        _print(f"wrote {path}".encode())


def _of_a_file(settings: Settings) -> BodyLimits:
    """Returns the limits of a file: none of size, since whoever starts the command pays for it."""
    return BodyLimits(sys.maxsize, settings.max_depth)


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _expected(error: click.UsageError) -> str:
    """Says what was expected instead of what was typed, in place of click's own words."""
    command = error.ctx.command if error.ctx is not None else program
    if isinstance(error, click.BadOptionUsage):  # of an option that the command has, so its name is ours
        return f"Expected {error.option_name} as --help shows it."
    if isinstance(command, click.Group):
        return f"Expected one of the commands {', '.join(sorted(command.commands))}."
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"Expected {_described(error.param)}."
    if isinstance(error, click.NoSuchOption):
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        return f"Expected {' or '.join(map(_described, options)) or 'no option'}, or --help."
    return "There are more arguments than expected."


def _described(parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice):
        return f"{parameter.opts[0]}, one of {', '.join(parameter.type.choices)}"
    metavar = (parameter.metavar or parameter.human_readable_name.upper()).removesuffix("...")
    if isinstance(parameter, click.Option):
        return parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {metavar}"
    return metavar


def _could_not_run(faults: Sequence[str]) -> int:
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return COULD_NOT_RUN
