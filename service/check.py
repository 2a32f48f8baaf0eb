"""`python -m service check`: lints, worked cases, statement coverage and proofs, a line each."""

from __future__ import annotations

from typing import TextIO

from service import catalogue
from service.errors import GuidanceError
from service.guidance.report import coverage
from service.proofs import prove
from service.proofs.asked import asked_by
from service.settings import Settings

SOUND, FAULTY = 0, 1


def run(settings: Settings, out: TextIO) -> int:
    """Checks everything that the settings name, prints a report, and returns the exit code.

    Returns:
        0 when nothing is wrong, 1 when there are faults; each fault is a line that names file,
        key path and expectation.
    """
    try:
        served = catalogue.read(
            settings.questionnaires_dir, settings.mappings_dir, canonical_base=settings.canonical_base
        )
    except GuidanceError as error:
        print(*(f"fault: {fault}" for fault in error.faults), sep="\n", file=out)
        return FAULTY
    failed = [canonical for canonical, pair in served.pairs.items() if not _report(canonical, pair, out)]
    return FAULTY if failed else SOUND


def _report(canonical: str, pair: catalogue.Pair, out: TextIO) -> bool:
    guidance = pair.guidance
    print(f"{canonical}: {len(pair.compiled.items)} items", file=out)
    print(f"  {coverage(guidance.written).line}", file=out)
    print(f"  {len(guidance.cases)} worked cases pass", file=out)
    report = prove(guidance, asked_by(pair.compiled))
    print(*(f"  {line}" for line in report.lines), sep="\n", file=out)
    return not report.failed
