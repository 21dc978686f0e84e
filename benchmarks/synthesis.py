"""Drawn rows of Adult in the place of real ones, and its income predicted: jensen, TVAE and CTGAN.

    python -m benchmarks.synthesis adult.csv --out OUT --use ctgan=/path/to/python     # what OUT holds is kept
    python -m benchmarks.synthesis adult.csv --out OUT --table                         # the tables alone
    python -m benchmarks.synthesis adult.csv --out OUT --quick                         # everything runs

Three quarters of the rows train each model, the rest test it. A gradient-boosted classifier of income learns from as
many drawn rows as there are real ones, and is tested on real ones; a second one is to tell drawn rows from real test
rows (half of them train it), where 0.5 is the best result. `predict` answers from the joint model, which was not
trained for income. The environment of the package ctgan is made under .benchmarks/envs, unless --use names one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .contestants import ROOT, Failed, interpreter, ran

METHODS = ("real", "jensen", "TVAE", "CTGAN")
TARGET, POSITIVE = "income", ">50K"
BINS = 15  # of the expected calibration error


# ---------------------------------------------------------------- data


def adult(path: Path, seed: int, quick: bool) -> tuple[Any, Any]:
    """Training and test rows; "?" is a missing level."""
    import pandas as pd

    frame = pd.read_csv(path, skipinitialspace=True, na_values=["?"])
    order = np.random.default_rng(seed).permutation(len(frame))[: 1200 if quick else None]
    cut = round(0.75 * len(order))
    return frame.iloc[order[:cut]].reset_index(drop=True), frame.iloc[order[cut:]].reset_index(drop=True)


def features(frame: Any, like: Any) -> Any:
    """The frame for scikit-learn: levels of `like` as categories, numbers as floats."""
    import pandas as pd

    columns = {}
    for name in like.columns:
        if pd.api.types.is_numeric_dtype(like[name]):
            columns[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
        else:
            levels, texts = sorted(like[name].dropna().unique()), frame[name].astype(object)
            columns[name] = pd.Categorical(texts.where(texts.isin(levels), None), categories=levels)
    return pd.DataFrame(columns)


# ---------------------------------------------------------------- measures


def classifier(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed)


def probabilities(train: Any, test: Any, like: Any, seed: int) -> np.ndarray:
    """P(income is high) of test rows [n], by a classifier of the training rows."""
    train = train[train[TARGET].notna()]
    x, y = features(train, like).drop(columns=TARGET), (train[TARGET] == POSITIVE).to_numpy()
    return classifier(seed).fit(x, y).predict_proba(features(test, like).drop(columns=TARGET))[:, 1]


def told_apart(drawn: Any, real: Any, seed: int) -> float:
    """The AUC of a classifier of drawn against real rows, on rows that did not train it."""
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    n = min(len(drawn), len(real))
    x = pd.concat([features(drawn.iloc[:n], real), features(real.iloc[:n], real)], ignore_index=True)
    y, order = np.repeat([0, 1], n), np.random.default_rng(seed).permutation(2 * n)
    half, rest = order[:n], order[n:]
    return float(roc_auc_score(y[rest], classifier(seed).fit(x.iloc[half], y[half]).predict_proba(x.iloc[rest])[:, 1]))


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """The expected calibration error: |frequency - mean probability| of equal bins of p, averaged over rows."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return float(sum(abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)))


