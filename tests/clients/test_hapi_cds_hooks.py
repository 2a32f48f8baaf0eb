"""HAPI's models of CDS Hooks read discovery and cards, and hold the same afterwards (CH01-CH04, CH09-CH13).

What the models do not have is named here: nothing else may be lost on the way.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from patience import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ("progressive-weakness", "professional-with-labs", "partial", "contradictory")
NOT_IN_HAPI = frozenset({"usageRequirements"})


def sample(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"samples/{name}.json").read_bytes())


def calls(keys: list[str]) -> list[dict[str, Any]]:
    """Returns a call for each kind of card: that of a result of each step, and that which offers the form."""
    offered = sample("cds-hooks/patient-view")
    chart = [found["resource"] for found in sample("parameters-with-chart-data")["parameter"]]
    found = [offered, _with(offered, keys, responses=chart[:1], laboratory=chart[1:])]
    return [*found, *(_with(offered, keys, responses=[sample(name)]) for name in SAMPLES)]


def _with(call: dict[str, Any], keys: list[str], **resources: list[Any]) -> dict[str, Any]:
    bundles = {
        key: {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in found]}
        for key, found in resources.items()
    }
    return call | {"prefetch": dict.fromkeys(keys) | bundles}


def plain(value: Any) -> Any:
    """Returns a document without what HAPI's models do not have, and without null and empty members."""
    if isinstance(value, dict):
        kept = {name: plain(found) for name, found in value.items() if name not in NOT_IN_HAPI}
        return {name: found for name, found in kept.items() if found not in (None, [], {})}
    return [plain(found) for found in value] if isinstance(value, list) else value


def test_hapi_reads_services_and_cards_and_loses_nothing(service, hapi):
    server = service.base.removesuffix("/fhir")
    services = requests.get(f"{server}/cds-services", timeout=PATIENCE_S).json()
    view = next(found for found in services["services"] if found["hook"] == "patient-view")
    answers = []
    for call in calls([*view["prefetch"]]):
        answer = requests.post(f"{server}/cds-services/{view['id']}", json=call, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["cards"]) == 1
        answers.append(answer.json())
    read_services, *read = hapi("CdsHooks", bodies={"services": services, "answers": answers})
    assert plain(read_services) == plain(services)
    assert [plain(found) for found in read] == [plain(found) for found in answers]
