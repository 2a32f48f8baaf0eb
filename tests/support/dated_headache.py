"""Headache at a desk with latest dates, addressees, redirects, a safety step, a row that may be not done."""

from functools import cache
from typing import Any

import headache

from service.guidance import Guidance, load

DAYS = {
    "within-now": 0,
    "within-soon": 7,
    "within-sooner": 3,
    "within-plan": 30,
    "within-later": 60,
    "again-on-day": 14,
    "again-after": 90,
}
TIERS: dict[str, dict[str, Any]] = {
    "rest": {
        "recheck": {
            "answer": "head-since",
            "until": {"parameter": "again-on-day"},
            "else": {"parameter": "again-after"},
        }
    },
    "plan": {"within": {"parameter": "within-plan"}, "to": "desk-doctor"},
    "soon": {"within": {"parameter": "within-soon"}, "to": "desk-doctor"},
    "now": {"within": {"parameter": "within-now"}, "overlay": True},
}
RULES: dict[str, dict[str, Any]] = {
    "worse-soon": {"within": {"parameter": "within-sooner"}, "shows": ["worse"], "beside": ["alarms-soon"]},
    "long-pain-plans": {"within": {"parameter": "within-later"}, "to": "eye-doctor"},
    "alarms-soon": {"says": {"clinician": "An alarm.", "patient": "Go soon.", "patient-unsure": "Perhaps."}},
}
REDIRECTS = [
    {"redirect": "by-the-light", "when": "at-the-front", "tier": "plan", "to": "eye-doctor"},
    {"redirect": "by-one-side", "when": "one-sided", "tier": "plan", "to": "head-doctor"},
]


def documents() -> dict[str, Any]:
    """The mapping files of the desk with these keys, to be changed at will."""
    found = headache.documents()
    guidance = found["guidance"]
    for name, days in DAYS.items():
        means = {"means": name, "origin": "project", "sources": []}
        guidance["parameters"][name] = {"value": days, "unit": "d", "edge": "at most", **means}
    guidance["addressees"] = {
        name: {"patient": f"the {name}", "clinician": name.capitalize()}
        for name in ("desk-doctor", "eye-doctor", "head-doctor")
    }
    guidance["redirects"] = [dict(redirect) for redirect in REDIRECTS]
    guidance["promises"].append({"promise": "alarms-never-later", "never-later": ["alarm", "trigger"]})
    for outcome in guidance["outcomes"]:
        outcome["worse"] = "higher"
    guidance["tiers"] = [tier | TIERS[tier["tier"]] for tier in guidance["tiers"]]
    found["rules"] = [rule | RULES.get(rule["rule"], {}) for rule in found["rules"]]
    found["comparisons"][0]["rows"][0]["not-done"] = {"answer": "checked", "is": "no"}
    return found


@cache
def guidance() -> Guidance:
    return load(documents(), headache.form())
