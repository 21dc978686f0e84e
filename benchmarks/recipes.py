"""Every recipe on the digits: its sentence, its paper, its log p(x) with errors, and the seconds that it takes.

python benchmarks/recipes.py --out OUT                  # three seeds of every recipe; what OUT holds is not repeated
python benchmarks/recipes.py --out OUT --write          # the same, and docs/recipes.md of it
python benchmarks/recipes.py --out OUT --table --write  # the page alone, of what OUT holds

A result is kept as OUT/RECIPE-SEED.json and holds as long as the settings and the recipe's sentence are the same. A
change that neither of them shows (of a network's start, say) needs another OUT.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "recipes.md"
DATA, SECONDS = "digits", 60
BASELINE = {"mass": "vae", "density": "ppca"}
MARK = "<!-- Made by benchmarks/recipes.py --write: change that, not this page. -->"
INTRODUCTION = f"""{MARK}

# The recipes, and the result of each on the digits

A recipe is a choice along six axes, which its sentence states. All are trained by `jensen train digits --recipe NAME`,
with the recipe's own defaults except for what the last section names (often the number of epochs; the schedules in a
sentence are those of the defaults), on 1,797 images of 8 x 8 pixels: 1,437 for training, 180 for the choice of the best
weights, 180 for testing. No recipe was tuned here, and few have as many features or epochs as they need: the tables
show
what each costs and reaches in a short time, not which model is best. For your own data, `jensen compare` tests that.
For scale: pixels that are independent, each a discretised logistic, have -108.5. A model below that has learned less
here, or pays more for its latents than they save.

Numbers are nats per datum on the test rows, in the data's own units, with all constants. *Exact* is the evidence; a
*stochastic lower bound* is that of the stated number of points, and lies below log p(x) by an unknown amount, so that a
difference of two bounds may be a difference in tightness; † marks importance weights too uneven for a reliable Monte
Carlo error, so that the bound may be far below. *s.e. over rows* is the error from the choice of test rows, *s.e. over
seeds* that from training (the rows are the same for all seeds). Differences are paired by row.
"""
MEASURES = {
    "mass": """## Masses

The base measure is counting: p(x) is the probability of an image of 17 grey levels, so that no log p(x) is above 0, and
bits per dimension are those of a code.
""",
    "density": """## Densities

These model a density over reals, and the 17 levels are not real: uniform noise from [0, 1) is added to each pixel,
once, and the base measure is Lebesgue's on [0, 17)^64. By Jensen's inequality the mean of such a log-density over the
noise is a lower bound on the log-mass that the same model gives to the levels. It is still a different quantity from
the one above: **the two tables must not be compared**.
""",
    "none": """## Without a number

These models form no bound on log p(x), for the reason given. The distortion, -E[log p(x | z)], measures how well they
reconstruct, and not how probable the data are.
""",
}


# ---------------------------------------------------------------- what a recipe is


def sentence(name: str) -> str:
    """What the recipe makes for the digits by its defaults, in words; nothing is trained."""
    from jensen.recipes import find
    from jensen.runs import train

    chosen = find(name)
    options = (train.DataOptions(), train.TrainingOptions(), chosen.checked({}))
    job = train.Job(train.Sources(DATA), chosen, *options, Path())
    job.prepare(lambda text: None)
    return job.spec()["sentence"]


# ---------------------------------------------------------------- one run


def settings_of(options: argparse.Namespace, name: str, seed: int, words: str) -> dict[str, Any]:
    """What a result depends on."""
    return {"recipe": name, "seed": seed, "epochs": options.epochs, "k": options.k, "sentence": words}


def held(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The result in this file, if it is of these settings."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("settings") == settings else None


def measured(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate; a refusal is a result too."""
    import jensen
    from jensen.core.errors import JensenError

    name, seed = settings["recipe"], settings["seed"]
    folder = options.out / "runs" / f"{name}-{seed}"
    given = {} if options.epochs is None else {"epochs": options.epochs}
    started = time.perf_counter()
    try:
        run = jensen.train(DATA, recipe=name, out=folder, force=True, seed=seed, checkpoints=0, patience=None, **given)
        seconds = time.perf_counter() - started
        found = numbers(run, options.k)
    except JensenError as error:
        seconds, found = time.perf_counter() - started, {"refusal": str(error)}
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return {"settings": settings, "seconds": seconds, "machine": machine(), **found}


