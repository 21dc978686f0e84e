"""A guide that rounds to codes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.parts import part
from ..core.precision import applied
from ..core.shares import current_share, gathered, sharing
from ..core.validation import require_integer
from ..distributions import OneState
from ..models.codebooks import Codes
from ..models.guide import Guide
from ..nets import Net

__all__ = ["Quantized"]


@part
class Quantized(Guide):
    r"""z = the codes nearest to net(x), G of them: one state of a discrete latent, of mass 1.

    With :math:`k^*` these codes, :math:`\log p(x, k^*) \le \log p(x)` is a bound without noise, and the rate is
    :math:`-\log p(k^*)`. The gradient is that of net(x), straight-through; learned codes are updated when the net
    is: as its gradient is formed, in training mode. While only the prior is trained, they stay.

    Args:
        net: [B, D] -> [B, G * E].
        codes: n vectors of E numbers, shared with the prior (see `CodePrior`).
        groups: G.

    Source: van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", 2017.

    Example:
        >>> import torch
        >>> from jensen.models.codebooks import Lattice
        >>> guide = Quantized(nn.Linear(5, 6), Lattice((3, 3)), groups=3)
        >>> guide(Batch(torch.zeros(4, 5))).codes.shape
        torch.Size([4, 3])
    """

    def __init__(self, net: nn.Module, codes: Codes, groups: int) -> None:
        super().__init__()
        require_integer(groups=groups)
        self.net, self.codes, self.groups = net, codes, groups

    def forward(self, batch: Batch) -> Distribution:
        codes = self.codes
        h = applied(self.net, batch.x)
        bounded = codes.bounded(h.unflatten(-1, (self.groups, codes.width)))
        flat = bounded.detach().flatten(0, -2)
        learns, share = self.training and bounded.requires_grad, current_share()
        if learns:
            codes.begin(gathered(flat))
        index = codes.nearest(bounded)
        if learns:

            def update(grad: Tensor) -> None:
                with sharing(share):  # backward passes run in threads of their own on some devices
                    whole = gathered(flat)
                codes.learn(whole, index.flatten() if share is None else codes.nearest(whole))

            bounded.register_hook(update)
        return OneState(bounded.flatten(-2), index, codes.flat_vectors, codes.flat_index)

    @property
    def phrase(self) -> str:
        net = self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__
        return f"{self.groups} codes from a {self.codes.phrase} by {net}"

    @property
    def is_certain(self) -> bool:
        return True
