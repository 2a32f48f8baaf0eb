"""Responses and what was made of them, kept together in one transaction. Knows no HTTP and no SQL."""

from service.repository.unit import Unit

__all__ = ["Unit"]
