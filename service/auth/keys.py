"""The public keys of those who sign tokens: fetched by url, or read from a file, and kept for a while.

A set of keys is kept as long as its answer says (Cache-Control), an hour at most. A key that is not in it
leads to one further fetch, and for a while to no other: tokens with made-up key ids do not make the service
a load on somebody's server. Once a set is too old and cannot be fetched again, nothing is accepted any more.

Source:
    RFC 7517, section 5; SMART App Launch 2.2, client-confidential-asymmetric, "Registering a Client";
    RFC 8725, section 3.5 (weak keys).
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from service.errors import Problem, Unavailable
from service.outbound import Outbound, OutboundFault, TooLong

LONGEST_S: Final = 3600.0
"""Longest time for which a set is kept, whatever its answer says."""

USUAL_S: Final = 300.0
"""How long it is kept where its answer says nothing."""

BETWEEN_S: Final = 10.0
"""Shortest time between two fetches for the sake of a key that is not in the set."""

AFTER_FAULT_S: Final = 2.0
"""Time after a fetch that failed in which no other is tried."""

SHORTEST_RSA_BITS: Final = 2048
MOST_KEYS: Final = 100

_SHORTEST_S: Final = 1.0
_FRESH: Final = re.compile(r"\bmax-age\s*=\s*\"?([0-9]{1,9})")
_NOT_KEPT: Final = re.compile(r"\bno-(?:store|cache)\b")
_OF_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_PUBLIC: Final = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
_LONG_ENOUGH: Final = "n" * (SHORTEST_RSA_BITS // 6)
_REDIRECTS: Final = range(300, 400)
_SIGNING: Final = ("sig", None)

PublicKey = RSAKey | ECKey


def _new_lock() -> threading.Lock:
    """Returns a lock of the worker: the class was made before gevent replaced what `threading.Lock` names."""
    return threading.Lock()


class _KeySet(msgspec.Struct):
    """One set of keys, as it was last fetched.

    Args:
        keys: id and key, in the order of the set.
        until: when it is too old.
        sought: when it was last fetched for the sake of a key that was not in it.
        failed: when a fetch last failed.
        misled: whether there was an answer then.
    """

    keys: Sequence[_Key] = ()
    until: float = float("-inf")
    sought: float = float("-inf")
    failed: float = float("-inf")
    misled: bool = False
    lock: threading.Lock = msgspec.field(default_factory=_new_lock)


class _Key(msgspec.Struct, frozen=True):
    """One key.

    Args:
        kid: its id.
        is_alone: whether no other key of the set has that id, whatever it is for.
        algorithms: those whose signatures may be checked with it.
        key: itself.
    """

    kid: str | None
    is_alone: bool
    algorithms: frozenset[str]
    key: PublicKey


class KeySets:
    """The sets of keys of all who are registered.

    Args:
        outbound: fetches them.
        clock: seconds that only ever grow.
    """

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._sets: dict[str | Path, _KeySet] = {}

    def key(
        self, source: str | Path, kid: str | None, algorithm: str, *, alone: bool = False
    ) -> PublicKey | None:
        """Returns the key that a signature is to be checked with; None if the set has none, or several.

        Args:
            source: url or file of the set, as registered.
            kid: id of the key; None if the token names none, and the set must have one key that fits.
            algorithm: such as `RS384`; a key of another type or curve is not taken.
            alone: take no key whose id another key of the set has too, whatever that one is for.

        Raises:
            Unavailable: the set is too old or was never fetched, and cannot be fetched now.
        """
        kept = self._sets.get(source) or self._sets.setdefault(source, _KeySet())
        now = self._clock()
        if now >= kept.until:
            self._renew(source, kept, lambda: now >= kept.until)
        found = _found(kept.keys, kid, algorithm, alone)
        if found is None and now - kept.sought >= BETWEEN_S:
            self._seek(source, kept)
            found = _found(kept.keys, kid, algorithm, alone)
        return found

    def misleads(self, source: str | Path) -> bool:
        """Says whether the last fetch failed though there was an answer: a redirect, or no set of keys."""
        return source in self._sets and self._sets[source].misled

    def _seek(self, source: str | Path, kept: _KeySet) -> None:
        """Fetches a set again that lacks a key, but not too often; if that fails, the set stays as it is."""
        seen = kept.sought
        try:
            self._renew(source, kept, lambda: kept.sought == seen)
        except Unavailable:
            return
        finally:
            kept.sought = self._clock()

    def _renew(self, source: str | Path, kept: _KeySet, is_needed: Callable[[], bool]) -> None:
        """Fetches a set, unless somebody else did while this one waited."""
        with kept.lock:
            if not is_needed():
                return
            now = self._clock()
            if now - kept.failed < AFTER_FAULT_S:
                raise _unavailable()
            try:
                keys, seconds = self._fetched(source)
            except (OutboundFault, OSError, ValueError) as fault:
                kept.failed = self._clock()
                kept.misled = isinstance(fault, TooLong | ValueError)
                raise _unavailable() from fault
            kept.keys, kept.until = keys, now + seconds

    def _fetched(self, source: str | Path) -> tuple[tuple[_Key, ...], float]:
        """Returns the keys of a set, and how long to keep them; raises OutboundFault or ValueError."""
        if isinstance(source, Path):
            return keys_of(source.read_bytes()), USUAL_S
        answer = self._outbound.get(source)
        if answer.status in _REDIRECTS:
            raise ValueError("a redirect, which is not followed")
        if answer.status != 200:
            raise OutboundFault("expected status 200")
        return keys_of(answer.body), _kept_for(answer.headers.get("cache-control", ""))


def keys_of(body: bytes) -> tuple[_Key, ...]:
    """Returns the keys of a set that may check signatures; others are left out.

    Raises:
        ValueError: it is no set of keys.
    """
    document = orjson.loads(body)
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError("no set of keys")
    kids = Counter(str(entry.get("kid")) for entry in listed if isinstance(entry, Mapping))
    return tuple(key for entry in listed if (key := _key(entry, kids)) is not None)


def _key(entry: Any, kids: Mapping[str, int]) -> _Key | None:
    """Returns one key; None if it signs nothing, is not public, too short, or not understood.

    Args:
        entry: the key, as it stands in the set.
        kids: how many keys of the set have an id.
    """
    names = _PUBLIC.get(str(entry.get("kty"))) if isinstance(entry, Mapping) else None
    if names is None or "d" in entry or entry.get("use") not in _SIGNING:
        return None
    kid, algorithm, operations = entry.get("kid"), entry.get("alg"), entry.get("key_ops", ["verify"])
    if not isinstance(kid, str | None) or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        public: dict[str, Any] = {name: str(entry[name]) for name in names}
        if len(public.get("n", _LONG_ENOUGH)) < len(_LONG_ENOUGH):
            return None
        key = RSAKey.import_key(public) if public["kty"] == "RSA" else ECKey.import_key(public)
        if isinstance(key, RSAKey) and key.public_key.key_size < SHORTEST_RSA_BITS:
            return None
    except (JoseError, KeyError, ValueError, TypeError):
        return None
    of_type = _OF_RSA if isinstance(key, RSAKey) else (_OF_CURVE.get(key.curve_name),)
    algorithms = frozenset(name for name in of_type if name and algorithm in (None, name))
    return _Key(kid, kids[str(kid)] == 1, algorithms, key)


def _found(
    keys: Sequence[_Key],
    kid: str | None,
    algorithm: str,
    alone: bool,  # noqa: FBT001
) -> PublicKey | None:
    found = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    return found[0].key if len(found) == 1 and (found[0].is_alone or not alone) else None


def _kept_for(cache_control: str) -> float:
    """Returns how many seconds a set may be kept; a second at least, so that no flood passes on."""
    said = cache_control.lower()
    if _NOT_KEPT.search(said):
        return _SHORTEST_S
    fresh = _FRESH.search(said)
    return max(_SHORTEST_S, min(float(fresh[1]), LONGEST_S)) if fresh else USUAL_S


def _unavailable() -> Unavailable:
    text = "The authorisation server's keys cannot be had, so that no token can be checked."
    return Unavailable(Problem("authorization-server", text))