def judged(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """AUC with its standard error by 200 bootstraps, calibration error, log-loss and accuracy of probabilities."""
    from sklearn.metrics import log_loss, roc_auc_score

    rng = np.random.default_rng(0)
    again = [roc_auc_score(y[i], p[i]) for i in (rng.integers(0, len(y), len(y)) for _ in range(200))]
    return {
        "auc": float(roc_auc_score(y, p)),
        "stderr": float(np.std(again)),
        "ece": calibration_error(p, y),
        "log_loss": float(log_loss(y, np.clip(p, 1e-6, 1 - 1e-6))),
        "accuracy": float(((p > 0.5) == y).mean()),
    }


# ---------------------------------------------------------------- models


def by_jensen(train: Any, test: Any, folder: Path, options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Rows drawn by a run with its defaults, and what its `predict` says of income."""
    import jensen

    began = time.monotonic()
    run = jensen.train(
        train,
        out=folder,
        force=True,
        split=(0.9, 0.1, 0),
        checkpoints=0,
        seed=options.seed,
        **({"epochs": 5} if options.quick else {}),
    )
    seconds = time.monotonic() - began
    income = run.predict(test, TARGET, seed=options.seed)
    p = income.probabilities[:, income.levels.index(POSITIVE)]
    known = {"predict": judged(p, (test[TARGET] == POSITIVE).to_numpy()), "seconds": round(seconds, 1)}
    return run.sample(len(train), seed=options.seed), known


def by_ctgan(model: str, train: Any, folder: Path, options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Rows drawn by a model of the package ctgan, in its own environment."""
    import pandas as pd

    python = options.use.get("ctgan") or interpreter("ctgan", ROOT / ".benchmarks" / "envs", options.pip_args)
    folder.mkdir(parents=True, exist_ok=True)
    levelled = [name for name in train.columns if not pd.api.types.is_numeric_dtype(train[name])]
    train.fillna(dict.fromkeys(levelled, "?")).to_csv(folder / "train.csv", index=False)
    script = Path(__file__).parent / "rivals" / "with_ctgan.py"
    command = [python, script, model, folder / "train.csv", folder / "drawn.csv", "--rows", len(train)]
    command += ["--seed", options.seed, "--levelled", *levelled, *(["--epochs", 2] if options.quick else [])]
    said = json.loads(ran([str(c) for c in command]).splitlines()[-1])
    return pd.read_csv(folder / "drawn.csv", na_values=["?"]), said


def measure(options: argparse.Namespace) -> None:
    """Train and judge each model, where OUT does not hold the result."""
    train, test = adult(options.data, options.seed, options.quick)
    y = (test[TARGET] == POSITIVE).to_numpy()
    for method in options.methods:
        path = options.out / f"{method}-{options.seed}.json"
        if path.exists():
            continue
        folder, said = options.out / f"{method}-{options.seed}", {}
        try:
            if method == "real":
                drawn = train
            elif method == "jensen":
                drawn, said = by_jensen(train, test, folder, options)
            else:
                drawn, said = by_ctgan(method, train, folder, options)
        except Failed as error:
            print(f"{method}: {error}", file=sys.stderr)
            continue
        trained = judged(probabilities(drawn, test, train, options.seed), y)
        result = {"method": method, "seed": options.seed, **said, "trained on its rows": trained}
        result["told apart"] = told_apart(drawn, test, options.seed)
        path.write_text(json.dumps(result, indent=1), encoding="utf-8")
        print(f"{method}: {json.dumps(result)}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- tables


def show(out: Path) -> list[dict[str, Any]]:
    """Print the tables of what OUT holds, in Markdown, and return their rows."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    results.sort(key=lambda r: (METHODS.index(r["method"]), r["seed"]))
    print("| rows of | seed | AUC on real rows, of a classifier trained on them | real against drawn, AUC | seconds |")
    print("|---|--:|--:|--:|--:|")
    for r in results:
        auc = r["trained on its rows"]
        print(
            f"| {r['method']} | {r['seed']} | {auc['auc']:.4f} ± {auc['stderr']:.4f} | {r['told apart']:.3f}"
            f" | {r.get('seconds', '')} |"
        )
    print("\n| income by | seed | AUC | calibration error | log-loss | accuracy |\n|---|--:|--:|--:|--:|--:|")
    for r in results:
        judge = r["trained on its rows"] if r["method"] == "real" else r.get("predict")
        if judge:
            name = "HistGradientBoosting" if r["method"] == "real" else "`predict`"
            print(
                f"| {name} | {r['seed']} | {judge['auc']:.4f} ± {judge['stderr']:.4f} | {judge['ece']:.4f}"
                f" | {judge['log_loss']:.4f} | {judge['accuracy']:.4f} |"
            )
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="FILE", help="Adult with a header, as CSV")
    parser.add_argument("--out", type=Path, required=True, help="a folder with a file for each result")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--use", nargs="*", default=[], metavar="NAME=PYTHON", help="existing environments")
    parser.add_argument("--pip-args", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    options = parser.parse_args(arguments)
    options.use = {name: Path(python) for name, _, python in (text.partition("=") for text in options.use)}
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure(options)
    results = show(options.out)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
