"""The abstraction of every approximate posterior q(z | x)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn
from torch.distributions import Distribution

from ..core.batch import Batch
from .model import LatentVariableModel

__all__ = ["Guide"]


class Guide(nn.Module, ABC):
    """The approximate posterior."""

    @abstractmethod
    def forward(self, batch: Batch) -> Distribution:
        """Return q(z | x), batch shape [B], event shape [Z]."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""

    @property
    def has_density(self) -> bool:
        """True if q(z | x) has a density (or a mass over a finite space), so that bounds can be formed from it."""
        return True

    @property
    def infers(self) -> bool:
        """True if q depends on x; False where points are drawn from the prior alone, as by a GAN."""
        return True

    def bounds(self, model: LatentVariableModel) -> bool:
        """Return whether a bound on log p(x) can be formed: both q(z | x) and p(x | z) have densities."""
        return self.has_density and model.likelihood.has_density

    @property
    def is_exact(self) -> bool:
        """True if q(z | x) is p(z | x), so that every log-weight is the evidence itself."""
        return False

    @property
    def is_certain(self) -> bool:
        """True if q(z | x) is one state of a discrete z, of mass 1: then log p(x, z) is a bound without noise."""
        return False

    @property
    def scores_any_point(self) -> bool:
        """True if log q(z | x) can be computed at points that the guide did not draw itself."""
        return True

    @property
    def takes_steps(self) -> bool:
        """True if q(z | x) of new rows is fitted by gradient steps, which are not differentiated."""
        return False

    @property
    def samples_rate(self) -> bool:
        """True if the rate of a draw is an estimate at sampled times: then its mean is a bound, and it makes no
        importance weights."""
        return False

    @property
    def followed(self) -> Guide:
        """The guide whose bound on validation rows is monitored in training: itself, or a cheaper one with a bound."""
        return self
