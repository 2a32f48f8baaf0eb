"""How many requests one client may send in a minute, and how the workers of a machine count them together.

A request with a valid token is counted under the client that the token names. All others are counted under
their network address, those with an invalid token too. The window slides: requests of the minute before count
by the part of it that still lies within the last sixty seconds.

The counts are in memory that the workers share, so that counting costs no round trip. This module is imported
only if there is a limit.

Source:
    RFC 6585, section 4 (429 Too Many Requests); the strategies of the library `limits`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, IPv6Network
from math import ceil, floor
from pathlib import Path
from secrets import token_bytes
from struct import Struct
from tempfile import mkstemp
from typing import Any, Final, NamedTuple

from limits import RateLimitItemPerMinute
from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter

from service.auth.principal import ANONYMOUS, ANONYMOUS_KIND, Principal
from service.errors import Problem, ServiceError, TooManyRequests
from service.records.reach import EVERYTHING, Reach
from service.web.access import Access, Operator
from service.web.gate import Gate
from service.web.health import PROBES
from service.web.proxies import Proxies
from service.web.routing import Route

_CLIENT: Final = Problem("client-rate", "This client sends more requests in a minute than it may.")
_ADDRESS: Final = Problem(
    "address-rate", "More requests come from this network address in a minute than may come without a token."
)
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a name of the system
_OWN_NETWORK_BITS: Final = 64


class LimitedGate:
    """A gate that limits the requests of each client and of each network address.

    Probes, the operator's requests and OPTIONS are not counted, so that monitoring and browsers are answered
    even in a flood. Neither are the entries of a Bundle, which is one request, nor unknown paths.

    Args:
        gate: the gate behind this one; None if there is no access control.
        limits: counts the requests.
        operator: whoever runs the service.
    """

    def __init__(self, gate: Gate | None, limits: RateLimits, operator: Operator) -> None:
        self._gate = gate
        self._limits = limits
        self._operator = operator

    def principal(self, route: Route, environ: Mapping[str, Any]) -> Principal:
        """Counts a request, and returns who sends it.

        A refused request counts under its address, whatever the reason. So a flood of bad tokens ends in 429,
        and authorisation servers are not asked about more of them than an address may send. A signed token is
        checked even then, so that a flood does not keep out a good client of the same address.

        Raises:
            TooManyRequests: client or address has sent too many.
            Unauthenticated, Unavailable: as the gate behind does.
        """
        if self._is_uncounted(route, environ):
            return self._behind(route, environ)
        if self._gate is not None and self._gate.asks_elsewhere(environ):
            self._limits.check_address(environ)
        try:
            principal = self._behind(route, environ)
        except ServiceError:
            self._limits.count_address(environ)
            raise
        if principal.kind == ANONYMOUS_KIND:
            self._limits.count_address(environ)
        else:
            self._limits.count_client(principal)
        return principal

    def reach(self, route: Route, principal: Principal) -> Reach:
        """Asks the gate behind, and raises as it does; without one, everything may be touched."""
        return EVERYTHING if self._gate is None else self._gate.reach(route, principal)

    def lets_all_in(self, route: Route) -> bool:
        """Asks the gate behind; without one, everybody is let in."""
        return self._gate is None or self._gate.lets_all_in(route)

    def _is_uncounted(self, route: Route, environ: Mapping[str, Any]) -> bool:
        if route.access is Access.OPERATOR:
            return route.method == "OPTIONS" or self._operator.sends(environ)
        return route.method == "OPTIONS" or route.path in PROBES

    def _behind(self, route: Route, environ: Mapping[str, Any]) -> Principal:
        return ANONYMOUS if self._gate is None else self._gate.principal(route, environ)


class RateLimits:
    """Counts requests, and refuses those above the limit.

    Args:
        per_minute: most requests of one client, or of one address, in a minute.
        proxies: the proxies whose X-Forwarded-For is believed.
        counts: where the requests are counted.
    """

    def __init__(self, per_minute: int, proxies: Proxies, counts: Storage) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._proxies = proxies
        self._limiter = SlidingWindowCounterRateLimiter(counts)

    def count_client(self, principal: Principal) -> None:
        """Counts a request of a known client, or of the subject if the token names no client.

        Raises:
            TooManyRequests: it has sent too many.
        """
        self._count(_CLIENT, "client", principal.issuer, principal.client_id or principal.subject)

    def count_address(self, environ: Mapping[str, Any]) -> None:
        """Counts a request of somebody unknown, by network address.

        Raises:
            TooManyRequests: too many have come from there.
        """
        self._count(_ADDRESS, "address", counted_as(self._proxies.address(environ)))

    def check_address(self, environ: Mapping[str, Any]) -> None:
        """Raises TooManyRequests if the address has no request left; counts nothing."""
        who = "address", counted_as(self._proxies.address(environ))
        if not self._limiter.test(self._limit, *who):
            raise self._refusal(_ADDRESS, who)

    def _count(self, problem: Problem, *who: str) -> None:
        if not self._limiter.hit(self._limit, *who):
            raise self._refusal(problem, who)

    def _refusal(self, problem: Problem, who: tuple[str, ...]) -> TooManyRequests:
        wait = self._limiter.get_window_stats(self._limit, *who).reset_time - time.time()
        return TooManyRequests(problem, retry_after_s=max(1, ceil(wait)))


@lru_cache(4096)
def counted_as(address: str) -> str:
    """Returns the address that requests are counted under: for IPv6 the whole network of a client."""
    if ":" not in address:
        return address
    return str(IPv6Network((IPv6Address(address), _OWN_NETWORK_BITS), strict=False))


# Counts of one machine.

_ROW: Final = Struct("<16sdII")  # digest of the key, end of the window, count of the one before, of this one
_GROUP_SIZE: Final = 8 * _ROW.size
_GROUPS: Final = 8192
_OF_USE_S: Final = 60  # after the end of its window, where a window is a minute


class _Row(NamedTuple):
    """The counts of one key: when the present window ends, what came in the one before, and in this one."""

    ends: float
    previous: int
    current: int

    def at(self, now: float, window_s: int) -> _Row:
        """Returns the row as it is at a time."""
        if now < self.ends:
            return self
        ends = (floor(now / window_s) + 1.0) * window_s
        return _Row(ends, self.current if ends - self.ends <= window_s else 0, 0)


_NOTHING: Final = _Row(0.0, 0, 0)


class SharedMemory(Storage, SlidingWindowCounterSupport):
    """Counts of one machine, in memory that forked processes share; a storage of the library `limits`.

    A key has its place in one of 8192 groups of eight rows. Where a group is full, the row that counts the
    least makes room: a flood of addresses may make the service forget who sends little, not who sends much.
    Keys are kept as digests under a secret of this process, so nobody can choose which of them fall together,
    and no address stands in memory.

    A group is locked while it is changed. The lock is one that the system releases when a process ends,
    however that comes about; a worker that is killed stops no other one.

    Args:
        clock: seconds that only grow, alike in all processes. By the time of day, a clock that is set back
            would make windows as long as that, and keep clients out.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._rows = mmap.mmap(-1, _GROUPS * _GROUP_SIZE)
        self._locks = _file_of_locks()
        weakref.finalize(self, os.close, self._locks)
        self._secret = token_bytes(16)
        self._clock = clock

    @property
    def base_exceptions(self) -> type[Exception]:
        """What it raises where it fails."""
        return OSError

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts `amount` more, unless that were more than `limit` within the last `expiry` seconds."""
        digest, group = self._found(key)
        self._lock(group)
        try:
            now = self._clock()
            place = self._place(digest, group)
            row = self._read(place).at(now, expiry)
            before = row.previous * (row.ends - now) / expiry
            if floor(before + row.current) + amount > limit:
                return False
            self._write(digest, group, place, _Row(row.ends, row.previous, row.current + amount))
            return True
        finally:
            self._unlock(group)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Returns the requests in the window before and how long they count, and the same for this window."""
        now = self._clock()
        row = self._row(key).at(now, expiry)
        left = row.ends - now
        return row.previous, left if row.previous else 0.0, row.current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forgets a key."""
        self.clear(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Counts in a window that begins with its first request, and returns the count."""
        digest, group = self._found(key)
        self._lock(group)
        try:
            now = self._clock()
            place = self._place(digest, group)
            row = self._read(place)
            row = row if now < row.ends else _Row(now + expiry, 0, 0)
            self._write(digest, group, place, _Row(row.ends, 0, row.current + amount))
            return row.current + amount
        finally:
            self._unlock(group)

    def get(self, key: str) -> int:
        """Returns the count of a window that begins with its first request."""
        row = self._row(key)
        return row.current if self._clock() < row.ends else 0

    def get_expiry(self, key: str) -> float:
        """Returns when the window of a key ends, by the same clock; now, where there is none."""
        return max(self._clock(), self._row(key).ends)

    def check(self) -> bool:
        """Returns True: memory is there."""
        return True

    def reset(self) -> int | None:
        """Forgets everything."""
        self._rows[:] = bytes(len(self._rows))
        return None

    def clear(self, key: str) -> None:
        """Forgets a key."""
        digest, group = self._found(key)
        self._lock(group)
        try:
            self._write(digest, group, self._place(digest, group), _NOTHING)
        finally:
            self._unlock(group)

    def _found(self, key: str) -> tuple[bytes, int]:
        """Returns the digest of a key, and the number of its group."""
        digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16, key=self._secret).digest()
        return digest, int.from_bytes(digest[:4], "little") % _GROUPS

    def _lock(self, group: int) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, group)

    def _unlock(self, group: int) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, group)

    def _row(self, key: str) -> _Row:
        digest, group = self._found(key)
        self._lock(group)
        try:
            return self._read(self._place(digest, group))
        finally:
            self._unlock(group)

    def _place(self, digest: bytes, group: int) -> int:
        """Returns where the row of a key begins; less than 0 where it has none."""
        begin = group * _GROUP_SIZE
        place = self._rows.find(digest, begin, begin + _GROUP_SIZE)
        return place if place % _ROW.size == 0 else -1

    def _read(self, place: int) -> _Row:
        return _NOTHING if place < 0 else _Row(*_ROW.unpack_from(self._rows, place)[1:])

    def _write(self, digest: bytes, group: int, place: int, row: _Row) -> None:
        if place < 0:
            begin = group * _GROUP_SIZE
            place = min(range(begin, begin + _GROUP_SIZE, _ROW.size), key=self._weight)
        _ROW.pack_into(self._rows, place, digest, *row)

    def _weight(self, place: int) -> tuple[bool, int]:
        """Returns the sort key for rows that make room: first those that are over, then small counts."""
        _, ends, previous, current = _ROW.unpack_from(self._rows, place)
        return ends + _OF_USE_S > self._clock(), previous + current


def _file_of_locks() -> int:
    """Returns an open file without a name; nothing is written to it, its bytes are what is locked."""
    number, name = mkstemp(dir=_MEMORY if _MEMORY.is_dir() else None)
    Path(name).unlink()
    return number
