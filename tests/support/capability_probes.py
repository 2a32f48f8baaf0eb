"""What a CapabilityStatement says and what a service really does, in the same words, to be compared."""

from collections.abc import Mapping
from typing import Any

from fhir_client import STORED, Ehr, Json
from sample_responses import identified, new_value, response, small

TYPES = """
Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent
Basic Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam
CatalogEntry ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem
Communication CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent
Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device
DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest
DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest EnrollmentResponse
EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy
Immunization ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice
Library Linkage List Location Measure MeasureReport Media Medication MedicationAdministration
MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement MedicinalProduct
MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication
MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured
MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect
MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionOrder Observation
ObservationDefinition OperationDefinition OperationOutcome Organization OrganizationAffiliation
Parameters Patient PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner
PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup
ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment
RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition
StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer
SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification
SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet
VerificationResult VisionPrescription
""".split()  # noqa: SIM905 - a list of words is read as one

OPERATIONS = """
assess validate process-response expand lookup validate-code subsumes populate extract apply next-
question everything meta meta-add meta-delete graphql convert versions snapshot questionnaire-package
assemble document export stats reindex expunge purge evaluate submit-data match conforms
""".split()  # noqa: SIM905 - a list of words is read as one

RESPONSE = "QuestionnaireResponse"


class Declared:
    """What the CapabilityStatement of a service says."""

    def __init__(self, ehr: Ehr) -> None:
        self.statement = ehr.read("metadata")
        (self.rest,) = self.statement["rest"]
        self.resources: dict[str, Json] = {each["type"]: each for each in self.rest["resource"]}

    def interactions(self, kind: str) -> set[str]:
        return codes(self.resources.get(kind, {}))

    def system(self) -> set[str]:
        return codes(self.rest)

    def operations(self, kind: str) -> set[str]:
        return {each["name"] for each in self.resources.get(kind, {}).get("operation", ())}

    def parameters(self, kind: str) -> dict[str, Json]:
        stated = self.resources.get(kind, {}).get("searchParam", ())
        assert len({each["name"] for each in stated}) == len(stated)
        return {each["name"]: each for each in stated}


def codes(stated: Mapping[str, Any]) -> set[str]:
    return {each["code"] for each in stated.get("interaction", ())}


def instances(ehr: Ehr) -> dict[str, Json]:
    """Returns an existing resource of each type that has one; of the stored ones it is a new one."""
    declared = Declared(ehr)
    found = {}
    for kind in declared.resources:
        bundle = ehr.get(f"{kind}?_count=1")
        if kind not in STORED and bundle.status == 200 and "entry" in bundle.json:
            found[kind] = bundle.json["entry"][0]["resource"]
    if "create" in declared.interactions(RESPONSE):
        made = ehr.create(rich())
        at = f"{RESPONSE}/{made['id']}"
        found[RESPONSE] = made
        for kind, query in (("RiskAssessment", "basis"), ("Provenance", "target"), ("AuditEvent", "entity")):
            found[kind] = ehr.search(f"{kind}?{query}={at}")["entry"][0]["resource"]
    return found


def rich() -> Json:
    """A response that every search parameter can find."""
    return response(
        identifier=identified(new_value()),
        encounter={"reference": "Encounter/visit"},
        author={"reference": "Practitioner/doctor"},
        source={"reference": "Patient/source"},
        basedOn=[{"reference": "ServiceRequest/order"}],
        partOf=[{"reference": "Procedure/visit"}],
        meta={
            "tag": [{"system": "https://ehr.example.org/tags", "code": "ward"}],
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
            "profile": ["http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaireresponse"],
        },
    )


def works_on_type(ehr: Ehr, kind: str, existing: Json | None) -> set[str]:
    """Returns the codes of all interactions that a service really answers for a type."""
    id_ = existing["id"] if existing else "1"
    body = existing or {"resourceType": kind, "id": id_}
    new = small() if kind == RESPONSE else {key: value for key, value in body.items() if key != "id"}
    form = {"content_type": "application/x-www-form-urlencoded"}
    patch = {"content_type": "application/json-patch+json"}
    asked = (
        ("search-type", ehr.get(kind)),
        ("search-type", ehr.ask("POST", f"{kind}/_search", b"_id=x", **form)),
        ("read", ehr.get(f"{kind}/{id_}")),
        ("vread", ehr.get(f"{kind}/{id_}/_history/{body.get('meta', {}).get('versionId', '1')}")),
        ("history-instance", ehr.get(f"{kind}/{id_}/_history")),
        ("history-type", ehr.get(f"{kind}/_history")),
        ("create", ehr.post(kind, new)),
        ("create", ehr.post(f"{kind}/{id_}", new)),
        ("create", ehr.put(kind, new)),
        ("update", ehr.put(f"{kind}/{id_}", body)),
        ("update", ehr.put(f"{kind}/{id_}/_history/1", body)),
        ("patch", ehr.ask("PATCH", f"{kind}/{id_}", [{"op": "test", "path": "/id", "value": id_}], **patch)),
        ("patch", ehr.ask("PATCH", f"{kind}/{id_}", {"resourceType": "Parameters"})),
        ("delete", ehr.ask("DELETE", kind)),
        ("delete", ehr.ask("DELETE", f"{kind}?_id={id_}")),
        ("delete", ehr.ask("DELETE", f"{kind}/{id_}/_history/1")),
        ("delete", ehr.ask("DELETE", f"{kind}/{id_}/_history")),
        ("delete", ehr.ask("DELETE", f"{kind}/{id_}")),
    )
    assert all(answer.status < 500 for _, answer in asked)
    return {code for code, answer in asked if answer.status < 400}


