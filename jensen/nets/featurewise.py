"""A map of each feature by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net

__all__ = ["Featurewise"]


@part
class Featurewise(Net):
    r"""Several numbers for each feature, affine in that feature alone: zero at first.

    .. math:: y_{pd} = a_{pd} x_d + b_{pd}

    Args:
        dim: D, features.
        planes: P, numbers for each; the result is [..., P D], all first numbers before all second ones.

    Example:
        >>> Featurewise(3, planes=2)(torch.zeros(5, 3)).shape
        torch.Size([5, 6])
    """

    def __init__(self, dim: int, planes: int = 1) -> None:
        super().__init__()
        require_integer(dim=dim, planes=planes)
        self.weight, self.bias = (nn.Parameter(torch.zeros(planes, dim)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, self.weight, x[..., None, :]).flatten(-2)

    @property
    def phrase(self) -> str:
        return f"{self.weight.shape[0]} numbers of each of {self.weight.shape[1]} features"
