"""The codes of a guidance's own are published: made of its mapping, or stated by a file that has them all."""

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import catalogue
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.fhir.resource_models import faults_in
from service.results import code_system
from service.settings import Settings

URL = "https://guidance.example.org/fhir/CodeSystem/workday-strain-guidance"


@pytest.fixture
def folders(root: Path, tmp_path: Path) -> Settings:
    """A copy of the small second pair that a test may change."""
    pair = Path(shutil.copytree(root / "tests" / "second_pair", tmp_path / "pair"))
    return replace(Settings(), questionnaires_dir=pair / "questionnaires", mappings_dir=pair / "mappings")


def read(settings: Settings) -> catalogue.Catalogue:
    return catalogue.read(settings.questionnaires_dir, settings.mappings_dir)


def published(settings: Settings) -> dict[str, Any]:
    return dict(read(settings).artifacts["CodeSystem", "workday-strain-guidance"].resource)


def kinds(system: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for concept in system["concept"]:
        found.setdefault(concept["property"][0]["valueCode"], []).append(concept["code"])
    return found


def test_it_is_made_of_the_mapping_and_right_r4(folders: Settings, union: Any) -> None:
    system = published(folders)
    assert (system["url"], system["version"], system["name"]) == (URL, "2.1.0", "WorkdayStrainGuidance")
    assert kinds(system) == {
        "result": ["workday-strain", "needs-evaluation", "questionnaire-triage", "step-of-care"],
        "tier": ["nothing", "talk", "act"],
        "outcome": ["strain"],
        "score": ["total"],
    }
    assert system["count"] == len(system["concept"])
    assert faults_in(system) == ()
    assert union([system]) == [[]]


def test_a_file_that_states_it_is_served_as_it_is(folders: Settings) -> None:
    stated = {name: value for name, value in published(folders).items() if name != "meta"}
    stated["title"] = "Our own words"
    file = folders.questionnaires_dir / "codes.json"
    file.write_bytes(orjson.dumps(stated))
    assert published(folders)["title"] == "Our own words"
    concepts = [concept for concept in stated["concept"] if concept["code"] != "talk"]
    concepts[0]["concept"] = [concepts.pop()]
    file.write_bytes(orjson.dumps(stated | {"concept": concepts}))
    with pytest.raises(GuidanceError) as refused:
        read(folders)
    assert list(refused.value.faults) == [
        "codes.json: concept: expected the code talk, which results of its guidance name"
    ]


def test_versions_of_a_guidance_share_it_and_no_code_is_lost(folders: Settings) -> None:
    (pair,) = read(folders).pairs.values()
    old = pair.guidance.written
    tiers = (*old.tiers[:2], replace(old.tiers[2], code="act-now", display="Act now"))
    new = replace(old, tiers=tiers, identity=replace(old.identity, version="3.0.0", title="New"))
    system = code_system([new, old])
    assert (system["version"], system["title"]) == ("3.0.0", "Results of: New")
    assert kinds(system)["tier"] == ["nothing", "talk", "act", "act-now"]


@pytest.mark.parametrize(
    ("url", "id_", "name"),
    [
        ("https://x.example.org/codes/9 lives/", "9-lives", "Guidance9Lives"),
        ("urn:oid:1.2.3", "urn-oid-1.2.3", "UrnOid123"),
    ],
)
def test_any_address_gives_an_id_and_a_name(folders: Settings, url: str, id_: str, name: str) -> None:
    (pair,) = read(folders).pairs.values()
    written = pair.guidance.written
    system = code_system([replace(written, identity=replace(written.identity, terminology=url))])
    assert (system["id"], system["name"]) == (id_, name)
