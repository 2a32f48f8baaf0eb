"""FHIR search: resources as index entries, parameters as criteria, pages as Bundles; no HTTP, no SQL."""
