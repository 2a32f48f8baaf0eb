"""What is wrong with the files stops the start, with a line for each fault; `check` says the same."""

import io
import re
import shutil
from pathlib import Path

import orjson
import pytest
from sample_responses import strain

from service import catalogue, check
from service.assess import Assessor
from service.datatypes.values import replace
from service.errors import GuidanceError, NotScorable
from service.fhir.json import BodyLimits
from service.settings import Settings


@pytest.fixture
def folders(root: Path, tmp_path: Path) -> Settings:
    """A copy of the small second pair that a test may break."""
    shutil.copytree(root / "tests" / "second_pair", tmp_path / "pair")
    pair = tmp_path / "pair"
    return replace(Settings(), questionnaires_dir=pair / "questionnaires", mappings_dir=pair / "mappings")


def faults(settings: Settings) -> list[str]:
    with pytest.raises(GuidanceError) as refused:
        catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    return list(refused.value.faults)


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_check_types_what_is_published_and_names_the_element(folders: Settings) -> None:
    """Our own lint reads no `contact`; the models of fhir.resources know every element of R4."""
    questionnaire = folders.questionnaires_dir / "workday-strain.json"
    replaced(questionnaire, '"status": ', '"contact": [{"telecom": "0800"}], "status": ')
    out = io.StringIO()
    assert check.run(folders, out) == check.FAULTY
    line = f"fault: {questionnaire.name}: Questionnaire.contact[0].telecom: Input should be a valid array"
    assert out.getvalue().splitlines() == [line]


def test_an_empty_folder_is_a_fault(folders: Settings) -> None:
    shutil.rmtree(folders.questionnaires_dir)
    folders.questionnaires_dir.mkdir()
    assert "expected *.json files" in faults(folders)[0]


def test_a_file_that_is_no_resource_is_named(folders: Settings) -> None:
    (folders.questionnaires_dir / "broken.json").write_text("{")
    assert faults(folders)[0].startswith("broken.json: ")


def test_a_questionnaire_that_fails_its_lint_is_named(folders: Settings) -> None:
    replaced(folders.questionnaires_dir / "workday-strain.json", '"linkId": "rushed"', '"linkId": "tense"')
    assert any(line.startswith("workday-strain.json: ") for line in faults(folders))


def test_one_canonical_stands_in_one_file_only(folders: Settings) -> None:
    one = folders.questionnaires_dir / "workday-strain.json"
    shutil.copy(one, folders.questionnaires_dir / "zz-again.json")
    assert faults(folders) == [
        "zz-again.json: url and version: expected a canonical that no other file has",
        "zz-again.json: id: expected one that no other Questionnaire has; workday-strain.json has it too",
    ]


