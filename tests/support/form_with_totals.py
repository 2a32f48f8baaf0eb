"""The PHQ-9 of the authors' guide with values that it calculates: a sum, and what only FHIRPath can say."""

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SLUG = "phq-9"
ANSWERED = "%resource.descendants().where(linkId = 'phq-9').item.answer.value.ordinal()"
TOTAL = f"{ANSWERED}.sum()"
MEAN = "%resource.descendants().where(linkId = 'total').answer.value / 9"


def folders_with_totals(into: Path) -> dict[str, Path]:
    """Writes the Questionnaire with its totals, and its mapping; returns both folders by setting."""
    shutil.copytree(ROOT / "docs/authoring/phq-9", into, dirs_exist_ok=True)
    path = into / "questionnaires/phq-9.json"
    form = json.loads(path.read_text())
    group = form["item"][0]
    group["extension"] = [_control("page")]
    group["item"].append(_calculated("total", "Total", "integer", TOTAL))
    form["item"].append(_calculated("mean", "Mean of the nine", "decimal", MEAN, places=1))
    form["item"].append(_calculated("hidden-total", "Kept for the record", "integer", TOTAL, is_hidden=True))
    path.write_text(json.dumps(form))
    guidance = into / "mappings/phq-9/guidance.yaml"
    guidance.write_text(guidance.read_text().replace("status: draft", "status: active"))
    return {name: into / name for name in ("questionnaires", "mappings")}


def _calculated(
    link: str, text: str, kind: str, expression: str, *, places: int | None = None, is_hidden: bool = False
) -> dict[str, Any]:
    sdc = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
    core = "http://hl7.org/fhir/StructureDefinition/"
    own = [{"url": sdc, "valueExpression": {"language": "text/fhirpath", "expression": expression}}]
    own += [{"url": f"{core}maxDecimalPlaces", "valueInteger": places}] if places is not None else []
    own += [{"url": f"{core}questionnaire-hidden", "valueBoolean": True}] if is_hidden else []
    return {"linkId": link, "text": text, "type": kind, "readOnly": True, "extension": own}


def _control(code: str) -> dict[str, Any]:
    coding = {"system": "http://hl7.org/fhir/questionnaire-item-control", "code": code}
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl"
    return {"url": url, "valueCodeableConcept": {"coding": [coding]}}
