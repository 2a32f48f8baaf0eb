"""`$populate`: a Questionnaire and resources of a chart in, a response in progress out.

The resources come with the request. Nothing is fetched, nothing is kept, and of what was sent only that is
read which the Questionnaire asks for: its launch contexts, the queries that it names as variables, and
Observations with the codes of its questions. What is about somebody else than the subject is never read.

Source: SDC 4.0 OperationDefinition Questionnaire-populate; populate.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from service.catalogue import Catalogue
from service.datatypes.values import replace
from service.errors import NotFound, NotScorable, Problem
from service.fhir.definitions import ANSWER_ORIGIN, Canonicals
from service.fhir.extensions import mappings, text
from service.fhir.json import BodyLimits, Json, MutableJson, encoded, read
from service.fhir.outcome import operation_outcome, severity
from service.fhir.parameters import (
    Content,
    PopulateInput,
    ResourceAt,
    populate_input,
    resources_by_reference,
    subjects_of,
    unpacked,
)
from service.fhir.references import is_another, target_type
from service.fhir.response_context import portable_reference
from service.fhir.structure import is_of_type
from service.languages import ENGLISH, Words, chosen, languages, words_in
from service.questionnaire import (
    CompiledQuestionnaire,
    compile_leniently,
    find_questionnaire,
    languages_in,
    subject_problems,
)
from service.questionnaire.chart_answers import fill_from_chart, launch_contexts, query_variables
from service.questionnaire.expressions import FormExpressions, all_expressions, declared_expressions
from service.questionnaire.population import (
    Given,
    PopulatedForm,
    Population,
    drop_closed,
    drop_unfit,
    fill_expressions,
    fill_initial,
    reference_to,
)
from service.sandbox import Sandbox, TooMuchHere, in_time

PATIENT: Final = "patient"
ENCOUNTER: Final = "encounter"
USER: Final = "user"
CLINICAL: Final = "clinical"
"""Launch contexts that are treated each in its own way: the last may have several resources."""

_NOT_OURS: Final = "left out what is not provably about the subject."
_NAMING: Final = frozenset({"reference", "identifier"})
"""By what a Reference names somebody; a display is no name."""
_PLAIN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class Populated(NamedTuple):
    """Parameters with the response, in bytes, and the language of its texts."""

    body: bytes
    language: str


class Populator:
    """Fills in what the form and a chart can, of a response that a person goes on with.

    Args:
        catalogue: what is served.
        limits: of a body.
        sandbox: where expressions are evaluated; None if nobody waits.
        language: of the texts where nobody wants one that the form has.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        limits: BodyLimits,
        sandbox: Sandbox | None = None,
        *,
        language: str = ENGLISH,
    ) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._sandbox = sandbox
        self._language = language
        self._expressions = {
            canonical: self._parsed(compiled) for canonical, compiled in catalogue.questionnaires.items()
        }

    def populate_body(
        self, data: bytes, now: str, form: str = "", languages: Iterable[str] = ()
    ) -> Populated:
        """Returns the response to a Questionnaire, and issues where something was not filled in.

        Args:
            data: Parameters, or a Questionnaire alone.
            now: instant at which the response is written: dates and periods are reckoned from it.
            form: id of the Questionnaire that the operation was called on; empty for none.
            languages: in which the texts are wanted, the dearest first.

        Raises:
            Malformed, TooLarge: the body cannot be read, or its parameters are wrong.
            NotFound: there is no such Questionnaire.
            NotScorable: it names a server to fetch from, or two people, or takes too much.
            Unavailable: there is too much to do at the moment.
        """
        work = partial(self._populated, data, now, form, tuple(languages))
        expected = "Expected a Questionnaire and resources that take at most {allowed}."
        return in_time(self._sandbox, len(data), work, Populated, expected=expected, at="Parameters")

    def _populated(
        self, data: bytes, now: str, form: str, languages: tuple[str, ...], *, apart: bool
    ) -> Populated:
        sent = populate_input(read(data, self._limits), names_form=not form)
        compiled = self._form(sent, form)
        if not apart and (sent.form is not None or _has_expressions(compiled)):
            raise TooMuchHere
        language = _language(compiled, languages, self._language)
        population = self._population(compiled, sent, now, language)
        return Populated(_answer(population, self._catalogue.canonicals), language)

    def _form(self, sent: PopulateInput, form: str) -> CompiledQuestionnaire:
        """Returns the Questionnaire that is to be filled in; raises NotFound."""
        value_sets, known = self._catalogue.value_sets, self._catalogue.questionnaires
        if sent.form is not None:
            return compile_leniently(sent.form, value_sets, is_quoted=False)
        if form or sent.id:
            named = self._catalogue.artifacts.get(("Questionnaire", form or sent.id))
            canonical = "" if named is None else f"{named.url}|{named.version}"
        else:
            canonical = sent.canonical or self._canonical_of(sent.identifier)
        found = find_questionnaire({"questionnaire": canonical}, known.values(), value_sets)
        if isinstance(found, Problem):
            kind = found.kind if canonical else "canonical-unknown"
            words = found.text if canonical else "Expected a Questionnaire that is known here."
            raise NotFound(Problem(kind, words, "Parameters"))
        return found

    def _canonical_of(self, identifier: Json | None) -> str:
        """Returns the canonical of the one Questionnaire that has an identifier; empty for none."""
        wanted = (text((identifier or {}).get("system")), text((identifier or {}).get("value")))
        found = [
            canonical
            for canonical, compiled in self._catalogue.questionnaires.items()
            for known in mappings(compiled.resource.get("identifier"))
            if wanted[1] and (text(known.get("system")), text(known.get("value"))) == wanted
        ]
        return found[0] if len(found) == 1 else ""

    def _parsed(self, compiled: CompiledQuestionnaire) -> FormExpressions:
        value_sets = self._catalogue.value_sets
        return all_expressions(compiled.resource, compiled.items, value_sets, is_quoted=compiled.is_quoted)

    def _expressions_of(self, compiled: CompiledQuestionnaire) -> FormExpressions:
        """Returns the expressions of a form: parsed at start where it is served."""
        served = self._catalogue.questionnaires.get(compiled.canonical)
        return self._expressions[compiled.canonical] if served is compiled else self._parsed(compiled)

    def _population(
        self, compiled: CompiledQuestionnaire, sent: PopulateInput, now: str, language: str
    ) -> Population:
        taken = _Taken(compiled, sent)
        population = Population(
            PopulatedForm(compiled, self._expressions_of(compiled)),
            _head(compiled, taken, now, language),
            language,
            taken.given,
            taken.asked,
            self._catalogue.canonicals.restated(ANSWER_ORIGIN),
            problems=taken.problems,
        )
        pair = self._catalogue.pairs.get(compiled.canonical) if sent.form is None else None
        fill_initial(population)
        fill_from_chart(population, taken.data, None if pair is None else pair.guidance)
        drop_unfit(population)
        fill_expressions(population)
        drop_unfit(population)
        drop_closed(population)
        return population


