"""Estimators whose guide sees something else than the batch that is scored: a proposal like any other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from ..core.batch import Batch
from ..models.draw import Draw
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from .base import GradientEstimator

__all__ = ["OtherInput"]


@contextmanager
def _seeing(guide: Guide, batch: Batch, other: Mapping[str, Tensor]) -> Iterator[None]:
    """Give the guide other tensors in the place of this batch's, within the scope; other batches (a VampPrior's) are
    left as they are."""

    def substitute(module: object, inputs: tuple[Batch, ...]) -> tuple[Batch, ...]:
        return (replace(inputs[0], **other), *inputs[1:]) if inputs[0].x is batch.x else inputs

    hook = guide.register_forward_pre_hook(substitute)
    try:
        yield
    finally:
        hook.remove()


class OtherInput(GradientEstimator):
    """Another estimator's points, from a guide that sees other tensors than those of the batch.

    Attributes:
        estimator: places the points and differentiates.
    """

    estimator: GradientEstimator

    @abstractmethod
    def seen(self, guide: Guide, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Return the tensors that the guide sees in the place of the batch's, by name; none where it sees the batch.

        Args:
            guide: that is to see them.
            batch: of data.
            generator: of the noise.
        """

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        other = self.seen(guide, batch, generator)
        if not other:
            return self.estimator.draw(model, guide, batch, generator)
        with _seeing(guide, batch, other):
            draw = self.estimator.draw(model, guide, batch, generator)
        frozen = draw.frozen
        if frozen is None:
            return draw

        def log_prob(z: Tensor) -> Tensor:  # may call the guide again, on the same input
            with _seeing(guide, batch, other):
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
