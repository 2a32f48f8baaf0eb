"""The EHRs that may launch the app, read once from the file that SERVICE_EHRS_FILE names.

The registry is an allow-list: an issuer that does not stand in it, letter by letter, is refused before
anything is sent to it. No secret stands in the file: the app is a public client, which runs in the browser
and proves by PKCE that it is the one that asked.

Source:
    SMART App Launch 2.2, app-launch.html, sections "Register App with EHR" and "App Protection".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields
from marshmallow.exceptions import SCHEMA

from service.errors import GuidanceError, SettingsError
from service.mapping_files import read_yaml
from service.settings import is_loopback

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


@dataclass(frozen=True, slots=True)
class Ehr:
    """One EHR that the app is registered with.

    Args:
        issuer: its FHIR base, as it names itself in `iss`.
        client_id: what it calls the app.
        redirect_url: where it sends people back to: our own address of the app.
        scopes: what the app asks for beside the launch itself.
        name: what people call it.
        forms: slugs of the forms that are offered in it.
        frame_origins: origins of its pages that may show the app in a frame.
        authorization_origins: origins of its authorisation server, where that is not the issuer's.
    """

    issuer: str
    client_id: str
    redirect_url: str
    scopes: tuple[str, ...]
    name: str
    forms: tuple[str, ...]
    frame_origins: tuple[str, ...] = ()
    authorization_origins: tuple[str, ...] = ()

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
    if faults := [*_repeated(listed), *_unknown_forms(listed, forms)]:
        raise SettingsError([f"{path.name}: {fault}" for fault in faults])
    return tuple(_ehr(entry, server, forms) for entry in listed)


def registered(ehrs: Iterable[Ehr], issuer: str) -> Ehr | None:
    """Returns the EHR with exactly this issuer, or None."""
    return next((ehr for ehr in ehrs if ehr.issuer == issuer), None)


def frame_origins(ehrs: Iterable[Ehr]) -> tuple[str, ...]:
    """Returns the origins whose pages may show the app in a frame, each once."""
    return tuple(dict.fromkeys(origin for ehr in ehrs for origin in ehr.frame_origins))


def connected_origins(ehrs: Iterable[Ehr]) -> tuple[str, ...]:
    """Returns the origins that the app may speak with, each once."""
    return tuple(dict.fromkeys(origin for ehr in ehrs for origin in ehr.origins))


def origin_of(url: str) -> str:
    """Returns scheme, host and port of a url, as browsers write them."""
    parts = urlsplit(url)
    host = parts.netloc.lower()
    standard = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{host.removesuffix(standard)}"


def _ehr(entry: Mapping[str, Any], server: str, forms: Sequence[str]) -> Ehr:
    issuer: str = entry["issuer"]
    return Ehr(
        issuer=issuer,
        client_id=entry["client_id"],
        redirect_url=entry.get("redirect_url", f"{server}{APP_PATH}"),
        scopes=tuple(entry["scopes"]),
        name=entry.get("name", urlsplit(issuer).netloc),
        forms=tuple(entry.get("forms", forms)),
        frame_origins=tuple(entry.get("frame_origins", ())),
        authorization_origins=tuple(entry.get("authorization_origins", ())),
    )


# What stands in the file.

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


class _Entry(Schema):
    error_messages = _OF_SCHEMA

    issuer = _text("issuer", _url, required=True)
    client_id = _text("client-id", _client_id, required=True)
    redirect_url = _text("redirect-url", _redirect)
    scopes = _texts("scopes", _scope, required=True)
    name = _text("name", _some)
    forms = _texts("forms", _some)
    frame_origins = _texts("frame-origins", _origin)
    authorization_origins = _texts("authorization-origins", _origin)


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
