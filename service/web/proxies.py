"""The address of a client behind proxies: whose X-Forwarded-For is believed.

No proxy's is, unless a setting names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final, NamedTuple

from service.settings import UNIX_SOCKET

_MOST_HOPS: Final = 16
_MOST_KEPT: Final = 4096


class Proxies:
    """The proxies whose X-Forwarded-For is believed.

    Args:
        networks: theirs, such as `10.0.0.0/8`; `unix` stands for every caller of a Unix socket.
    """

    def __init__(self, networks: tuple[str, ...] = ()) -> None:
        self._networks = [ip_network(text) for text in networks if text != UNIX_SOCKET]
        self._socket = UNIX_SOCKET in networks
        self._place = lru_cache(_MOST_KEPT)(self._place_of)

    def address(self, environ: Mapping[str, Any]) -> str:
        """Returns the address of the client; empty if it came by a Unix socket without the header.

        It is the last address in X-Forwarded-For that is not a proxy of ours: our proxies have seen that one
        themselves, but anybody may have written those before it.
        """
        asking = self._place(environ.get("REMOTE_ADDR", ""))
        if not asking.is_proxy or "HTTP_X_FORWARDED_FOR" not in environ:
            return asking.address
        hops = environ["HTTP_X_FORWARDED_FOR"].rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
        for hop in reversed(hops):
            before = self._place(hop.strip())
            if not before.address:
                break
            asking = before
            if not asking.is_proxy:
                break
        return asking.address

    def _place_of(self, text: str) -> _Place:
        try:
            address = ip_address(text)
        except ValueError:
            return _Place("", self._socket and not text)
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or IPv6Address(int(address))  # without a zone, which is free text
        is_proxy = any(address in network for network in self._networks)
        return _Place(str(address), is_proxy)


class _Place(NamedTuple):
    """An address, and whether it is a proxy of ours."""

    address: str
    is_proxy: bool
