"""The EHRs that are registered, read once from the file that SERVICE_EHRS_FILE names.

An entry says how the EHR launches the app (`client-id`, `scopes`), whose access tokens are taken (`tokens`),
which CDS clients may call (`cds-clients`), or several of these.

The registry is an allow-list: an issuer that does not stand in it, letter by letter, is refused before
anything is sent to it. No secret stands in the file: the app is a public client, which runs in the browser
and proves by PKCE that it is the one that asked; a secret of this service stands in a file of its own.

Source:
    SMART App Launch 2.2, app-launch.html, sections "Register App with EHR" and "App Protection";
    token-introspection.html; RFC 8725, section 3.1 (algorithms are named by who checks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.exceptions import SCHEMA

from service.errors import GuidanceError, SettingsError
from service.mapping_files import read_yaml
from service.settings import is_loopback, origin_of

APP_PATH: Final = "/app"
"""Where EHRs send people back to."""

_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?"
)
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_CLIENT_ID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_OFFLINE: Final = "offline_access"
_EXPECTED_URL: Final = (
    "Expected an https url without user, query and fragment (http where only this machine is meant)."
)
_EXPECTED_ORIGIN: Final = (
    "Expected an origin such as https://ehr.example.org (http where only this machine is meant)."
)


ALGORITHMS: Final = ("RS256", "RS384", "ES256", "ES384", "PS256", "PS384", "PS512")
"""How tokens may be signed."""

CLIENT_ALGORITHMS: Final = ("ES384", "RS384")
"""How CDS clients sign where their entry says nothing."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Whose access tokens are taken from the users of one EHR.

    Args:
        issuer: of the tokens, as it stands in `iss`.
        audiences: how the tokens name this service; one of them must stand in `aud`.
        keys: url or file of the keys that sign them; None if they are introspected.
        algorithms: how they may be signed.
        introspection_url: where to ask about tokens; empty if they are signed.
        introspection_client_id, introspection_secret: who asks.
        authorization_endpoint, token_endpoint: where apps get tokens.
        scopes: what apps may ask for, as `/.well-known/smart-configuration` says.
    """

    issuer: str
    audiences: tuple[str, ...]
    token_endpoint: str
    keys: str | Path | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    introspection_url: str = ""
    introspection_client_id: str = ""
    introspection_secret: str = field(default="", repr=False)
    authorization_endpoint: str = ""
    scopes: tuple[str, ...] = ()


class CdsClient(msgspec.Struct, frozen=True):
    """A CDS client that may call: `iss` of what it signs, the url of its keys, and how it may sign."""

    issuer: str
    jwks_url: str
    algorithms: tuple[str, ...] = CLIENT_ALGORITHMS


class Ehr(msgspec.Struct, frozen=True):
    """One EHR that is registered.

    Args:
        issuer: its FHIR base, as it names itself in `iss`.
        client_id: what it calls the app; empty if it launches none.
        redirect_url: where it sends people back to: our own address of the app.
        scopes: what the app asks for beside the launch itself.
        name: what people call it.
        forms: slugs of the forms that are offered in it.
        frame_origins: origins of its pages that may show the app in a frame.
        authorization_origins: origins of its authorisation server, where that is not the issuer's.
        tenant: whose data it is that its tokens reach; several entries may share one.
        tokens: whose access tokens are taken; None for none.
        cds_clients: who may call the services of CDS Hooks.
    """

    issuer: str
    client_id: str
    redirect_url: str
    scopes: tuple[str, ...]
    name: str
    forms: tuple[str, ...]
    frame_origins: tuple[str, ...] = ()
    authorization_origins: tuple[str, ...] = ()
    tenant: str = ""
    tokens: Tokens | None = None
    cds_clients: tuple[CdsClient, ...] = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins that the app speaks with: that of the FHIR base first."""
        return tuple(dict.fromkeys((origin_of(self.issuer), *self.authorization_origins)))


def read_ehrs(path: Path, *, server: str, forms: Sequence[str]) -> tuple[Ehr, ...]:
    """Returns the EHRs of a file, in its order.

    Args:
        path: the file.
        server: public url of this server, from which the redirect url follows where none is given.
        forms: slugs of all forms that there are.

    Raises:
        SettingsError: a line for each fault of the file: `file: key: what was expected`.
    """
    try:
        document = read_yaml(path)
    except GuidanceError as error:
        raise SettingsError(error.faults) from error
    try:
        listed = _File().load(document if isinstance(document, Mapping) else {})["ehrs"]
    except ValidationError as error:
        raise SettingsError([f"{path.name}: {fault}" for fault in _faults(error.messages)]) from error
    if faults := [*_repeated(listed), *_unknown_forms(listed, forms), *_at_odds(listed)]:
        raise SettingsError([f"{path.name}: {fault}" for fault in faults])
    return tuple(_ehr(entry, server, forms, path) for entry in listed)


