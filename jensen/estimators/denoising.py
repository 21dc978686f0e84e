r"""Denoising: the guide sees corrupted data, and the likelihood scores the clean data.

With :math:`\tilde x \sim C(\tilde x | x)`, every draw of the wrapped estimator comes from :math:`q(z|\tilde x)` and is
weighted for x. That is still a proposal, so that each bound remains a bound, also on average over :math:`\tilde x`:

.. math:: E_{C(\tilde x|x)}\, E_{q(z|\tilde x)}\Big[\log \frac{p(x, z)}{q(z|\tilde x)}\Big] \le \log p(x)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.random import normal_like_rows, uniform_like_rows
from ..core.validation import require_finite
from ..models.guide import Guide
from .base import GradientEstimator
from .other_input import OtherInput

__all__ = [
    "Corrupted",
    "Corruption",
    "GaussianNoise",
    "Masking",
    "SaltAndPepper",
    "corrupted_rows",
]

CHUNK = 4096


class Corruption(ABC):
    """A corruption C(x~ | x), independent over data and features."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw x~ [B, D] of data [B, D], as the model sees them."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A few words for a caption."""


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise UsageError(f"share must be from 0 to 1, got {share:g}", "Give a number from 0 to 1.")


@part
@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Additive noise: x + scale * eps, eps ~ N(0, I).

    Args:
        scale: standard deviation, in the units of the prepared data.

    Raises:
        UsageError: it is negative or not finite.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        require_finite(0, scale=self.scale)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + self.scale * normal_like_rows(x.shape, 0, x, generator)

    @property
    def phrase(self) -> str:
        return f"Gaussian noise of standard deviation {self.scale:.3g}"


@part
@dataclass(frozen=True)
class Masking(Corruption):
    """Masking noise: each feature is replaced by `fill` with probability `share` (Vincent et al., 2008).

    Args:
        share: from 0 to 1.
        fill: the value of a masked feature: 0 is the mean of standardised data, and a black pixel.

    Raises:
        UsageError: the share is not a probability.

    Example:
        >>> Masking(1.0)(torch.ones(1, 3))
        tensor([[0., 0., 0.]])
    """

    share: float = 0.25
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.share)
        require_finite(fill=self.fill)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.where(uniform_like_rows(x.shape, 0, x, generator) < self.share, self.fill, x)

    @property
    def phrase(self) -> str:
        return f"{100 * self.share:.3g} % of the features set to {self.fill:g}"


@part
@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Salt-and-pepper noise: with probability `share` a feature becomes `low` or `high`, equally often (Vincent et al.,
    2010).

    Args:
        share: from 0 to 1.
        low, high: the two values, black and white by default.

    Raises:
        UsageError: the share is not a probability.
    """

    share: float = 0.25
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_share(self.share)
        require_finite(low=self.low, high=self.high)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        u = uniform_like_rows(x.shape, 0, x, generator)
        return torch.where(u < self.share / 2, self.low, torch.where(u < self.share, self.high, x))

    @property
    def phrase(self) -> str:
        return f"{100 * self.share:.3g} % of the features set to {self.low:g} or {self.high:g} at random"


@part
@dataclass(frozen=True)
class Corrupted(OtherInput):
    """Another estimator's points from q(z | x~), x~ ~ C(x~ | x) drawn anew in every step, weighted for the clean x.

    Training and validation report the bound on average over x~, a lower bound on log p(x) like that of any other guide.
    Evaluation, encoding and reconstruction use no corruption: there the guide sees x.

    Sources: Vincent, Larochelle, Bengio & Manzagol, "Extracting and composing robust features with denoising
    autoencoders", 2008; Im, Ahn, Memisevic & Bengio, "Denoising criterion for variational auto-encoding framework",
    2017.

    Args:
        estimator: places the points and differentiates.
        corruption: of the guide's input; without any (a share or scale of 0) this is the estimator itself.

    Raises:
        CompositionError: when it draws, if the guide is the exact posterior: of x~ it is not that of x.

    Example:
        >>> from jensen.estimators import Pathwise
        >>> str(Corrupted(Pathwise(), Masking(0.25)))
        'Pathwise(k=1) of x with 25 % of the features set to 0'
    """

    estimator: GradientEstimator
    corruption: Corruption

    def seen(self, guide: Guide, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        if guide.is_exact:
            raise CompositionError(
                "the exact posterior of corrupted data is not that of x", f"Use {self.estimator} with Exact(...)."
            )
        return {"x": self.corruption(batch.x, generator)}

    def __str__(self) -> str:
        return f"{self.estimator} of x with {self.corruption.phrase}"


def corrupted_rows(rows: Rows, corruption: Corruption, generator: torch.Generator | None = None) -> Rows:
    """Return the rows as x~, drawn once, as input of a denoising guide; missing entries stay missing."""
    x = torch.cat([corruption(batch.x, generator) for batch in rows.batches(CHUNK, generator)])
    if rows.mask is not None and rows.fill is not None:
        x = torch.where(rows.mask, x, rows.fill.to(x))
    return replace(rows, stored=x, prepare=None)
