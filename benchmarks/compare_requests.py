"""The requests that are compared: as much of what the service can be asked as fits into minutes.

What they are made of stands in `compare_inputs.yaml`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks import compare_mutations as mutations
from benchmarks.compare_exchanges import BASE, ORIGIN, RAW, Answer, Recorder, Service
from benchmarks.compare_mutations import INPUTS

Json = dict[str, Any]

RESPONSE = "QuestionnaireResponse"
HERE = f"/fhir/{RESPONSE}"
ASSESS, VALIDATE = f"{HERE}/$assess", f"{HERE}/$validate"
PROCESS = "/fhir/Questionnaire/$process-response"
PROCESS_ONE = "/fhir/Questionnaire/muscle-twitching/$process-response"
FORM = "application/x-www-form-urlencoded"
SYSTEM = "https://ehr.example.org/answers"
LONG = "x" * 65
STORED: Sequence[str] = INPUTS["stored"]
PUBLISHED: Sequence[str] = INPUTS["published"]
SHAPES: Sequence[str] = INPUTS["shapes"]
RESULTS = (*SHAPES, *INPUTS["results"])
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
    b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /fhir/" + b"x" * 8192 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 16_384 + b"\r\n\r\n",
    b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n" + b"X-N: x\r\n" * 200 + b"\r\n",
    b"GET http://evil.example.org/fhir/Questionnaire?_count=1 HTTP/1.1\r\nHost: evil.example.org\r\n\r\n",
    b"POST /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n",
    b"POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET //fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /fhir/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /fhir\\metadata HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"get /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


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


def local(url: str) -> str:
    """Returns the path of a link of the service."""
    return url.replace(BASE, "/fhir", 1)


def packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def everything(recorder: Recorder, samples: Samples) -> None:
    """Makes all exchanges over HTTP, in an order that is always the same."""
    store, none, second = (Service(recorder, name) for name in ("store", "none", "second"))
    for service in (store, none):
        addresses(service)
        negotiation(service, samples)
        metadata(service)
        bodies(service)
        operations(service, samples)
    operations_in_detail(store, samples)
    wrong_documents(store, samples)
    expansions(store)
    stored(store, samples)
    for document in samples.documents.values():
        none.post(HERE, document, "no store")
    statuses(store, samples)
    bundles(store, none, samples)
    searches(store, RESULTS)
    searches(none, RESULTS[::4], with_parameters=False)
    pages(store, samples)
    second_pair(second)


# Addresses, headers and bodies.


def addresses(service: Service) -> None:
    """Asks for what is there and what is not, by every method, in the name of other hosts and origins."""
    kinds = (*PUBLISHED, *STORED, "Patient", "Foo", "questionnaire")
    paths = [f"/fhir/{kind}{tail}" for kind in kinds for tail in (*INPUTS["tails"], f"/{LONG}")]
    for path in (*paths, *INPUTS["addresses"]):
        for method in INPUTS["methods"]:
            service.ask(method, path)
    for raw in RAW_REQUESTS:
        service.ask(RAW, "/", raw)
    origins(service)
    for given in (*INPUTS["request_ids"], LONG):
        for path in ("/fhir/metadata", "/fhir/Patient/1"):
            service.get(path, x_request_id=given)
    for path in ("/fhir/metadata", "/fhir/StructureDefinition?_count=1", "/fhir/Patient/1", "/openapi.json"):
        service.get(path, "forged", **INPUTS["forged"])


def origins(service: Service) -> None:
    for path in ("/fhir/metadata", HERE, ASSESS, "/fhir/Questionnaire", "/fhir", "/nothing", "/healthz"):
        for origin in (ORIGIN, "https://evil.example.org", "null", "*", ORIGIN.upper()):
            service.get(path, origin=origin)
            service.post(path, {}, origin=origin)
            asked = {"origin": origin, "access_control_request_method": "POST"}
            service.ask("OPTIONS", path, **asked)
            asked |= {"access_control_request_headers": "content-type, prefer, x-nonsense"}
            service.ask("OPTIONS", path, **asked)


def negotiation(service: Service, samples: Samples) -> None:
    """Asks for every media type, and sends every media type."""
    read = ("/fhir/metadata", "/fhir/Questionnaire", "/fhir/Questionnaire/muscle-twitching", HERE)
    for path in (*read, "/fhir/Patient/1", "/healthz", "/openapi.json", "/"):
        for accept in INPUTS["accepts"]:
            service.get(path, accept=accept)
        for format_ in INPUTS["formats"]:
            service.get(f"{path}?_format={format_}")
    small = samples.small("negotiation")
    for path in (ASSESS, VALIDATE, PROCESS, HERE, "/fhir"):
        for content_type in INPUTS["content_types"]:
            service.post(path, small, content_type=content_type)
        for accept in INPUTS["accepts"]:
            service.post(path, small, accept=accept)
        service.ask("POST", path, small, "no type")


def metadata(service: Service) -> None:
    for path in ("/fhir/metadata", "/openapi.json", "/fhir/Questionnaire/muscle-twitching"):
        for query in (*SHAPES, "mode=full", "mode=normative", "mode=terminology", "mode=nonsense"):
            service.get(f"{path}?{query}")
        conditional(service, path)


def conditional(service: Service, path: str) -> None:
    """Reads, and reads again with every condition on the tag and the date of what was read."""
    found = dict(service.get(path).headers)
    tag, date = found.get("ETag", 'W/"1"'), found.get("Last-Modified", "Sat, 01 Jan 2028 00:00:00 GMT")
    conditions = [{"if_none_match": each} for each in (tag, "*", 'W/"x"', f'"y", {tag}', "x")]
    conditions += [{"if_none_match": tag.removeprefix("W/")}, {"if_match": tag}, {"if_match": 'W/"x"'}]
    dates = (date, "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2028 00:00:00 GMT", "nonsense", "2028-01-01")
    conditions += [{"if_modified_since": each} for each in dates]
    conditions += [{"if_unmodified_since": each} for each in dates[:2]]
    conditions += [{"if_none_match": 'W/"x"', "if_modified_since": date}]
    for condition in conditions:
        for method in ("GET", "HEAD"):
            service.ask(method, path, **condition)


def bodies(service: Service) -> None:
    """Sends what is no resource, or none that is expected."""
    for number, body in enumerate(BODIES):
        what = f"body {number}"
        for path in (ASSESS, VALIDATE, PROCESS, PROCESS_ONE, HERE, "/fhir", "/fhir/ValueSet/$expand"):
            service.post(path, body, what)
        service.put(f"{HERE}/none", body, what)
        service.post("/fhir/Questionnaire/_search", body, what, content_type=FORM)
        for path in (ASSESS, HERE):
            service.post(path, packed(body), what, content_encoding="gzip")
    for coding in INPUTS["codings"]:
        service.post(ASSESS, {}, content_encoding=coding)


# Operations.


def operations(service: Service, samples: Samples) -> None:
    """Sends every sample to every operation."""
    for name, document in samples.documents.items():
        for path in (ASSESS, VALIDATE, PROCESS, PROCESS_ONE, "/fhir/Questionnaire/x/$process-response"):
            service.post(path, document, name)


def operations_in_detail(service: Service, samples: Samples) -> None:
    """Sends every sample to every operation in every form of the request."""
    profile = "http://hl7.org/fhir/StructureDefinition/QuestionnaireResponse"
    queries = [f"mode={mode}" for mode in ("create", "update", "profile", "delete", "x", "")]
    queries += [f"profile={each}" for each in (profile, f"{profile}|4.0.1", "x", "")]
    for name, document in samples.documents.items():
        zipped = packed(json.dumps(document).encode())
        for path in (ASSESS, VALIDATE, PROCESS, PROCESS_ONE, "/fhir/Questionnaire/x/$process-response"):
            service.post(path, zipped, name, content_encoding="gzip")
            for query in SHAPES:
                service.post(f"{path}?{query}", document, name)
            for prefer in INPUTS["prefers"]:
                service.post(path, document, name, prefer=prefer)
        for path in (ASSESS, VALIDATE, PROCESS):
            for key, parameters in wrapped(document):
                service.post(path, parameters, f"{name} {key}")
        for query in queries:
            service.post(f"{VALIDATE}?{query}", document, name)


def wrapped(document: Json) -> Iterator[tuple[str, Json]]:
    """Yields Parameters that hold the document, right and wrong."""
    patient = {"resourceType": "Patient", "gender": "female"}
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
            ("patient", [one, {"name": "patient", "resource": patient}]),
            ("nobody", [one, {"name": "nobody", "valueString": "knows"}]),
            ("half", [{"name": name}]),
        ):
            yield f"{name} {key}", parameters_of(more)


def parameters_of(parameters: list[Json]) -> Json:
    return {"resourceType": "Parameters", "parameter": parameters}


def wrong_documents(service: Service, samples: Samples) -> None:
    """Sends samples that are wrong in one place to the operations that find faults."""
    for name, document in samples.documents.items():
        damages = mutations.damaged(document)
        for path, most in ((ASSESS, 150), (VALIDATE, 90)):
            for key, place, damage in mutations.spread(damages, most):
                service.post(path, mutations.with_damage(document, place, damage), f"{name} {key}")
        answers = [(at, value) for at in mutations.answers_of(document) for value in mutations.WRONG_ANSWERS]
        for at, value in mutations.spread(answers, 130):
            changed, what = mutations.with_value(document, at, value), f"{name} {mutations.shown(at)} {value}"
            for path in (ASSESS, VALIDATE):
                service.post(path, changed, what[:90])
    for name, paths in (("partial", (ASSESS, VALIDATE, HERE)), ("empty", (ASSESS, PROCESS))):
        for key, value in mutations.ROOT_CHANGES:
            for path in paths:
                service.post(path, samples.documents[name] | {key: value}, f"{name} {key} {value}"[:90])


def expansions(service: Service) -> None:
    """Expands what is published, with every parameter."""
    expand = "/fhir/ValueSet/$expand"
    found = service.get("/fhir/ValueSet?_count=100").json.get("entry", [])
    sets = [entry["resource"] for entry in found]
    urls = [each["url"] for each in sets] + [f"{each['url']}|{each['version']}" for each in sets]
    urls += [f"{sets[0]['url']}|9", *INPUTS["value_sets"]]
    for number, url in enumerate(urls):
        for query in ("", *INPUTS["expansions"]) if number < 3 else ("", "filter=a&count=2"):
            service.get(f"{expand}?url={quote(url)}&{query}")
        pairs = [{"name": "url", "valueUri": url}, {"name": "count", "valueInteger": 2}]
        for given in (pairs[:1], pairs, [{"name": "url", "valueString": url}]):
            service.post(expand, parameters_of(given), url)
    conditional(service, f"{expand}?url={quote(urls[0])}")
    for each in sets:
        for query in ("", "count=1", f"url={quote(each['url'])}", "url=https://other.example.org"):
            service.get(f"/fhir/ValueSet/{each['id']}/$expand?{query}")


# What is stored.


def stored(service: Service, samples: Samples) -> None:
    """Creates, reads, updates and conditions, on every sample."""
    for name, document in samples.documents.items():
        for prefer in INPUTS["prefers"]:
            service.post(HERE, document, name, prefer=prefer)
        service.post(f"{HERE}?_pretty=true", document, name)
        made = service.post(HERE, document, name)
        if made.status == 201:
            life(service, name, made)
    identified = samples.small("conditions", identifier={"system": SYSTEM, "value": "one"})
    known = f"identifier={SYSTEM}|one"
    for template in INPUTS["conditions"]:
        condition = template.format(known=known)
        service.post(HERE, identified, if_none_exist=condition)
        service.post(f"{HERE}?{condition.lstrip('?')}", identified)
        service.post(f"{HERE}?{known}", identified, if_none_exist=condition)


def life(service: Service, name: str, made: Answer) -> None:
    """Reads, updates and reads again what was created, with what was made of it."""
    document, id_ = made.json, made.json["id"]
    at = f"{HERE}/{id_}"
    trail(service, id_)
    for change in (
        *(
            {"status": each}
            for each in ("amended", "entered-in-error", "completed", "stopped", "in-progress")
        ),
        {},
        {"id": "other"},
        {"id": None},
        {"status": "nonsense"},
        {"item": [{"linkId": "no-such-question"}]},
        {"subject": {"reference": "Patient/another"}},
    ):
        service.put(at, document | change, f"{name} {change}")
    for tag in INPUTS["tags"]:
        service.put(at, document, name, if_match=tag)
    service.put(at, document, name, if_none_match="*")
    service.put(at, document, name, if_unmodified_since="Sat, 01 Jan 2028 00:00:00 GMT")
    service.put(at, document, name, prefer="return=minimal")
    for query in ("_pretty=true", "foo=1", "identifier=x|y", "_format=xml"):
        service.put(f"{at}?{query}", document, name)
    trail(service, id_)
    for method in ("POST", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        service.ask(method, at, content_type="application/fhir+json")


def trail(service: Service, id_: str) -> None:
    """Reads what is stored about a response in every way."""
    at = f"{RESPONSE}/{id_}"
    queries = (f"_id={id_}", f"basis={at}", f"target={at}", f"entity={at}")
    for kind, query in zip(STORED, queries, strict=True):
        found = service.get(f"/fhir/{kind}?{query}&_sort=_lastUpdated").json.get("entry", [])
        own = [f"/fhir/{kind}/{entry['resource']['id']}" for entry in found[:3]]
        for path in own:
            for tail in ("", "/_history", "/_history?_count=2", "/_history?_count=x", "/_history?_count=0"):
                service.get(path + tail)
            for version in ("1", "2", "3", "99", "0", "-1", "01", "x"):
                service.get(f"{path}/_history/{version}")
        for path in own[:1]:
            for shape in SHAPES:
                service.get(f"{path}?{shape}")
            conditional(service, path)
    follow(service, service.get(f"/fhir/{at}/_history?_count=1"))


def follow(service: Service, page: Answer, most: int = 4) -> None:
    """Follows the links to further pages."""
    for _ in range(most):
        links = {each["relation"]: each["url"] for each in page.json.get("link", [])}
        if "next" not in links:
            return
        page = service.get(local(links["next"]))


def statuses(service: Service, samples: Samples) -> None:
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
        made = service.post(HERE, document, status)
        if made.status == 201:
            trail(service, made.json["id"])


# Bundles.


def entry(
    method: str, url: str, resource: Json | None = None, full_url: str | None = None, **request: str
) -> Json:
    made = {"fullUrl": full_url, "resource": resource, "request": {"method": method, "url": url} | request}
    return {name: value for name, value in made.items() if value is not None}


def bundle(kind: object, entries_: object, **more: object) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": entries_} | more


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


def bundles(store: Service, none: Service, samples: Samples) -> None:
    """Sends batches and transactions: each entry alone, each beside good ones, and what links them."""
    first = store.post(HERE, samples.response("bundle")).json
    at, good = f"{RESPONSE}/{first['id']}", entry("POST", RESPONSE, samples.small("bundle"))
    for key, one in entries(samples, first):
        for kind in ("batch", "transaction"):
            for service in (store, none):
                service.post("/fhir", bundle(kind, [one]), f"{kind} {key}")
            store.post("/fhir", bundle(kind, [good, one, entry("GET", at)]), f"{kind} {key} beside")
    for kind in INPUTS["bundle_types"]:
        store.post("/fhir", bundle(kind, [good]), f"type {kind}")
    condition = f"identifier={SYSTEM}|linked"
    links = [
        entry("POST", RESPONSE, linked(samples, urn(2), urn(3)), urn(1)),
        entry("POST", RESPONSE, linked(samples, urn(1), "Group/stays", f"{BASE}/{at}"), urn(2)),
        entry("PUT", at, first | {"status": "amended"}, f"{BASE}/{at}"),
        entry("POST", RESPONSE, linked(samples, urn(3)), urn(3), ifNoneExist=condition),
    ]
    for kind in ("batch", "transaction"):
        for prefer in INPUTS["prefers"]:
            store.post("/fhir", bundle(kind, links), f"links {kind}", prefer=prefer)
        store.post("/fhir", bundle(kind, [links[0], links[0]]), f"same {kind}")
        store.post("/fhir", bundle(kind, [links[2], links[2]]), f"twice {kind}")
        store.post("/fhir", bundle(kind, []), f"empty {kind}")
        store.post("/fhir", bundle(kind, [entry("GET", "metadata")] * 101), f"many {kind}")
        store.post("/fhir", bundle(kind, [good] * 20), f"full {kind}")
        for name, document in samples.documents.items():
            store.post("/fhir", bundle(kind, [entry("POST", RESPONSE, document, urn(9))]), f"{kind} {name}")
    for entries_ in ({}, [5], [{}], None):
        store.post("/fhir", bundle("transaction", entries_), f"wrong {entries_}")
    for name in ("total", "nobody"):
        store.post("/fhir", bundle("transaction", [good], **{name: 1}), f"wrong {name}")


def entries(samples: Samples, first: Json) -> Iterator[tuple[str, Json]]:
    """Yields entries of a Bundle, right and wrong."""
    at, new = f"{RESPONSE}/{first['id']}", samples.small("entries")
    for template in INPUTS["entry_urls"]:
        url = template.format(at=at)
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
    yield "response", entry("POST", RESPONSE, new) | {"response": {"status": "200"}}
    yield "full url", entry("POST", RESPONSE, new, "nonsense")
    yield "fragment", entry("POST", RESPONSE, new, f"{urn(5)}#x")


# Searches.


def searches(service: Service, results: Sequence[str], *, with_parameters: bool = True) -> None:
    """Searches every type by every parameter that the CapabilityStatement names, and by others."""
    for resource in service.get("/fhir/metadata").json["rest"][0]["resource"]:
        kind = resource["type"]
        for query in results:
            search(service, kind, query)
            if query.endswith(("=x", "nonsense", "=1", "=")):
                search(service, kind, query, prefer="handling=strict")
        posted(service, kind)
        if not with_parameters:
            continue
        for parameter in resource.get("searchParam", ()):
            for query in queries_of(parameter["name"], parameter["type"]):
                search(service, kind, query)
        for name in ("searchInclude", "searchRevInclude"):
            for value in resource.get(name, ()):
                search(service, kind, f"_count=3&_{name.removeprefix('search').lower()}={value}")


def search(service: Service, kind: str, query: str, **headers: str) -> None:
    more = "" if "_count" in query else "&_count=2"
    if more and "_sort" not in query:
        more += "&_sort=_lastUpdated,_id"
    service.get(f"/fhir/{kind}?{query}{more}", **headers)


def queries_of(name: str, type_: str) -> Iterator[str]:
    values = INPUTS["values"].get(type_, ("x",))
    for value in values:
        yield f"{name}={quote(value)}"
    for modifier in INPUTS["modifiers"]:
        yield f"{name}:{modifier}={'true' if modifier == 'missing' else quote(values[0])}"
    yield f"{name}:missing=false"
    yield f"{name}:missing=nonsense"
    yield f"{name}.name=x"
    yield f"_sort={name}"
    yield f"_sort=-{name},_id"
    if type_ in ("date", "number", "quantity"):
        for prefix in INPUTS["prefixes"]:
            yield f"{name}={prefix}{values[1]}"
            yield f"{name}={prefix}{values[2]}"


def posted(service: Service, kind: str) -> None:
    """Searches by a form, with parameters in the body and in the query string."""
    path = f"/fhir/{kind}/_search"
    for pairs in (
        [("_count", "1")],
        [("_id", "x"), ("_id", "y")],
        [("foo", "1")],
        [("_summary", "count")],
        [],
    ):
        for query in ("_count=2", "_count=1&_pretty=true"):
            form = urlencode(pairs)
            service.post(f"{path}?{query}", form.encode(), form, content_type=FORM)
    service.post(path, {})


def pages(service: Service, samples: Samples) -> None:
    """Follows the pages of searches in several orders, and tampers with their links."""
    for day in range(5):
        service.post(HERE, samples.small("paged", authored=f"2026-04-0{day + 1}"), prefer="return=minimal")
    own = f"{HERE}?patient=Patient/paged"
    for order in ("", "&_sort=-authored", "&_sort=status,authored", "&_sort=_lastUpdated", "&_summary=true"):
        for size in (1, 2, 5, 6):
            follow(service, service.get(f"{own}&_count={size}{order}"))
    for kind in PUBLISHED:
        for order in ("", "&_sort=-_id", "&_sort=url", "&_elements=url"):
            follow(service, service.get(f"/fhir/{kind}?_count=2{order}"), 8)
    found = service.get(f"{own}&_count=2").json
    following = next(each["url"] for each in found["link"] if each["relation"] == "next")
    before, _, cursor = local(following).rpartition("_cursor=")
    for changed in ("garbage", "%00", "-1", "0" * 6000, ""):
        service.get(f"{before}_cursor={changed}")
    service.get(f"{HERE}?_count=2&_cursor={cursor}", "other search")
    service.get(f"{own}&_count=2&_sort=authored&_cursor={cursor}", "other order")


def second_pair(service: Service) -> None:
    """Sends responses to another questionnaire, with scores, to a server that publishes it."""
    form = service.get("/fhir/Questionnaire").json["entry"][0]["resource"]
    systems = service.get("/fhir/CodeSystem?_count=50").json["entry"]
    system = next(each["resource"] for each in systems if "workday-strain-answers" in each["resource"]["url"])
    codes = [concept["code"] for concept in system["concept"]]
    document = {
        "resourceType": RESPONSE,
        "questionnaire": f"{form['url']}|{form['version']}",
        "status": "completed",
        "subject": {"reference": "Patient/strain"},
        "authored": "2026-11-20T10:00:00Z",
    }
    for number, code in enumerate(codes):
        items = [
            {
                "linkId": group["linkId"],
                "item": [
                    answered(item["linkId"], system["url"], codes[number * place % len(codes)])
                    for place, item in enumerate(group["item"])
                ],
            }
            for group in form["item"]
            if group["type"] == "group"
        ]
        whole = document | {"item": items}
        for path in (ASSESS, VALIDATE, PROCESS, HERE, f"{ASSESS}?_pretty=true"):
            service.post(path, whole, code)
        for key, place, damage in mutations.spread(mutations.damaged(whole), 60):
            service.post(ASSESS, mutations.with_damage(whole, place, damage), f"{code} {key}")
    searches(service, RESULTS[::4], with_parameters=False)


def answered(link_id: str, system: str, code: str) -> Json:
    return {"linkId": link_id, "answer": [{"valueCoding": {"system": system, "code": code}}]}
