"""The examination that all checks of the doctor share: one pass over rows, with a few latent points for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..estimators.reparameterized import Pathwise
from ..families import Gaussian, Laplace, LogNormal, StudentT
from ..models.draw import Draw
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Examination", "Pass"]

POINTS = 4  # the bound's noise per datum is averaged over all rows, so few points are enough
CHUNK = 128


@dataclass(frozen=True)
class Pass:
    """The measurements of a pass over N rows.

    Attributes:
        score: [N] the ELBO (log p(x) itself under an exact guide); minus the distortion without a density.
        rate: [N], zero without a density.
        guides: q(z | x), one for each batch.
        z: [N, Z] a point of each guide, and `log_own` [N] its log q(z | x).
        mean, sd: [N, Z] of each guide.
        feature_rate: [Z] the rate of each latent feature; None where guide or prior does not factorise.
        scale: [N, D] or [N, 1] of a likelihood at z that has them (of log x, where it is log-normal); None for others.
    """

    score: Tensor
    rate: Tensor
    guides: tuple[Distribution, ...]
    z: Tensor
    log_own: Tensor
    mean: Tensor
    sd: Tensor
    feature_rate: Tensor | None
    scale: Tensor | None


@dataclass(frozen=True)
class Examination:
    """A model and the rows that it is examined on.

    Attributes:
        train: the rows that it was trained on.
        test: rows that it was not trained on; None where there are none.
        beta: effective weight of the rate in training; None where it means nothing.
        history: lines of metrics.jsonl.
        seed: of all Monte Carlo.
        most: rows of each part that are looked at.
        log_jacobian: nats to add to a log-density of what the model sees, for that of the data in their own units.
    """

    model: LatentVariableModel
    guide: Guide
    train: Rows
    test: Rows | None
    beta: float | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    seed: int = 0
    most: int = 2000
    log_jacobian: float = 0.0

    @cached_property
    def trained(self) -> Pass:
        """The pass over training rows."""
        return self._look(self.train, "train")

    @cached_property
    def unseen(self) -> Pass | None:
        """The pass over rows that were not trained on."""
        return None if self.test is None else self._look(self.test, "test")

    @property
    def scored(self) -> bool:
        """True if guide and likelihood have densities, so that there is a bound."""
        return self.guide.bounds(self.model)

    def stream(self, name: str) -> torch.Generator:
        """Return the randomness of one check."""
        return stream(self.seed, f"doctor:{name}", self.train.device)

    def batches(self, rows: Rows, name: str, most: int | None = None) -> list[Batch]:
        """Return the rows that are looked at, or at most so many of them; their numbers in the data set are kept."""
        noise = self.stream(f"{name}:rows")
        index = evenly_spaced(len(rows), min(self.most, most or self.most), rows.device)
        return [rows.take(i, noise) for i in index.split(CHUNK)]

    @torch.no_grad()
    def _look(self, rows: Rows, name: str) -> Pass:
        noise = self.stream(name)
        batches = self.batches(rows, name)
        draws = (Pathwise(POINTS).draw(self.model, self.guide, batch, noise) for batch in batches)
        return _joined([self._glance(draw) for draw in draws])

    def _glance(self, draw: Draw) -> Pass:
        score = -draw.distortion
        rate = torch.zeros_like(score)
        if self.scored:
            rate = draw.rate
            # with the exact posterior every log-weight is log p(x): no noise from its two halves
            score = draw.log_weight.mean(0) if self.guide.is_exact else score - rate
        score = score.double() + self.log_jacobian
        mean, sd = _moments(draw.guide, draw.z)
        params = draw.likelihood_params.expand(*draw.z.shape[:2], -1)[0]  # [B, P], at the first point
        family = draw.model.likelihood.family
        scale = family.loc_scale(params)[1] if isinstance(family, Gaussian | Laplace | LogNormal | StudentT) else None
        return Pass(
            score.cpu(),
            rate.double().cpu(),
            (draw.guide,),
            draw.z[0],
            draw.log_guide[0].sum(-1),
            mean,
            sd,
            _feature_rate(draw),
            scale,
        )


def _moments(q: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [B, Z] of q; of its points, where it knows neither (a flow)."""
    b = z.shape[1]
    try:
        return q.mean.expand(b, -1), q.variance.sqrt().expand(b, -1)
    except NotImplementedError:
        return z.mean(0), z.std(0)


def _feature_rate(draw: Draw) -> Tensor | None:
    """Return the sum [Z] over the batch of each latent feature's rate."""
    pair = draw.guide, draw.prior
    if not all(isinstance(d, Independent) and isinstance(d.base_dist, Normal) for d in pair):
        return None
    q, p = (d.base_dist for d in pair if isinstance(d, Independent))
    return kl_divergence(q, p).sum(0).double().cpu()


def _joined(parts: list[Pass]) -> Pass:
    """Return the sights of consecutive batches as one; sums over rows become averages."""
    n = sum(len(p.score) for p in parts)

    def cat(name: str) -> Any:
        values = [getattr(p, name) for p in parts]
        return None if values[0] is None else torch.cat(values)

    rates = [p.feature_rate for p in parts if p.feature_rate is not None]
    return Pass(
        cat("score"),
        cat("rate"),
        tuple(q for p in parts for q in p.guides),
        cat("z"),
        cat("log_own"),
        cat("mean"),
        cat("sd"),
        torch.stack(rates).sum(0) / n if rates else None,
        cat("scale"),
    )
