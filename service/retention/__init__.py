"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.retention.arguments import NAMES, add_to, run
from service.retention.commands import Console

__all__ = ["NAMES", "Console", "add_to", "run"]
