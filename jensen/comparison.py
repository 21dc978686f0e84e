"""Two models, or two groups of runs, on the same rows: paired differences with their standard error, and a verdict."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, NotNormalised, UsageError
from .evaluate import Estimate, Kind, Unnormalised, choose
from .evaluate.estimate import Watch, format_nats
from .evaluation import versions
from .runfiles import digest
from .runs import Part, Run, Source

__all__ = ["Comparison", "Group", "Score", "compare"]

ERRORS = 2.0  # standard errors, beyond which a difference is called one
SAME = "Give rows for both: jensen compare A B DATA; or train both on the same file with the same --split and --seed."


@dataclass(frozen=True)
class Score:
    """A run, and the estimate of each of the rows."""

    run: str
    recipe: str
    weights: str
    weights_sha256: str
    estimate: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as JSON takes them."""
        about = {"run": self.run, "recipe": self.recipe, "weights": self.weights}
        kept = ("log_px", "kind", "k", "stderr", "stderr_mc", "stderr_mc_reliable", "ess", "elbo")
        numbers = self.estimate.to_dict()
        return {**about, "weights_sha256": self.weights_sha256, **{k: numbers[k] for k in kept}}


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed, or one run.

    Attributes:
        scores: one per run.
    """

    scores: tuple[Score, ...]

    @property
    def nats(self) -> Tensor:
        """[N] the mean over runs, per datum."""
        return torch.stack([torch.as_tensor(s.estimate.nats).double() for s in self.scores]).mean(0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the estimates, each once."""
        return tuple(dict.fromkeys(str(s.estimate.kind) for s in self.scores))

    @property
    def spread(self) -> float | None:
        """Standard deviation over runs of the mean over data; None for a single run."""
        if len(self.scores) < 2:
            return None
        return float(np.std([s.estimate.mean or 0.0 for s in self.scores], ddof=1))

    def to_dict(self) -> dict[str, Any]:
        """Means, spread, and every run by itself, as JSON takes them."""
        nats = self.nats
        return {
            "log_px": float(nats.mean()),
            "stderr": float(nats.std() / math.sqrt(len(nats))) if len(nats) > 1 else None,
            "seed_spread": self.spread,
            "kinds": list(self.kinds),
            "runs": [s.to_dict() for s in self.scores],
        }


@dataclass(frozen=True)
class Comparison:
    """Two groups on the same rows, in the data's own units.

    Attributes:
        a, b: the groups.
        data: which rows.
        prepared: binarisation or dequantisation, in words.
        measure: "mass" or "density", of both.
        seed: of all Monte Carlo, and of the rows' bits where they are drawn dynamically.
        notes: what limits the comparison.
    """

    a: Group
    b: Group
    data: str
    prepared: str
    measure: Literal["mass", "density"]
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> Tensor:
        """[N] A minus B, in nats."""
        return self.a.nats - self.b.nats

    @property
    def difference(self) -> float:
        """Mean over data of A minus B."""
        return float(self.differences.mean())

    @property
    def stderr_data(self) -> float | None:
        """Standard error of the difference over paired data; the Monte Carlo noise of each datum is within it."""
        n = len(self.differences)
        return float(self.differences.std() / math.sqrt(n)) if n > 1 else None

    @property
    def stderr_seeds(self) -> float | None:
        """Standard error of the difference over seeds; None where neither group has two runs."""
        parts = [g.spread**2 / len(g.scores) for g in (self.a, self.b) if g.spread is not None]
        return math.sqrt(sum(parts)) if parts else None

    @property
    def stderr(self) -> float | None:
        """Of the difference: over data, and over seeds where they are known."""
        return None if self.stderr_data is None else math.hypot(self.stderr_data, self.stderr_seeds or 0.0)

    @property
    def better(self) -> Literal["A", "B"] | None:
        """The group that is better by more than two standard errors."""
        if self.stderr is None or abs(self.difference) <= ERRORS * self.stderr:
            return None
        return "A" if self.difference > 0 else "B"

    @property
    def verdict(self) -> str:
        """The comparison in one sentence."""
        if self.better is None:
            number = format_nats(self.difference, self.stderr)
            return f"no difference at this size: A - B = {number} nats per datum"
        return f"{self.better} is better by {format_nats(abs(self.difference), self.stderr)} nats per datum"

    def to_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        return {
            "verdict": self.verdict,
            "better": self.better,
            "difference": self.difference,
            "stderr": self.stderr,
            "stderr_data": self.stderr_data,
            "stderr_seeds": self.stderr_seeds,
            "share_a_higher": float((self.differences > 0).double().mean()),
            "units": "nats per datum",
            "n": len(self.differences),
            "data": self.data,
            "prepared": self.prepared,
            "base_measure": self.measure,
            "seed": self.seed,
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "notes": list(self.notes),
            "versions": versions(),
        }

    def __str__(self) -> str:
        return self.verdict