def numbers(run: Any, k: int) -> dict[str, Any]:
    """The evaluation of a run's test rows, as JSON takes it."""
    from jensen.core.errors import JensenError
    from jensen.runs.compare import measure_of

    found = {"measure": measure_of(run), "epochs": run.spec["choices"]["epochs"], "size": run.schema.size}
    estimate = run.evaluate(k=k).estimate
    found |= {"kind": str(estimate.kind), "k": estimate.k, "reliable": estimate.reliable}
    found["distortion"] = None if estimate.distortion is None else float(estimate.distortion.double().mean())
    if estimate.nats is not None:
        return found | {"nats": estimate.nats.tolist(), "stderr_mc": estimate.stderr_mc}
    try:
        run.evaluate(method="importance")
    except JensenError as error:
        return found | {"refusal": str(error)}
    return found | {"refusal": "the guide has no density"}


def machine() -> dict[str, Any]:
    """Where the seconds were taken."""
    import torch

    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return {"processor": processor, "threads": torch.get_num_threads(), "torch": str(torch.__version__)}


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def gather(options: argparse.Namespace, words: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The results of every recipe; those that are not there are measured first, unless only the page is asked for."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in words}
    for seed in range(options.seeds):
        for name, told in words.items():
            path = options.out / f"{name}-{seed}.json"
            settings = settings_of(options, name, seed, told)
            result = held(path, settings)
            if result is None and not options.table and name in options.only:
                result = measured(options, settings)
                path.write_text(json.dumps(result, indent=1), encoding="utf-8")
                print(progress(result), file=sys.stderr, flush=True)
            found[name] += [] if result is None else [result]
    return found


def progress(result: dict[str, Any]) -> str:
    """One line about one run."""
    nats, about = result.get("nats"), result["settings"]
    number = f"{statistics.fmean(nats):.2f} ({result['kind']})" if nats else result["refusal"]
    return f"{about['recipe']} {about['seed']}: {number}, {result['seconds']:.0f} s"


# ---------------------------------------------------------------- the page


def by_section(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The recipes of each section of the page."""
    sections: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in (*MEASURES, "missing")}
    for name, runs in results.items():
        scored = [run for run in runs if "nats" in run]
        where = "missing" if not runs else scored[0]["measure"] if scored else "none"
        sections[where][name] = scored or runs
    return sections


def spread(values: Sequence[float]) -> float | None:
    """The standard error of a mean; None of fewer than two values."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def over_rows(runs: Sequence[dict[str, Any]]) -> list[float]:
    """The nats of each row, as a mean over seeds."""
    return [statistics.fmean(row) for row in zip(*(run["nats"] for run in runs), strict=True)]


def difference(runs: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> tuple[float, float | None, float]:
    """Mean, standard error over rows (paired), and over seeds (of both, which are independent)."""
    apart = [a - b for a, b in zip(over_rows(runs), over_rows(base), strict=True)]
    errors = [spread([statistics.fmean(run["nats"]) for run in group]) for group in (runs, base)]
    seeds = math.nan if None in errors else math.hypot(*(e for e in errors if e is not None))
    return statistics.fmean(apart), spread(apart), seeds


def told(value: float | None, form: str = ".2f") -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def kind_of(run: dict[str, Any]) -> str:
    """The kind of a number, and its number of points."""
    points = "" if run["k"] is None else f", K = {run['k']:,}"
    return run["kind"] + points + (" †" if run["reliable"] is False else "")


def row(name: str, runs: Sequence[dict[str, Any]], baseline: str, base: Sequence[dict[str, Any]]) -> str:
    """One line of a table of numbers."""
    from jensen.recipes import find

    means = [statistics.fmean(run["nats"]) for run in runs]
    mean, rows = statistics.fmean(means), over_rows(runs)
    seconds = statistics.fmean(run["seconds"] for run in runs)
    given = " of x given its label" if find(name).labels == "context" else ""  # another number than log p(x)
    cells = [f"`{name}`{given}", told(mean), told(spread(rows)), told(spread(means)), kind_of(runs[0])]
    if name == baseline or not base or given:
        cells += ["", "", ""]
    else:
        apart, paired, seeds = difference(runs, base)
        cells += [told(apart, "+.2f"), told(paired), told(seeds)]
    bits = -mean / (runs[0]["size"] * math.log(2))
    late = f"{seconds:.0f}" + (" (!)" if seconds > SECONDS else "")
    return f"| {' | '.join([*cells, told(bits, '.3f'), str(len(runs)), str(runs[0]['epochs']), late])} |"


def number_table(measure: str, section: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The numbers of one base measure, the highest first."""
    baseline = BASELINE[measure]
    base = section.get(baseline, [])
    heads = ("recipe", "log p(x)", "s.e. over rows", "s.e. over seeds", "kind", f"minus `{baseline}`")
    heads += ("s.e. over rows", "s.e. over seeds", "bits per dim", "seeds", "epochs", "seconds")
    aligned = ["---" if head in ("recipe", "kind") else "--:" for head in heads]
    ranked = sorted(section, key=lambda name: -statistics.fmean(over_rows(section[name])))
    lines = [row(name, section[name], baseline, base) for name in ranked]
    return [f"| {' | '.join(heads)} |", f"|{'|'.join(aligned)}|", *lines]


def refusal_table(section: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The recipes without a number, each with its reason."""
    lines = ["| recipe | why | distortion | seeds | seconds |", "|---|---|--:|--:|--:|"]
    for name, runs in section.items():
        lost = [run["distortion"] for run in runs if run.get("distortion") is not None]
        seconds = statistics.fmean(run["seconds"] for run in runs)
        distortion = told(statistics.fmean(lost)) if lost else ""
        why = runs[0]["refusal"].replace("|", chr(92) + "|")
        lines.append(f"| `{name}` | {why} | {distortion} | {len(runs)} | {seconds:.0f} |")
    return lines


def sentence_table(names: Sequence[str], words: dict[str, str]) -> list[str]:
    """What each recipe is, and where it was published."""
    from jensen.recipes import find

    lines = ["| recipe | sentence | paper |", "|---|---|---|"]
    return lines + [f"| `{name}` | {words[name].replace('|', chr(92) + '|')} | {find(name).paper} |" for name in names]


def page(options: argparse.Namespace, words: dict[str, str], results: dict[str, list[dict[str, Any]]]) -> str:
    """docs/recipes.md."""
    sections, lines = by_section(results), [INTRODUCTION]
    for where, text in MEASURES.items():
        if section := sections[where]:
            names = list(section)
            table = refusal_table(section) if where == "none" else number_table(where, section)
            lines += [text, *table, "", *sentence_table(names, words), ""]
    if sections["missing"]:
        lines += ["## Not measured yet", "", *sentence_table(list(sections["missing"]), words), ""]
    return "\n".join([*lines, *notes(options, results)]) + "\n"


def notes(options: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """How the numbers were made."""
    runs = [run for group in results.values() for run in group]
    lines = ["## How these were made", "", "`python benchmarks/recipes.py --out OUT --write`"]
    if options.epochs is not None:
        lines[-1] += f" with `--epochs {options.epochs}`, **fewer than the recipes' own**"
    if not runs:
        return [*lines[:-1], f"{lines[-1]}."]
    late = sorted({run["settings"]["recipe"] for run in runs if run["seconds"] > SECONDS})
    used = {(m["processor"], m["threads"], m["torch"]) for m in (run["machine"] for run in runs)}
    places = "; ".join(f"{p}, {t} thread{'s' if t > 1 else ''}, torch {v}" for p, t, v in sorted(used))
    lines[-1] += f"; seeds 0 to {options.seeds - 1}; {places}. Seconds are those of one training on a shared machine."
    slow = f"Above {SECONDS} s: {', '.join(f'`{name}`' for name in late)}." if late else f"None takes {SECONDS} s."
    return [*lines, slow]


def options_of(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--k", type=int, default=1000, help="points of importance weighting")
    parser.add_argument("--epochs", type=int, help="instead of each recipe's own")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="RECIPE", help="measure these alone")
    parser.add_argument("--keep", action="store_true", help="keep the run folders, in OUT/runs")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.k < 1:
        parser.error("--seeds and --k must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None, write: Callable[[str], None] = print) -> int:
    from jensen.recipes import RECIPES

    # those of mixed tables alone are in table_density.py
    names = [name for name, recipe in RECIPES.items() if recipe.columns is not True]
    options = options_of(arguments, names)
    options.out.mkdir(parents=True, exist_ok=True)
    words = {name: sentence(name) for name in names}
    text = page(options, words, gather(options, words))
    write(text)
    if options.write:
        temporary = PAGE.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
