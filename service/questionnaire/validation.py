"""Any QuestionnaireResponse against any Questionnaire: the whole validator as one function.

Beside the items it reads what the head of a response must agree on with its Questionnaire: resource type,
status, canonical and period.

Source: FHIR R4 QuestionnaireResponse; Questionnaire.status and effectivePeriod.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from service.datatypes.values import replace
from service.errors import Problem
from service.fhir.dates import is_date_time
from service.fhir.extensions import text
from service.fhir.json import Json
from service.fhir.references import contained_types, target_type
from service.fhir.shapes import resource_types
from service.questionnaire.compiled import CompiledQuestionnaire, compile_leniently, find_questionnaire
from service.questionnaire.lint import PUBLICATION_STATUSES
from service.questionnaire.problems import STATUSES, disabled_items_as_errors, problem, problems_for_status
from service.questionnaire.values import compare_answers
from service.sandbox import TooMuchHere
from service.terminology.value_sets import ValueSets


def validate(
    response: Json,
    questionnaire: Json | CompiledQuestionnaire | None = None,
    value_sets: ValueSets | None = None,
    *,
    known: Iterable[CompiledQuestionnaire] = (),
    apart: bool = True,
) -> tuple[Problem, ...]:
    """Returns everything that is wrong with a response, its structure first.

    It reads the items and the head of the response. Datatypes elsewhere (identifiers, references of
    the subject, extensions) are checked in `fhir/`.

    Args:
        response: parsed QuestionnaireResponse of any shape; numbers are int or Decimal.
        questionnaire: compiled once or as a resource. Where it is None, the response names
            its Questionnaire: `#id` of a contained one, or a canonical among `known`.
        value_sets: ValueSets and CodeSystems at hand, beside those of R4.
        known: compiled Questionnaires that canonicals are looked up in.
        apart: nobody waits meanwhile.

    Raises:
        TooMuchHere: somebody does, and this could take long: the Questionnaire came with the response, for
            example.

    Returns:
        Problems as the status of the response has them: completed and amended in full, in-progress
        and stopped without completeness, entered-in-error structure only. An answer for an item
        that is not enabled is an error in a completed or amended response, else a warning.
        Faults of the Questionnaire itself are warnings with an expression that begins with `Questionnaire`.
    """
    at_hand = value_sets or ValueSets()
    if not apart and questionnaire is None and text(response.get("questionnaire")).startswith("#"):
        raise TooMuchHere
    return _validated(response, _compiled(response, questionnaire, at_hand, known), apart=apart)


def _compiled(
    response: Json,
    questionnaire: Json | CompiledQuestionnaire | None,
    value_sets: ValueSets,
    known: Iterable[CompiledQuestionnaire],
) -> CompiledQuestionnaire | Problem:
    if questionnaire is None:
        return find_questionnaire(response, known, value_sets)
    if isinstance(questionnaire, CompiledQuestionnaire):
        return questionnaire
    return compile_leniently(questionnaire, value_sets)


def _validated(
    response: Json, compiled: CompiledQuestionnaire | Problem, *, apart: bool
) -> tuple[Problem, ...]:
    status = text(response.get("status"))
    if isinstance(compiled, Problem):
        return problems_for_status((*_response_problems(response), compiled), status)
    head = (*_response_problems(response), *_questionnaire_problems(response, compiled))
    checked = compiled.check(response, status, apart=apart)
    return (
        *problems_for_status(head, status),
        *disabled_items_as_errors(checked.problems, status),
        *_lint_as_warnings(compiled),
    )


def _lint_as_warnings(compiled: CompiledQuestionnaire) -> Iterator[Problem]:
    """Errors of the Questionnaire: not the response's fault, but what they touch was not checked."""
    return (replace(found, severity="warning") for found in compiled.lint if found.is_error)


# The head of a response.


def _response_problems(response: Json) -> Iterator[Problem]:
    """Yields the problems of the head of a response, whatever Questionnaire it answers."""
    if response.get("resourceType") != "QuestionnaireResponse":
        words = "Expected resourceType QuestionnaireResponse."
        yield problem("response-type", words, "QuestionnaireResponse")
    if text(response.get("status")) not in STATUSES:
        words = f"Expected status, one of {', '.join(sorted(STATUSES))}."
        yield problem("response-status", words, "QuestionnaireResponse.status")


def _questionnaire_problems(response: Json, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
    """Yields where the response and its Questionnaire do not go together."""
    yield from _canonical_problems(response, compiled)
    status = text(compiled.resource.get("status"))
    if status != "active":
        found = status if status in PUBLICATION_STATUSES else "missing or no status of R4"
        words = f"Expected an active Questionnaire; the status of this one is {found}."
        yield problem("form-status", words, "QuestionnaireResponse.questionnaire")
    yield from subject_problems(response, compiled)
    period, authored = compiled.resource.get("effectivePeriod"), text(response.get("authored"))
    if isinstance(period, Mapping) and is_date_time(authored):
        yield from _period_problems(compiled, period, authored)


def _canonical_problems(response: Json, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
    path = "QuestionnaireResponse.questionnaire"
    named, _, version = text(response.get("questionnaire")).partition("|")
    url, known_version = text(compiled.resource.get("url")), text(compiled.resource.get("version"))
    if named.startswith("#"):
        return
    undecided = _why_undecided(named, version, url, known_version)
    if (named and url and named != url) or (version and known_version and version != known_version):
        yield problem("canonical-mismatch", f"Expected questionnaire: {compiled.canonical}.", path)
    elif undecided:
        words = f"Whether the response answers this Questionnaire is not decided: {undecided}."
        yield problem("canonical-undecided", words, path)
    elif not version and known_version:
        words = f"Expected questionnaire with its version: {compiled.canonical}."
        yield problem("canonical-unversioned", words, path)


def _why_undecided(named: str, version: str, url: str, known_version: str) -> str:
    """Returns why a response cannot be told to answer a form, or not to; empty if it can.

    Source: R4 QuestionnaireResponse.questionnaire, Questionnaire.url and version (each 0..1).
    """
    if not named:
        return "it names none"
    if not url:
        return "the Questionnaire has no url"
    return "the Questionnaire has no version" if version and not known_version else ""


def subject_problems(response: Json, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
    """Yields that the subject is of another type than the Questionnaire is about, or that nothing tells."""
    subject, types = response.get("subject"), compiled.subject_types
    if not types or not isinstance(subject, Mapping):
        return
    expected = " or ".join(sorted(types & resource_types())) or "of another type"
    found = target_type(subject, contained_types(response))
    if found and found not in types:
        words = f"Expected a subject that the Questionnaire is about: {expected} (subjectType)."
        yield problem("subject-type", words, "QuestionnaireResponse.subject")
    elif not found:
        words = f"Whether the subject is {expected} (subjectType) cannot be known: nothing tells its type."
        yield problem("subject-undecided", words, "QuestionnaireResponse.subject")


def _period_problems(compiled: CompiledQuestionnaire, period: Json, authored: str) -> Iterator[Problem]:
    for end, outside in (("start", -1), ("end", 1)):
        limit = text(period.get(end))
        if is_date_time(limit) and compare_answers(authored, limit) == outside:
            named = f"{end} {limit}" if compiled.is_quoted else end
            words = f"Expected a date within the effectivePeriod of the Questionnaire ({named})."
            yield problem("form-period", words, "QuestionnaireResponse.authored")
