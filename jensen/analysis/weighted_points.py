"""Weighted latent points of data with missing entries: drawn from the guide, or given by chains; and resampled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import NumericalError
from ..core.random import drawing_from
from ..evaluate.psis import pareto_k
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .gibbs import missing_at

__all__ = ["WeightedPoints"]


@dataclass(frozen=True)
class WeightedPoints:
    """K weighted points of each datum of a batch.

    Attributes:
        z: [K, B, Z].
        log_w: [K, B], double precision.
        mean: [B, D] of x by the weights, or [B, S] of statistics of parameters.
        annealed: whether the weights are those of chains, too few for k-hat.
        ancestors: [K, B] numbers of the points that these descend from; None of points that were never resampled.
    """

    z: Tensor
    log_w: Tensor
    mean: Tensor
    annealed: bool = False
    ancestors: Tensor | None = None

    @staticmethod
    def of(
        model: LatentVariableModel,
        guide: Guide,
        batch: Batch,
        k: int,
        at_once: int,
        noise: torch.Generator,
        of_params: Callable[[Tensor, Tensor | None], Tensor] | None,
    ) -> WeightedPoints:
        """Draw points from the guide, `at_once` of them at once; their mean is of x, or of statistics of parameters."""
        q, pieces, weights = guide(batch), [], []
        total, mean = torch.tensor(-torch.inf), torch.zeros((), dtype=torch.float64)
        for start in range(0, k, at_once):
            z, eps = place(q, min(at_once, k - start), noise)
            draw = weigh(model, q, z, batch, noise=eps)
            log_w = draw.log_weight.double()
            # the mean so far and that of these points, by their shares of the weight so far
            after = torch.logaddexp(total.to(log_w), torch.logsumexp(log_w, 0))
            share = (log_w - after).exp()
            mean = mean * (total.to(log_w) - after).exp()[:, None]
            params = draw.likelihood_params
            if of_params is None:
                expected = model.likelihood.missing(params, batch.hidden).mean
            else:
                expected = of_params(params, batch.hidden)
            mean = mean + torch.einsum("kb,kbd->bd", share, expected.expand(len(z), len(batch), -1).double())
            total = after
            pieces.append(z)
            weights.append(log_w)
        return WeightedPoints.checked(torch.cat(pieces), torch.cat(weights), mean)

    @staticmethod
    def checked(
        z: Tensor, log_w: Tensor, mean: Tensor, *, annealed: bool = False, ancestors: Tensor | None = None
    ) -> WeightedPoints:
        """Return these points, if each datum has one of finite weight."""
        if not torch.isfinite(torch.logsumexp(log_w, 0)).all():
            raise NumericalError("no point of some row has a finite weight", "Look at the data for extreme values.")
        return WeightedPoints(z, log_w, mean, annealed, ancestors)

    @property
    def ess(self) -> Tensor:
        """The effective number [B] of points, or of those that they descend from."""
        weights = torch.softmax(self.log_w, 0)
        if self.ancestors is not None:
            weights = torch.zeros_like(weights).scatter_add(0, self.ancestors, weights)
        return 1.0 / weights.square().sum(0)

    @property
    def k_hat(self) -> Tensor:
        return torch.full_like(self.log_w[0], math.nan) if self.annealed else pareto_k(self.log_w)

    def resampled(
        self, model: LatentVariableModel, batch: Batch, m: int, at_once: int, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw m points [m, B, Z] of each datum, independently and by weight, and x [m, B, D] there where missing, for
        `at_once` of the points at once."""
        chosen = torch.multinomial(torch.softmax(self.log_w, 0).mT, m, replacement=True, generator=noise).mT  # [m, B]
        z = self.z.gather(0, chosen[..., None].expand(-1, -1, self.z.shape[-1]))
        with drawing_from(noise):
            parts = [missing_at(model, part, batch).sample() for part in z.split(at_once)]
        drawn = torch.cat(parts)
        return z, torch.where(torch.as_tensor(batch.mask), batch.x, drawn)
