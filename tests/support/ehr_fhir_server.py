"""The FHIR server of an EHR as an app meets it: bearer tokens, scopes, CORS, and refusals on demand.

It keeps its resources in memory, and knows no more of FHIR than the app asks of it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote
from urllib.request import urlopen

from werkzeug.serving import WSGIRequestHandler, make_server

Json = dict[str, Any]

Answer = tuple[int, Json, list[tuple[str, str]]]
"""Status, document and headers."""

TYPES = (
    "Patient",
    "Encounter",
    "Practitioner",
    "Observation",
    "QuestionnaireResponse",
    "RiskAssessment",
    "DocumentReference",
)
_FHIR_JSON = "application/fhir+json"
_SCOPE = re.compile(r"(?:patient|user)/([A-Za-z*]+)\.([a-z*]+)")
_LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
_CORS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "authorization, content-type, accept, if-none-exist"),
    ("Access-Control-Allow-Methods", "GET, POST, PUT, OPTIONS"),
    ("Access-Control-Expose-Headers", "Location"),
]


class Refused(Exception):
    """The answer is an error with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class EhrServer:
    """What the EHR knows and does; tests change it while it runs.

    Args:
        base: its FHIR base.
        authorization: url of its authorisation server.
        types: those that it takes; what is left out it does not support.
        transactions: whether it takes them.
        framed: what its own page `/record` shows in a frame; asked for as `localhost`, that page is on
            another site.
        pkce: whether it says that it takes S256.
        finds: whether it searches, knows at a create what is there already, and says where a new one went.
        refusals: status by `METHOD Type`, such as `POST RiskAssessment`: what it refuses, whatever is sent.
        expired: whether the tokens that there are have run out.
        resources: by type and id.
        seen: every request, as `METHOD path?query`.
    """

    base: str = ""
    authorization: str = ""
    types: tuple[str, ...] = TYPES
    transactions: bool = True
    framed: str = ""
    pkce: bool = True
    finds: bool = True
    refusals: dict[str, int] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    resources: dict[str, dict[str, Json]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def add(self, resource: Json) -> None:
        """Puts a resource in, as it stands."""
        self.resources.setdefault(resource["resourceType"], {})[resource["id"]] = resource

    def stored(self, type_: str) -> list[Json]:
        """Returns the resources of a type in the order in which they came."""
        return [*self.resources.get(type_, {}).values()]

    def expire_tokens(self) -> None:
        """Lets every token run out that was given so far."""
        self.expired |= self.tokens.keys()

    def forget(self) -> None:
        """Makes it as it was in the beginning, at the same addresses."""
        fresh = EhrServer(self.base, self.authorization)
        self.__dict__.update(fresh.__dict__)

    # What is asked.

    def answer(self, method: str, path: str, query: str, headers: Json, body: bytes) -> Answer:
        """Returns status, document and headers."""
        self.seen.append(f"{method} {path}{'?' if query else ''}{query}")
        if path == "/.well-known/smart-configuration":
            return 200, self._configuration(), []
        if path == "/metadata":
            return 200, self._statement(), []
        try:
            scopes = self._scopes(headers.get("authorization", ""))
            if method == "POST" and path in ("", "/"):
                return 200, self._transaction(json.loads(body), scopes), []
            return self._one(method, path, query, body, scopes, headers.get("if-none-exist", ""))
        except Refused as refused:
            issue = {"severity": "error", "code": "processing", "diagnostics": "refused"}
            return refused.status, {"resourceType": "OperationOutcome", "issue": [issue]}, []

    def _configuration(self) -> Json:
        url = self.authorization
        return {
            "issuer": url,
            "jwks_uri": f"{url}/jwks",
            "authorization_endpoint": f"{url}/auth",
            "token_endpoint": f"{url}/token",
            "grant_types_supported": ["authorization_code"],
            "capabilities": ["launch-ehr", "launch-standalone", "client-public", "sso-openid-connect"],
            **({"code_challenge_methods_supported": ["S256"]} if self.pkce else {}),
        }

    def _statement(self) -> Json:
        offered = ("read", "create", "update", *(["search-type"] if self.finds else []))
        codes = [{"code": code} for code in offered]
        resources = [{"type": type_, "interaction": codes} for type_ in self.types]
        rest: Json = {"mode": "server", "resource": resources}
        if self.transactions:
            rest["interaction"] = [{"code": "transaction"}]
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "fhirVersion": "4.0.1",
            "rest": [rest],
        }

    def _scopes(self, authorization: str) -> str:
        token = authorization.removeprefix("Bearer ")
        if token == authorization or token in self.expired:
            raise Refused(401)
        if token not in self.tokens:
            with urlopen(f"{self.authorization}/introspect?token={quote(token)}") as answer:
                found = json.load(answer)
            if "scope" not in found:
                raise Refused(401)
            self.tokens[token] = found["scope"]
        return self.tokens[token]

    def _one(self, method: str, path: str, query: str, body: bytes, scopes: str, condition: str) -> Answer:
        type_, _, id_ = path.strip("/").partition("/")
        if type_ not in self.types:
            raise Refused(404)
        if refusal := self.refusals.get(f"{method} {type_}"):
            raise Refused(refusal)
        letter = {"POST": "c", "PUT": "u"}.get(method, "r" if id_ else "s")
        if not _permits(scopes, type_, letter):
            raise Refused(403)
        if method == "GET":
            return 200, self._read(type_, id_) if id_ else self._search(type_, query), []
        status, resource = self._write(type_, id_, json.loads(body), condition)
        where = ("Location", f"{self.base}/{type_}/{resource['id']}/_history/1")
        return status, resource, [where] if self.finds else []

    def _read(self, type_: str, id_: str) -> Json:
        found = self.resources.get(type_, {}).get(id_)
        if found is None:
            raise Refused(404)
        return found

    def _search(self, type_: str, query: str) -> Json:
        found = self._found(type_, query)
        entry = [{"resource": resource, "search": {"mode": "match"}} for resource in found]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entry}

    def _found(self, type_: str, query: str) -> list[Json]:
        wanted = parse_qsl(query)
        return [each for each in self.stored(type_) if all(_fits(each, *pair) for pair in wanted)]

    def _write(self, type_: str, id_: str, resource: Json, condition: str) -> tuple[int, Json]:
        if condition and self.finds and (found := self._found(type_, condition)):
            return 200, found[0]
        if id_ and resource.get("id") != id_:
            raise Refused(400)
        kept = self.resources.setdefault(type_, {})
        own = id_ or f"{type_.lower()}-{len(kept) + 1}"
        kept[own] = resource | {"id": own}
        return (200 if id_ else 201), kept[own]

    def _transaction(self, bundle: Json, scopes: str) -> Json:
        if not self.transactions:
            raise Refused(400)
        before = {type_: dict(kept) for type_, kept in self.resources.items()}
        try:
            return self._executed(bundle["entry"], scopes)
        except Refused:
            self.resources = before
            raise

    def _executed(self, entries: list[Json], scopes: str) -> Json:
        names: dict[str, str] = {}
        answers = []
        for entry in entries:
            request = entry["request"]
            text = json.dumps(entry["resource"])
            for name, reference in names.items():
                text = text.replace(f'"reference": "{name}"', f'"reference": "{reference}"')
            method, path, condition = request["method"], f"/{request['url']}", request.get("ifNoneExist", "")
            status, resource, _ = self._one(method, path, "", text.encode(), scopes, condition)
            where = f"{resource['resourceType']}/{resource['id']}"
            names[entry["fullUrl"]] = where
            answers.append({"response": {"status": str(status), "location": f"{where}/_history/1"}})
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}