def registered(ehrs: Iterable[Ehr], issuer: str) -> Ehr | None:
    """Returns the EHR with exactly this issuer, or None."""
    return next((ehr for ehr in ehrs if ehr.issuer == issuer), None)


def apps(ehrs: Iterable[Ehr]) -> tuple[Ehr, ...]:
    """Returns the EHRs that launch the app."""
    return tuple(ehr for ehr in ehrs if ehr.client_id)


def controls_access(ehrs: Iterable[Ehr]) -> bool:
    """Says whether requests need tokens: it is said whose are taken."""
    return any(ehr.tokens is not None or ehr.cds_clients for ehr in ehrs)


def names_access(path: Path | None) -> bool:
    """Says whether a file names whose tokens are taken; whether all of it is right is found out later.

    Raises:
        SettingsError: it cannot be read.
    """
    if path is None:
        return False
    try:
        document = read_yaml(path)
    except GuidanceError as error:
        raise SettingsError(error.faults) from error
    listed = document.get("ehrs") if isinstance(document, Mapping) else None
    entries = listed if isinstance(listed, list) else []
    return any(
        isinstance(entry, Mapping) and not entry.keys().isdisjoint(("tokens", "cds-clients"))
        for entry in entries
    )


def tenants(ehrs: Iterable[Ehr]) -> tuple[str, ...]:
    """Returns the tenants whose data tokens or CDS clients reach, in order; none without access control."""
    return tuple(sorted({ehr.tenant for ehr in ehrs if ehr.tokens is not None or ehr.cds_clients}))


def names_clients(ehrs: Iterable[Ehr]) -> bool:
    """Says whether CDS clients are registered."""
    return any(ehr.cds_clients for ehr in ehrs)


def asked_origins(ehrs: Iterable[Ehr]) -> frozenset[str]:
    """Returns the origins that this service itself may ask, for keys and about tokens."""
    urls = (url for ehr in ehrs for url in _asked(ehr))
    return frozenset(origin_of(url) for url in urls)


def _asked(ehr: Ehr) -> Iterator[str]:
    if ehr.tokens is not None:
        if isinstance(ehr.tokens.keys, str):
            yield ehr.tokens.keys
        if ehr.tokens.introspection_url:
            yield ehr.tokens.introspection_url
    for client in ehr.cds_clients:
        yield client.jwks_url


def frame_origins(ehrs: Iterable[Ehr]) -> tuple[str, ...]:
    """Returns the origins whose pages may show the app in a frame, each once."""
    return tuple(dict.fromkeys(origin for ehr in ehrs for origin in ehr.frame_origins))


def connected_origins(ehrs: Iterable[Ehr]) -> tuple[str, ...]:
    """Returns the origins that the app may speak with, each once."""
    return tuple(dict.fromkeys(origin for ehr in ehrs for origin in ehr.origins))


def _ehr(entry: Mapping[str, Any], server: str, forms: Sequence[str], registry: Path) -> Ehr:
    issuer: str = entry["issuer"]
    return Ehr(
        issuer=issuer,
        client_id=entry.get("client_id", ""),
        redirect_url=entry.get("redirect_url", f"{server}{APP_PATH}"),
        scopes=tuple(entry.get("scopes", ())),
        name=entry.get("name", urlsplit(issuer).netloc),
        forms=tuple(entry.get("forms", forms)),
        frame_origins=tuple(entry.get("frame_origins", ())),
        authorization_origins=tuple(entry.get("authorization_origins", ())),
        tenant=entry.get("tenant", ""),
        tokens=_tokens(entry["tokens"], registry) if "tokens" in entry else None,
        cds_clients=tuple(_cds_client(client) for client in entry.get("cds_clients", ())),
    )


