"""FHIR: resources in and out, as bytes and plain dicts. Knows neither HTTP nor storage."""

from service.fhir.body import read_published

__all__ = ["read_published"]