def works_on_system(ehr: Ehr) -> set[str]:
    form = {"content_type": "application/x-www-form-urlencoded"}
    get = {"request": {"method": "GET", "url": "metadata"}}
    asked = (
        ("search-system", ehr.get("?_id=1")),
        ("search-system", ehr.ask("POST", "_search", b"_id=x", **form)),
        ("search-system", ehr.get("_search?_type=Questionnaire")),
        ("history-system", ehr.get("_history")),
        ("batch", ehr.post("", {"resourceType": "Bundle", "type": "batch", "entry": [get]})),
        ("transaction", ehr.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [get]})),
    )
    assert all(answer.status < 500 for _, answer in asked)
    return {code for code, answer in asked if answer.status < 400}


EVERY_TYPE = "_tag:meta.tag _security:meta.security _profile:meta.profile"
ELEMENTS = {
    "QuestionnaireResponse": "author authored based-on:basedOn encounter identifier part-of:partOf "
    "patient:subject questionnaire source status subject",
    "RiskAssessment": "basis condition date:occurrenceDateTime encounter identifier method "
    "patient:subject performer probability:prediction.probabilityDecimal "
    "risk:prediction.qualitativeRisk subject",
    "Provenance": "agent:agent.who agent-type:agent.type agent-role:agent.role entity:entity.what "
    "location recorded target signature-type:signature.type when:occurredDateTime "
    "patient:-",
    "AuditEvent": "action agent:agent.who agent-name:agent.name agent-role:agent.role "
    "date:recorded entity:entity.what entity-name:entity.name entity- "
    "role:entity.role entity-type:entity.type outcome source:source.observer "
    "subtype type patient:-",
    "Questionnaire": "code:item.item.code context-type:- date description effective:effectivePeriod "
    "identifier jurisdiction name publisher status subject-type:subjectType title "
    "url version",
    "CodeSystem": "code:concept.code content-mode:content date description identifier "
    "jurisdiction language name publisher status supplements system:url title url "
    "version",
    "ValueSet": "code:compose.include.concept.code date description "
    "expansion:expansion.identifier identifier jurisdiction name publisher "
    "reference:compose.include.system status title url version",
    "StructureDefinition": "abstract base:baseDefinition date derivation description experimental "
    "identifier jurisdiction keyword kind name path:snapshot.element.path publisher "
    "status title type url version",
    "OperationDefinition": "base code date description input-profile:inputProfile instance jurisdiction "
    "kind name output- profile:outputProfile publisher status system title type url "
    "version",
    "SearchParameter": "base code component:component.definition date derived-from:derivedFrom "
    "description jurisdiction name publisher status target type url version",
    "PlanDefinition": "context-type:useContext.code date definition:action.definitionCanonical description "
    "effective:effectivePeriod identifier jurisdiction name publisher status title topic type url version",
    "ActivityDefinition": "context-type:useContext.code date description effective:effectivePeriod "
    "identifier jurisdiction name publisher status title topic url version",
    "Library": "content-type:content.contentType context-type:useContext.code date description "
    "effective:effectivePeriod identifier jurisdiction name publisher status title topic type url version",
}
"""Search parameters of R4, with the element that each looks at where it has another name; `-`: it depends."""


def element_of(kind: str, name: str) -> str:
    """Returns the path of the element that a parameter looks at; raises KeyError if R4 has none such."""
    pairs = (each.partition(":") for each in f"{EVERY_TYPE} {ELEMENTS[kind]}".split())
    return {given: path or given for given, _, path in pairs}[name]


def values_at(resource: Any, path: str) -> list[Any]:
    """Returns what stands at a path, through lists."""
    found = [resource]
    for step in path.split("."):
        parts = [part[step] for part in found if isinstance(part, dict) and step in part]
        found = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    return found


def search_values(kind: str, element: Any) -> list[str]:
    """Returns how a search of this type names the element; nothing names what is contained."""
    if kind == "reference":
        text = element if isinstance(element, str) else element.get("reference", "")
        return [text.partition("/_history/")[0]] if text and not text.startswith("#") else []
    if kind == "token":
        return tokens(element)
    if kind == "date":
        return [element[:10]] if isinstance(element, str) else []
    return [element if isinstance(element, str) else str(element)]


def tokens(element: Any) -> list[str]:
    if isinstance(element, bool):
        return ["true" if element else "false"]
    if isinstance(element, str):
        return [element]
    if "coding" in element:
        return [each for coding in element["coding"] for each in tokens(coding)]
    code = element.get("code", element.get("value"))
    return [f"{element['system']}|{code}", code] if "system" in element else [f"|{code}", code]
