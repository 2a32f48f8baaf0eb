"""HAPI's instance validator finds no error in any kind of body that the service sends.

It knows the definitions of R4 and those that the service publishes, and fetches nothing. What it says against
a body is allowed only if ALLOWED gives the reason. The last tests show that it would have found a fault.
Checks IV01-IV05, IV16-IV21, ER02, CS02.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests
from fhir_client import PUBLISHED, STORED
from patience import PATIENCE_S

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/fhir+json"}


class Allowed(NamedTuple):
    """What may be said: the id of the message, a pattern of where and what, why it is no fault of ours."""

    id: str
    pattern: str
    reason: str


ALLOWED = (
    Allowed(
        "Language_XHTML_Lang_Missing1",
        r".*",
        "R4 says should; fhirpath.js refuses the attributes (txt-1), and every resource states its language.",
    ),
    Allowed(
        "http://hl7.org/fhir/StructureDefinition/DomainResource#dom-6",
        r"(OperationOutcome|QuestionnaireResponse)\S*: |searchset-(true|data)\.json",
        "A response is kept as sent; an outcome is plain words; two pages are to have no text.",
    ),
    Allowed(
        "Questionnaire_QR_Item_NotEnabled2",
        r".*cramp-severity",
        "The sample is there to be contradictory; the service warns of it and keeps what was answered.",
    ),
    Allowed(
        "Questionnaire_QR_Q_None",
        r"searchset-elements\.json",
        "The page was asked for with the element `item` alone, and is tagged SUBSETTED.",
    ),
    Allowed(
        "QUESTIONNAIRE_QR_ITEM_DECIMAL_VALUE_EXCEPTION",
        r"HAPI-0676",
        "HAPI compares no quantities: its validator asks for a UCUM service that its context does not offer.",
    ),
    Allowed(
        "QUESTIONNAIRE_QR_ITEM_QUANTITY_MIN",
        r"The quantity \d.* is less than the allowed minimum of [01] ",
        "What HAPI says after it could not compare: what the samples say is above.",
    ),
    Allowed(
        "Profile_EXT_Not_Here",
        r"questionnaire-displayCategory .*type!='display'",
        "R4's rule for this extension shuts out display items, which SDC and renderers use it on.",
    ),
    Allowed(
        "Extension_EXT_Unknown_NotHere",
        r"/artifact-versionAlgorithm ",
        "It comes from HL7's extension pack, which R4 and HAPI do not carry.",
    ),
    Allowed(
        "Terminology_TX_System_Unknown",
        r"http://hl7\.org/fhir/version-algorithm",
        "The code system of that extension.",
    ),
    Allowed(
        "Extension_EXT_Unknown_NotHere",
        r"/sdc-questionnaire-(shortText|launchContext|initialExpression) ",
        "The guide for Structured Data Capture defines them; HAPI does not carry it.",
    ),
    Allowed(
        "Terminology_TX_System_Unknown",
        r"http://hl7\.org/fhir/uv/sdc/CodeSystem/launchContext",
        "A code system of that guide.",
    ),
    Allowed(
        "Terminology_PassThrough_TX_Message",
        r"questionnaire-item-control#page",
        "R5 added the code to this system; SDC renderers for R4 read it there.",
    ),
    Allowed(
        "Terminology_TX_NoValid_2_CC",
        r"Questionnaire\.item\[\d+\]\.extension\[0\].*questionnaire-item-control",
        "The same code; R4 says that a code should be in its value set, not that it must.",
    ),
    Allowed(
        "Validation_VAL_Profile_Unknown",
        r"http://hl7\.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire",
        "The guide for Structured Data Capture is no part of R4, and HAPI does not carry it.",
    ),
    Allowed(
        "Extension_EXTP_Context_Wrong",
        r"/cqf-(strengthOfRecommendation|qualityOfEvidence) .*\.action",
        "R4 has them on an attachment; the Computable PlanDefinition of the CPG guide has them on an action.",
    ),
)


@pytest.fixture(scope="module")
def samples(root):
    paths = (path for path in (root / "samples").glob("*.json") if "." not in path.stem)
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(paths)}


@pytest.fixture(scope="module")
def judged(hapi, service, response, samples):
    """What HAPI says of everything, as lines, and the names of the files."""
    base = service.base
    published = {kind: get(f"{base}/{kind}?_count=100") for kind in PUBLISHED}
    definitions = {
        f"{kind}-{entry['resource']['id']}": entry["resource"]
        for kind, bundle in published.items()
        for entry in bundle["entry"]
    }
    bodies = dict(
        [
            ("metadata", get(f"{base}/metadata")),
            *definitions.items(),
            *((f"searchset-{kind}", bundle) for kind, bundle in published.items() if kind != "Questionnaire"),
            *expansions(base, definitions),
            *operations(base, samples),
            *stored(base, response, samples),
            *outcomes(base, response),
            *bundles(base, response),
            *faults(definitions),
        ]
    )
    for folder, written in (("definitions", definitions), ("bodies", bodies)):
        (service.folder / folder).mkdir()
        for name, body in written.items():
            (service.folder / folder / f"{name}.json").write_text(json.dumps(body))
    lines = hapi("Validate", str(service.folder / "definitions"), str(service.folder / "bodies"))
    assert lines.pop() == {"judged": len(bodies)}
    return lines


Bodies = Iterator[tuple[str, Any]]


def get(url: str, **headers: str) -> Any:
    return requests.get(url, headers=headers, timeout=PATIENCE_S).json()


def post(url: str, body: Any, **headers: str) -> Any:
    return requests.post(url, json=body, headers=JSON | headers, timeout=PATIENCE_S).json()


def expansions(base: str, definitions: dict[str, Any]) -> Bodies:
    for name, resource in definitions.items():
        if resource["resourceType"] == "ValueSet":
            yield f"expanded-{name}", get(f"{base}/ValueSet/{resource['id']}/$expand")


def operations(base: str, samples: dict[str, Any]) -> Bodies:
    for name, sample in samples.items():
        yield f"assessed-{name}", post(f"{base}/QuestionnaireResponse/$assess", sample)
        yield f"validated-{name}", post(f"{base}/QuestionnaireResponse/$validate", sample)
    sample = samples["plain-eyelid"]
    yield "processed", post(f"{base}/Questionnaire/muscle-twitching/$process-response", sample)


def stored(base: str, response: Any, samples: dict[str, Any]) -> Bodies:
    """Each sample as it is stored, then one that is amended, entered in error, and stopped."""
    kept = {}
    for name, sample in samples.items():
        if sample["resourceType"] == "QuestionnaireResponse":
            kept[name] = yield from versions(
                base, post(f"{base}/QuestionnaireResponse", response(name)), name
            )
    for status in ("amended", "entered-in-error", "stopped"):
        body = kept["plain-eyelid"] | {"status": status}
        at = f"{base}/QuestionnaireResponse/{body['id']}"
        kept["plain-eyelid"] = requests.put(at, json=body, headers=JSON, timeout=PATIENCE_S).json()
        yield from versions(base, kept["plain-eyelid"], status)
    id_ = kept["plain-eyelid"]["id"]
    for kind in ("QuestionnaireResponse", "RiskAssessment"):
        yield f"history-{kind}", get(f"{base}/{kind}/{id_}/_history?_count=2")
    yield "searchset-page", get(f"{base}/QuestionnaireResponse?_count=2&_revinclude=RiskAssessment:basis")
    yield "searchset-lenient", get(f"{base}/RiskAssessment?shoe=44&_count=1")
    for summary in ("true", "text", "data", "count"):
        yield f"searchset-{summary}", get(f"{base}/RiskAssessment?_summary={summary}&_count=1")
    yield "searchset-elements", get(f"{base}/QuestionnaireResponse?_elements=item&_count=1")
    yield "searchset-nothing", get(f"{base}/QuestionnaireResponse?_id=no-such-id")


def versions(base: str, body: Any, name: str) -> Any:
    """Yields a response and what was made of it; returns the response."""
    id_, version = body["id"], body["meta"]["versionId"]
    for kind in STORED:
        at = f"{id_}.{version}" if kind in ("Provenance", "AuditEvent") else id_
        found = get(f"{base}/{kind}/{at}")
        if found["resourceType"] != "OperationOutcome":
            yield f"{kind}-{name}", found
    return body


def outcomes(base: str, response: Any) -> Bodies:
    kind = f"{base}/QuestionnaireResponse"
    body = response()
    yield "outcome-created", post(kind, body, Prefer="return=OperationOutcome")
    yield "outcome-not-json", requests.post(kind, data=b"{", headers=JSON, timeout=PATIENCE_S).json()
    yield "outcome-structure", post(kind, body | {"status": 1, "shoe": "x", "item": [{"text": ""}]})
    yield "outcome-questionnaire", post(kind, body | {"questionnaire": "https://example.org/other"})
    yield "outcome-item", post(kind, body | {"item": [{"linkId": "no-such-question"}]})
    yield "outcome-type", post(kind, body, **{"Content-Type": "text/plain"})
    yield "outcome-accept", get(kind, Accept="image/png")
    yield "outcome-id", get(f"{kind}/no-such-id")
    yield "outcome-strict", get(f"{kind}?shoe=44&authored=yesterday", Prefer="handling=strict")
    yield "outcome-condition", post(kind, body, **{"If-None-Exist": "status=completed"})
    yield "outcome-method", requests.delete(f"{kind}/no-such-id", timeout=PATIENCE_S).json()
    yield "outcome-invalid", post(f"{kind}/$validate", body | {"status": "done"})
    yield "outcome-operation", post(f"{kind}/$no-such-operation", body)
    yield "outcome-path", get(f"{base}/no/such/path")


def bundles(base: str, response: Any) -> Bodies:
    def bundle(kind: str, *entries: Any) -> Any:
        return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}

    def create(number: int) -> Any:
        request = {"method": "POST", "url": "QuestionnaireResponse"}
        full_url = f"urn:uuid:0b0d1f0a-0000-4000-8000-00000000000{number}"
        return {"fullUrl": full_url, "resource": response(), "request": request}

    read = {"request": {"method": "GET", "url": "QuestionnaireResponse?_count=1"}}
    wrong = {"request": {"method": "GET", "url": "QuestionnaireResponse/no-such-id"}}
    yield "batch", post(base, bundle("batch", create(1), read, wrong))
    yield "transaction", post(base, bundle("transaction", create(2), create(3), read))
    for wanted in ("minimal", "OperationOutcome"):
        yield f"batch-{wanted}", post(base, bundle("batch", create(4)), Prefer=f"return={wanted}")
        yield f"transaction-{wanted}", post(base, bundle("transaction", create(5)), Prefer=f"return={wanted}")
    yield "outcome-transaction", post(base, bundle("transaction", create(6), wrong))


def faults(definitions: dict[str, Any]) -> Bodies:
    """Bodies with one fault each, which nothing here sends: HAPI must find it."""
    yield "fault-risk", {"resourceType": "RiskAssessment", "status": "final"}
    yield (
        "fault-unknown",
        {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "odd"}]},
    )
    extension = {
        "url": "https://guidance.example.org/fhir/StructureDefinition/guidance-hash",
        "valueBoolean": True,
    }
    risk = {"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/1"}}
    yield "fault-extension", risk | {"method": {"text": "x", "extension": [extension]}}
    yield (
        "fault-answer",
        {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "questionnaire": definitions["Questionnaire-muscle-twitching"]["url"],
            "item": [{"linkId": "no-such-question"}],
        },
    )


def ours(lines):
    return [line for line in lines if not line["file"].startswith("fault-")]


def text(line):
    return f"{line['severity']} {line['id']} {line['file']} {line['location']}: {line['message']}"


def is_allowed(line, allowed):
    said = f"{line['file']} {line['location']}: {line['message']}"
    return line["id"] == allowed.id and re.search(allowed.pattern, said) is not None


def test_nothing_is_said_that_has_no_reason(judged):
    """IV19 IV20."""
    bare = [line for line in ours(judged) if not any(is_allowed(line, each) for each in ALLOWED)]
    assert [text(line) for line in bare] == []


@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda allowed: f"{allowed.id} {allowed.pattern}")
def test_what_is_allowed_is_still_said(judged, allowed):
    assert any(is_allowed(line, allowed) for line in ours(judged))


@pytest.mark.parametrize("fault", ["risk", "unknown", "extension", "answer"])
def test_a_fault_would_be_found(judged, fault):
    assert "error" in [line["severity"] for line in judged if line["file"] == f"fault-{fault}.json"]
