"""How many questions the interview asks, against the full form: of worked patients and of random ones.

Every patient fills in the full form, which asks whatever `enableWhen` leaves enabled, and is interviewed
question by question (`Guidance.next_questions`). Random patients are like the person of some worked case,
with a share of the answers by chance. Each must have the same step, dates and, where no safety step has
settled everything, the same levels: where one has not, the benchmark fails. The counts are the same on every
machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from service import catalogue
from service.catalogue import Pair
from service.guidance.cases import Case
from service.settings import ROOT
from tests.support.interviews import Interviewed, interviewed, random_patients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=200, help="random patients")
    parser.add_argument("--every", type=int, default=1, help="of the worked patients, every so many")
    wanted = parser.parse_args()
    served = catalogue.read(ROOT / "questionnaires", ROOT / "mappings")
    for pair in served.pairs.values():
        print(pair.guidance.written.identity.canonical)
        chance = random_patients(pair, range(wanted.random))
        for name, patients in (("worked", pair.guidance.cases[:: wanted.every]), ("random", chance)):
            report(name, pair, patients)


def report(name: str, pair: Pair, patients: Sequence[Case]) -> None:
    """Prints the figures of some patients by the step that they come to; ends where a result differs."""
    found = [interviewed(pair, patient) for patient in patients]
    others = [patient.name for patient, one in zip(patients, found, strict=True) if not one.agrees]
    if others:
        sys.exit(f"another result than that of the full form: {', '.join(others)}")
    print(f"{name:24} patients  interview: median  95 %   full form: median  95 %")
    print(line("all", found))
    for tier in reversed(pair.guidance.written.tiers):
        of_tier = [one for one in found if one.of_full.tier.at_least == tier.rank]
        if of_tier:
            print(line(tier.code, of_tier))


def line(name: str, found: Sequence[Interviewed]) -> str:
    """Returns the figures of some patients in one line."""
    short, full = [len(one.asked) for one in found], [len(one.full) for one in found]
    ends = [f"{statistics.median(counts):8.0f} {high(counts):6.0f}" for counts in (short, full)]
    return f"  {name:22} {len(found):8}          {ends[0]}            {ends[1]}"


def high(counts: Sequence[int]) -> float:
    """Returns the count that 95 % do not go beyond."""
    return sorted(counts)[max(0, -(-95 * len(counts) // 100) - 1)]


if __name__ == "__main__":
    main()
