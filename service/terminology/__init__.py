"""Code systems, value sets and their expansion; no HTTP."""
