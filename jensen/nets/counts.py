"""Input features for networks of counts, and log-rates with a latent size factor per datum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.parts import part
from ..core.validation import require_above, require_finite, require_integer
from .dense import Net

__all__ = ["LogCounts", "SizeFactor"]


@part
class LogCounts(Net):
    r"""Counts [..., D] -> [..., D + 1]: :math:`\log(1 + x s / n)` with n the datum's total, and :math:`\log(1 + n)`.

    Composition and total are separated: the first D features do not change when all counts are multiplied.

    Args:
        dim: D.
        size: s, a typical total.

    Raises:
        UsageError: the size is not positive.

    Example:
        >>> LogCounts(2, size=4.0)(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).exp().round() - 1
        tensor([[ 1.,  3.,  4.],
                [ 1.,  3., 40.]])
    """

    def __init__(self, dim: int, size: float) -> None:
        super().__init__()
        require_integer(dim=dim)
        require_above(0, size=size)
        self.dim, self.size = dim, size

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp_min(0)  # the input may be noisy
        total = x.sum(-1, keepdim=True)
        return torch.cat([x * (self.size / total.clamp_min(1.0)), total], -1).log1p()

    @property
    def phrase(self) -> str:
        return "log counts per size, and the size"


@part
class SizeFactor(Net):
    r"""Log-rates [..., D] of a datum whose total is set by a latent feature of its own, the last one:

    .. math:: \log\mathrm{rate} = \log\mathrm{softmax}(\mathrm{net}(z_{<Z})) + c + s z_Z

    With :math:`z_Z \sim N(0, 1)` sizes are log-normal. Other outputs of the net are passed on. Of a model that is
    conditioned on one of C classes, such as the batches of an experiment, z is followed by the one-hot class, which the
    net sees too, and each class has a c of its own.

    Args:
        net: [..., Z - 1] -> [..., P], or [..., Z - 1 + C] -> [..., P].
        dim: D.
        at: the index, among the P outputs, of the first log-rate.
        centre, spread: c and s, mean and standard deviation of the data's log-sizes; a tuple of C means, where z is
            followed by a class.

    Source: Lopez et al., "Deep generative modeling for single-cell transcriptomics", 2018.

    Example:
        >>> rates = SizeFactor(nn.Linear(2, 5), 5, 0, centre=3.0, spread=0.5)(torch.tensor([0.1, 0.2, 2.0]))
        >>> round(float(rates.detach().exp().sum().log()), 3)
        4.0
        >>> of_two = SizeFactor(nn.Linear(4, 5), 5, 0, centre=(3.0, 5.0), spread=0.5)
        >>> round(float(of_two(torch.tensor([0.1, 0.2, 2.0, 0.0, 1.0])).detach().exp().sum().log()), 3)
        6.0
    """

    centres: Tensor | None

    def __init__(
        self, net: nn.Module, dim: int, at: int = 0, centre: float | tuple[float, ...] = 0.0, spread: float = 1.0
    ) -> None:
        super().__init__()
        require_integer(dim=dim)
        require_integer(0, at=at)
        self.classes = len(centre) if isinstance(centre, tuple) else 0
        for value in centre if isinstance(centre, tuple) else (centre,):
            require_finite(centre=value)
        require_above(0, spread=spread)
        self.net, self.dim, self.at, self.spread = net, dim, at, spread
        self.register_buffer("centres", torch.tensor(centre) if self.classes else None, persistent=False)
        self.centre = 0.0 if isinstance(centre, tuple) else centre

    def forward(self, z: Tensor) -> Tensor:
        z, c = z[..., : z.shape[-1] - self.classes], z[..., z.shape[-1] - self.classes :]
        centre = self.centre if self.centres is None else (c * self.centres).sum(-1, keepdim=True)
        out = self.net(torch.cat([z[..., :-1], c], -1) if self.classes else z[..., :-1])
        share = out[..., self.at : self.at + self.dim].log_softmax(-1)
        rates = share + (centre + self.spread * z[..., -1:])
        return torch.cat([out[..., : self.at], rates, out[..., self.at + self.dim :]], -1)

    @property
    def phrase(self) -> str:
        return f"{self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__}, times a latent size"
