"""Holes of mixed tables filled by jensen and by scikit-learn's imputers, in the protocol of HI-VAE.

    python -m benchmarks.imputation DATA --out OUT               # DATA holds hivae/ and uci/; what OUT holds is kept
    python -m benchmarks.imputation DATA --out OUT --table       # the tables alone, of what OUT holds
    python -m benchmarks.imputation DATA --out OUT --only Wine --methods jensen trees
    python -m benchmarks.imputation DATA --out OUT --quick       # 300 rows and short trainings: everything runs

Each method sees the observed cells of a whole table and fills the others. The error of a column of numbers is the root
mean squared error over its hidden cells, divided by the range of the column; that of an ordinal column is the mean
distance in levels over their number; that of a categorical column is the share of wrong levels (Nazabal, Olmos,
Ghahramani & Valera, "Handling incomplete heterogeneous data using VAEs", 2020). Ranks are over the methods, of the mean
error of each kind of column, on each table with each mask.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import imputers
from .imputers import LEVEL, Answer
from .mixed_tables import HIVAE, UCI, MixedTable, cases

METHODS = ("jensen", "mean/mode", "neighbours", "ridge", "MICE", "trees")
ALSO = ("jensen table", "jensen table-gmm")
TITLES = {
    "neighbours": "KNNImputer",
    "ridge": "IterativeImputer, Bayesian ridge",
    "MICE": "MICE, 5 draws averaged",
    "trees": "IterativeImputer, extra trees",
}
KINDS = ("numeric", "ordinal", "nominal")
QUICK = ("Missing50_1", "at random given another, 30 %")
DRAWS, LOG_ROWS = 100, 500  # of jensen: completed tables, and rows per column whose log p is measured


# ---------------------------------------------------------------- errors


def scores(table: MixedTable, observed: np.ndarray, answer: Answer) -> list[dict[str, Any]]:
    """For each column with holes: its error, and coverage, width, CRPS and log p where the method states them."""
    rows = []
    for d, name in enumerate(table.columns):
        holes = ~observed[:, d] & table.known[:, d]
        if not holes.any():
            continue
        truth, point = table.x[holes, d], answer.point[holes, d]
        row: dict[str, Any] = {"column": name, "n": int(holes.sum())}
        spread = np.ptp(table.x[table.known[:, d], d])
        if table.levels[d]:
            ordinal = table.kinds[d] == "ordinal"
            wrong = np.abs(truth - point) / table.levels[d] if ordinal else (truth != point).astype(float)
            row |= {"kind": "ordinal" if ordinal else "nominal", "error": wrong.mean()}
            row["stderr"] = wrong.std() / np.sqrt(len(wrong))
        else:
            square = (truth - point) ** 2
            row |= {"kind": "numeric", "error": np.sqrt(square.mean()) / spread}
            row["stderr"] = square.std() / np.sqrt(len(square)) / max(2 * np.sqrt(square.mean()) * spread, 1e-300)
            if answer.low is not None and answer.high is not None:
                low, high = answer.low[holes, d], answer.high[holes, d]
                row |= {"covered": ((low <= truth) & (truth <= high)).mean(), "width": (high - low).mean() / spread}
            if answer.draws is not None:
                row["crps"] = crps(answer.draws[:, holes, d], truth).mean() / spread
                row["calibrated"] = central(answer.draws[:, holes, d], truth).mean()
        if answer.log_prob is not None:
            row["log_prob"] = np.nanmean(answer.log_prob[holes, d])
        rows.append({k: float(v) if isinstance(v, np.floating) else v for k, v in row.items()})
    return rows


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score [n] by m draws [m, n], E|X - x| - E|X - X'| / 2, without bias."""
    m = len(draws)
    ordered = np.sort(draws, 0)
    between = ((2 * np.arange(1, m + 1) - m - 1)[:, None] * ordered).sum(0) / (m * (m - 1))
    return np.abs(draws - truth).mean(0) - between


def central(draws: np.ndarray, truth: np.ndarray, level: float = 0.9) -> np.ndarray:
    """The probability [n] that the rank of the truth among draws, with ties broken at random, is a central one.

    Its mean is `level` for a calibrated method whatever the ties, while an interval of whole numbers must cover more.
    """
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    low, high = (1 - level) / 2 * (len(draws) + 1), (1 + level) / 2 * (len(draws) + 1)
    first, last = below.astype(float), below + equal + 1.0  # a uniform place in [first, last)
    return np.clip(np.minimum(last, high) - np.maximum(first, low), 0, None) / (last - first)


# ---------------------------------------------------------------- methods


