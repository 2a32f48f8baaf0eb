"""One response has one result, whichever way it takes, and whatever else is served beside its guidance."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.apply import Applier
from service.assess import Assessor
from service.authoring.generator import Wanted, generated
from service.catalogue import Catalogue, read
from service.fhir.json import BodyLimits
from service.questionnaire import asking
from service.results import FULL, RISK

Json = dict[str, Any]

FOLDERS = (".", "tests/second_pair", "tests/instruments")
LIMITS = BodyLimits()
SUBJECT = {"reference": "Patient/p1"}


@pytest.fixture(scope="module")
def alone(root: Path, served: Catalogue) -> list[Catalogue]:
    """Each folder of guidances, served by itself."""
    others = (root / folder for folder in FOLDERS[1:])
    return [served, *(read(folder / "questionnaires", folder / "mappings") for folder in others)]


@pytest.fixture(scope="module")
def together(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """All guidances, served at once: some ask for the same code, or have linkIds in common."""
    both = tmp_path_factory.mktemp("both")
    for folder in FOLDERS:
        for kind in ("questionnaires", "mappings"):
            shutil.copytree(root / folder / kind, both / kind, dirs_exist_ok=True)
    return read(both / "questionnaires", both / "mappings")


def responses(served: Catalogue, count: int) -> Iterator[bytes]:
    for pair in served.pairs.values():
        for body in generated(served, Wanted(count, seed=11, partial=0.4, slug=pair.slug)):
            yield orjson.dumps(orjson.loads(body) | {"subject": SUBJECT})


def told(risk: bytes) -> tuple[object, ...]:
    """What a result says: step and levels with their intervals, dates and whether it is final."""
    found = orjson.loads(risk)
    names = "status", "prediction", "mitigation", "extension", "method"
    return tuple(found.get(name) for name in names)


def ways(assessor: Assessor, served: Catalogue, body: bytes) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yields what each way to a result makes of a response."""
    scored = assessor.scored(body)
    yield "full path", told(scored.document())
    yield "store", told(assessor.judge(body, "r1").risk or b"{}")
    response, compiled = orjson.loads(body), scored.pair.compiled
    turned = {name: response[name] for name in reversed(response)}
    yield "other order", told(assessor.assess_body(orjson.dumps(turned, option=orjson.OPT_INDENT_2)).body)
    sent = {"name": "questionnaire-response", "resource": response}
    parameters = {"resourceType": "Parameters", "parameter": [sent]}
    yield "Parameters", told(assessor.assess_body(orjson.dumps(parameters)).body)
    short = asking(response, compiled, compiled.form.questions, "asked")
    yield "short form", told(assessor.assess_body(orjson.dumps(short)).body)


def views(assessor: Assessor, served: Catalogue, body: bytes) -> Iterator[tuple[str, object]]:
    """Yields code of the step, and whether it is final, as views tell them that have no RiskAssessment."""
    outlined = assessor.outlined(body)
    yield "card", (outlined.code, outlined.is_final)
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": orjson.loads(body)}]}
    asked = [{"name": "subject", "valueString": SUBJECT["reference"]}, {"name": "data", "resource": data}]
    parameters = orjson.dumps({"resourceType": "Parameters", "parameter": asked})
    plan = assessor.scored(body).pair.slug
    applied = Applier(served, assessor, LIMITS).apply_body(parameters, plan, ("",))
    group = next(
        entry["resource"]
        for entry in orjson.loads(applied.body)["entry"]
        if entry["resource"]["resourceType"] == "RequestGroup"
    )
    yield "$apply", (applied.step, group["status"] == "active")


def test_every_way_leads_to_the_same_result(alone: list[Catalogue]) -> None:
    for served in alone:
        assessor = Assessor(served, LIMITS)
        for body in responses(served, 4):
            assessed = assessor.assess_body(body, RISK)
            result = told(assessed.body)
            assert [way for way, said in ways(assessor, served, body) if said != result] == [], body
            said = assessed.step, result[0] == "final"
            assert [view for view, other in views(assessor, served, body) if other != said] == [], body


def test_no_result_depends_on_what_else_is_served(alone: list[Catalogue], together: Catalogue) -> None:
    beside = Assessor(together, LIMITS)
    for served in alone:
        assessor = Assessor(served, LIMITS)
        for body in responses(served, 3):
            for language in ("en", "de"):
                one, other = (each.assess_body(body, FULL, (language,)) for each in (assessor, beside))
                assert one == other, body
