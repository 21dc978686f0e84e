"""The bound of a chain whose rate is estimated at sampled times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..core.batch import Rows
from ..core.errors import UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..estimators.reparameterized import Pathwise
from ..models.diffused import DiffusionPrior
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .importance import NUMBERS

__all__ = ["MOST_LEVELS", "SampledTimes"]

GROUPS = 8  # of times, each evenly spaced: the spread of their means is the error
MOST_LEVELS = 100_000
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
        levels: numbers of levels; the bound of the chain of so many, by the same network, is estimated too for each.

    Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.
    """

    n: int = 64
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_integer(2, **{"times per datum": self.n})
        for levels in self.levels:
            require_integer(1, MOST_LEVELS, **{"--levels": levels})

    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        started, share = time.monotonic(), 1 / (1 + len(self.levels))
        own = self._bound(model, guide, data, seed, None if watch is None else lambda done: watch(share * done))
        bounds = []
        for i, levels in enumerate(self.levels, 1):
            with _in_levels(model, levels):
                bound = self._bound(model, guide, data, seed, None)
            bounds.append((levels, bound.mean or 0.0, bound.stderr, bound.stderr_mc or 0.0))
            if watch is not None:
                watch(share * (i + 1))
        return replace(own, by_levels=tuple(bounds), seconds=time.monotonic() - started)

    @torch.no_grad()
    def _bound(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int, watch: ProgressCallback | None
    ) -> Estimate:
        """Return the estimate of the chain as it is."""
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


@contextmanager
def _in_levels(model: LatentVariableModel, levels: int) -> Iterator[None]:
    """Let the chain of the prior have so many levels within the scope."""
    if not isinstance(model.prior, DiffusionPrior):
        raise UsageError("levels are of a chain, and the prior has none", "Leave the levels out.")
    chain = model.prior.diffusion
    before, chain.levels = chain.levels, levels
    try:
        yield
    finally:
        chain.levels = before
