"""Reads the environment once into one frozen Settings; every fault is reported together."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from service.errors import SettingsError

PREFIX = "SERVICE_"
_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "program"  # setup.py puts it there
ROOT = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent
"""Folder of what the program comes with: questionnaires, mappings, the configuration of gunicorn."""
HOME = Path.cwd() if ROOT == _IN_WHEEL else ROOT
"""Folder in which relative paths of the store begin: nothing is stored among installed packages."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.\-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_FILE = "sqlite:///"
_SHORTEST_KEY = 32
CLOSED: Final = (
    f"There is no access control. Expected a loopback address as {PREFIX}HOST, such as 127.0.0.1, issuers of "
    f"tokens in the file that {PREFIX}EHRS_FILE names, or {PREFIX}OPEN=true where everybody who reaches the "
    "service may send any request."
)
FOR_AUTHORS: Final = (
    f"{PREFIX}RELOAD: expected a loopback address as {PREFIX}HOST, such as 127.0.0.1: it is for authors of "
    "guidance, on their own machine."
)
CONTROLLED_RATE: Final = 6000
"""Most requests of a client in a minute where access is controlled and no setting says how many."""
UNIX_SOCKET: Final = "unix"
"""What stands for a Unix socket among the proxies: a peer there has no address."""
_UNKNOWN = "No such setting; expected one of the variables that docs/settings.md lists."


# How the variables are read. Annotations are values in this module: each says how its setting is read.


def _exists(path: Path) -> None:
    if not path.is_dir():
        raise ValidationError("Expected the path of a folder that exists.")


