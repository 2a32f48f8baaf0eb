"""What `check` says that the worked cases of a guidance reach, and what they do not."""

import io
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from service import catalogue, check
from service.authoring import warnings
from service.authoring.editions import Edition
from service.authoring.warnings import coverage_lines, possible_totals
from service.datatypes.values import replace
from service.guidance.conditions import Measured
from service.settings import ROOT, Settings

Edit = Callable[[Path, str, str, str], None]
EditionOf = Callable[[Path], Edition]
SettingsOf = Callable[[Path], Settings]


@pytest.fixture
def lines(settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Returns the lines of a report that are about coverage and totals; the proofs are left out."""

    def lines_(copy: Path) -> list[str]:
        monkeypatch.setattr(check, "proof_report", lambda guidance, asked: (("proved",), True))
        out = io.StringIO()
        assert check.run(settings_of(copy), out) == check.SOUND, out.getvalue()
        found = [line.strip() for line in out.getvalue().splitlines()]
        return [line for line in found if "reach" in line or "has the total" in line]

    return lines_


Lines = Callable[[Path], list[str]]


def without_cases(copy: Path, *kept: str) -> None:
    """Leaves only these worked cases of a copy."""
    path = copy / "mappings" / "phq-9" / "cases.yaml"
    parts = path.read_text().split("- case: ")
    path.write_text("".join("- case: " + part for part in parts if part.split("\n")[0] in kept) or "[]\n")


def test_the_worked_example_reaches_every_rule_band_and_edge(new: Path, lines: Lines) -> None:
    first, *others = lines(new)
    assert first == "worked cases reach 13 of 13 rules, 5 of 5 bands, 26 of 40 options, 2 of 2 edges"
    assert others[0] == "not reached: question interest: no worked case answers several-days"
    assert {line.partition(" ")[0] for line in others} == {"not"}


def test_rules_bands_and_edges_that_no_case_reaches_are_named(new: Path, lines: Lines) -> None:
    without_cases(new, "nothing-at-all", "total-four")
    first, *others = lines(new)
    assert first == "worked cases reach 3 of 13 rules, 1 of 5 bands, 12 of 40 options, 1 of 2 edges"
    assert "not reached: rules.yaml: total-severe: no worked case fires it" in others
    assert "not reached: scores.yaml: total.bands.severe: no worked case lies in it" in others
    assert "not reached: guidance.yaml: parameters.cut-off: in no worked case total is at-least it" in others
    assert not [line for line in others if "is not at-least" in line]


def test_a_total_that_is_not_known_reaches_no_band(new: Path, lines: Lines) -> None:
    without_cases(new)
    case = (
        "- {case: open, about: Nothing is answered., status: in-progress, expect: {score: {total: [0, 27]}}}"
    )
    (new / "mappings" / "phq-9" / "cases.yaml").write_text(f"{case}\n")
    assert "0 of 5 bands" in lines(new)[0]


def test_a_question_that_the_guidance_does_not_read_has_no_options_to_try(new: Path, lines: Lines) -> None:
    path = new / "questionnaires" / "phq-9.json"
    form = orjson.loads(path.read_bytes())
    option = {"valueCoding": {"system": "urn:a:b", "code": "one"}}
    form["item"].append({"linkId": "more", "text": "More?", "type": "choice", "answerOption": [option]})
    path.write_bytes(orjson.dumps(form))
    assert "26 of 40 options" in lines(new)[0]


def test_what_nobody_is_asked_is_no_number_on_the_near_side_of_an_edge() -> None:
    """Where answers hide a question for certain, its comparisons are absent; that tries no edge."""
    settings = Settings()
    (pair,) = catalogue.read(settings.questionnaires_dir, settings.mappings_dir).pairs.values()
    tests = {node.atom.test for node in pair.guidance.graph.nodes if node.atom is not None}
    numbers = {test.link_id for test in tests if isinstance(test, Measured)}
    closed = ((case, pair.compiled.answers_of(case.answers).closed & numbers) for case in pair.guidance.cases)
    case, hidden = next((case, links) for case, links in closed if links)
    alone = replace(pair, guidance=replace(pair.guidance, cases=(case,)))
    lines = list(coverage_lines(alone))
    for link in hidden:
        assert [line for line in lines if f" {link} is not " in line]


def test_without_a_case_nothing_is_reached(new: Path, lines: Lines) -> None:
    without_cases(new)
    assert lines(new)[0] == "worked cases reach 0 of 13 rules, 0 of 5 bands, 0 of 40 options, 0 of 2 edges"


def test_a_total_that_no_answers_add_up_to_is_no_edge_to_try(new: Path, edit: Edit, lines: Lines) -> None:
    """Only even totals can be had here, so nobody could write a case for an odd one."""
    without_cases(new)
    parts = "[interest, mood, sleep, energy, appetite, self-worth, concentration, movement, self-harm]"
    doubled = ", ".join(f"{{answer: {name}, times: 2}}" for name in parts.strip("[]").split(", "))
    edit(new, "scores.yaml", parts, f"[{doubled}]")
    edit(new, "scores.yaml", "to: 27", "to: 54")
    found = [line.rpartition(" ")[2] for line in lines(new) if "has the total" in line]
    assert found == ["4", "10", "14", "20"]


def test_the_totals_of_the_worked_example_are_those_of_nine_questions(new: Path, edition: EditionOf) -> None:
    pair = edition(new).pair
    assert pair is not None
    assert possible_totals(pair.guidance.written.scores[0], pair) == {Decimal(n) for n in range(28)}


def test_a_score_with_too_many_totals_is_taken_to_have_any(
    new: Path, edition: EditionOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = edition(new).pair
    assert pair is not None
    monkeypatch.setattr(warnings, "MOST_TOTALS", 10)
    assert possible_totals(pair.guidance.written.scores[0], pair) is None


def test_rules_that_are_switched_off_do_not_count_and_cases_come_with_what_was_answered_before() -> None:
    """Rules for a deployment without emergency steps, and one that fires only beside an earlier response."""
    served = catalogue.read(ROOT / "questionnaires", ROOT / "mappings")
    pair = next(pair for pair in served.pairs.values() if pair.slug == "muscle-twitching")
    first, *others = coverage_lines(pair)
    found = re.search(r"(\d+) of (\d+) rules", first)
    assert found is not None
    reached, counted = map(int, found.groups())
    assert (reached, [line for line in others if "rules.yaml" in line]) == (counted, [])
    off = [rule.name for rule in pair.guidance.written.rules if "needs-prompt-evaluation" in rule.name]
    assert len(pair.guidance.written.rules) - counted >= len(off) > 0
