"""A net for each class, of which a datum's own one is applied."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net

__all__ = ["Experts"]


@part
class Experts(Net):
    r"""A net for each of C classes: :math:`(y, h) \mapsto \sum_c y_c f_c(h)`, which of a class y is :math:`f_y(h)`.

    Rows of one class run through its net together, so that a pass over classes costs what one net would; such a row
    has no gradient by its class. Where any row is a mixture of classes (a relaxed sample), all nets run on all rows.

    Args:
        nets: [..., F] -> [..., P] each.
        last: whether the class stands behind h, in inputs [..., F + C], and not before it, in [..., C + F].
        through: always run all nets, so that gradients by y pass through classes too (straight-through samples).

    Source: Jacobs, Jordan, Nowlan & Hinton, "Adaptive mixtures of local experts", 1991.

    Example:
        >>> net = Experts([nn.Linear(4, 2) for _ in range(3)])
        >>> net(torch.cat([torch.eye(3), torch.ones(3, 4)], -1)).shape
        torch.Size([3, 2])
    """

    def __init__(self, nets: Sequence[nn.Module], last: bool = False, through: bool = False) -> None:
        super().__init__()
        require_integer(classes=len(nets))
        self.nets, self.last, self.through = nn.ModuleList(nets), last, through

    @classmethod
    def copies(cls, classes: int, net: nn.Module, last: bool = False) -> Experts:
        """So many copies of one net, itself the first: nothing but the data tells one class from another."""
        require_integer(classes=classes)
        return cls([net, *(deepcopy(net) for _ in range(classes - 1))], last)

    def forward(self, x: Tensor) -> Tensor:
        classes = len(self.nets)
        if self.last:
            h, y = x.split([x.shape[-1] - classes, classes], -1)
        else:
            y, h = x.split([classes, x.shape[-1] - classes], -1)
        if self.through or not bool((y.amax(-1) == 1).all()):
            return sum((y[..., c, None] * net(h) for c, net in enumerate(self.nets)), h.new_zeros(()))
        which, rows = y.argmax(-1).flatten(), h.reshape(-1, h.shape[-1])
        # states that were enumerated one after another are in order
        order = None if bool((which.diff() >= 0).all()) else which.argsort(stable=True)
        pieces = (rows if order is None else rows[order]).split(which.bincount(minlength=classes).tolist())
        found = torch.cat([net(mine) for net, mine in zip(self.nets, pieces, strict=True)])
        found = found if order is None else found[order.argsort()]
        return found.reshape(*h.shape[:-1], found.shape[-1])

    @property
    def phrase(self) -> str:
        net = self.nets[0]
        return f"{len(self.nets)} experts ({net.phrase if isinstance(net, Net) else type(net).__name__})"
