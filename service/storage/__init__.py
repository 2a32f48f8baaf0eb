"""Keeps versioned records and what they are found by. Must not know what it stores.

Other rooms use `model`, which says what a store is, `entries`, which says what records are found by, and
`opening`, which opens a store.
"""
