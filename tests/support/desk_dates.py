"""Headache at a desk, with questions for dates and what follows from them."""

from datetime import date
from typing import Any

import headache

from service.datatypes.form import Form, Question

AUTHORED = date(2026, 3, 10)
WRITTEN = "2026-03-10T09:30:00+01:00"
"""When the responses of a test were written."""
WEEK = 7
PARAMETERS = {
    "a-week": ("at most", "d"),
    "over-a-week": ("more than", "d"),
    "week-of-exams": ("at least", "wk"),
}
FINDINGS: dict[str, Any] = {
    "within-a-week": {"answer": "seen-on", "at-most": {"parameter": "a-week"}},
    "long-before": {"answer": "seen-on", "more-than": {"parameter": "over-a-week"}},
    "old-exam": {"answer": "exam-age", "more-than": {"parameter": "over-a-week"}},
    "seen-a-week-later": {"answer": "seen-after", "at-least": {"parameter": "week-of-exams"}},
    "unsure-how-long": {"unsure": "seen-a-week-later"},
    "has-a-date": {"answer": "seen-on", "answered": True},
}


def form() -> Form:
    known = headache.form()
    more = {
        "seen-on": Question("seen-on", "When?", "date", (), len(known.questions)),
        "exam-at": Question("exam-at", "When?", "dateTime", (), len(known.questions) + 1),
        "age": Question("age", "How old?", "integer", (), len(known.questions) + 2, units=("a",)),
    }
    return Form(known.canonical, {**known.questions, **more})


def documents(**derived: Any) -> dict[str, Any]:
    written = headache.documents()
    written["cases"] = []
    entry = {"kind": "recorded", "means": "Of this test.", "origin": "project", "sources": []}
    head = written["guidance"]
    head["parameters"] |= {
        name: {
            "value": 1 if unit == "wk" else WEEK,
            "unit": unit,
            "edge": edge,
            "means": "A week.",
            "origin": "project",
            "sources": [],
        }
        for name, (edge, unit) in PARAMETERS.items()
    }
    head["derived"] = {
        "exam-age": {"days-before-authored": "exam-at"},
        "seen-age": {"days-before-authored": "seen-on"},
        "seen-after": {"difference": ["head-since", "seen-age"]},
        **derived,
    }
    written["findings"] += [{"finding": name, "when": when, **entry} for name, when in FINDINGS.items()]
    return written
