"""How far from exact is each estimate, and what does it cost: on an instance whose evidence is known, or on a run.

python benchmarks/honest.py --rows 32              # IWAE-K, annealing and the sandwich on probabilistic PCA
python benchmarks/honest.py --run RUN --rows 100   # a trained model: seconds, and annealing against importance
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LADDER = (1, 10, 100, 1000, 5000)
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def exact(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table for the committed instance: nats above (+) or below (-) the exact mean."""
    import torch

    import jensen
    from jensen.evaluate import Annealed, Sandwich
    from tests.evaluate.instance import instance

    given = instance(n=options.rows, dtype=torch.float32)
    job = given.model, given.guide, given.rows, options.seed
    yield {"estimate": "ELBO, in closed form", "off": -given.lost}
    for k in LADDER:
        found = jensen.Importance(k)(*job)
        yield {
            "estimate": f"IWAE-{k}",
            "off": found.mean - given.mean,
            "stderr_mc": found.stderr_mc,
            "ess": found.ess_median,
            "reliable": found.reliable,
            "seconds": found.seconds,
        }
    for start, steps in (("prior", 50), ("prior", 200), ("guide", 50), ("guide", 200)):
        found = Annealed(steps, start=start)(*job)
        yield {
            "estimate": f"annealed from the {start}, T = {steps}",
            "off": found.mean - given.mean,
            "stderr_mc": found.stderr_mc,
            "ess": found.ess_median,
            "acceptance": found.acceptance,
            "seconds": found.seconds,
        }
    for steps in (50, 200):
        pair = Sandwich(Annealed(steps), options.rows)(given.model, given.guide, options.seed)
        name = f"sandwich from the guide, T = {steps}: upper - lower"
        yield {"estimate": name, "off": pair.gap, "stderr_mc": pair.gap_stderr, "seconds": pair.lower.seconds}


def trained(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table for a run: nats per datum of the first test rows, in the model's own units."""
    import jensen
    from jensen.evaluate import Annealed

    run = jensen.load(options.run)
    rows = run.part("test", options.seed).first(options.rows).rows
    for name, evaluator in (("IWAE-5000", jensen.Importance(5000)), ("annealed from the guide, T = 200", Annealed())):
        found = evaluator(run.model, run.guide, rows, options.seed)
        yield {
            "estimate": name,
            "off": found.mean,
            "stderr_mc": found.stderr_mc,
            "ess": found.ess_median,
            "acceptance": found.acceptance,
            "seconds": found.seconds,
        }


def line(row: dict[str, Any]) -> str:
    """One line of the table, in Markdown."""

    def told(name: str, form: str) -> str:
        value = row.get(name)
        return "" if value is None else format(value, form)

    error = "unreliable" if row.get("reliable") is False else told("stderr_mc", ".4f")
    numbers = (told("off", "+.4f"), error, told("ess", ".1f"), told("acceptance", ".2f"), told("seconds", ".1f"))
    return f"| {row['estimate']} | {' | '.join(numbers)} |"


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run folder, instead of the instance")
    for name, default, what in (("rows", 32, "data"), ("threads", 1, "processor threads"), ("seed", 0, "of the noise")):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default {default})")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to this file")
    options = parser.parse_args(arguments)
    if options.rows < 1 or options.threads < 1:
        parser.error("--rows and --threads must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    os.environ.update({name: str(options.threads) for name in LIMITS})
    sys.path.insert(0, str(ROOT))  # the instance is the tests'
    import torch

    torch.set_num_threads(options.threads)
    first = "nats per datum" if options.run else "nats from exact"
    print(f"| estimate | {first} | Monte Carlo error | median ESS | acceptance | seconds |\n|---|--:|--:|--:|--:|--:|")
    rows = []
    for row in trained(options) if options.run else exact(options):
        rows.append(row)
        print(line(row), flush=True)
    print(f"\n{options.rows} data, 16 chains of 10 leapfrog steps, {options.threads} threads of {os.cpu_count()}")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
