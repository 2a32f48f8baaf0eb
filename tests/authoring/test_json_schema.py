"""The schemas for editors take every mapping file that `check` takes, and refuse what has another shape."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from service import cli
from service.errors import GuidanceError
from service.guidance import schema as grammar
from service.guidance.schema import written_from
from service.mapping_files import read_documents, read_yaml
from service.settings import ROOT

FOLDERS = sorted(
    path.parent
    for folder in ("mappings", "docs/authoring/phq-9", "tests/instruments", "tests/second_pair")
    for path in (ROOT / folder).rglob("guidance.yaml")
)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("schemas") / "made"
    assert cli.main(["schemas", str(folder)]) == cli.DONE
    return {path.name.partition(".")[0]: orjson.loads(path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def takes(schemas: dict[str, Any]) -> Callable[[str, Any], bool]:
    validators = {stem: jsonschema_rs.validator_for(schema) for stem, schema in schemas.items()}
    return lambda stem, value: validators[stem].is_valid(value)


Takes = Callable[[str, Any], bool]


def test_every_file_has_a_schema_that_is_one(schemas: dict[str, Any]) -> None:
    assert set(schemas) == {"guidance", *grammar._LISTS, "cds"}
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_check_takes_an_editor_takes(takes: Takes, folder: Path) -> None:
    files = [*folder.glob("*.yaml")]
    assert len(files) > 7
    assert [path.name for path in files if not takes(path.stem, read_yaml(path))] == []


CONDITIONS = [
    ("named", True),
    ({"answer": "mood", "is": ["a", True]}, True),
    ({"answer": "mood", "is": 1}, False),
    ({"answer": "mood", "answered": False}, False),
    ({"answer": "mood", "more-than": {"parameter": "x"}}, True),
    ({"answer": "mood", "more-than": {"parameters": ["x", "y"]}}, True),
    ({"answer": "mood", "more-than": {"parameters": ["x"]}}, False),
    ({"answer": "mood", "more-than": 5}, False),
    ({"answer": "mood", "is": "a", "answered": True}, False),
    ({"score": "total", "band": ["mild"]}, True),
    ({"score": "total", "at-least": {"parameter": "x"}}, True),
    ({"any": ["a", {"not": {"unsure": "b"}}]}, True),
    ({"any": []}, False),
    ({"all": ["a", {"nor": ["b"]}]}, False),
    ({"at-least": {"parameter": "two"}, "of": ["a", "b"]}, True),
    ({"at-least": {"parameter": "two"}}, False),
    ({"parameter": "switch"}, True),
    ({"tier-at-least": "plan"}, False),
    (7, False),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=str)
def test_conditions_are_taken_as_the_program_takes_them(takes: Takes, condition: Any, expected: bool) -> None:
    finding = {"finding": "one", "kind": "sign", "means": "One.", "when": condition, "sources": ["S001"]}
    assert takes("findings", [finding]) is expected
    loaded = not grammar.FindingShape().validate(finding)
    assert loaded is expected


def test_only_advice_may_ask_for_the_result(takes: Takes) -> None:
    for when in ({"tier-at-least": "plan"}, {"any": [{"level": {"outcome": "x", "at-least": "high"}}, "a"]}):
        advice = {"advice": "one", "group": "safety", "when": when, "patient": "Go.", "sources": ["S001"]}
        assert takes("advice", [advice])
        assert grammar.AdviceShape().validate(advice) == {}


def test_every_first_word_of_a_condition_is_known(schemas: dict[str, Any]) -> None:
    forms = schemas["advice"]["$defs"]["advice-condition"]["anyOf"]
    words = {next(iter(form["properties"])) for form in forms if "properties" in form} | {"parameter"}
    assert words == set(grammar.AdviceShape().fields["when"].readers)


EDITS = [
    ("guidance.yaml", "status: draft", "status: begun"),
    ("guidance.yaml", "title: PHQ-9", "titel: PHQ-9"),
    ("scores.yaml", "prorate: {at-most: 2}", "prorate: {at-most: 0}"),
    ("scores.yaml", "from: 5\n", "from: five\n"),
    ("rules.yaml", "- rule: self-harm", "- rule: Self harm"),
    ("findings.yaml", "  means: A total of 0.\n", "  mean: A total of 0.\n"),
]


@pytest.mark.parametrize(("file", "right", "wrong"), EDITS)
def test_what_has_another_shape_is_refused_by_both(
    takes: Takes, tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    copy = shutil.copytree(ROOT / "docs" / "authoring" / "phq-9" / "mappings" / "phq-9", tmp_path / "phq-9")
    text = (copy / file).read_text()
    assert right in text
    (copy / file).write_text(text.replace(right, wrong, 1))
    assert not takes(Path(file).stem, read_yaml(copy / file))
    with pytest.raises(GuidanceError):
        written_from(read_documents(copy))
