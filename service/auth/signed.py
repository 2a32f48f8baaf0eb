"""What signed tokens have in common: how one is read, whether its signature is right, and its times.

Nothing of a token is believed before its signature is checked, and a member that stands in it twice makes it
none: what one program reads first another one reads last.

Source:
    RFC 7515; RFC 7519; RFC 8725 (best current practices).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

from joserfc import jws
from joserfc.errors import JoseError

from service.auth.keys import PublicKey

SKEW_S: Final = 30
"""How far the clock of who signs may differ from ours."""

LONGEST_TOKEN: Final = 8192

_MOST_HEADERS: Final = 256
_MOST_SECONDS: Final = 253_402_300_799

Claims = Mapping[str, Any]


class Refused(Exception):
    """The token cannot be taken; why is nobody's business."""


class _Registry(jws.JWSRegistry):
    max_header_length = 2048


@lru_cache
def _registry(algorithms: tuple[str, ...] | None) -> _Registry:
    return _Registry(algorithms=algorithms)


@lru_cache(maxsize=_MOST_HEADERS)
def header_in(part: str) -> Claims:
    """Returns the header of a signed token, checked by the library; raises Refused.

    All tokens that are signed with one key have the same, so that it is kept for the next of them, and
    nobody can change it. What this one may be signed with is not among what is checked here.
    """
    header = dict(object_in(part))
    try:
        _registry(None).validate_header_size(part.encode())
        _registry(None).check_header(header)
    except (JoseError, ValueError, TypeError) as error:
        raise Refused from error
    return MappingProxyType(header)


def check_signature(
    parts: Sequence[str], header: Claims, key: PublicKey | None, algorithms: Sequence[str]
) -> None:
    """Raises Refused unless a token is signed with the key, in one of the ways.

    The algorithm is the library's, which also checks that it is allowed and what the key is made for.

    Args:
        parts: the three of the token, as they were sent.
        header: what `header_in` returns of the first of them.
        key: None if there is none.
        algorithms: those that are allowed.
    """
    if key is None:
        raise Refused
    registry = _registry(tuple(algorithms))
    head, payload, signature = parts
    try:
        registry.validate_signature_size(signature.encode())
        algorithm = registry.get_alg(header["alg"])
        algorithm.check_key(key)
        is_right = algorithm.verify(f"{head}.{payload}".encode(), _decoded(signature), key)
    except (JoseError, ValueError, TypeError) as error:
        raise Refused from error
    if not is_right:
        raise Refused


def check_times(claims: Claims, now: float) -> None:
    """Raises Refused where a token is over, or not yet begun; it must say when it ends."""
    if now >= seconds_in(claims, "exp") + SKEW_S:
        raise Refused
    for name in ("nbf", "iat"):
        if name in claims and seconds_in(claims, name) > now + SKEW_S:
            raise Refused


def object_in(part: str) -> Claims:
    """Returns an object of a signed token; raises Refused if it is none, or says a thing twice."""
    return object_from(_decoded(part))


def object_from(data: bytes) -> Claims:
    """Returns an object in strict JSON; raises Refused if it is none, or says a thing twice."""
    try:
        found = _DECODE(data.decode())
    except (ValueError, RecursionError) as error:
        raise Refused from error
    if not isinstance(found, dict):
        raise Refused
    return found


def _decoded(part: str) -> bytes:
    """Returns the bytes of a part; raises Refused if they are encoded in another way than the one."""
    sent = part.encode()
    try:
        data = base64.urlsafe_b64decode(sent + b"==")
    except ValueError as error:
        raise Refused from error
    if base64.urlsafe_b64encode(data).rstrip(b"=") != sent:
        raise Refused
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the members of an object; raises Refused if one stands in it twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused
    return found


def _no_number(_: str) -> NoReturn:
    """Raises Refused: JSON has no NaN and no Infinity, which Python's reader takes."""
    raise Refused


_DECODE: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number).decode


def seconds_in(claims: Claims, name: str) -> float:
    """Returns a time of a token; raises Refused if it is no number of this epoch, or missing."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
        raise Refused
    return float(value)
