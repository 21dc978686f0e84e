"""The difference of two groups of runs on the same rows: its interval, and the order of log p(x) where it is settled.

A lower bound is no evidence against its own model: log p(x) may be higher by as much as the bound is loose. So a
difference of bounds is a difference of models only where the looseness of the lower one is known and is smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..analysis.reliability import points_remedy
from ..core.shown import Shown
from ..evaluate import Estimate, Kind
from ..evaluate.estimate import format_nats
from ..evaluate.quantity import EVIDENCE, Quantity
from .evaluation import versions

__all__ = ["LEVEL", "Group", "PairedComparison", "RowScores"]

LEVEL = 0.95  # the coverage of the interval, over data and seeds
Side = Literal["A", "B"]


@dataclass(frozen=True)
class RowScores:
    """The estimates of all rows under one run.

    Attributes:
        run: its folder; `recipe`: its name.
        weights: "raw" or "averaged"; `weights_sha256`: their digest.
        estimate: of each row.
        seed: of the training.
        loss: nats by which the estimate seems to lie below log p(x), measured by annealing in the run's own evaluation
            of these rows, which is no limit; None where it was not measured.
        advice: what would measure it, where the run has an evaluation that does not say.
    """

    run: str
    recipe: str
    weights: str
    weights_sha256: str
    estimate: Estimate
    loss: float | None = None
    advice: str | None = None
    seed: int | None = None

    @property
    def is_bound(self) -> bool:
        """True if the number is a bound from below, and not log p(x) itself."""
        return self.estimate.kind in (Kind.LOWER, Kind.STOCHASTIC_LOWER)

    @property
    def below(self) -> float | None:
        """Nats by which log p(x) seems to lie above the number; None where that was not measured."""
        return self.loss if self.is_bound else self.estimate.error or 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        names = ("log_px", "kind", "k", "stderr", "stderr_mc", "stderr_mc_reliable", "ess", "elbo")
        numbers = self.estimate.to_dict()
        return {
            "run": self.run,
            "recipe": self.recipe,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            **{name: numbers[name] for name in names},
            "loose_by_about": self.below,
        }


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed, or one run.

    Attributes:
        scores: one per run.
    """

    scores: tuple[RowScores, ...]

    @property
    def nats(self) -> Tensor:
        """[N] the mean over runs, per datum."""
        return torch.stack([torch.as_tensor(s.estimate.nats).double() for s in self.scores]).mean(0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the estimates, each once."""
        return tuple(dict.fromkeys(str(s.estimate.kind) for s in self.scores))

    @property
    def is_bound(self) -> bool:
        """True if any of the numbers is a bound from below."""
        return any(s.is_bound for s in self.scores)

    @property
    def below(self) -> float | None:
        """Nats by which the mean of log p(x) seems to lie above that of the numbers; None where it was not measured."""
        scores = [s.below for s in self.scores]
        return None if None in scores else math.fsum(f for f in scores if f is not None) / len(scores)

    @property
    def above(self) -> float:
        """Nats by which the mean of log p(x) may lie below the mean of the numbers: the error of quadrature."""
        return math.fsum(0.0 if s.is_bound else s.estimate.error or 0.0 for s in self.scores) / len(self.scores)

    @property
    def spread(self) -> float | None:
        """Standard deviation over runs of the mean over data; None for a single run."""
        if len(self.scores) < 2:
            return None
        return float(np.std([s.estimate.mean or 0.0 for s in self.scores], ddof=1))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of means, spread, and every run by itself."""
        nats = self.nats
        return {
            "log_px": float(nats.mean()),
            "stderr": float(nats.std() / math.sqrt(len(nats))) if len(nats) > 1 else None,
            "seed_spread": self.spread,
            "kinds": list(self.kinds),
            "loose_by_about": self.below,
            "runs": [s.to_dict() for s in self.scores],
        }


@dataclass(frozen=True)
class PairedComparison(Shown):
    """Two groups of runs on the same rows, in the data's own units.

    Attributes:
        a, b: the groups.
        data: the name of the rows.
        prepared: binarisation or dequantisation, in words.
        measure: "mass" or "density", of both.
        seed: of all Monte Carlo, and of the rows' bits where they are drawn dynamically.
        notes: limits of the comparison.
        quantity: log p(x), or log p(x | label), of both.
    """

    a: Group
    b: Group
    data: str
    prepared: str
    measure: Literal["mass", "density"]
    seed: int
    notes: tuple[str, ...] = ()
    quantity: Quantity = EVIDENCE

    @cached_property
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

    @cached_property
    def seed_differences(self) -> list[float] | None:
        """A minus B of the runs with each seed, where both groups have the same two seeds or more; None elsewhere."""
        means = [{s.seed: s.estimate.mean or 0.0 for s in group.scores} for group in (self.a, self.b)]
        first, second = means
        distinct = all(len(m) == len(g.scores) for m, g in zip(means, (self.a, self.b), strict=True))
        if not distinct or len(first) < 2 or first.keys() != second.keys() or None in first:
            return None
        return [first[seed] - second[seed] for seed in first]

    @property
    def paired_seeds(self) -> int:
        """The number of seeds over which differences are paired; 0 where they are not."""
        return len(self.seed_differences or ())

    @property
    def _seed_parts(self) -> list[tuple[float, int]]:
        """Variances of the difference over seeds, each with its degrees of freedom."""
        pairs = self.seed_differences
        if pairs is not None:  # what a seed does to both, as an order of the data may, is no part of the error
            return [(float(np.var(pairs, ddof=1)) / len(pairs), len(pairs) - 1)]
        groups = [(g.spread, len(g.scores)) for g in (self.a, self.b)]
        return [(spread**2 / n, n - 1) for spread, n in groups if spread is not None]

    @property
    def stderr_seeds(self) -> float | None:
        """Standard error of the difference over seeds, paired where they are the same; None without two runs."""
        parts = self._seed_parts
        return math.sqrt(sum(variance for variance, _ in parts)) if parts else None

    @property
    def stderr(self) -> float | None:
        """The standard error of the difference: over data, and over seeds where there are several."""
        return None if self.stderr_data is None else math.hypot(self.stderr_data, self.stderr_seeds or 0.0)

    @property
    def degrees_of_freedom(self) -> float | None:
        """The degrees of freedom of `stderr`: few where few seeds make most of it; None where it is unknown or zero.

        Source: Satterthwaite, "An approximate distribution of estimates of variance components", 1946; Welch, 1947.
        """
        if self.stderr_data is None:
            return None
        parts = [(self.stderr_data**2, len(self.differences) - 1), *self._seed_parts]
        uncertain = math.fsum(v**2 / n for v, n in parts)
        return math.fsum(v for v, _ in parts) ** 2 / uncertain if uncertain > 0 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference by Student's t; None where there is no standard error."""
        from scipy.special import stdtrit  # a tenth of a second of import time

        if self.stderr is None:
            return None
        freedom = self.degrees_of_freedom
        half = 0.0 if freedom is None else float(stdtrit(freedom, (1 + LEVEL) / 2)) * self.stderr
        return self.difference - half, self.difference + half

    @property
    def higher(self) -> Side | None:
        """The group whose number (a bound, if it is one) is higher; None where the interval includes zero."""
        if self.interval is None:
            return None
        low, high = self.interval
        return "A" if low > 0 else "B" if high < 0 else None

    @property
    def better(self) -> Side | None:
        """The group whose log p(x) is higher: its number is higher by more than the errors of both numbers."""
        if self.higher is None or self.interval is None or self._lower.below is None:
            return None
        nearest = min(abs(end) for end in self.interval)
        return self.higher if nearest > self._lower.below + self._upper.above else None

    @property
    def _upper(self) -> Group:
        return self.b if self.higher == "B" else self.a

    @property
    def _lower(self) -> Group:
        return self.a if self.higher == "B" else self.b

    @property
    def verdict(self) -> str:
        """The comparison in one sentence."""
        size = format_nats(abs(self.difference), self.stderr)
        if self.interval is None:
            return f"a single row does not order the models: A - B = {format_nats(self.difference, None)} nats"
        if self.higher is None:
            number = format_nats(self.difference, self.stderr)
            return f"no difference at this size: A - B = {number} nats per datum"
        other = "B" if self.higher == "A" else "A"
        numbers = "'s bound" if self._upper.is_bound else f"'s {self.quantity}"
        number = f"{self.higher}{numbers} is higher by {size} nats per datum"
        loose = self._lower.below
        if self.better is None:
            why = "is a lower bound" if loose is None else f"may be too low by about {loose:.2g}"
            return f"{number}; {other}'s {why}, so the order of {self.quantity} is not settled"
        if self._lower.is_bound:
            looseness = f"{other}'s bound is loose by about {loose:.2g}, according to annealed importance sampling"
            return f"{self.better} is better: {number}, and {looseness}"
        least = "at least " if self._upper.is_bound else ""
        return f"{self.better} is better by {least}{size} nats per datum"

    @property
    def remedy(self) -> str | None:
        """A remedy that would settle the order, where it is not settled."""
        if self.higher is None or self.better is not None:
            return None
        unknown = [s for s in self._lower.scores if s.below is None]
        if unknown:  # one example is enough
            run, advice = unknown[0].run, unknown[0].advice
            return (
                advice
                or f"jensen evaluate {run} says how loose its bound is; compare on the same test rows, without -k"
            )
        return f"{points_remedy([s.estimate for s in self._lower.scores])}, or evaluate again with a larger --budget"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            "verdict": self.verdict,
            "better": self.better,
            "higher": self.higher,
            "settled": self.higher is None or self.better is not None,
            "difference": self.difference,
            "stderr": self.stderr,
            "stderr_data": self.stderr_data,
            "stderr_seeds": self.stderr_seeds,
            "paired_seeds": self.paired_seeds,
            "degrees_of_freedom": self.degrees_of_freedom,
            "interval": self.interval,
            "level": LEVEL,
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
            "remedy": self.remedy,
            "versions": versions(),
        }

    def __str__(self) -> str:
        return self.verdict

    def __repr__(self) -> str:
        return f"PairedComparison({self.verdict}; {self.data})"
