"""Responses by the million: lines of NDJSON in, lines of results out; no HTTP, no store."""
