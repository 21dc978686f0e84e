"""The tightness of a number that needs no annealing: one that is exact, or an integral with its error."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from ..core.batch import Rows
from ..core.errors import JensenError
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, Kind, ProgressCallback
from .gaps import Gaps, gaps
from .generalisation import some_rows
from .tightness import Tightness, assess, assess_within
from .tightness_plan import MOST_ROWS, REFINE, TightnessSettings

__all__ = ["ExactTightness", "assess_tightness", "measure_gaps"]

STABLE = 0.1  # nats by which the integral of a row may be off, by the error that quadrature states


@dataclass(frozen=True)
class ExactTightness:
    """The accuracy of a number that is log p(x) itself, and the gap of the guide's own bound to it.

    Attributes:
        settings: rows and refinement steps of the gaps; nothing is annealed.
        estimate: log p(x) of all rows, exact or by quadrature.
        gaps: those of the ELBO on some of the rows; None where the guide is the posterior, or forms no bound.
        seconds: time taken.
    """

    settings: TightnessSettings
    estimate: Estimate
    gaps: Gaps | None
    seconds: float

    def shifted(self, nats: float) -> ExactTightness:
        """Return the tightness in other units: a log-Jacobian added to every log-density."""
        gaps = None if self.gaps is None else self.gaps.shifted(nats)
        return replace(self, estimate=self.estimate.shifted(nats), gaps=gaps)

    @property
    def loss(self) -> float:
        """The error of the number, in nats: the largest of the integral, over rows."""
        return self.estimate.error or 0.0

    @property
    def converged(self) -> bool:
        """True if the error that quadrature states is at most 0.1 nats for every row."""
        return self.loss <= STABLE

    @property
    def verdict(self) -> str:
        """A sentence: the accuracy, or a remedy."""
        if self.estimate.kind is not Kind.QUADRATURE:
            return str(self.estimate.kind)
        if not self.converged:
            return f"not converged: the quadrature is off by up to {self.loss:.2g} nats; use --method importance"
        return f"quadrature: error {self.loss:.2g} nats"

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-serialisable, under the names of an `Assessment`."""
        return {
            "verdict": self.verdict,
            "converged": self.converged,
            "loss": self.loss,
            "annealed": None,
            "sandwich": None,
            "gaps": None if self.gaps is None else self.gaps.to_dict(),
            "seconds": self.seconds,
        }


def measure_gaps(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    estimate: Estimate,
    settings: TightnessSettings | None = None,
    seed: int = 0,
) -> ExactTightness:
    """Measure the gaps of the guide's bound against numbers that are log p(x) itself.

    Args:
        estimate: exact, or by quadrature.
        settings: number of rows, and of refinement steps per datum; by default 100 and 300.

    Raises:
        JensenError: the estimate is neither.
    """
    started = time.monotonic()
    if estimate.nats is None or estimate.kind not in (Kind.EXACT, Kind.FLOORED, Kind.QUADRATURE):
        raise JensenError("the gaps need log p(x) itself here, not a bound", "Use --method exact or quadrature.")
    if settings is None:
        n = min(MOST_ROWS, len(data))
        settings = TightnessSettings(rows=n, temperatures=0, leapfrog_steps=0, chains=0, simulated=0, refine=REFINE)
    measured = None
    if model.latent and not guide.is_exact and guide.bounds(model) and settings.rows:
        index = some_rows(len(data), settings.rows, stream(seed, "gaps"))
        chosen = Estimate(estimate.kind, estimate.nats[index], error=estimate.error)
        measured = gaps(model, guide, data.subset(index.to(data.device)), chosen, seed, settings.refine)
        measured = replace(measured, converged=(estimate.error or 0.0) <= STABLE)
    return ExactTightness(settings, estimate, measured, time.monotonic() - started)


def assess_tightness(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    estimate: Estimate,
    budget: float,
    settings: TightnessSettings | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Tightness | None:
    """Assess the tightness of an evaluation; None without a budget or a number, or where the budget is too small.

    Args:
        budget: seconds, for annealing.
        settings: those of an earlier assessment, to repeat it; the budget plays no part then.
    """
    if estimate.nats is None or (settings is None and budget <= 0):
        return None
    if estimate.kind in (Kind.EXACT, Kind.FLOORED, Kind.QUADRATURE):
        return measure_gaps(model, guide, data, estimate, settings, seed)
    if settings is not None:
        return assess(model, guide, data, estimate, settings, seed, watch)
    return assess_within(model, guide, data, estimate, budget, seed, watch)