def by_jensen(table: MixedTable, observed: np.ndarray, seed: int, recipe: str | None = None, **options: Any) -> Answer:
    """A run trained on the observed cells alone, and its imputation of the same rows.

    Numbers are imputed by the mean, ordinal levels by the median, and categories by the mode.
    """
    import jensen

    frame = table.frame(observed)
    with tempfile.TemporaryDirectory() as folder:
        chosen = {} if recipe is None else {"recipe": recipe}
        run = jensen.train(
            frame, out=Path(folder) / "run", split=(0.9, 0.1, 0), checkpoints=0, seed=seed, **chosen, **options
        )
        done = run.completion(frame, m=DRAWS, point="median", intervals=LEVEL, seed=seed)
        codes = [_codes(column, table) for column in done.columns]
        order = [[column.name for column in done.columns].index(name) for name in table.columns]

        def own(x: np.ndarray) -> np.ndarray:
            """Stored cells [..., D] in the table's order, levels by the table's numbers."""
            each = [x[..., d] if codes[d] is None else codes[d][np.nan_to_num(x[..., d]).astype(int)] for d in order]
            return np.stack(each, -1).astype(float)

        draws = own(done.x)
        levelled = np.array([done.columns[d].levels != () for d in order])
        # whole numbers of few values may be levels to the run: their mean is that of the draws
        means_of_numbers = np.where(levelled, draws.mean(0), np.asarray(done.mean)[:, order])
        point = np.where(table.numeric, means_of_numbers, own(done.point))
        log_prob = _log_probs(run, table, observed, seed)
        tail = (1 - LEVEL) / 2
        low, high = (
            np.where(levelled, np.quantile(draws, q, 0), np.asarray(end)[:, order])
            for q, end in ((tail, done.low), (1 - tail, done.high))
        )
        return Answer(point, draws, low, high, log_prob)


def _codes(column: Any, table: MixedTable) -> np.ndarray | None:
    """The table's number of each level of a column of the run; None of numbers."""
    return np.array([float(name.removeprefix("level ")) for name in column.levels]) if column.levels else None


def _log_probs(run: Any, table: MixedTable, observed: np.ndarray, seed: int) -> np.ndarray:
    """log p of the true value of hidden cells, given what is observed of their rows, of some rows per column [N, D]."""
    log_prob = np.full(table.x.shape, np.nan)
    for d, name in enumerate(table.columns):
        holes = np.flatnonzero(~observed[:, d] & table.known[:, d])
        rows = np.random.default_rng([seed, d]).permutation(holes)[:LOG_ROWS]
        if len(rows):
            seen = observed[rows].copy()
            seen[:, d] = True  # the column is left out of what its prediction is given, and the known value is scored
            log_prob[rows, d] = run.predict(table.rows(rows).frame(seen), name, seed=seed).log_prob
    return log_prob


def method(name: str, quick: bool) -> Callable[[MixedTable, np.ndarray, int], Answer]:
    """The function of a method, with short trainings where the round is quick."""
    if name.startswith("jensen"):
        recipe = name.removeprefix("jensen").strip() or None
        options = {"epochs": 5} if quick else {}
        return lambda table, observed, seed: by_jensen(table, observed, seed, recipe, **options)
    if name == "trees" and quick:
        return lambda table, observed, seed: imputers.by_trees(table, observed, seed, trees=10, rounds=2)
    return {
        "mean/mode": imputers.marginal,
        "neighbours": imputers.by_neighbours,
        "ridge": imputers.by_iteration,
        "MICE": imputers.by_chained_equations,
        "trees": imputers.by_trees,
    }[name]


def measure(out: Path, options: argparse.Namespace) -> None:
    """Fill each table with each mask by each method, where OUT does not hold the result."""
    for table_name, mask, read in cases(options.data, options.seed):
        if (options.only and table_name not in options.only) or (options.masks and mask not in options.masks):
            continue
        if options.quick and mask not in QUICK:
            continue
        missing = [name for name in options.methods if not place(out, table_name, mask, name).exists()]
        if not missing:
            continue
        table, observed = read()
        if options.quick:
            index = np.random.default_rng(0).permutation(len(table.x))[:300]
            table, observed = table.rows(index), observed[index]
        for name in missing:
            began = time.monotonic()
            answer = method(name, options.quick)(table, observed, options.seed)
            seconds = time.monotonic() - began
            result = {"table": table_name, "mask": mask, "method": name, "seconds": round(seconds, 1)}
            result["columns"] = scores(table, observed, answer)
            path = place(out, table_name, mask, name)
            path.write_text(json.dumps(result, indent=1), encoding="utf-8")
            errors = "  ".join(f"{kind} {value:.4f}" for kind, value in means(result, "error").items())
            print(f"{table_name}, {mask}: {name}: {errors} ({seconds:.0f} s)", file=sys.stderr, flush=True)


def place(out: Path, table: str, mask: str, name: str) -> Path:
    """The file of one result."""
    plain = "-".join("".join(c if c.isalnum() else " " for c in text) for text in (table, mask, name))
    return out / f"{plain.replace(' ', '_')}.json"


# ---------------------------------------------------------------- tables


