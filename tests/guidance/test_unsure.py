"""`unsure`: what was answered leaves a condition undecided; held against the words of its definition."""

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import headache
import pytest
from headache import NO, NOT_SURE, YES, local

from service.datatypes.answers import UNREAD, Answer, Quantity
from service.guidance import Guidance, load

ANSWERS: dict[str, tuple[tuple[str, Answer], ...]] = {
    **dict.fromkeys(
        ("worse", "neck-stiff", "tense", "checked"), (("yes", YES), ("no", NO), ("unsure", NOT_SURE))
    ),
    "glasses": (("yes", local("new")), ("no", local("old")), ("unsure", "my own words")),
    "strength": (("yes", 7), ("no", 3), ("unsure", Quantity(headache.Decimal(6), "1", ">"))),
    "sudden": (("yes", True), ("no", False)),
}
"""By question: answers that fit its test, do not, or leave it undecided."""

TESTS: dict[str, Any] = {
    **{link_id: {"answer": link_id, "is": "yes"} for link_id in ("worse", "neck-stiff", "tense", "checked")},
    "glasses": {"answer": "glasses", "is": "new"},
    "strength": {"answer": "strength", "at-least": {"parameter": "strong"}},
    "sudden": {"answer": "sudden", "is": True},
}
TWO = {"parameter": "two-signs"}


def guidance_with(**whens: Any) -> Guidance:
    """The fixture guidance with further findings that nothing reads."""
    documents = headache.documents()
    for name, when in whens.items():
        more = {"not-sure": "present"} if name.startswith("counted") else {}
        entry = {"finding": name.replace("_", "-"), "kind": "recorded", "means": "A finding of this test."}
        documents["findings"].append({**entry, "when": when, "origin": "project", "sources": [], **more})
    return load(documents, headache.form())


def state(guidance: Guidance, finding: str, given: dict[str, tuple[Answer, ...]], **more: Any) -> str:
    return str(guidance.evaluate(headache.respond(given, **more)).findings[finding])


# The definition, word by word, for conditions in which each question is tested once.

Said = dict[str, str]
"""By question: `yes`, `no`, `unsure` or `open`."""


def value(when: Any, said: Said) -> str:
    """What a condition is: present, absent, unsure, undecided (by several answers), or open."""
    if "answer" in when:
        return {"yes": "present", "no": "absent"}.get(said[when["answer"]], said[when["answer"]])
    if "not" in when or "none" in when:
        inner = value(when.get("not", {"any": when.get("none")}), said)
        return {"present": "absent", "absent": "present"}.get(inner, inner)
    word = next(word for word in ("any", "all", "of") if word in when)
    values = [value(part, said) for part in when[word]]
    need = {"any": 1, "all": len(values), "of": 2}[word]
    present = values.count("present")
    if present >= need or len(values) - values.count("absent") < need:
        return "present" if present >= need else "absent"
    if present == need - 1 and "unsure" in values:
        return "unsure"
    return "open" if "open" in values else "undecided"


def completions(said: Said) -> Iterator[Said]:
    """Every way in which the open questions can be answered; what was answered stays."""
    choices = [
        [word for word, _ in ANSWERS[link_id]] if word == "open" else [word] for link_id, word in said.items()
    ]
    return (dict(zip(said, words, strict=True)) for words in product(*choices))


def expected(when: Any, said: Said) -> str:
    """What `unsure` is about a condition, whatever is still open."""
    if value(when, said) == "unsure":
        return "present"
    reached = {value(when, whole) for whole in completions(said)}
    return "unknown" if "unsure" in reached else "absent"


def drawn(chance: random.Random, links: list[str], depth: int) -> Any:
    """A condition in which each of these questions is tested once at most."""
    if depth == 0 or len(links) == 1:
        return TESTS[links[0]]
    word = chance.choice(["any", "all", "none", "not", "at-least"])
    if word == "not":
        return {"not": drawn(chance, links, depth - 1)}
    cut = chance.randint(1, len(links) - 1)
    groups = [links[:cut], links[cut:]]
    if word == "at-least":
        if len(links) < 3:
            return {"all": [drawn(chance, group, depth - 1) for group in groups]}
        groups = [links[:1], links[1:2], links[2:]]
        return {"at-least": TWO, "of": [drawn(chance, group, depth - 1) for group in groups]}
    return {word: [drawn(chance, group, depth - 1) for group in groups]}


@pytest.mark.parametrize("seed", range(8))
def test_unsure_is_what_its_definition_says_for_any_condition(seed: int) -> None:
    chance = random.Random(seed)
    linked = [chance.sample(sorted(ANSWERS), chance.randint(1, 5)) for _ in range(10)]
    whens = {f"named_{place}": drawn(chance, links, 3) for place, links in enumerate(linked)}
    about = {f"about_{name}": {"unsure": name.replace("_", "-")} for name in whens}
    directly = {f"directly_{name}": {"unsure": when} for name, when in whens.items()}
    guidance = guidance_with(**whens, **about, **directly)
    for _ in range(60):
        everything = {link: chance.choice(["open", *(word for word, _ in ANSWERS[link])]) for link in ANSWERS}
        given = {link: (dict(ANSWERS[link])[word],) for link, word in everything.items() if word != "open"}
        findings = guidance.evaluate(headache.respond(given)).findings
        for place, links in enumerate(linked):
            when = whens[f"named_{place}"]
            wanted = expected(when, {link: everything[link] for link in links})
            assert findings[f"about-named-{place}"] == wanted, (when, everything)
            assert findings[f"directly-named-{place}"] == wanted, (when, everything)


