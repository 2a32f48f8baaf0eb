"""The requests that are compared: as much of what the service can be asked as fits into minutes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks import compare_mutations as mutations
from benchmarks.compare_exchanges import BASE, ORIGIN, RAW, Answer, Recorder

Json = dict[str, Any]

RESPONSE = "QuestionnaireResponse"
ASSESS, VALIDATE = f"/fhir/{RESPONSE}/$assess", f"/fhir/{RESPONSE}/$validate"
PROCESS = "/fhir/Questionnaire/$process-response"
FHIR = {"Content-Type": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SYSTEM = "https://ehr.example.org/answers"
STORED = (RESPONSE, "RiskAssessment", "Provenance", "AuditEvent")
PUBLISHED = (
    "Questionnaire",
    "CodeSystem",
    "ValueSet",
    "StructureDefinition",
    "OperationDefinition",
    "SearchParameter",
)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
ACCEPTS = (
    "application/fhir+json",
    "application/json",
    "text/json",
    "application/json+fhir",
    "*/*",
    "application/*",
    "application/fhir+json; fhirVersion=4.0",
    "application/fhir+json; fhirVersion=5.0",
    "application/fhir+json;q=0.1, application/json;q=0.9",
    "application/json;q=0",
    "application/fhir+xml",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "image/png",
    "nonsense",
    "",
    "application/fhir+json; charset=latin-1",
)
FORMATS = (
    "json",
    "application/json",
    "application/fhir%2Bjson",
    "text/json",
    "xml",
    "html",
    "ttl",
    "",
    "x/y",
)
CONTENT_TYPES = (
    "application/fhir+json; charset=utf-8",
    "application/json",
    "text/json",
    "application/json+fhir",
    "application/fhir+json; fhirVersion=4.0",
    "application/fhir+json; fhirVersion=3.0",
    "application/fhir+json; charset=latin-1",
    "application/fhir+xml",
    "text/plain",
    "application/x-www-form-urlencoded",
    "nonsense",
    "",
)
BODIES: tuple[bytes, ...] = (
    b"",
    b" ",
    b"{",
    b"[]",
    b"{}",
    b"null",
    b"5",
    b'"text"',
    b"{}{}",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"resourceType":"QuestionnaireResponse","resourceType":"QuestionnaireResponse"}',
    b'{"resourceType":"QuestionnaireResponse","status":"completed","item":[{"linkId":"a","linkId":"b"}]}',
    b'{"resourceType":"QuestionnaireResponse","x":NaN}',
    b'{"resourceType":"QuestionnaireResponse","x":Infinity}',
    b'{"resourceType":"QuestionnaireResponse","x":1e400}',
    b'{"resourceType":"QuestionnaireResponse","x":01}',
    b'{"resourceType":"QuestionnaireResponse","status":null}',
    b'{"resourceType":"QuestionnaireResponse","nobody":"knows"}',
    b'{"resourceType":"QuestionnaireResponse","status":"\\ud800"}',
    b'{"resourceType":"QuestionnaireResponse","status":"\xc3\x28"}',
    b'{"resourceType":"QuestionnaireResponse","status":"a\x00b"}',
    b'{"resourceType":"QuestionnaireResponse",}',
    b'{"resourceType":"Patient"}',
    b'{"resourceType":"Parameters"}',
    b'{"resourceType":"Bundle","type":"batch"}',
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b'{"resourceType": "QuestionnaireResponse", "language": "' + b"x" * 1_100_000 + b'"}',
)
RAW_REQUESTS: tuple[bytes, ...] = (
    b"nonsense\r\n\r\n",
    b"GET /fhir/metadata HTTP/9.9\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nHost: evil.example.org\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /fhir/" + b"x" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 16_384 + b"\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n" + b"X-N: x\r\n" * 200 + b"\r\n",
    b"GET http://evil.example.org/fhir/Questionnaire?_count=1 HTTP/1.1\r\nHost: evil.example.org\r\n\r\n",
    b"POST /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n",
    b"POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"POST /fhir HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET //fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fhir/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fhir\\metadata HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"get /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n",
)
SHAPES = (
    "_summary=true",
    "_summary=text",
    "_summary=data",
    "_summary=count",
    "_summary=false",
    "_summary=nonsense",
    "_elements=id",
    "_elements=status,url,item",
    "_elements=text",
    "_elements=nonsense",
    "_elements=",
    "_elements=id&_summary=true",
    "_pretty=true",
    "_pretty=false",
    "_pretty=nonsense",
    "_format=json&_pretty=true",
    "foo=1",
)
RESULTS = (
    *SHAPES,
    *(f"_count={each}" for each in ("0", "1", "2", "1000000", "-1", "x", "1.5")),
    *(
        f"_sort={each}"
        for each in ("_id", "-_id", "_lastUpdated", "-_lastUpdated", "nonsense", "", "_id,_id")
    ),
    "_total=none",
    "_total=accurate",
    "_total=estimate",
    "_total=nonsense",
    "_cursor=garbage",
    "_count=1&_cursor=",
    "_contained=true",
    "_containedType=container",
    *(
        f"{each}=x"
        for each in ("_filter", "_list", "_query", "_has", "_text", "_content", "_profile", "_tag")
    ),
    *(f"{each}=x" for each in ("_type", "_security", "_source", "_has:Provenance:target:agent", "_id:not")),
    "_count:exact=1",
    "%ff=1",
    "_id=%ff",
    "=",
    "&&",
    "_id",
    "_id=a&_id=b",
    "_id=a,b",
    "_include=*",
    "_include=nonsense",
    "_include:iterate=Provenance:target",
    "_revinclude=nonsense",
)
PREFIXES = ("eq", "ne", "lt", "le", "gt", "ge", "sa", "eb", "ap", "xx")
MODIFIERS = (
    *("missing", "not", "exact", "contains", "text", "above", "below", "in", "not-in", "of-type"),
    *("identifier", "iterate", "nonsense", "Patient"),
)
VALUES: Mapping[str, tuple[str, ...]] = {
    "reference": (
        "Basic/nowhere",
        "Patient/example",
        "example",
        f"{BASE}/Patient/example",
        "a b",
        "",
        "Patient/",
    ),
    "token": (
        "nowhere",
        "completed",
        "|completed",
        "http://x|",
        "http://x|y",
        "|",
        "",
        "a,b",
        "active",
        "a\\,b",
    ),
    "date": (
        "1850",
        "2026",
        "2026-11-20",
        "2026-11-20T10:00:00Z",
        "x",
        "",
        "2026-13",
        "2024-02-30",
        "2026,2025",
    ),
    "string": ("nowhere", "muscle", "MUSCLE", "müs", "", "a,b", "a\\,b", "%"),
    "uri": ("urn:nowhere", "https://guidance.example.org/fhir", "", "nonsense"),
    "number": ("-7", "0.5", "1e2", "x", ""),
    "quantity": ("-7", "0.5||mg", "x", ""),
}


class Samples:
    """The documents that requests are made from."""

    def __init__(self, root: Path) -> None:
        self.documents: dict[str, Json] = {}
        for path in sorted((root / "samples").glob("*.json")):
            document = json.loads(path.read_bytes())
            if document.get("resourceType") in (RESPONSE, "Parameters"):
                self.documents[path.stem] = document

    def response(self, patient: str, like: str = "plain-eyelid", **changes: Any) -> Json:
        """Returns a response of this patient; a change to None leaves an element out."""
        document = self.documents[like] | {"id": None, "identifier": None}
        document |= {"subject": {"reference": f"Patient/{patient}"}} | changes
        return {name: value for name, value in document.items() if value is not None}

    def small(self, patient: str, **changes: Any) -> Json:
        """Returns a response without answers."""
        return self.response(patient, "empty", **changes)


def text_of(document: object) -> str:
    return json.dumps(document, ensure_ascii=False)


def local(url: str) -> str:
    """Returns the path of a link of the service."""
    return url.replace(BASE, "/fhir", 1)


def everything(recorder: Recorder, samples: Samples) -> None:
    """Makes all exchanges over HTTP, in an order that is always the same."""
    for server in ("store", "none"):
        addresses(recorder, server)
        negotiation(recorder, samples, server)
        metadata(recorder, server)
        bodies(recorder, server)
    operations(recorder, samples)
    wrong_documents(recorder, samples)
    expansions(recorder)
    stored(recorder, samples)
    statuses(recorder, samples)
    bundles(recorder, samples)
    for server in ("store", "none"):
        searches(recorder, server)
    pages(recorder, samples)
    second_pair(recorder)


def addresses(recorder: Recorder, server: str) -> None:
    """Asks for what is there and what is not, by every method."""
    kinds = (*PUBLISHED, *STORED, "Patient", "Foo", "questionnaire")
    tails = (
        "",
        "/none",
        "/none/_history",
        "/none/_history/1",
        "/_history",
        "/_search",
        "/bad_id!",
        "/" + "x" * 65,
    )
    paths = [f"/fhir/{kind}{tail}" for kind in kinds for tail in tails]
    paths += [
        "/",
        "/nothing",
        "/fhir",
        "/fhir/",
        "/fhirx",
        "/fhir/metadata",
        "/fhir/metadata/",
        "/fhir/_history",
    ]
    paths += [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/fhir/openapi.json",
        "/fhir/_search",
        "/docs",
        "/favicon.ico",
    ]
    paths += [ASSESS, VALIDATE, PROCESS, "/fhir/Questionnaire/muscle-twitching/$process-response"]
    paths += [
        "/fhir/ValueSet/$expand",
        "/fhir/ValueSet/none/$expand",
        "/fhir/$nothing",
        f"/fhir/{RESPONSE}/$nothing",
    ]
    paths += [
        "/fhir/Questionnaire/none/$process-response",
        f"/fhir/{RESPONSE}/none/$assess",
        "/fhir/$validate",
    ]
    paths += ["/fhir/..%2f..%2fetc%2fpasswd", "/fhir/%00", "/fhir/Questionnaire/%2e%2e", "/fhir//metadata"]
    paths += [
        "/fhir/%ff",
        "/fhir/Questionnaire/a%2Fb",
        "/fhir/ü",
        "/fhir/%c0%ae%c0%ae/",
        "/.well-known/smart-configuration",
    ]
    for path in paths:
        for method in METHODS:
            recorder.ask(f"{server}/address/{method} {path}", method, path, server=server)
    for number, raw in enumerate(RAW_REQUESTS):
        recorder.ask(f"{server}/raw/{number}", RAW, "/", raw, server=server)
    origins(recorder, server)
    numbers(recorder, server)


def origins(recorder: Recorder, server: str) -> None:
    for path in (
        "/fhir/metadata",
        f"/fhir/{RESPONSE}",
        ASSESS,
        "/fhir/Questionnaire",
        "/fhir",
        "/nothing",
        "/healthz",
    ):
        for origin in (ORIGIN, "https://evil.example.org", "null", "*", ORIGIN.upper()):
            where = f"{server}/origin/{path} {origin}"
            recorder.ask(where, "GET", path, headers={"Origin": origin}, server=server)
            recorder.ask(where, "POST", path, "{}", FHIR | {"Origin": origin}, server=server)
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            recorder.ask(where, "OPTIONS", path, headers=asked, server=server)
            asked |= {"Access-Control-Request-Headers": "content-type, prefer, x-nonsense"}
            recorder.ask(where, "OPTIONS", path, headers=asked, server=server)


def numbers(recorder: Recorder, server: str) -> None:
    for given in ("abc", "x" * 65, "<script>", "a b", "", "a.b:c_d-e", "ü"):
        where = f"{server}/number/{given}"
        recorder.ask(where, "GET", "/fhir/metadata", headers={"X-Request-Id": given}, server=server)
        recorder.ask(where, "GET", "/fhir/Patient/1", headers={"X-Request-Id": given}, server=server)
    forged = {
        "Host": "evil.example.org",
        "X-Forwarded-Host": "evil.example.org",
        "Forwarded": "host=evil.example.org",
    }
    forged |= {
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "X-HTTP-Method-Override": "DELETE",
    }
    for path in ("/fhir/metadata", "/fhir/StructureDefinition?_count=1", "/fhir/Patient/1", "/openapi.json"):
        recorder.ask(f"{server}/forged/{path}", "GET", path, headers=forged, server=server)


def negotiation(recorder: Recorder, samples: Samples, server: str) -> None:
    """Asks for every media type, and sends every media type."""
    paths = (
        "/fhir/metadata",
        "/fhir/Questionnaire",
        "/fhir/Questionnaire/muscle-twitching",
        f"/fhir/{RESPONSE}",
    )
    for path in (*paths, "/fhir/Patient/1", "/healthz", "/openapi.json", "/"):
        for accept in ACCEPTS:
            recorder.ask(
                f"{server}/accept/{path} {accept}", "GET", path, headers={"Accept": accept}, server=server
            )
        for each in FORMATS:
            recorder.ask(f"{server}/format/{path} {each}", "GET", f"{path}?_format={each}", server=server)
    small = text_of(samples.small("negotiation"))
    for path in (ASSESS, VALIDATE, PROCESS, f"/fhir/{RESPONSE}", "/fhir"):
        for type_ in CONTENT_TYPES:
            where = f"{server}/content-type/{path} {type_}"
            recorder.ask(where, "POST", path, small, {"Content-Type": type_}, server)
        for accept in ACCEPTS:
            recorder.ask(
                f"{server}/accept/{path} {accept}", "POST", path, small, FHIR | {"Accept": accept}, server
            )
        recorder.ask(f"{server}/no-type/{path}", "POST", path, small, server=server)


def metadata(recorder: Recorder, server: str) -> None:
    for path in ("/fhir/metadata", "/openapi.json", "/fhir/Questionnaire/muscle-twitching"):
        for query in (*SHAPES, "mode=full", "mode=normative", "mode=terminology", "mode=nonsense"):
            recorder.ask(f"{server}/shape/{path} {query}", "GET", f"{path}?{query}", server=server)
        whole = recorder.ask(f"{server}/whole/{path}", "GET", path, server=server)
        conditional(recorder, f"{server}/conditional/{path}", path, whole, server)


def conditional(recorder: Recorder, label: str, path: str, whole: Answer, server: str = "store") -> None:
    """Reads again with every condition on the tag and the date of what was read."""
    found = dict(whole.headers)
    tag, date = found.get("ETag", 'W/"1"'), found.get("Last-Modified", "Sat, 01 Jan 2028 00:00:00 GMT")
    conditions: list[dict[str, str]] = [
        {"If-None-Match": each} for each in (tag, "*", 'W/"x"', f'"y", {tag}', "x")
    ]
    conditions += [{"If-None-Match": tag.removeprefix("W/")}, {"If-Match": tag}, {"If-Match": 'W/"x"'}]
    dates = (date, "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2028 00:00:00 GMT", "nonsense", "2028-01-01")
    conditions += [{"If-Modified-Since": each} for each in dates]
    conditions += [{"If-Unmodified-Since": each} for each in dates[:2]]
    conditions += [{"If-None-Match": 'W/"x"', "If-Modified-Since": date}]
    for condition in conditions:
        for method in ("GET", "HEAD"):
            recorder.ask(f"{label} {condition}", method, path, headers=condition, server=server)


def bodies(recorder: Recorder, server: str) -> None:
    """Sends what is no resource, or none that is expected."""
    paths = (ASSESS, VALIDATE, PROCESS, f"/fhir/{RESPONSE}", "/fhir", "/fhir/ValueSet/$expand")
    for number, body in enumerate(BODIES):
        for path in (*paths, "/fhir/Questionnaire/muscle-twitching/$process-response"):
            recorder.ask(f"{server}/body/{number} {path}", "POST", path, body, FHIR, server)
        recorder.ask(f"{server}/body/{number} PUT", "PUT", f"/fhir/{RESPONSE}/none", body, FHIR, server)
        recorder.ask(
            f"{server}/body/{number} search", "POST", "/fhir/Questionnaire/_search", body, FORM, server
        )
        for path in (ASSESS, f"/fhir/{RESPONSE}"):
            packed = gzip.compress(body, mtime=0)
            headers = FHIR | {"Content-Encoding": "gzip"}
            recorder.ask(f"{server}/packed/{number} {path}", "POST", path, packed, headers, server)
    for coding in ("gzip", "br", "deflate", "identity", "gzip, gzip", "nonsense"):
        recorder.ask(
            f"{server}/coding/{coding}", "POST", ASSESS, b"{}", FHIR | {"Content-Encoding": coding}, server
        )


def operations(recorder: Recorder, samples: Samples) -> None:
    """Sends every sample to every operation, in every form of the request."""
    for name, document in samples.documents.items():
        whole, packed = text_of(document), gzip.compress(text_of(document).encode(), mtime=0)
        process = (
            PROCESS,
            "/fhir/Questionnaire/muscle-twitching/$process-response",
            "/fhir/Questionnaire/x/$process-response",
        )
        for path in (ASSESS, VALIDATE, *process):
            for server in ("store", "none"):
                recorder.ask(f"{server}/sample/{name} {path}", "POST", path, whole, FHIR, server)
            recorder.ask(
                f"sample/{name} {path} packed", "POST", path, packed, FHIR | {"Content-Encoding": "gzip"}
            )
            for query in SHAPES:
                recorder.ask(f"sample/{name} {path} {query}", "POST", f"{path}?{query}", whole, FHIR)
            for prefer in ("return=minimal", "return=OperationOutcome", "respond-async", "handling=strict"):
                recorder.ask(f"sample/{name} {path} {prefer}", "POST", path, whole, FHIR | {"Prefer": prefer})
        for path in (ASSESS, VALIDATE, process[0]):
            for key, parameters in wrapped(document):
                recorder.ask(f"parameters/{name} {path} {key}", "POST", path, text_of(parameters), FHIR)
        profile = "http://hl7.org/fhir/StructureDefinition/QuestionnaireResponse"
        queries = [f"mode={mode}" for mode in ("create", "update", "profile", "delete", "x", "")]
        queries += [f"profile={each}" for each in (profile, f"{profile}|4.0.1", "x", "")]
        for query in queries:
            recorder.ask(f"validate/{name} {query}", "POST", f"{VALIDATE}?{query}", whole, FHIR)


def wrapped(document: Json) -> Iterator[tuple[str, Json]]:
    """Yields Parameters that hold the document, right and wrong."""
    for name in ("questionnaire-response", "resource", "in", "response", "nonsense"):
        one = {"name": name, "resource": document}
        for key, more in (
            ("alone", [one]),
            ("twice", [one, one]),
            ("mode", [one, {"name": "mode", "valueCode": "create"}]),
            ("mode-text", [one, {"name": "mode", "valueString": "create"}]),
            ("profile", [one, {"name": "profile", "valueUri": "https://x.example.org"}]),
            ("without-value", [one, {"name": "observation"}]),
            ("observation", [one, {"name": "observation", "resource": {"resourceType": "Observation"}}]),
            (
                "patient",
                [one, {"name": "patient", "resource": {"resourceType": "Patient", "gender": "female"}}],
            ),
            ("nobody", [one, {"name": "nobody", "valueString": "knows"}]),
            ("half", [{"name": name}]),
        ):
            yield f"{name} {key}", {"resourceType": "Parameters", "parameter": more}


def wrong_documents(recorder: Recorder, samples: Samples) -> None:
    """Sends samples that are wrong in one place to the operations that find faults."""
    paths = (ASSESS, VALIDATE)
    for name, document in samples.documents.items():
        damages = mutations.damaged(document)
        for path, most in zip(paths, (150, 90), strict=True):
            for key, place, damage in mutations.spread(damages, most):
                body = text_of(mutations.with_damage(document, place, damage))
                recorder.ask(f"damaged/{name} {path} {key}", "POST", path, body, FHIR)
        answers = [(at, value) for at in mutations.answers_of(document) for value in mutations.WRONG_ANSWERS]
        for path, most in zip(paths, (130, 130), strict=True):
            for at, value in mutations.spread(answers, most):
                key = f"{mutations.shown(at)} {text_of(value)[:60]}"
                body = text_of(mutations.with_value(document, at, value))
                recorder.ask(f"answered/{name} {path} {key}", "POST", path, body, FHIR)
    for name, some in (("partial", (*paths, f"/fhir/{RESPONSE}")), ("empty", (ASSESS, PROCESS))):
        for key, value in mutations.ROOT_CHANGES:
            body = text_of(mutations.with_root(samples.documents[name], key, value))
            for path in some:
                recorder.ask(f"root/{name} {path} {key} {text_of(value)[:60]}", "POST", path, body, FHIR)


def expansions(recorder: Recorder) -> None:
    """Expands what is published, with every parameter."""
    found = recorder.ask("expand/list", "GET", "/fhir/ValueSet?_count=100").json.get("entry", [])
    sets = [entry["resource"] for entry in found]
    urls = [each["url"] for each in sets] + [f"{each['url']}|{each['version']}" for each in sets]
    urls += [
        f"{sets[0]['url']}|9",
        "",
        "#x",
        "nonsense",
        "http://hl7.org/fhir/ValueSet/administrative-gender",
    ]
    urls += [
        f"http://hl7.org/fhir/ValueSet/{each}"
        for each in ("questionnaire-answers-status", "languages", "none")
    ]
    queries = [
        *(
            "filter=a",
            "filter=yes no",
            "count=2",
            "count=2&offset=1",
            "offset=-1",
            "count=x",
            "count=0",
            "offset=99",
        ),
        *(
            "includeDesignations=true",
            "designation=en",
            "includeDefinition=true",
            "activeOnly=true",
            "activeOnly=x",
        ),
        *("excludeNested=true", "excludeNotForUI=true", "excludePostCoordinated=true", "displayLanguage=de"),
        *(
            "exclude-system=http://loinc.org",
            "system-version=http://loinc.org|2",
            "system-version=http://loinc.org",
        ),
        *(
            "force-system-version=http://loinc.org|9",
            "check-system-version=http://loinc.org|9",
            "context=x",
            "date=2026",
        ),
        *(
            "valueSet=x",
            "contextDirection=incoming",
            "nonsense=1",
            "count=1&count=2",
            "_pretty=true",
            "valueSetVersion=9",
        ),
    ]
    for number, url in enumerate(urls):
        for query in ("", *queries) if number < 3 else ("", "filter=a&count=2"):
            where = f"/fhir/ValueSet/$expand?url={quote(url)}&{query}"
            whole = recorder.ask(f"expand/{url} {query}", "GET", where)
        pairs = [{"name": "url", "valueUri": url}, {"name": "count", "valueInteger": 2}]
        for key, parameters in (
            ("url", pairs[:1]),
            ("count", pairs),
            ("text", [{"name": "url", "valueString": url}]),
        ):
            body = text_of({"resourceType": "Parameters", "parameter": parameters})
            recorder.ask(f"expand/{url} {key}", "POST", "/fhir/ValueSet/$expand", body, FHIR)
    conditional(recorder, "expand/conditional", f"/fhir/ValueSet/$expand?url={quote(urls[0])}", whole)
    for each in sets:
        for query in ("", "count=1", f"url={quote(each['url'])}", "url=https://other.example.org"):
            recorder.ask(
                f"expand/id {each['id']} {query}", "GET", f"/fhir/ValueSet/{each['id']}/$expand?{query}"
            )


def stored(recorder: Recorder, samples: Samples) -> None:
    """Creates, reads, updates and conditions, on every sample."""
    for name, document in samples.documents.items():
        body = text_of(document)
        for prefer in ("", "return=minimal", "return=representation", "return=OperationOutcome", "nonsense"):
            headers = FHIR | ({"Prefer": prefer} if prefer else {})
            recorder.ask(f"create/{name} {prefer}", "POST", f"/fhir/{RESPONSE}", body, headers)
        recorder.ask(f"create/{name} pretty", "POST", f"/fhir/{RESPONSE}?_pretty=true", body, FHIR)
        recorder.ask(f"create/{name} no store", "POST", f"/fhir/{RESPONSE}", body, FHIR, "none")
        made = recorder.ask(f"create/{name} kept", "POST", f"/fhir/{RESPONSE}", body, FHIR)
        if made.status == 201:
            life(recorder, name, made)
    conditions(recorder, samples)


def life(recorder: Recorder, name: str, made: Answer) -> None:
    """Reads, updates and reads again what was created, with what was made of it."""
    document, id_ = made.json, made.json["id"]
    at = f"/fhir/{RESPONSE}/{id_}"
    trail(recorder, f"life/{name} first", id_)
    for key, change in (
        ("amended", {"status": "amended"}),
        ("same", {}),
        ("error", {"status": "entered-in-error"}),
        ("right", {"status": "completed"}),
        ("stopped", {"status": "stopped"}),
        ("progress", {"status": "in-progress"}),
        ("other id", {"id": "other"}),
        ("no id", {"id": None}),
        ("nonsense", {"status": "nonsense"}),
        ("unknown", {"item": [{"linkId": "no-such-question"}]}),
        ("patient", {"subject": {"reference": "Patient/another"}}),
    ):
        recorder.ask(f"update/{name} {key}", "PUT", at, text_of(document | change), FHIR)
    for header in ('W/"1"', 'W/"7"', 'W/"8"', '"8"', "*", "nonsense", 'W/"7", W/"8"', 'W/"9"', 'W/"10"', ""):
        recorder.ask(f"update/{name} {header}", "PUT", at, text_of(document), FHIR | {"If-Match": header})
    odd = {
        "If-None-Match": "*",
        "If-Unmodified-Since": "Sat, 01 Jan 2028 00:00:00 GMT",
        "Prefer": "return=minimal",
    }
    for header, value in odd.items():
        recorder.ask(f"update/{name} {header}", "PUT", at, text_of(document), FHIR | {header: value})
    for query in ("_pretty=true", "foo=1", "identifier=x|y", "_format=xml"):
        recorder.ask(f"update/{name} {query}", "PUT", f"{at}?{query}", text_of(document), FHIR)
    trail(recorder, f"life/{name} last", id_)
    for method in ("POST", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        recorder.ask(f"life/{name} {method}", method, at, headers=FHIR)


def trail(recorder: Recorder, label: str, id_: str) -> None:
    """Reads what is stored about a response in every way."""
    at = f"{RESPONSE}/{id_}"
    for kind, query in zip(
        STORED, (f"_id={id_}", f"basis={at}", f"target={at}", f"entity={at}"), strict=True
    ):
        found = recorder.ask(f"{label} {kind}", "GET", f"/fhir/{kind}?{query}&_sort=_lastUpdated")
        for number, entry in enumerate(found.json.get("entry", [])[:3]):
            own = f"/fhir/{kind}/{entry['resource']['id']}"
            for tail in ("", "/_history", "/_history?_count=2", "/_history?_count=x", "/_history?_count=0"):
                recorder.ask(f"{label} {kind} {number} {tail}", "GET", own + tail)
            for version in ("1", "2", "3", "99", "0", "-1", "01", "x"):
                recorder.ask(f"{label} {kind} {number} version", "GET", f"{own}/_history/{version}")
            for query_ in SHAPES if number == 0 else ():
                recorder.ask(f"{label} {kind} {query_}", "GET", f"{own}?{query_}")
            if number == 0:
                conditional(recorder, f"{label} {kind} conditional", own, recorder.ask(label, "GET", own))
    history = recorder.ask(f"{label} pages", "GET", f"/fhir/{at}/_history?_count=1")
    follow(recorder, f"{label} pages", history)


def follow(recorder: Recorder, label: str, page: Answer, most: int = 4) -> None:
    """Follows the links to further pages."""
    for _ in range(most):
        links = {each["relation"]: each["url"] for each in page.json.get("link", [])}
        if "next" not in links:
            return
        page = recorder.ask(f"{label} next", "GET", local(links["next"]))


def conditions(recorder: Recorder, samples: Samples) -> None:
    """Creates on conditions, in the header and in the query string."""
    identified = samples.small("conditions", identifier={"system": SYSTEM, "value": "one"})
    body, known = text_of(identified), f"identifier={SYSTEM}|one"
    for condition in (
        *(known, known, f"?{known}", f"{known}&status=in-progress", f"{known}&_count=1", "foo=1", "", "?"),
        *(
            "identifier=",
            "identifier:nonsense=x",
            "patient=Patient/conditions",
            "identifier=%ff",
            "authored=x",
        ),
        *("patient=Patient/nobody-else", "_id=x,y", "identifier=a&identifier=b"),
    ):
        headers = FHIR | {"If-None-Exist": condition}
        recorder.ask(f"condition/{condition}", "POST", f"/fhir/{RESPONSE}", body, headers)
        recorder.ask(
            f"condition/query {condition}", "POST", f"/fhir/{RESPONSE}?{condition.lstrip('?')}", body, FHIR
        )
        twice = f"/fhir/{RESPONSE}?{known}"
        recorder.ask(f"condition/both {condition}", "POST", twice, body, headers)


def statuses(recorder: Recorder, samples: Samples) -> None:
    """Creates one response of every status for searches to find, with references of many kinds."""
    for number, status in enumerate(("completed", "amended", "in-progress", "stopped", "entered-in-error")):
        document = samples.response(
            f"status-{number % 3}",
            "partial" if status == "in-progress" else "plain-eyelid",
            status=status,
            identifier={"system": SYSTEM, "value": f"value-{number}"},
            authored=f"2026-0{number + 1}-10T10:00:00+02:00",
            encounter={"reference": "Encounter/visit"},
            author={"reference": "Practitioner/doctor", "display": "Dr <b>"},
            source={"reference": "Patient/source"},
            basedOn=[{"reference": "ServiceRequest/order"}],
            partOf=[{"reference": "Procedure/visit"}],
        )
        made = recorder.ask(f"status/{status}", "POST", f"/fhir/{RESPONSE}", text_of(document), FHIR)
        if made.status == 201:
            trail(recorder, f"status/{status}", made.json["id"])


def entry(
    method: str, url: str, resource: Json | None = None, full_url: str | None = None, **request: str
) -> Json:
    made = {"fullUrl": full_url, "resource": resource, "request": {"method": method, "url": url} | request}
    return {name: value for name, value in made.items() if value is not None}


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012}"


def linked(samples: Samples, *targets: str) -> Json:
    """Returns a response that refers to others in extensions and in its narrative."""
    extensions = [
        {"url": "https://ehr.example.org/related", "valueReference": {"reference": each}} for each in targets
    ]
    links = "".join(f'<a href="{each}">x</a>' for each in targets)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{links}</div>'
    return samples.small("linked", extension=extensions, text={"status": "generated", "div": div})


def bundles(recorder: Recorder, samples: Samples) -> None:
    """Sends batches and transactions: each entry alone, each beside good ones, and what links them."""
    first = recorder.ask(
        "bundle/first", "POST", f"/fhir/{RESPONSE}", text_of(samples.response("bundle")), FHIR
    ).json
    at, new = f"{RESPONSE}/{first['id']}", samples.small("bundle")
    good = entry("POST", RESPONSE, new)
    for key, one in entries(samples, first):
        for kind in ("batch", "transaction"):
            for server in ("store", "none"):
                send(recorder, f"{server}/bundle/{kind} {key}", kind, [one], server=server)
            send(recorder, f"bundle/{kind} {key} beside", kind, [good, one, entry("GET", at)])
    for kind in (
        "searchset",
        "history",
        "collection",
        "document",
        "message",
        "batch-response",
        "nonsense",
        5,
        None,
    ):
        send(recorder, f"bundle/type {kind}", kind, [good])
    links = [entry("POST", RESPONSE, linked(samples, urn(2), urn(3)), urn(1))]
    links += [entry("POST", RESPONSE, linked(samples, urn(1), "Group/stays", f"{BASE}/{at}"), urn(2))]
    links += [entry("PUT", at, first | {"status": "amended"}, f"{BASE}/{at}")]
    links += [
        entry("POST", RESPONSE, linked(samples, urn(3)), urn(3), ifNoneExist=f"identifier={SYSTEM}|linked")
    ]
    for kind in ("batch", "transaction"):
        for prefer in (
            "",
            "return=minimal",
            "return=representation",
            "return=OperationOutcome",
            "handling=strict",
        ):
            send(recorder, f"bundle/links {kind} {prefer}", kind, links, {"Prefer": prefer} if prefer else {})
        send(recorder, f"bundle/same {kind}", kind, [links[0], links[0]])
        send(recorder, f"bundle/twice {kind}", kind, [links[2], links[2]])
        send(recorder, f"bundle/empty {kind}", kind, [])
        send(recorder, f"bundle/many {kind}", kind, [entry("GET", "metadata")] * 101)
        send(recorder, f"bundle/full {kind}", kind, [good] * 20)
        for name in samples.documents:
            send(
                recorder,
                f"bundle/{kind} {name}",
                kind,
                [entry("POST", RESPONSE, samples.documents[name], urn(9))],
            )
    for key, part in (
        ("entry", {}),
        ("entry", [5]),
        ("entry", [{}]),
        ("entry", None),
        ("total", 1),
        ("nobody", 1),
    ):
        document = {"resourceType": "Bundle", "type": "transaction", "entry": [good]} | {key: part}
        recorder.ask(f"bundle/wrong {key} {part}", "POST", "/fhir", text_of(document), FHIR)


def send(
    recorder: Recorder,
    label: str,
    kind: object,
    entries_: list[Json],
    headers: Mapping[str, str] | None = None,
    server: str = "store",
) -> None:
    document = {"resourceType": "Bundle", "type": kind, "entry": entries_}
    recorder.ask(label, "POST", "/fhir", text_of(document), FHIR | dict(headers or {}), server)


def entries(samples: Samples, first: Json) -> Iterator[tuple[str, Json]]:
    """Yields entries of a Bundle, right and wrong."""
    at, new = f"{RESPONSE}/{first['id']}", samples.small("entries")
    urls = (
        "metadata",
        at,
        f"{at}/_history",
        f"{at}/_history/1",
        f"{RESPONSE}/none",
        f"{RESPONSE}?patient=Patient/bundle",
    )
    urls += (
        "Questionnaire?_summary=count",
        "Patient/1",
        "",
        "$nothing",
        f"{BASE}/{at}",
        f"/{at}",
        f"{at}#x",
        f" {at}",
    )
    urls += (
        "https://evil.example.org/fhir/Patient/1",
        "//evil.example.org/x",
        "../healthz",
        "/healthz",
        "file:///x",
    )
    urls += (
        f"{RESPONSE}/..%2f..%2fhealthz",
        "ValueSet/$expand?url=x",
        f"{RESPONSE}?_count=x",
        "Questionnaire/none",
    )
    for url in urls:
        for method in ("GET", "HEAD", "DELETE", "POST", "PATCH"):
            yield f"{method} {url}", entry(method, url)
    yield "POST", entry("POST", RESPONSE, new, urn(5))
    yield "POST $assess", entry("POST", f"{RESPONSE}/$assess", new)
    yield "POST $validate", entry("POST", f"{RESPONSE}/$validate", new)
    yield "POST _search", entry("POST", f"{RESPONSE}/_search", new)
    yield "POST wrong", entry("POST", RESPONSE, new | {"status": "nonsense"})
    yield "POST other", entry("POST", RESPONSE, new | {"questionnaire": "https://other.example.org/q|1"})
    yield "POST nested", entry("POST", "", {"resourceType": "Bundle", "type": "batch"})
    yield "POST Patient", entry("POST", "Patient", {"resourceType": "Patient"})
    for condition in ("foo=1", "", f"identifier={SYSTEM}|entry", "patient=Patient/bundle"):
        yield f"POST if {condition}", entry("POST", RESPONSE, new, ifNoneExist=condition)
    for tag in ('W/"1"', 'W/"99"', "nonsense"):
        yield f"PUT {tag}", entry("PUT", at, first | {"status": "amended"}, ifMatch=tag)
        yield f"GET {tag}", entry("GET", at, ifNoneMatch=tag)
    yield "PUT", entry("PUT", at, first)
    yield "PUT none", entry("PUT", f"{RESPONSE}/none", new | {"id": "none"})
    yield "PUT nothing", entry("PUT", at)
    yield "PUT search", entry("PUT", f"{RESPONSE}?identifier=x", new)
    yield "MAKE", entry("MAKE", RESPONSE, new)
    yield "no request", {"resource": new}
    yield "no url", {"resource": new, "request": {"method": "POST"}}
    yield "no method", {"resource": new, "request": {"url": RESPONSE}}
    yield (
        "response",
        {"resource": new, "request": {"method": "POST", "url": RESPONSE}, "response": {"status": "200"}},
    )
    yield "full url", entry("POST", RESPONSE, new, "nonsense")
    yield "fragment", entry("POST", RESPONSE, new, f"{urn(5)}#x")


def searches(recorder: Recorder, server: str) -> None:
    """Searches every type by every parameter that the CapabilityStatement names, and by others."""
    statement = recorder.ask(f"{server}/search/metadata", "GET", "/fhir/metadata", server=server).json
    for resource in statement["rest"][0]["resource"]:
        kind = resource["type"]
        for query in RESULTS if server == "store" else RESULTS[::4]:
            search(recorder, server, kind, query)
            if query.endswith(("=x", "nonsense", "=1", "=")):
                search(recorder, server, kind, query, {"Prefer": "handling=strict"})
        posted(recorder, server, kind)
        if server != "store":
            continue
        for parameter in resource.get("searchParam", ()):
            for query in queries_of(parameter["name"], parameter["type"]):
                search(recorder, server, kind, query)
        for name in ("searchInclude", "searchRevInclude"):
            for value in resource.get(name, ()):
                search(recorder, server, kind, f"_count=3&_{name.removeprefix('search').lower()}={value}")


def search(
    recorder: Recorder, server: str, kind: str, query: str, headers: Mapping[str, str] | None = None
) -> None:
    more = "" if "_count" in query else "&_count=2&_sort=_lastUpdated,_id"
    if "_sort" in query and "_count" not in query:
        more = "&_count=2"
    label = f"{server}/search/{kind} {query}{' strict' if headers else ''}"
    recorder.ask(label, "GET", f"/fhir/{kind}?{query}{more}", headers=headers, server=server)


def queries_of(name: str, type_: str) -> Iterator[str]:
    values = VALUES.get(type_, ("x",))
    for value in values:
        yield f"{name}={quote(value)}"
    for modifier in MODIFIERS:
        yield f"{name}:{modifier}={'true' if modifier == 'missing' else quote(values[0])}"
    yield f"{name}:missing=false"
    yield f"{name}:missing=nonsense"
    yield f"{name}.name=x"
    yield f"_sort={name}"
    yield f"_sort=-{name},_id"
    if type_ in ("date", "number", "quantity"):
        for prefix in PREFIXES:
            yield f"{name}={prefix}{values[1]}"
            yield f"{name}={prefix}{values[2]}"


def posted(recorder: Recorder, server: str, kind: str) -> None:
    """Searches by a form, with parameters in the body and in the query string."""
    for pairs in (
        [("_count", "1")],
        [("_id", "x"), ("_id", "y")],
        [("foo", "1")],
        [("_summary", "count")],
        [],
    ):
        path = f"/fhir/{kind}/_search"
        for tail in ("?_count=2", "?_count=1&_pretty=true"):
            label = f"{server}/posted/{kind} {pairs} {tail}"
            recorder.ask(label, "POST", path + tail, urlencode(pairs), FORM, server)
    recorder.ask(f"{server}/posted/{kind} json", "POST", f"/fhir/{kind}/_search", "{}", FHIR, server)


def pages(recorder: Recorder, samples: Samples) -> None:
    """Follows the pages of searches in several orders, and tampers with their links."""
    for day in range(5):
        body = text_of(samples.small("paged", authored=f"2026-04-0{day + 1}"))
        recorder.ask("page/create", "POST", f"/fhir/{RESPONSE}", body, FHIR | {"Prefer": "return=minimal"})
    own = f"/fhir/{RESPONSE}?patient=Patient/paged"
    for tail in ("", "&_sort=-authored", "&_sort=status,authored", "&_sort=_lastUpdated", "&_summary=true"):
        for size in (1, 2, 5, 6):
            first = recorder.ask(f"page/{tail} {size}", "GET", f"{own}&_count={size}{tail}")
            follow(recorder, f"page/{tail} {size}", first)
    for kind in PUBLISHED:
        for tail in ("", "&_sort=-_id", "&_sort=url", "&_elements=url"):
            first = recorder.ask(f"page/{kind} {tail}", "GET", f"/fhir/{kind}?_count=2{tail}")
            follow(recorder, f"page/{kind} {tail}", first, 8)
    found = recorder.ask("page/tampered", "GET", f"{own}&_count=2").json
    following = next(each["url"] for each in found["link"] if each["relation"] == "next")
    before, _, cursor = local(following).rpartition("_cursor=")
    for key, changed in (
        *(("half", cursor[: len(cursor) // 2]), ("longer", f"{cursor}AAAA"), ("upper", cursor.swapcase())),
        *(("garbage", "garbage"), ("null", "%00"), ("minus", "-1"), ("long", "0" * 6000), ("empty", "")),
    ):
        if key in ("garbage", "null", "minus", "long", "empty"):
            recorder.ask(f"page/tampered {key}", "GET", f"{before}_cursor={changed}")
    recorder.ask("page/other search", "GET", f"/fhir/{RESPONSE}?_count=2&_cursor={cursor}")
    recorder.ask("page/other order", "GET", f"{own}&_count=2&_sort=authored&_cursor={cursor}")


def second_pair(recorder: Recorder) -> None:
    """Sends responses to another questionnaire, with scores, to a server that publishes it."""
    found = recorder.ask("second/list", "GET", "/fhir/Questionnaire", server="second").json["entry"][0][
        "resource"
    ]
    systems = recorder.ask("second/codes", "GET", "/fhir/CodeSystem?_count=50", server="second").json["entry"]
    own = next(each["resource"] for each in systems if "workday-strain-answers" in each["resource"]["url"])
    codes = [concept["code"] for concept in own["concept"]]
    document = {
        "resourceType": RESPONSE,
        "questionnaire": f"{found['url']}|{found['version']}",
        "status": "completed",
    }
    document |= {"subject": {"reference": "Patient/strain"}, "authored": "2026-11-20T10:00:00Z"}
    groups = [group for group in found["item"] if group["type"] == "group"]
    for number, code in enumerate(codes):
        items = [
            {
                "linkId": group["linkId"],
                "item": [
                    {
                        "linkId": each["linkId"],
                        "answer": [{"valueCoding": {"system": own["url"], "code": chosen}}],
                    }
                    for place, each in enumerate(group["item"])
                    for chosen in (codes[(number * place) % len(codes)] if number else code,)
                ],
            }
            for group in groups
        ]
        whole = document | {"item": items}
        for path in (ASSESS, VALIDATE, PROCESS, f"/fhir/{RESPONSE}", f"{ASSESS}?_pretty=true"):
            recorder.ask(f"second/{code} {path}", "POST", path, text_of(whole), FHIR, "second")
        for key, place, damage in mutations.spread(mutations.damaged(whole), 60):
            body = text_of(mutations.with_damage(whole, place, damage))
            recorder.ask(f"second/{code} {key}", "POST", ASSESS, body, FHIR, "second")
    searches(recorder, "second")