def means(result: dict[str, Any], measure: str) -> dict[str, float]:
    """The mean of a measure over the columns of each kind that has it, and over all ("all")."""
    columns = [c for c in result["columns"] if c.get(measure) is not None]
    by_kind = {kind: [c[measure] for c in columns if c["kind"] == kind] for kind in KINDS}
    return {kind: float(np.mean(v)) for kind, v in (by_kind | {"all": [c[measure] for c in columns]}).items() if v}


def ranks(results: dict[tuple[str, str], dict[str, Any]], names: Sequence[str]) -> dict[str, list[float]]:
    """Ranks of the methods, from 1, for each table, mask and kind of column that all of them have filled."""
    from scipy.stats import rankdata

    collected: dict[str, list[float]] = {name: [] for name in names}
    for case in results.values():
        if any(name not in case for name in names):
            continue
        errors = [means(case[name], "error") for name in names]
        for kind in KINDS:
            if kind in errors[0]:
                for name, rank in zip(names, rankdata([e[kind] for e in errors]), strict=True):
                    collected[name].append(float(rank))
    return collected


def show(out: Path, names: Sequence[str]) -> dict[str, Any]:
    """Print the tables of what OUT holds, in Markdown, and return their numbers."""
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(out.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        results.setdefault((result["table"], result["mask"]), {})[result["method"]] = result
    order = {name: i for i, name in enumerate((*UCI, *HIVAE))}
    results = dict(sorted(results.items(), key=lambda item: (order[item[0][0]], item[0][1])))
    print(f"| table | mask | errors of | {' | '.join(TITLES.get(n, n) for n in names)} |")
    print(f"|---|---|---|{'--:|' * len(names)}")
    for (table, mask), case in results.items():
        errors = {name: means(case[name], "error") for name in names if name in case}
        for kind in (*KINDS, "all"):
            cells = [f"{errors[name][kind]:.4f}" if kind in errors.get(name, {}) else "" for name in names]
            if any(cells):
                lowest = min(c for c in cells if c)
                print(f"| {table} | {mask} | {kind} | {' | '.join(f'**{c}**' if c == lowest else c for c in cells)} |")
    present = [name for name in names if any(name in case for case in results.values())]
    collected = ranks(results, present)
    worse = worse_than_marginal(results)
    print(f"\n| method | average rank of {len(collected[present[0]])} | seconds |\n|---|--:|--:|")
    for name in present:
        seconds = sum(case[name]["seconds"] for case in results.values() if name in case)
        average = float(np.mean(collected[name])) if collected[name] else float("nan")
        print(f"| {TITLES.get(name, name)} | {average:.2f} | {seconds:.0f} |")
    show_uncertainty(results, names)
    print(
        f"\njensen is worse than mean/mode in {len(worse)} columns by more than two standard errors: {worse or 'none'}"
    )
    return {"ranks": {n: float(np.mean(v)) for n, v in collected.items() if v}, "worse than mean/mode": worse}


def show_uncertainty(results: dict[tuple[str, str], dict[str, Any]], names: Sequence[str]) -> None:
    """Print coverage, CRPS and log p for the methods that state them."""
    print(
        "\n| table | mask | method | 90 % intervals cover | of central ranks | CRPS | log p of numbers"
        " | log p of levels |\n|---|---|---|--:|--:|--:|--:|--:|"
    )
    for (table, mask), case in results.items():
        for name in names:
            if name not in case:
                continue
            cells = [means(case[name], m).get("numeric") for m in ("covered", "calibrated", "crps", "log_prob")]
            levels = means({"columns": [c for c in case[name]["columns"] if c["kind"] != "numeric"]}, "log_prob")
            cells.append(levels.get("all"))
            if any(c is not None for c in cells):
                texts = (
                    "" if c is None else f"{c:.1%}" if i < 2 else f"{c:.4f}" if i == 2 else f"{c:.3f}"
                    for i, c in enumerate(cells)
                )
                print(f"| {table} | {mask} | {TITLES.get(name, name)} | {' | '.join(texts)} |")


def worse_than_marginal(results: dict[tuple[str, str], dict[str, Any]], name: str = "jensen") -> list[str]:
    """Columns in which the error is above that of mean/mode by more than two standard errors of its own."""
    worse = []
    for (table, mask), case in results.items():
        if name not in case or "mean/mode" not in case:
            continue
        plain = {c["column"]: c["error"] for c in case["mean/mode"]["columns"]}
        worse += [
            f"{table}, {mask}, {c['column']} ({c['error']:.4f}, not {plain[c['column']]:.4f})"
            for c in case[name]["columns"]
            if c["error"] > plain[c["column"]] + 2 * c["stderr"]
        ]
    return worse


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder with hivae/ and uci/")
    parser.add_argument("--out", type=Path, required=True, help="a folder with a file for each result")
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--masks", nargs="*", help="names of masks")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=[*METHODS, *ALSO])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ranks to this file")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure(options.out, options)
    summary = show(options.out, options.methods)
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
