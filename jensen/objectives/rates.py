"""Terms that hold the rate at a level instead of weighting it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.shares import batch_mean
from ..core.validation import require_finite, require_integer
from ..models.draw import Draw
from .base import Objective, Ramp, TermKind, present

__all__ = ["Capacity", "FreeBits"]


@part
@dataclass(frozen=True)
class FreeBits(Objective):
    r"""The rate with a free allowance of nats for each group of latent features: to be subtracted.

    .. math:: \sum_g \max\Big(\lambda,\ \frac1B \sum_b \mathrm{KL}_g(q(z|x_b)\,\|\,p(z))\Big)

    The mean is over the batch, so it couples the data, which share one value. `-Distortion() - FreeBits(lambda)` is a
    lower bound on log p(x), for its value is at least the rate.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow", 2016.

    Args:
        nats: lambda, per group.
        features: consecutive latent features per group (1: each by itself); None takes the groups of the latent,
            which for a flat one is the total.

    Raises:
        UsageError: negative nats, or less than one feature.
    """

    nats: float | Ramp
    features: int | None = None
    kind: ClassVar[TermKind] = TermKind.COUPLED
    reads_means: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_finite(0, nats=_ends(self.nats))
        if self.features is not None:
            require_integer(features=self.features)

    @property
    def shares(self) -> tuple[float | None, float]:
        return None, 0.0  # its weight is 0 below lambda, and 1 above

    def __call__(self, draw: Draw) -> Tensor:
        mean = batch_mean(grouped_rate(draw, self.features))
        free = torch.as_tensor(present(self.nats), dtype=mean.dtype, device=mean.device)
        return torch.maximum(mean, free).sum().expand(len(draw.batch))

    def __str__(self) -> str:
        groups = "" if self.features is None else f", features={self.features}"
        return f"FreeBits(nats={_formatted(self.nats)}{groups})"


@part
@dataclass(frozen=True)
class Capacity(Objective):
    r"""gamma \|rate - C\|: holds the mean rate of the batch at C nats; to be subtracted.

    Burgess et al. write it for a single datum; with the mean over the batch, as in the published experiments
    (Locatello et al., "Challenging common assumptions", 2019), data may share the capacity unequally.

    Source: Burgess et al., "Understanding disentangling in beta-VAE", 2018.

    Args:
        nats: C; a `Ramp` raises it along training.
        gamma: weight of the deviation from it.
    """

    nats: float | Ramp
    gamma: float = 1000.0
    kind: ClassVar[TermKind] = TermKind.COUPLED
    reads_means: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_finite(0, nats=_ends(self.nats), gamma=self.gamma)

    @property
    def shares(self) -> tuple[float | None, float]:
        return None, 0.0  # the sign of the rate's weight depends on the rate

    def __call__(self, draw: Draw) -> Tensor:
        mean = batch_mean(draw.rate)
        level = torch.as_tensor(present(self.nats), dtype=mean.dtype, device=mean.device)
        return (self.gamma * (mean - level).abs()).expand(len(draw.batch))

    def __str__(self) -> str:
        return f"Capacity(nats={_formatted(self.nats)}, gamma={self.gamma:g})"


def _ends(setting: float | Ramp) -> object:
    """Return a number, or the first and the last value of a schedule."""
    return (setting.start, setting.target) if isinstance(setting, Ramp) else setting


def _formatted(setting: float | Ramp) -> str:
    return str(setting) if isinstance(setting, Ramp) else f"{setting:g}"


def grouped_rate(draw: Draw, features: int | None) -> Tensor:
    """Compute KL(q(z_g | x) || p(z_g)) [B, G] of every group.

    Raises:
        CompositionError: guide or prior does not factorise, or Z is no multiple of `features`.
    """
    if features is None:
        if draw.walk is None:
            return draw.rate[:, None]
        return torch.stack([draw.mean(rate) for rate in draw.walk.rate.unbind(-1)], -1)
    q, p = draw.guide, draw.prior
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        name = type(p if isinstance(q, Independent) else q).__name__
        raise CompositionError(f"a {name} has no rate feature by feature", "Leave `features` out.")
    if draw.z.shape[-1] % features:
        raise CompositionError(
            f"{draw.z.shape[-1]} latent features form no groups of {features}", "Give a number that divides them."
        )
    try:
        rate = kl_divergence(q.base_dist, p.base_dist).expand(draw.z.shape[1:])
    except NotImplementedError:
        each = q.base_dist.log_prob(draw.z) - p.base_dist.log_prob(draw.z)
        rate = torch.stack([draw.mean(one) for one in each.unbind(-1)], -1)
    return rate.reshape(len(rate), -1, features).sum(-1)
