"""Optimisers on one bound: a VAE on the digits, each at the best of a few learning rates, with its curve.

python benchmarks/optimizers.py --out OUT            # what OUT holds is not repeated
python benchmarks/optimizers.py --out OUT --write    # the same, and docs/optimizers.md with its picture

The schedule-free one needs `pip install ".[benchmarks]"`; without it, it is left out and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs" / "optimizers.md", ROOT / "docs" / "images" / "optimizers.svg"
DATA, BASELINE = "digits", "Adam"
K = {"train": 20, "test": 500}  # points of each datum's ELBO, which is unbiased for any number of them


@dataclass(frozen=True)
class Case:
    """An optimiser with the learning rates to try.

    Attributes:
        name: in the table.
        kind: a class of torch.optim, or "ScheduleFree".
        rates: learning rates to choose from.
        options: of that class.
        schedule: of the learning rate.
    """

    name: str
    kind: str
    rates: tuple[float, ...]
    options: tuple[tuple[str, Any], ...] = ()
    schedule: str = "cosine"


CASES = (
    Case("Adam", "Adam", (1e-3, 3e-3, 1e-2)),
    Case("Adam, constant rate", "Adam", (1e-3, 3e-3, 1e-2), schedule="constant"),
    Case("AdamW", "AdamW", (1e-3, 3e-3, 1e-2)),
    Case("NAdam", "NAdam", (1e-3, 3e-3, 1e-2)),
    Case("Adagrad", "Adagrad", (3e-3, 1e-2, 3e-2)),
    Case("SGD, momentum 0.9", "SGD", (3e-3, 1e-2, 3e-2), (("momentum", 0.9),)),
    Case("schedule-free AdamW", "ScheduleFree", (1e-3, 3e-3, 1e-2), schedule="constant"),
)


@dataclass(frozen=True)
class ScheduleFree:
    """Defazio and others' optimiser in the place of `jensen.training.Optimizer`.

    Its closure form leaves the averaged point in the parameters after every step, so that validation sees that one. A
    twentieth of the steps warm up, as its authors advise.
    """

    lr: float
    steps: int
    name: str = "AdamWScheduleFree"

    def __call__(self, parameters: Sequence[Any]) -> Any:
        from schedulefree import AdamWScheduleFreeClosure

        return AdamWScheduleFreeClosure(list(parameters), lr=self.lr, warmup_steps=self.steps // 20)


# ---------------------------------------------------------------- one run


def measured(case: Case, lr: float, seed: int, epochs: int) -> dict[str, Any]:
    """Train the VAE once; the validation bound of each epoch, and what it ends with."""
    from dataclasses import replace

    from jensen.core.errors import NumericalError
    from jensen.evaluate import Importance
    from jensen.recipes import find
    from jensen.runs import train
    from jensen.training import Budget, Optimizer

    training = train.TrainingOptions(epochs=epochs, schedule=case.schedule, keep="last")
    recipe = find("vae")
    options = recipe.checked({"warmup": 0})
    job = train.Job(train.Sources(DATA), recipe, train.DataOptions(seed=seed), training, options, Path())
    job.prepare(lambda text: None)
    made, found = job.made, job.found
    steps = job.choices["steps_per_epoch"] * epochs
    how = ScheduleFree(lr, steps) if case.kind == "ScheduleFree" else Optimizer(case.kind, lr, case.options)
    players = [replace(player, optimizer=how) for player in made.players]
    started = time.perf_counter()
    try:
        history = job.trainer.fit(made.model, made.guide, players, found.train, Budget(epochs), found.valid)
    except NumericalError as error:
        return {"diverged": str(error)}
    seconds = time.perf_counter() - started
    shift = found.preparation.log_jacobian(found.data.schema.size)
    test = found.data.rows(found.split.test)
    rows = found.preparation.rows(test.x, found.data.schema, device=job.device, dtype=job.dtype, stream=2)
    parts = {"train": found.train, "test": rows}
    scores = {name: Importance(K[name])(made.model, made.guide, part, 0) for name, part in parts.items()}
    return {
        "curve": [event.valid.bound for event in history.epochs],
        "seconds": seconds,
        "train": float(scores["train"].elbo.mean()) + shift,
        "test": (scores["test"].elbo + shift).tolist(),
    }


def kept(options: argparse.Namespace, case: Case, lr: float, seed: int) -> list[dict[str, Any]]:
    """One run, from OUT if it is there; none, if it is not there and only the page is asked for."""
    stem = f"{case.name}-{lr:g}-{seed}-{options.epochs}".replace(" ", "-").replace(",", "")
    path = options.out / f"{stem}.json"
    if not path.exists() and options.table:
        return []
    if not path.exists():
        result = measured(case, lr, seed, options.epochs)
        path.write_text(json.dumps(result), encoding="utf-8")
        last = result["curve"][-1] if "curve" in result else math.nan
        print(f"{stem}: {last:.2f}, {result.get('seconds', math.nan):.1f} s", file=sys.stderr, flush=True)
    return [json.loads(path.read_text(encoding="utf-8"))]


def gather(options: argparse.Namespace) -> dict[tuple[str, float], list[dict[str, Any]]]:
    """Every learning rate with the first seed, and the best of them with the others."""
    found = {(case.name, lr): kept(options, case, lr, 0) for case in available() for lr in case.rates}
    for case in available():
        lr = best(case, found)
        found[case.name, lr] += [run for seed in range(1, options.seeds) for run in kept(options, case, lr, seed)]
    return found


def available() -> list[Case]:
    """The optimisers that are installed."""
    free = importlib.util.find_spec("schedulefree") is not None
    return [case for case in CASES if case.kind != "ScheduleFree" or free]


# ---------------------------------------------------------------- the page


def final(runs: Sequence[dict[str, Any]]) -> float:
    """The validation bound of the first seed at the end; a run that diverged counts as the worst."""
    last = runs[0]["curve"][-1] if runs and "curve" in runs[0] else math.nan
    return last if math.isfinite(last) else -math.inf


def best(case: Case, runs: dict[tuple[str, float], list[dict[str, Any]]]) -> float:
    """The learning rate with the highest validation bound at the end."""
    return max(case.rates, key=lambda lr: final(runs[case.name, lr]))


def error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def row(case: Case, runs: dict[tuple[str, float], list[dict[str, Any]]]) -> str:
    """One line of the table."""
    lr = best(case, runs)
    mine, base = runs[case.name, lr], runs[BASELINE, best(CASES[0], runs)]
    tests = [statistics.fmean(run["test"]) for run in mine]
    valid = [run["curve"][-1] for run in mine]
    cells = [case.name, case.schedule, f"{lr:g}" + (" (end)" if lr in (case.rates[0], case.rates[-1]) else "")]
    cells += [f"{statistics.fmean(run['train'] for run in mine):.2f}", f"{statistics.fmean(valid):.2f}"]
    cells += [f"{statistics.fmean(tests):.2f}", f"{error(tests):.2f}"]
    if case.name == BASELINE:
        cells += ["", "", ""]
    else:
        means = [
            [statistics.fmean(values) for values in zip(*(r["test"] for r in g), strict=True)] for g in (mine, base)
        ]
        apart = [a - b for a, b in zip(*means, strict=True)]
        others = [statistics.fmean(run["test"]) for run in base]
        cells += [
            f"{statistics.fmean(apart):+.2f}",
            f"{error(apart):.2f}",
            f"{math.hypot(error(tests), error(others)):.2f}",
        ]
    cells += [str(len(mine)), f"{statistics.fmean(run['seconds'] for run in mine):.1f}"]
    return f"| {' | '.join('' if cell == 'nan' else cell for cell in cells)} |"


def table(runs: dict[tuple[str, float], list[dict[str, Any]]]) -> list[str]:
    heads = (
        "optimiser",
        "schedule",
        "learning rate",
        "ELBO, train",
        "ELBO, validation",
        "ELBO, test",
        "s.e. over seeds",
    )
    heads += (f"minus {BASELINE}", "s.e. over rows", "s.e. over seeds", "seeds", "seconds")
    aligned = ["---"] * 2 + ["--:"] * (len(heads) - 2)
    return [f"| {' | '.join(heads)} |", f"|{'|'.join(aligned)}|", *(row(case, runs) for case in available())]


def rates_table(runs: dict[tuple[str, float], list[dict[str, Any]]]) -> list[str]:
    """The validation bound at every learning rate: how much the choice matters."""
    lines = ["| optimiser | ELBO on the validation rows at each learning rate, first seed |", "|---|---|"]
    for case in available():
        scores = [(lr, final(runs[case.name, lr])) for lr in case.rates]
        cells = [f"{lr:g}: {'diverged' if value == -math.inf else format(value, '.2f')}" for lr, value in scores]
        lines.append(f"| {case.name} | {'; '.join(cells)} |")
    return lines


def picture(runs: dict[tuple[str, float], list[dict[str, Any]]], path: Path, most: int) -> None:
    """The curves as SVG: the mean over seeds, with its standard error as a band."""
    import numpy as np
    from matplotlib import style
    from matplotlib.figure import Figure

    from jensen.plot.style import COLOURS, INK, RC, TEXTS

    with style.context(["default", RC | {"svg.hashsalt": "optimizers", "savefig.facecolor": "white", "font.size": 12}]):
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes, ends = figure.add_subplot(), []
        for i, case in enumerate(available()):
            curves = np.array([run["curve"] for run in runs[case.name, best(case, runs)]])
            epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(0)
            colour, dash = ((*COLOURS, INK)[i], (*TEXTS, INK)[i]), "-" if case.schedule == "cosine" else (0, (5, 2))
            axes.plot(epochs, mean, color=colour[0], linestyle=dash, linewidth=1.6)
            band = curves.std(0, ddof=1) / np.sqrt(len(curves)) if len(curves) > 1 else 0 * mean
            axes.fill_between(epochs, mean - band, mean + band, color=colour[0], alpha=0.2, linewidth=0)
            ends.append([mean[-1], case.name, colour[1], mean[-1]])
        low = min(end[0] for end in ends)
        high = max(end[0] for end in ends)
        axes.set_ylim(low - 0.8 * (high - low) - 3, high + 0.15 * (high - low) + 0.3)
        apart = 0.05 * (axes.get_ylim()[1] - axes.get_ylim()[0])
        ends.sort()
        for lower, upper in pairwise(ends):
            upper[0] = max(upper[0], lower[0] + apart)
        for height, name, colour, value in ends:
            axes.annotate(
                f"{name} {value:.1f}",
                (most, value),
                (most * 1.02, height),
                color=colour,
                va="center",
                annotation_clip=False,
            )
        axes.set(xlabel="epoch", ylabel="ELBO on validation rows, nats per datum", xlim=(0, most))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def page(options: argparse.Namespace, runs: dict[tuple[str, float], list[dict[str, Any]]]) -> str:
    """docs/optimizers.md."""
    import torch

    left = [case.name for case in CASES if case not in available()]
    lines = [
        "<!-- Made by benchmarks/optimizers.py --write: change that, not this page. -->",
        "",
        "# Optimisers on one bound",
        "",
        f"`jensen train --optimizer NAME` takes any optimiser of `torch.optim`. Here some of them maximise the ELBO of "
        "one model, the recipe `vae` (16 features, no warm-up of the rate, batches of 128, 12 steps an epoch, "
        f"{options.epochs} epochs) on the digits, each at the best of a few learning rates.",
        "",
        "The rate is chosen by the bound on the validation rows at the end of the first seed, and the numbers "
        "compared are the ELBO of the *last* weights on test rows, which played no part in that choice. "
        "Numbers are nats per datum, "
        f"lower bounds on log p(x), by {K['test']} points per test datum. "
        "Differences are paired by row; *(end)* marks a rate at the end of the range tried.",
        "",
        "![Curves of the validation bound against epochs, one per optimiser](images/optimizers.svg)",
        "",
        "Dashed: a constant rate. The band is one standard error over seeds, on the same rows.",
        "",
        *table(runs),
        "",
        *rates_table(runs),
        "",
        verdict(runs),
        "",
        "AdamW decays weights by 0.01, torch's default. Adagrad and SGD have torch's defaults beside the momentum. The "
        "schedule-free optimiser is that of Defazio and others (2024), from the package `schedulefree` (Apache 2.0, "
        'newest release 1.4.1, of March 2025). Only this page needs it: `pip install ".[benchmarks]"`.',
        "",
        f"Made by `python benchmarks/optimizers.py --out OUT --write`; seeds 0 to {options.seeds - 1}, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads."
        + (f" Not installed: {', '.join(left)}." if left else ""),
    ]
    return "\n".join(lines) + "\n"


def verdict(runs: dict[tuple[str, float], list[dict[str, Any]]]) -> str:
    """Return the results in words, by twice the standard error over seeds."""
    base = [statistics.fmean(run["test"]) for run in runs[BASELINE, best(CASES[0], runs)]]
    groups: dict[str, list[str]] = {"higher": [], "lower": [], "similar": []}
    for case in available()[1:]:
        mine = [statistics.fmean(run["test"]) for run in runs[case.name, best(case, runs)]]
        apart = statistics.fmean(mine) - statistics.fmean(base)
        limit = 2 * math.hypot(error(mine), error(base))
        clear = abs(apart) > limit  # False with one seed, whose error is not known
        where = "similar" if not clear else "higher" if apart > 0 else "lower"
        groups[where].append(case.name)
    results = [
        f"{where} than it by more than two standard errors over seeds: {', '.join(names)}"
        for where, names in groups.items()
        if names and where != "similar"
    ]
    same = groups["similar"]
    results += [f"not distinguishable from it with so few seeds: {', '.join(same)}"] if same else []
    return f"Against {BASELINE} with its cosine schedule, jensen's default, on test rows: {'; '.join(results)}."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its picture")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    runs = gather(options)
    text = page(options, runs)
    print(text)
    picture(runs, PICTURE if options.write else options.out / PICTURE.name, options.epochs)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
