"""Responses by chance: the same from one seed everywhere, each valid, near the worked cases."""

import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from case_responses import answers_by_link, answers_in_order
from form_with_totals import folders_with_totals

from service import catalogue, cli
from service.assess import Assessor
from service.authoring.generator import CaseResponses, Patients, Wanted, generated
from service.catalogue import Catalogue, Pair
from service.errors import GuidanceError
from service.fhir.json import BodyLimits, decoded, encoded
from service.settings import ROOT
from service.validate import Validator

LIMITS = BodyLimits(1 << 20, 64)
SECOND, INSTRUMENTS = ROOT / "tests/second_pair", ROOT / "tests/instruments"

OF_SECOND_PAIR = "ef64c2b12c5775c75e88842287c2a0eb36838d77797b1f243bd6417367a53657"
"""Hash of forty responses to the second questionnaire, seed 5: the same on every machine and Python."""


@cache
def served(folder: Path) -> Catalogue:
    return catalogue.read(folder / "questionnaires", folder / "mappings")


@cache
def made(folder: Path, count: int, partial: float = 0.2) -> tuple[bytes, ...]:
    return tuple(generated(served(folder), Wanted(count, partial=partial)))


def pair_of(folder: Path) -> Pair:
    return next(iter(served(folder).pairs.values()))


@pytest.mark.parametrize("folder", [ROOT, SECOND, INSTRUMENTS])
def test_every_response_is_valid_and_has_a_result(folder: Path) -> None:
    validator, assessor = Validator(served(folder), LIMITS), Assessor(served(folder), LIMITS)
    for line in made(folder, 60):
        wrong = [found for found in validator.problems(decoded(line)) if found.severity in ("error", "fatal")]
        assert wrong == []
        assert assessor.assess_body(line).step


def test_every_guidance_in_use_and_most_of_its_steps_are_met() -> None:
    assessor = Assessor(served(INSTRUMENTS), LIMITS)
    met = Counter(assessor.assess_body(line).guidance for line in made(INSTRUMENTS, 60))
    assert len(met) == len(served(INSTRUMENTS).pairs)
    steps = {Assessor(served(ROOT), LIMITS).assess_body(line).step for line in made(ROOT, 60)}
    assert len(steps) >= len(pair_of(ROOT).guidance.written.tiers) - 1


def test_each_response_has_an_id_and_a_person_of_its_own() -> None:
    found = [orjson.loads(line) for line in made(SECOND, 60)]
    assert [one["id"] for one in found] == [f"1-{number}" for number in range(1, 61)]
    assert len({one["subject"]["reference"] for one in found}) == 60


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_hashes_is() -> None:
    script = (
        "import sys, hashlib; from pathlib import Path; from service import catalogue;"
        "from service.authoring.generator import Wanted, generated;"
        "served = catalogue.read(Path(sys.argv[1]) / 'questionnaires', Path(sys.argv[1]) / 'mappings');"
        "print(hashlib.sha256(b'\\n'.join(generated(served, Wanted(40, seed=5)))).hexdigest())"
    )
    for folder in (SECOND, INSTRUMENTS):
        hashes = {
            subprocess.run(
                [sys.executable, "-c", script, folder],
                env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for hash_seed in ("1", "2")
        }
        assert len(hashes) == 1
    lines = b"\n".join(generated(served(SECOND), Wanted(40, seed=5)))
    assert hashlib.sha256(lines).hexdigest() == OF_SECOND_PAIR


def test_another_seed_gives_others_and_fewer_are_the_first_of_more() -> None:
    few, other = (tuple(generated(served(SECOND), Wanted(5, seed=seed))) for seed in (1, 2))
    assert few == made(SECOND, 60)[:5]
    assert not set(few) & set(other)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 15, 45), (1.0, 60, 60)])
def test_the_wanted_share_is_in_progress(share: float, low: int, high: int) -> None:
    begun = sum(orjson.loads(line)["status"] == "in-progress" for line in made(SECOND, 60, share))
    assert low <= begun <= high


def test_people_stay_near_the_worked_case_that_they_are_like() -> None:
    """Two answers in a hundred are changed of most; the others are those of the case."""
    pair = pair_of(ROOT)
    patients, cases = Patients(pair), {case.name: case.answers for case in pair.guidance.cases}
    for seed in range(20):
        case = patients.drawn(Random(seed), (0.02,))
        own = cases[case.name]
        asked, _ = pair.compiled.enabled(own)
        same = [link for link in own if link in asked and case.answers.get(link) == own[link]]
        assert len(same) >= 0.8 * len(asked & own.keys())