def corrected(folders: Settings, **keys: str) -> Path:
    """Returns a second mapping for the same questionnaire, with other values in guidance.yaml."""
    folder = folders.mappings_dir / "zz-again"
    shutil.copytree(folders.mappings_dir / "workday-strain", folder)
    guidance = folder / "guidance.yaml"
    for key, value in keys.items():
        guidance.write_text(re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", guidance.read_text(), count=1))
    return folder


def test_one_version_of_a_guidance_stands_in_one_folder(folders: Settings) -> None:
    corrected(folders)
    (fault,) = faults(folders)
    assert fault.startswith("zz-again/guidance.yaml: version: expected one that workday-strain does not have")


def test_one_questionnaire_is_scored_by_one_active_guidance(folders: Settings) -> None:
    corrected(folders, version="9.0.0")
    (fault,) = faults(folders)
    assert fault.startswith("zz-again/guidance.yaml: status: expected one active guidance")
    assert fault.endswith("workday-strain is active too")


@pytest.mark.parametrize(("status", "scores"), [("retired", "workday-strain"), ("draft", "workday-strain")])
def test_an_active_guidance_is_used_before_a_newer_one_that_is_not(
    folders: Settings, status: str, scores: str
) -> None:
    corrected(folders, version="9.0.0", status=status)
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    assert [pair.slug for pair in served.pairs.values()] == [scores]
    assert [pair.slug for pair in served.superseded] == ["zz-again"]


def test_a_corrected_guidance_takes_the_place_of_the_one_that_it_retires(folders: Settings) -> None:
    corrected(folders, version="9.0.0")
    replaced(folders.mappings_dir / "workday-strain" / "guidance.yaml", "status: active", "status: retired")
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    (pair,) = served.pairs.values()
    assert pair.guidance.written.identity.version == "9.0.0"
    assert [pair.slug for pair in served.superseded] == ["workday-strain"]


def test_guidance_that_nobody_signed_is_refused_where_a_review_is_required(folders: Settings) -> None:
    where = folders.questionnaires_dir, folders.mappings_dir
    with pytest.raises(GuidanceError, match=r"workday-strain/guidance\.yaml: review: .* nobody has signed"):
        catalogue.read(*where, require_review=True)
    signature = "review: {state: reviewed, by: A. Example, role: physician, on: '2026-11-28'}"
    guidance = folders.mappings_dir / "workday-strain" / "guidance.yaml"
    guidance.write_text(re.sub(r"(?ms)^review:.*?^(?=\S)", f"{signature}\n", guidance.read_text(), count=1))
    (pair,) = catalogue.read(*where, require_review=True).pairs.values()
    assert pair.guidance.written.identity.review == "reviewed by A. Example, physician, on 2026-11-28"


def test_a_draft_that_nobody_signed_keeps_no_service_from_starting(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "guidance.yaml", "status: active", "status: draft")
    assert catalogue.read(folders.questionnaires_dir, folders.mappings_dir, require_review=True).pairs


def test_a_mapping_without_its_questionnaire_is_a_fault(folders: Settings) -> None:
    replaced(
        folders.mappings_dir / "workday-strain" / "guidance.yaml",
        "workday-strain|2.1.0",
        "workday-strain|2.2.0",
    )
    (fault,) = faults(folders)
    assert "no questionnaire" in fault


def test_guidance_that_fails_its_own_cases_is_never_served(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "cases.yaml", "tier: talk", "tier: act")
    (fault,) = faults(folders)
    assert fault.startswith("workday-strain/cases.yaml: total-ten: tier: expected act")


def canonical_of(served: catalogue.Catalogue) -> str:
    (canonical,) = served.pairs
    return canonical


def refusal(served: catalogue.Catalogue, named: str) -> str:
    with pytest.raises(NotScorable) as refused:
        served.find(named)
    (problem,) = refused.value.problems
    return problem.text


def with_guidance(folders: Settings, status: str) -> catalogue.Catalogue:
    guidance = folders.mappings_dir / "workday-strain" / "guidance.yaml"
    replaced(guidance, "status: active", f"status: {status}")
    return catalogue.read(folders.questionnaires_dir, folders.mappings_dir)


def test_a_draft_scores_nothing_and_is_called_one(folders: Settings) -> None:
    served = with_guidance(folders, "draft")
    canonical = canonical_of(served)
    url = canonical.partition("|")[0]
    listed = f"Expected: questionnaire = one url|version of: {canonical} (its guidance is a draft)."
    draft = "The named version cannot be scored: its guidance is a draft"
    assert refusal(served, canonical) == f"{draft}. {listed}"
    assert refusal(served, url) == f"No version of the named questionnaire is active. {listed}"


def test_a_retired_version_scores_its_own_responses_and_no_bare_url(folders: Settings) -> None:
    served = with_guidance(folders, "retired")
    canonical = canonical_of(served)
    assert served.find(canonical) is served.pairs[canonical]
    assert "No version of the named questionnaire is active. " in refusal(served, canonical.partition("|")[0])


def test_a_retired_questionnaire_scores_its_own_responses_and_no_bare_url(folders: Settings) -> None:
    replaced(folders.questionnaires_dir / "workday-strain.json", '"status": "active"', '"status": "retired"')
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    canonical = canonical_of(served)
    assert served.find(canonical) is served.pairs[canonical]
    assert "No version of the named questionnaire is active. " in refusal(served, canonical.partition("|")[0])


def add_version(folders: Settings, version: str) -> None:
    """Publishes the pair once more, in another version of the form."""
    old = folders.questionnaires_dir / "workday-strain.json"
    new = folders.questionnaires_dir / f"workday-strain-{version}.json"
    text = old.read_text().replace('"version": "2.1.0"', f'"version": "{version}"')
    new.write_text(text.replace('"id": "workday-strain"', f'"id": "workday-strain-{version}"'))
    folder = folders.mappings_dir / f"workday-strain-{version}"
    shutil.copytree(folders.mappings_dir / "workday-strain", folder)
    replaced(folder / "guidance.yaml", "workday-strain|2.1.0", f"workday-strain|{version}")


def test_a_bare_url_is_the_newest_active_version(folders: Settings) -> None:
    for version in ("2.10.0", "2.9.0"):
        add_version(folders, version)
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    url = next(iter(served.pairs)).partition("|")[0]
    assert served.find(url) is served.pairs[f"{url}|2.10.0"]
    assert served.find(f"{url}|2.1.0") is served.pairs[f"{url}|2.1.0"]
    versions = ", ".join(f"{url}|{version}" for version in ("2.1.0", "2.9.0", "2.10.0"))
    assert refusal(served, f"{url}|3").endswith(f"Expected: questionnaire = one url|version of: {versions}.")
    assert "canary" not in refusal(served, "urn:canary|1")


def test_two_published_resources_have_two_ids(folders: Settings) -> None:
    add_version(folders, "2.9.0")
    new = folders.questionnaires_dir / "workday-strain-2.9.0.json"
    replaced(new, '"id": "workday-strain-2.9.0"', '"id": "workday-strain"')
    (fault,) = faults(folders)
    assert fault == (
        "workday-strain.json: id: expected one that no other Questionnaire has; "
        "workday-strain-2.9.0.json has it too"
    )
    out = io.StringIO()
    assert check.run(folders, out) == check.FAULTY
    assert f"fault: {fault}" in out.getvalue().splitlines()


def test_no_published_resource_has_the_id_of_one_of_our_own(folders: Settings) -> None:
    system = folders.questionnaires_dir / "CodeSystem-workday-strain-answers.json"
    replaced(system, '"id": "workday-strain-answers"', '"id": "problem-kind"')
    assert (
        "CodeSystem-workday-strain-answers.json: id: expected one that no other CodeSystem has; "
        in (faults(folders)[0])
    )


@pytest.mark.parametrize(("version", "is_one"), [("2.1.0", True), ("2.2.0", False)])
def test_no_form_takes_its_options_from_what_came_with_another(
    version: str, *, is_one: bool, folders: Settings
) -> None:
    """Of two code systems of one url and version the last would count, for every form, with its points."""
    system = folders.questionnaires_dir / "CodeSystem-workday-strain-answers.json"
    other = orjson.loads(system.read_bytes()) | {"id": "another", "version": version}
    (folders.questionnaires_dir / "another.json").write_bytes(orjson.dumps(other))
    if is_one:
        expected = (
            f"url and version: expected a canonical that no other CodeSystem has; {system.name} has it too"
        )
        assert faults(folders) == [f"another.json: {expected}"]
    else:
        assert catalogue.read(folders.questionnaires_dir, folders.mappings_dir).pairs


def test_check_reports_a_sound_pair_and_counts_its_statements(folders: Settings) -> None:
    out = io.StringIO()
    assert check.run(folders, out) == check.SOUND
    report = out.getvalue()
    assert "2 of 2 statements accounted for" in report
    assert "6 worked cases pass" in report
    assert "promises proved" in report


def test_check_names_each_fault_and_fails(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "rules.yaml", "tier: act", "tier: acts")
    out = io.StringIO()
    assert check.run(folders, out) == check.FAULTY
    assert "fault: workday-strain/rules.yaml: " in out.getvalue()


def test_every_statement_of_the_source_is_accounted_for(root: Path) -> None:
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    for pair in served.pairs.values():
        statements = pair.guidance.written.statements
        assert {statement.id for statement in statements} == {f"S{number:03d}" for number in range(1, 335)}


@pytest.mark.parametrize(
    ("subject", "is_assessed"),
    [("Patient/1", True), ("Group/1", True), ("Device/1", False), ("Location/1", False)],
)
def test_a_form_about_anything_is_scored_only_for_whom_r4_has_a_risk_assessment(
    folders: Settings, subject: str, is_assessed: bool
) -> None:
    form = folders.questionnaires_dir / "workday-strain.json"
    document = orjson.loads(form.read_bytes())
    del document["subjectType"]
    form.write_bytes(orjson.dumps(document))
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    response = strain() | {"subject": {"reference": subject}}
    assessor = Assessor(served, BodyLimits())
    if is_assessed:
        risk = orjson.loads(assessor.assess_body(orjson.dumps(response)).body)
        assert risk["subject"] == {"reference": subject}
        return
    with pytest.raises(NotScorable) as refused:
        assessor.assess_body(orjson.dumps(response))
    assert [problem.kind for problem in refused.value.problems] == ["subject-type"]


def test_check_counts_questions_of_the_cases_that_ask_for_it(folders: Settings) -> None:
    """Three items make nine points: one more in another changes the band, fewer in these do not."""
    cases = folders.mappings_dir / "workday-strain" / "cases.yaml"
    replaced(cases, "  like: nothing-at-all\n", "  like: nothing-at-all\n  floor: true\n")
    out = io.StringIO()
    assert check.run(folders, out) == check.SOUND
    words = "8 questions asked, 4 can each alone change the step, its date or a level, 2 pages"
    least = "no interview can do with fewer than 4"
    assert [line for line in out.getvalue().splitlines() if "asked" in line] == [
        f"  total-nine: {words}; {least}"
    ]
