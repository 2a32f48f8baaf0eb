"""Patients by chance: answers of every kind to the questions that earlier answers enable."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

from service import catalogue
from service.catalogue import Pair
from service.datatypes.answers import Answer, Answers, Coding
from service.datatypes.form import Question
from service.guidance import Guidance
from service.guidance.floor import other_answers
from service.settings import ROOT

DAY = date(2026, 11, 1)
_WELL = ("none", "LA32-8")


def by_chance(pair: Pair, chance: random.Random, *, well: float = 0, open_: float = 0) -> Answers:
    """Returns the answers of somebody who is well for a part of the questions, and leaves a part open."""
    raw: dict[str, tuple[Answer, ...]] = {}
    for link, values in _values(pair).items():
        enabled, _ = pair.compiled.enabled(raw)
        if link in enabled and values and chance.random() >= open_:
            calm = [each for each in values if _is_calm(each)] if chance.random() < well else []
            raw[link] = chance.choice(calm or values)
    return pair.compiled.answers_of(raw, authored=DAY.isoformat())


def _is_calm(answers: tuple[Answer, ...]) -> bool:
    return len(answers) == 1 and isinstance(answers[0], Coding) and answers[0].code in _WELL


def _values(pair: Pair) -> dict[str, list[tuple[Answer, ...]]]:
    """Returns by linkId answers that the form takes and that differ in what the guidance makes of them."""
    return {
        link: [each for each in _different(question, pair.guidance) if pair.compiled.takes(link, each)]
        for link, question in pair.guidance.form.questions.items()
    }


def _different(question: Question, guidance: Guidance) -> Iterator[tuple[Answer, ...]]:
    for answers in other_answers(question, guidance, lambda days: (DAY - timedelta(days=days)).isoformat()):
        yield answers
        if len(answers) > 2:
            yield answers[:2]
            yield answers[-2:]


@cache
def pair_of(folder: str, slug: str) -> catalogue.Pair:
    served = catalogue.read(ROOT / folder / "questionnaires", ROOT / folder / "mappings")
    return next(pair for pair in served.pairs.values() if pair.slug == slug)
