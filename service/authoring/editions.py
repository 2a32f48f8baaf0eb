"""One version of a guidance, read from any folder: its files, and the pair they make.

A folder is named in one of three ways: that of a guidance (it holds guidance.yaml), one that holds
several of those, or one that holds `questionnaires/` and `mappings/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from service.catalogue import Pair, Published, outcome_of, read_pair, read_questionnaires
from service.datatypes.answers import AnswersByLink
from service.datatypes.form import Form
from service.errors import GuidanceError
from service.fhir.definitions import Canonicals
from service.fhir.extensions import mappings
from service.fhir.json import Json
from service.guidance.cases import Case
from service.guidance.result import Interval, Result
from service.mapping_files import read_documents
from service.settings import Settings, files_below

ORDER = ("lower", "later", "higher", "sooner", "")
"""How a step moves between two versions, what a reviewer must look at first."""


class Edition(msgspec.Struct, frozen=True):
    """One version of a guidance.

    Args:
        folder: of its mapping files.
        questionnaires: folder of its questionnaire.
        documents: what the mapping files say, by file stem.
        resource: its Questionnaire; empty if none is found.
        pair: both, loaded; None where `faults` say why not. Worked cases that fail are no fault here.
    """

    folder: Path
    questionnaires: Path
    documents: Mapping[str, Any]
    resource: Json
    pair: Pair | None
    faults: tuple[str, ...] = ()

    @property
    def guidance(self) -> Mapping[str, Any]:
        """What guidance.yaml says."""
        found = self.documents.get("guidance")
        return found if isinstance(found, Mapping) else {}

    @property
    def name(self) -> str:
        """The address and the version of the guidance."""
        return f"{self.guidance.get('guidance')}|{self.guidance.get('version')}"

    def entries(self, stem: str) -> list[Mapping[str, Any]]:
        """Returns the entries of a file that is a list; none if there is no such file."""
        return listed(self.documents.get(stem))

    def items(self) -> Iterator[Mapping[str, Any]]:
        """Yields the items of its questionnaire in the order of the form, groups before what is in them."""
        waiting = [*reversed(listed(self.resource.get("item")))]
        while waiting:
            item = waiting.pop()
            yield item
            waiting += reversed(listed(item.get("item")))


def listed(value: object) -> list[Mapping[str, Any]]:
    """Returns the mappings of a list; none if the value is no list."""
    return [*mappings(value)]


class Folders(msgspec.Struct, frozen=True):
    """Mapping folders, and the folder of their questionnaires.

    `whole`: these are all mappings that there are for these questionnaires.
    """

    mappings: tuple[Path, ...]
    questionnaires: Path
    whole: bool = False

    def files(self) -> list[Path]:
        """Returns every file of them."""
        inside = [path for folder in self.mappings for path in files_below(folder, "*.yaml")]
        return [*files_below(self.questionnaires, "*.json"), *inside]

    def files_of(self, pair: Pair, published: Published) -> list[Path]:
        """Returns the files of one guidance and of its questionnaire, with what any questionnaire may use."""
        others = [resource for _, resource in published.resources if resource is not pair.compiled.resource]
        apart = [resource for resource in others if resource.get("resourceType") == "Questionnaire"]
        found = [path for path, resource in published.resources if resource not in apart]
        return [*found, *files_below(self.folder_of(pair), "*.yaml")]

    def folder_of(self, pair: Pair) -> Path:
        """Returns the folder of the mapping files of one guidance."""
        return next(folder for folder in self.mappings if folder.name == pair.slug)


def folders_in(path: Path, settings: Settings) -> Folders:
    """Reads a folder; if it has no questionnaires beside it, those of the settings are taken.

    Raises:
        GuidanceError: there is no guidance in it.
    """
    if (path / "guidance.yaml").is_file():
        return Folders((path,), _beside(path.parent, settings))
    root = path / "mappings" if (path / "mappings").is_dir() else path
    found = tuple(sorted(one.parent for one in root.glob("*/guidance.yaml")))
    if not found:
        expected = "expected a folder with guidance.yaml, or with questionnaires/ and mappings/"
        raise GuidanceError([f"{path}: {expected}"])
    return Folders(found, _beside(root, settings))


def _beside(mappings: Path, settings: Settings) -> Path:
    beside = mappings.resolve().parent / "questionnaires"
    return beside if beside.is_dir() else settings.questionnaires_dir


def editions_in(path: Path, settings: Settings) -> list[Edition]:
    """Returns every guidance that a folder holds.

    Raises:
        GuidanceError: there is none, or a file of it is no YAML or no JSON.
    """
    folders = folders_in(path, settings)
    canonicals = Canonicals(settings.canonical_base)
    published = read_questionnaires(folders.questionnaires, canonicals, settings.terminology_dir)
    return [_edition(folder, folders.questionnaires, published, canonicals) for folder in folders.mappings]


def of_same_guidance(edition: Edition, others: Sequence[Edition]) -> Edition:
    """Returns the version of the same guidance among others, or the only one there is.

    Raises:
        GuidanceError: there is none.
    """
    url = edition.guidance.get("guidance")
    found = [other for other in others if other.guidance.get("guidance") == url] or [*others]
    if len(found) > 1 or not found:
        raise GuidanceError([f"expected a folder with one other version of {url}"])
    return found[0]


def _edition(folder: Path, questionnaires: Path, published: Published, canonicals: Canonicals) -> Edition:
    documents = {stem: canonicals.restated(document) for stem, document in read_documents(folder).items()}
    guidance = documents.get("guidance")
    canonical = str(guidance.get("questionnaire")) if isinstance(guidance, Mapping) else ""
    found = published.compiled.get(canonical)
    resource = found.resource if found is not None else {}
    try:
        pair = read_pair(folder, published.compiled, canonicals, run_cases=False)
    except GuidanceError as error:
        faults = tuple(f"{folder.name}/{fault}" for fault in error.faults)
        return Edition(folder, questionnaires, documents, resource, None, faults)
    return Edition(folder, questionnaires, documents, resource, pair)


# What a worked case comes to, in words that two versions can be compared by.


class Outcome(msgspec.Struct, frozen=True):
    """What a worked case comes to: every value in words, by what it is."""

    values: Mapping[str, str]
    rank: Interval
    days: int | None


def outcome_in(pair: Pair, case: Case) -> Outcome:
    """Returns the result of a worked case."""
    result = outcome_of(case, pair.guidance, pair.compiled)
    return Outcome(_values(result), result.tier, result.due.days if result.due is not None else None)


def _values(result: Result) -> dict[str, str]:
    values = {"step": between(result.tier, [tier.code for tier in result.tiers])}
    if result.due is not None:
        values["date"] = f"day {result.due.days}" + (f", {result.due.to}" if result.due.to else "")
    if result.recheck is not None:
        values["look again"] = f"day {result.recheck}"
    for risk in result.risks:
        values[risk.outcome.code] = between(risk.level, risk.outcome.levels)
    for total in result.totals:
        ends = dict.fromkeys((str(total.at_least), str(total.at_most)))
        values[total.score.name] = " to ".join(ends)
    return values


def between(interval: Interval, names: Sequence[str]) -> str:
    """Returns an interval in words: one name, or two with `to` between them."""
    ends = dict.fromkeys((names[interval.at_least], names[interval.at_most]))
    return " to ".join(ends)


def as_answered_to(form: Form, answers: AnswersByLink) -> tuple[AnswersByLink, tuple[str, ...]]:
    """Returns the answers that another questionnaire can take, and the linkIds of those that it cannot."""
    taken = {link: values for link, values in answers.items() if _fits(form, link, values)}
    return taken, tuple(link for link in answers if link not in taken)


def _fits(form: Form, link_id: str, values: Iterable[object]) -> bool:
    question = form.questions.get(link_id)
    if question is None:
        return False
    codings = {option.coding for option in question.options}
    return question.type not in ("choice", "open-choice") or codings.issuperset(values)
