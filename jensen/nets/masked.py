"""Masked networks: output i sees the inputs before i, and all of the context."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..core.parts import part
from ..core.validation import require_integer
from .causal import Causal, Stepwise
from .dense import activated

__all__ = ["CausalMLP", "MaskedLinear", "MaskedMLP"]


class MaskedLinear(nn.Module):
    """x -> (mask * weight) x + bias, with weights and a mask of shape [outputs, inputs]."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        outputs, inputs = mask.shape
        dense = nn.Linear(max(inputs, 1), outputs)
        self.weight, self.bias = nn.Parameter(dense.weight.detach()[:, :inputs].clone()), dense.bias
        self.register_buffer("mask", mask, persistent=False)  # it follows from the sizes

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.mask, self.bias)


def _stack(inputs: Tensor, hidden: Sequence[Tensor], outputs: Tensor, activation: str) -> nn.Sequential:
    """Return masked layers between units of these degrees.

    A unit of degree d sees the first d positions, an output of degree d those before position d, counted from 1.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [MaskedLinear((after[:, None] >= before).float()), activated(activation)]
    return nn.Sequential(*layers, MaskedLinear((outputs[:, None] > (hidden[-1] if hidden else inputs)).float()))


def _set_to_zero(layer: MaskedLinear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


class MaskedMLP(nn.Module):
    """[..., Z + H] -> [..., outputs, Z], where the outputs of feature i depend on features before i and the context.

    The last layer is zero before training.

    Args:
        dim: Z.
        context: H.
        outputs: numbers per feature.
        hidden: sizes of the hidden layers.
        activation: one of `nets.ACTIVATIONS`.

    Source: Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", 2015.
    """

    def __init__(self, dim: int, context: int, outputs: int, hidden: Sequence[int], activation: str = "tanh") -> None:
        super().__init__()
        require_integer(dim=dim, outputs=outputs, hidden=tuple(hidden))
        require_integer(0, context=context)
        self.shape = (outputs, dim)
        # a unit of degree 0 sees the context alone, and feeds the first feature
        first = torch.cat([torch.arange(1, dim + 1), torch.zeros(context, dtype=torch.long)])
        between = [torch.arange(width) % dim for width in hidden]
        self.layers = _stack(first, between, torch.arange(1, dim + 1).repeat(outputs), activation)
        _set_to_zero(self.layers[-1])  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).unflatten(-1, self.shape)


@part
class CausalMLP(Causal):
    """A masked perceptron in the order of the features, with direct connections from inputs to outputs.

    Units of a hidden layer are spread evenly over the positions. The direct connections are zero before training.

    Args:
        positions: n.
        inputs: E, features of a position.
        outputs: P, numbers per position.
        context: H.
        hidden: sizes of the hidden layers, at least one.
        activation: one of `nets.ACTIVATIONS`.

    Source: Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", 2015.

    Raises:
        UsageError: a size below 1, or no hidden layer.

    Example:
        >>> CausalMLP(4, 1, 2, hidden=(8,))(torch.zeros(5, 4)).shape
        torch.Size([5, 8])
    """

    def __init__(
        self,
        positions: int,
        inputs: int,
        outputs: int,
        context: int = 0,
        hidden: Sequence[int] = (500,),
        activation: str = "silu",
    ) -> None:
        super().__init__()
        require_integer(positions=positions, inputs=inputs, outputs=outputs, hidden=tuple(hidden) or None)
        require_integer(0, context=context)
        self.positions, self.inputs, self.outputs, self.context = positions, inputs, outputs, context
        self.hidden = tuple(hidden)
        order = torch.arange(1, positions + 1)
        first = torch.cat([order.repeat_interleave(inputs), torch.zeros(context, dtype=torch.long)])
        between = [torch.arange(width) * positions // width for width in hidden]
        last = order.repeat_interleave(outputs)
        self.layers = _stack(first, between, last, activation)
        self.direct = MaskedLinear((last[:, None] > first).float())
        _set_to_zero(self.direct)

    @property
    def bias(self) -> nn.Parameter:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.direct.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.direct(x)

    def walk(self, rows: int, context: Tensor | None = None) -> Stepwise:
        first, *between, last = self.layers
        e, p = self.inputs, self.outputs
        x = self.bias.new_zeros(rows, self.positions * e + self.context)
        if context is not None:
            x[:, self.positions * e :] = context
        weights = [layer.weight * layer.mask for layer in (first, last, self.direct)]  # pyright: ignore[reportOperatorIssue]
        start = first(x)  # the first layer's sums, to which each new position adds its own terms
        for i in range(self.positions):
            h = start
            for layer in between:
                h = layer(h)
            outputs, inputs = slice(i * p, (i + 1) * p), slice(i * e, (i + 1) * e)
            out = linear(h, weights[1][outputs], last.bias[outputs])  # pyright: ignore[reportArgumentType, reportIndexIssue]
            drawn = yield out + linear(x, weights[2][outputs], self.bias[outputs])
            x[:, inputs] = drawn
            start = start + linear(drawn, weights[0][:, inputs])

    @property
    def phrase(self) -> str:
        return f"masked MLP {'-'.join(map(str, (self.positions * self.inputs, *self.hidden)))}"
