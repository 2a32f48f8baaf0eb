"""The pages for authors explain every key, and what they quote stands in files that pass `check`."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import groupby, product
from pathlib import Path
from typing import Any

import orjson
import pytest
from marshmallow import Schema, ValidationError, fields

from service import catalogue, check
from service.assess import Assessor
from service.fhir.json import BodyLimits
from service.guidance import schema as grammar
from service.settings import Settings

CODING = {"system", "code", "display"}
Keys = dict[str, dict[str, tuple[str, str]]]
"""By heading and key: what it takes (only where that is a choice of words), and its default."""


@pytest.fixture(scope="module")
def pages(root: Path) -> dict[str, str]:
    docs = root / "docs"
    return {
        path.stem: path.read_text() for path in [docs / "authoring.md", *(docs / "authoring").glob("*.md")]
    }


@pytest.fixture
def example(root: Path, tmp_path: Path) -> Path:
    """A copy of the worked PHQ-9 that a test may change."""
    return Path(shutil.copytree(root / "docs" / "authoring" / "phq-9", tmp_path / "phq-9"))


# ---- Every key, and only keys that exist -----------------------------------------------------------


def test_every_key_of_every_mapping_file_is_explained_as_it_is(pages: dict[str, str]) -> None:
    known: Keys = {}
    for heading, shape in shapes():
        known.setdefault(heading, {}).update({key: described(field) for key, field in keys_of(shape)})
    assert explained_keys(pages["keys"]) == known


def test_every_word_of_a_condition_is_explained(pages: dict[str, str]) -> None:
    assert set(words_explained(pages["conditions"])) == set(condition_words())


def test_every_word_that_a_case_may_expect_is_explained(pages: dict[str, str], example: Path) -> None:
    cases = example / "mappings" / "phq-9" / "cases.yaml"
    cases.write_text("- {case: one, about: Any, expect: {colour: red, tables: {none: 1}}}\n")
    report = report_of(example)
    expected = re.search(r"expect\.colour: expected one of: (.*)", report)
    counts = re.search(r"expected counts \((.*)\) by table", report)
    assert expected
    assert counts
    sections = dict(sections_of(pages["keys"]))
    outcomes = {"major-depression", "hard-to-cope"}
    assert first_cells(sections["`expect`"]) == set(expected[1].split(", ")) - outcomes
    assert first_cells(sections["`expect`: `tables`"]) == set(counts[1].split(", "))


def shapes() -> Iterator[tuple[str, Schema]]:
    """Every shape that the grammar knows, with the heading under which it is explained."""
    yield from below("guidance.yaml", grammar.GuidanceShape(), "")
    for stem, (_, shape) in grammar._LISTS.items():
        yield from below(f"{stem}.yaml", shape(), "")


def below(heading: str, shape: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    yield heading, shape
    parts = [(key, part_of(field)) for key, field in keys_of(shape)]
    inner = sorted(((type(part).__name__, key, part) for key, part in parts if part), key=lambda one: one[0])
    for _, group in groupby(inner, key=lambda one: one[0]):
        members = list(group)
        own = prefix + " and ".join(f"`{key}`" for _, key, _ in members)
        if set(members[0][2].fields) == CODING:
            yield "Codings", members[0][2]
        else:
            yield from below(own, members[0][2], f"{own}: ")


def keys_of(shape: Schema) -> Iterator[tuple[str, Any]]:
    for name, field in shape.fields.items():
        yield field.data_key or name, field


def part_of(field: Any) -> Schema | None:
    inner = field.value_field if isinstance(field, fields.Dict) else field
    return inner.schema if isinstance(inner, fields.Nested) else None


def described(field: Any) -> tuple[str, str]:
    """The words that a choice takes, and the default: only what an author could have written himself."""
    takes = " ".join(sorted(getattr(field, "words", ())))
    if field.required:
        return takes, "**required**"
    default = field.load_default
    try:
        if isinstance(default, str | bool):
            field.deserialize(default)
            return takes, f"`{str(default).lower() if isinstance(default, bool) else default}`"
    except ValidationError:
        pass
    return takes, "none"


def explained_keys(page: str) -> Keys:
    found: Keys = {}
    for heading, text in sections_of(page):
        rows = [row for row in rows_of(text) if len(row) == 4 and re.fullmatch(r"`[^`]+`", row[0])]
        for key, takes, default, _ in rows:
            words = re.findall(r"`([^`]+)`", takes) if re.search(r"` or `", takes) else []
            choice = "" if is_open(takes) else " ".join(sorted(words))
            found.setdefault(heading, {})[key.strip("`")] = choice, default
    return found


def is_open(takes: str) -> bool:
    """Whether the cell names more than a list of words."""
    return re.sub(r"`[^`]+`|,| or ", "", takes).strip() != "" or takes == "`true` or `false`" or "{" in takes


def condition_words() -> Iterator[str]:
    """Every word of the language, as the grammar's own faults list them."""
    fields_of = {stem: shape().fields for stem, (_, shape) in grammar._LISTS.items()}
    of_advice = fields_of["advice"]["when"]
    assert set(listed(fields_of["findings"]["when"], {})) < set(listed(of_advice, {}))
    yield from listed(of_advice, {})
    yield from listed(of_advice, {"answer": "x"})
    yield from listed(of_advice, {"score": "x"})
    yield from listed(of_advice, {"at-least": {"parameter": "x"}, "colour": 1})
    yield from re.findall(r"([a-z-]+):", str(refusal(of_advice, {"level": 1})["level"]))
    yield from re.findall(r"\{(parameter):", str(refusal(of_advice, {"score": "x", "at-least": 5})))
    yield from refusal(of_advice, {"answer": "x", "at-least": {"parameters": []}})["at-least"]


