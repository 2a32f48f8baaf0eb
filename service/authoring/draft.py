"""Drafts the mapping files of a new guidance from a Questionnaire, and marks what an author has to add.

Points of options become a score with bands and worked cases on both sides of each edge; without points
each question becomes a finding. What only a person can decide begins with TODO: `check` lists every such
text, and refuses it in an active guidance.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Any

import msgspec
import yaml

from service.catalogue import read_questionnaires
from service.datatypes.answers import Answer, Coding
from service.datatypes.form import Form, Question
from service.errors import GuidanceError
from service.fhir.definitions import DOMAIN, Canonicals
from service.fhir.json import Json, read_published
from service.guidance.model import NOT_ASSESSABLE, Score
from service.guidance.options import CHOICES, NOT_SURE
from service.guidance.scores import ScoreShape, ends_of, smallest_step, weights_of
from service.questionnaire import CompiledQuestionnaire, compile_questionnaire
from service.settings import Settings
from service.terminology import ValueSets, resources_in, value_sets_from

TODO = "TODO"
"""What a text begins with that a person must write."""

_EMPTY = ("findings", "rules", "comparisons", "contradictions", "advice")
_HEAD = f"# Drafted from a Questionnaire. What begins with {TODO} is for a person to decide.\n"
_HEADS: Mapping[str, str] = {
    "guidance": "# Steps stand from the lowest to the highest; add or remove some as the source has it.\n",
    "scores": "# Take out of sum-of what is no part of the sum. A high total is taken to be serious; if a\n"
    "# low one is, turn the steps of the bands round.\n",
    "findings": "# The first option of each question is taken as the one that counts; name those that do.\n",
    "cases": "# Results follow from points and bands alone; work each out again from the source.\n",
}

Document = dict[str, Any] | list[dict[str, Any]]


class Wanted(msgspec.Struct, frozen=True):
    """What is to be drafted.

    Args:
        slug: name of the folder, and last part of the address of the guidance.
        date: of the draft.
        edges: where every band but the first begins; none: one edge in the middle.
    """

    slug: str
    date: str
    edges: tuple[Decimal, ...] = ()


def write_draft(wanted: Wanted, file: Path, settings: Settings) -> list[Path]:
    """Writes the mapping folder, and a copy of the Questionnaire where none of its version is published.

    Returns:
        every file that was written.

    Raises:
        GuidanceError: the folder or the copy is there already, the Questionnaire has faults (a line each,
            naming the element), or an edge lies outside the range of the sum.
        OSError: a file cannot be read or written.
    """
    folder, copy = settings.mappings_dir / wanted.slug, settings.questionnaires_dir / f"{wanted.slug}.json"
    data = file.read_bytes()
    compiled, is_known = _compiled(file, data, settings)
    there = [path for path in (folder, copy) if path.exists() and not (is_known and path == copy)]
    if there:
        raise GuidanceError([f"{path.name}: is there already; nothing is overwritten" for path in there])
    texts = {stem: _text(stem, document) for stem, document in drafted(wanted, compiled).items()}
    folder.mkdir(parents=True)
    written = {} if is_known else {copy: data}
    written |= {folder / f"{stem}.yaml": text.encode() for stem, text in texts.items()}
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [*written]


def _compiled(file: Path, data: bytes, settings: Settings) -> tuple[CompiledQuestionnaire, bool]:
    """Returns the Questionnaire in a file, and whether the same is published already."""
    from service.fhir.resource_models import faults_in  # takes longer to import than most commands take

    try:
        resource = read_published(data)
    except ValueError as fault:
        raise GuidanceError([f"{file.name}: not a FHIR resource in JSON: {fault}"]) from fault
    faults = list(_missing(resource)) or [*faults_in(resource)]
    if faults:
        raise GuidanceError([f"{file.name}: {fault}" for fault in faults])
    published, value_sets = _published(settings)
    try:
        compiled = compile_questionnaire(resource, value_sets)
    except GuidanceError as error:
        raise GuidanceError([f"{file.name}: {fault}" for fault in error.faults]) from error
    return compiled, _is_published(file, resource, published)


def _published(settings: Settings) -> tuple[list[Json], ValueSets]:
    """Returns the resources published so far, which may be none."""
    if not any(settings.questionnaires_dir.rglob("*.json")):
        at_hand = settings.terminology_dir
        return [], value_sets_from(() if at_hand is None else resources_in(at_hand))
    found = read_questionnaires(settings.questionnaires_dir, Canonicals(), settings.terminology_dir)
    return [resource for _, resource in found.resources], found.value_sets


def _missing(resource: Json) -> Iterator[str]:
    if resource.get("resourceType") != "Questionnaire":
        yield "resourceType: expected Questionnaire"
        return
    for name in ("id", "url", "version"):
        if not resource.get(name):
            yield f"Questionnaire.{name}: is missing; expected it, since the form is named and read by it"


def _is_published(file: Path, resource: Json, published: Iterable[Json]) -> bool:
    for other in published:
        if all(other.get(name) == resource.get(name) for name in ("resourceType", "url", "version")):
            if other != resource:
                expected = (
                    "expected one that is not published yet: another file has it, and says something else"
                )
                raise GuidanceError([f"{file.name}: Questionnaire.version: {expected}"])
            return True
    return False


# The files.


def drafted(wanted: Wanted, compiled: CompiledQuestionnaire) -> dict[str, Document]:
    """Returns the contents of the mapping files by file stem.

    Raises:
        GuidanceError: there is nothing to score, or an edge lies outside the range of the sum.
    """
    weighed = [question for question in compiled.form.questions.values() if _has_points(question)]
    if weighed:
        found = _with_score(wanted, compiled, weighed)
    elif wanted.edges:
        raise GuidanceError(["--bands: expected a Questionnaire whose options have points"])
    else:
        found = _with_findings(compiled)
    steps = found.pop("steps")
    empty: dict[str, Document] = {stem: [] for stem in _EMPTY}
    return {"guidance": _guidance(wanted, compiled, steps), **empty, **found}


def _has_points(question: Question) -> bool:
    points = [option.weight for option in question.options] + [weight for _, weight in question.numbers]
    return any(weight is not None for weight in points)


def _guidance(wanted: Wanted, compiled: CompiledQuestionnaire, steps: int) -> dict[str, Any]:
    system = f"{DOMAIN}/fhir/CodeSystem/{wanted.slug}-guidance"
    title = str(compiled.resource.get("title") or f"{TODO}: the title")
    asked = {
        "title": "the title of the source",
        "author": "who wrote it",
        "published": "when",
        "note": "where it is found, and what it does not say",
    }
    return {
        "guidance": f"{DOMAIN}/guidance/{wanted.slug}",
        "version": "0.1.0",
        "title": title,
        "status": "draft",
        "date": wanted.date,
        "questionnaire": compiled.canonical,
        "code": {"system": system, "code": wanted.slug, "display": title},
        "terminology": system,
        "source": {key: f"{TODO}: {what}" for key, what in asked.items()},
        "review": {"state": "not reviewed"},
        "intended-use": {
            "patient": f"{TODO}: what the result is for, and what it is not",
            "clinician": f"{TODO}: what the result is for, and what it is not",
        },
        "words": dict(zip([NOT_SURE], unsure_codes(compiled.form), strict=False)),
        "kinds": {"sign": {}},
        "parameters": {},
        "tiers": [_lowest_step(), *map(_step, range(1, steps + 1))],
    }


_NOT_SURE = re.compile(
    r"\b(not[ -]sure|unsure|uncertain|unknown|unk|asku|do(n['\u2019]?t|[ -]not)[ -]know"
    r"|can(['\u2019]t|[ -]?not) (say|tell)|weiß (es )?nicht|nicht sicher|unsicher|unbekannt)\b"
)


def unsure_codes(form: Form) -> list[str]:
    """Returns the codes of options that seem to say not sure, by their code or by their display."""
    options = (option for question in form.questions.values() for option in question.options)
    found = (
        one.coding.code for one in options if _NOT_SURE.search(f"{one.coding.code} {one.display}".lower())
    )
    return [*dict.fromkeys(found)]


def _lowest_step() -> dict[str, Any]:
    return {
        "tier": NOT_ASSESSABLE,
        "display": "Not assessable yet",
        "target": "Answer the open questions first",
        "patient": "Some questions are still open. Please answer them.",
        "clinician": "Too little is answered. An open question is never read as a no.",
        "origin": "project",
        "sources": [],
    }


def _step(number: int) -> dict[str, Any]:
    return {
        "tier": f"step-{number}",
        "display": f"{TODO}: the name of step {number}",
        "target": f"{TODO}: what is to be done at step {number}, and by when",
        "patient": f"{TODO}: what a patient at step {number} reads",
        "clinician": f"{TODO}: what a clinician reads about step {number}",
        "origin": "project",
        "sources": [],
    }


def _statement(number: str, claim: str) -> dict[str, str]:
    place = {"section": f"{TODO}: the section", "where": f"{TODO}: where in it"}
    return {"statement": number, **place, "claim": f"{TODO}: {claim}", "kind": "scoring"}


def _text(stem: str, document: Document) -> str:
    text = yaml.dump(
        document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return f"{_HEAD}{_HEADS.get(stem, '') if document else ''}\n{text}"


_LONGEST_LINE = 90


class _Plain(yaml.SafeDumper):
    """Writes what mapping files hold: no anchors, decimals with their digits, and long mappings by lines."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: Any = None) -> yaml.MappingNode:
        """Returns a node in one line only where that is short."""
        node = super().represent_mapping(tag, mapping, flow_style)
        length = sum(len(part.value) + 2 for pair in node.value for part in pair)
        node.flow_style = bool(node.flow_style) and length <= _LONGEST_LINE
        return node

    def ignore_aliases(self, data: object) -> bool:
        """Whether a value that stands twice is written twice: always."""
        return True


