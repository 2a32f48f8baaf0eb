"""How many examples a property is tried with."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import settings


def examples(most: int, **more: Any) -> Callable[[Any], Any]:
    """Decorates a property: it is tried with a third of the examples, with all of them where CI=true."""
    wanted = most if os.environ.get("CI") == "true" else -(-most // 3)
    return settings(max_examples=wanted, **more)
