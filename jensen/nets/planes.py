"""Convolutions over images of features, flat in and flat out, so that they can replace a dense net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net, activated

__all__ = ["Planes"]


@part
class Planes(Net):
    """A bottleneck of convolutions (1x1, 3x3, 3x3, 1x1) over concatenated flat images.

    [..., sum(parts) * h * w] -> [..., outputs * h' * w'].

    Each image is flat in the order height, width, channel. Where the result has another size, it is enlarged before
    the convolutions (to the nearest pixel), or averaged after them.

    Args:
        size: (h, w) of the input.
        parts: channels of each image of the input.
        outputs: channels of the result.
        width: channels of the hidden layers.
        to: (h', w'); None for the same.
        planes: the result's channels are this many groups, laid one after another as flat images of their own (a
            family's parameters: all locations, then all scales).
        residual: add the first image, resized likewise.
        zero: start with the last layer at zero.
        activation: by name.

    Source: the blocks of Child, "Very deep VAEs", 2021.

    Example:
        >>> Planes((4, 4), (3, 2), 6, width=8, to=(7, 7))(torch.zeros(5, 80)).shape
        torch.Size([5, 294])
    """

    def __init__(
        self,
        size: tuple[int, int],
        parts: Sequence[int],
        outputs: int,
        width: int = 16,
        to: tuple[int, int] | None = None,
        planes: int = 1,
        residual: bool = False,
        zero: bool = False,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        require_integer(size=tuple(size), parts=tuple(parts) or None, outputs=outputs, width=width, planes=planes)
        require_integer(to=tuple(to or size))
        if outputs % planes:
            raise UsageError(f"outputs must be a multiple of planes={planes}, got {outputs}", "Give sizes that agree.")
        if residual and outputs != parts[0]:
            raise UsageError(
                f"outputs must equal parts[0]={parts[0]} where it is added, got {outputs}", "Give sizes that agree."
            )
        self.size, self.parts, self.outputs = (size[0], size[1]), tuple(parts), outputs
        after = to or size
        self.to_size, self.planes, self.residual = (after[0], after[1]), planes, residual
        inner = [3 if max(self.inner_size) > 1 else 1] * 2
        layers: list[nn.Module] = [nn.Conv2d(sum(parts), width, 1)]
        for kernel in inner:
            layers += [activated(activation), nn.Conv2d(width, width, kernel, padding=kernel // 2)]
        last = nn.Conv2d(width, outputs, 1)
        if zero:
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
        layers += [activated(activation), last]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportArgumentType]

    @property
    def enlarges(self) -> bool:
        return self.to_size[0] > self.size[0] or self.to_size[1] > self.size[1]

    @property
    def inner_size(self) -> tuple[int, int]:
        """The size (h, w) at which the convolutions run."""
        return self.to_size if self.enlarges else self.size

    def forward(self, x: Tensor) -> Tensor:
        (h, w), n = self.size, x.shape[:-1].numel()
        images = [
            image.reshape(n, h, w, channels).permute(0, 3, 1, 2)
            for image, channels in zip(x.split([c * h * w for c in self.parts], -1), self.parts, strict=True)
        ]
        first, joined = images[0], torch.cat(images, 1)
        if self.enlarges:
            joined, first = (interpolate(i, size=self.to_size, mode="nearest") for i in (joined, first))
        out = self.layers(joined.contiguous(memory_format=torch.channels_last))
        out = out + first if self.residual else out
        if out.shape[2:] != self.to_size:
            out = adaptive_avg_pool2d(out, self.to_size)
        grouped = out.unflatten(1, (self.planes, self.outputs // self.planes)).permute(0, 1, 3, 4, 2)
        return grouped.reshape(*x.shape[:-1], self.outputs * self.to_size[0] * self.to_size[1])

    @property
    def phrase(self) -> str:
        return f"convolutions {self.size[0]}x{self.size[1]}x{sum(self.parts)} to {self.to_size[0]}x{self.to_size[1]}"
