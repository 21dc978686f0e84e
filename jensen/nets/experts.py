"""One net for each class, and a datum's class selects the net that is applied."""

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
    r"""One net for each of C classes: :math:`(y, h) \mapsto \sum_c y_c f_c(h)`, for one-hot y the net of that class.

    Rows of one class run through its net together, so that a pass over classes costs what one net would; such a row
    has no gradient by its class. Where any row is a mixture of classes (a relaxed sample), all nets run on all rows.

    Args:
        nets: [..., F] -> [..., P] each.
        last: whether the class comes after h, in inputs [..., F + C], and not before it, in [..., C + F].
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
        """Return experts that are copies of one net, itself the first, so that only the data separate the classes."""
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
        classes_of, rows = y.argmax(-1).flatten(), h.reshape(-1, h.shape[-1])
        # states that were enumerated one after another are in order
        order = None if bool((classes_of.diff() >= 0).all()) else classes_of.argsort(stable=True)
        pieces = (rows if order is None else rows[order]).split(classes_of.bincount(minlength=classes).tolist())
        out = torch.cat([net(piece) for net, piece in zip(self.nets, pieces, strict=True)])
        out = out if order is None else out[order.argsort()]
        return out.reshape(*h.shape[:-1], out.shape[-1])

    @property
    def phrase(self) -> str:
        net = self.nets[0]
        return f"{len(self.nets)} experts ({net.phrase if isinstance(net, Net) else type(net).__name__})"
