"""How many examples a property is tried with."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import settings

IN_CI = os.environ.get("CI") == "true"
"""Whether everything is tried, or what is enough for somebody who waits for the answer."""


def examples(most: int, **more: Any) -> Callable[[Any], Any]:
    """Decorates a property: it is tried with a sixth of the examples, with all of them where CI=true."""
    wanted = most if IN_CI else -(-most // 6)
    return settings(max_examples=wanted, **more)
