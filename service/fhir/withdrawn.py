"""The RiskAssessment of a response that no longer stands: what it was about, and nothing to act on."""

from __future__ import annotations

from typing import Any, Final

import orjson

_KEPT: Final = (
    "resourceType",
    "contained",
    "method",
    "code",
    "subject",
    "encounter",
    "occurrenceDateTime",
    "performer",
    "basis",
)
_WORDS: Final = {
    "entered-in-error": "Withdrawn: the response behind this result was entered in error. "
    "Earlier versions of this result must not be used.",
    "cancelled": "Withdrawn: the questionnaire was stopped before it was completed. "
    "Earlier versions of this result must not be used.",
}


def withdrawn(risk: bytes, status: str) -> bytes:
    """Returns what is left of a RiskAssessment when its response is withdrawn.

    Args:
        risk: the version that stood until now.
        status: `entered-in-error` or `cancelled`, the observation-status that it takes.

    Source:
        R4 RiskAssessment.status; observation-status.
    """
    before: dict[str, Any] = orjson.loads(risk)
    words = _WORDS[status]
    document: dict[str, Any] = {name: before[name] for name in _KEPT if name in before}
    document |= {
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>',
        },
        "status": status,
        "note": [{"text": words}],
    }
    return orjson.dumps(document)