def _has_expressions(compiled: CompiledQuestionnaire) -> bool:
    return any(True for _ in declared_expressions(compiled.resource, compiled.items)) or any(
        item.limits.pattern for item in compiled.items.values()
    )


def _language(compiled: CompiledQuestionnaire, wanted: Iterable[str], otherwise: str) -> str:
    """Returns the language of the texts: the first wanted one that the form has."""
    own = text(compiled.resource.get("language")) or ENGLISH
    offered = (own, *dict.fromkeys(filter(None, languages_in(compiled.resource))))
    return chosen(filter(None, wanted), offered, otherwise if otherwise in offered else own)


def _head(compiled: CompiledQuestionnaire, taken: _Taken, now: str, language: str) -> MutableJson:
    """Returns a response without items; of whom fills it in nothing is known yet."""
    stated = {
        "language": language,
        "questionnaire": compiled.canonical,
        "status": "in-progress",
        "subject": portable_reference(taken.subject),
        "encounter": portable_reference(taken.encounter),
        "authored": now,
    }
    kept = {name: value for name, value in stated.items() if value}
    return {"resourceType": "QuestionnaireResponse", **kept}


def _answer(population: Population, canonicals: Canonicals) -> bytes:
    parameters: list[MutableJson] = [{"name": "response", "resource": population.response()}]
    if population.problems:
        words = words_in(chosen([population.language], languages(), ENGLISH))
        issues = operation_outcome(
            list(dict.fromkeys(population.problems)), canonicals, partial(_said, words=words)
        )
        parameters.append({"name": "issues", "resource": issues})
    document = {"resourceType": "Parameters", "parameter": parameters}
    return encoded(document)


