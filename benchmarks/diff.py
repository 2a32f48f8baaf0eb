"""What it costs to count the answer patterns of two versions: processor time, nodes of the diagrams.

The versions are the published guidance and the older one that the tests keep: they differ in most questions
and rules, so this is about the most that `diff` has to do. Counting is compared with loading both. With
`--examples 10` the plainest patients of every change are looked for too, which takes longer than counting.
"""

from __future__ import annotations

import argparse
from time import process_time

from service.authoring.editions import editions_in
from service.authoring.pattern_changes import pattern_changes
from service.settings import ROOT, Settings

OLD, NEW = ROOT / "tests" / "muscle_twitching_1_0_0", ROOT / "mappings" / "muscle-twitching"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=0, help="patients of each change")
    examples = parser.parse_args().examples
    begun = process_time()
    old, new = (editions_in(folder, Settings())[0].pair for folder in (OLD, NEW))
    loaded = process_time()
    if old is None or new is None:
        raise SystemExit("one of the versions cannot be loaded")
    found = pattern_changes(old, new, examples=examples)
    counted = process_time() - loaded
    patients = sum(len(change.examples) for change in found.changes)
    print(f"{float(found.patterns):.1e} patterns, {found.nodes} nodes, {len(found.changes)} changes")
    print(f"counting, and {patients} patients: {counted:.1f} s of processor time")
    print(f"  {counted / (loaded - begun):.1f} times as long as loading both versions")


if __name__ == "__main__":
    main()