def _tokens(entry: Mapping[str, Any], registry: Path) -> Tokens:
    """Returns the part about tokens; files are looked for beside the registry."""
    given: dict[str, Any] = {
        name: tuple(found) if isinstance(found, list) else found for name, found in entry.items()
    }
    audience = given.pop("audience")
    url, file, secret = (given.pop(name, None) for name in ("jwks_url", "jwks_file", "introspection_secret"))
    if secret is not None:
        given["introspection_secret"] = _text_beside(registry, secret).strip()
    if file is not None:
        _text_beside(registry, file)  # its absence is told at the start
    return Tokens(audiences=audience, keys=url if file is None else registry.parent / file, **given)


def _text_beside(registry: Path, name: str) -> str:
    try:
        return (registry.parent / name).read_text("utf-8")
    except (OSError, UnicodeError):
        text = f"{name}: Expected a file in UTF-8 that can be read, beside this one."
        raise SettingsError([f"{registry.name}: {text}"]) from None


def _cds_client(entry: Mapping[str, Any]) -> CdsClient:
    algorithms = tuple(entry.get("algorithms", CLIENT_ALGORITHMS))
    return CdsClient(entry["issuer"], entry["jwks_url"], algorithms)


# What stands in the file.

_OF_APP: Final = frozenset(
    ("client-id", "redirect-url", "scopes", "forms", "frame-origins", "authorization-origins")
)
_NO_KEY_OF_ACCESS: Final = "No such key; docs/access.md lists those that there are."
_TENANT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")

_Check = Callable[[Any], None]

_MESSAGES: Final[dict[str, Any]] = {
    "invalid": "Expected text.",
    "required": "Is missing.",
    "null": "Is empty.",
}
_OF_SCHEMA: Final = {
    "unknown": "No such key; docs/smart-app.md lists those that there are.",
    "type": "Expected keys and values.",
}


def _url(url: str) -> None:
    if not _URL.fullmatch(url) or not _is_private(url):
        raise ValidationError(_EXPECTED_URL)


def _redirect(url: str) -> None:
    _url(url)
    if not url.endswith(APP_PATH):
        raise ValidationError(f"Expected the public address of this service's own page {APP_PATH}.")


def _origin(origin: str) -> None:
    if not _URL.fullmatch(origin) or not _is_private(origin) or origin != origin_of(origin):
        raise ValidationError(_EXPECTED_ORIGIN)


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what goes to a url."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _some(given: Sequence[Any]) -> None:
    if not given:
        raise ValidationError("Is empty.")


def _client_id(text: str) -> None:
    if not _CLIENT_ID.fullmatch(text):
        raise ValidationError("Expected the client id that the EHR gave, without blanks.")


def _scope(text: str) -> None:
    if not _SCOPE.fullmatch(text):
        raise ValidationError("Expected one scope, such as patient/Observation.rs.")
    if text == _OFFLINE:
        raise ValidationError("The app needs nothing when nobody is there: leave this scope out.")


def _text(key: str, *checks: _Check, required: bool = False) -> fields.String:
    return fields.String(data_key=key, validate=checks, required=required, error_messages=_MESSAGES)


def _texts(key: str, *checks: _Check, required: bool = False) -> fields.List[Any]:
    text = fields.String(validate=checks, error_messages=_MESSAGES)
    listed = _MESSAGES | {"invalid": "Expected a list."}
    return fields.List(text, data_key=key, validate=_some, required=required, error_messages=listed)


def _algorithm(name: str) -> None:
    if name not in ALGORITHMS:
        raise ValidationError(f"Expected one of: {', '.join(ALGORITHMS)}.")


def _tenant(name: str) -> None:
    if not _TENANT.fullmatch(name):
        raise ValidationError("Expected a name of at most 64 letters, digits, dots and dashes.")


class _TokensEntry(Schema):
    error_messages = _OF_SCHEMA | {"unknown": _NO_KEY_OF_ACCESS}

    issuer = _text("issuer", _some, required=True)
    audience = _texts("audience", _some, required=True)
    jwks_url = _text("jwks-url", _url)
    jwks_file = _text("jwks-file", _some)
    algorithms = _texts("algorithms", _algorithm)
    introspection_url = _text("introspection-url", _url)
    introspection_client_id = _text("introspection-client-id", _client_id)
    introspection_secret = _text("introspection-client-secret-file", _some)
    authorization_endpoint = _text("authorization-endpoint", _url)
    token_endpoint = _text("token-endpoint", _url, required=True)
    scopes = _texts("scopes", _scope)

    @validates_schema
    def _check_source(self, given: Mapping[str, Any], **_: Any) -> None:
        """Expects one way to check tokens, whole."""
        ways = [name for name in ("jwks_url", "jwks_file", "introspection_url") if name in given]
        if len(ways) != 1:
            raise ValidationError("Expected one of: jwks-url, jwks-file, introspection-url.")
        asks = {"introspection_client_id", "introspection_secret"} & given.keys()
        if len(asks) != (2 if ways == ["introspection_url"] else 0):
            raise ValidationError(
                "Expected introspection-client-id and introspection-client-secret-file beside "
                "introspection-url, and there only."
            )