def _permits(scopes: str, type_: str, letter: str) -> bool:
    found = filter(None, (_SCOPE.fullmatch(scope) for scope in scopes.split()))
    return any(match[1] in (type_, "*") and letter in _LETTERS.get(match[2], match[2]) for match in found)


def _fits(resource: Json, name: str, value: str) -> bool:
    """Says whether a resource fits one search parameter; parameters that order or count fit all."""
    if name == "patient":
        return resource.get("subject", {}).get("reference") == f"Patient/{value}"
    if name == "identifier":
        stated = resource.get("identifier", [])
        listed = stated if isinstance(stated, list) else [stated]
        return any(f"{each.get('system', '')}|{each.get('value', '')}" == value for each in listed)
    if name == "code":
        codes = {f"{each['system']}|{each['code']}" for each in resource["code"]["coding"]}
        return bool(codes & set(value.split(",")))
    if name == "questionnaire":
        return resource.get("questionnaire") in value.split(",")
    return True


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Says nothing: what was asked stands in `seen`."""


@contextmanager
def running_ehr() -> Iterator[EhrServer]:
    """Runs an EHR's FHIR server on a free port of 127.0.0.1 while the block runs."""
    ehr = EhrServer()

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        read = {"authorization": "HTTP_AUTHORIZATION", "if-none-exist": "HTTP_IF_NONE_EXIST"}
        headers = {name: environ[key] for name, key in read.items() if key in environ}
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix("/fhir")
        if method == "OPTIONS":
            start_response("204 No Content", _CORS)
            return [b""]
        if path == "/record":
            start_response("200 OK", [("Content-Type", "text/html")])
            frame = f'<iframe title="Form" width="100%" height="700" src="{escape(ehr.framed)}"></iframe>'
            head = '<!doctype html><html lang="en"><title>Record</title><link rel="icon" href="data:,">'
            return [f"{head}{frame}".encode()]
        body = environ["wsgi.input"].read(length)
        status, document, more = ehr.answer(method, path, environ["QUERY_STRING"], headers, body)
        start_response(f"{status} -", [("Content-Type", _FHIR_JSON), *_CORS, *more])
        return [json.dumps(document).encode()]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    ehr.base = f"http://127.0.0.1:{server.port}/fhir"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield ehr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
