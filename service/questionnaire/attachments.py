"""Attachments: type, size, and whether size, hash and data agree.

Source: FHIR R4 Attachment (att-1: data needs a contentType); extensions mimeType and maxSize,
whose megabyte is taken as 1,048,576 bytes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Any

from service.questionnaire.extensions import text
from service.questionnaire.item import Limits
from service.questionnaire.limits import Fault


def attachment_faults(limits: Limits, attachment: Mapping[str, Any]) -> Iterator[Fault]:
    """Yields (kind, expectation) for every fault of one Attachment."""
    yield from _type_faults(limits, attachment)
    data = _data(attachment)
    if data is None and "data" in attachment:
        yield "attachment-data", "data in base64"
        return
    size = attachment.get("size")
    stated = size if isinstance(size, int) and not isinstance(size, bool) else None
    if data is not None:
        yield from _agreement_faults(attachment, stated, data)
    yield from _size_faults(limits, len(data) if data is not None else stated)


def _type_faults(limits: Limits, attachment: Mapping[str, Any]) -> Iterator[Fault]:
    type_ = text(attachment.get("contentType")).partition(";")[0].strip().lower()
    permitted = ", ".join(limits.mime_types)
    if not type_:
        if limits.mime_types:
            yield "attachment-type-missing", f"a contentType, one of {permitted}"
        elif "data" in attachment:
            yield "attachment-type-missing", "a contentType beside the data"
    elif limits.mime_types and not any(_is_of(type_, allowed.lower()) for allowed in limits.mime_types):
        yield "attachment-type", f"a contentType of {permitted}"


def _is_of(type_: str, allowed: str) -> bool:
    return type_ == allowed or (allowed.endswith("/*") and type_.startswith(allowed[:-1])) or allowed == "*/*"


def _data(attachment: Mapping[str, Any]) -> bytes | None:
    data = attachment.get("data")
    if not isinstance(data, str):
        return None
    try:
        return b64decode("".join(data.split()), validate=True)
    except (NotBase64, ValueError):
        return None


def _agreement_faults(attachment: Mapping[str, Any], stated: int | None, data: bytes) -> Iterator[Fault]:
    if stated is not None and stated != len(data):
        yield "attachment-size-mismatch", "size to be the number of bytes of the data"
    hash_ = attachment.get("hash")
    if hash_ is not None and hash_ != b64encode(sha1(data, usedforsecurity=False).digest()).decode():
        yield "attachment-hash-mismatch", "hash to be the SHA-1 of the data, in base64"


def _size_faults(limits: Limits, size: int | None) -> Iterator[Fault]:
    if limits.max_bytes is None:
        return
    if size is None:
        yield "attachment-size-unknown", f"size or data, so that {limits.max_bytes} bytes at most can be seen"
    elif size > limits.max_bytes:
        yield "attachment-size", f"at most {limits.max_bytes} bytes"
