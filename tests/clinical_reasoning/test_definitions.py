"""The PlanDefinition, ActivityDefinitions and Libraries of a guidance: valid, and each names the others."""

from base64 import b64decode
from pathlib import Path

import orjson
import pytest

from service import catalogue, cli
from service.clinical_reasoning.cql import libraries_of
from service.clinical_reasoning.definitions import resources_of
from service.fhir.resource_models import faults_in

ROOT = Path(__file__).resolve().parents[2]
PLACES = (".", "tests/second_pair", "tests/instruments")


@pytest.fixture(scope="module")
def resources():
    """By slug, the resources of each guidance."""
    found = [catalogue.read(ROOT / place / "questionnaires", ROOT / place / "mappings") for place in PLACES]
    pairs = {pair.slug: pair for one in found for pair in one.pairs.values()}
    return {slug: (pair, resources_of(pair.guidance, pair.compiled)) for slug, pair in pairs.items()}


def test_the_models_of_r4_accept_every_resource(resources):
    for _, made in resources.values():
        assert [fault for resource in made for fault in faults_in(resource)] == []


def test_independent_validators_accept_the_resources(resources, union):
    made = [one for slug in ("muscle-twitching", "workday-strain", "phq-4") for one in resources[slug][1]]
    plain = [one if one["resourceType"] != "Library" else one | {"content": []} for one in made]
    plain = [{name: value for name, value in one.items() if value != []} for one in plain]
    assert union(plain) == [[] for _ in plain]


def test_every_canonical_of_another_resource_leads_to_one_of_the_same_version(resources):
    for pair, made in resources.values():
        there = {f"{one['url']}|{one['version']}" for one in made} | {pair.compiled.canonical}
        for resource in made:
            named = [*resource.get("library", [])]
            named += [a["resource"] for a in resource["relatedArtifact"] if a["type"] == "depends-on"]
            for action in resource.get("action", []):
                named += [inner["definitionCanonical"] for inner in action["action"]]
            assert set(named) <= there, resource["id"]


def test_the_plan_has_one_action_for_each_step_that_a_result_can_ask_for(resources):
    pair, made = resources["muscle-twitching"]
    plan = made[-1]
    (group,) = plan["action"]
    steps = [action["id"] for action in group["action"]]
    assert steps == ["emergency", "urgent", "prompt", "consult", "review", "self-care"]
    for action in group["action"]:
        (condition,) = action["condition"]
        assert condition["expression"]["expression"] == f"\"Step\" = '{action['id']}'"
        cited = {document["label"] for document in action["documentation"]}
        rules = [rule for rule in pair.guidance.written.rules if rule.tier == action["id"]]
        assert rules
        assert all(set(rule.sources) <= cited for rule in rules)


def test_no_action_claims_a_grade_that_the_mapping_does_not_give(resources):
    for _, made in resources.values():
        for action in made[-1]["action"][0]["action"]:
            urls = [extension["url"].rpartition("/")[2] for extension in action["extension"]]
            assert urls == ["cqf-strengthOfRecommendation", "cqf-qualityOfEvidence"]
            assert all(set(one["valueCodeableConcept"]) == {"text"} for one in action["extension"])


def test_what_a_step_asks_for_is_a_proposal_with_its_latest_date(resources):
    pair, made = resources["muscle-twitching"]
    activities = {one["id"]: one for one in made if one["resourceType"] == "ActivityDefinition"}
    assert {one["intent"] for one in activities.values()} == {"proposal"}
    for tier in pair.guidance.written.tiers[1:]:
        activity = activities[f"muscle-twitching-{tier.code}"]
        assert activity["kind"] == ("ServiceRequest" if tier.referral else "CommunicationRequest")
        within = pair.guidance.written.parameters[tier.within].value if tier.within else None
        assert activity.get("timingDuration", {}).get("value") == within
        assert activity.get("priority", "") == tier.referral


def test_a_guidance_that_nobody_signed_is_experimental(resources):
    for pair, made in resources.values():
        assert {one["experimental"] for one in made} == {not pair.guidance.written.identity.signed}


def test_the_libraries_hold_the_text_that_the_command_writes(resources, tmp_path, capsysbinary):
    assert cli.main(["definitions", str(tmp_path)]) == 0
    pair, made = resources["muscle-twitching"]
    folder = tmp_path / "muscle-twitching"
    printed = capsysbinary.readouterr().out.decode().splitlines()
    assert sorted(printed) == sorted(f"wrote {path}" for path in folder.iterdir())
    for library in libraries_of(pair.guidance, pair.compiled):
        resource = orjson.loads((folder / f"Library-{library.name}.json").read_bytes())
        assert b64decode(resource["content"][0]["data"]).decode() == library.text
        assert (folder / f"{library.name}.cql").read_text() == library.text
    plan = orjson.loads((folder / "PlanDefinition-muscle-twitching.json").read_bytes())
    assert plan == orjson.loads(orjson.dumps(made[-1]))


def test_the_two_pairs_say_nothing_clinical_of_each_other(resources):
    text = "".join(library.text for library in libraries_of(*_of(resources, "workday-strain")))
    assert "twitch" not in text.lower()


def _of(resources, slug):
    pair, _ = resources[slug]
    return pair.guidance, pair.compiled
