"""Convolutional encoder and decoder for images of any size and number of channels.

Images are flat, [..., H * W * C] in the order height, width, channel: that is how files store them, and seen as
[B, C, H, W] it is the channels-last layout, on which convolutions run fastest, without a copy.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..core.annotations import Depth
from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net, activated

__all__ = ["ConvDecoder", "ConvEncoder", "channels_last", "residuals"]

M = TypeVar("M", bound=nn.Module)


def _pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes from the image down to at most 4 pixels a side, each half of the one before, rounded up."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 4:
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    return sizes


def _channels(width: int, levels: int) -> list[int]:
    return [min(width * 2**i, 8 * width) for i in range(levels)]


def channels_last(module: M) -> M:
    """Return the module with its weights in the layout on which convolutions run fastest."""
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportArgumentType]


class _Residual(nn.Module):
    """h + conv(a(conv(a(h)))): the identity at first (He et al., 2016)."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.activation = activated(activation)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(self.activation(self.first(self.activation(h))))


def residuals(channels: int, blocks: int, activation: str) -> list[nn.Module]:
    """Return residual blocks of two convolutions each."""
    require_integer(0, blocks=blocks)
    return [_Residual(channels, activation) for _ in range(blocks)]


def _blocks_phrase(blocks: int) -> str:
    return f", {blocks} residual blocks a level" if blocks else ""


@part
class ConvEncoder(Net):
    """Flat images [..., H * W * C] -> [..., outputs]: strided 3x3 convolutions, then one dense layer.

    Args:
        shape: (H, W, C).
        outputs: size of the result.
        width: channels at the finest level; they double with each halving, up to eightfold.
        activation: by name.
        blocks: residual blocks of two convolutions at each level.
    """

    def __init__(
        self, shape: tuple[int, int, int], outputs: int, width: int = 32, activation: str = "silu", blocks: Depth = 0
    ) -> None:
        super().__init__()
        require_integer(shape=tuple(shape), outputs=outputs, width=width)
        self.shape, self.blocks = tuple(shape), blocks
        sizes = _pyramid(*self.shape[:2])
        channels = [self.shape[2], *_channels(width, len(sizes))]
        layers: list[nn.Module] = [nn.Conv2d(channels[0], channels[1], 3, padding=1), activated(activation)]
        layers += residuals(channels[1], blocks, activation)
        for a, b in pairwise(channels[1:]):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), activated(activation)]
            layers += residuals(b, blocks, activation)
        self.layers = channels_last(nn.Sequential(*layers))
        self.head = nn.Linear(channels[-1] * sizes[-1][0] * sizes[-1][1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)  # a graph would hold a number of rows as a constant
        return self.head(self.layers(images).flatten(1)).reshape(*x.shape[:-1], self.head.out_features)

    @property
    def phrase(self) -> str:
        return f"convolutions over {'x'.join(map(str, self.shape))}{_blocks_phrase(self.blocks)}"


@part
class ConvDecoder(Net):
    """[..., inputs] -> parameters [..., P * H * W * C]: one dense layer, then upsampling and 3x3 convolutions.

    Args:
        inputs: size of the latent.
        shape: (H, W, C).
        planes: P, parameters per data feature (1 for Bernoulli, 2 for a location and a scale).
        width: channels at the finest level.
        activation: by name.
        blocks: residual blocks of two convolutions at each level.
    """

    def __init__(
        self,
        inputs: int,
        shape: tuple[int, int, int],
        planes: int = 1,
        width: int = 32,
        activation: str = "silu",
        blocks: Depth = 0,
    ) -> None:
        super().__init__()
        require_integer(inputs=inputs, shape=tuple(shape), planes=planes, width=width)
        self.shape, self.planes, self.blocks = tuple(shape), planes, blocks
        self.sizes = _pyramid(*self.shape[:2])[::-1]
        channels = _channels(width, len(self.sizes))[::-1]
        self.start = (channels[0], *self.sizes[0])
        self.stem = nn.Linear(inputs, math.prod(self.start))
        self.activation = activated(activation)
        pairs = zip([channels[0], *channels[:-1]], channels, strict=True)
        self.layers = channels_last(nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs))
        refined = (nn.Sequential(*residuals(b, blocks, activation)) for b in channels)
        self.residuals = channels_last(nn.ModuleList(refined))
        self.head = channels_last(nn.Conv2d(channels[-1], planes * self.shape[2], 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        h = self.activation(self.stem(z.flatten(0, -2) if z.dim() > 1 else z[None])).unflatten(1, self.start)
        h = h.contiguous(memory_format=torch.channels_last)
        for size, layer, residual in zip(self.sizes, self.layers, self.residuals, strict=True):
            h = h if h.shape[2:] == size else interpolate(h, size=size, mode="nearest")
            h = residual(self.activation(layer(h)))
        # [B, P*C, H, W] -> [B, P, H, W, C] -> flat
        out = self.head(h).unflatten(1, (self.planes, self.shape[2])).permute(0, 1, 3, 4, 2)
        return out.reshape(*z.shape[:-1], self.planes * math.prod(self.shape))

    @property
    def phrase(self) -> str:
        return f"upsampling convolutions to {'x'.join(map(str, self.shape))}{_blocks_phrase(self.blocks)}"