def listed(field: Any, written: Any) -> list[str]:
    (words,) = re.findall(r"(?:one of|only): (.*?)'?\]", str(refusal(field, written)))
    return str(words).split(", ")


def refusal(field: Any, written: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        field.deserialize(written)
    return caught.value.messages


def words_explained(page: str) -> Iterator[str]:
    for table in re.findall(r"^\| word \|.*\n(?:\|.*\n)+", page, re.MULTILINE):
        yield from first_cells(table)


def sections_of(page: str) -> list[tuple[str, str]]:
    parts = re.split(r"^#{2,3} (.*)\n", page, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def rows_of(text: str) -> Iterator[list[str]]:
    for line in re.findall(r"^\| (.*) \|$", text, re.MULTILINE):
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]


def first_cells(table: str) -> set[str]:
    return {row[0].strip("`") for row in rows_of(table) if re.fullmatch(r"`[^`]+`", row[0])}


# ---- Three values ----------------------------------------------------------------------------------

LINKS = {"a": ("interest", "interest-lost"), "b": ("mood", "low-mood"), "c": ("sleep", "sleep-disturbed")}
"""A finding of the example for each letter of the truth tables, and the question that it reads."""

CODES = {"P": "LA6570-1", "A": "LA6568-5", "U": ""}
STATES = {"present": "P", "absent": "A", "unknown": "U"}


def test_the_truth_tables_say_what_the_engine_does(pages: dict[str, str], example: Path) -> None:
    table = next(text for _, text in sections_of(pages["conditions"]) if "| a | b |" in text)
    head, *rows = [row for row in rows_of(table) if len(row) == 6]
    assert {tuple(row[:2]) for row in rows} == set(product("PAU", repeat=2))
    assessor = assessor_with(example, [cell.strip("`") for cell in head[2:]])
    for row in rows:
        found = states(assessor, example, row[:2])
        assert [found[f"tried-{index}"] for index in range(4)] == row[2:], row


def test_the_table_of_counts_says_what_the_engine_does(pages: dict[str, str], example: Path) -> None:
    table = next(text for _, text in sections_of(pages["conditions"]) if "| present | unknown |" in text)
    rows = [row for row in rows_of(table) if len(row) == 4 and row[3] in "PAU"]
    two = "  two: {value: 2, unit: '1', edge: at least, means: Two., origin: project, sources: []}\n"
    guidance = example / "mappings" / "phq-9" / "guidance.yaml"
    guidance.write_text(guidance.read_text().replace("parameters:\n", f"parameters:\n{two}"))
    assessor = assessor_with(example, ["{at-least: {parameter: two}, of: [a, b, c]}"])
    for letters in product("PAU", repeat=3):
        counts = letters.count("P"), letters.count("U")
        (said,) = (row[3] for row in rows if counts[0] in counted(row[0]) and counts[1] in counted(row[1]))
        assert states(assessor, example, letters)["tried-0"] == said, letters


def assessor_with(example: Path, conditions: list[str]) -> Assessor:
    """The example, made active, with a finding for each condition on a, b and c."""
    folder = example / "mappings" / "phq-9"
    replace(folder / "guidance.yaml", "status: draft", "status: active")
    replace(folder / "guidance.yaml", "kinds:\n", "kinds:\n  recorded: {}\n")
    with (folder / "findings.yaml").open("a") as findings:
        for index, condition in enumerate(conditions):
            when = re.sub(r"\b([abc])\b(?!-)", lambda found: LINKS[found[1]][1], condition)
            when = when if when.startswith("{") else f"{{{when}}}"
            keys = f"kind: recorded, means: Tried., when: {when}, sources: [S001]"
            findings.write(f"- {{finding: tried-{index}, {keys}}}\n")
    return Assessor(catalogue.read(example / "questionnaires", example / "mappings"), BodyLimits())


def states(assessor: Assessor, example: Path, letters: Any) -> dict[str, str]:
    response = orjson.loads((example / "response.json").read_bytes())
    response["status"] = "in-progress"
    codes = {LINKS[name][0]: CODES[letter] for name, letter in zip("abc", letters, strict=False)}
    response["item"][0]["item"] = [
        {"linkId": link, "answer": [{"valueCoding": {"system": "http://loinc.org", "code": code}}]}
        for link, code in codes.items()
        if code
    ] or [
        {"linkId": "energy", "answer": [{"valueCoding": {"system": "http://loinc.org", "code": "LA6568-5"}}]}
    ]
    found = orjson.loads(assessor.shown(orjson.dumps(response), "explain"))["findings"]
    return {name: STATES[state] for name, state in found.items()}


def counted(cell: str) -> set[int]:
    return set(range(4)) if cell == "any" else {int(digit) for digit in re.findall(r"\d", cell)}


# ---- What is quoted is so --------------------------------------------------------------------------

SIGNED = "by: Dr A. Example"
"""Marks the block that an author writes instead of what the example has."""


def test_every_piece_that_is_quoted_stands_in_a_file(root: Path, pages: dict[str, str]) -> None:
    folders = ("docs/authoring/phq-9", "mappings", "tests/instruments")
    paths = [path for folder in folders for path in (root / folder).rglob("*.*")]
    files = [path.read_text() for path in paths if path.is_file()]
    quoted = [
        block
        for page in pages.values()
        for block in re.findall(r"```(?:yaml|json)\n(.*?)```", page, re.DOTALL)
    ]
    assert len(quoted) > 40
    assert [
        block for block in quoted if SIGNED not in block and not any(block in file for file in files)
    ] == []


@pytest.mark.slow
def test_the_commands_print_what_is_shown(root: Path, pages: dict[str, str], example: Path) -> None:
    shown = re.findall(r"```sh\n(.*?)```.*?```text\n(.*?)```", pages["authoring"], re.DOTALL)
    (check_command, report), (assess_command, text) = shown
    assert printed(root, check_command, {"XDG_CACHE_HOME": str(example.parent)}) == report
    sign(example, pages["authoring"])
    variables = {"SERVICE_QUESTIONNAIRES_DIR": "questionnaires", "SERVICE_MAPPINGS_DIR": "mappings"}
    served = {name: str(example / folder) for name, folder in variables.items()}
    assert printed(root, assess_command, served).strip() == text.strip()


def printed(root: Path, command: str, environment: dict[str, str] | None = None) -> str:
    script = command.replace(".venv/bin/python", shlex.quote(sys.executable))
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=root,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def sign(example: Path, page: str) -> None:
    """Writes the review that the page shows in place of that of the example."""
    (signed,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if SIGNED in block)
    review, status = signed.split("status:")
    guidance = example / "mappings" / "phq-9" / "guidance.yaml"
    replace(guidance, "status: draft", f"status:{status.rstrip()}")
    replace(guidance, "review:\n  state: example for authors, not reviewed by a clinician\n", review)


EDITS = (
    ("findings.yaml", "  means: A total of 0.\n", "  mean: A total of 0.\n"),
    ("findings.yaml", "is: somewhat-difficult}", "is: somwhat-difficult}"),
    ("scores.yaml", "from: 15\n", "from: 16\n"),
    (
        "cases.yaml",
        "{tier: watch, major-depression: low, score: {total: 5}",
        "{tier: plan, score: {total: 5}",
    ),
    (
        "rules.yaml",
        "when: thoughts-of-self-harm\n",
        "when: {answer: self-harm, is: [several-days, nearly-every-day]}\n",
    ),
)
"""Mistakes: in which file, what is right, what is wrong."""


def test_every_fault_that_is_shown_is_what_check_says_of_a_mistake(
    root: Path, pages: dict[str, str], tmp_path: Path
) -> None:
    blocks = [
        block
        for block in re.findall(r"```text\n(.*?)```", pages["check"], re.DOTALL)
        if block.startswith(("fault: ", "  FAILED: "))
    ]
    assert len(blocks) == len(EDITS)
    for number, (file, right, wrong) in enumerate(EDITS):
        copy = Path(shutil.copytree(root / "docs/authoring/phq-9", tmp_path / str(number)))
        replace(copy / "mappings" / "phq-9" / file, right, wrong)
        report = report_of(copy)
        assert any(block in report for block in blocks), report
        blocks = [block for block in blocks if block not in report]
    assert blocks == []


def report_of(example: Path) -> str:
    out = StringIO()
    check.run(Settings(questionnaires_dir=example / "questionnaires", mappings_dir=example / "mappings"), out)
    return out.getvalue()


def replace(path: Path, right: str, wrong: str) -> None:
    text = path.read_text()
    assert text.count(right) >= 1, right
    path.write_text(text.replace(right, wrong, 1))


def test_every_link_between_the_pages_leads_somewhere(root: Path, pages: dict[str, str]) -> None:
    links = [
        (name, link) for name, page in pages.items() for link in re.findall(r"\]\((?!http)([^)]+)\)", page)
    ]
    assert [one for one in links if not leads_somewhere(root, pages, *one)] == []


def leads_somewhere(root: Path, pages: dict[str, str], page: str, link: str) -> bool:
    file, _, anchor = link.partition("#")
    folder = root / "docs" if page == "authoring" else root / "docs" / "authoring"
    if file and not (folder / file).exists():
        return False
    there = Path(file).stem if file else page
    if there not in pages:
        return True  # test_links.py follows the anchors of every page
    headings = [heading for heading, _ in sections_of(pages[there])] if anchor else []
    slugs = {re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower() for heading in headings}
    return not anchor or anchor in slugs
