r"""Hiding: in training the guide sees only some of the observed entries, and the likelihood scores all of them.

A guide that is to impute must have met rows with other entries missing than those of the training data, which may have
none missing at all. With a mask S drawn anew in every step, each draw comes from :math:`q(z | x_S)` and is weighted for
all of :math:`x_o`: a proposal like any other, so that the bound stays a bound on :math:`\log p(x_o)`, also on average
over S.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.random import uniform_like_rows
from ..guides.masked import Masked
from ..models.guide import Guide
from .base import GradientEstimator
from .other_input import OtherInput

__all__ = ["Hiding", "hidden_mask"]

LEAST = 1e-9  # of a fraction that is divided by


def hidden_mask(mask: Tensor, rows: float, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Return a mask [B, D] in which a random part of the rows have entries hidden beside those that are.

    Args:
        mask: [B, D], True where observed.
        rows: the fraction of the rows in which entries are hidden.
        share: the largest fraction of the entries of such a row; each has its own, uniform from 0 to this.
        generator: of the noise.
    """
    like = mask.new_zeros((), dtype=torch.get_default_dtype())
    of_row = uniform_like_rows((len(mask), 1), 0, like, generator)
    of_entry = uniform_like_rows(mask.shape, 0, like, generator)
    rate = torch.where(of_row < rows, of_row * (share / max(rows, LEAST)), 0.0)
    return mask & (of_entry >= rate)


@part
@dataclass(frozen=True)
class Hiding(OtherInput):
    """Another estimator's points from q(z | x_S), with entries hidden from the guide anew in every step of training.

    Validation, evaluation and imputation hide nothing.

    Args:
        estimator: places the points and differentiates.
        rows: the fraction of the rows in which entries are hidden.
        share: the largest fraction of the entries of such a row that are.

    Raises:
        UsageError: a fraction is not from 0 to 1.
        CompositionError: when it draws, if the guide does not see the mask, so that a hidden entry would be a value.

    Example:
        >>> from jensen.estimators import Pathwise
        >>> str(Hiding(Pathwise(5), rows=0.5, share=0.8))
        'Pathwise(k=5) of x with up to 80 % of the entries of 50 % of the rows hidden'
    """

    estimator: GradientEstimator
    rows: float = 0.5
    share: float = 0.8

    def __post_init__(self) -> None:
        for name in ("rows", "share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(
                    f"{name} must be from 0 to 1, got {getattr(self, name):g}", "Give a number from 0 to 1."
                )

    def seen(self, guide: Guide, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        if not isinstance(guide, Masked):
            raise CompositionError(
                f"entries cannot be hidden from {type(guide).__name__}, which does not see the mask", "Use Masked(...)."
            )
        if not torch.is_grad_enabled():
            return {}
        observed = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        mask = hidden_mask(observed, self.rows, self.share, generator)
        # of what is hidden nothing is left
        return {"x": torch.where(mask, batch.x, torch.zeros_like(batch.x)), "mask": mask}

    def __str__(self) -> str:
        amount = f"up to {100 * self.share:.3g} % of the entries of {100 * self.rows:.3g} % of the rows"
        return f"{self.estimator} of x with {amount} hidden"
