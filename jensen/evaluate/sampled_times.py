"""The bound of a chain whose rate is estimated at sampled times."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..core.batch import Rows
from ..core.random import stream
from ..core.validation import require_integer
from ..estimators.reparameterized import Pathwise
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .importance import NUMBERS

__all__ = ["SampledTimes"]

GROUPS = 8  # of times, each evenly spaced: the spread of their means is the error
FEWEST = 4  # groups, where there are as many times: of fewer the spread is little known


def _groups(n: int) -> int:
    """Return how many groups of equal size n times are in: at most 8, or else the fewest of at least 4.

    Example:
        >>> [_groups(n) for n in (2, 64, 10, 13)]
        [2, 8, 5, 13]
    """
    divisors = [g for g in range(1, n + 1) if n % g == 0]
    most = max(g for g in divisors if g <= GROUPS)
    return most if most >= min(FEWEST, n) else min(g for g in divisors if g >= FEWEST)


@dataclass(frozen=True)
class SampledTimes(Evaluator):
    r"""E_q[log p(x | z_0)] less the rate of a chain, at n random times for each datum: a stochastic lower bound.

    Of a prior whose log p(z) is an estimate, it is the mean at n random points and probes. It has the same expectation
    for every n: more of them make it less noisy, and not tighter. Those of a datum are in independent groups (8, where
    n is a multiple), evenly spaced within each, and the Monte Carlo variance is that of the groups' means.

    Args:
        n: times per datum, at least 2.

    Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.
    """

    n: int = 64

    def __post_init__(self) -> None:
        require_integer(2, **{"times per datum": self.n})

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        groups = _groups(self.n)
        each = Pathwise(self.n // groups)
        rows = max(min(NUMBERS // (each.k * max(model.latent, model.likelihood.family.size)), 1024), 1)
        parts = []
        with exact_products(data.device):
            for batch in data.batches(rows, noise):
                draws = [each.draw(model, guide, batch, noise) for _ in range(groups)]
                terms = torch.stack([torch.stack([draw.distortion, draw.rate]) for draw in draws]).double()
                variance = (-terms.sum(1)).var(0) / groups
                parts.append((*terms.mean(0), variance))
                if watch is not None:
                    watch(min(batch.before + len(batch) / len(data), 1.0))
        distortion, rate, variance = (concatenated(list(column)) for column in zip(*parts, strict=True))
        return Estimate(
            Kind.STOCHASTIC_LOWER,
            -distortion - rate,
            distortion,
            rate,
            variance_mc=variance,
            settings={"times": self.n},
            seconds=time.monotonic() - started,
        )
