"""Families of counts: log-rates, dispersion, and zeros beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import NegativeBinomial as Dispersed
from ..distributions import Poisson as Counted
from ..distributions import ZeroInflated as Gated
from .base import BOUND, Factorised, PerFeature, positive
from .support import COUNTS, Support

__all__ = ["NegativeBinomial", "Poisson", "ZeroInflated"]

LEAST, MOST = -40.0, 20.0  # of log-rates: from 4e-18 to 5e8, as large as every device can sample
DISPERSION = 1e6  # a larger inverse dispersion is a Poisson
GATE = -2.0  # initial logit of a decoder: an eighth of zeros beyond those of the other family


def _log_rate(raw: Tensor) -> Tensor:
    return raw.clamp(LEAST, MOST)


def _start(mean: Tensor) -> Tensor:
    return mean.clamp_min(1e-4).log()


@part
@dataclass(frozen=True)
class Poisson(PerFeature, Factorised):
    r"""Independent counts with log-rates l: :math:`\log P(x) = \sum_d x_d l_d - e^{l_d} - \log x_d!`.

    Args:
        dim: D.

    Example:
        >>> Poisson(1).log_prob(torch.zeros(1), torch.ones(1))
        tensor(-1.)
    """

    dim: int

    @property
    def support(self) -> Support:
        return COUNTS

    def start(self, mean: Tensor) -> Tensor:
        return _start(mean)

    def features(self, params: Tensor) -> Distribution:
        return Counted(_log_rate(params), validate_args=False)


@part
@dataclass(frozen=True)
class NegativeBinomial(Factorised):
    r"""Independent counts of mean mu and variance :math:`\mu + \mu^2 / \theta`, from log mu and the inverse dispersion.

    Zero parameters are mean 1 and theta = 1, the geometric distribution.

    Args:
        dim: D.
        dispersion: theta "feature" (learned per feature, the same for all data) or "each" (from the context).

    Source: Lopez et al., "Deep generative modeling for single-cell transcriptomics", 2018.

    Example:
        >>> NegativeBinomial(1).log_prob(torch.zeros(2), torch.tensor([3.0])).exp()
        tensor(0.0625)
    """

    dim: int
    dispersion: Literal["feature", "each"] = "feature"

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)
        if self.dispersion not in ("feature", "each"):
            raise UsageError(f"there is no dispersion {self.dispersion!r}", 'Choose "feature" or "each".')

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def shared(self) -> int:
        return self.dim if self.dispersion == "feature" else 0

    @property
    def support(self) -> Support:
        return COUNTS

    @property
    def phrase(self) -> str:
        return f"NegativeBinomial({self.dim}{', a dispersion per feature' if self.shared else ''})"

    def start(self, mean: Tensor) -> Tensor:
        return _start(mean)

    def features(self, params: Tensor) -> Distribution:
        theta = positive(params[..., self.dim :]).clamp_max(DISPERSION)
        return Dispersed(_log_rate(params[..., : self.dim]), theta, validate_args=False)


@part
@dataclass(frozen=True)
class ZeroInflated(Factorised):
    r"""Counts of which a share pi is zero beyond the zeros of P_0: :math:`P(x) = \pi [x = 0] + (1 - \pi) P_0(x)`.

    The first D parameters are the logits of pi: at zero it is one half, over the standard member of P_0.

    Args:
        part: Poisson or NegativeBinomial.

    Source: Lambert, "Zero-inflated Poisson regression", 1992; Lopez et al., 2018.

    Example:
        >>> ZeroInflated(Poisson(1)).log_prob(torch.zeros(2), torch.zeros(1)).exp()  # (1 + 1/e) / 2
        tensor(0.6839)
    """

    part: Poisson | NegativeBinomial

    def __post_init__(self) -> None:
        if not isinstance(self.part, Poisson | NegativeBinomial):
            raise CompositionError(
                f"{self.part} has no zeros to inflate: a density and a mass do not add up",
                "Use ZeroInflated(Poisson(D)) or ZeroInflated(NegativeBinomial(D)).",
            )

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.part.dim

    @property
    def size(self) -> int:
        return self.dim + self.part.size

    @property
    def shared(self) -> int:
        return self.part.shared

    @property
    def support(self) -> Support:
        return self.part.support

    @property
    def phrase(self) -> str:
        return f"zero-inflated {self.part.phrase}"

    def start(self, mean: Tensor) -> Tensor:
        gate = torch.full_like(mean, GATE)
        return torch.cat([gate, self.part.start(mean / torch.sigmoid(-gate))], -1)

    def features(self, params: Tensor) -> Distribution:
        gate = params[..., : self.dim].clamp(-BOUND, BOUND)
        return Gated(self.part.features(params[..., self.dim :]), gate, validate_args=False)
