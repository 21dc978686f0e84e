"""A point mass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["Point"]


class Point(Distribution):
    """All mass at one point of R^Z, such as the output of a deterministic encoder.

    It has samples, a mean and no density with respect to the continuous prior; `log_prob` is its log *mass*: 0 at the
    point and minus infinity elsewhere. A guide of points has no density
    (`has_density`), which is checked before any bound is formed.

    Args:
        value: [..., Z].
    """

    arg_constraints = {"value": constraints.real_vector}  # pyright: ignore[reportAssignmentType]
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    has_rsample = True

    def __init__(self, value: Tensor) -> None:
        self.value = value
        super().__init__(value.shape[:-1], value.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.value)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        return self.value.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        same = (value == self.value).all(-1)
        return torch.where(same, 0.0, -torch.inf).to(self.value.dtype)
