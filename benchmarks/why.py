"""What it costs to say why: the minimal reasons of a response against the whole path of that response.

Responses are made by chance, some of them of people who are well but for a few answers, and some with
questions left open. The goal is that of the project: at most 20 times for 95 of 100.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Iterator
from time import process_time_ns
from typing import Any

import orjson

from benchmarks.path import Work
from service import catalogue
from service.assess import Assessor
from service.fhir.json import BodyLimits
from service.guidance.cases import Case
from service.settings import Settings
from tests.support.case_responses import response_of
from tests.support.patients_by_chance import DAY, by_chance

WELL, OPEN = (0, 0.5, 0.8, 0.95), (0, 0, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=200)
    parser.add_argument("--seed", type=int, default=13)
    asked = parser.parse_args()
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    assessor = Assessor(served, BodyLimits(settings.max_body_bytes, settings.max_depth))
    pair = max(served.pairs.values(), key=lambda pair: len(pair.guidance.form.questions))
    reasons, changes, both = [], [], []
    unfinished = [0, 0, 0]
    for body in bodies(pair, asked.responses, asked.seed):
        scored = assessor.scored(body)
        path = timed(lambda body=body: assessor.assess_body(body))  # type: ignore[misc]  # bound at once
        reasons.append(timed(scored.minimal_reasons) / path)
        changes.append(timed(scored.changes) / path)
        both.append(reasons[-1] + changes[-1])
        finished = [
            all(each.finished for each in found) for found in (scored.minimal_reasons(), scored.changes())
        ]
        for place, is_whole in enumerate((*finished, all(finished))):
            unfinished[place] += not is_whole
    names = ("minimal reasons", "counterfactuals", "both")
    for name, ratios, number in zip(names, (reasons, changes, both), unfinished, strict=True):
        report(f"{name} / whole path", ratios, number)


def bodies(pair: catalogue.Pair, number: int, seed: int) -> Iterator[bytes]:
    """Yields responses by chance, as they are sent."""
    chance = random.Random(seed)
    for place in range(number):
        answers = by_chance(pair, chance, well=WELL[place % len(WELL)], open_=OPEN[place % len(OPEN)])
        case = Case("by-chance", "", "in-progress", answers.given, {}, None, DAY.isoformat())  # type: ignore[arg-type]  # nothing is expected
        yield orjson.dumps(plain(response_of(pair, case)))


def plain(value: Any) -> Any:
    """Returns a response without the translations of what the form shows, which nobody sends back."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if not name.startswith("_")}
    return [plain(part) for part in value] if isinstance(value, list) else value


def report(what: str, ratios: list[float], unfinished: int) -> None:
    ordered = sorted(ratios)
    worst, most = ordered[int(0.95 * len(ordered))], ordered[-1]
    print(f"{what}, {len(ordered)} responses:")
    print(f"  median {statistics.median(ordered):.1f}, 95 of 100 within {worst:.1f}, all within {most:.1f}")
    print(f"  finished: {100 * (1 - unfinished / len(ordered)):.0f} of 100")


def timed(work: Work, times: int = 5) -> float:
    """Returns the least processor time of one run: others share the machine."""
    found = []
    for _ in range(times):
        started = process_time_ns()
        work()
        found.append(process_time_ns() - started)
    return min(found)


if __name__ == "__main__":
    main()