_Plain.add_representer(
    Decimal, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", format(number, "f"))
)


def _number(value: Decimal) -> Decimal | int:
    return int(value) if value == value.to_integral_value() else value


# Questions whose options have points: a sum, its bands, and cases on both sides of each edge.


class _Band(msgspec.Struct, frozen=True):
    """A band from `low` to `high`, both included."""

    number: int
    low: Decimal
    high: Decimal


Points = Mapping[Answer, Decimal]
Chosen = Mapping[str, Answer]


def _with_score(
    wanted: Wanted, compiled: CompiledQuestionnaire, weighed: Sequence[Question]
) -> dict[str, Any]:
    links = [question.link_id for question in weighed]
    entry = {"score": "total", "display": f"{TODO}: the name of the total", "sum-of": links, "kind": "sign"}
    score: Score = ScoreShape().load({**entry, "bands": [], "sources": ["S001"]})
    bands = _bands(wanted, score, compiled.form)
    range_ = f"{bands[0].low} to {bands[-1].high}"
    edges = ", ".join(str(band.low) for band in bands[1:])
    why = "" if wanted.edges else " (only the middle, taken because --bands named no other)"
    return {
        "steps": len(bands),
        "sources": [
            _statement("S001", f"that these {len(links)} questions add up to {range_}"),
            _statement("S002", f"that bands begin at {edges}{why}, and what each means"),
        ],
        "scores": [{**entry, "bands": [*map(_band, bands)], "sources": ["S001", "S002"]}],
        "cases": list(_cases(score, bands, compiled)),
    }