def _said(problem: Problem, words: Words) -> str:
    """Returns the notes for the person who fills in the form about questions that were not filled in."""
    if not problem.reason:
        return words[f"not-filled.{problem.kind}"]
    whys = (f"{section}.{problem.reason}" for section in ("not-filled.why", "left-out"))
    reason = next(words[why] for why in whys if why in words.texts)
    if not problem.about:
        return words.say("not-filled.unnamed", reason=reason)
    what = "value" if problem.kind == "populate-left-out" else "question"
    return words.say(
        f"not-filled.{what}", question=words.say("style.quoted", text=problem.about), reason=reason
    )


# What is taken of what was sent: what the form asks for, about the subject and nobody else.


class _Taken:
    """The subject, the launch contexts and the Observations; `problems` name what is not read.

    Raises:
        NotScorable: the launch context patient is somebody else than the subject, or the form is not about
            such a subject.
    """

    def __init__(self, compiled: CompiledQuestionnaire, sent: PopulateInput) -> None:
        self.problems: list[Problem] = []
        self._known = resources_by_reference(sent)
        self._launch = launch_contexts(compiled.resource)
        self.asked = frozenset((*self._launch, *query_variables(compiled.resource)))
        contents = self._named(sent)
        found = {name: self._resources(name, listed) for name, listed in contents.items()}
        self.subject = sent.subject or _named_by(contents, found, PATIENT)
        self._check_subject(compiled, found.get(PATIENT, ()))
        self.encounter = self._encounter(contents, found)
        self.given = dict(self._given(found))
        self.data = tuple(self._observations(sent))
        if sent.is_local:
            self._report("populate-unread", "Parameter local: nothing more is known here.", "information")

    def _report(self, kind: str, words: str, level: str = "") -> None:
        self.problems.append(Problem(kind, words, "Parameters", level or severity(kind)))

    def _named(self, sent: PopulateInput) -> dict[str, tuple[Content, ...]]:
        """Returns the contents by context; content without a name goes where its type is asked for."""
        contents = dict(sent.contexts)
        for content in sent.loose:
            kind = text(content.value.get("resourceType"))
            name = next((name for name, types in self._launch.items() if kind in types), kind.lower())
            contents.setdefault(name, (content,))
        return contents

    def _resources(self, name: str, contents: tuple[Content, ...]) -> tuple[Json, ...]:
        """Returns the resources of a context; a reference is followed as far as its target was sent."""
        if name not in self.asked and name != ENCOUNTER:
            words = f"{_label(name)}: not read, since the Questionnaire does not ask for it."
            self._report("populate-unread", words)
            return ()
        found = []
        for content in contents:
            resource = self._followed(content.value) if content.is_reference else content.value
            if resource is None:
                words = f"{_label(name)}: the resource that the reference leads to was not sent."
                self._report("populate-not-sent", words, "warning")
            elif not self._is_of_type(name, resource):
                types = " or ".join(sorted(self._launch[name]))
                self._report("populate-unread", f"{_label(name)}: not read. Expected: {types}.")
            else:
                found.append(resource)
        if len(found) > 1 and name in self._launch and name != CLINICAL:
            self._report("populate-unread", f"{_label(name)}: not read. Expected: one resource.")
            return ()
        return tuple(found)

    def _is_of_type(self, name: str, resource: Json) -> bool:
        types = self._launch.get(name, frozenset())
        return not types or text(resource.get("resourceType")) in types

    def _followed(self, reference: Json) -> Json | None:
        parts = text(reference.get("reference")).partition("/_history/")[0].split("/")
        return self._known.get("/".join(parts[-2:]))

    def _check_subject(self, compiled: CompiledQuestionnaire, patients: tuple[Json, ...]) -> None:
        subject = self.subject
        if subject is None:
            return
        faults = [fault for fault in subject_problems({"subject": subject}, compiled) if fault.is_error]
        if faults:
            raise NotScorable(*(replace(fault, expression="Parameters") for fault in faults))
        if not all(_is_person(patient, subject) for patient in patients):
            words = f"{_label(PATIENT)}: expected the subject, and nobody else."
            raise NotScorable(Problem("populate-subject", words, "Parameters"))

    def _encounter(
        self, contents: Mapping[str, tuple[Content, ...]], found: dict[str, tuple[Json, ...]]
    ) -> Json | None:
        """Returns the Reference to the encounter that was given, unless it is somebody else's."""
        encounters = found.get(ENCOUNTER, ())
        if not all(self._is_ours(encounter) for encounter in encounters):
            return None
        reference = _named_by(contents, found, ENCOUNTER)
        is_one = reference is not None and target_type(reference, {}) in ("", "Encounter")
        return reference if is_one else None

    def _given(self, found: Mapping[str, tuple[Json, ...]]) -> Iterator[tuple[str, Given]]:
        for name, resources in found.items():
            if name not in self.asked:
                continue
            kept = resources if name == USER else tuple(filter(None, map(self._ours, resources)))
            if len(kept) < len(resources):
                self._report("chart-subject", f"{_label(name)}: {_NOT_OURS}", "warning")
            if kept:
                inside = [one.resource for resource in kept for one in unpacked(resource, "")]
                yield name, Given(kept, tuple(reference_to(resource) for resource in inside))

    def _ours(self, resource: Json) -> Json | None:
        """Returns a resource, or what a Bundle has about the subject; None if it is about somebody else."""
        if resource.get("resourceType") != "Bundle":
            return resource if self._is_ours(resource) else None
        entries = list(mappings(resource.get("entry")))
        kept = [
            entry
            for entry in entries
            if isinstance(entry.get("resource"), Mapping)
            and all(self._is_ours(one.resource) for one in unpacked(entry["resource"], ""))
        ]
        if len(kept) < len(entries):
            self._report("chart-subject", f"A Bundle of a context: {_NOT_OURS}", "warning")
        return {**resource, "entry": kept}

    def _is_ours(self, resource: Json) -> bool:
        """Whether a resource is about nobody, or provably about the subject."""
        if resource.get("resourceType") == "Patient":
            return self.subject is not None and _is_person(resource, self.subject)
        return all(self._is_subject(named) for named in subjects_of(resource))

    def _is_subject(self, named: object) -> bool:
        subject = self.subject or {}
        if not isinstance(named, Mapping) or not is_of_type(named, "Reference"):
            return False
        is_named = not _NAMING.isdisjoint(named) and not _NAMING.isdisjoint(subject)
        return is_named and not is_another(named, subject)

    def _observations(self, sent: PopulateInput) -> Iterator[ResourceAt]:
        """Yields the Observations that name the subject; one that names nobody may be anybody's."""
        left_out = 0
        for found in sent.data:
            if found.resource.get("resourceType") != "Observation":
                continue
            if self._is_subject(found.resource.get("subject")):
                yield found
            else:
                left_out += 1
        if left_out:
            self._report("chart-subject", f"Parameter data: {left_out} Observations: {_NOT_OURS}", "warning")


def _label(name: str) -> str:
    return f"Context {name}" if _PLAIN_NAME.fullmatch(name) else "A context"


def _named_by(
    contents: Mapping[str, tuple[Content, ...]], found: Mapping[str, tuple[Json, ...]], name: str
) -> Json | None:
    """Returns a Reference to the context that was given: the one that was sent, or one that is made."""
    if found.get(name):
        return reference_to(found[name][0])
    sent = [content.value for content in contents.get(name, ()) if content.is_reference]
    return sent[0] if len(sent) == 1 else None


def _is_person(patient: Json, subject: Json) -> bool:
    """Whether a Patient is the subject, by id or by one of its identifiers; one without any may be."""
    identifiers = [found for found in mappings(patient.get("identifier")) if is_of_type(found, "Identifier")]
    id_ = patient.get("id")
    names: list[Json] = [{"reference": f"Patient/{id_}"}] if isinstance(id_, str) else []
    names += [{"identifier": identifier} for identifier in identifiers if "value" in identifier]
    return not names or any(not is_another(name, subject) for name in names)