class _CdsClientEntry(Schema):
    error_messages = _OF_SCHEMA | {"unknown": _NO_KEY_OF_ACCESS}

    issuer = _text("issuer", _some, required=True)
    jwks_url = _text("jwks-url", _url, required=True)
    algorithms = _texts("algorithms", _algorithm)


class _Entry(Schema):
    error_messages = _OF_SCHEMA

    issuer = _text("issuer", _url, required=True)
    client_id = _text("client-id", _client_id)
    redirect_url = _text("redirect-url", _redirect)
    scopes = _texts("scopes", _scope)
    name = _text("name", _some)
    forms = _texts("forms", _some)
    frame_origins = _texts("frame-origins", _origin)
    authorization_origins = _texts("authorization-origins", _origin)
    tenant = _text("tenant", _tenant)
    tokens = fields.Nested(_TokensEntry, data_key="tokens", error_messages=_MESSAGES)
    cds_clients = fields.List(
        fields.Nested(_CdsClientEntry),
        data_key="cds-clients",
        validate=_some,
        error_messages=_MESSAGES | {"invalid": "Expected a list."},
    )

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _check_parts(self, _read: Any, given: Any, **_: Any) -> None:
        """Expects the keys of the app together, and a tenant where somebody gets in."""
        if not isinstance(given, Mapping):
            return
        opens = {"tokens", "cds-clients"} & given.keys()
        faults = {}
        for name in ("client-id", "scopes"):
            if name not in given and (not opens or _OF_APP & given.keys()):
                faults[name] = ["Is missing."]
        if opens and "tenant" not in given:
            faults["tenant"] = ["Is missing."]
        if faults:
            raise ValidationError(faults)


class _File(Schema):
    error_messages = _OF_SCHEMA

    ehrs = fields.List(
        fields.Nested(_Entry),
        required=True,
        validate=_some,
        error_messages=_MESSAGES | {"invalid": "Expected a list."},
    )


def _faults(messages: Any, place: str = "") -> Iterator[str]:
    """Yields a line for each fault, with its place: `ehrs[1].issuer: what was expected`."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from _faults(below, _place(place, key))
    else:
        yield from (f"{place}: {text}" for text in messages)


def _place(above: str, key: object) -> str:
    if isinstance(key, int):
        return f"{above}[{key}]"
    if key == SCHEMA:
        return above
    return f"{above}.{key}" if above else str(key)


def _repeated(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    issuers = [entry["issuer"] for entry in listed]
    for number, issuer in enumerate(issuers):
        if issuer in issuers[:number]:
            yield f"ehrs[{number}].issuer: Expected each issuer once."


def _unknown_forms(listed: Sequence[Mapping[str, Any]], forms: Sequence[str]) -> Iterator[str]:
    for number, entry in enumerate(listed):
        for place, form in enumerate(entry.get("forms", ())):
            if form not in forms:
                yield f"ehrs[{number}].forms[{place}]: Expected one of: {', '.join(forms) or 'no form'}."


def _at_odds(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields the contradictions between entries: a token must lead to exactly one of them."""
    yield from _repeated_clients(listed)
    issuers: list[str] = []
    asks = False
    for number, entry in enumerate(listed):
        tokens = entry.get("tokens")
        if tokens is None:
            continue
        if tokens["issuer"] in issuers:
            yield f"ehrs[{number}].tokens.issuer: Expected each issuer of tokens once."
        issuers.append(tokens["issuer"])
        if "introspection_url" in tokens:
            if asks:
                text = "Expected one entry at most that asks about tokens: they do not say whose they are."
                yield f"ehrs[{number}].tokens.introspection-url: {text}"
            asks = True


def _repeated_clients(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    issuers: list[str] = []
    for number, entry in enumerate(listed):
        for place, client in enumerate(entry.get("cds_clients", ())):
            if client["issuer"] in issuers:
                yield f"ehrs[{number}].cds-clients[{place}].issuer: Expected each issuer of clients once."
            issuers.append(client["issuer"])