def _bands(wanted: Wanted, score: Score, form: Form) -> list[_Band]:
    ends = [ends_of(addend, form) for addend in score.addends]
    low, high = (sum(each, Decimal(0)) for each in zip(*ends, strict=True))
    step = smallest_step(score, form)
    edges = wanted.edges or (low + step * ((high - low + step) // (2 * step)),)
    if low == high:
        raise GuidanceError(
            [f"Questionnaire.item: expected options with different points; every sum is {low}"]
        )
    rising = all(before < after for before, after in pairwise((low, *edges)))
    if not rising or edges[-1] > high or any((edge - low) % step for edge in edges):
        raise GuidanceError(
            [f"--bands: expected rising numbers above {low}, up to {high}, in steps of {step}"]
        )
    lows, highs = (low, *edges), (*(edge - step for edge in edges), high)
    return [_Band(number, *span) for number, span in enumerate(zip(lows, highs, strict=True), 1)]


def _band(band: _Band) -> dict[str, Any]:
    return {
        "band": f"band-{band.number}",
        "from": _number(band.low),
        "to": _number(band.high),
        "display": f"{TODO}: the name of this band",
        "tier": f"step-{band.number}",
        "patient": f"{TODO}: what this total says to a patient",
    }


def _cases(score: Score, bands: Sequence[_Band], compiled: CompiledQuestionnaire) -> Iterator[dict[str, Any]]:
    questions = compiled.form.questions
    points = {
        addend.link_id: weights_of(addend, questions[addend.link_id]).by_answer for addend in score.addends
    }
    reached = _reached(points, compiled)
    for band in bands:
        for place, total in _ends_reached(reached, band):
            yield {
                "case": f"{place}-of-band-{band.number}",
                "about": f"The {place} total of band {band.number}.",
                "answers": {link: _word(answer) for link, answer in reached[total].items()},
                "expect": {"tier": f"step-{band.number}", "score": {"total": _number(total)}},
            }
    yield from _with_one_open(points, bands, compiled)


def _ends_reached(reached: Iterable[Decimal], band: _Band) -> Iterator[tuple[str, Decimal]]:
    inside = sorted(total for total in reached if band.low <= total <= band.high)
    yield from (("lowest", total) for total in inside[:1])
    yield from (("highest", total) for total in inside[1:][-1:])


def _sums(points: Mapping[str, Points]) -> dict[Decimal, Chosen]:
    """Returns every sum of one answer to each question, with answers that come to it."""
    sums: dict[Decimal, dict[str, Answer]] = {Decimal(0): {}}
    for link, by_answer in points.items():
        longer: dict[Decimal, dict[str, Answer]] = {}
        for total, chosen in sums.items():
            for answer, more in by_answer.items():
                longer.setdefault(total + more, {**chosen, link: answer})
        sums = longer
    return {total: sums[total] for total in sorted(sums)}


def _reached(points: Mapping[str, Points], compiled: CompiledQuestionnaire) -> dict[Decimal, Chosen]:
    """Returns totals of forms that are filled in, with the answers to the questions that are asked."""
    reached: dict[Decimal, Chosen] = {}
    deciding = _deciding(points, compiled)
    for answers in islice(product(*deciding.values()), _MOST_OPENINGS):
        opening = dict(zip(deciding, answers, strict=True))
        for chosen in _sums(points).values():
            counted = _asked({**opening, **chosen}, compiled)
            total = sum((points[link][counted[link]] for link in points if link in counted), Decimal(0))
            reached.setdefault(total, counted)
    return reached


_MOST_OPENINGS = 16
"""So many ways of opening questions by others are tried."""


def _asked(chosen: Mapping[str, Any], compiled: CompiledQuestionnaire) -> dict[str, Any]:
    """Returns the answers to the questions that are asked of somebody who gives them."""
    asked, _ = compiled.enabled({link: (answer,) for link, answer in chosen.items()})
    return {link: answer for link, answer in chosen.items() if link in asked}


def _deciding(links: Collection[str], compiled: CompiledQuestionnaire) -> dict[str, list[Any]]:
    """Returns answers to other questions that decide whether these are asked."""
    questions = compiled.form.questions
    found: dict[str, list[Any]] = {}
    gates = dict.fromkeys(gate for link in links for gate in questions[link].enabled_by)
    for gate in [gate for gate in gates if gate not in links]:
        answers: list[Any] = [option.coding for option in questions[gate].options]
        if questions[gate].type == "boolean":
            answers = [True, False]
        elif not answers:
            conditions = (one for item in compiled.items.values() for one in item.enable_when)
            compared = (one for one in conditions if one.question == gate and one.operator != "exists")
            answers = [one.expected for one in compared if one.expected is not None]
        found[gate] = answers
    return {gate: answers for gate, answers in found.items() if answers}


def _with_one_open(
    points: Mapping[str, Points], bands: Sequence[_Band], compiled: CompiledQuestionnaire
) -> Iterator[dict[str, Any]]:
    """Yields a case whose last question is open, with the first edge inside what the total can still be."""
    link, edge = [*points][-1], bands[1].low
    question = compiled.form.questions[link]
    least, most = min(points[link].values()), max(points[link].values())
    others = _sums({other: each for other, each in points.items() if other != link})
    found = next((total for total in others if total + least < edge <= total + most), None)
    is_plain = not question.repeats and all(not compiled.form.questions[each].enabled_by for each in points)
    if found is None or not is_plain or not others[found]:
        return
    ends = found + least, found + most
    highest = next(band.number for band in bands if band.low <= ends[1] <= band.high)
    yield {
        "case": "one-question-open",
        "about": "The total can still be below the first edge, or above it: nothing is settled.",
        "status": "in-progress",
        "answers": {other: _word(answer) for other, answer in others[found].items()},
        "expect": {
            "tier": [NOT_ASSESSABLE, f"step-{highest}"],
            "score": {"total": [*map(_number, ends)]},
            "settled": False,
            "open": [link],
        },
    }


def _word(answer: Answer) -> Any:
    return answer.code if isinstance(answer, Coding) else answer


# Questions without points: a finding for each, and two steps.


def _with_findings(compiled: CompiledQuestionnaire) -> dict[str, Any]:
    form, unsure = compiled.form, unsure_codes(compiled.form)[:1]
    counting = {link: ends for link, question in form.questions.items() if (ends := _ends(question, unsure))}
    if not counting:
        expected = "expected a question with options, or one to be answered with yes or no"
        raise GuidanceError([f"Questionnaire.item: {expected}"])
    names = _names(counting)
    findings = [
        {
            "finding": names[link],
            "kind": "sign",
            "means": f"{TODO}: what counts, and what it means: {form.questions[link].text or link}",
            "when": {"answer": link, "is": _word(yes)},
            "sources": ["S001"],
        }
        for link, (yes, _) in counting.items()
    ]
    claim = "which answers matter, and what is then to be done"
    return {
        "steps": 2,
        "sources": [_statement("S001", claim)],
        "findings": findings,
        "rules": [_rule(2, "any", names.values()), _rule(1, "none", names.values())],
        "cases": [*_marked(counting, compiled)],
    }


def _ends(question: Question, unsure: Sequence[str]) -> tuple[Answer, Answer] | None:
    """Returns the answer that is taken to count, and one that is not; None if there are no two."""
    if question.type == "boolean":
        return True, False
    codings = [option.coding for option in question.options if option.coding.code not in unsure]
    return (codings[0], codings[-1]) if question.type in CHOICES and len(codings) > 1 else None


def _names(links: Iterable[str]) -> dict[str, str]:
    """Returns a name for a finding by linkId, each one once."""
    names: dict[str, str] = {}
    for link in links:
        name = "-".join(re.findall(r"[a-z0-9]+", link.lower())) or "question"
        taken = [*names.values()]
        names[link] = next(one for one in _numbered(name) if one not in taken)
    return names


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _rule(step: int, word: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "rule": f"{word}-marked",
        "kind": "sign",
        "when": {word: [*names]},
        "tier": f"step-{step}",
        "says": {
            "patient": f"{TODO}: why step {step}, for a patient",
            "clinician": f"{TODO}: why step {step}, for a clinician",
        },
        "sources": ["S001"],
    }


def _marked(
    counting: Mapping[str, tuple[Answer, Answer]], compiled: CompiledQuestionnaire
) -> Iterator[dict[str, Any]]:
    deciding = {link: answers[0] for link, answers in _deciding(counting, compiled).items()}
    answers = _asked({**deciding, **{link: no for link, (_, no) in counting.items()}}, compiled)
    yield {
        "case": "nothing-marked",
        "about": "No answer that counts.",
        "answers": {link: _word(answer) for link, answer in answers.items()},
        "expect": {"tier": "step-1"},
    }
    always = (link for link in counting if not compiled.form.questions[link].enabled_by)
    for number, link in enumerate(always, 1):
        yield {
            "case": f"only-question-{number}-marked",
            "about": f"Only the answer to {link} counts.",
            "like": "nothing-marked",
            "answers": {link: _word(counting[link][0])},
            "expect": {"tier": "step-2"},
        }
