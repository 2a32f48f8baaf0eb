"""Copies of values that differ in some of their fields."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # so that names and types of the changes are checked
    from dataclasses import replace as replace  # noqa: PLC0414 - it is there for others
else:

    def replace(value: Any, /, **changes: Any) -> Any:
        """Returns a copy of a structure or data class, as `copy.replace` does from Python 3.13 on."""
        made = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
        return made(value, **changes)
