"""Rows times K per second, and peak memory, of Importance(k) on a 784-200-200-50 VAE.

python benchmarks/evaluation.py --k 5000 --rows 256
python benchmarks/evaluation.py --numbers 20 22 24     # tune the size of the pieces that it streams
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rivals.protocol import FEATURES, binary_images, peak_mib

HIDDEN, LATENT = (200, 200), 50
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def once(options: argparse.Namespace) -> dict[str, Any]:
    """Measure in this process; the model is untrained, since weights do not change the work."""
    import torch

    import jensen  # here, so that the process that starts the others stays small
    from jensen.core.precision import resolve_precision
    from jensen.evaluate import importance
    from jensen.nets import MLP

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    if options.numbers:
        importance.NUMBERS = 1 << options.numbers[0]
    decoder = jensen.Given(MLP(LATENT, FEATURES, HIDDEN), jensen.Bernoulli(FEATURES))
    encoder = jensen.Given(MLP(FEATURES, 2 * LATENT, HIDDEN), jensen.Gaussian(LATENT))
    model = jensen.LatentVariableModel(jensen.Unconditional(jensen.Gaussian(LATENT)), decoder).eval()
    guide = jensen.Amortized(encoder).eval()
    rows = jensen.Rows(torch.from_numpy(binary_images(options.rows, options.seed)).float())
    evaluator = jensen.Importance(options.k)
    # a warm-up that starts threads and libraries, too small to hide the memory of what follows
    jensen.Importance(2)(model, guide, rows.subset(torch.arange(min(options.rows, 8))), options.seed)
    before = peak_mib()
    estimate = evaluator(model, guide, rows, options.seed)
    return {
        "per_second": options.rows * options.k / estimate.seconds,
        "seconds": estimate.seconds,
        "peak_mib": peak_mib(),
        "peak_before_mib": before,
        "log_px": estimate.mean,
        "ess": estimate.ess_median,
        "numbers": importance.NUMBERS.bit_length() - 1,
        "precision": resolve_precision("auto", "cpu"),
        "versions": {"jensen": jensen.__version__, "torch": str(torch.__version__)},
    }


def in_a_process(options: argparse.Namespace, numbers: int | None) -> dict[str, Any]:
    """The same in a process of its own, since the peak of a process's memory never falls."""
    plain = [text for k in ("rows", "k", "threads", "seed") for text in (f"--{k}", str(getattr(options, k)))]
    chosen = [] if numbers is None else ["--numbers", str(numbers)]
    done = subprocess.run(
        [sys.executable, __file__, "--once", *plain, *chosen],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **{name: str(options.threads) for name in LIMITS}},
    )
    return json.loads(done.stdout.splitlines()[-1])


def table(results: Sequence[dict[str, Any]]) -> str:
    """Medians and extremes by size of piece, in Markdown."""
    lines = [
        "| log2 of the numbers in a piece | rows x K per second | min to max | peak MiB | of it by the evaluation |",
        "|--:|--:|--:|--:|--:|",
    ]
    for numbers in dict.fromkeys(r["numbers"] for r in results):
        mine = [r for r in results if r["numbers"] == numbers]
        speed = [r["per_second"] for r in mine]
        peak = statistics.median(r["peak_mib"] for r in mine)
        grown = statistics.median(r["peak_mib"] - r["peak_before_mib"] for r in mine)
        spread = f"{statistics.median(speed):,.0f} | {min(speed):,.0f} to {max(speed):,.0f}"
        lines.append(f"| {numbers} | {spread} | {peak:,.0f} | {grown:,.0f} |")
    return "\n".join(lines)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what in (
        ("rows", 256, "data"),
        ("k", 5000, "points per datum"),
        ("threads", 2, "processor threads"),
        ("seed", 0, "of data, weights and noise"),
        ("repeats", 5, "rounds"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default {default})")
    parser.add_argument("--numbers", type=int, nargs="+", help="powers of two to try in the place of the built-in size")
    parser.add_argument("--json", metavar="FILE", help="write every measurement to this file")
    parser.add_argument("--once", action="store_true", help="measure in this process, and print one line of JSON")
    options = parser.parse_args(arguments)
    for name in ("rows", "k", "threads", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    if options.once:
        print(json.dumps(once(options)), flush=True)
        return 0
    results: list[dict[str, Any]] = []
    for number in range(options.repeats):
        for numbers in options.numbers or [None]:
            results.append(in_a_process(options, numbers))
            told = f"{results[-1]['per_second']:,.0f} points per second, pieces of 2^{results[-1]['numbers']}"
            print(f"round {number + 1} of {options.repeats}: {told}", file=sys.stderr, flush=True)
    last = results[-1]
    print(table(results))
    told = ", ".join(f"{k} {v}" for k, v in last["versions"].items())
    print(
        f"\n{told}; products: {last['precision']}; {options.threads} threads of {os.cpu_count()}; "
        f"{options.rows} rows, K = {options.k}; log p(x) >= {last['log_px']:.3f}, median ESS {last['ess']:.1f}"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {**{k: getattr(options, k) for k in ("rows", "k", "threads")}, "results": results}, file, indent=1
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
