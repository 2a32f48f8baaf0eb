"""The CQL of every guidance, translated and run by the tools of others, decides as the service does.

The translator is that of the CQL framework, the engine npm's cql-execution with cql-exec-fhir. Half of the
random responses also answer questions that are closed. CQL_RESPONSES says how many of them are tried.
"""

import os
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from case_responses import response_of
from interviews import random_patients
from small_guidances import RULES
from small_guidances import pair as small_pair

from service import catalogue
from service.catalogue import Pair
from service.clinical_reasoning.cql import libraries_of
from service.clinical_reasoning.cql_answers import CannotBeWritten, comment, limit_of, name, quoted
from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.values import replace
from service.guidance.result import Result
from service.results.phrases import is_assessable

ROOT = Path(__file__).resolve().parents[2]
PLACES = (".", "tests/second_pair", "tests/instruments", "docs/authoring/phq-9")
RESPONSES = int(os.environ.get("CQL_RESPONSES", "500"))
SMALL = 30
"""How many responses to a form are tried whose answers are few."""
SLUGS = ("muscle-twitching", "workday-strain", "gad-7", "phq-4", "pss-4", "curb-65", "wells-dvt", "phq-9")
INEXACT = 0.1
"""The share of quantities and dates that are less exact than the form asks for."""
COMPARATORS = ("<", "<=", ">=", ">")
STATES = {"present": True, "absent": False, "unknown": None}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def pairs() -> dict[str, Pair]:
    found = [catalogue.read(ROOT / place / "questionnaires", ROOT / place / "mappings") for place in PLACES]
    return {pair.slug: pair for one in found for pair in one.pairs.values()}


@pytest.fixture(scope="module")
def translated(pairs, tmp_path_factory, translate) -> tuple[Path, dict[str, str], list[str]]:
    """The folder of all libraries, a folder for each guidance; the main library of each; what was said."""
    folder, mains = tmp_path_factory.mktemp("cql"), {}
    asked = []
    for slug, pair in pairs.items():
        (folder / slug).mkdir()
        for library in libraries_of(pair.guidance, pair.compiled):
            (folder / slug / f"{library.name}.cql").write_text(library.text)
            mains[slug] = library.name
        asked.append((folder / slug, mains[slug], library.version))
    return folder, mains, translate(asked)


def people(pair: Pair, count: int) -> Iterator[tuple[Result, Json]]:
    """Yields what the service makes of random answers, and the response that holds them."""
    for seed, drawn in enumerate(random_patients(pair, range(count))):
        case = replace(drawn, answers=dict(less_exact(drawn.answers, Random(seed))))
        closed_too = seed % 2 == 0
        told = pair.compiled.answers_of(case.answers, authored=case.authored)
        if not closed_too:
            told = pair.compiled.answers_of(told.given, authored=case.authored)
        yield pair.guidance.evaluate(told), response_of(pair, case, closed_too=closed_too)


def less_exact(answers: AnswersByLink, chance: Random) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """Yields the answers, some quantities with a comparator, and some dates without day or month."""
    for link, values in answers.items():
        (value, *more) = values
        if chance.random() > INEXACT or more:
            yield link, values
        elif isinstance(value, Quantity):
            yield link, (value._replace(comparator=chance.choice(COMPARATORS)),)
        elif isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            yield link, (value[: chance.choice((4, 7))],)
        else:
            yield link, values


def said(result: Result) -> Json:
    """Returns what the library must say: step, levels, date and findings, by the names of its definitions."""
    ladder = [tier.code for tier in result.tiers]
    assessable = is_assessable(result.tier)
    found: Json = {
        "Step": ladder[result.tier.at_least] if assessable else "not-assessable",
        "Step at least": ladder[result.tier.at_least],
        "Step at most": ladder[result.tier.at_most],
    }
    if result.due is not None:
        found["Days until seen"] = result.due.days
    for risk in result.risks:
        levels = risk.outcome.levels
        found[f"{risk.outcome.code} at least"] = levels[risk.level.at_least]
        found[f"{risk.outcome.code} at most"] = levels[risk.level.at_most]
    return found | {called: STATES[state] for called, state in result.findings.items()}


