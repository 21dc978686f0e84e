"""The policy behind a plain evaluation: a bound on every row, then how much it lost, measured on some of them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..batch import Rows
from ..errors import JensenError, NotNormalised, NotReparameterizable
from ..families import Gaussian
from ..guides import Amortized, Guide
from ..model import LatentVariableModel
from ..randomness import stream
from .annealed import Annealed, Sandwich, sample
from .estimate import Estimate, Kind, Watch
from .gaps import Gaps, gaps

__all__ = ["Assessment", "Settings", "assess", "assess_within", "plan", "stratified"]

STRATA = 4
MOST_ROWS, LEAST_ROWS = 100, 16
LADDER = (25, 50, 100, 200, 400, 800)
SIMULATED = 32


@dataclass(frozen=True)
class Settings:
    """What an assessment does; chosen by time once, recorded, and enough to repeat it.

    Attributes:
        rows: how many rows are annealed.
        temperatures, leaps, chains: of the annealing; a second one with half the temperatures tells its convergence.
        simulated: rows of the sandwich.
        refine: steps per datum of the gaps; 0 where the guide is not an amortised Gaussian.
    """

    rows: int
    temperatures: int
    leaps: int = 10
    chains: int = 16
    simulated: int = SIMULATED
    refine: int = 300


@dataclass(frozen=True)
class Assessment:
    """How tight the importance-weighted bound is.

    Attributes:
        settings: what was done.
        index: [M] the rows that were annealed, [M] `share` the weight of each in the mean over all rows.
        annealed: on those rows; `coarse`: with half the temperatures.
        correction, correction_stderr: what annealing adds to the mean over all rows, and its standard error (rows drawn
            within strata, and Monte Carlo).
        unfinished: what doubling the temperatures still added.
        sandwich: lower and upper mean on simulated data.
        gaps: on the annealed rows.
    """

    settings: Settings
    index: Tensor
    share: Tensor
    importance: Estimate
    annealed: Estimate
    coarse: Estimate
    correction: float
    correction_stderr: float
    unfinished: float
    sandwich: tuple[Estimate, Estimate] | None
    gaps: Gaps | None
    seconds: float

    def shifted(self, nats: float) -> Assessment:
        """The same in other units: a log-Jacobian added to every log-density."""
        pair = None if self.sandwich is None else (self.sandwich[0].shifted(nats), self.sandwich[1].shifted(nats))
        return replace(
            self,
            importance=self.importance.shifted(nats),
            annealed=self.annealed.shifted(nats),
            coarse=self.coarse.shifted(nats),
            sandwich=pair,
            gaps=None if self.gaps is None else self.gaps.shifted(nats),
        )

    @property
    def loss(self) -> float:
        """Nats that the importance-weighted bound may lie below log p(x): what annealing added and would still add."""
        open_on_simulated = max(self.sandwich_gap or 0.0, 0.0)
        return abs(self.correction) + max(abs(self.unfinished), open_on_simulated) + 2 * self.correction_stderr

    @property
    def converged(self) -> bool:
        """Whether doubling the temperatures changed nothing that matters, annealing is not the worse bound of the two,
        and little is open on simulated data."""
        gap = self.sandwich_gap
        still = abs(self.unfinished) <= 0.1 and self.correction >= -max(0.1, 2 * self.correction_stderr)
        return still and (gap is None or gap <= 1.0)

    @property
    def sandwich_gap(self) -> float | None:
        """Upper minus lower mean on the model's own data."""
        if self.sandwich is None:
            return None
        lower, upper = self.sandwich
        return None if lower.mean is None or upper.mean is None else upper.mean - lower.mean

    @property
    def verdict(self) -> str:
        """A sentence: how tight, or what to do."""
        gap = self.sandwich_gap
        if gap is not None and gap > 1.0:
            return f"not converged: on simulated data annealing leaves {gap:.2g} nats open; raise --budget"
        if abs(self.unfinished) <= 0.1 and not self.converged:
            return f"not converged: annealing ends {-self.correction:.2g} nats below importance; raise --budget"
        if not self.converged:
            return f"not converged: annealing still moved by {self.unfinished:.2g} nats; raise --budget"
        if self.loss >= 0.5:
            return f"loose by up to {self.loss:.1f} nats: report the annealed bound"
        return f"tight to {self.loss:.2g} nats"

    def to_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        best = None if self.importance.mean is None else self.importance.mean + self.correction
        noise = self.importance.stderr_mc or 0.0
        return {
            "verdict": self.verdict,
            "converged": self.converged,
            "loss": self.loss,
            "annealed": {
                "log_px": best,
                "kind": str(Kind.STOCHASTIC_LOWER),
                "correction": self.correction,
                "correction_stderr": self.correction_stderr,
                "stderr_mc": math.hypot(self.correction_stderr, noise),
                "unfinished": self.unfinished,
                "rows": len(self.index),
                "temperatures": self.settings.temperatures,
                "leaps": self.settings.leaps,
                "chains": self.settings.chains,
                "acceptance": self.annealed.acceptance,
                "spread": None if self.annealed.spread is None else float(self.annealed.spread.mean()),
                "ess": self.annealed.ess_median,
            },
            "sandwich": None if self.sandwich is None else self._sandwich(*self.sandwich),
            "gaps": None if self.gaps is None else self.gaps.to_dict(),
            "seconds": self.seconds,
        }

    def _sandwich(self, lower: Estimate, upper: Estimate) -> dict[str, Any]:
        return {
            "lower": lower.mean,
            "upper": upper.mean,
            "gap": self.sandwich_gap,
            "stderr_mc": [lower.stderr_mc, upper.stderr_mc],
            "simulated_rows": self.settings.simulated,
            "certifies": "the estimator on the model's own data, not on the test set",
        }


