"""FHIR: resources in and out, as bytes and plain dicts. Knows neither HTTP nor storage."""

from service.fhir.json import read_published

__all__ = ["read_published"]