def test_changed_answers_are_mostly_those_of_other_cases() -> None:
    pair = pair_of(SECOND)
    patients, link = Patients(pair), next(iter(pair.guidance.form.questions))
    told = Counter(case.answers[link] for case in pair.guidance.cases if link in case.answers)
    drawn = Counter(patients.drawn(Random(seed), (1.0,)).answers.get(link) for seed in range(600))
    (commonest, times), *_ = told.most_common()
    expected = 0.9 * (0.75 * times / told.total() + 0.25 / len(pair.guidance.form.questions[link].options))
    assert drawn[commonest] / 600 == pytest.approx(expected, abs=0.08)


def test_values_that_the_form_calculates_are_those_that_it_calculates(tmp_path: Path) -> None:
    folders = folders_with_totals(tmp_path)
    totals = catalogue.read(folders["questionnaires"], folders["mappings"])
    validator = Validator(totals, LIMITS)
    lines = list(generated(totals, Wanted(10, partial=0)))
    for line in lines:
        found = validator.problems(decoded(line))
        assert [one for one in found if one.severity in ("error", "fatal")] == []
        assert answers_by_link(orjson.loads(line))["total"]


CONSTRAINT = {
    "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-constraint",
    "extension": [
        {"url": "key", "valueId": "own-1"},
        {"url": "severity", "valueCode": "error"},
        {"url": "human", "valueString": "Not what everybody can answer"},
    ],
}


@pytest.mark.parametrize(
    "rule", ["%resource.repeat(item).where(linkId = 'tense').answer.value.code = 'never'", "false"]
)
def test_only_what_the_rules_of_the_form_allow_is_made(tmp_path: Path, rule: str) -> None:
    """Answers to this question are drawn like others; a response that breaks the rule is drawn again."""
    shutil.copytree(SECOND, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "questionnaires/workday-strain.json"
    form = orjson.loads(path.read_bytes())
    told = [*CONSTRAINT["extension"], {"url": "expression", "valueString": rule}]
    form["extension"] = [{**CONSTRAINT, "extension": told}]
    path.write_bytes(orjson.dumps(form))
    lines = generated(served(tmp_path), Wanted(8, partial=0))
    if rule == "false":
        with pytest.raises(GuidanceError, match=r"workday-strain/cases.yaml: expected a case"):
            next(lines)
        return
    given = [answers_by_link(orjson.loads(line))["tense"] for line in lines]
    assert [one["valueCoding"]["code"] for (one,) in given] == ["never"] * 8


def test_a_case_is_written_as_a_form_sends_it() -> None:
    pair = pair_of(ROOT)
    case = pair.guidance.cases[0]
    response = orjson.loads(encoded(CaseResponses(pair).of(case)))
    sample = orjson.loads((ROOT / "samples/plain-eyelid.json").read_bytes())
    found, sent = (dict(answers_in_order(one)) for one in (response, sample))
    assert sum(found.get(link) == answers for link, answers in sent.items()) >= 30
    assert [each for each in questions_in(response) if each in questions_in(sample)] == [
        each for each in questions_in(sample) if each in questions_in(response)
    ]
    assert len(questions_in(response)) >= 40


def questions_in(holder: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns linkId and text of every item, groups too, in the order of the response."""
    found = []
    for item in holder.get("item", []):
        found += [(item["linkId"], item["text"]), *questions_in(item)]
    return found


def test_a_guidance_that_is_not_in_use_is_named_as_a_fault() -> None:
    with pytest.raises(GuidanceError, match="--questionnaire: expected one in use: workday-strain"):
        next(generated(served(SECOND), Wanted(1, slug="other")))


@pytest.fixture
def second_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUESTIONNAIRES", "MAPPINGS"):
        monkeypatch.setenv(f"SERVICE_{name}_DIR", str(SECOND / name.lower()))


@pytest.mark.usefixtures("second_pair")
def test_the_command_writes_a_line_for_each(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    out = tmp_path / "responses.ndjson"
    named = ["--questionnaire", "workday-strain", "--partial", "0"]
    assert cli.main(["generate", "5", str(out), "--seed", "3", *named]) == 0
    wanted = Wanted(5, seed=3, slug="workday-strain", partial=0)
    assert out.read_bytes().splitlines() == list(generated(served(SECOND), wanted))
    assert cli.main(["generate", "5", "-", "--seed", "3", *named]) == 0
    assert capfdbinary.readouterr().out == out.read_bytes()


@pytest.mark.usefixtures("second_pair")
def test_what_cannot_be_made_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "responses.ndjson"
    assert cli.main(["generate", "5", str(out), "--questionnaire", "canary"]) == 2
    assert not out.exists()
    assert "canary" not in capsys.readouterr().err
