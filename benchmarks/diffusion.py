"""Diffusions of two-dimensional data whose density is known: bound and probability flow against log p(x).

python -m benchmarks.diffusion --write    # two data sets in two ways, some minutes each; writes into docs/diffusion.md
python -m benchmarks.diffusion --quick    # a short training on each, to see that everything runs
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import jensen
from benchmarks.pictures import DOCS, table
from jensen.evaluate import ByFlow

N, TEST, FLOW_ROWS, SD = 10_000, 4_000, 1_000, 0.1
ARC = 400  # points that stand for an arc: far closer than the standard deviation about them
LEVELS = (1, 4, 16, 64, 256)
# to the end of its schedule, with averaged weights: single epochs differ by more than an epoch gains
LONGER = {"lr": 2e-3, "average": 0.999, "epochs": 200, "keep": "last"}
WAYS: dict[str, dict[str, object]] = {"defaults": {}, "--lr 2e-3 --average 0.999 --epochs 200 --keep last": LONGER}
PAGE = DOCS / "diffusion.md"
START, END = "<!-- density: begin -->", "<!-- density: end -->"


def centres(name: str) -> np.ndarray:
    """The centres [C, 2] of a mixture of Gaussians of standard deviation 0.1, of equal weight."""
    if name == "ring":
        angle = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    angle = np.pi * (np.arange(ARC) + 0.5) / ARC
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([upper, [1.0, 0.5] - upper])


def sample(name: str, n: int, seed: int) -> np.ndarray:
    """Rows [n, 2]."""
    rng, means = np.random.default_rng(seed), centres(name)
    rows = means[rng.integers(len(means), size=n)] + SD * rng.normal(size=(n, 2))
    return rows.astype(np.float32)


def log_density(name: str, x: np.ndarray) -> np.ndarray:
    """log p(x) [n] in nats."""
    means = centres(name)
    log_norm = math.log(len(means)) + math.log(2 * math.pi * SD**2)
    pieces = np.array_split(x.astype(np.float64), max(len(x) * len(means) // 2**21, 1))
    squares = (((piece[:, None] - means) ** 2).sum(-1) for piece in pieces)
    return np.concatenate([np.logaddexp.reduce(-s / (2 * SD**2), 1) for s in squares]) - log_norm


@dataclass(frozen=True)
class Result:
    """One data set, in nats per datum.

    Attributes:
        exact: mean log p(x) of test rows.
        bound, bound_error: of the chain less `exact`, with its Monte Carlo error.
        flow, flow_error: of the probability flow less the exact log p(x) of the same rows, with its error over rows.
        solver: the error that the solver states.
        levels: (T, bound less `exact`).
        seconds: of training.
    """

    name: str
    exact: float
    bound: float
    bound_error: float
    flow: float
    flow_error: float
    solver: float
    levels: tuple[tuple[int, float], ...]
    seconds: float


def measured(name: str, folder: Path, quick: bool = False, **options: object) -> Result:
    """Train the recipe as it is, and compare on test rows."""
    train, test = sample(name, 500 if quick else N, 0), sample(name, 200 if quick else TEST, 1)
    chosen = {**options, "epochs": 2, "hidden": (8,)} if quick else options
    run = jensen.train(train, recipe="diffusion", out=folder / name, **chosen)
    known = log_density(name, test)
    bound = run.evaluate(test, budget=0, levels=(1, 4) if quick else LEVELS).estimate
    rows = test[: 20 if quick else FLOW_ROWS]
    flow = run.evaluate(rows, method="flow", k=ByFlow.k, rows_at_most=len(rows)).estimate
    differences = np.asarray(flow.nats) - known[: len(rows)]
    (stopped,) = [line for line in run.metrics if line["event"] == "stopped"]
    return Result(
        name=name,
        exact=float(known.mean()),
        bound=(bound.mean or math.nan) - float(known.mean()),
        bound_error=bound.stderr_mc or 0.0,
        flow=float(differences.mean()),
        flow_error=float(differences.std() / math.sqrt(len(rows))),
        solver=flow.settings["solver_error"],
        levels=tuple((t, mean - float(known.mean())) for t, mean, *_ in bound.by_levels),
        seconds=stopped["seconds"],
    )


def shown(results: list[Result]) -> str:
    """Two tables in Markdown: bound and flow, and bounds of T levels."""
    heads = ["data", "E log p(x)", "bound less log p(x)", "flow less log p(x)", "error of the solver", "training, s"]
    rows = [
        [
            r.name,
            f"{r.exact:.3f}",
            f"{r.bound:+.3f} ± {r.bound_error:.3f}",
            f"{r.flow:+.3f} ± {r.flow_error:.3f}",
            f"{r.solver:.3f}",
            f"{r.seconds:.0f}",
        ]
        for r in results
    ]
    by_levels = [[r.name, *(f"{gap:,.2f}" for _, gap in r.levels)] for r in results]
    counts = [f"T = {t}" for t, _ in results[0].levels]
    return f"{table(heads, rows)}\n\n{table(['bound of T levels less log p(x)', *counts], by_levels)}"


def write(text: str) -> None:
    """Put the tables between their marks on the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Train, compare, and print or write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diffusion", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short training on few rows")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/diffusion.md")
    parser.add_argument("--out", type=Path, help="keep the runs in this folder")
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error("the figures of --quick are worth nothing: they are not written")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        results = [
            replace(measured(name, folder / str(i), options.quick, **how), name=f"{name}, {words}")
            for i, (words, how) in enumerate(WAYS.items())
            for name in ("ring", "moons")
        ]
    text = shown(results)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
