"""Held-out log-likelihood of mixed tables, in nats per row of the table's own units.

    python -m benchmarks.table_density DATA --out OUT             # DATA holds hivae/ and uci/; what OUT holds is kept
    python -m benchmarks.table_density DATA --out OUT --table     # the table alone, of what OUT holds
    python -m benchmarks.table_density DATA --out OUT --quick     # 300 rows and short trainings: everything runs

Four fifths of the rows train each model, the rest test it, for each seed. Numbers that are written with decimals get
uniform noise from [0, 1) of the last of them, once and for every model, so that no density gains from narrow peaks at
values that recur by rounding; levels and counts are masses. Where scikit-learn's mixtures stand in for a mass of
counts, their density of the count plus noise from [0, 1) does, whose mean logarithm is a lower bound on that mass's.
Differences are paired by row.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .mixed_tables import HIVAE, UCI, MixedTable, hivae_table, uci_table

METHODS = ("table", "table-gmm", "mixture", "independent")
TITLES = {
    "table": "`table`",
    "table-gmm": "`table-gmm`",
    "mixture": "GaussianMixture",
    "independent": "independent columns",
}
COMPONENTS = (1, 2, 3, 5, 8, 12, 20)  # of a Gaussian mixture, chosen by a fifth of the training rows
SHARE = 0.2


def decimals(values: np.ndarray) -> int:
    """Digits after the point with which all values are written.

    Example:
        >>> decimals(np.array([0.25, 3.5]))
        2
    """
    return next((d for d in range(9) if np.allclose(values, np.round(values, d), rtol=0, atol=1e-9)), 9)


def spread_out(table: MixedTable, seed: int) -> MixedTable:
    """The table with noise of one unit of the last decimal in its columns of numbers with decimals."""
    rng, x = np.random.default_rng(seed), table.x.copy()
    kinds = list(table.kinds)
    for d in np.flatnonzero(table.numeric):
        digits = decimals(x[:, d])
        if digits:
            x[:, d] += rng.random(len(x)) * 10.0**-digits
        elif kinds[d] == "positive":
            kinds[d] = "count"
    return replace(table, x=x, kinds=tuple(kinds))


def halves(table: MixedTable, seed: int) -> tuple[MixedTable, MixedTable]:
    """Training and test rows."""
    order = np.random.default_rng([seed, 1]).permutation(len(table.x))
    cut = round(len(order) * (1 - SHARE))
    return table.rows(order[:cut]), table.rows(order[cut:])


def continuous(x: np.ndarray, seed: int) -> np.ndarray:
    """Counts plus uniform noise from [0, 1); other columns as they are."""
    whole = (x == np.round(x)).all(0)
    return x + np.random.default_rng([seed, 2]).random(x.shape) * whole


def gaussian_mixture(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """log p [n] of a full-covariance mixture whose number of components is the best for held-out training rows."""
    from sklearn.mixture import GaussianMixture

    centre, scale = train.mean(0), train.std(0)
    scale[scale == 0] = 1
    train, test, cut = (train - centre) / scale, (test - centre) / scale, round(len(train) * (1 - SHARE))

    def fitted(n: int, rows: np.ndarray) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return GaussianMixture(n, n_init=2, random_state=seed, max_iter=300).fit(rows)

    sizes = [n for n in COMPONENTS if n * train.shape[1] < cut]
    held = [fitted(n, train[:cut]).score(train[cut:]) for n in sizes]
    return fitted(sizes[int(np.argmax(held))], train).score_samples(test) - np.log(scale).sum()


def by_mixture(train: MixedTable, test: MixedTable, seed: int) -> np.ndarray | None:
    """log p of test rows by scikit-learn's GaussianMixture; None of a table that has levels."""
    if not train.numeric.all():
        return None
    return gaussian_mixture(continuous(train.x, seed), continuous(test.x, seed + 1), seed)


