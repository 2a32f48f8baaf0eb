"""Every fault of a mapping is refused at load, in a line that names file, place and expectation."""

from pathlib import Path
from typing import Any

import headache
import pytest

from service.errors import GuidanceError
from service.guidance import load
from service.mapping_files import read_yaml

FOLDER = Path(__file__).resolve().parent.parent / "broken_mappings"
EXPECTED: Any = read_yaml(FOLDER / "expected.yaml")
NAMING = (
    *("promise", "finding", "rule", "comparison", "row", "advice", "contradiction", "score", "band", "case"),
    *("statement", "tier", "outcome"),
)
"""Keys that name an entry, the one that counts first."""


def test_every_broken_mapping_has_its_expected_words_and_the_other_way_round():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted([*EXPECTED, "expected"])


@pytest.mark.parametrize("name", EXPECTED)
def test_broken_mapping_is_refused_with_words_that_name_the_fault(name: str) -> None:
    documents = laid_over(headache.documents(), read_yaml(FOLDER / f"{name}.yaml"))
    with pytest.raises(GuidanceError) as caught:
        load(documents, headache.form())
    for words in EXPECTED[name]:
        assert words in str(caught.value)


def test_all_faults_of_all_files_are_reported_together():
    documents = headache.documents()
    documents["findings"][0]["colour"] = "red"
    documents["rules"][0]["when"] = 5
    del documents["advice"][0]["group"]
    with pytest.raises(GuidanceError) as caught:
        load(documents, headache.form())
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "findings.yaml",
        "rules.yaml",
        "advice.yaml",
    ]


def laid_over(base: Any, patch: Any) -> Any:
    """The document with a patch: mappings are joined, entries found by name, null takes a key away.

    `replace` stands for the value beneath it; `again` adds an entry although its name is there.
    """
    if isinstance(patch, dict) and "replace" in patch:
        return patch["replace"]
    if isinstance(patch, dict) and isinstance(base, dict):
        joined = {key: value for key, value in base.items() if patch.get(key, "") is not None}
        return joined | {
            key: laid_over(base.get(key), value) for key, value in patch.items() if value is not None
        }
    if isinstance(patch, list) and isinstance(base, list) and any(isinstance(entry, dict) for entry in base):
        return _entries(base, patch)
    return patch


def _entries(base: list[Any], patch: list[Any]) -> list[Any]:
    entries = list(base)
    for entry in patch:
        places = [place for place, known in enumerate(entries) if _name(known) == _name(entry) is not None]
        if places and not entry.pop("again", False):
            entries[places[0]] = laid_over(entries[places[0]], entry)
        else:
            entries.append(
                {key: value for key, value in entry.items() if key != "again"}
                if isinstance(entry, dict)
                else entry
            )
    return entries


def _name(entry: Any) -> Any:
    return next((entry[key] for key in NAMING if key in entry), None) if isinstance(entry, dict) else None