@pytest.mark.slow
def test_the_translator_takes_every_library_without_a_word_of_error(translated):
    _, mains, messages = translated
    assert set(mains) >= {"muscle-twitching", "workday-strain", "gad-7", "curb-65", "wells-dvt"}
    assert [line for line in messages if ": Error: " in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_random_responses_get_the_same_step_levels_date_and_findings(pairs, translated, execute, slug):
    folder, mains, _ = translated
    pair = pairs[slug]
    results, responses = zip(*people(pair, RESPONSES if slug == SLUGS[0] else SMALL), strict=True)
    wrong = []
    for number, (result, found) in enumerate(
        zip(results, execute(folder / slug, mains[slug], responses), strict=True)
    ):
        differ = {
            called: (value, found.get(called, "not there"))
            for called, value in said(result).items()
            if found.get(called, "not there") != value
        }
        wrong += [(number, differ)] if differ else []
    assert wrong == []


@pytest.mark.slow
def test_without_a_response_nothing_is_known_and_nothing_denied(pairs, translated, execute):
    """A response to another version, or one that is not to be scored, is none: the step stays open."""
    folder, mains, _ = translated
    slug = SLUGS[0]
    _, response = next(people(pairs[slug], 1))
    others = [response | {"questionnaire": "https://guidance.example.org/other"}]
    others += [response | {"status": status} for status in ("entered-in-error", "stopped")]
    ladder = [tier.code for tier in pairs[slug].guidance.written.tiers]
    for found in execute(folder / slug, mains[slug], others):
        assert (found["Step"], found["Step at most"]) == ("not-assessable", ladder[-1])


@pytest.mark.slow
def test_of_several_responses_the_newest_counts(pairs, translated, execute):
    folder, mains, _ = translated
    slug = "gad-7"
    results, responses = zip(*people(pairs[slug], SMALL), strict=True)
    tried = list(zip(results, responses, strict=True))
    (mild, first), (severe, last) = (pick(tried, key=lambda one: one[0].tier.at_least) for pick in (min, max))
    days = ("2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z")
    older, newer = ([one | {"authored": day} for one in (first, last)] for day in days)
    sent = [[older[0], newer[1]], [newer[1], older[0]], [newer[0], older[1]], [older[1], newer[0]]]
    steps = [found["Step at least"] for found in execute(folder / slug, mains[slug], sent)]
    expected = [said(result)["Step at least"] for result in (severe, severe, mild, mild)]
    assert steps == expected
    assert len(set(steps)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["gad-7", "muscle-twitching"])
def test_a_response_that_is_not_read_and_may_be_newer_leaves_no_step_settled(
    pairs, translated, execute, slug
):
    """That of an adaptive form, or to another version: what an older one gives is the least."""
    folder, mains, _ = translated
    tried = [one for one in people(pairs[slug], 300) if one[0].tier.settled]
    (_, mild), (severe, worst) = (pick(tried, key=lambda one: one[0].tier.at_least) for pick in (min, max))
    url = pairs[slug].compiled.url
    day, before, after = (f"2026-03-0{number}T09:00:00Z" for number in (2, 1, 3))
    read = [one | {"authored": day} for one in (mild, worst)]
    contained = {"resourceType": "Questionnaire", "id": "asked", "status": "active", "derivedFrom": [url]}
    adaptive = mild | {"questionnaire": "#asked", "contained": [contained]}
    newer = [
        adaptive | {"authored": after},
        mild | {"questionnaire": f"{url}|0.0.1", "authored": after},
        {name: value for name, value in adaptive.items() if name != "authored"},
        {name: value for name, value in mild.items() if name != "authored"},
    ]
    others = [one | {"authored": before} for one in newer[:2]]
    others += [newer[0] | {"status": "entered-in-error"}]
    others += [mild | {"questionnaire": "https://guidance.example.org/other", "authored": after}]
    ladder = [tier.code for tier in severe.tiers]
    alone = execute(folder / slug, mains[slug], read)
    for other in newer:
        calm, known = execute(folder / slug, mains[slug], [[one, other] for one in read])
        assert (calm["Step"], calm["Step at most"]) == ("not-assessable", ladder[-1]), other
        assert (known["Step"], known["Step at most"]) == (alone[1]["Step"], ladder[-1])
    for other in others:
        assert execute(folder / slug, mains[slug], [[one, other] for one in read]) == alone
    assert alone[0]["Step"] == ladder[1]
    assert alone[1]["Step"] not in ladder[:2]


@pytest.mark.parametrize(
    ("value", "edge", "limit"),
    [
        (Fraction(21), "more than", "21"),
        (Fraction(1, 3), "more than", "0.33333333"),
        (Fraction(1, 3), "at least", "0.33333334"),
        (Fraction(1, 3), "less than", "0.33333334"),
        (Fraction(1, 3), "at most", "0.33333333"),
        (Fraction(0), "more than", "0"),
    ],
)
def test_a_limit_keeps_the_same_numbers_beyond_it_in_eight_places(value, edge, limit):
    assert limit_of(value, edge) == Decimal(limit)


def test_words_cannot_end_a_name_a_text_or_a_comment():
    assert name('a "b" \\') == '"a \\"b\\" \\\\"'
    assert quoted("it's \\") == "'it\\'s \\\\'"
    assert comment(["ends */ here"]).count("*/") == 1


def test_every_finding_and_rule_is_defined_with_its_statements(pairs):
    pair = pairs[SLUGS[0]]
    text = libraries_of(pair.guidance, pair.compiled)[-1].text
    written = pair.guidance.written
    sections = {statement.id: statement.section for statement in written.statements}
    names = [finding.name for finding in written.findings] + [f"Rule {rule.name}" for rule in written.rules]
    found = re.findall(r'(/\*(?:[^*]|\*(?!/))*\*/)\ndefine "([^"]+)":', text)
    about = {called: says for says, called in found}
    for called, sources in zip(
        names, [entry.sources for entry in (*written.findings, *written.rules)], strict=True
    ):
        for source in sources:
            assert source in about[called], called
            assert sections[source] in about[called], called


def test_a_score_whose_points_unfit_answers_can_change_is_refused_by_its_name():
    """`lasts` adds a point, and its question can be closed: it then counts where a rule alarms by it."""
    without = small_pair(rules=tuple(name for name in RULES if name != "plan-lasts"), contradicts=False)
    assert libraries_of(without.guidance, without.compiled)
    alarming = small_pair(contradicts=False)
    with pytest.raises(CannotBeWritten, match=r"^score sum: it adds points for what answers that do not fit"):
        libraries_of(alarming.guidance, alarming.compiled)


def test_a_form_with_items_inside_a_group_that_repeats_is_refused_by_name(pairs):
    pair = pairs[SLUGS[0]]
    group = next(item for item in pair.compiled.items.values() if item.type == "group" and item.children)
    items = {**pair.compiled.items, group.link_id: replace(group, repeats=True)}
    with pytest.raises(CannotBeWritten, match=group.link_id):
        libraries_of(pair.guidance, pair.compiled.with_items(items))
