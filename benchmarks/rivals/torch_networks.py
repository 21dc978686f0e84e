"""Encoder and decoder in plain PyTorch, with the layers, the centring and the start of jensen's, for who needs them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from protocol import SIDE, Shape, start
from torch import Tensor, nn
from torch.nn.functional import interpolate

__all__ = ["Decoder", "Encoder"]


def mlp(*sizes: int) -> nn.Sequential:
    """Dense layers with rectified linear units between."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


class Encoder(nn.Module):
    """x [B, D] -> locations and logarithms of variances [B, 2 * Z]; inputs are centred."""

    def __init__(self, shape: Shape, mean: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean).float())
        if shape.width:
            channels = shape.channels
            convolutions: list[nn.Module] = [nn.Conv2d(1, channels[0], 3, padding=1), nn.ReLU()]
            for a, b in pairwise(channels):
                convolutions += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()]
            head = nn.Linear(channels[-1] * shape.sides[-1] ** 2, 2 * shape.latent)
            self.net = nn.Sequential(nn.Unflatten(1, (1, SIDE, SIDE)), *convolutions, nn.Flatten(), head)
        else:
            self.net = mlp(shape.features, *shape.hidden, 2 * shape.latent)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - self.mean)


class Upsampling(nn.Module):
    """z [B, Z] -> logits [B, 784]: a dense layer, then nearest-neighbour upsampling and 3x3 convolutions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels, self.sides = shape.channels[::-1], shape.sides[::-1]
        self.first = (channels[0], self.sides[0], self.sides[0])
        self.stem = nn.Linear(shape.latent, channels[0] * self.sides[0] ** 2)
        pairs = pairwise([channels[0], *channels])
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.head = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z).relu().unflatten(1, self.first)
        for side, layer in zip(self.sides, self.layers, strict=True):
            h = h if h.shape[-1] == side else interpolate(h, size=(side, side))
            h = layer(h).relu()
        return self.head(h).flatten(1)


class Decoder(nn.Module):
    """z [B, Z] -> parameters [B, P]; a dense one starts at the mean of the data."""

    def __init__(self, shape: Shape, mean: np.ndarray) -> None:
        super().__init__()
        if shape.width:
            self.net: nn.Module = Upsampling(shape)
            return
        layers = mlp(shape.latent, *shape.hidden[::-1], shape.outputs)
        with torch.no_grad():
            layers[-1].bias[: shape.features] = torch.from_numpy(start(shape, mean))
        self.net = layers

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)