def compare(
    a: Run | Sequence[Run],
    b: Run | Sequence[Run],
    data: Source | None = None,
    *,
    k: int | None = None,
    method: str = "auto",
    seed: int = 0,
    watch: Watch | None = None,
) -> Comparison:
    """Estimate log p(x) of the same rows under both, and say which is better and how surely.

    Every run is evaluated with the same K and the same seed, on rows with the same bits. A group of runs, such as
    several seeds, counts as its mean per datum.

    Args:
        a, b: runs, or groups of them.
        data: other rows than the runs' own test rows.
        k: points per datum; 5000 unless given.
        method: as of `Run.evaluate`, without annealing behind it.
        seed: of all Monte Carlo, and of a dynamic binarisation.
        watch: told the fraction that is done.

    Raises:
        UsageError: a group is empty.
        NotNormalised: a run has no log p(x).
        DataError: rows, binarisation or base measure are not the same.
    """
    groups = [[g] if isinstance(g, Run) else list(g) for g in (a, b)]
    if not all(groups):
        raise UsageError("a group holds no run", "Give at least one run on each side.")
    runs = [run for group in groups for run in group]
    _check(runs, method, k)
    seeded = [_aligned(run, runs[0].preparation.seed) for run in runs]
    parts = _parts(seeded, data, seed)
    scores: list[Score] = []
    for i, (run, part) in enumerate(zip(seeded, parts, strict=True)):
        told = None if watch is None else _share(watch, i, len(runs))
        scores.append(_score(run, part, method, k, seed, told))
    first, second = (Group(tuple(s)) for s in (scores[: len(groups[0])], scores[len(groups[0]) :]))
    notes = (*_rows_notes(seeded, parts, data), *_kind_notes(first, second))
    prepared = runs[0].preparation.describe(runs[0].schema).split(", standardised")[0]
    return Comparison(first, second, parts[0].name, prepared, measure_of(runs[0]), seed, notes)


def _share(watch: Watch, done: int, of: int) -> Watch:
    return lambda fraction: watch((done + fraction) / of)


def measure_of(run: Run) -> Literal["mass", "density"]:
    """What log p(x) is the logarithm of."""
    return "density" if run.seen.kind == "real" else "mass"


def _check(runs: Sequence[Run], method: str, k: int | None) -> None:
    """Refuse what no number could be compared of, before any is computed."""
    first = runs[0]
    for run in runs:
        if isinstance(choose(run.model, run.guide, method, k), Unnormalised):
            raise NotNormalised(
                f"{run.path} has no density q(z|x), so it has no log p(x) to compare",
                "Compare recipes with a density, such as vae.",
            )
        pair = f"{first.path} and {run.path}"
        mine, theirs = ((r.schema.kind, r.schema.levels, r.schema.shape) for r in (first, run))
        if mine != theirs:
            raise DataError(
                f"{pair} are of different data: {_words(first)} and {_words(run)}", "Compare like with like."
            )
        if measure_of(run) != measure_of(first):
            raise DataError(
                f"{pair} do not have the same base measure: a {measure_of(first)} and a {measure_of(run)}",
                "Train both with --dequantize, or both without.",
            )
        how = [(r.preparation.binarize, r.preparation.dequantize) for r in (first, run)]
        if how[0] != how[1]:
            told = " and ".join(r.preparation.describe(r.schema) for r in (first, run))
            raise DataError(f"{pair} do not see the same values: {told}", "Train both with the same --binarize.")


def _words(run: Run) -> str:
    shape = " x ".join(map(str, run.schema.shape))
    return f"{shape} {run.schema.kind}" + (f" of {run.schema.levels} levels" if run.schema.levels else "")


def _aligned(run: Run, seed: int) -> Run:
    """The run with another's draws of a static binarisation or a dequantisation: the same rows to the bit."""
    same = copy.copy(run)
    same.preparation = replace(run.preparation, seed=seed)
    return same


def _parts(runs: Sequence[Run], data: Source | None, seed: int) -> list[Part]:
    """The rows, as each run sees them; they are the same rows in the data's own units."""
    first = runs[0]
    for run in runs[1:]:
        if data is None and run.spec["data"]["sha256"] != first.spec["data"]["sha256"]:
            raise DataError(f"{first.path} and {run.path} were trained on different data", SAME)
    parts = [run.chosen(data, seed) for run in runs]
    for run, part in zip(runs, parts, strict=True):
        if not np.array_equal(part.x, parts[0].x):
            raise DataError(f"the test rows of {first.path} and {run.path} are not the same", SAME)
    return parts


def _score(run: Run, part: Part, method: str, k: int | None, seed: int, watch: Watch | None) -> Score:
    found = choose(run.model, run.guide, method, k)(run.model, run.guide, part.rows, seed, watch)
    found = found.shifted(run.preparation.log_jacobian(run.schema.size))
    recipe = str(run.spec["command"].get("recipe", "model"))
    return Score(str(run.path), recipe, run.weights, digest(run.path / "model.safetensors"), found)


def _rows_notes(runs: Sequence[Run], parts: Sequence[Part], data: Source | None) -> list[str]:
    """What to say about the rows: each note once, with the run it is about where it is about one."""
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    for run, part in zip(runs, parts, strict=True):
        notes += [f"{run.path}: {note}" for note in run.overlap(part, data)]
    if len({run.spec["data"]["sha256"] for run in runs}) > 1:
        notes.append("the runs were trained on different data")
    return notes


def _kind_notes(a: Group, b: Group) -> list[str]:
    """Where a difference of bounds is not one of models."""
    notes, bounds = [], (Kind.STOCHASTIC_LOWER, Kind.LOWER)
    loose = {n for n, g in (("A", a), ("B", b)) if any(s.estimate.kind in bounds for s in g.scores)}
    if a.kinds != b.kinds:
        kinds = [" and ".join(g.kinds) for g in (a, b)]
        below = f": log p(x) of {' and '.join(sorted(loose))} may be higher" if loose else ""
        notes.append(f"A is {kinds[0]}, B is {kinds[1]}{below}")
    heavy = [n for n, g in (("A", a), ("B", b)) if any(s.estimate.reliable is False for s in g.scores)]
    if heavy:
        notes.append(f"weights of {' and '.join(heavy)} are heavy-tailed, so the bound may be loose: raise -k")
    if a.spread is None and b.spread is None:
        notes.append("one run each: how much another seed would change is not in the standard error")
    return notes
