"""One right resource of each type that the service reads or writes; tests plant faults in copies of them."""

from decimal import Decimal
from typing import Any

BASE = "https://fhir.example.org"
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Text</p></div>'}
MARK = {"url": f"{BASE}/StructureDefinition/mark", "valueCode": "x"}
PERCENT = {"value": Decimal("12.50"), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}

QUESTIONNAIRE = {
    "resourceType": "Questionnaire",
    "id": "one",
    "text": NARRATIVE,
    "url": f"{BASE}/Questionnaire/one",
    "version": "1.0.0",
    "status": "active",
    "item": [
        {"linkId": "1", "type": "boolean", "text": "Any?"},
        {
            "linkId": "2",
            "type": "group",
            "enableWhen": [{"question": "1", "operator": "exists", "answerBoolean": True}],
            "item": [
                {
                    "linkId": "2.1",
                    "type": "choice",
                    "answerOption": [{"valueCoding": {"code": "a", "system": BASE}}],
                },
                {"linkId": "2.2", "type": "display", "text": "Read this."},
            ],
        },
    ],
}

QUESTIONNAIRE_RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "id": "one",
    "questionnaire": f"{BASE}/Questionnaire/one|1.0.0",
    "_questionnaire": {"extension": [{"url": f"{BASE}/display", "valueString": "One"}]},
    "status": "completed",
    "subject": {"reference": "Patient/one"},
    "authored": "2026-01-02T03:04:05Z",
    "item": [
        {
            "linkId": "1",
            "answer": [{"valueInteger": 0, "item": [{"linkId": "1.1"}]}, {"valueBoolean": False}],
        },
        {"linkId": "2", "item": [{"linkId": "2.1", "answer": [{"valueDate": "2026-01"}]}]},
    ],
}

RISK_ASSESSMENT = {
    "resourceType": "RiskAssessment",
    "id": "one",
    "contained": [
        QUESTIONNAIRE_RESPONSE | {"id": "answers", "subject": {"reference": "#person"}},
        {"resourceType": "Patient", "id": "person", "gender": "female"},
    ],
    "status": "final",
    "subject": {"reference": "Patient/one"},
    "occurrenceDateTime": "2026-01-02T03:04:05+01:00",
    "basis": [{"reference": "#answers"}],
    "prediction": [
        {"outcome": {"text": "Cramp"}, "probabilityDecimal": Decimal("12.5")},
        {"outcome": {"text": "Other"}, "probabilityRange": {"low": PERCENT, "high": PERCENT}},
    ],
}

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
    "subject": {"reference": "Patient/one"},
    "valueQuantity": {"value": Decimal("3.10"), "system": "http://unitsofmeasure.org", "code": "mmol/L"},
}

PATIENT = {
    "resourceType": "Patient",
    "meta": {"profile": [f"{BASE}/StructureDefinition/one"], "_profile": [{"id": "a", "extension": [MARK]}]},
    "name": [
        {
            "given": ["Ada", None, "C"],
            "_given": [None, {"id": "b", "extension": [MARK]}, None],
        }
    ],
    "gender": "female",
    "birthDate": "1970-12-31",
}

BUNDLE = {
    "resourceType": "Bundle",
    "type": "searchset",
    "total": 1,
    "entry": [
        {"fullUrl": f"{BASE}/RiskAssessment/one", "resource": RISK_ASSESSMENT, "search": {"mode": "match"}},
    ],
}

PARAMETERS = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "questionnaire-response", "resource": QUESTIONNAIRE_RESPONSE},
        {"name": "group", "part": [{"name": "observation", "resource": OBSERVATION}]},
        {"name": "strict", "valueBoolean": False},
    ],
}

OPERATION_OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "required", "expression": ["QuestionnaireResponse.status"]}],
}

CAPABILITY_STATEMENT = {
    "resourceType": "CapabilityStatement",
    "status": "active",
    "date": "2026-01-02",
    "kind": "instance",
    "implementation": {"description": "One service", "url": BASE},
    "fhirVersion": "4.0.1",
    "format": ["json"],
    "rest": [{"mode": "server", "resource": [{"type": "Questionnaire", "interaction": [{"code": "read"}]}]}],
}

CODE_SYSTEM = {
    "resourceType": "CodeSystem",
    "url": f"{BASE}/CodeSystem/one",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "a", "display": "A", "concept": [{"code": "b"}]}],
}

VALUE_SET = {
    "resourceType": "ValueSet",
    "url": f"{BASE}/ValueSet/one",
    "status": "active",
    "compose": {"include": [{"system": f"{BASE}/CodeSystem/one", "concept": [{"code": "a"}]}]},
}

STRUCTURE_DEFINITION = {
    "resourceType": "StructureDefinition",
    "url": f"{BASE}/StructureDefinition/one",
    "name": "One",
    "status": "active",
    "kind": "complex-type",
    "abstract": False,
    "context": [{"type": "element", "expression": "RiskAssessment.prediction"}],
    "type": "Extension",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
    "derivation": "constraint",
    "differential": {
        "element": [
            {"id": "Extension", "path": "Extension", "short": "One", "max": "1"},
            {
                "id": "Extension.extension",
                "path": "Extension.extension",
                "slicing": {"description": "By url", "rules": "open"},
            },
            {"id": "Extension.extension:a", "path": "Extension.extension", "sliceName": "a", "max": "1"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": f"{BASE}/StructureDefinition/one"},
            {
                "id": "Extension.value[x]",
                "path": "Extension.value[x]",
                "min": 1,
                "type": [{"code": "Coding"}],
            },
        ]
    },
}

OPERATION_DEFINITION = {
    "resourceType": "OperationDefinition",
    "name": "Assess",
    "status": "active",
    "kind": "operation",
    "code": "assess",
    "resource": ["QuestionnaireResponse"],
    "system": False,
    "type": True,
    "instance": False,
    "parameter": [{"name": "return", "use": "out", "min": 1, "max": "1", "type": "RiskAssessment"}],
}

RESOURCES: dict[str, dict[str, Any]] = {
    resource["resourceType"]: resource
    for resource in (
        QUESTIONNAIRE,
        QUESTIONNAIRE_RESPONSE,
        RISK_ASSESSMENT,
        OBSERVATION,
        PATIENT,
        BUNDLE,
        PARAMETERS,
        OPERATION_OUTCOME,
        CAPABILITY_STATEMENT,
        CODE_SYSTEM,
        VALUE_SET,
        STRUCTURE_DEFINITION,
        OPERATION_DEFINITION,
    )
}
