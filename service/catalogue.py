"""Reads questionnaires/ and mappings/ once, pairs them, checks them and freezes them.

A questionnaire is served by its `url|version`; its guidance is the mapping folder that names
exactly that canonical. Several versions live side by side, and a response that names a version
is scored by that version's guidance for ever. A guidance has a version of its own: it may be
corrected for the same version of its questionnaire, and the older one then stands beside it, retired.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from service.checked import CheckRecord, Kept
from service.clinical_reasoning.definitions import names_of
from service.datatypes.answers import Answers
from service.datatypes.values import replace
from service.errors import GuidanceError, NotScorable, Problem, ProblemList
from service.fhir.definitions import AS_WRITTEN, DOMAIN, Artifact, Canonicals, artifact, own_definitions
from service.fhir.json import Json, read_published
from service.guidance import Guidance, load
from service.guidance.cases import Case
from service.guidance.messages import Messages, Telling, messages_from
from service.guidance.model import Says, Written
from service.guidance.prepared import NOTHING, Prepared, PreparedGuidance, packed, unpacked
from service.guidance.result import Result
from service.guidance.schema import written_from
from service.languages import ENGLISH, Words, chosen, languages, words_in
from service.mapping_files import CASES, read_documents, read_messages
from service.questionnaire import (
    AskedForm,
    CompiledQuestionnaire,
    asked_form,
    compile_questionnaire,
    form_in,
    know,
    order_of_version,
    told_in,
    trees_of,
    version_order,
)
from service.results import Numbers, Renderer, code_system, missing_codes
from service.settings import Settings
from service.terminology import ValueSets, resources_in, value_sets_from

_NO_NUMBERS = Numbers()
_LOG = logging.getLogger("service.start")

Key = tuple[str, str]
"""Resource type and id."""

STATUSES = ("draft", "retired", "active")
"""The states of a guidance, the one that is used first last."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A questionnaire, the guidance that scores it, and the writer of its results, in one language.

    Args:
        further: by language, the same in every other language that there are words for.
        messages: the guidance's texts in other languages, with or without words of the service.
        is_previewed: an author looks at it, and it scores as if it were no draft.
    """

    compiled: CompiledQuestionnaire
    guidance: Guidance
    renderer: Renderer
    further: Mapping[str, Pair] = field(default_factory=dict, compare=False, repr=False)
    messages: tuple[Messages, ...] = field(default=(), compare=False, repr=False)
    is_previewed: bool = field(default=False, compare=False, repr=False)

    def told_in(self, wanted: Iterable[str], otherwise: str) -> Pair:
        """Returns the pair in the first language that is wanted and that it has.

        Args:
            wanted: language ranges, the dearest first.
            otherwise: the language where it has none of these; English where it lacks that one too.
        """
        if not self.further:
            return self
        last = otherwise if otherwise in self.further else ENGLISH
        return self.further.get(chosen(wanted, (ENGLISH, *self.further), last), self)

    @property
    def slug(self) -> str:
        """The name of its mapping folder."""
        return self.guidance.written.identity.slug

    @property
    def is_scored(self) -> bool:
        """Whether the guidance may be used: it is no draft. A retired one still scores its own version."""
        return self.is_previewed or self.guidance.written.identity.status != "draft"

    @property
    def is_active(self) -> bool:
        """Whether new responses should be to this version: guidance and questionnaire are active."""
        form = self.compiled.resource.get("status")
        return form == self.guidance.written.identity.status == "active"

    @property
    def use_order(self) -> tuple[object, ...]:
        """What orders guidance of the same questionnaire: draft, retired, active, and by version."""
        identity = self.guidance.written.identity
        return STATUSES.index(identity.status), order_of_version(identity.version, identity.date)


class Answered(NamedTuple):
    """A response beside what scores it.

    Args:
        response: to the Questionnaire that is served.
        asked: what was asked of it, where an adaptive form has asked; None if the form itself did.
    """

    pair: Pair
    response: Json
    asked: AskedForm | None = None

    @property
    def demanded(self) -> str:
        """The status by which its answers are checked: of an adaptive form nobody demands everything."""
        return "in-progress" if self.asked is not None else str(self.response.get("status"))


class Catalogue(msgspec.Struct, frozen=True):
    """Everything that is served.

    Args:
        artifacts: published resources by type and id.
        value_sets: the ValueSets and CodeSystems among them.
        questionnaires: compiled questionnaires by `url|version`, with or without guidance.
        pairs: questionnaires that can be scored, by `url|version`.
        superseded: pairs of the same questionnaires whose guidance another version takes the place of.
        unversioned: the canonical that a bare url stands for: its newest active version.
        canonicals: what the canonical urls of all these begin with.
    """

    artifacts: Mapping[Key, Artifact]
    value_sets: ValueSets
    questionnaires: Mapping[str, CompiledQuestionnaire]
    pairs: Mapping[str, Pair]
    unversioned: Mapping[str, str]
    canonicals: Canonicals = AS_WRITTEN
    superseded: tuple[Pair, ...] = ()

    @property
    def guidances(self) -> tuple[Pair, ...]:
        """Every guidance, those that another version takes the place of too."""
        return (*self.pairs.values(), *self.superseded)

    def find(self, canonical: str | None) -> Pair:
        """Returns the pair that scores responses to `canonical` (`url|version`, or a bare url).

        Raises:
            NotScorable: the response names no questionnaire, an unknown one, an unknown version, one whose
                guidance is a draft, or a bare url of which no version is active.
        """
        named = self.unversioned.get(canonical, canonical) if canonical else None
        pair = self.pairs.get(named) if named else None
        if pair is None or not pair.is_scored:
            raise NotScorable(_not_found(canonical, self))
        return pair

    def answered(self, response: Json, at: str = "QuestionnaireResponse") -> Answered:
        """Returns the pair that scores a response, and the response as one to the served Questionnaire.

        Args:
            response: in which no problem of structure was found.
            at: its FHIRPath in what was sent.

        Raises:
            NotScorable: as `find` does; or it contains a Questionnaire that does not say what it is derived
                from, or asks anything else than the one that it names; every problem.
        """
        asked = asked_form(response, at)
        if asked is None:
            return Answered(self.find(response.get("questionnaire")), response)
        pair = self.find(asked.canonical)
        faults = ProblemList()
        faults.keep_all(asked.faults(pair.compiled))
        if faults:
            raise NotScorable(*faults.listed())
        return Answered(pair, asked.answered(response, pair.compiled.canonical), asked)


def with_draft(served: Catalogue, pair: Pair) -> Catalogue:
    """Returns a catalogue with one guidance only, draft or not, for the preview of its author."""
    return replace(served, pairs={pair.compiled.canonical: replace(pair, is_previewed=True)})


def _not_found(canonical: str | None, catalogue: Catalogue) -> Problem:
    """Returns why no version is found, with the versions of the url that is named, else of every url."""
    url, _, version = (canonical or "").partition("|")
    of_url = [pair for pair in catalogue.pairs.values() if pair.compiled.url == url]
    if not canonical:
        kind, found = "canonical-missing", "The response names no questionnaire"
    elif not of_url:
        kind, found = "canonical-unknown", "The named questionnaire cannot be scored here"
    elif not version:
        kind, found = "canonical-mismatch", "No version of the named questionnaire is active"
    elif canonical in catalogue.pairs:
        kind, found = "canonical-mismatch", "The named version cannot be scored: its guidance is a draft"
    else:
        kind, found = "canonical-mismatch", "The named version of the questionnaire cannot be scored"
    listed = sorted(of_url or catalogue.pairs.values(), key=lambda pair: version_order(pair.compiled))
    served = ", ".join(_with_standing(pair) for pair in listed)
    text = f"{found}. Expected: questionnaire = one url|version of: {served}."
    return Problem(kind, text, "QuestionnaireResponse.questionnaire")


def _with_standing(pair: Pair) -> str:
    canonical = pair.compiled.canonical
    return canonical if pair.is_scored else f"{canonical} (its guidance is a draft)"


def read(
    questionnaires: Path,
    mappings: Path,
    *,
    canonical_base: str = DOMAIN,
    terminology: Path | None = None,
    require_review: bool = False,
    numbers: Numbers = _NO_NUMBERS,
    record: CheckRecord | None = None,
    prepared: bytes = b"",
) -> Catalogue:
    """Reads both folders.

    Args:
        questionnaires: folder of Questionnaire, CodeSystem and ValueSet resources (*.json, any depth).
        mappings: one folder per guidance.
        terminology: folder of further CodeSystems and ValueSets, which are known and not published.
        canonical_base: what takes the place of the domain for examples in every file, and in every result.
        require_review: guidance that scores and that nobody has signed is a fault.
        numbers: telephone numbers that patients are told.
        record: what `check` found of these very files: worked cases are neither read nor run, and the lint
            is not asked.
        prepared: what was compiled of these very files, from `prepared_from`: they are not read again.

    Raises:
        GuidanceError: every fault of every file, a line each; worked cases that fail count as faults.
    """
    canonicals = Canonicals(canonical_base)
    known = _known_from(prepared)
    know(known.trees)
    published = read_questionnaires(questionnaires, canonicals, terminology, is_sound=record is not None)
    hashes = {} if record is None else record.hashes()
    folders = guidance_folders(mappings)
    mapped = read_mappings(folders, published, canonicals, numbers, hashes, known.guidances)
    pairs = _in_use(mapped.pairs)
    unsigned = list(_unsigned(pairs.values())) if require_review else []
    if mapped.faults or unsigned:
        raise GuidanceError([*mapped.faults, *unsigned])
    artifacts = [artifact(resource) for _, resource in published.resources]
    artifacts += [*own_definitions(canonicals), *map(artifact, mapped.code_systems)]
    return Catalogue(
        artifacts={(published.type, published.id): published for published in artifacts},
        value_sets=published.value_sets.with_resources(mapped.code_systems),
        questionnaires=published.compiled,
        pairs=pairs,
        unversioned=_unversioned(pairs),
        canonicals=canonicals,
        superseded=tuple(pair for pair in mapped.pairs if pair not in pairs.values()),
    )


def read_checked(kept: Kept, questionnaires: Path, mappings: Path, **how: Any) -> Catalogue:
    """Reads both folders as `read` does, and relies on what `check` found of the same files, if it did.

    The log says which it was.

    Args:
        kept: what `check` has kept.
        how: as `read` takes it.

    Raises:
        GuidanceError: as `read` does.
    """
    record = kept.record(questionnaires, guidance_folders(mappings))
    if record is not None:
        prepared = kept.prepared(questionnaires, guidance_folders(mappings))
        served = read(questionnaires, mappings, record=record, prepared=prepared, **how)
        # Nobody has written to the files while they were read.
        if record == kept.record(questionnaires, guidance_folders(mappings)):
            cases = sum(guidance.cases for guidance in record.guidances)
            _LOG.info({"event": "checked-before", "cases": cases, "proofs": record.is_proved})
            return served
    served = read(questionnaires, mappings, **how)
    found = (*served.pairs.values(), *served.superseded)
    _LOG.info({"event": "checked-now", "cases": sum(len(pair.guidance.cases) for pair in found)})
    return served


def _known_from(prepared: bytes) -> Prepared:
    with suppress(ValueError):
        return unpacked(prepared)
    return NOTHING


def prepared_from(pairs: Iterable[Pair], published: Published) -> bytes:
    """Returns in bytes what was compiled of guidances and of the expressions of questionnaires."""
    trees = trees_of((compiled.resource, compiled.items) for compiled in published.compiled.values())
    return packed((PreparedGuidance(pair.guidance, pair.messages) for pair in pairs), trees)


def from_settings(settings: Settings, kept: Kept | None = None) -> Catalogue:
    """Reads the folders that the settings name; with `kept`, as `read_checked` does; raises GuidanceError."""
    folders = settings.questionnaires_dir, settings.mappings_dir
    how: dict[str, Any] = {
        "canonical_base": settings.canonical_base,
        "terminology": settings.terminology_dir,
        "require_review": settings.require_review,
        "numbers": numbers_from(settings),
    }
    return read(*folders, **how) if kept is None else read_checked(kept, *folders, **how)


def numbers_from(settings: Settings) -> Numbers:
    """Returns the telephone numbers that patients are told."""
    return Numbers(settings.emergency_number, settings.crisis_line)


def guidance_folders(mappings: Path) -> list[Path]:
    """Returns the folders of guidance in a folder of mappings."""
    return sorted(path.parent for path in mappings.glob("*/guidance.yaml"))


class Published(msgspec.Struct, frozen=True):
    """What a folder publishes: its resources with their files, the questionnaires compiled, and faults."""

    resources: tuple[tuple[Path, dict[str, Any]], ...]
    value_sets: ValueSets
    compiled: Mapping[str, CompiledQuestionnaire]
    faults: tuple[str, ...]


def read_questionnaires(
    folder: Path, canonicals: Canonicals, terminology: Path | None = None, *, is_sound: bool = False
) -> Published:
    """Reads a folder of Questionnaires, CodeSystems and ValueSets.

    Args:
        is_sound: the lint is known to find no error in any of them.

    Raises:
        GuidanceError: there is no file, or one that is no resource in JSON.
    """
    resources = tuple(_resources(folder, canonicals))
    at_hand = value_sets_from(() if terminology is None else resources_in(terminology))
    value_sets = at_hand.with_resources(resource for _, resource in resources)
    compiled, faults = _compiled(resources, value_sets, is_sound=is_sound)
    return Published(resources, value_sets, compiled, tuple(faults))


def _resources(folder: Path, canonicals: Canonicals) -> Iterator[tuple[Path, dict[str, Any]]]:
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise GuidanceError([f"{folder}: no questionnaire found; expected *.json files"])
    for path in paths:
        try:
            yield path, canonicals.restated(_named(read_published(path.read_bytes())))
        except (ValueError, OSError) as fault:
            raise GuidanceError([f"{path.name}: not a FHIR resource in JSON: {fault}"]) from fault


def _named(resource: dict[str, Any]) -> dict[str, Any]:
    """Returns a resource; raises ValueError where what it is found by is of another kind than R4 has it."""
    texts = ("id", "url", "version", "date", "name", "title")
    if not isinstance(resource.get("meta", {}), dict):
        raise ValueError("meta: expected an object")  # noqa: TRY004 - of the file
    for name in ("resourceType", *texts):
        if not isinstance(resource.get(name, None if name == "resourceType" else ""), str):
            raise ValueError(f"{name}: expected a text")  # noqa: TRY004 - of the file
    return resource


def _code_systems(
    pairs: Iterable[Pair], resources: Iterable[tuple[Path, dict[str, Any]]]
) -> tuple[list[Json], list[str]]:
    """Returns the code systems of the guidances, each made of its mapping unless a file states it.

    Versions of one guidance share a code system. A file that states one must have every code that their
    results name.
    """
    versions: dict[str, list[Written]] = {}
    further: dict[str, list[tuple[str, Written]]] = {}
    for pair in sorted(pairs, key=lambda pair: (version_order(pair.compiled), pair.use_order), reverse=True):
        written = pair.guidance.written
        url = written.identity.terminology
        versions.setdefault(url, []).append(written)
        told = ((language, told.guidance.written) for language, told in pair.further.items())
        further.setdefault(url, []).extend(told)
    stated = {
        str(resource.get("url")): (path, resource)
        for path, resource in resources
        if resource.get("resourceType") == "CodeSystem"
    }
    faults = [
        f"{path.name}: concept: expected the code {code}, which results of its guidance name"
        for url, (path, resource) in stated.items()
        for code in missing_codes(resource, versions.get(url, ()))
    ]
    made = (url for url in versions if url not in stated)
    return [code_system(versions[url], further[url]) for url in made], faults


def _hidden(
    resources: Iterable[tuple[Path, dict[str, Any]]], own: list[Artifact], pairs: Iterable[Pair]
) -> Iterator[str]:
    """Yields a fault for each resource that another one of its type and id would hide."""
    files = {(definition.type, definition.id): "the service itself" for definition in own}
    for pair in pairs:
        for key in names_of(pair.guidance):
            if key in files:
                text = f"expected a name that makes no {key[0]} {key[1]}; {files[key]} has it too"
                yield f"{pair.slug}: {text}"
            files.setdefault(key, pair.slug)
    for path, resource in resources:
        key = str(resource.get("resourceType")), str(resource.get("id", ""))
        if key in files:
            yield f"{path.name}: id: expected one that no other {key[0]} has; {files[key]} has it too"
        files.setdefault(key, path.name)
    yield from _same_canonical(resources)


def _same_canonical(resources: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[str]:
    """Yields a fault for each CodeSystem or ValueSet that another one of its url and version would hide.

    Options of one form would be those that came with another, with their points.
    """
    files: dict[tuple[str, ...], str] = {}
    for path, resource in resources:
        key = tuple(str(resource.get(name, "")) for name in ("resourceType", "url", "version"))
        if key[0] not in ("CodeSystem", "ValueSet") or not key[1]:
            continue
        if key in files:
            expected = f"expected a canonical that no other {key[0]} has; {files[key]} has it too"
            yield f"{path.name}: url and version: {expected}"
        files.setdefault(key, path.name)


def _compiled(
    resources: Iterable[tuple[Path, dict[str, Any]]], value_sets: ValueSets, *, is_sound: bool
) -> tuple[dict[str, CompiledQuestionnaire], list[str]]:
    compiled: dict[str, CompiledQuestionnaire] = {}
    faults: list[str] = []
    for path, resource in resources:
        if resource.get("resourceType") != "Questionnaire":
            continue
        try:
            questionnaire = compile_questionnaire(resource, value_sets, is_sound=is_sound)
        except GuidanceError as error:
            faults.extend(f"{path.name}: {fault}" for fault in error.faults)
            continue
        if questionnaire.canonical in compiled:
            faults.append(f"{path.name}: url and version: expected a canonical that no other file has")
        compiled[questionnaire.canonical] = questionnaire
    return compiled, faults


class Mapped(msgspec.Struct, frozen=True):
    """What mapping folders hold: guidance, the code systems made of it, and every fault.

    The faults are those of what is published, too.
    """

    pairs: tuple[Pair, ...]
    code_systems: tuple[Json, ...]
    faults: tuple[str, ...]


def read_mappings(
    folders: Iterable[Path],
    published: Published,
    canonicals: Canonicals,
    numbers: Numbers = _NO_NUMBERS,
    hashes: Mapping[str, str] = MappingProxyType({}),
    prepared: Mapping[str, PreparedGuidance] = MappingProxyType({}),
) -> Mapped:
    """Returns the guidance of mapping folders; of those whose hash is known no worked case is read."""
    pairs: list[Pair] = []
    faults = list(published.faults)
    at_fault = {
        f"{resource.get('url')}|{resource.get('version')}"
        for _, resource in published.resources
        if resource.get("resourceType") == "Questionnaire"
    } - published.compiled.keys()
    for folder in folders:
        try:
            known, found = hashes.get(folder.name, ""), prepared.get(folder.name)
            if found is not None and found.guidance.written.identity.hash == known:
                form = published.compiled.get(found.guidance.written.identity.questionnaire)
                if form is not None:  # else it has changed since `check` found it, and a fault says so
                    pairs.append(_spoken(*found, form, canonicals, numbers))
                    continue
            pairs.append(
                read_pair(
                    folder,
                    published.compiled,
                    canonicals,
                    numbers=numbers,
                    known_hash=known,
                    at_fault=at_fault,
                )
            )
        except GuidanceError as error:
            faults.extend(f"{folder.name}/{fault}" for fault in error.faults)
    made, lacking = _code_systems(pairs, published.resources)
    hidden = _hidden(published.resources, [*own_definitions(canonicals), *map(artifact, made)], pairs)
    return Mapped(tuple(pairs), tuple(made), (*faults, *_clashes(pairs), *lacking, *hidden))


def _in_use(found: Iterable[Pair]) -> dict[str, Pair]:
    """Returns by questionnaire the guidance that scores it: the active one, else the newest."""
    return {pair.compiled.canonical: pair for pair in sorted(found, key=lambda pair: pair.use_order)}


def _clashes(found: Iterable[Pair]) -> Iterator[str]:
    """Yields a fault for each version that stands twice, and each second active one of a questionnaire."""
    versions: dict[tuple[str, str], str] = {}
    active: dict[str, str] = {}
    for pair in found:
        identity, canonical = pair.guidance.written.identity, pair.compiled.canonical
        file, version = f"{pair.slug}/guidance.yaml", (canonical, identity.canonical)
        if version in versions:
            other = versions[version]
            yield f"{file}: version: expected one that {other} does not have for the same questionnaire"
        elif identity.status == "active" and canonical in active:
            other = active[canonical]
            yield f"{file}: status: expected one active guidance of this questionnaire; {other} is active too"
        versions.setdefault(version, pair.slug)
        if identity.status == "active":
            active.setdefault(canonical, pair.slug)


def _unsigned(pairs: Iterable[Pair]) -> Iterator[str]:
    for pair in pairs:
        identity = pair.guidance.written.identity
        if pair.is_scored and not identity.signed:
            yield f"{identity.slug}/guidance.yaml: review: expected by, role and on: nobody has signed"


def read_pair(
    folder: Path,
    compiled: Mapping[str, CompiledQuestionnaire],
    canonicals: Canonicals,
    *,
    run_cases: bool = True,
    numbers: Numbers = _NO_NUMBERS,
    known_hash: str = "",
    at_fault: Collection[str] = (),
) -> Pair:
    """Returns the guidance of a mapping folder with its questionnaire.

    Args:
        known_hash: of its mapping files, where they are known to pass their worked cases: it then has none.
        at_fault: Questionnaires whose own faults are told: that a guidance finds none of them is no other.

    Raises:
        GuidanceError: a fault of a file, or a worked case that fails, unless no case is run.
    """
    written = read_documents(folder) if not known_hash else read_documents(folder, without=CASES)
    documents = canonicals.restated(written)
    canonical = _canonical_of(documents)
    if not canonical:
        written_from(documents)  # says what guidance.yaml lacks
    form = compiled.get(canonical)
    if form is None:
        expected = f"guidance.yaml: questionnaire: {_unpublished(canonical, compiled)}"
        raise GuidanceError([] if canonical in at_fault else [expected])
    guidance = load(documents, form.form, slug=folder.name, hashed=known_hash or written)
    faults = [
        f"cases.yaml: {case.name}: {fault}"
        for case in (guidance.cases if run_cases else ())
        for fault in failures(case, guidance, form)
    ]
    if faults:
        raise GuidanceError(faults)
    texts = [messages_from(document, language) for language, document in read_messages(folder).items()]
    return _spoken(guidance, tuple(texts), form, canonicals, numbers)


def _spoken(
    guidance: Guidance,
    texts: tuple[Messages, ...],
    form: CompiledQuestionnaire,
    canonicals: Canonicals,
    numbers: Numbers,
) -> Pair:
    """Returns a guidance with its questionnaire, in each language that it has."""
    guidance = replace(guidance, form=form.form)
    pair = Pair(form, guidance, Renderer(guidance, canonicals, numbers), messages=texts)
    spoken = {
        messages.language: _in_language(pair, messages, canonicals, numbers)
        for messages in texts
        if messages.language in languages()
    }
    return replace(pair, further=spoken)


def _in_language(pair: Pair, messages: Messages, canonicals: Canonicals, numbers: Numbers) -> Pair:
    words = words_in(messages.language)
    lacking = words["results.lacking"]
    form = form_in(pair.compiled, messages.language, lacking)
    guidance = pair.guidance.told_in(messages, form, _telling(words))
    compiled = told_in(pair.compiled, messages.language, lacking)
    return Pair(compiled, guidance, Renderer(guidance, canonicals, numbers))


def _telling(words: Words) -> Telling:
    unfit = Says(words["results.unfit-patient"], words["results.unfit-clinician"])
    return Telling(words["results.lacking"], unfit)


def _canonical_of(documents: Mapping[str, object]) -> str:
    guidance = documents.get("guidance")
    return str(guidance.get("questionnaire") or "") if isinstance(guidance, Mapping) else ""


def _unpublished(canonical: str, compiled: Mapping[str, CompiledQuestionnaire]) -> str:
    """Returns why no questionnaire is found, with what there is of the same url."""
    url, bar, version = canonical.partition("|")
    if not bar or not version:
        return f"expected url|version; {canonical} names no version"
    found = [known for known in compiled if known.partition("|")[0] == url]
    there = [known if known.partition("|")[2] else f"{url} without a version" for known in found]
    beside = f"; there is {', '.join(there)}" if there else ""
    return f"no questionnaire {canonical} is published{beside}"


def failures(case: Case, guidance: Guidance, form: CompiledQuestionnaire) -> tuple[str, ...]:
    """Returns a line for each expectation of a worked case that is not met."""
    return case.faults(outcome_of(case, guidance, form))


def outcome_of(case: Case, guidance: Guidance, form: CompiledQuestionnaire) -> Result:
    """Returns the result of a worked case, hidden questions treated as in a real response."""
    return guidance.evaluate(answers_of_case(case, guidance, form))


def answers_of_case(case: Case, guidance: Guidance, form: CompiledQuestionnaire) -> Answers:
    """Returns the answers of a worked case, with those that the person gave before."""
    answers = form.answers_of(case.answers, chart=case.chart, authored=case.authored)
    earlier = (form.answers_of(given, authored=authored) for authored, given in case.earlier)
    known = tuple(known_earlier(answered, guidance, form) for answered in earlier)
    return replace(answers, earlier=known)


def known_earlier(answers: Answers, guidance: Guidance, form: CompiledQuestionnaire) -> Answers:
    """Returns an earlier response for comparison: a question is open if nothing was found out."""
    return form.reopened(answers, guidance.not_known(answers.given))


def _unversioned(pairs: Mapping[str, Pair]) -> dict[str, str]:
    """Returns by url its newest version of those that are active."""
    active = sorted((pair.compiled for pair in pairs.values() if pair.is_active), key=version_order)
    return {compiled.url: compiled.canonical for compiled in active}
