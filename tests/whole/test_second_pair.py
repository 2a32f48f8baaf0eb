"""A second questionnaire is added by adding files: no line of code knows it."""

from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import catalogue
from service.assess import Assessor
from service.fhir.json import BodyLimits
from service.results import DETAILS, FULL

ITEMS = ("tense", "rushed", "sleep-work", "short-temper", "no-break", "concentration", "drained")
CANONICAL = "https://guidance.example.org/fhir/Questionnaire/workday-strain|2.1.0"
SYSTEM = "https://guidance.example.org/fhir/CodeSystem/workday-strain-answers"
WORDS = ("never", "some-days", "most-days", "every-day")


@pytest.fixture(scope="module")
def assessor(root: Path) -> Assessor:
    folder = root / "tests" / "second_pair"
    return Assessor(catalogue.read(folder / "questionnaires", folder / "mappings"), BodyLimits())


def response(points: list[int | None], status: str = "completed") -> bytes:
    items = [
        {"linkId": link, "answer": [{"valueCoding": {"system": SYSTEM, "code": WORDS[point]}}]}
        for link, point in zip(ITEMS, points, strict=True)
        if point is not None
    ]
    document: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": CANONICAL,
        "status": status,
        "item": [{"linkId": "strain", "item": items}],
    }
    return orjson.dumps(document)


def tier_of(document: dict[str, Any]) -> tuple[str, str]:
    (found,) = (each for each in document["extension"] if each["url"].endswith("/assessment-tier"))
    codes = {part["url"]: part["valueCoding"]["code"] for part in found["extension"][:2]}
    return codes["at-least"], codes["at-most"]


@pytest.mark.parametrize(
    ("points", "tier"),
    [
        ([0, 0, 0, 0, 0, 0, 0], "nothing"),
        ([3, 3, 3, 0, 0, 0, 0], "nothing"),
        ([3, 3, 3, 1, 0, 0, 0], "talk"),
        ([3, 3, 3, 3, 2, 0, 0], "talk"),
        ([3, 3, 3, 3, 3, 0, 0], "act"),
        ([3, 3, 3, 3, 3, 3, 3], "act"),
    ],
)
def test_the_sum_of_the_weights_decides_by_its_band(points: list[int], tier: str, assessor: Assessor) -> None:
    document = orjson.loads(assessor.assess_body(response(points), FULL).body)
    assert tier_of(document) == (tier, tier)
    (score,) = (each for each in document["extension"] if each["url"].endswith("/score"))
    values = [value for part in score["extension"] for key, value in part.items() if key.startswith("value")]
    assert sum(points) in values


def test_an_open_item_widens_the_interval_and_never_counts_as_zero(assessor: Assessor) -> None:
    document = orjson.loads(
        assessor.assess_body(response([3, 3, 3, 0, 0, 0, None], "in-progress"), FULL).body
    )
    assert tier_of(document) == ("nothing", "talk")
    assert document["status"] == "preliminary"


def test_its_results_are_valid_r4(assessor: Assessor, union: Any) -> None:
    asked = product(range(4), DETAILS)
    documents = [
        orjson.loads(assessor.assess_body(response([point] * 7), detail).body) for point, detail in asked
    ]
    assert union(documents) == [[]] * len(documents)


def test_nobody_with_open_questions_reads_that_there_is_nothing_to_do(assessor: Assessor) -> None:
    """The lowest step of this guidance is a result, and no way to say that nothing can be said yet."""
    body = response([3, 3, 3, 0, 0, 0, None], "in-progress")
    full = orjson.loads(assessor.assess_body(body, FULL).body)
    told = [assessor.shown(body, "text"), assessor.shown(body, "clinician")]
    told += [full["text"]["div"], full["mitigation"], full["prediction"][0]["rationale"]]
    assert ["Not assessable yet" in text for text in told] == [True, True, True, True, False]
    hushed = ("Nothing to do", "little strain", "Low total")
    assert [words for text in told for words in hushed if words in text] == []
    assert "Nothing to do" in assessor.shown(response([0] * 7), "text")
