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
from torch.nn.functional import interpolate, pixel_shuffle

from ..core.annotations import Depth
from ..core.parts import part
from ..core.validation import require_integer
from ..core.wording import plural
from .dense import Net, activated

__all__ = ["ConvDecoder", "ConvEncoder", "channels_last", "residuals"]

M = TypeVar("M", bound=nn.Module)

GROUPS = 8  # at most, of channels that are normalised together
GROUP = 4  # channels in one, at least


def _pyramid(height: int, width: int, patch: int) -> list[tuple[int, int]]:
    """Return sizes from that of the image, divided by `patch`, down to at most 4 a side, each half of the one before.

    All are rounded up.
    """
    sizes = [(math.ceil(height / patch), math.ceil(width / patch))]
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


class _NormalizedResidual(nn.Module):
    """h + conv(a(norm(conv(a(norm(h)))))): the identity at first (He et al., 2016; Wu & He, 2018)."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first, self.second = (_normalized(channels, activation) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        for parameter in self.convolutions[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.convolutions[1](self.second(self.convolutions[0](self.first(h))))


def _normalized(channels: int, activation: str) -> nn.Sequential:
    """Return group normalisation and the activation after it."""
    groups = max(n for n in range(1, GROUPS + 1) if channels % n == 0 and (n == 1 or channels >= GROUP * n))
    return nn.Sequential(nn.GroupNorm(groups, channels), activated(activation))


def residuals(channels: int, blocks: int, activation: str, norm: bool = False) -> list[nn.Module]:
    """Return residual blocks of two convolutions each, with group normalisation if `norm`."""
    require_integer(0, blocks=blocks)
    kind: type[nn.Module] = _NormalizedResidual if norm else _Residual
    return [kind(channels, activation) for _ in range(blocks)]


def _blocks_phrase(blocks: int, norm: bool) -> str:
    return f", {plural(blocks, 'residual block')} a level" + norm * " with group norm" if blocks else ""


@part
class ConvEncoder(Net):
    """Flat images [..., H * W * C] -> [..., outputs]: strided 3x3 convolutions, then one dense layer.

    Args:
        shape: (H, W, C).
        outputs: size of the result.
        width: channels at the finest level; they double with each halving, up to eightfold.
        activation: by name.
        blocks: residual blocks of two convolutions at each level.
        patch: pixels a side, of which the first convolution makes one position of the finest level.
        norm: group normalisation in the residual blocks and after the last; activations are then in the blocks alone.

    Source: He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", 2016; Wu & He, "Group normalization",
    2018.

    Example:
        >>> ConvEncoder((28, 28, 1), 8, width=4, blocks=1, patch=2, norm=True)(torch.zeros(5, 784)).shape
        torch.Size([5, 8])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        width: int = 32,
        activation: str = "silu",
        blocks: Depth = 0,
        patch: int = 1,
        norm: bool = False,
    ) -> None:
        super().__init__()
        require_integer(shape=tuple(shape), outputs=outputs, width=width, patch=patch)
        self.shape, self.blocks, self.norm = tuple(shape), blocks, norm
        sizes = _pyramid(self.shape[0], self.shape[1], patch)
        channels = [self.shape[2], *_channels(width, len(sizes))]
        kernel = max(3, 2 * patch - 1)
        layers: list[nn.Module] = [nn.Conv2d(channels[0], channels[1], kernel, stride=patch, padding=kernel // 2)]
        layers += self._level(channels[1], activation)
        for a, b in pairwise(channels[1:]):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), *self._level(b, activation)]
        layers += [_normalized(channels[-1], activation)] if norm else []
        self.layers = channels_last(nn.Sequential(*layers))
        self.head = nn.Linear(channels[-1] * sizes[-1][0] * sizes[-1][1], outputs)

    def _level(self, channels: int, activation: str) -> list[nn.Module]:
        """Return what follows the convolution to a level."""
        before = [] if self.norm else [activated(activation)]
        return [*before, *residuals(channels, self.blocks, activation, self.norm)]

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)  # a graph would hold a number of rows as a constant
        return self.head(self.layers(images).flatten(1)).reshape(*x.shape[:-1], self.head.out_features)

    @property
    def phrase(self) -> str:
        return f"convolutions over {'x'.join(map(str, self.shape))}{_blocks_phrase(self.blocks, self.norm)}"


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
        patch: pixels a side that the last convolution makes of one position of the finest level.
        norm: group normalisation in the residual blocks and after the last; activations are then in the blocks alone.
        offset: a learned bias [P * H * W * C], zero at first, that is added to the result.

    Source: as of `ConvEncoder`; Shi et al., "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network", 2016.

    Example:
        >>> ConvDecoder(8, (28, 28, 1), width=4, blocks=1, patch=2, norm=True)(torch.zeros(5, 8)).shape
        torch.Size([5, 784])
    """

    def __init__(
        self,
        inputs: int,
        shape: tuple[int, int, int],
        planes: int = 1,
        width: int = 32,
        activation: str = "silu",
        blocks: Depth = 0,
        patch: int = 1,
        norm: bool = False,
        offset: bool = False,
    ) -> None:
        super().__init__()
        require_integer(inputs=inputs, shape=tuple(shape), planes=planes, width=width, patch=patch)
        self.shape, self.planes, self.blocks, self.patch, self.norm = tuple(shape), planes, blocks, patch, norm
        self.sizes = _pyramid(self.shape[0], self.shape[1], patch)[::-1]
        channels = _channels(width, len(self.sizes))[::-1]
        self.start = (channels[0], *self.sizes[0])
        self.stem = nn.Linear(inputs, math.prod(self.start))
        self.activation = nn.Identity() if norm else activated(activation)
        pairs = zip([channels[0], *channels[:-1]], channels, strict=True)
        layers: list[nn.Module] = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairs]
        if norm:  # nothing between the dense layer, which is affine too, and the first block
            layers[0] = nn.Identity()
        self.layers = channels_last(nn.ModuleList(layers))
        refined = (nn.Sequential(*residuals(b, blocks, activation, norm)) for b in channels)
        self.residuals = channels_last(nn.ModuleList(refined))
        self.last = _normalized(channels[-1], activation) if norm else nn.Identity()
        self.head = channels_last(nn.Conv2d(channels[-1], planes * self.shape[2] * patch**2, 3, padding=1))
        self.offset = nn.Parameter(torch.zeros(planes * math.prod(self.shape))) if offset else None

    def forward(self, z: Tensor) -> Tensor:
        h = self.activation(self.stem(z.flatten(0, -2) if z.dim() > 1 else z[None])).unflatten(1, self.start)
        h = h.contiguous(memory_format=torch.channels_last)
        for size, layer, residual in zip(self.sizes, self.layers, self.residuals, strict=True):
            h = h if h.shape[2:] == size else interpolate(h, size=size, mode="nearest")
            h = residual(self.activation(layer(h)))
        h = self.head(self.last(h))
        if self.patch > 1:
            h = pixel_shuffle(h, self.patch)[..., : self.shape[0], : self.shape[1]]
        # [B, P*C, H, W] -> [B, P, H, W, C] -> flat
        out = h.unflatten(1, (self.planes, self.shape[2])).permute(0, 1, 3, 4, 2)
        out = out.reshape(*z.shape[:-1], self.planes * math.prod(self.shape))
        return out if self.offset is None else out + self.offset

    @property
    def phrase(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"upsampling convolutions to {shape}{_blocks_phrase(self.blocks, self.norm)}"