def by_independent_columns(train: MixedTable, test: MixedTable, seed: int) -> np.ndarray:
    """log p of test rows where columns are independent: frequencies of levels, and a Gaussian mixture of each number.

    One is added to the count of each level.
    """
    total = np.zeros(len(test.x))
    xs, xt = continuous(train.x, seed), continuous(test.x, seed + 1)
    for d, n in enumerate(train.levels):
        of_train, of_test = train.known[:, d], test.known[:, d]
        if n:
            counts = np.bincount(train.x[of_train, d].astype(int), minlength=n) + 1.0
            total[of_test] += np.log(counts / counts.sum())[test.x[of_test, d].astype(int)]
        else:
            total[of_test] += gaussian_mixture(xs[of_train][:, [d]], xt[of_test][:, [d]], seed)
    return total


def by_jensen(recipe: str, train: MixedTable, test: MixedTable, seed: int, **options: Any) -> np.ndarray:
    """log p of test rows by a run with its defaults: exact of `table-gmm`, a bound of `table`."""
    import jensen

    with tempfile.TemporaryDirectory() as folder:
        run = jensen.train(
            train.frame(),
            recipe=recipe,
            out=Path(folder) / "run",
            split=(0.9, 0.1, 0),
            checkpoints=0,
            seed=seed,
            **options,
        )
        estimate = run.evaluate(test.frame(), budget=0, seed=seed).estimate
    return np.asarray(estimate.nats, dtype=float)


def measure(options: argparse.Namespace) -> None:
    """Fit each model to each table with each seed, where OUT does not hold the result."""
    for name in options.only or (*UCI, *HIVAE):
        table = uci_table(options.data / "uci", name) if name in UCI else hivae_table(options.data / "hivae", name)
        for seed in range(options.seeds):
            train, test = halves(spread_out(table, seed), seed)
            if options.quick:
                train, test = train.rows(np.arange(240)), test.rows(np.arange(60))
            for method in options.methods:
                path = options.out / f"{name}-{method}-{seed}.json"
                if path.exists():
                    continue
                began = time.monotonic()
                if method == "mixture":
                    nats = by_mixture(train, test, seed)
                elif method == "independent":
                    nats = by_independent_columns(train, test, seed)
                else:
                    nats = by_jensen(method, train, test, seed, **({"epochs": 5} if options.quick else {}))
                seconds = time.monotonic() - began
                if nats is not None:
                    result = {"table": name, "method": method, "seed": seed, "seconds": round(seconds, 1)}
                    result["nats"] = [round(float(v), 4) for v in nats]
                    path.write_text(json.dumps(result), encoding="utf-8")
                    print(f"{name}, seed {seed}: {method}: {nats.mean():.3f} ({seconds:.0f} s)", file=sys.stderr)


def show(out: Path) -> list[dict[str, Any]]:
    """Print the table of what OUT holds, in Markdown, and return its rows."""
    kept: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for path in sorted(out.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        kept.setdefault((result["table"], result["seed"]), {})[result["method"]] = np.array(result["nats"])
    print("| table | model | seeds | log p of a test row | less `table`'s | s.e. |\n|---|---|--:|--:|--:|--:|")
    rows = []
    for name in (*UCI, *HIVAE):
        for method in METHODS:
            each = [v for (table, _), v in sorted(kept.items()) if table == name and method in v]
            if not each:
                continue
            nats = np.concatenate([v[method] for v in each])
            row = {"table": name, "model": method, "seeds": len(each), "nats": float(nats.mean())}
            paired = [v[method] - v["table"] for v in each if "table" in v]
            if paired and method != "table":
                row["difference"] = float(np.mean([p.mean() for p in paired]))
                row["stderr"] = float(np.sqrt(np.mean([p.var(ddof=1) / len(p) for p in paired]) / len(paired)))
            rows.append(row)
            difference = f"{row['difference']:+.3f} | {row['stderr']:.3f}" if "difference" in row else " | "
            print(f"| {name} | {TITLES[method]} | {len(each)} | {row['nats']:.3f} | {difference} |")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder with hivae/ and uci/")
    parser.add_argument("--out", type=Path, required=True, help="a folder with a file for each result")
    parser.add_argument("--only", nargs="*", choices=[*UCI, *HIVAE], help="names of tables")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=1, help="splits, each with a training of its own")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure(options)
    rows = show(options.out)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
