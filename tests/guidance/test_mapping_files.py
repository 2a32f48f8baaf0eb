"""Mapping files are YAML without surprises."""

from decimal import Decimal
from pathlib import Path

import pytest

from service.errors import GuidanceError
from service.mapping_files import read_documents, read_yaml, value_from


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: Yes", {"a": "Yes"}),
        ("a: True", {"a": "True"}),
        ("a: ~", {"a": "~"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 010", {"a": "010"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: .5", {"a": ".5"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: '7'", {"a": "7"}),
        ("a: <<", {"a": "<<"}),
        ("a: =", {"a": "="}),
        ("a: true", {"a": True}),
        ("a: false", {"a": False}),
        ("a: null", {"a": None}),
        ("a:", {"a": None}),
        ("a: -7", {"a": -7}),
        ("a: 0", {"a": 0}),
        ("[1, [two], {three: 3}]", [1, ["two"], {"three": 3}]),
        ("", None),
    ],
)
def test_only_plain_values_get_a_meaning(text: str, value: object) -> None:
    read = value_from(text, "file.yaml")
    assert read == value
    assert type(read) is type(value)


def test_a_decimal_number_keeps_its_digits():
    assert str(value_from("1.50", "file.yaml")) == "1.50"
    assert isinstance(value_from("1.50", "file.yaml"), Decimal)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: 2\na: 3", "file.yaml: line 3: expected each key once; a stands here again"),
        ("a: 1\n5: 2", "file.yaml: line 2: expected text as a key; put it in quotes"),
        ("[1]: 2", "file.yaml: line 1: expected text as a key; put it in quotes"),
        ("a: &x 1\nb: *x", "file.yaml: line 1: expected no anchor (&) and no alias (*)"),
        ("a: 1\nb: !!str 5", "file.yaml: line 2: expected no tag (!)"),
        ("a: [1", "file.yaml: line 2: not YAML: did not find expected ',' or ']'"),
        ("a: 1\n--- \nb: 2", "file.yaml: line 2: expected one document only"),
        ("a:\n\tb: 1", "file.yaml: line 2: not YAML: expected blanks, not a tab, to indent with"),
        ("a: \x07", "file.yaml: not YAML: expected printable characters only"),
        ("[" * 70 + "]" * 70, "file.yaml: line 1: expected at most 64 levels"),
        ("[" * 3000 + "]" * 3000, "file.yaml: line 1: expected at most 64 levels"),
    ],
)
def test_what_mapping_files_do_not_use_is_refused_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(GuidanceError) as caught:
        value_from(text, "file.yaml")
    assert caught.value.faults[0].startswith(fault)


def test_documents_are_read_by_file_stem(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("- rule: one\n")
    (tmp_path / "notes.txt").write_text("not a mapping file")
    assert read_documents(tmp_path) == {"rules": [{"rule": "one"}]}


def test_the_faults_of_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("a: *x")
    (tmp_path / "two.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(GuidanceError) as caught:
        read_documents(tmp_path)
    assert list(caught.value.faults) == [
        "one.yaml: line 1: expected no anchor (&) and no alias (*)",
        "two.yaml: expected a readable file in UTF-8",
    ]


def test_a_folder_without_mapping_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuidanceError, match="expected mapping files"):
        read_documents(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuidanceError, match=r"gone.yaml: expected a readable file in UTF-8"):
        read_yaml(tmp_path / "gone.yaml")
