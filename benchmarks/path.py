"""What the whole path costs in process, as ratios from one run.

From the bytes of a QuestionnaireResponse to the bytes of its RiskAssessment, all checks on, against
reading and writing the same body with orjson, and against parsing it and writing the same result
with fhir.resources. The goals are those of the project: under 6, and ten times faster. The same with a result
that was there before says what would be left if the guidance were evaluated in no time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

import orjson

from service import catalogue
from service.assess import Assessor, Scored
from service.fhir.json import BodyLimits
from service.settings import ROOT, Settings

Work = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", nargs="*", type=Path, default=[ROOT / "samples" / "plain-eyelid.json"])
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    assessor = Assessor(served, BodyLimits(settings.max_body_bytes, settings.max_depth))
    for sample in asked.samples:
        body = orjson.dumps(orjson.loads(sample.read_bytes()))
        report(sample.name, body, assessor, asked.rounds)


def report(name: str, body: bytes, assessor: Assessor, rounds: int) -> None:
    result = assessor.assess_body(body).body

    def path() -> object:
        return assessor.assess_body(body)

    def read(body: bytes) -> Scored:
        return assessor.accepted(body) or assessor.scored(body)

    scored = read(body)
    assessment = scored.assessment()

    def unevaluated() -> object:
        read(body)
        return scored.pair.renderer.document(assessment)

    def in_full() -> object:
        scored = assessor.scored(body)
        return scored.document()

    def baseline() -> object:
        return orjson.dumps(orjson.loads(body))

    models = fhir_resources(body, result)
    print(f"{name}: {len(body)} bytes in, {len(result)} bytes out")
    show("whole path / orjson loads + dumps of the same body", ratio(path, baseline, rounds), "under 6")
    show("the same without evaluating the guidance", ratio(unevaluated, baseline, rounds))
    show("without the typed reading / with it", ratio(in_full, path, rounds), "under 3")
    show("fhir.resources parse + write / whole path", ratio(models, path, rounds), "10 or more")


def show(what: str, figure: float, goal: str = "") -> None:
    print(f"  {what:<52}{figure:6.2f}{f'  (goal: {goal})' if goal else ''}")


def fhir_resources(body: bytes, result: bytes) -> Work:
    """Returns the same reading and writing on models, without any scoring."""
    from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
    from fhir.resources.R4B.riskassessment import RiskAssessment

    written = RiskAssessment.model_validate_json(result)

    def work() -> object:
        QuestionnaireResponse.model_validate_json(body)
        return written.model_dump_json()

    return work


def ratio(one: Work, other: Work, rounds: int) -> float:
    """Returns how many times longer `one` takes than `other`: the median of rounds that alternate."""
    times = repeats(one), repeats(other)
    return statistics.median(timed(one, times[0]) / timed(other, times[1]) for _ in range(rounds))


def repeats(work: Work) -> int:
    """Returns how often `work` runs in about a fiftieth of a second."""
    work()
    return max(1, int(0.02 / timed(work, 3)))


def timed(work: Work, times: int) -> float:
    """Returns the seconds of one run."""
    started = perf_counter_ns()
    for _ in range(times):
        work()
    return (perf_counter_ns() - started) / times / 1e9


if __name__ == "__main__":
    main()
