"""Scored responses as one flat table, in Parquet or CSV: a row each, in the order of the input.

The rows are made of the facts that `score --output summary` writes, so that a run that was stopped goes on
before any table is begun. Every column says in the metadata of its field what it holds.

Source: Apache Arrow columnar format (schema, field metadata); RFC 4180 for CSV; OWASP, "CSV Injection".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from service.bulk.scorer import REFUSED, Facts, LevelFact, ScoreFact
from service.catalogue import Catalogue
from service.errors import StartupError

PARQUET: Final = ".parquet"
CSV: Final = ".csv"
FORMATS: Final = (PARQUET, CSV)

BETWEEN: Final = "|"
"""Stands between the parts of a list; one that belongs to a part has a backslash before it."""

FORMULA: Final = r"(?<![^;\t\r\n])(?=['=+\-@\t\r\n\x00\uFF1D\uFF0B\uFF0D\uFF20])"
"""Where text of a CSV file gets an apostrophe, as Python and Java read it: before what is the beginning of a
formula to a spreadsheet, at the beginning of the text and behind what may be the end of a cell; and before an
apostrophe there, so that those that were put can be told from those that were not."""

TEXT, WHOLE, NUMBER, DATE, TRUTH = "text", "whole number", "number", "date", "true or false"

_ROWS: Final = 16_384
_FORMULA: Final = re.compile(FORMULA)
_NEEDS_PYARROW: Final = "a table needs the Python package pyarrow: .venv/bin/pip install '.[bulk]'"


class Column(NamedTuple):
    """One column.

    Args:
        name: in small letters, digits and underscores.
        type: TEXT, WHOLE, NUMBER, DATE or TRUTH.
        about: what it holds, in one sentence; a sentence of the data dictionary.
        of: returns its value of the facts of a row; None where there is none.
    """

    name: str
    type: str
    about: str
    of: Callable[[Facts], object]


def _stated(name: str, facts: Facts) -> object:
    value = getattr(facts, name)
    return None if value == "" else value


def _listed(name: str, facts: Facts) -> str | None:
    parts = (part.replace("\\", "\\\\").replace(BETWEEN, f"\\{BETWEEN}") for part in getattr(facts, name))
    return BETWEEN.join(parts) or None


def _day(facts: Facts) -> date | None:
    return date.fromisoformat(facts.due_date) if facts.due_date else None


def _plain(name: str, type_: str, about: str) -> Column:
    return Column(name, type_, about, partial(_stated, name))


def _list(name: str, about: str) -> Column:
    return Column(name, TEXT, about, partial(_listed, name))


FIXED: Final = (
    _plain("line", WHOLE, "Number of the line in the input, from 1; blank lines count."),
    _plain("outcome", TEXT, "`final`, `preliminary` or `refused`; a refused row has but `problems`."),
    _list("problems", "Kinds of problem: why a row is refused, else what its result warns of."),
    _plain("response", TEXT, "Id of the response."),
    _plain("identifier", TEXT, "Identifier of the response, `system|value`."),
    _plain("subject", TEXT, "Reference of the person, as the response states it."),
    _plain("authored", TEXT, "When the response was written, as it states it."),
    _plain("status", TEXT, "Status of the response."),
    _plain("questionnaire", TEXT, "The questionnaire that the response names."),
    _plain("scored_as", TEXT, "`url|version` of the questionnaire that it was checked against."),
    _plain("guidance", TEXT, "`url|version` of the guidance that made the result."),
    _plain("guidance_hash", TEXT, "Hash of the guidance."),
    _plain("language", TEXT, "Language of the result."),
    _plain("step", TEXT, "Code of the step that the result reaches at least."),
    _plain("step_at_most", TEXT, "Code of the step that it could still reach; the same where it is settled."),
    _plain("step_rank", WHOLE, "Place of `step` in the ladder, from 0, the least urgent."),
    _plain("step_rank_at_most", WHOLE, "Place of `step_at_most` in the ladder."),
    _plain("due_days", WHOLE, "The earliest date of all reasons, in days after the response."),
    Column("due_date", DATE, "The same as a date; nothing where the response states no day.", _day),
    _plain("due_to", TEXT, "For whom that date is."),
    _plain("step_due_days", WHOLE, "The earliest date of the reasons for the step itself, in days."),
    _plain("date_settled", TRUTH, "No open question could bring the date forward."),
    _plain("recheck_days", WHOLE, "When to look again, in days after the response."),
    _list("rules", "Rules that fired for the step, the most urgent first."),
    _list("open_questions", "linkIds of the questions that could still change something, in order."),
    _list("contradictions", "Contradictions that hold."),
    _list("ignored", "linkIds of answers that did not count, since their questions were not asked."),
)  # fmt: skip
"""The columns of every table."""

OF_LEVEL: Final = (
    ("at_least", TEXT, "Level of an outcome, at least."),
    ("at_most", TEXT, "Level of the outcome, at most; the same where it is settled."),
    ("listed", TRUTH, "A report names the outcome."),
)
"""Columns of each outcome, named `level_OUTCOME_...`."""

OF_SCORE: Final = (
    ("at_least", NUMBER, "A score, at least."),
    ("at_most", NUMBER, "The score, at most; the same where every answer that counts is there."),
    ("value", NUMBER, "The number that is reported; nothing where there is none."),
    ("lowest_band", TEXT, "Band of the score, at least."),
    ("highest_band", TEXT, "Band of the score, at most."),
    ("estimated", TRUTH, "Missing answers were filled in, as the instrument allows."),
)
"""Columns of each score, named `score_NAME_...`."""


def columns(served: Catalogue) -> tuple[Column, ...]:
    """Returns the columns of results by what is served: the fixed ones, then those of outcomes and scores."""
    guidances = [pair.guidance.written for _, pair in sorted(served.pairs.items())]
    outcomes = dict.fromkeys(outcome.code for written in guidances for outcome in written.outcomes)
    scores = dict.fromkeys(score.name for written in guidances for score in written.scores)
    of_levels = (_of_level(outcome, *one) for outcome in outcomes for one in OF_LEVEL)
    return (*FIXED, *of_levels, *(_of_score(score, *one) for score in scores for one in OF_SCORE))


def _of_level(outcome: str, part: str, type_: str, about: str) -> Column:
    def value(facts: Facts) -> object:
        found = next((level for level in facts.levels if level.outcome == outcome), None)
        return None if found is None else getattr(found, part)

    return Column(f"level_{outcome}_{part}".replace("-", "_"), type_, about, value)


def _of_score(name: str, part: str, type_: str, about: str) -> Column:
    def value(facts: Facts) -> object:
        found = next((score for score in facts.scores if score.name == name), None)
        stated = "" if found is None else getattr(found, part)
        return None if stated == "" else float(stated) if type_ == NUMBER else stated

    return Column(f"score_{name}_{part}".replace("-", "_"), type_, about, value)


# Files.


def as_written(named: Sequence[Column], format_: str) -> tuple[Column, ...]:
    """Returns the columns as files of a format hold them: in CSV no text is a formula to a spreadsheet."""
    if format_ != CSV:
        return tuple(named)
    return tuple(one._replace(of=partial(_no_formula, one.of)) if one.type == TEXT else one for one in named)


def _no_formula(of: Callable[[Facts], object], facts: Facts) -> object:
    value = of(facts)
    return _FORMULA.sub("'", value) if isinstance(value, str) else value


def format_of(path: Path) -> str:
    """Returns in which of the FORMATS a file of this name is written; empty for none of them."""
    return path.suffix.lower() if path.suffix.lower() in FORMATS else ""


def facts_in(line: bytes) -> Facts:
    """Returns the facts that a line of `--output summary` holds; a refused one holds an OperationOutcome.

    Raises:
        StartupError: it is no such line.
    """
    try:
        found = orjson.loads(line)
        if found.get("resourceType") == "OperationOutcome":
            return _refused(found)
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        if "levels" in lists:
            lists["levels"] = tuple(LevelFact(**level) for level in found["levels"])
        if "scores" in lists:
            lists["scores"] = tuple(ScoreFact(**score) for score in found["scores"])
        return Facts(**{**found, **lists})
    except (ValueError, TypeError, AttributeError, KeyError):
        raise StartupError(["expected lines that `score --output summary` has written"]) from None


def _refused(outcome: Mapping[str, Any]) -> Facts:
    issues = outcome["issue"]
    kinds = dict.fromkeys(coding["code"] for issue in issues for coding in issue["details"]["coding"])
    return Facts(int(outcome["id"].removeprefix("line-")), REFUSED, tuple(kinds))


def write_table(lines: Iterable[bytes], out: Path, served: Catalogue) -> int:
    """Writes a table of the lines that `score --output summary` has written; returns how many rows it has.

    The file takes its name when it is whole. Rows are held a few thousand at a time.

    Args:
        lines: in the order of the input.
        out: where it is to stand; its name says the format.
        served: what the responses were scored by.

    Raises:
        StartupError: pyarrow is not installed, or a line is no such line.
        OSError: the file cannot be written.
    """
    pa = check_pyarrow(out)
    named = as_written(columns(served), format_of(out))
    schema = schema_of(named, pa)
    part = part_of(out)
    part.unlink(missing_ok=True)
    part.touch(0o600)  # for its owner alone, as the lines that it is made of
    facts, rows = map(facts_in, lines), 0
    with _writing(part, format_of(out), schema) as write:
        while some := tuple(islice(facts, _ROWS)):
            write(batch_of(some, named, schema, pa))
            rows += len(some)
    with part.open("rb") as whole:
        os.fsync(whole)  # the lines that it is made of may go once it has its name
    part.replace(out)
    return rows


def part_of(out: Path) -> Path:
    """Returns where a table stands until it is whole."""
    return out.with_name(f"{out.name}.part")


def check_pyarrow(out: Path) -> Any:
    """Returns the module that writes tables.

    Raises:
        StartupError: it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise StartupError([f"{out}: {_NEEDS_PYARROW}"]) from None
    return pa


def schema_of(named: Sequence[Column], pa: Any) -> Any:
    """Returns the Arrow schema of columns; each field says in its metadata what it holds."""
    types = {
        TEXT: pa.string(),
        WHOLE: pa.int64(),
        NUMBER: pa.float64(),
        DATE: pa.date32(),
        TRUTH: pa.bool_(),
    }
    fields = (pa.field(one.name, types[one.type], metadata={"description": one.about}) for one in named)
    return pa.schema(list(fields))


def batch_of(facts: Sequence[Facts], named: Sequence[Column], schema: Any, pa: Any) -> Any:
    """Returns rows as an Arrow RecordBatch."""
    arrays = [
        pa.array([column.of(one) for one in facts], type=field.type)
        for column, field in zip(named, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@contextmanager
def _writing(path: Path, format_: str, schema: Any) -> Iterator[Callable[[Any], None]]:
    """Opens a table; what is yielded adds rows to it."""
    if format_ == CSV:
        from pyarrow import csv

        with csv.CSVWriter(path, schema) as writer:
            yield writer.write
    else:
        from pyarrow import parquet

        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer.write_batch
