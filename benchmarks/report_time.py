"""Processor time of `jensen report`, whole and --quick, on small runs of six kinds: at most 10 and 5 seconds."""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MOST, MOST_QUICK = 10.0, 5.0  # seconds of processor time, with the start of Python and torch
ROOT = Path(__file__).parents[1]


def counts(rng: np.random.Generator, path: Path) -> None:
    """Write 2,100 cells of 1,000 genes: negative binomial counts of five types."""
    of_type = rng.gamma(0.5, 1.0, (5, 1000))[rng.integers(0, 5, 2100)] * rng.gamma(5.0, 0.2, (2100, 1))
    x = rng.poisson(rng.gamma(2.0, of_type / 2.0))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[f"GENE{i:04}" for i in range(1000)], *x.tolist()])


def photographs(rng: np.random.Generator, path: Path) -> None:
    """Write 407 smooth images of 32 x 32 in three colours."""
    y, x = np.mgrid[0:32, 0:32] / 32
    a = rng.normal(size=(5, 407, 1, 1, 3))
    waves = np.sin(a[0] + 3 * a[1] * x[..., None] + 3 * a[2] * y[..., None]) * np.cos(a[3] * (x * y)[..., None] + a[4])
    np.save(path, (255 * (waves + 1) / 2).astype(np.uint8))


def table(rng: np.random.Generator, path: Path) -> None:
    """Write 800 rows of twelve columns in three clusters."""
    x = 3 * rng.normal(size=(3, 12))[rng.integers(0, 3, 800)] + rng.normal(size=(800, 12))
    np.savetxt(path, x, delimiter=",", header=",".join(f"feature {i}" for i in range(12)), comments="")


def mixed(rng: np.random.Generator, path: Path) -> None:
    """Write 1,500 rows of numbers, counts, names, ordered levels and dates about one of three customers' kinds, with
    holes."""
    kinds = rng.integers(0, 3, 1500)
    income, grades = np.exp(rng.normal(8 + 0.5 * kinds, 0.4)), ("never", "rarely", "sometimes", "often", "always")
    cities = np.array(["Berlin", "Delft", "Lyon", "Porto", "Turin"])[(kinds + rng.geometric(0.6, 1500) - 1) % 5]
    columns = {
        "age": rng.normal(30 + 12 * kinds, 6).round().astype(int),
        "income": income.round(2),
        "visits": rng.negative_binomial(3, 0.2 + 0.2 * kinds),
        "city": cities,
        "sex": rng.choice(["F", "M"], 1500),
        "uses it": [grades[i] for i in rng.binomial(4, 0.2 + 0.3 * kinds)],
        "since": np.datetime64("2020-01-01") + rng.integers(0, 700, 1500) + 300 * kinds,
        "balance": (income * rng.normal(0.1, 0.05, 1500)).round(2),
    }
    observed = rng.random((1500, len(columns))) > 0.08
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        rows = zip(zip(*columns.values(), strict=True), observed, strict=True)
        lines.writerows([cell if seen else "" for cell, seen in zip(row, known, strict=True)] for row, known in rows)


def seconds(arguments: list[str], cwd: Path) -> float:
    """Return the processor time of a command, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jensen", *arguments]
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Train, report, and print a line for each run; the status is 1 where a report took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    epochs, rng, late = parser.parse_args().epochs, np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts(rng, folder / "counts.csv")
        photographs(rng, folder / "photographs.npy")
        table(rng, folder / "table.csv")
        mixed(rng, folder / "mixed.csv")
        runs = {"digits": "vae", "counts.csv": "count-vae", "photographs.npy": "vae", "table.csv": "vae"}
        print(f"{'run':24} {'report':>8} {'--quick':>8}   seconds of processor time")
        for data, recipe in [*runs.items(), ("table.csv", "gmm"), ("mixed.csv", "table")]:
            out = f"{Path(data).stem}-{recipe}"
            seconds(["train", data, "--recipe", recipe, "--out", out, "--epochs", str(epochs), "--quiet"], folder)
            whole = seconds(["report", out], folder)
            quick = seconds(["report", out, "--quick", "--out", "quick.html", "--force"], folder)
            late += whole > MOST or quick > MOST_QUICK
            print(f"{out:24} {whole:8.1f} {quick:8.1f}", flush=True)
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
