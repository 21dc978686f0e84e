"""Importance weighting beside its matrix products: points per second, the products' share of the time, and memory.

python benchmarks/evaluation.py --json evaluation.json
python benchmarks/evaluation.py --shapes wide --threads 2 --numbers 18 20 22     # tune the size of the pieces

A process of its own measures each shape with each number of threads. In it, the evaluation `Importance(k)` and the
matrix products of its decoder alone (same pieces, same precision, into buffers that exist already) run in turn. The
share is the time of the products over that of the evaluation; 1 would be an evaluation that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from rivals.protocol import peak_mib

SHAPES: dict[str, tuple[int, tuple[int, ...], int, str]] = {  # features, hidden, latent, likelihood
    "mlp": (784, (512, 512), 32, "bernoulli"),
    "wide": (784, (200, 200), 50, "bernoulli"),
    "bits": (64, (200, 200), 16, "bernoulli"),
    "table": (20, (64, 64), 8, "gaussian"),
    "table of bits": (20, (64, 64), 8, "bernoulli"),
}
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def products(sizes: Sequence[int], pieces: Sequence[int]) -> Callable[[], None]:
    """Return the products of a decoder of these layers, for pieces of so many points."""
    import torch

    weights = [torch.randn(b, a) / a**0.5 for a, b in pairwise(sizes)]
    buffers = [torch.randn(max(pieces), size) for size in sizes]

    def run() -> None:
        for points in pieces:
            layers = [buffer[:points] for buffer in buffers]
            for (x, out), weight in zip(pairwise(layers), weights, strict=True):
                torch.mm(x, weight.T, out=out)

    return run


def once(options: argparse.Namespace) -> dict[str, Any]:
    """Measure in this process; the model is untrained, since weights do not change the work."""
    import torch

    import jensen  # here, so that the process that starts the others stays small
    from jensen.core.precision import resolve_precision
    from jensen.evaluate import importance
    from jensen.evaluate.estimate import exact_products

    torch.set_num_threads(options.threads[0])
    torch.manual_seed(options.seed)
    if options.numbers:
        importance.NUMBERS = 1 << options.numbers[0]
    features, hidden, latent, likelihood = SHAPES[options.shapes[0]]
    family = jensen.Bernoulli(features) if likelihood == "bernoulli" else jensen.Gaussian(features)
    decoder = jensen.Given.mlp(latent, hidden, family)
    model = jensen.LatentVariableModel(jensen.Unconditional(jensen.Gaussian(latent)), decoder).eval()
    guide = jensen.Amortized.mlp(features, hidden, jensen.Gaussian(latent)).eval()
    rows = jensen.Rows(torch.rand(options.rows, features).round())

    size, at_once = importance.pieces(model, options.k, options.rows)
    batches = [min(size, options.rows - start) for start in range(0, options.rows, size)]
    chunks = [min(at_once, options.k - start) for start in range(0, options.k, at_once)]
    alone = products((latent, *hidden, family.size), [b * k for b in batches for k in chunks])
    evaluator = jensen.Importance(options.k)
    # a warm-up that starts threads and libraries, too small to hide the memory of what follows
    jensen.Importance(2)(model, guide, rows.subset(torch.arange(min(options.rows, 8))), options.seed)
    before, rounds, estimate = peak_mib(), [], None
    for _ in range(options.repeats):
        started = time.perf_counter()
        estimate = evaluator(model, guide, rows, options.seed)
        evaluated = time.perf_counter()
        peak = peak_mib()
        with torch.no_grad(), exact_products(rows.device):
            alone()
        rounds.append((evaluated - started, time.perf_counter() - evaluated, peak))
    macs = sum(a * b for a, b in pairwise((latent, *hidden, family.size)))
    seconds, floor = min(r[0] for r in rounds), min(r[1] for r in rounds)
    return {
        "shape": options.shapes[0],
        "sizes": [latent, *hidden, family.size],
        "likelihood": likelihood,
        "threads": options.threads[0],
        "piece": size * at_once,
        "numbers": importance.NUMBERS.bit_length() - 1,
        "seconds": [r[0] for r in rounds],
        "products_seconds": [r[1] for r in rounds],
        "per_second": options.rows * options.k / seconds,
        "products_gflops": 2e-9 * macs * options.rows * options.k / floor,
        "share": floor / seconds,
        "share_by_round": [r[1] / r[0] for r in rounds],
        "peak_mib": rounds[0][2],
        "peak_before_mib": before,
        "log_px": None if estimate is None else estimate.mean,
        "precision": resolve_precision("auto", "cpu"),
        "versions": {"jensen": jensen.__version__, "torch": str(torch.__version__)},
    }


def in_a_process(options: argparse.Namespace, shape: str, threads: int, numbers: int | None) -> dict[str, Any]:
    """Measure in a process of its own, since the peak of a process's memory never falls."""
    plain = [text for k in ("rows", "k", "repeats", "seed") for text in (f"--{k}", str(getattr(options, k)))]
    chosen = [] if numbers is None else ["--numbers", str(numbers)]
    done = subprocess.run(
        [sys.executable, __file__, "--once", "--shapes", shape, "--threads", str(threads), *plain, *chosen],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **{name: str(threads) for name in LIMITS}},
    )
    return json.loads(done.stdout.splitlines()[-1])


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the best time of each, in Markdown; the share also as the median and extremes of single rounds."""
    lines = [
        "| decoder | threads | rows x K per second | products' share | by round | products, GFLOP/s | piece | MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        name = f"{'-'.join(map(str, r['sizes']))}, {r['likelihood']}"
        shares = r["share_by_round"]
        spread = f"{statistics.median(shares):.2f}, {min(shares):.2f} to {max(shares):.2f}"
        lines.append(
            f"| {name} | {r['threads']} | {r['per_second']:,.0f} | {r['share']:.2f} | {spread} "
            f"| {r['products_gflops']:.0f} | {r['piece']:,} | {r['peak_mib'] - r['peak_before_mib']:,.0f} |"
        )
    return "\n".join(lines)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what in (
        ("rows", 64, "data"),
        ("k", 2000, "points per datum"),
        ("seed", 0, "of data, weights and noise"),
        ("repeats", 7, "rounds"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default {default})")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help="decoders (default all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="processor threads (default 1 2)")
    parser.add_argument("--numbers", type=int, nargs="+", help="powers of two to try in the place of the built-in size")
    parser.add_argument("--json", metavar="FILE", help="write every measurement to this file")
    parser.add_argument(
        "--quick", action="store_true", help="two rounds of few points with one thread, to see that everything runs"
    )
    parser.add_argument("--once", action="store_true", help="measure in this process, and print one line of JSON")
    options = parser.parse_args(arguments)
    if options.quick:
        options.k, options.repeats, options.threads = 100, 2, [1]
    for name in ("rows", "k", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if min(options.threads) < 1:
        parser.error("--threads must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    if options.once:
        print(json.dumps(once(options)), flush=True)
        return 0
    results: list[dict[str, Any]] = []
    for shape in options.shapes:
        for threads in options.threads:
            for numbers in options.numbers or [None]:
                results.append(in_a_process(options, shape, threads, numbers))
                last = results[-1]
                print(f"{shape}, {threads} threads: a share of {last['share']:.2f}", file=sys.stderr, flush=True)
    print(table(results))
    last = results[-1]
    versions = ", ".join(f"{k} {v}" for k, v in last["versions"].items())
    print(
        f"\n{versions}; products: {last['precision']}; {os.cpu_count()} processors; {options.rows} rows, "
        f"K = {options.k}; the best of {options.repeats} rounds"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": options.rows, "k": options.k, "results": results}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
