"""Small guidances with their Questionnaires, in versions that differ, for tests that try every pattern."""

from __future__ import annotations

from typing import Any

from small_forms import form

from service.catalogue import Pair
from service.guidance import load
from service.questionnaire.compiled import compile_questionnaire
from service.terminology import value_sets_from

CANONICAL = "https://forms.example.org/Questionnaire/small|1"
OWN = {"origin": "project", "sources": []}
WORDS = {"yes": "yes", "no": "no", "not-sure": "unsure"}
SAYS = {"patient": "Said.", "clinician": "Said."}


def parameter(value: Any, unit: str, edge: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "edge": edge, "means": "A number.", **OWN}


PARAMETERS = {
    "long": parameter(14, "d", "more than"),
    "strong": parameter(7, "1", "at least"),
    "old": parameter(30, "d", "more than"),
    "later": parameter(2, "d", "at least"),
    "two": parameter(2, "1", "at least"),
    "soon-days": parameter(7, "d", "at most"),
    "plan-days": parameter(28, "d", "at most"),
}

FINDINGS: dict[str, Any] = {
    "hurts": {"when": {"answer": "pain", "is": "yes"}, "not-sure": "present"},
    "one-sided": {"when": {"answer": "side", "is": ["left"]}},
    "lasts": {"when": {"answer": "since", "longer-than": {"parameter": "long"}}},
    "strong-pain": {"when": {"answer": "strength", "at-least": {"parameter": "strong"}}},
    "old-test": {"when": {"answer": "test-age", "more-than": {"parameter": "old"}}},
    "test-after": {"when": {"answer": "test-after-onset", "at-least": {"parameter": "later"}}},
    "two-signs": {"when": {"at-least": {"parameter": "two"}, "of": ["hurts", "one-sided", "strong-pain"]}},
    "unsure-side": {"when": {"unsure": "one-sided"}},
    "calm": {"when": {"none": ["hurts", "strong-pain"]}},
    "heavy": {"when": {"score": "sum", "band": ["much"]}},
}

TIERS = ("rest", "plan", "soon", "now")

RULES: dict[str, tuple[Any, str]] = {
    "now-both": ({"all": ["hurts", "strong-pain", {"not": "test-after"}]}, "now"),
    "soon-two": ("two-signs", "soon"),
    "soon-heavy": ("heavy", "soon"),
    "plan-lasts": ({"all": ["lasts", {"not": "old-test"}]}, "plan"),
    "plan-unsure": ("unsure-side", "plan"),
}

LEVELS: dict[str, tuple[Any, str]] = {
    "pattern-high": ({"all": ["one-sided", "test-after"]}, "high"),
    "pattern-low": ({"any": ["calm", "old-test"]}, "low"),
}

ITEMS: dict[str, dict[str, Any]] = {
    "pain": {"options": ["yes", "no", "unsure"]},
    "side": {
        "options": ["left", "unsure", {"code": "neither", "exclusive": True}],
        "repeats": True,
        "when": ["pain", "=", "yes"],
    },
    "since": {"type": "quantity", "units": ["d"], "when": ["pain", "exists", True]},
    "strength": {"type": "integer", "min": 0, "max": 10},
    "test": {"type": "date", "when": ["strength", ">=", 7]},
    "tired": {"options": [{"code": "little", "weight": 0}, {"code": "much", "weight": 2}]},
}

DERIVED = {
    "test-age": {"days-before-authored": "test"},
    "test-after-onset": {"difference": ["since", "test-age"]},
}


def pair(
    *,
    items: dict[str, dict[str, Any]] | None = None,
    rules: tuple[str, ...] = tuple(RULES),
    numbers: dict[str, Any] | None = None,
    dated: bool = True,
    contradicts: bool = True,
    derives: bool = False,
    adds: dict[str, Any] | None = None,
    group: dict[str, Any] | None = None,
) -> Pair:
    """Returns a small guidance with its Questionnaire; `numbers` sets parameters, `rules` chooses some.

    `derives`: it has a question for a date, and what follows from that. `adds`: a further part of the sum.
    `group`: the questions after the first stand in a group with these properties.
    """
    shown = {name: item for name, item in (ITEMS | (items or {})).items() if derives or name != "test"}
    first, *more = ({"id": name, **item} for name, item in shown.items())
    resource = form(first, *(more if group is None else [{"id": "more", "items": more, **group}]))
    resource |= {"name": "Small", "title": "Small"}
    compiled = compile_questionnaire(resource, value_sets_from([]))
    documents = _documents(rules, numbers or {}, dated=dated, contradicts=contradicts)
    documents["scores"][0]["sum-of"] += [adds] if adds else []
    if not derives:
        del documents["guidance"]["derived"]
        for name in ("old", "later"):
            del documents["guidance"]["parameters"][name]
        found = {entry["finding"]: entry for entry in documents["findings"]}
        found["old-test"]["when"] = {"answer": "tired", "is": "much"}
        found["test-after"]["when"] = {"answer": "tired", "is": "little"}
    return Pair(compiled, load(documents, compiled.form), renderer=None)  # type: ignore[arg-type]  # never asked


