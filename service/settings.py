"""Reads the environment once into one frozen Settings; every fault is reported together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import OneOf, Range

from service.errors import SettingsError

PREFIX = "SERVICE_"
ROOT = Path(__file__).resolve().parent.parent

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_UNKNOWN = "No such setting; expected one of the variables that README lists."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process runs. Each field is the variable SERVICE_<FIELD IN CAPITALS>; README lists them.

    Args:
        questionnaires_dir: folder of published Questionnaire, CodeSystem and ValueSet resources.
        mappings_dir: folder with one folder per guidance.
        base_url: public FHIR base, without a trailing slash: links are built from it, never from
            the Host header. Empty stands for `http://<host>:<port>/fhir`.
        host, port: where the server listens.
        workers: server processes.
        connections: connections that one worker keeps open at the same time.
        max_body_bytes: longest request body, after decompression.
        max_depth: deepest nesting of objects and arrays in a request body.
        request_timeout_s: longest time that one request may take, slow senders and readers included.
        keepalive_s: longest wait for the next request (or the rest of its headers) on a connection.
        graceful_timeout_s: time that running requests have to finish when the service stops.
        log_level: `DEBUG`, `INFO`, `WARNING` or `ERROR`; INFO has one line per request.
    """

    questionnaires_dir: Path = ROOT / "questionnaires"
    mappings_dir: Path = ROOT / "mappings"
    base_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    connections: int = 1000
    max_body_bytes: int = 1_048_576
    max_depth: int = 64
    request_timeout_s: int = 30
    keepalive_s: int = 15
    graceful_timeout_s: int = 30
    log_level: str = "INFO"

    @property
    def address(self) -> str:
        """Where the server listens, `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def public_base(self) -> str:
        """The FHIR base that links are built from."""
        return self.base_url or f"http://{self.address}/fhir"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Returns the settings that the variables with the prefix SERVICE_ describe.

    Raises:
        SettingsError: a value is not of the expected kind, or a SERVICE_ variable is unknown.
    """
    ours = [(name, text) for name, text in environment.items() if name.startswith(PREFIX)]
    given = {name.removeprefix(PREFIX).lower(): text for name, text in ours}
    try:
        return Settings(**_Variables().load(given))
    except ValidationError as error:
        raise SettingsError(_faults(error.messages_dict)) from error


def _faults(messages: Mapping[str, Any]) -> list[str]:
    return [f"{PREFIX}{name.upper()}: {' '.join(texts)}" for name, texts in sorted(messages.items())]


def _folder(path: Path) -> None:
    if not path.is_dir():
        raise ValidationError("Expected the path of a folder that exists.")


def _public_base(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValidationError("Expected an absolute http or https URL without query and fragment.")
    if url.endswith("/") or parts.username or parts.password:
        raise ValidationError("Expected a URL that has no user and does not end in a slash.")


def _whole(low: int, high: int) -> fields.Integer:
    expected = f"Expected a whole number from {low} to {high}."
    return fields.Integer(validate=Range(low, high, error=expected), error_messages={"invalid": expected})


class _Variables(Schema):
    error_messages = {"unknown": _UNKNOWN}  # noqa: RUF012 - marshmallow declares it so

    questionnaires_dir = fields.Function(deserialize=Path, validate=_folder)
    mappings_dir = fields.Function(deserialize=Path, validate=_folder)
    base_url = fields.String(validate=_public_base)
    host = fields.String()
    port = _whole(1, 65535)
    workers = _whole(1, 256)
    connections = _whole(1, 100_000)
    max_body_bytes = _whole(1024, 104_857_600)
    max_depth = _whole(32, 256)
    request_timeout_s = _whole(1, 600)
    keepalive_s = _whole(1, 600)
    graceful_timeout_s = _whole(1, 600)
    log_level = fields.String(validate=OneOf(_LEVELS, error="Expected {choices}."))
