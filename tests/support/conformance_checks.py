"""The checks of conformance that this server answers for, by id."""

GROUPS = {
    "AP": 10,
    "AU": 16,
    "RD": 24,
    "CR": 15,
    "ER": 8,
    "CN": 11,
    "CS": 9,
    "BU": 8,
    "CO": 5,
    "PX": 5,
    "SH": 8,
    "RB": 11,
}
"""Groups with their number of checks."""

MORE = ("IV19", "IV20")
"""Checks of other groups that the resources and Bundles of this server bring with them."""


def every() -> list[str]:
    """Returns the ids of all checks that must be shown by a test."""
    numbered = [f"{group}{number:02}" for group, most in GROUPS.items() for number in range(1, most + 1)]
    return [*numbered, *MORE]
