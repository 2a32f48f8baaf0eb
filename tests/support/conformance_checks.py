"""The checks of conformance that this server answers for, by id, and those left out, with the reason."""

GROUPS = {"AP": 10, "RD": 24, "CR": 15, "ER": 8, "CN": 11, "CS": 9, "BU": 8, "CO": 5, "PX": 5, "SH": 8}
"""Groups with their number of checks."""

LEFT_OUT = {
    "BU07": "No caller is told from another yet: nothing is authorised, alone or in a Bundle.",
    "CS08": "There is no authorisation to discover yet.",
    "CS09": "There is no authorisation to discover yet.",
    "ER08": "Rates are limited by the proxy in front, as docs/search.md says; the service keeps no counters.",
}

DEVIATIONS = {"ER08": "429|limits rates"}
"""Those left out for good, with what docs/search.md and the CapabilityStatement say instead (a pattern)."""

MORE = ("IV19", "IV20")
"""Checks of other groups that the resources and Bundles of this server bring with them."""


def every() -> list[str]:
    """Returns the ids of all checks that must be shown by a test."""
    numbered = [f"{group}{number:02}" for group, most in GROUPS.items() for number in range(1, most + 1)]
    return [id_ for id_ in (*numbered, *MORE) if id_ not in LEFT_OUT]