# What the definition says of findings, of several answers to one question, and of what cannot be read.


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((NOT_SURE,), "present"),
        ((local("left"),), "absent"),
        ((local("front"),), "absent"),
        ((local("left"), NOT_SURE), "absent"),
        ((NOT_SURE, local("right")), "absent"),
        ((local("back"), NOT_SURE), "present"),
        ((local("back"), UNREAD), "unknown"),
        ((local("left"), UNREAD), "absent"),
        ((NOT_SURE, UNREAD), "present"),
        (None, "unknown"),
    ],
)
def test_in_a_list_not_sure_concerns_the_options_that_are_not_ticked(given: Any, wanted: str) -> None:
    guidance = guidance_with(about={"unsure": "one-sided"})
    answers = {"head-pain": (YES,), **({} if given is None else {"head-side": given})}
    assert state(guidance, "about", answers) == wanted


def test_what_was_rightly_not_asked_is_not_unsure() -> None:
    guidance = guidance_with(about={"unsure": "one-sided"})
    assert state(guidance, "about", {"head-pain": (NO,)}) == "absent"


@pytest.mark.parametrize(
    ("link_id", "when"), sorted((link, test) for link, test in TESTS.items() if link != "sudden")
)
def test_a_finding_for_which_not_sure_counts_is_never_unsure(link_id: str, when: Any) -> None:
    guidance = guidance_with(counted=when, about={"unsure": "counted"})
    unsure = {link_id: (dict(ANSWERS[link_id])["unsure"],)}
    assert state(guidance, "counted", unsure) == "present"
    assert state(guidance, "about", unsure) == "absent"
    assert state(guidance, "about", {}) == "absent"


def test_a_finding_that_a_contradiction_makes_present_is_not_unsure() -> None:
    documents = headache.documents()
    documents["contradictions"] = [
        {
            "contradiction": "calm-and-tense",
            "between": [{"answer": "sudden", "is": True}, {"answer": "breaks", "is": "never"}],
            "worse": ["forced"],
            "patient": "Please check.",
            "clinician": "Please check.",
        }
    ]
    shared = {"kind": "recorded", "means": "Of this test.", "origin": "project", "sources": []}
    documents["findings"] += [
        {"finding": "forced", "when": TESTS["tense"], **shared},
        {"finding": "about", "when": {"unsure": "forced"}, **shared},
    ]
    documents["cases"] = []
    guidance = load(documents, headache.form())
    not_sure = {"tense": (NOT_SURE,), "sudden": (True,)}
    assert state(guidance, "about", {**not_sure, "breaks": (local("often"),)}) == "present"
    assert state(guidance, "about", {**not_sure, "breaks": (local("never"),)}) == "absent"


def test_a_value_of_the_chart_decides_what_somebody_was_not_sure_about() -> None:
    documents = headache.documents()
    documents["findings"].append(
        {
            "finding": "about",
            "kind": "recorded",
            "means": "Of this test.",
            "when": {"unsure": {"answer": "tense", "is": "yes"}},
            "origin": "project",
            "sources": [],
        }
    )
    guidance = load(documents, headache.form())
    not_sure: dict[str, tuple[Answer, ...]] = {"tense": (NOT_SURE,)}
    assert state(guidance, "about", not_sure) == "present"
    assert state(guidance, "about", not_sure, chart={"tense": (YES,)}) == "absent"


def test_unsure_gives_the_answers_as_reasons_and_names_what_is_open() -> None:
    documents = headache.documents()
    rule = {
        "rule": "asks",
        "kind": "trigger",
        "when": {"unsure": {"all": [TESTS["tense"], TESTS["checked"]]}},
    }
    documents["rules"].insert(
        0, {**rule, "tier": "soon", "says": {"clinician": "Unsure."}, "origin": "project", "sources": []}
    )
    documents["cases"] = []
    guidance = load(documents, headache.form())
    fired = guidance.evaluate(headache.respond(tense=NOT_SURE, checked=YES)).fired
    assert [(one.rule.name, one.answers) for one in fired] == [("asks", ("tense", "checked"))]
    calm = {"sudden": False, "neck_stiff": NO, "worse": NO, "strength": 0, "head_pain": NO}
    open_ = guidance.evaluate(headache.respond(tense=NOT_SURE, **calm)).open
    assert "checked" in [question.link_id for question in open_]


def test_nobody_can_be_unsure_where_every_answer_decides() -> None:
    guidance = guidance_with(
        about={"unsure": {"any": [TESTS["sudden"], {"answer": "note", "answered": True}]}}
    )
    assert state(guidance, "about", {}) == "absent"
    assert state(guidance, "about", {"note": ("anything",)}) == "absent"
