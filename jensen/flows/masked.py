"""Masked networks: output i sees the inputs before i, and all of the context."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..nets.dense import activated

__all__ = ["MaskedLinear", "MaskedMLP"]


class MaskedLinear(nn.Module):
    """x -> (mask * weight) x + bias, with weights [outputs, inputs] that a mask of that shape lets through."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        outputs, inputs = mask.shape
        made = nn.Linear(max(inputs, 1), outputs)
        self.weight, self.bias = nn.Parameter(made.weight.detach()[:, :inputs].clone()), made.bias
        self.register_buffer("mask", mask, persistent=False)  # it follows from the sizes

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


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
        self.shape = (outputs, dim)
        # a unit of degree d sees the first d features; degree 0 sees the context alone, and serves the first feature
        degrees = [torch.cat([torch.arange(1, dim + 1), torch.zeros(context, dtype=torch.long)])]
        degrees += [torch.arange(width) % dim for width in hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(degrees):
            layers += [MaskedLinear((after[:, None] >= before).float()), activated(activation)]
        last = MaskedLinear((torch.arange(1, dim + 1).repeat(outputs)[:, None] > degrees[-1]).float())
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).unflatten(-1, self.shape)
