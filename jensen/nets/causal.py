"""Causal networks, whose outputs at a position depend on earlier positions alone, and the convolutional one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from ..core.annotations import Depth
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from .dense import Net

__all__ = ["Causal", "CausalConv", "Stepwise", "uncached"]

if TYPE_CHECKING:
    Stepwise = Generator[Tensor, Tensor, None]  # yields a position's outputs, and is sent its features
else:
    Stepwise = Generator


class Causal(Net):
    """[..., n * E + H] -> [..., n * P]: P numbers for each of n positions, of E features each, from the features of the
    positions before it and from the whole context, which comes last.

    Attributes:
        positions: n.
        inputs: E.
        outputs: P.
        context: H.
        bias: [n * P] added last, one for each output of each position.
    """

    positions: int
    inputs: int
    outputs: int
    context: int
    bias: nn.Parameter

    @abstractmethod
    def walk(self, rows: int, context: Tensor | None = None) -> Stepwise:
        """Compute one position after another, each at little more than its own cost.

        Yields the outputs [rows, P] of position i, and is sent the features [rows, E] of that position. The context is
        [rows, H].
        """


def uncached(net: Causal, rows: int, context: Tensor | None = None) -> Stepwise:
    """Compute a walk by a whole pass of the network for every position: slow, and right by construction."""
    x = net.bias.new_zeros(rows, net.positions * net.inputs)
    for i in range(net.positions):
        whole = net(x if context is None else torch.cat([x, context], -1))
        x[:, i * net.inputs : (i + 1) * net.inputs] = yield whole[:, i * net.outputs : (i + 1) * net.outputs]


def _gate(h: Tensor) -> Tensor:
    """Return tanh of one half of the channels times the logistic function of the other."""
    a, b = h.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class _Layer(nn.Module):
    """One gated layer: the stack above feeds itself and the stack of the row.

    Args:
        width: channels.
        reach: rows, and columns to the left, that a kernel covers, its own included.
        context: channels of the context.
    """

    def __init__(self, width: int, reach: int, context: int) -> None:
        super().__init__()
        self.above = nn.Conv2d(width, 2 * width, (reach, 2 * reach - 1))
        self.left = nn.Conv2d(width, 2 * width, (1, reach))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.context = nn.Conv2d(context, 2 * width, 1, bias=False) if context else None

    def to_row(self, gates: Tensor, context: Tensor | None) -> Tensor:
        """Return the input of the row's gates [n, 2 W, h, w] from the rows above and from the context."""
        above = self.link(gates)
        return above if self.context is None or context is None else above + self.context(context)


@part
class CausalConv(Causal):
    """Gated convolutions over an image in raster order: pixel (r, c) depends on rows above, and its own up to c - 1.

    One stack of convolutions covers the rows above, and feeds a second one for the row itself: so there is no blind
    spot. No weight is masked; kernels end before pixels that they must not see. The context is an image of the same
    size, flat in the order height, width, channel as the data are.

    Args:
        size: (h, w); n = h * w positions.
        inputs: E, channels of a pixel, which are one position together.
        outputs: P, numbers per pixel.
        context: channels C of the context, H = h * w * C; 0 for none.
        width: channels W of each stack.
        layers: gated layers after the first one.
        reach: pixels of a layer's kernel, up and to the left, its own included.
        first: pixels of the first layer's kernel, up and to the left, without its own.

    Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu, "Conditional image generation with
    PixelCNN decoders", 2016.

    Raises:
        UsageError: a size below 1.

    Example:
        >>> CausalConv((4, 4), 1, 2, width=8)(torch.zeros(5, 16)).shape
        torch.Size([5, 32])
    """

    def __init__(
        self,
        size: tuple[int, int],
        inputs: int,
        outputs: int,
        context: int = 0,
        width: int = 32,
        layers: Depth = 5,
        reach: Depth = 2,
        first: Depth = 3,
    ) -> None:
        super().__init__()
        require_integer(
            size=tuple(size), inputs=inputs, outputs=outputs, width=width, layers=layers, reach=reach, first=first
        )
        require_integer(0, context=context)
        self.size, self.inputs, self.outputs, self.planes = (size[0], size[1]), inputs, outputs, context
        self.positions, self.context = size[0] * size[1], size[0] * size[1] * context
        self.reach, self.first, self.width = reach, first, width
        self.above = nn.Conv2d(inputs, width, (first, 2 * first + 1))
        self.left = nn.Conv2d(inputs, width, (1, first))
        self.link = nn.Conv2d(width, width, 1)
        self.layers = nn.ModuleList(_Layer(width, reach, context) for _ in range(layers))
        self.way: tuple[_Layer, ...] = tuple(self.layers)  # pyright: ignore[reportAttributeAccessIssue]
        self.head = nn.Sequential(nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU(), nn.Conv2d(width, outputs, 1))
        self.bias = nn.Parameter(torch.zeros(self.positions * outputs))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def _image(self, flat: Tensor, channels: int) -> Tensor:
        return flat.reshape(-1, *self.size, channels).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        data, flat = x.split([self.positions * self.inputs, self.context], -1)
        image = self._image(data, self.inputs)
        context = self._image(flat, self.planes) if self.planes else None
        f, k = self.first, self.reach - 1
        above = self.above(pad(image, (f, f, f, 0))[:, :, :-1])
        row = self.left(pad(image, (f, 0))[..., :-1]) + self.link(above)
        for layer in self.way:
            gates = layer.above(pad(above, (k, k, k, 0)))
            row = row + layer.out(_gate(layer.left(pad(row, (k, 0))) + layer.to_row(gates, context)))
            above = above + _gate(gates)
        out = self.head(row).permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.positions * self.outputs)
        return out + self.bias

    def walk(self, rows: int, context: Tensor | None = None) -> Stepwise:
        cache = _Cache(self, rows, None if context is None else self._image(context, self.planes))
        bias = self.bias.view(*self.size, self.outputs)
        for r in range(self.size[0]):
            cache.start_row(r)
            for c in range(self.size[1]):
                cache.set_pixel(c, (yield cache.outputs(c) + bias[r, c]))

    @property
    def phrase(self) -> str:
        h, w = self.size
        return f"{len(self.way)} gated causal convolutions over {h}x{w}x{self.inputs}"