def stratified(difficulty: Tensor, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers [M], as many from each quarter of difficulty, and the share [M] of each in the mean over all rows.

    The rows of a quarter stand together, in the order of difficulty of the quarters.

    Args:
        difficulty: [N], such as minus the effective sample size.
    """
    noise = stream(seed, "strata")
    order = difficulty.argsort()
    index, share = [], []
    for part in order.tensor_split(min(STRATA, len(order))):
        take = min(max(rows // STRATA, 2), len(part))
        chosen = part[torch.randperm(len(part), generator=noise)[:take]]
        index.append(chosen)
        share.append(torch.full((take,), len(part) / len(order) / take, dtype=torch.float64))
    return torch.cat(index), torch.cat(share)


def _stderr(values: Tensor, share: Tensor, variance: Tensor, n: int) -> float:
    """Standard error of a stratified mean that stands for n rows.

    The spread within a stratum holds the Monte Carlo noise of its values already; what a stratum that was looked at
    in part needs of it is the part that was not (Cochran, "Sampling techniques", 1977), and of the noise the rest.
    """
    total = 0.0
    parts = min(STRATA, n)
    for inside, weight, noise in zip(*(t.tensor_split(parts) for t in (values, share, variance)), strict=True):
        seen = 1.0 / (float(weight[0]) * n)  # the part of this stratum's rows that were annealed
        spread = float(inside.var()) if len(inside) > 1 else 0.0
        total += float(weight[0]) ** 2 * ((1 - seen) * len(inside) * spread + seen * float(noise.sum()))
    return math.sqrt(total)


def plan(model: LatentVariableModel, guide: Guide, data: Rows, seconds: float, seed: int = 0) -> Settings | None:
    """Choose rows and temperatures for a budget of time by timing a few moves; None where it buys no honest answer."""
    trial = Annealed(temperatures=4)
    trial.check(model, guide)
    rows = min(MOST_ROWS, len(data))
    few = data.subset(torch.arange(min(rows, 64), device=data.device))
    noise = stream(seed, "plan", data.device)
    batch = next(few.batches(len(few), noise))
    ends, first, _ = trial.ends(model, guide, batch)
    z = sample(first, trial.chains, noise)
    ends.at(z)
    started = time.monotonic()
    for _ in range(5):
        ends.at(z)
    point = (time.monotonic() - started) / 5 / (len(few) * trial.chains)

    def cost(temperatures: int, n: int) -> float:
        # both annealings (T and T/2), their pilots, and the sandwich's two directions
        moves = 1.5 * n + 1.5 * 3 * 32 / 4 + 2 * SIMULATED
        return moves * trial.chains * temperatures * (trial.leaps + 1) * point

    for n in (rows, max(rows // 2, LEAST_ROWS), LEAST_ROWS):
        fitting = [t for t in LADDER if cost(t, n) <= 0.8 * seconds]
        if fitting and (fitting[-1] >= 100 or n == LEAST_ROWS):
            return Settings(min(n, len(data)), min(fitting[-1], 400), refine=300 if _refinable(guide) else 0)
    return None


def _refinable(guide: Guide) -> bool:
    """Whether each datum can have a member of the guide's family of its own, found by gradient steps."""
    if not isinstance(guide, Amortized):
        return False
    family = guide.conditional.family
    return isinstance(family, Gaussian) and not family.shared


def assess(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    settings: Settings,
    seed: int = 0,
    watch: Watch | None = None,
) -> Assessment:
    """Anneal a stratified subsample, and weigh what it adds back to the whole.

    The correction is a difference on the same rows, so that its error is that of the difference.
    """
    started = time.monotonic()
    if importance.nats is None or importance.ess is None:
        raise JensenError("there is no importance-weighted bound to assess", "Use --method importance first.")
    index, share = stratified(-importance.ess, settings.rows, seed)
    rows = data.subset(index.to(data.device))
    chain = Annealed(settings.temperatures, settings.leaps, settings.chains)
    fine = chain(model, guide, rows, seed, watch)
    coarse = replace(chain, temperatures=max(settings.temperatures // 2, 1))(model, guide, rows, seed + 1)
    if fine.nats is None or coarse.nats is None or fine.variance_mc is None or importance.variance_mc is None:
        raise JensenError("annealing gave no number", "Report this.")
    gain = fine.nats - importance.nats[index].double()
    # the importance-weighted values of these rows are given numbers: only the annealed ones are uncertain
    noise = fine.variance_mc
    sandwich = None
    if settings.simulated:
        sandwich = Sandwich(chain, settings.simulated)(model, guide, seed, data.device)
    split = None
    if settings.refine and isinstance(guide, Amortized):
        split = gaps(model, guide, rows, fine, seed, settings.refine)
    return Assessment(
        settings,
        index,
        share,
        importance,
        fine,
        coarse,
        correction=float((share * gain).sum()),
        correction_stderr=_stderr(gain, share, noise, len(data)),
        unfinished=float((share * (fine.nats - coarse.nats)).sum()),
        sandwich=sandwich,
        gaps=split,
        seconds=time.monotonic() - started,
    )


def assess_within(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    seconds: float,
    seed: int = 0,
    watch: Watch | None = None,
) -> Assessment | None:
    """Assess with 200 temperatures, and double them until the answer holds still or the time is used up.

    None where the budget buys no honest answer, or the model has nothing to anneal. Time chooses settings and nothing
    else: `assess` with the settings of the result gives the same numbers.
    """
    try:
        most = plan(model, guide, data, seconds, seed)
    except (NotNormalised, NotReparameterizable):
        return None
    if most is None:
        return None
    began, settings = time.monotonic(), replace(most, temperatures=min(most.temperatures, 200))
    while True:
        found = assess(model, guide, data, importance, settings, seed, watch)
        spent = time.monotonic() - began
        still = found.converged and abs(found.unfinished) <= 0.05
        if still or spent + 2.2 * found.seconds > seconds or settings.temperatures >= 3200:
            return found
        settings = replace(settings, temperatures=2 * settings.temperatures)
