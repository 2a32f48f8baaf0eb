"""Which stored data one request may touch."""

from __future__ import annotations

from typing import Final

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """The stored data that one request may touch; everything else is as if it did not exist.

    Args:
        tenant: name of the tenant whose data it is; empty if there is no access control.
        patients: references that name the one patient whose data it may touch, each as it may stand in a
            resource (`Patient/A`, `https://ehr.example.org/fhir/Patient/A`); empty for all patients.
        criteria: search parameters that every resource must meet besides, such as `("status", "completed")`.

    Source:
        SMART App Launch 2.2, scopes-and-launch-context: patient-specific and finer-grained scopes.
    """

    tenant: str = ""
    patients: tuple[str, ...] = ()
    criteria: tuple[tuple[str, str], ...] = ()


EVERYTHING: Final = Reach()
"""What every request may touch where there is no access control."""
