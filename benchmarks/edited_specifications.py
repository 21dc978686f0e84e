"""Count what becomes of runs with an edited specification: refused, the same numbers, others, or an internal error.

    python benchmarks/edited_specifications.py --edits 10000

Each edit is made in a copy of a small run, with right digests; the run is opened, and cheap verbs are called on it, in
a process of its own with limits of memory and of processor time. Internal errors, hangs and crashes are listed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fuzz.edit_hunt import hunt, small_runs


def main() -> None:
    """Make the runs, edit them, and print counts."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--edits", type=int, default=10_000)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--runs", default=None, help="folder of runs from an earlier call")
    words.add_argument("--recipe", default=None)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(given.runs or name)
        runs = small_runs(folder)
        runs = {k: v for k, v in runs.items() if given.recipe in (None, k)}
        counts: Counter[str] = Counter()
        each = -(-given.edits // len(runs))
        for recipe, run in runs.items():
            outcome = hunt(run, range(given.first, given.first + each), Path(name))
            counts.update(outcome.counts)
            print(f"{recipe:<24} {json.dumps(outcome.counts)}; slowest {outcome.slowest:.2f} s", flush=True)
            for line in outcome.found:
                print(f"    {line[:700]}", flush=True)
    print(f"{sum(counts.values()):,} edits: {json.dumps(counts)}")
    sys.exit(1 if set(counts) - {"refused", "same", "changed"} else 0)


if __name__ == "__main__":
    main()
