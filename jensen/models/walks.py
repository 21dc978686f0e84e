"""Guides that go through the prior's own computation, so that one pass gives all densities of a draw."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution

from .conditionals import Conditional

__all__ = ["Walk", "Walked"]


@dataclass(frozen=True)
class Walk:
    """The results of one pass through what prior and guide share.

    Attributes:
        z: [..., Z].
        log_prob, log_prior: [..., G] densities of the groups under the distribution of the pass, and under the prior;
            of a diffusion their difference is minus an estimate of the rate, and neither is a density of its own.
        rate: [..., G], KL(q(z_g | h, x) || p(z_g | h)) of each group in closed form, or an estimate of it.
        state: [..., H] after the last group.
    """

    z: Tensor
    log_prob: Tensor
    log_prior: Tensor
    rate: Tensor
    state: Tensor


class Walked(Distribution):
    """A distribution that keeps the walk of its last sample."""

    @abstractmethod
    def walk_at(self, z: Tensor) -> Walk:
        """Return the walk at these points [K, B, Z]: that of the last sample, if they are it, else a new one."""

    @abstractmethod
    def is_of(self, prior: Conditional) -> bool:
        """Return whether a prior shares the computation of this distribution."""
