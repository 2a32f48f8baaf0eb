"""What comes of a question to another server: an answer, or a fault."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class OutboundFault(Exception):
    """Another server cannot be asked: not registered, or not reachable."""


class TooSlow(OutboundFault):
    """It gave no whole answer in time."""


class Unreadable(OutboundFault):
    """Its answer is too long, breaks off, or says two things of its length."""


class TooLong(Unreadable):
    """Its answer is longer than any that is read."""


class Answer(msgspec.Struct, frozen=True):
    """What another server answered; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
