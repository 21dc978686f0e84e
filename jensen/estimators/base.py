"""The abstraction of a gradient estimator: it places latent points, and differentiates objectives of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from ..core.batch import Batch
from ..core.errors import CompositionError, NotReparameterizable
from ..core.validation import require_integer
from ..distributions import Chained
from ..models.draw import Draw
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective, TermKind

__all__ = ["GradientEstimator", "PointsPerDatum", "WeightedSamples", "no_path"]


class GradientEstimator(ABC):
    """A way to place points and to differentiate objectives of them."""

    @abstractmethod
    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        """Place the points of a batch, and compute their densities and weights."""

    @abstractmethod
    def suits(self, term: Objective) -> bool:
        """Return whether gradients of this term are right under this estimator."""

    def trains_guide(self, term: Objective) -> bool:
        """Return whether gradients of the guide's parameters are right too, where those of the model's are."""
        return True

    @property
    @abstractmethod
    def remedy(self) -> str:
        """A remedy for a term that does not suit."""

    def surrogate(self, term: Objective, draw: Draw) -> Tensor:
        """Return a value [B] whose gradient is the estimator's; its value is the term's."""
        return term(draw)

    def check(self, objective: Objective) -> None:
        """Refuse, before the loop, an objective with a term that this estimator is wrong for.

        Raises:
            CompositionError: naming the term and the remedy.
        """
        for _, term in objective.terms:
            if not self.suits(term):
                raise CompositionError(f"{self} gives wrong gradients for {term}", self.remedy)


class PointsPerDatum(GradientEstimator):
    """An estimator whose only field is the number of its points, or of those in each stratum.

    Attributes:
        k: points per datum.
        least: the smallest k.
    """

    k: int
    least: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_integer(self.least, k=self.k)


class WeightedSamples(GradientEstimator):
    """An estimator by points of unequal weights, which terms that couple the data of a batch cannot use."""

    def suits(self, term: Objective) -> bool:
        return term.kind is not TermKind.COUPLED

    @property
    def remedy(self) -> str:
        return "A term that couples the batch needs points of equal weight: use Pathwise(k), and a guide with a path."


def no_path(q: Distribution) -> NotReparameterizable:
    """Return the error for a guide whose samples carry no gradient, with the estimator to use instead."""
    remedy = "Stratified(k)" if isinstance(q, MixtureSameFamily) else "Score(k), or Enumerate() of a finite z"
    remedy = "ByGroup((Enumerate(), Pathwise(k)))" if isinstance(q, Chained) else remedy
    return NotReparameterizable(f"{type(q).__name__} has no pathwise gradient", f"Use {remedy}.")
