"""Anomalies found by jensen and by IsolationForest, LOF, PCA and ECOD, each with its defaults, on clean training rows.

    python -m benchmarks.anomaly DATA --out OUT --use pyod=/path/to/python    # what OUT holds is kept
    python -m benchmarks.anomaly DATA --out OUT --table                       # the tables alone, of what OUT holds
    python -m benchmarks.anomaly DATA --out OUT --table --write               # and into docs/anomalies.md
    python -m benchmarks.anomaly DATA --out OUT --only wdbc digits --methods jensen LOF
    python -m benchmarks.anomaly DATA --out OUT --quick                       # 300 rows and short trainings
    python -m benchmarks.anomaly DATA --out OUT --tuning                      # other classes and splits, for choices

DATA holds fashion_mnist/ and uci/. A case is a training on clean rows and a test on other clean rows and anomalies
(`anomaly_data.py`); a data set has a case for each class that is held out, or for each split. AUC and AUPRC are
averaged over the cases of a data set, and ranks over data sets. The rate of false alarms is the share of clean test
rows with a conformal p-value of at most 1, 5 and 10 %: it is at most that in expectation, whatever the model.

The environment of the package pyod is made under .benchmarks/envs, unless --use names one; without it ECOD is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .anomaly_data import NAMES, Case, cases
from .contestants import ROOT, Failed, interpreter, ran
from .tables import filled

METHODS = ("jensen", "IsolationForest", "LOF", "PCA", "ECOD")
ALSO = ("typicality", "regret")  # of the run that jensen's detector has trained
LEVELS = (0.01, 0.05, 0.1)
EXPLAINED = 0.9  # of the variance, by the components of PCA
QUICK = 300  # rows
PAGE = ROOT / "docs" / "anomalies.md"


# ---------------------------------------------------------------- methods: the higher a score, the odder


def by_jensen(case: Case, options: argparse.Namespace) -> tuple[dict[str, np.ndarray], np.ndarray, int]:
    """Scores of the detector with its defaults, and of its run by other measures; p-values, and held-out rows."""
    from jensen.analysis.conformal import p_values as conformal
    from jensen.core.errors import CompositionError
    from jensen.runs.row_measures import Ordinary
    from jensen.sklearn import LatentAnomalyDetector

    epochs = {"epochs": 2} if options.quick else {}
    detector = LatentAnomalyDetector(random_state=options.seed, **epochs).fit(case.train)
    own = detector.score_samples(case.test)
    scores, p_values = {"jensen": -own}, conformal(own, detector.held_out_scores_)
    run, seed = detector.run_, detector.seed_
    part = run.chosen(case.test, seed, True, own="all")
    for name in ALSO:
        try:
            scores[name] = -Ordinary.of(run, name, seed, part.mask is not None).scores(run, part, seed)
        except CompositionError as error:
            print(f"{case.name}: no {name}: {error}", file=sys.stderr)
    return scores, p_values, len(detector.held_out_scores_)


def by_isolation(case: Case, options: argparse.Namespace) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    train, test = case.numbers()
    return -IsolationForest(random_state=options.seed).fit(train).score_samples(test)


def by_neighbours(case: Case, options: argparse.Namespace) -> np.ndarray:
    """LocalOutlierFactor by its defaults: twenty neighbours."""
    from sklearn.neighbors import LocalOutlierFactor

    train, test = case.numbers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that are equal
        return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test)


def by_components(case: Case, options: argparse.Namespace) -> np.ndarray:
    """The squared error of the reconstruction by the principal components that explain 90 % of the variance."""
    from sklearn.decomposition import PCA

    train, test = case.numbers()
    pca = PCA(EXPLAINED, svd_solver="full").fit(train)
    return ((test - pca.inverse_transform(pca.transform(test))) ** 2).sum(1)


def by_pyod(case: Case, options: argparse.Namespace) -> np.ndarray:
    """ECOD of the package pyod, in its own environment.

    Raises:
        Failed: there is none.
    """
    python = options.use.get("pyod") or interpreter("pyod", ROOT / ".benchmarks" / "envs", options.pip_args)
    script = Path(__file__).parent / "rivals" / "with_pyod.py"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, test = case.numbers()
        np.savez(folder / "rows.npz", train=train, test=test)
        ran([python, script, "ECOD", folder / "rows.npz", folder / "scores.npy"])
        return np.load(folder / "scores.npy")


OTHERS: dict[str, Callable[[Case, argparse.Namespace], np.ndarray]] = {
    "IsolationForest": by_isolation,
    "LOF": by_neighbours,
    "PCA": by_components,
    "ECOD": by_pyod,
}


# ---------------------------------------------------------------- measures


def judged(scores: np.ndarray, anomalous: np.ndarray) -> dict[str, float]:
    """AUC, and AUPRC by average precision."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(anomalous, scores)),
        "auprc": float(average_precision_score(anomalous, scores)),
    }


