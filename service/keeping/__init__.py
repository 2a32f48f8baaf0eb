"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.keeping.arguments import add_to
from service.keeping.commands import NAMES, Command, run

__all__ = ["NAMES", "Command", "add_to", "run"]
