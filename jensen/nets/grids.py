"""Convolutions between an image and a coarse grid of vectors, flat in the order height, width, channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..core.annotations import Depth
from ..core.parts import part
from ..core.validation import require_integer
from .convolutional import channels_last, residuals
from .dense import Net, activated

__all__ = ["FromGrid", "ToGrid", "grid_sizes"]


def grid_sizes(height: int, width: int, halvings: int) -> list[tuple[int, int]]:
    """Return the sizes from the image down to the grid, each half of the one before, rounded up.

    Example:
        >>> grid_sizes(28, 28, 2)
        [(28, 28), (14, 14), (7, 7)]
    """
    require_integer(halvings=halvings)
    sizes = [(height, width)]
    for _ in range(halvings):
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    return sizes


@part
class ToGrid(Net):
    """Flat images [..., H * W * C] -> a grid of vectors [..., h * w * E]: strided 3x3 convolutions, then a 1x1 one.

    Args:
        shape: (H, W, C).
        outputs: E.
        halvings: of either side.
        width: channels after the first halving; twice as many after the others.
        activation: by name.
        blocks: residual blocks of two convolutions at the grid's size.

    Example:
        >>> ToGrid((28, 28, 1), 8)(torch.zeros(5, 784)).shape
        torch.Size([5, 392])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        halvings: Depth = 2,
        width: int = 32,
        activation: str = "silu",
        blocks: Depth = 1,
    ) -> None:
        super().__init__()
        require_integer(shape=tuple(shape), outputs=outputs, width=width)
        self.shape, self.outputs = tuple(shape), outputs
        self.size = grid_sizes(shape[0], shape[1], halvings)[-1]
        layers: list[nn.Module] = []
        before = shape[2]
        for level in range(halvings):
            after = width if level == 0 else 2 * width
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), activated(activation)]
            before = after
        layers += residuals(before, blocks, activation)
        self.layers = channels_last(nn.Sequential(*layers, nn.Conv2d(before, outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        return self.layers(images).permute(0, 2, 3, 1).reshape(*x.shape[:-1], math.prod(self.size) * self.outputs)

    @property
    def phrase(self) -> str:
        return f"convolutions from {'x'.join(map(str, self.shape))} to {self.size[0]}x{self.size[1]}"


@part
class FromGrid(Net):
    """A grid of vectors [..., h * w * E] -> parameters [..., P * H * W * C]: 3x3 convolutions, and enlargements.

    Args:
        inputs: E.
        shape: (H, W, C).
        planes: P, parameters per data feature.
        halvings: of either side, from the image to the grid.
        width: channels before the last enlargement; twice as many before the others.
        activation: by name.
        blocks: residual blocks of two convolutions at the grid's size.
    """

    def __init__(
        self,
        inputs: int,
        shape: tuple[int, int, int],
        planes: int = 1,
        halvings: Depth = 2,
        width: int = 32,
        activation: str = "silu",
        blocks: Depth = 1,
    ) -> None:
        super().__init__()
        require_integer(inputs=inputs, shape=tuple(shape), planes=planes, width=width)
        self.inputs, self.shape, self.planes = inputs, tuple(shape), planes
        *self.sizes, self.size = grid_sizes(shape[0], shape[1], halvings)
        first = width if halvings == 1 else 2 * width
        start = [nn.Conv2d(inputs, first, 3, padding=1), *residuals(first, blocks, activation), activated(activation)]
        self.start = channels_last(nn.Sequential(*start))
        # four images of half the size, interleaved into one: convolutions run at the smallest size possible
        pairs = [(first, width if i == halvings - 2 else 2 * width) for i in range(halvings - 1)]
        self.layers = channels_last(nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs))
        self.activation = activated(activation)
        self.head = channels_last(nn.Conv2d(width, 4 * planes * shape[2], 3, padding=1))
        self.last = channels_last(nn.Conv2d(planes * shape[2], planes * shape[2], 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        h = z.reshape(-1, *self.size, self.inputs).permute(0, 3, 1, 2)
        h = self.start(h.contiguous(memory_format=torch.channels_last))
        for size, layer in zip(self.sizes[:0:-1], self.layers, strict=True):
            h = self.activation(layer(interpolate(h, size=size, mode="nearest")))
        height, width = self.sizes[0]
        h = nn.functional.pixel_shuffle(self.head(h), 2)[..., :height, :width]
        out = (h + self.last(h)).unflatten(1, (self.planes, self.shape[2])).permute(0, 1, 3, 4, 2)
        return out.reshape(*z.shape[:-1], self.planes * math.prod(self.shape))

    @property
    def phrase(self) -> str:
        return f"convolutions from {self.size[0]}x{self.size[1]} to {'x'.join(map(str, self.shape))}"
