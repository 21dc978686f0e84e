"""A network as guide: q(z | x) amortised over data, or a point for each datum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..distributions import Point
from ..families import Family
from ..models.conditionals import Conditional, Given
from ..models.guide import Guide
from ..nets import ConvEncoder, Net

__all__ = ["Amortized", "Deterministic"]


@part
class Amortized(Guide):
    """q(z | x) = conditional(x): one network for all data (Kingma & Welling, 2014).

    Args:
        conditional: from x [B, D] to a distribution over z.
        context: whether it takes [x, context] [B, D + C] and not x alone.

    Raises:
        CompositionError: when called, if a batch lacks the context that it takes.
    """

    def __init__(self, conditional: Conditional, context: bool = False) -> None:
        super().__init__()
        self.conditional, self.context = conditional, context

    @classmethod
    def mlp(cls, inputs: int, hidden: Sequence[int], family: Family, activation: str = "silu") -> Amortized:
        """Return q(z | x) = family(MLP(x)).

        Args:
            inputs: D.
            hidden: sizes of the hidden layers.
            family: of z.
            activation: by name.

        Example:
            >>> from jensen.families import Gaussian
            >>> Amortized.mlp(784, (200,), Gaussian(16)).phrase
            'Gaussian(16) by MLP 784-200-32'
        """
        return cls(Given.mlp(inputs, hidden, family, activation))

    @classmethod
    def conv(cls, shape: tuple[int, int, int], family: Family, width: int = 32, activation: str = "silu") -> Amortized:
        """Return q(z | x) = family(ConvEncoder(x)), for flat images x [B, H * W * channels].

        Args:
            shape: (H, W, channels) of the images.
            family: of z.
            width: channels of the convolutions at the finest level.
            activation: by name.

        Example:
            >>> from jensen.families import Gaussian
            >>> guide = Amortized.conv((8, 8, 1), Gaussian(2), width=8)
            >>> guide(Batch(torch.zeros(5, 64))).event_shape
            torch.Size([2])
        """
        return cls(Given(ConvEncoder(shape, family.size - family.shared, width, activation), family))

    def net_input(self, batch: Batch) -> Tensor:
        """Return the input of the conditional: x [B, D], or [x, context] [B, D + C]."""
        if not self.context:
            return batch.x
        if batch.context is None:
            raise CompositionError("q(z | x, c) needs a context c, and none was given", "Pass Batch(x, context=...).")
        return torch.cat([batch.x, batch.context.to(batch.x)], -1)

    def forward(self, batch: Batch) -> Distribution:
        return self.conditional(self.net_input(batch))

    @property
    def phrase(self) -> str:
        return f"{self.conditional.phrase}{' that sees the context' if self.context else ''}"


@part
class Deterministic(Guide):
    """z = net(x): the encoder of a plain autoencoder. It has no density, so it forms no bound.

    Args:
        net: [B, D] -> [B, Z].
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> Distribution:
        return Point(applied(self.net, batch.x))

    @property
    def phrase(self) -> str:
        return f"a point from {self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__}"

    @property
    def has_density(self) -> bool:
        return False