def false_alarms(p_values: np.ndarray, held: int) -> list[dict[str, float]]:
    """At each level: clean rows, alarms among them, and what is expected of p-values on a grid of M + 1."""
    return [
        {
            "level": level,
            "n": len(p_values),
            "alarms": int((p_values <= level + 1e-9).sum()),
            "expected": int(level * (held + 1) + 1e-9) / (held + 1),
            "held": held,
        }
        for level in LEVELS
    ]


def pooled(alarms: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The rate of false alarms over cases, with its standard error if p-values are uniform on their grids.

    Given M held-out rows the rate at j / (M + 1) is Beta(j, M + 1 - j); beside it stands the binomial error of the n
    clean rows. Other splits of the same rows are taken for independent ones.
    """
    rows = []
    for i, level in enumerate(LEVELS):
        each = [case[i] for case in alarms]
        n = sum(a["n"] for a in each)
        rate = sum(a["alarms"] for a in each) / n
        expected = sum(a["n"] * a["expected"] for a in each) / n
        variance = sum(
            a["n"] ** 2 * a["expected"] * (1 - a["expected"]) * (1 / a["n"] + 1 / (a["held"] + 2)) for a in each
        )
        rows.append({"level": level, "n": n, "rate": rate, "expected": expected, "stderr": variance**0.5 / n})
    return rows


def place(out: Path, name: str, number: int, method: str) -> Path:
    """The file of one result."""
    plain = "".join(c if c.isalnum() else " " for c in name)
    return out / f"{'_'.join(plain.split())}-{number}-{method}.json"


def measure(options: argparse.Namespace) -> None:
    """Train and judge each method on each case, where OUT does not hold the result."""
    left_out: set[str] = set()
    for name, number, read in cases(options.data, options.tuning):
        missing = [m for m in options.methods if not place(options.out, name, number, m).exists()]
        if (options.only and name not in options.only) or not missing:
            continue
        case = read().some(QUICK) if options.quick else read()
        for method in missing:
            if method in left_out:
                continue
            began, more = time.monotonic(), {}
            try:
                if method == "jensen":
                    scores, p_values, held = by_jensen(case, options)
                    more = {m: judged(scores[m], case.anomalous) for m in ALSO if m in scores}
                    more["false alarms"] = false_alarms(p_values[~case.anomalous], held)
                    own = scores["jensen"]
                else:
                    own = OTHERS[method](case, options)
            except Failed as error:
                print(f"{method} is left out: {error}", file=sys.stderr)
                left_out.add(method)
                continue
            result = {"data": name, "number": number, "method": method, **judged(own, case.anomalous), **more}
            result |= {"anomalies": int(case.anomalous.sum()), "clean": int((~case.anomalous).sum())}
            result["seconds"] = round(time.monotonic() - began, 1)
            path = place(options.out, name, number, method)
            path.write_text(json.dumps(result, indent=1), encoding="utf-8")
            print(
                f"{name}, {number}: {method}: AUC {result['auc']:.3f}, {result['seconds']} s",
                file=sys.stderr,
                flush=True,
            )


# ---------------------------------------------------------------- tables


def averages(results: Sequence[dict[str, Any]], measure: str) -> dict[str, dict[str, float]]:
    """The mean of a measure over the cases of each data set, by data set and method."""
    collected: dict[str, dict[str, list[float]]] = {name: {} for name in NAMES}
    for r in results:
        of_methods = {r["method"]: r[measure], **{m: r[m][measure] for m in ALSO if m in r}}
        for method, value in of_methods.items():
            collected[r["data"]].setdefault(method, []).append(value)
    return {name: {m: float(np.mean(v)) for m, v in each.items()} for name, each in collected.items() if each}


def mean_ranks(means: dict[str, dict[str, float]], methods: Sequence[str]) -> dict[str, float]:
    """The mean rank of each method, from 1 for the highest, over the data sets that all of them have."""
    from scipy.stats import rankdata

    whole = [each for each in means.values() if all(m in each for m in methods)]
    if not whole:
        return {}
    ranks = rankdata([[-round(each[m], 3) for m in methods] for each in whole], axis=1)
    return dict(zip(methods, ranks.mean(0).tolist(), strict=True))


def tables(out: Path, methods: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The tables of what OUT holds, in Markdown, and their numbers."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    present = [m for m in methods if any(r["method"] == m for r in results)]
    also = [m for m in ALSO if any(m in r for r in results)]
    columns, summary, lines = [*present, *also], dict[str, Any](), list[str]()
    for kind, title in (("auc", "AUC"), ("auprc", "AUPRC")):
        means = averages(results, kind)
        lines += [
            f"| {title} | cases | anomalies | {' | '.join([*present, *(f'jensen, {m}' for m in also)])} |",
            f"|---|--:|--:|{'--:|' * len(columns)}",
        ]
        for name, each in means.items():
            ours = [r for r in results if r["data"] == name]
            share = np.mean([r["anomalies"] / (r["anomalies"] + r["clean"]) for r in ours])
            best = max((round(each[m], 3) for m in present if m in each), default=0.0)
            cells = [f"{each[m]:.3f}" if m in each else "" for m in columns]
            cells = [
                f"**{c}**" if c == f"{best:.3f}" and m in present else c for m, c in zip(columns, cells, strict=True)
            ]
            lines.append(f"| {name} | {len({r['number'] for r in ours})} | {share:.0%} | {' | '.join(cells)} |")
        ranks = mean_ranks(means, present)
        cells = [f"{ranks[m]:.2f}" if m in ranks else "" for m in columns]
        lines += [f"| mean rank | | | {' | '.join(cells)} |", ""]
        summary[kind] = {"means": means, "ranks": ranks}
    # tables of one family and number differ in their anomalies alone: their clean rows count once
    of_rows = {(r["data"].split(",")[0], r["number"]): r["false alarms"] for r in results if "false alarms" in r}
    alarms = list(of_rows.values())
    if alarms:
        summary["false alarms"] = pooled(alarms)
        lines += [
            "| p-value at most | clean rows | false alarms | expected | standard error |",
            "|--:|--:|--:|--:|--:|",
        ]
        for row in summary["false alarms"]:
            shares = " | ".join(f"{row[name]:.2%}" for name in ("rate", "expected", "stderr"))
            lines.append(f"| {row['level']:.0%} | {row['n']:,} | {shares} |")
    return "\n".join(lines), summary


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder with fashion_mnist/ and uci/")
    parser.add_argument("--out", type=Path, required=True, help="a folder with a file for each result")
    parser.add_argument("--only", nargs="*", choices=NAMES, help="names of data sets")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--use", nargs="*", default=[], metavar="NAME=PYTHON", help="existing environments")
    parser.add_argument("--pip-args", nargs="*", default=[])
    parser.add_argument("--tuning", action="store_true", help="the classes and splits by which defaults are chosen")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/anomalies.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    options.use = {name: Path(python) for name, _, python in (text.partition("=") for text in options.use)}
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure(options)
    text, summary = tables(options.out, options.methods)
    print(text)
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), {"figures": text}), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
