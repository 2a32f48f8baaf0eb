"""Names of parameters that must not be left out of a search: they were meant to narrow it to a person.

R4 asks to leave out what is not known. `?patinet=1` and `?subject.identifier=1` would then find the
responses of everybody, so they are refused whatever handling is preferred.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

PERSONAL: Final = ("patient", "subject")
"""Parameters that name a person: without a value they would name everybody."""

_ALIKE: Final = 0.8  # `patients`, `patinet`, `subject_id` are; `part-of`, `object`, `status` are not
_NARROWING: Final = ("_has", "_filter", "_query", "_list")
_HEAD = re.compile(r"[^:]*")


def means_a_person(name: str) -> bool:
    """Whether a parameter that is not known was likely meant to name a patient or subject.

    A chain may end at a person whatever it begins with, and a filter may name one.

    Args:
        name: as it came, chain and modifier included.

    Source:
        R4 search.html 3.1.1.3 lets a server refuse; clinical safety asks for it here.
    """
    head = _HEAD.match(name[:64])
    first = head[0].lower() if head else ""
    steps = [first, *first.split(".")]
    return first in _NARROWING or any(
        SequenceMatcher(None, step, each).ratio() >= _ALIKE for step in steps for each in PERSONAL
    )


def says_nothing(name: str, value: str) -> bool:
    """Whether a parameter that names a person comes without a name."""
    return name.partition(":")[0] in PERSONAL and not value.replace(",", "").strip()
