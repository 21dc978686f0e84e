"""The tightness of a number that needs no annealing: one that is exact, or an integral with its error."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import JensenError
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .assess import assess, assess_within
from .estimate import Estimate, Kind
from .gaps import Gaps, gaps, lower_bounds
from .generalisation import some_rows
from .schedule import Schedule
from .tightness import Tightness
from .tightness_plan import LEAST_ROWS, MOST_ROWS, REFINE, TightnessSettings, costs, refusal

__all__ = ["ExactTightness", "assess_tightness", "measure_gaps"]

TIMED_ROWS = 4
STABLE = 0.1  # nats by which the integral of a row may be off, by the error that quadrature states


@dataclass(frozen=True)
class ExactTightness:
    """The accuracy of a number that is log p(x) itself, and the gap of the guide's own bound to it.

    Attributes:
        settings: rows and refinement steps of the gaps; nothing is annealed.
        estimate: log p(x) of all rows, exact or by quadrature.
        gaps: those of the ELBO on some of the rows; None where the guide is the posterior, or forms no bound.
        seconds: time taken.
        index: [M] these rows; None without gaps.
    """

    settings: TightnessSettings
    estimate: Estimate
    gaps: Gaps | None
    seconds: float
    index: Tensor | None = None

    def shifted(self, nats: float | Tensor) -> ExactTightness:
        """Return the tightness in other units: a log-Jacobian, one for all or one each [N], added to log-densities."""
        of_each = isinstance(nats, Tensor) and nats.dim() > 0 and self.index is not None
        own = nats[self.index] if of_each else nats  # pyright: ignore[reportIndexIssue,reportArgumentType]
        gaps = None if self.gaps is None else self.gaps.shifted(own)
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
        if self.estimate.kind is not Kind.QUADRATURE or self.estimate.error is None:
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
    schedule: Schedule | None = None,
) -> ExactTightness:
    """Measure the gaps of the guide's bound against numbers that are log p(x) itself.

    Args:
        estimate: exact, or by quadrature.
        settings: number of rows, and of refinement steps per datum; by default 100, or as many as fit into the
            schedule, and 300.
        schedule: the time left.

    Raises:
        JensenError: the estimate is neither.
    """
    started = time.monotonic()
    if estimate.nats is None or estimate.kind not in (Kind.EXACT, Kind.FLOORED, Kind.QUADRATURE):
        raise JensenError("the gaps need log p(x) itself here, not a bound", "Use --method exact or quadrature.")
    has_gaps = model.latent > 0 and not guide.is_exact and guide.bounds(model)
    if settings is None:
        n = _fitting_rows(model, guide, data, seed, schedule or Schedule()) if has_gaps else min(MOST_ROWS, len(data))
        settings = _of_gaps(n)
    measured, index = None, None
    if has_gaps and settings.rows:
        index = some_rows(len(data), settings.rows, stream(seed, "gaps"))
        chosen = Estimate(estimate.kind, estimate.nats[index], error=estimate.error)
        some, steps, measurements = data.subset(index.to(data.device)), settings.refine, list[Gaps]()

        def measure() -> None:
            measurements.append(gaps(model, guide, some, chosen, seed, steps))

        if (schedule or Schedule()).completes(measure, model):
            measured = replace(measurements[0], converged=(estimate.error or 0.0) <= STABLE)
        else:
            settings, index = replace(settings, rows=0), None
    return ExactTightness(settings, estimate, measured, time.monotonic() - started, index)


def _of_gaps(rows: int) -> TightnessSettings:
    """Return the settings of gaps alone."""
    return TightnessSettings(rows=rows, temperatures=0, leapfrog_steps=0, chains=0, simulated=0, refine=REFINE)


def _fitting_rows(model: LatentVariableModel, guide: Guide, data: Rows, seed: int, schedule: Schedule) -> int:
    """Return how many rows' gaps fit into the time left; 0 where those of 16 do not."""
    most = min(MOST_ROWS, len(data))
    if schedule.seconds == float("inf"):
        return most
    schedule.begin("gaps")
    few = data.subset(torch.arange(min(TIMED_ROWS, len(data)), device=data.device))
    each = schedule.timed(lambda: lower_bounds(model, guide, few, seed, 1)) / len(few)
    refined = costs(model, guide, data, seed) if refusal(model, guide) is None else None

    def cost(rows: int) -> float:
        return each * rows if refined is None else refined.gaps(_of_gaps(rows))

    for n in (most, most // 2, most // 4):
        if n >= min(LEAST_ROWS, len(data)) and schedule.fits(cost(n)):
            return n
    schedule.leave_out("the gaps of the ELBO", cost(min(LEAST_ROWS, len(data))))
    return 0


def assess_tightness(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    estimate: Estimate,
    schedule: Schedule,
    settings: TightnessSettings | None = None,
    seed: int = 0,
) -> Tightness | None:
    """Assess the tightness of an evaluation; None without time or a number, or where the time left is too short.

    Args:
        schedule: the time left.
        settings: those of an earlier assessment, to repeat it; the time plays no part then.
    """
    if estimate.nats is None or (settings is None and schedule.seconds <= 0):
        return None
    if estimate.kind in (Kind.EXACT, Kind.FLOORED, Kind.QUADRATURE):
        return measure_gaps(model, guide, data, estimate, settings, seed, schedule)
    if settings is not None:
        return assess(model, guide, data, estimate, settings, seed, schedule.progress)
    return assess_within(model, guide, data, estimate, schedule, seed)
