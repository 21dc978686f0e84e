"""Fully connected networks, and the layer that centres their inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.annotations import Depth
from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_integer

__all__ = ["ACTIVATIONS", "MLP", "Chain", "Net", "ResidualMLP", "Standardize", "activated"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

LARGEST = 1e12  # inputs are kept within +-this, so that no finite input overflows


def activated(name: str) -> nn.Module:
    """Return a new module of the activation of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ACTIVATIONS:
        raise UsageError(f"there is no activation {name!r}", f"Choose from {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]()


class Net(nn.Module, ABC):
    """A network with a short description of itself, its phrase."""

    @property
    @abstractmethod
    def phrase(self) -> str: ...


@part
class MLP(Net):
    """A multilayer perceptron [..., inputs] -> [..., outputs].

    Args:
        inputs, outputs: sizes.
        hidden: sizes of the hidden layers; none makes the map affine.
        activation: one of `ACTIVATIONS`.

    Example:
        >>> MLP(3, 2, hidden=(8, 8))(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int] = (200, 200), activation: str = "silu") -> None:
        super().__init__()
        require_integer(0, inputs=inputs)
        require_integer(outputs=outputs, hidden=tuple(hidden))
        self.sizes, self.activation = (inputs, *hidden, outputs), activation
        layers: list[nn.Module] = []
        for a, b in zip(self.sizes[:-2], self.sizes[1:-1], strict=True):
            layers += [nn.Linear(a, b), activated(activation)]
        self.layers = nn.Sequential(*layers, nn.Linear(self.sizes[-2], self.sizes[-1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @property
    def phrase(self) -> str:
        return f"MLP {'-'.join(map(str, self.sizes))}"


@part
class ResidualMLP(Net):
    """A perceptron of residual blocks [..., inputs] -> [..., outputs]: h + W2 a(W1 a(h)) each, the identity at first.

    Args:
        inputs, outputs: sizes.
        width: of the state h.
        blocks: how many; none makes the map affine in two steps.
        activation: one of `ACTIVATIONS`.

    Source: He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", 2016.

    Example:
        >>> ResidualMLP(3, 2, width=8, blocks=2)(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 200, blocks: Depth = 2, activation: str = "silu"
    ) -> None:
        super().__init__()
        require_integer(0, inputs=inputs, blocks=blocks)
        require_integer(outputs=outputs, width=width)
        self.sizes, self.activation = (inputs, width, outputs), activated(activation)
        self.stem, self.head = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        for layer in self.second:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for first, second in zip(self.first, self.second, strict=True):
            h = h + second(self.activation(first(self.activation(h))))
        return self.head(self.activation(h)) if len(self.first) else self.head(h)

    @property
    def phrase(self) -> str:
        inputs, width, outputs = self.sizes
        return f"residual MLP {inputs}-{len(self.first)}x{width}-{outputs}"


@part
class Standardize(Net):
    """x -> (x - mean) / scale, with statistics of the training data kept as buffers; the identity at first.

    Centred inputs train faster (LeCun et al., "Efficient BackProp", 1998).

    Args:
        dim: features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        require_integer(dim=dim)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def set(self, mean: Tensor, scale: Tensor) -> Standardize:
        """Set the statistics [D]; a scale of zero (a constant feature) becomes one."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean).div_(self.scale).clamp_(-LARGEST, LARGEST)

    @property
    def phrase(self) -> str:
        return "standardised"


@part
class Chain(Net):
    """One net after another.

    Args:
        nets: applied from the first to the last.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.Sequential(*nets)

    def forward(self, x: Tensor) -> Tensor:
        return self.nets(x)

    @property
    def phrase(self) -> str:
        return " after ".join(n.phrase if isinstance(n, Net) else type(n).__name__ for n in reversed(self.nets))
