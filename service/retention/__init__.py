"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.retention.commands import NAMES, Command, add_to, run

__all__ = ["NAMES", "Command", "add_to", "run"]
