"""Who sends a request, and which stored data they may touch.

A scope `patient/` reaches one patient, whom the token names; a token with such a scope that names nobody
reaches nothing by it. Scopes `user/` and `system/` reach all patients of the tenant.

Source:
    SMART App Launch 2.2, scopes-and-launch-context; RFC 6750, section 3.1 (insufficient_scope).
"""

from __future__ import annotations

from typing import Final

import msgspec

from service.auth.scopes import PATIENT, Scope, contexts_granting
from service.errors import Forbidden, Problem
from service.records.reach import EVERYTHING, Reach

ANONYMOUS_KIND: Final = "anonymous"
TOKEN_KIND: Final = "token"  # noqa: S105 - a kind of sender, no secret
CLIENT_KIND: Final = "cds-client"


class Principal(msgspec.Struct, frozen=True):
    """Who sends a request.

    Args:
        kind: `anonymous` where nobody says and nobody is asked, `token`, or `cds-client`.
        tenant: whose data it is about.
        subject: the person or system that the token stands for.
        client_id: the app.
        issuer: who vouches for it.
        scopes: what it may do.
        patients: references that name the one patient of the token; empty if it names none.
    """

    kind: str
    tenant: str = ""
    subject: str = ""
    client_id: str = ""
    issuer: str = ""
    scopes: tuple[Scope, ...] = ()
    patients: tuple[str, ...] = ()

    def may_reach(self, kind: str, letters: str) -> Reach | None:
        """Returns which resources of a type it may touch; None for none.

        Args:
            kind: type of resource.
            letters: of c r u d s, all of which are needed.
        """
        if self.kind == ANONYMOUS_KIND:
            return EVERYTHING
        contexts = contexts_granting(self.scopes, kind, letters)
        if contexts - {PATIENT}:
            return Reach(self.tenant)
        if PATIENT in contexts and self.patients:
            return Reach(self.tenant, self.patients)
        return None

    def reach(self, resource: str, letters: str) -> Reach:
        """Returns which resources of a type it may touch.

        Args:
            resource: type of resource; empty for what belongs to none, which is nothing that is stored.
            letters: of c r u d s, all of which are needed.

        Raises:
            Forbidden: nothing (`insufficient_scope`).
        """
        if not resource and not letters:
            return Reach(self.tenant) if self.kind != ANONYMOUS_KIND else EVERYTHING
        reach = self.may_reach(resource, letters)
        if reach is None:
            raise Forbidden(Problem("scope", _refusal(resource, letters)))
        return reach


ANONYMOUS: Final = Principal(ANONYMOUS_KIND)
"""Nobody says who they are: everybody, where there is no access control."""


def _refusal(resource: str, letters: str) -> str:
    expected = f"Expected a scope such as user/{resource}.{letters}"
    return f"The token does not permit this. {expected}, or one of patient/ where the token names a patient."
