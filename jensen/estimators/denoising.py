r"""Noise on what the guide sees, while the likelihood scores what was there: denoising.

With :math:`\tilde x \sim C(\tilde x | x)`, every draw of the wrapped estimator comes from :math:`q(z|\tilde x)` and is
weighed for x. The posterior of another datum is still a proposal, so that each bound stays one, on average over
:math:`\tilde x` too:

.. math:: E_{C(\tilde x|x)}\, E_{q(z|\tilde x)}\Big[\log \frac{p(x, z)}{q(z|\tilde x)}\Big] \le \log p(x)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_finite
from ..models.draw import Draw
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from .base import GradientEstimator

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
    """C(x~ | x), independent over data and features."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x~ [B, D] of data [B, D], as the model sees them."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A few words for a caption."""


def _uniform(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise UsageError(f"a share of {share:g} of the features cannot be corrupted", "Give a number from 0 to 1.")


@part
@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """x + scale * eps, eps ~ N(0, I).

    Args:
        scale: standard deviation, in the units of what the model sees.

    Raises:
        UsageError: it is negative or not finite.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        require_finite(0, scale=self.scale)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + self.scale * torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)

    @property
    def phrase(self) -> str:
        return f"Gaussian noise of standard deviation {self.scale:.3g}"


@part
@dataclass(frozen=True)
class Masking(Corruption):
    """Each feature is replaced by `fill` with probability `share` (Vincent et al., 2008).

    Args:
        share: from 0 to 1.
        fill: what stands for a feature that is dropped: 0 is the mean of standardised data, and a black pixel.

    Raises:
        UsageError: the share is no probability.

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
        return torch.where(_uniform(x, generator) < self.share, self.fill, x)

    @property
    def phrase(self) -> str:
        return f"{100 * self.share:.3g} % of the features set to {self.fill:g}"


@part
@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Each feature becomes `low` or `high`, by a fair coin, with probability `share` (Vincent et al., 2010).

    Args:
        share: from 0 to 1.
        low, high: black and white.

    Raises:
        UsageError: the share is no probability.
    """

    share: float = 0.25
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_share(self.share)
        require_finite(low=self.low, high=self.high)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        u = _uniform(x, generator)
        return torch.where(u < self.share / 2, self.low, torch.where(u < self.share, self.high, x))

    @property
    def phrase(self) -> str:
        return f"{100 * self.share:.3g} % of the features set to {self.low:g} or {self.high:g} at random"


@contextmanager
def _seeing(guide: Guide, batch: Batch, x: Tensor) -> Iterator[None]:
    """Within the scope, the guide asked about this batch sees x; about others (a VampPrior's), what they are."""

    def blur(module: object, given: tuple[Batch, ...]) -> tuple[Batch, ...]:
        return (replace(given[0], x=x), *given[1:]) if given[0].x is batch.x else given

    hook = guide.register_forward_pre_hook(blur)
    try:
        yield
    finally:
        hook.remove()


@part
@dataclass(frozen=True)
class Corrupted(GradientEstimator):
    """Another estimator's points from q(z | x~), x~ ~ C(x~ | x) drawn anew in every step, weighed for the clean x.

    What the estimator reports while it trains and validates is the bound on average over x~, a lower bound on log p(x)
    like that of any other guide. Evaluation, encoding and reconstruction know nothing of it: there the guide sees x.

    Sources: Vincent, Larochelle, Bengio & Manzagol, "Extracting and composing robust features with denoising
    autoencoders", 2008; Im, Ahn, Memisevic & Bengio, "Denoising criterion for variational auto-encoding framework",
    2017.

    Args:
        estimator: places the points and differentiates.
        corruption: of what the guide sees; none (a share or scale of 0) is the estimator itself.

    Raises:
        CompositionError: when it draws, if the guide is the exact posterior, which would no longer be that of x.

    Example:
        >>> from jensen.estimators import Pathwise
        >>> str(Corrupted(Pathwise(), Masking(0.25)))
        'Pathwise(k=1) of x with 25 % of the features set to 0'
    """

    estimator: GradientEstimator
    corruption: Corruption

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        if guide.is_exact:
            raise CompositionError(
                "the exact posterior of what was corrupted is not that of x", f"Use {self.estimator} with Exact(...)."
            )
        x = self.corruption(batch.x, generator)
        with _seeing(guide, batch, x):
            draw = self.estimator.draw(model, guide, batch, generator)
        frozen = draw.frozen
        if frozen is None:
            return draw

        def log_prob(z: Tensor) -> Tensor:  # may ask the guide again, about the same x~
            with _seeing(guide, batch, x):
                return frozen(z)

        return replace(draw, frozen=log_prob)

    def suits(self, term: Objective) -> bool:
        return self.estimator.suits(term)

    def trains_guide(self, term: Objective) -> bool:
        return self.estimator.trains_guide(term)

    @property
    def remedy(self) -> str:
        return self.estimator.remedy

    def surrogate(self, term: Objective, draw: Draw) -> Tensor:
        return self.estimator.surrogate(term, draw)

    def __str__(self) -> str:
        return f"{self.estimator} of x with {self.corruption.phrase}"


def corrupted_rows(rows: Rows, corruption: Corruption, generator: torch.Generator | None = None) -> Rows:
    """Return the rows as x~, drawn once, for a denoising guide to see; entries that are missing stay so."""
    x = torch.cat([corruption(batch.x, generator) for batch in rows.batches(CHUNK, generator)])
    if rows.mask is not None and rows.fill is not None:
        x = torch.where(rows.mask, x, rows.fill.to(x))
    return replace(rows, stored=x, prepare=None)
