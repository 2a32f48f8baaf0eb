"""`smart-configuration`: where apps get access tokens; the same for the CapabilityStatement.

This service issues no tokens. The endpoints are those of the authorisation server that the registry of EHRs
names, and what is said of them follows from the registry alone: an endpoint to send people to, and the scopes
that apps may ask for. Nothing is said about signing in (`sso-openid-connect`), hence no `issuer` and no
`jwks_uri`, nor about how clients prove who they are: that is between the app and the authorisation server.

One FHIR base has one such document. Where several EHRs are registered, it names the authorisation server of
the first whose tokens are taken; apps of the others learn of theirs from their own EHR.

Source:
    SMART App Launch 2.2, conformance.html#using-well-known; R4 CapabilityStatement.rest.security;
    StructureDefinition oauth-uris (`authorize` is required).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from service.auth.ehrs import Ehr, Tokens
from service.fhir.json import MutableJson

CONFIGURATION_PATH: Final = "/.well-known/smart-configuration"
"""Below the FHIR base."""

_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_SMART: Final = "SMART-on-FHIR"
_OF_RESOURCES: Final = re.compile(r"(patient|user|system)/[^.]+\.(.+)")
_FIRST_VERSION: Final = ("read", "write", "*")
_STANDALONE_PATIENT: Final = "launch/patient"


def tokens_of(ehrs: Iterable[Ehr]) -> Tokens | None:
    """Returns where apps get tokens: what the first entry says that takes any; None if none does."""
    return next((ehr.tokens for ehr in ehrs if ehr.tokens is not None), None)


def smart_configuration(tokens: Tokens) -> MutableJson:
    """Returns the document `smart-configuration`."""
    document: MutableJson = {
        "token_endpoint": tokens.token_endpoint,
        "grant_types_supported": list(_grants(tokens)),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": list(_capabilities(tokens)),
    }
    if tokens.authorization_endpoint:
        document["authorization_endpoint"] = tokens.authorization_endpoint
        document["response_types_supported"] = ["code"]
    if tokens.introspection_url:
        document["introspection_endpoint"] = tokens.introspection_url
    if tokens.scopes:
        document["scopes_supported"] = list(tokens.scopes)
    return document


def security(tokens: Tokens | None, *, cors: bool) -> MutableJson:
    """Returns `CapabilityStatement.rest.security`.

    Args:
        tokens: where apps get tokens; None if no token is asked for.
        cors: whether apps of other origins may call.
    """
    if tokens is None:
        return {"cors": cors}
    coding = {"system": _SERVICES, "code": _SMART, "display": _SMART}
    said: MutableJson = {"cors": cors, "service": [{"coding": [coding]}]}
    if not tokens.authorization_endpoint:
        return said
    uris = {
        "authorize": tokens.authorization_endpoint,
        "token": tokens.token_endpoint,
        "introspect": tokens.introspection_url,
    }
    parts = [{"url": name, "valueUri": uri} for name, uri in uris.items() if uri]
    return {"extension": [{"url": _OAUTH_URIS, "extension": parts}], **said}


def _grants(tokens: Tokens) -> Iterator[str]:
    if tokens.authorization_endpoint:
        yield "authorization_code"
    if "system" in _said(tokens)[0] or not tokens.authorization_endpoint:
        yield "client_credentials"


def _capabilities(tokens: Tokens) -> Iterator[str]:
    """Yields the SMART capabilities of this service and of the scopes that apps may ask for."""
    contexts, versions = _said(tokens)
    if tokens.authorization_endpoint:
        yield "launch-standalone"
        if _STANDALONE_PATIENT in tokens.scopes:
            yield "context-standalone-patient"
    if "patient" in contexts:
        yield "permission-patient"
    if "user" in contexts:
        yield "permission-user"
    yield from (f"permission-{version}" for version in ("v1", "v2") if version in versions)


def _said(tokens: Tokens) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the contexts and versions of the scopes that are listed; where none is, all that are taken."""
    listed = [match.groups() for match in map(_OF_RESOURCES.fullmatch, tokens.scopes) if match]
    signed_in = ("patient", "user") if tokens.authorization_endpoint else ("system",)
    if not listed:
        return frozenset(signed_in), frozenset(("v1", "v2"))
    versions = ("v1" if letters in _FIRST_VERSION else "v2" for _, letters in listed)
    return frozenset(context for context, _ in listed), frozenset(versions)
