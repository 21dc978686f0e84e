"""Bidirectional Monte Carlo: bounds from both sides on data simulated from the model, which certify annealing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.random import stream
from ..core.validation import require_integer
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import Annealed, chain_estimate
from .estimate import Estimate, Kind, ProgressCallback, exact_products
from .simulated import MASKS, masks_note, masks_of, simulate_like

__all__ = ["CERTIFIES", "Sandwich", "Sandwiched"]

CERTIFIES = "the estimator on the model's own data, not on the test set"
SHARED = "chains that run backwards share the z that made their row, so errors are those over rows"


@dataclass(frozen=True)
class Sandwiched:
    """The two ends of a sandwich on the same simulated rows; unpacked, these are lower and upper.

    Attributes:
        lower, upper: the estimates of both sides.
        like: [N] the rows of the data whose missing entries each simulated row has; None of complete rows.
        masks: how entries are missing from simulated rows.

    Their errors are those over rows, which are independent; noise that both bounds of a row share cancels in the gap.
    """

    lower: Estimate
    upper: Estimate
    like: Tensor | None = None
    masks: str = MASKS

    def __iter__(self) -> Iterator[Estimate]:
        return iter((self.lower, self.upper))

    def shifted(self, nats: float | Tensor) -> Sandwiched:
        """Return both in other units: a log-Jacobian added to every log-density, one for all or one for each row of the
        data."""
        if isinstance(nats, Tensor) and nats.dim():
            nats = nats.mean() if self.like is None else nats[self.like.to(nats.device)]
        return Sandwiched(self.lower.shifted(nats), self.upper.shifted(nats), self.like, self.masks)

    @property
    def certifies(self) -> str:
        """The limits of what a narrow gap shows."""
        return CERTIFIES if self.like is None else f"{CERTIFIES}; {self.masks}"

    @property
    def open(self) -> Tensor:
        """[N], upper less lower."""
        return torch.as_tensor(self.upper.nats).double() - torch.as_tensor(self.lower.nats).double()

    @property
    def gap(self) -> float:
        """The mean of upper less lower, in nats; negative only by noise."""
        return float(self.open.mean())

    @property
    def gap_stderr(self) -> float | None:
        """The standard error of the gap over rows; None for a single row."""
        return float(self.open.std() / math.sqrt(len(self.open))) if len(self.open) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-serialisable; `stderr` is of lower and upper, over rows."""
        return {
            "lower": self.lower.mean,
            "upper": self.upper.mean,
            "gap": self.gap,
            "stderr": [self.lower.stderr, self.upper.stderr],
            "stderr_mc": [self.lower.stderr_mc, None],
            "gap_stderr": self.gap_stderr,
            "gap_largest": float(self.open.max()),
            "errors": SHARED,
            "simulated_rows": len(self.open),
            "certifies": self.certifies,
        }


@dataclass(frozen=True)
class Sandwich:
    r"""Bidirectional Monte Carlo: lower and upper bounds on data simulated from the model, and their gap.

    On simulated data an exact posterior sample is known (the z that made x), from which the annealing chains run
    backwards; the harmonic mean of their weights is above log p(x) on average. Start, step sizes and temperatures are
    those of the forward chains. The gap certifies the estimator on the model's own data, not on a test set.

    The backward chains of a row start from the same z: they are not independent, and their spread underestimates the
    error of the upper bound. So the upper bound has no Monte Carlo error of its own (`stderr_mc` is None); the errors
    of a sandwich are those over simulated rows, which are independent, and include all noise of a row.

    Args:
        annealed: the chain.
        n: data to simulate.

    Raises:
        UsageError: n < 1.

    Source: Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", 2015.
    """

    annealed: Annealed = field(default_factory=Annealed)
    n: int = 100

    def __post_init__(self) -> None:
        require_integer(1, 1_000_000, **{"--simulated": self.n})

    def __call__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        seed: int = 0,
        device: torch.device | str = "cpu",
        watch: ProgressCallback | None = None,
        like: Rows | None = None,
    ) -> Sandwiched:
        """Return the lower and the upper estimate, on the same simulated data.

        Args:
            like: rows of the user's: where entries of them are missing, the same entries of simulated rows are hidden,
                and both bounds are of the observed part.
        """
        self.annealed.check(model, guide)
        index = masks_of(like, self.n, seed, "sandwich")
        z, simulated = simulate_like(model, self.n, stream(seed, "simulation", device), like, index)
        rows = Rows(simulated.x, context=simulated.context, mask=simulated.mask)
        chain, started = self.annealed, time.monotonic()
        with exact_products(rows.device):
            steps = chain.tune(model, guide, rows, seed)
            noise = chain.noise(seed, "sandwich", rows.device)
            at_once, below, above, rates = chain.rows(model), [], [], []
            for numbers in torch.arange(self.n, device=rows.device).split(at_once):
                batch = rows.take(numbers)
                log_w, accepted = chain.weights(model, guide, batch, steps, noise)
                below.append(log_w)
                rates.append(accepted)
                above.append(chain.reverse_weights(model, guide, batch, z[numbers], steps, noise))
                if watch is not None:
                    watch(min(len(below) * at_once / self.n, 1.0))
        lower, seconds = chain.estimate(torch.cat(below, 1), rates, steps), time.monotonic() - started
        upper = chain_estimate(-torch.cat(above, 1), Kind.STOCHASTIC_UPPER)
        upper = replace(upper, nats=-torch.as_tensor(upper.nats), variance_mc=None, settings=lower.settings)
        return Sandwiched(replace(lower, seconds=seconds), replace(upper, seconds=seconds), index, masks_note(model))
