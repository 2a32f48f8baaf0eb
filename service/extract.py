"""`$extract`: a finished response in, the resources that its form defines for its answers out.

They come as a transaction Bundle, which the caller may send to a server of its choice; nothing is stored
here. The same response gives the same Bundle. What a form asks for and is not supported, or does not make a
resource of R4, is refused and named with its place: nothing of it is left out in silence.

Source: SDC 4.0 OperationDefinition QuestionnaireResponse-extract; extraction.html, observation-based,
definition-based and template-based.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from service.catalogue import Catalogue
from service.errors import Malformed, NotScorable, Problem, has_errors
from service.fhir.dates import is_instant
from service.fhir.extensions import mappings, text
from service.fhir.json import BodyLimits, Json, MutableJson, decoded, encoded, read
from service.fhir.outcome import operation_outcome
from service.fhir.parameters import RESPONSE, SentParameter, parameters_in_body, unfit_parameter
from service.fhir.references import contained_types, target_type
from service.fhir.response_context import ResponseContext, context_from_resource, distinct, referred
from service.fhir.shapes import in_order
from service.fhir.structure import check_made, check_response, check_structure
from service.questionnaire import (
    COMPLETE_STATUSES,
    CompiledQuestionnaire,
    compile_leniently,
    find_questionnaire,
    validate,
)
from service.questionnaire.definition_extraction import Built
from service.questionnaire.expressions import Evaluation, all_expressions
from service.questionnaire.extracted_values import Results
from service.questionnaire.extraction import Extracted, concept, extracted, extraction_plan
from service.questionnaire.resource_extraction import ResourcePlan, made_resources, resource_plan
from service.results import result_name
from service.sandbox import Sandbox, TooMuchHere, in_time

FORM: Final = "questionnaire"
_TYPES: Final = {RESPONSE: "QuestionnaireResponse", FORM: "Questionnaire"}
_AT: Final = "QuestionnaireResponse"

_ABSOLUTE: Final = ("urn:uuid:", "urn:oid:", "http://", "https://")
_SUBJECTS: Final = frozenset({"Patient", "Group", "Device", "Location"})
_PERFORMERS: Final = frozenset(
    {"Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson"}
)
_LISTED: Final = {
    "basedOn": frozenset({"CarePlan", "ServiceRequest"}),
    "partOf": frozenset({"Procedure"}),
}
"""What a response and an Observation may both refer to, by the name that the element has in both."""

_NOTHING: Final = Problem(
    "extract-nothing",
    "Nothing was extracted. Expected: answers to items that the Questionnaire marks by observationExtract.",
    _AT,
    "warning",
)


class _Sent(NamedTuple):
    """The response, its FHIRPath in the body, and the Questionnaire, if that was sent."""

    response: Json
    at: str
    form: Json | None


class Extractor:
    """Makes resources of the answers of a response.

    Args:
        catalogue: what is served.
        limits: of a body.
        sandbox: where what is large, and what comes with a Questionnaire of its own, is done; None where
            nobody waits.
    """

    def __init__(self, catalogue: Catalogue, limits: BodyLimits, sandbox: Sandbox | None = None) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._sandbox = sandbox

    def extract_body(self, data: bytes, stored: bytes = b"") -> bytes:
        """Returns Parameters with a transaction Bundle, and with issues where there are any.

        Args:
            data: a QuestionnaireResponse, or Parameters that hold one.
            stored: the response that the operation is called on, where it is called on one; then the body may
                be empty, or Parameters with its Questionnaire.

        Raises:
            Malformed, TooLarge: the body cannot be read, its parameters are wrong, or it is no response of
                R4.
            NotScorable: the response is not finished or not valid, its form is not known, or the form asks
                for what cannot be extracted; every problem.
            Unavailable: there is too much to do at the moment.
        """
        expected = "Expected a response, and a Questionnaire with it, that take at most {allowed}."
        work = partial(self._extracted, data, stored)
        return in_time(self._sandbox, len(data) + len(stored), work, bytes, expected=expected, at=_AT)

    def _extracted(self, data: bytes, stored: bytes, *, apart: bool) -> bytes:
        sent = self._sent(data, stored)
        structure = check_response(sent.response, sent.at)
        if has_errors(structure):
            raise Malformed(*structure)
        _check_status(sent)
        compiled = self._form(sent, apart=apart)
        plan, resources = extraction_plan(compiled), resource_plan(compiled)
        if not resources.is_empty and not apart:
            raise TooMuchHere  # the form says what is made, and how much of it
        found = validate(sent.response, compiled, self._catalogue.value_sets, apart=apart)
        errors = (problem for problem in found if problem.is_error)
        faults = [*plan.problems, *resources.problems, *errors]
        if faults:
            raise NotScorable(*faults)
        head = _Head(sent.response)
        name = _name(sent.response, head.context)
        others, said = self._resources(compiled, resources, sent.response, name)
        entries = [*_observations(extracted(plan, sent.response), head, name, said), *others]
        labels = head.context.security
        labelled = [_labelled(entry, labels) for entry in entries] if labels else entries
        return self._answer(_bundle(labelled), [*structure, *found, *head.problems])

    def _resources(
        self, compiled: CompiledQuestionnaire, plan: ResourcePlan, response: Json, name: UUID
    ) -> tuple[list[MutableJson], Mapping[str, MutableJson]]:
        """Returns the entries made by definitions and templates, and the wishes for those of Observations.

        Raises:
            NotScorable: what the form says does not work, or does not make resources of R4.
        """
        if plan.is_empty:
            return [], {}
        paired = compiled.paired(response)
        expressions = all_expressions(compiled.resource, compiled.items, self._catalogue.value_sets)
        results = Results(response, Evaluation(expressions, response, paired))
        made = made_resources(plan, results, paired.top, lambda key: uuid5(name, f"allocated{key}").urn)
        entries = [_entry(each, results, name) for each in made.resources]
        if made.bundle is not None and plan.bundle is not None:
            entries += _entries_of(made.bundle, plan.bundle.path, results, name)
        if results.problems:
            raise NotScorable(*results.problems.listed())
        return entries, made.observations

    def _sent(self, data: bytes, stored: bytes) -> _Sent:
        """Reads the body and its parameters; raises Malformed and TooLarge."""
        body = read(data, self._limits) if data or not stored else None
        if stored:
            parameters = {} if body is None else _parameters(body, (FORM,))
            form = parameters.get(FORM)
            return _Sent(decoded(stored), _AT, None if form is None else form.value)  # type: ignore[arg-type]
        if body is not None and body.get("resourceType") == "QuestionnaireResponse":
            return _Sent(body, _AT, None)
        parameters = _parameters(body or {}, (RESPONSE, FORM))
        if RESPONSE not in parameters:
            words = f"Parameter {RESPONSE} is missing. Expected: exactly one."
            raise Malformed(Problem("parameter", words, "Parameters"))
        sent, form = parameters[RESPONSE], parameters.get(FORM)
        return _Sent(sent.value, f"{sent.at}.resource", None if form is None else form.value)  # type: ignore[arg-type]

    def _form(self, sent: _Sent, *, apart: bool) -> CompiledQuestionnaire:
        """Returns the Questionnaire of a response; raises NotScorable, and TooMuchHere unless done apart."""
        named, value_sets = text(sent.response.get("questionnaire")), self._catalogue.value_sets
        if not apart and (sent.form is not None or named.startswith("#")):
            raise TooMuchHere
        if sent.form is not None:
            _check_canonical(named, sent.form)
            return compile_leniently(sent.form, value_sets, is_quoted=False)
        found = find_questionnaire(sent.response, self._catalogue.questionnaires.values(), value_sets)
        if isinstance(found, Problem):
            raise NotScorable(found)
        return found

    def _answer(self, bundle: MutableJson | None, problems: Iterable[Problem]) -> bytes:
        parameters: list[MutableJson] = [] if bundle is None else [{"name": "return", "resource": bundle}]
        listed = list(dict.fromkeys(problems)) + ([_NOTHING] if bundle is None else [])
        if listed:
            issues = operation_outcome(listed, self._catalogue.canonicals)
            parameters.append({"name": "issues", "resource": issues})
        document = {"resourceType": "Parameters", "parameter": parameters}
        return encoded(document)


def _parameters(body: Json, names: tuple[str, ...]) -> dict[str, SentParameter]:
    """Returns the parameters by name; raises Malformed if one is unknown, repeated or no such resource."""
    found: dict[str, SentParameter] = {}
    problems = []
    for sent in parameters_in_body(body):
        if sent.name not in names:
            words = f"A parameter that is not taken here. Expected: {' or '.join(names)}."
            problems.append(Problem("parameter", words, sent.at))
        elif sent.name in found:
            problems.append(unfit_parameter(sent.name, "at most once", sent.at))
        elif not _is_resource(sent):
            problems.append(unfit_parameter(sent.name, f"a {_TYPES[sent.name]} as its resource", sent.at))
        else:
            found[sent.name] = sent
    if problems:
        raise Malformed(*problems)
    return found


def _is_resource(sent: SentParameter) -> bool:
    value = sent.value if sent.element == "resource" else None
    return isinstance(value, dict) and value.get("resourceType") == _TYPES[sent.name]


def _check_status(sent: _Sent) -> None:
    if sent.response["status"] not in COMPLETE_STATUSES:
        words = f"status: expected a finished response, {' or '.join(sorted(COMPLETE_STATUSES))}."
        raise NotScorable(Problem("extract-status", words, f"{sent.at}.status"))


def _check_canonical(named: str, form: Json) -> None:
    """Raises NotScorable where the Questionnaire that was sent is not the one that the response names."""
    url, _, version = named.partition("|")
    if not url or url != form.get("url") or version not in ("", text(form.get("version"))):
        words = f"Parameter {FORM}: expected the Questionnaire that the response names, in its version."
        raise NotScorable(Problem("canonical-mismatch", words, f"{_AT}.questionnaire"))


def _name(response: Json, context: ResponseContext) -> UUID:
    """Returns the UUID that the extracted resources are named after: of the results, else of the response."""
    return result_name(context) or uuid5(
        NAMESPACE_URL, msgspec.json.encode(response, order="sorted").decode()
    )


class _Head:
    """What every Observation repeats of its response; `problems` name what an Observation cannot.

    Source:
        SDC 4.0 extraction.html#observation-based-extraction; R4 Observation, the types of its references.
    """

    def __init__(self, response: Json) -> None:
        self.context = context_from_resource(response)
        self.problems: list[Problem] = []
        self._response = response
        self._inside = contained_types(response)
        self._check_subject()
        context, authored = self.context, self.context.authored
        before: dict[str, Any] = {
            "contained": list(context.contained),
            **{name: self._listed(name, types) for name, types in _LISTED.items()},
        }
        after: dict[str, Any] = {
            "subject": context.subject,
            "encounter": context.encounter,
            "effectiveDateTime": authored,
            "issued": authored if authored is not None and is_instant(authored) else None,
            "performer": self._performer(),
        }
        self.before = {name: value for name, value in before.items() if value}
        self.after = {name: value for name, value in after.items() if value}
        self.source = self._source()

    def _check_subject(self) -> None:
        subject = self._response.get("subject")
        target = "" if subject is None else target_type(subject, self._inside)
        if target and target not in _SUBJECTS:
            words = f"subject: expected one of an Observation: {', '.join(sorted(_SUBJECTS))}."
            raise NotScorable(Problem("extract-unsupported", words, f"{_AT}.subject"))

    def _listed(self, name: str, types: frozenset[str]) -> list[Json]:
        references = list(mappings(self._response.get(name)))
        found = [each for n, each in enumerate(references) if self._may_stand(each, types, f"{name}[{n}]")]
        return [kept for each in found if (kept := referred(each, self._response)) is not None]

    def _performer(self) -> list[Json]:
        author = self._response.get("author")
        if author is None or not self._may_stand(author, _PERFORMERS, "author"):
            return []
        kept = referred(author, self._response)
        return [] if kept is None else [kept]

    def _may_stand(self, reference: Json, types: frozenset[str], name: str) -> bool:
        target = target_type(reference, self._inside)
        if target and target not in types:
            words = f"{name}: left out, since an Observation refers here to no {target}."
            self.problems.append(Problem("extract-left-out", words, f"{_AT}.{name}", "warning"))
            return False
        return True

    def _source(self) -> list[Json]:
        """Returns a Reference to the response, by its id or its identifier."""
        if self.context.id is not None:
            return [{"reference": f"QuestionnaireResponse/{self.context.id}"}]
        if self.context.identifier is not None:
            return [{"type": "QuestionnaireResponse", "identifier": self.context.identifier}]
        words = "derivedFrom: left out, since the response has no id and no identifier."
        self.problems.append(Problem("extract-left-out", words, _AT, "warning"))
        return []


def _labelled(entry: MutableJson, labels: tuple[Json, ...]) -> MutableJson:
    """Returns an entry whose resource has these security labels too: it is made of what has them."""
    resource = entry["resource"]
    meta = resource.get("meta", {})
    security = distinct((*meta.get("security", ()), *labels))
    labelled = {**resource, "meta": {**meta, "security": [*security]}}
    return {**entry, "resource": in_order(labelled, resource["resourceType"])}


def _bundle(entries: list[MutableJson]) -> MutableJson | None:
    """Returns the transaction; None if there is nothing in it.

    Raises:
        NotScorable: what the form says of the entries does not make a transaction.
    """
    if not entries:
        return None
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    plain = [{name: part for name, part in entry.items() if name != "resource"} for entry in entries]
    found = check_structure({**bundle, "entry": plain}, "Bundle", "Bundle")
    faults = [_of_form("Bundle", each.text, each.expression) for each in found]
    urls = [entry["fullUrl"] for entry in entries]
    for index, url in enumerate(urls):
        at = f"Bundle.entry[{index}].fullUrl"
        if not url.startswith(_ABSOLUTE):
            faults.append(_of_form("Bundle", "fullUrl: expected an absolute url or a urn.", at))
        elif url in urls[:index]:
            faults.append(_of_form("Bundle", "fullUrl: expected another for each entry (bdl-7).", at))
    if faults:
        raise NotScorable(*faults)
    return bundle


def _of_form(made: str, words: str, at: str) -> Problem:
    return Problem("extract-form", f"Expected of the form what makes a right {made} of R4. {words}", at)


def _entry(built: Built, results: Results, name: UUID) -> MutableJson:
    """Returns the entry of a resource; what is wrong with it stands in `results.problems`."""
    said = results.entry(built.planned.entry, built.view)
    resource = in_order(built.resource, built.planned.type)
    url = uuid5(name, f"resource{built.view.key}#{built.planned.canonical}").urn
    entry = _entry_of(resource, url, said)
    _check_made(entry["resource"], built.view.at, results)
    return entry


def _entry_of(resource: MutableJson, url: str, said: Json) -> MutableJson:
    """Returns the entry of a resource: an update where it has an id, else a create.

    Args:
        url: where the form does not give it one.
        said: what the form says of the entry, by name.

    Source: SDC 4.0 StructureDefinition definitionExtract, "Populating the transaction bundle entry".
    """
    kind = resource["resourceType"]
    if "resourceId" in said:
        resource = in_order({**resource, "id": said["resourceId"]}, kind)
    is_new = "id" not in resource
    method, path = ("POST", kind) if is_new else ("PUT", f"{kind}/{resource['id']}")
    conditions = {key: value for key, value in said.items() if key not in ("fullUrl", "resourceId")}
    request = {"method": method, "url": path, **conditions}
    return {"fullUrl": said.get("fullUrl", url), "resource": resource, "request": request}


def _check_made(resource: Json, at: str, results: Results) -> None:
    for found in check_made(resource):
        if found.is_error:
            results.problems.keep(_of_form(text(resource.get("resourceType")), found.text, at))


def _entries_of(bundle: Json, path: str, results: Results, name: UUID) -> list[MutableJson]:
    """Returns the entries that the template of a transaction makes, each a create or an update."""
    entries: list[MutableJson] = []
    for index, made in enumerate(bundle.get("entry", [])):
        resource, request = made.get("resource"), made.get("request", {})
        if resource is None or request.get("method") not in ("POST", "PUT"):
            words = "Expected of each entry a resource, and a request to POST or PUT it."
            results.report("extract-form", words, f"{path}.entry")
            continue
        ordered = in_order(resource, resource["resourceType"])
        _check_made(ordered, f"{path}.entry", results)
        url = made.get("fullUrl", uuid5(name, f"entry{index}").urn)
        entries.append({"fullUrl": url, "resource": ordered, "request": request})
    return entries


def _observations(
    found: list[Extracted], head: _Head, name: UUID, said: Mapping[str, MutableJson]
) -> list[MutableJson]:
    """Returns the entries of Observations; `said`: what the form says of them, by their FHIRPath."""
    own = {id(each): uuid5(name, f"extract{each.key}").urn for each in found}
    urls = {id(each): said.get(each.at, {}).get("fullUrl", own[id(each)]) for each in found}
    entries: list[MutableJson] = []
    for each in found:
        entry = _entry_of(_observation(each, head, urls), urls[id(each)], said.get(each.at, {}))
        _check(entry["resource"], each.at)
        entries.append(entry)
    return entries


def _observation(each: Extracted, head: _Head, urls: dict[int, str]) -> MutableJson:
    members = [{"reference": urls[id(member)]} for member in each.members if member.is_made]
    stated: dict[str, Any] = {
        "resourceType": "Observation",
        **head.before,
        "status": "final",
        "category": list(each.wanted.categories),
        "code": concept(each.wanted.codes),
        **head.after,
        **each.value,
        "hasMember": members,
        "derivedFrom": [*head.source, *_derived_from(each, head, urls)],
        "component": each.components,
    }
    return {name: value for name, value in stated.items() if value not in ([], {})}


def _derived_from(each: Extracted, head: _Head, urls: dict[int, str]) -> Iterator[Json]:
    if each.derived_from is None:
        return
    if each.derived_from.is_made:
        yield {"reference": urls[id(each.derived_from)]}
    else:
        words = "derivedFrom: left out, since what it is derived from has no value."
        head.problems.append(Problem("extract-left-out", words, each.at, "warning"))


def _check(observation: Json, at: str) -> None:
    """Raises NotScorable where the form's own words do not make an Observation of R4."""
    found = check_structure(observation, "Observation", "Observation")
    errors = [problem for problem in found if problem.is_error]
    if errors:
        raise NotScorable(_of_form("Observation", errors[0].text, at))
