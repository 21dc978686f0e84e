"""A net applied to the first part of its input; the other part is appended to its result."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net

__all__ = ["AppendContext"]


@part
class AppendContext(Net):
    r"""[..., F + C] -> [first(x_1, ..., x_F), x_{F+1}, ..., x_{F+C}].

    It appends what is not part of an image, such as a one-hot class, to the features of the image.

    Args:
        first: [..., F] -> [..., H].
        features: F.

    Example:
        >>> AppendContext(nn.Linear(4, 2), 4)(torch.zeros(5, 7)).shape
        torch.Size([5, 5])
    """

    def __init__(self, first: nn.Module, features: int) -> None:
        super().__init__()
        require_integer(features=features)
        self.first, self.features = first, features

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first(x[..., : self.features]), x[..., self.features :]], -1)

    @property
    def phrase(self) -> str:
        return self.first.phrase if isinstance(self.first, Net) else type(self.first).__name__