def _public_base(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValidationError("Expected an absolute http or https URL without query and fragment.")
    if url.endswith("/") or parts.username or parts.password:
        raise ValidationError("Expected a URL that has no user and does not end in a slash.")


def _keys(text: str) -> None:
    if any(len(key) < _SHORTEST_KEY or key != key.strip() for key in text.split(",")):
        raise ValidationError(f"Expected keys of at least {_SHORTEST_KEY} characters, with commas between.")


def _notice(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError("Expected an absolute http or https URL.")


def _content(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError):
        raise ValidationError("Expected the path of a text file that can be read.") from None


def _origins(text: str) -> None:
    for origin in filter(None, text.split(",")):
        if not _ORIGIN.fullmatch(origin) or origin != origin_of(origin):
            raise ValidationError("Expected origins such as https://app.example.org, with commas between.")


def _proxies(text: str) -> None:
    for place in filter(None, text.split(",")):
        try:
            if place != UNIX_SOCKET:
                ip_network(place)
        except ValueError:
            raise ValidationError(
                f"Expected addresses and networks such as 10.0.0.0/8, or {UNIX_SOCKET}, with commas between."
            ) from None


def _whole(low: int, high: int) -> fields.Integer:
    expected = f"Expected a whole number from {low} to {high}."
    return fields.Integer(validate=Range(low, high, error=expected), error_messages={"invalid": expected})


def _flag() -> fields.Boolean:
    return fields.Boolean(
        truthy={"true"}, falsy={"false"}, error_messages={"invalid": "Expected true or false."}
    )


def _text(*checks: Callable[[str], object]) -> fields.String:
    return fields.String(validate=checks)


def _of_file(check: Callable[[str], object]) -> fields.Function:
    return fields.Function(deserialize=_content, validate=check)


def _path(*checks: Callable[[Path], object]) -> fields.Function:
    return fields.Function(deserialize=Path, validate=checks)


def _matching(pattern: str, expected: str) -> Regexp:
    return Regexp(rf"(?:{pattern})\Z", error=expected)


# Canonical urls stand in JSON, narratives and search parameters: no character in them may mean more there.
_CANONICAL_BASE = _matching(
    r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%\-]+)*",
    "Expected a URL such as https://example.org/x of letters, digits and -._~% that ends in no slash.",
)
_LANGUAGE = _matching(
    r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", "Expected the tag of a language, such as en or de."
)
_TELEPHONE = _matching(
    r"\+?[0-9](?:[0-9 \-]{0,18}[0-9])?",
    "Expected a telephone number as people dial it, such as 112 or 116 123.",
)
# Only the shape: what the parts mean is for the storage to say.
_STORE_URL = _matching(
    r"none"
    r"|sqlite:///(?!:memory:)[^?\s][^?\n]*"
    r"|postgresql(\+psycopg)?://([^:/@\s]*(:[^@\s]*)?@)?(\[[0-9A-Fa-f:.]+\]|[^:/@\s\[\]]*)(:[0-9]{1,5})?/[^?\s]+(\?\S*)?",
    "Expected none, sqlite:///path/of/a/file, or postgresql://user:password@host/database.",
)
_TOKEN = _matching(
    rf"[A-Za-z0-9\-._~+/=]{{{_SHORTEST_KEY},}}",
    f"Expected a token of at least {_SHORTEST_KEY} letters, digits and -._~+/=.",
)
_KEY = Length(_SHORTEST_KEY, error=f"Expected a key of at least {_SHORTEST_KEY} characters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process runs. Field `x` is the variable SERVICE_X, which docs/settings.md explains.

    The annotation says how the variable is read. A second one stands for SERVICE_X_FILE, the path of a file
    that holds a secret. Empty texts and None stand for what was not set; lists are one text with commas
    between. What three defaults mean depends on access control:

    Args:
        requests_per_minute: None is CONTROLLED_RATE if access is controlled, else no limit; 0 is no limit.
        public_form: None serves the forms unless access is controlled.
        audit: None records if access is controlled and there is a store.
    """

    questionnaires_dir: Annotated[Path, _path(_exists)] = ROOT / "questionnaires"
    mappings_dir: Annotated[Path, _path(_exists)] = ROOT / "mappings"
    next_mappings_dir: Annotated[Path | None, _path(_exists)] = None
    next_questionnaires_dir: Annotated[Path | None, _path(_exists)] = None
    require_review: Annotated[bool, _flag()] = False
    checked_dir: Annotated[Path | None, _path()] = None
    terminology_dir: Annotated[Path | None, _path(_exists)] = None
    terminology_server: Annotated[str, _text(_public_base)] = ""
    terminology_timeout_s: Annotated[int, _whole(1, 30)] = 3
    base_url: Annotated[str, _text(_public_base)] = ""
    canonical_base: Annotated[str, _text(_CANONICAL_BASE)] = "https://guidance.example.org"
    language: Annotated[str, _text(_LANGUAGE)] = "en"
    emergency_number: Annotated[str, _text(_TELEPHONE)] = ""
    crisis_line: Annotated[str, _text(_TELEPHONE)] = ""
    store_url: Annotated[str, _text(_STORE_URL), _of_file(_STORE_URL)] = field(
        default="sqlite:///data/service.db", repr=False
    )
    store_timeout_s: Annotated[int, _whole(1, 60)] = 3
    store_connections: Annotated[int, _whole(1, 100)] = 10
    retention_days: Annotated[int, _whole(0, 36_500)] = 0
    audit_retention_days: Annotated[int, _whole(0, 36_500)] = 0
    max_bundle_entries: Annotated[int, _whole(1, 1000)] = 100
    cors_origins: Annotated[str, _text(_origins)] = ""
    host: Annotated[str, _text()] = "127.0.0.1"
    port: Annotated[int, _whole(1, 65535)] = 8000
    open: Annotated[bool, _flag()] = False
    workers: Annotated[int, _whole(1, 256)] = 2
    connections: Annotated[int, _whole(1, 100_000)] = 1000
    max_body_bytes: Annotated[int, _whole(1024, 104_857_600)] = 1_048_576
    max_depth: Annotated[int, _whole(32, 256)] = 64
    requests_per_minute: Annotated[int | None, _whole(0, 1_000_000)] = None
    trusted_proxies: Annotated[str, _text(_proxies)] = ""
    sandbox_memory_mib: Annotated[int, _whole(512, 1_048_576)] = 1024
    request_timeout_s: Annotated[int, _whole(1, 600)] = 30
    keepalive_s: Annotated[int, _whole(1, 600)] = 15
    drain_s: Annotated[int, _whole(0, 600)] = 2
    graceful_timeout_s: Annotated[int, _whole(1, 600)] = 30
    public_form: Annotated[bool | None, _flag()] = None
    public_definitions: Annotated[bool, _flag()] = False
    form_keys: Annotated[str, _text(_keys), _of_file(_keys)] = field(default="", repr=False)
    form_max_age_h: Annotated[int, _whole(1, 720)] = 24
    form_short: Annotated[bool, _flag()] = False
    form_stores: Annotated[bool, _flag()] = False
    form_tenant: Annotated[str, _text()] = ""
    privacy_notice_url: Annotated[str, _text(_notice)] = ""
    embed_origins: Annotated[str, _text(_origins)] = ""
    ehrs_file: Annotated[Path | None, _path()] = None
    audit: Annotated[bool | None, _flag()] = None
    feedback_key: Annotated[str, _text(_KEY), _of_file(_KEY)] = field(default="", repr=False)
    metrics: Annotated[bool, _flag()] = False
    metrics_token: Annotated[str, _text(_TOKEN), _of_file(_TOKEN)] = field(default="", repr=False)
    tracing: Annotated[bool, _flag()] = False
    log_level: Annotated[str, _text(OneOf(_LEVELS, error="Expected {choices}."))] = "INFO"
    reload: Annotated[bool, _flag()] = False

    @property
    def address(self) -> str:
        """Where the server listens, `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def check_address(self, *, controlled: bool) -> None:
        """Raises SettingsError where others would reach the server and it was not told that they may.

        Args:
            controlled: whether requests need tokens.
        """
        if self.reload and not is_loopback(self.host):
            raise SettingsError([FOR_AUTHORS])
        if not controlled and not self.open and not is_loopback(self.host):
            raise SettingsError([CLOSED])

    @property
    def store(self) -> str:
        """The store's URL; a relative path begins at the program's folder, wherever it was started.

        Of an installed wheel it begins where the program was started.
        """
        path = self.store_url.removeprefix(_FILE)
        return self.store_url if path == self.store_url else f"{_FILE}{HOME / path}"

    @property
    def origins(self) -> frozenset[str]:
        """Origins that may call this service from a browser."""
        return frozenset(filter(None, self.cors_origins.split(",")))

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The keys that sign pages of forms, the one that signs first."""
        return tuple(filter(None, self.form_keys.split(",")))

    @property
    def proxies(self) -> tuple[str, ...]:
        """The proxies whose word is taken for the address on whose behalf they ask."""
        return tuple(filter(None, self.trusted_proxies.split(",")))

    @property
    def framing_origins(self) -> frozenset[str]:
        """Origins of pages that may show the forms in a frame."""
        return frozenset(filter(None, self.embed_origins.split(",")))

    @property
    def public_base(self) -> str:
        """The FHIR base that links are built from."""
        return self.base_url or f"http://{self.address}/fhir"


def files_below(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """Yields the files below a folder, those of folders that are linked there included; each folder once.

    What Python compiles there for itself is passed over.
    """
    seen = set[Path]()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        found = (Path(place, name) for name in names if fnmatchcase(name, pattern))
        yield from (path for path in found if path.is_file())


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host: `localhost`, 127.0.0.0/8 or `::1`."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_name_of_loopback(host: str) -> bool:
    """Returns whether a Host header names this machine alone: as `is_loopback`, or below `.localhost`."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")


def origin_of(url: str) -> str:
    """Returns scheme, host and port of a url, as browsers write them; empty if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.lower()
    standard = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{host.removesuffix(standard)}" if host else ""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Returns the settings that the variables with the prefix SERVICE_ describe.

    Raises:
        SettingsError: a value is not of the expected kind, or a SERVICE_ variable is unknown.
    """
    ours = [(name, text) for name, text in environment.items() if name.startswith(PREFIX)]
    given = {name.removeprefix(PREFIX).lower(): text for name, text in ours}
    try:
        return Settings(**_reader_of_variables().load(given))
    except ValidationError as error:
        raise SettingsError(_faults(error.messages_dict)) from error


def _faults(messages: Mapping[str, Any]) -> list[str]:
    return [f"{PREFIX}{name.upper()}: {' '.join(texts)}" for name, texts in sorted(messages.items())]


class _Variables(Schema):
    error_messages = {"unknown": _UNKNOWN}  # noqa: RUF012 - marshmallow declares it so

    @validates_schema(skip_on_field_errors=False)
    def _check_secrets(self, given: Mapping[str, Any], **_: Any) -> None:
        for name in given:
            if f"{name}_file" in given:
                raise ValidationError(f"Expected it or {PREFIX}{name.upper()}, not both.", f"{name}_file")

    @post_load
    def _with_secrets(self, given: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Puts what stands in the file of a secret in the secret's own place."""
        own = Settings.__dataclass_fields__
        return {name if name in own else name.removesuffix("_file"): value for name, value in given.items()}


def _reader_of_variables() -> Schema:
    """Returns what reads the variables: as the fields of Settings are annotated."""
    readers = {
        variable: reader
        for name, annotated in Settings.__annotations__.items()
        for variable, reader in zip((name, f"{name}_file"), annotated.__metadata__, strict=False)
    }
    return _Variables.from_dict(readers)()
