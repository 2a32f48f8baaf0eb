"""A caller that knows FHIR and nothing of the program behind it: how it asks and reads what it gets."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask.testing import FlaskClient
from patience import PATIENCE_S
from werkzeug.datastructures import Headers

from service.datatypes.values import replace

Json = dict[str, Any]

BASE = "https://fhir.example.org/r4"
SERVED_UNDER = "/fhir"
ORIGIN = "https://app.example.org"
FHIR = "application/fhir+json"
PUBLISHED = (
    "Questionnaire",
    "CodeSystem",
    "ValueSet",
    "StructureDefinition",
    "OperationDefinition",
    "SearchParameter",
    "PlanDefinition",
    "ActivityDefinition",
    "Library",
)
STORED = ("QuestionnaireResponse", "RiskAssessment", "Provenance", "AuditEvent")
SEVERITIES = {"fatal", "error", "warning", "information"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    data: bytes

    @property
    def json(self) -> Json:
        document = json.loads(self.data)
        assert isinstance(document, dict)
        return document


Send = Callable[[str, str, Mapping[str, str], bytes | None], Answer]


class Ehr:
    """Sends requests; paths are relative to the FHIR base, unless they begin with a slash or with it.

    Keywords are headers: `if_match='W/"1"'` is sent as `If-Match`.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def ask(self, method: str, where: str, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if body is None:
            return self._send(method, path_of(where), sent, None)
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return self._send(method, path_of(where), {"Content-Type": FHIR} | sent, data)

    def get(self, where: str, **headers: str) -> Answer:
        return self.ask("GET", where, **headers)

    def post(self, where: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", where, body, **headers)

    def put(self, where: str, body: Any, **headers: str) -> Answer:
        return self.ask("PUT", where, body, **headers)

    def form(self, where: str, pairs: Sequence[tuple[str, str]]) -> Answer:
        form = {"content_type": "application/x-www-form-urlencoded"}
        return self.ask("POST", where, urlencode(pairs).encode(), **form)

    def read(self, where: str) -> Json:
        """Returns a resource that must be there."""
        answer = self.get(where)
        assert answer.status == 200, answer.data
        return answer.json

    def create(self, resource: Json, **headers: str) -> Json:
        """Creates what must be accepted; returns it as it was stored."""
        answer = self.post("QuestionnaireResponse", resource, **headers)
        assert answer.status == 201, answer.data
        return answer.json

    def search(self, query: str) -> Json:
        """Returns the Bundle of a search that must be accepted."""
        bundle = self.read(query)
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        return bundle

    def found(self, query: str) -> list[str]:
        """Returns the ids of all matches, all pages of them, in order."""
        return [each["id"] for bundle in self.pages(query) for each in matches(bundle)]

    def pages(self, query: str) -> Iterator[Json]:
        following: str | None = query
        while following:
            bundle = self.search(following)
            yield bundle
            following = link(bundle, "next")

    def total(self, query: str) -> int:
        return int(self.search(query + ("&" if "?" in query else "?") + "_summary=count")["total"])

    def totals(self) -> dict[str, int]:
        """Returns how many resources of each stored type there are."""
        return {kind: self.total(kind) for kind in STORED}


def path_of(where: str) -> str:
    if where.startswith(BASE):
        return SERVED_UNDER + where.removeprefix(BASE)
    assert "://" not in where.partition("?")[0], "a link leaves the public base"
    return where if where.startswith("/") else f"{SERVED_UNDER}/{where}" if where else SERVED_UNDER


def through(client: FlaskClient) -> Ehr:
    """Returns a caller of an application in this process."""

    def send(method: str, path: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        answer = client.open(path, method=method, headers=dict(headers), data=data)
        return Answer(answer.status_code, answer.headers, answer.data)

    return Ehr(send)


def over_http(port: int) -> Ehr:
    """Returns a caller of a server on loopback; each request has a connection of its own."""

    def send(method: str, path: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, data, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, Headers(answer.getheaders()), answer.read())
        finally:
            connection.close()

    return Ehr(send)


def matches(bundle: Json) -> list[Json]:
    found = [each for each in bundle.get("entry", ()) if each["search"]["mode"] == "match"]
    return [each["resource"] for each in found]


def included(bundle: Json) -> list[Json]:
    found = [each for each in bundle.get("entry", ()) if each["search"]["mode"] == "include"]
    return [each["resource"] for each in found]


def link(bundle: Json, relation: str) -> str | None:
    found = [each["url"] for each in bundle.get("link", ()) if each["relation"] == relation]
    assert len(found) <= 1
    return found[0] if found else None


def used(bundle: Json) -> list[tuple[str, str]]:
    """Returns the parameters that the self link says took part."""
    stated = link(bundle, "self")
    assert stated is not None
    return parse_qsl(
        urlsplit(stated).query, keep_blank_values=True, strict_parsing=bool(urlsplit(stated).query)
    )


def names_used(bundle: Json) -> set[str]:
    return {name for name, _ in used(bundle)}


def result_of(answer: Answer) -> str:
    """Returns the url of the RiskAssessment that a create or update announces."""
    for stated in answer.headers.getlist("Link"):
        if 'rel="related"' in stated and "RiskAssessment" in stated:
            return stated.partition("<")[2].partition(">")[0]
    raise AssertionError("no Link to a RiskAssessment")


def issues_of(answer: Answer, *statuses: int) -> list[Json]:
    """Returns the issues of a refusal, which must be an OperationOutcome in FHIR's JSON (ER01, ER02)."""
    assert answer.status in statuses, (answer.status, answer.data[:300])
    assert answer.headers["Content-Type"].partition(";")[0] == FHIR
    outcome = answer.json
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for issue in outcome["issue"]:
        assert issue["severity"] in SEVERITIES
        assert issue["code"]
    assert any(issue["severity"] in ("error", "fatal") for issue in outcome["issue"])
    issues: list[Json] = outcome["issue"]
    return issues


def codes_of(answer: Answer, *statuses: int) -> set[str]:
    return {issue["code"] for issue in issues_of(answer, *statuses)}


def exact(data: bytes) -> Any:
    """Returns a document in which numbers keep their digits: 2.00 is not 2.0."""
    return json.loads(data, parse_float=lambda text: ("decimal", text))


def break_route(app: Any, monkeypatch: Any, method: str, path: str, view: Any) -> None:
    """Has another view answer a route."""
    methods = app.fhir.router.paths[path]
    monkeypatch.setitem(methods, method, replace(methods[method], view=view))