def _documents(
    rules: tuple[str, ...], numbers: dict[str, Any], *, dated: bool, contradicts: bool
) -> dict[str, Any]:
    return {
        "guidance": _head(numbers, dated=dated),
        "findings": [
            {"finding": name, "kind": "recorded", "means": f"About {name}.", **finding, **OWN}
            for name, finding in FINDINGS.items()
        ],
        "scores": [_score()],
        "rules": [*_rules(rules)],
        "contradictions": [
            {
                "contradiction": "strong-without-pain",
                "between": [{"answer": "pain", "is": "no"}, "strong-pain"],
                "worse": ["hurts", "one-sided"],
                **SAYS,
            }
        ]
        * contradicts,
        "comparisons": [],
        "advice": [],
        "cases": [],
        "sources": [
            {
                "statement": "S001",
                "section": "One",
                "where": "p. 1",
                "claim": "A claim.",
                "kind": "other",
                "unused": "Of a test.",
            }
        ],
    }


def _rules(rules: tuple[str, ...]) -> Any:
    for name in rules:
        when, tier = RULES[name]
        within = {"within": {"parameter": "soon-days"}} if name == "plan-unsure" else {}
        yield {"rule": name, "kind": "sign", "when": when, "tier": tier, "says": SAYS, **within, **OWN}
    for name, (when, level) in LEVELS.items():
        yield {
            "rule": name,
            "when": when,
            "risk": {"outcome": "pattern", "level": level},
            "says": SAYS,
            **OWN,
        }
    otherwise = {"outcome": "pattern", "level": "middle"}
    yield {"rule": "pattern-else", "otherwise": True, "risk": otherwise, "says": SAYS, **OWN}


def _score() -> dict[str, Any]:
    bands = [
        {"band": "little", "from": 0, "to": 1, "display": "Little"},
        {"band": "much", "from": 2, "to": 25, "display": "Much"},
    ]
    adds = [{"answer": "tired"}, {"when": "lasts", "points": 1}]
    return {"score": "sum", "display": "Sum", "sum-of": adds, "bands": bands, **OWN}


def _head(numbers: dict[str, Any], *, dated: bool) -> dict[str, Any]:
    parameters = {
        name: entry | ({"value": numbers[name]} if name in numbers else {})
        for name, entry in PARAMETERS.items()
    }
    within = (
        {"soon": "soon-days", "plan": "plan-days"} if dated else {"now": "soon-days", "plan": "plan-days"}
    )
    return {
        "guidance": "https://guidance.example.org/guidance/small",
        "version": "1.0.0",
        "title": "Small",
        "status": "active",
        "date": "2026-11-29",
        "questionnaire": CANONICAL,
        "code": {"system": "https://guidance.example.org/codes", "code": "small", "display": "Small"},
        "source": {"title": "T", "author": "The project", "published": "2026-11-29", "note": "Invented."},
        "review": {"state": "invented"},
        "intended-use": {"patient": "Test.", "clinician": "Test."},
        "words": WORDS,
        "terminology": "https://guidance.example.org/codes",
        "parameters": parameters,
        "derived": DERIVED,
        "kinds": {"sign": {}, "recorded": {}},
        "tiers": [
            {
                "tier": code,
                "display": code.title(),
                "target": "none",
                **SAYS,
                **OWN,
                **({"within": {"parameter": within[code]}} if code in within else {}),
            }
            for code in TIERS
        ],
        "levels": {level: {"display": level.title()} for level in ("low", "middle", "high")},
        "outcomes": [
            {
                "outcome": "pattern",
                "display": "Pattern",
                "levels": ["low", "middle", "high"],
                "worse": "higher",
                "listed": "always",
                "patient": "A pattern.",
                "clinician": "A pattern.",
                **OWN,
            }
        ],
    }