class _Cache:
    """The activations that a walk over an image keeps: per layer, the rows above and the current row so far.

    Attributes:
        image: [M, E, h + F, F + w + F] the pixels so far, in a margin of zeros.
        above: per layer [M, W, h + k, k + w + k], its input from the rows above, in a margin of zeros.
        row: per layer [M, W, k + w], its input along the current row; entries further right are of an earlier row.
        links: of the first and each other layer [M, ., w], the terms from the rows above and the context in the gates
            of the current row.
    """

    def __init__(self, net: CausalConv, rows: int, context: Tensor | None) -> None:
        if (context is None) != (net.planes == 0):
            raise CompositionError("these convolutions and their context do not belong together", "Give both or none.")
        (h, w), f, k = net.size, net.first, net.reach - 1
        new = net.bias.new_zeros
        self.net, self.context = net, context
        self.image = new(rows, net.inputs, h + f, w + 2 * f)
        self.above = [new(rows, net.width, h + k, w + 2 * k) for _ in net.way]
        self.row = [new(rows, net.width, w + k) for _ in net.way]
        self.links: list[Tensor] = []
        self.r = 0  # the current row of `image`
        self.first = (net.left.weight.flatten(1), net.left.bias)
        self.kernels = [
            (layer.left.weight.flatten(1), layer.left.bias, layer.out.weight.flatten(1), layer.out.bias)
            for layer in net.way
        ]
        last = [m for m in net.head if isinstance(m, nn.Conv2d)]
        self.head = [(m.weight.flatten(1), m.bias) for m in last]

    def start_row(self, r: int) -> None:
        """Start row r, after all rows above are set."""
        net, k = self.net, self.net.reach - 1
        w, self.r = net.size[1], r + net.first
        above = net.above(self.image[:, :, r : r + net.first])
        self.links = [net.link(above)[:, :, 0]]
        context = None if self.context is None else self.context[:, :, r : r + 1]
        for layer, kept in zip(net.way, self.above, strict=True):
            kept[:, :, r + k, k : k + w] = above[:, :, 0]
            gates = layer.above(kept[:, :, r : r + net.reach])
            self.links.append(layer.to_row(gates, context)[:, :, 0])
            above = above + _gate(gates)

    def outputs(self, c: int) -> Tensor:
        """Return the outputs [M, P] of the pixel in column c of the current row, before the bias."""
        net, k = self.net, self.net.reach - 1
        h = linear(self.image[:, :, self.r, c : c + net.first].flatten(1), *self.first) + self.links[0][:, :, c]
        for row, link, (left, left_bias, out, out_bias) in zip(self.row, self.links[1:], self.kernels, strict=True):
            row[:, :, c + k] = h
            gates = linear(row[:, :, c : c + net.reach].flatten(1), left, left_bias) + link[:, :, c]
            h = h + linear(_gate(gates), out, out_bias)
        for weight, bias in self.head:
            h = linear(nn.functional.silu(h), weight, bias)
        return h

    def set_pixel(self, c: int, x: Tensor) -> None:
        """Set the features [M, E] of the pixel in column c of the current row."""
        self.image[:, :, self.r, c + self.net.first] = x
