"""The U-Net: convolutions over an image at falling and rising sizes, each of which sees features of the whole image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

from ..core.annotations import Depth
from ..core.parts import part
from ..core.validation import require_integer
from .convolutional import channels_last
from .dense import Net, activated

__all__ = ["UNet"]

SMALLEST = 7  # pixels a side, above which an image is halved again
ATTENTIVE = 8  # pixels a side, up to which each pixel sees all others
GROUP = 8  # channels that are normalised together


def _normalized(channels: int) -> nn.GroupNorm:
    """Return the normalisation of groups of about eight channels (Wu & He, 2018)."""
    groups = max(channels // GROUP, 1)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer whose parameters are zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class _Block(nn.Module):
    """Two convolutions added to their input, the first scaled and shifted by the features; the input at first.

    Args:
        inputs, channels: before and after.
        features: size of what scales and shifts.
        activation: by name.
    """

    def __init__(self, inputs: int, channels: int, features: int, activation: str) -> None:
        super().__init__()
        self.before, self.between = _normalized(inputs), _normalized(channels)
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        self.second = _zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.film = nn.Linear(features, 2 * channels)
        self.skip = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()
        self.activation = activated(activation)

    def forward(self, h: Tensor, features: Tensor) -> Tensor:
        scale, shift = self.film(features)[..., None, None].chunk(2, 1)
        inner = self.between(self.first(self.activation(self.before(h))))
        return self.skip(h) + self.second(self.activation(torch.addcmul(inner + shift, inner, scale)))


class _Attention(nn.Module):
    """Attention of each pixel to all others, added to its input; the input at first (Vaswani et al., 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = _normalized(channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, h: Tensor) -> Tensor:
        pixels = self.project(self.before(h)).flatten(2).transpose(1, 2)
        seen = scaled_dot_product_attention(*pixels.chunk(3, -1))
        return h + self.out(seen.transpose(1, 2).reshape(h.shape))


class _Level(nn.Module):
    """A block, and attention where the image is small."""

    def __init__(self, block: _Block, attention: _Attention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, h: Tensor, features: Tensor) -> Tensor:
        h = self.block(h, features)
        return h if self.attention is None else self.attention(h)


@part
class UNet(Net):
    """[..., images * H * W * C + features] -> [..., outputs * H * W]: zero at first.

    Residual blocks at each size from the image down to at most 7 pixels a side, and back; those on the way up see what
    those on the way down have made of the same size. Up to 8 pixels a side, each pixel attends to all others. The
    features scale and shift the channels of every block.

    Args:
        shape: (H, W, C) of each image of the input, flat in the order height, width, channel.
        images: of the input.
        features: numbers about the whole image.
        outputs: channels of the result, which is flat in the same order.
        width: channels at the finest size, a multiple of 8 for speed; twice as many at all others.
        blocks: at each size, on each way.
        activation: by name.
        patch: side of the squares of pixels that are one pixel of the convolutions, with the channels of all of them.

    Sources: Ronneberger, Fischer & Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015; Ho,
    Jain & Abbeel, "Denoising diffusion probabilistic models", 2020.

    Example:
        >>> UNet((8, 8, 1), images=1, features=3, outputs=1, width=8)(torch.zeros(5, 67)).shape
        torch.Size([5, 64])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        images: int,
        features: int,
        outputs: int,
        width: int = 32,
        blocks: Depth = 2,
        activation: str = "silu",
        patch: Depth = 1,
    ) -> None:
        super().__init__()
        require_integer(shape=tuple(shape), images=images, features=features, outputs=outputs)
        require_integer(width=width, blocks=blocks, patch=patch)
        self.shape, self.images, self.features, self.outputs = tuple(shape), images, features, outputs
        self.patch, area = patch, patch * patch
        self.sizes = _sizes(-(-self.shape[0] // patch), -(-self.shape[1] // patch))
        channels = [width, *[2 * width] * (len(self.sizes) - 1)]
        wide = 4 * width
        self.embed = nn.Sequential(
            nn.Linear(features, wide), activated(activation), nn.Linear(wide, wide), activated(activation)
        )

        def level(inputs: int, at: int) -> _Level:
            attention = _Attention(channels[at]) if max(self.sizes[at]) <= ATTENTIVE else None
            return _Level(_Block(inputs, channels[at], wide, activation), attention)

        self.stem = nn.Conv2d(images * self.shape[2] * area, width, 3, padding=1)
        down, up, skips, c = [], [], [], width
        for i, here in enumerate(channels):
            if i:
                down.append(nn.Conv2d(c, here, 3, stride=2, padding=1))
                c = here
            for _ in range(blocks):
                down.append(level(c, i))
                c = here
                skips.append(here)
        for i, here in reversed(list(enumerate(channels))):
            for _ in range(blocks):
                up.append(level(c + skips.pop(), i))
                c = here
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.head = nn.Sequential(
            _normalized(c), activated(activation), _zeroed(nn.Conv2d(c, outputs * area, 3, padding=1))
        )
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.shape[0] * self.shape[1] * self.shape[2]
        flat, features = x.reshape(-1, x.shape[-1]).split([self.images * pixels, self.features], -1)
        images = torch.cat([i.reshape(-1, *self.shape) for i in flat.split(pixels, -1)], -1)
        h, seen = self.stem(self._patches(images)), self.embed(features)
        skips: list[Tensor] = []
        for layer in self.down:
            if isinstance(layer, _Level):
                h = layer(h, seen)
                skips.append(h)
            else:
                h = layer(h)
        for layer in self.up:
            skip = skips.pop()
            h = h if h.shape[2:] == skip.shape[2:] else interpolate(h, size=skip.shape[2:], mode="nearest")
            h = layer(torch.cat([h, skip], 1), seen)
        height, width, _ = self.shape
        return self._pixels(self.head(h)).reshape(*x.shape[:-1], self.outputs * height * width)

    def _patches(self, images: Tensor) -> Tensor:
        """Return images [n, H, W, C] as [n, p p C, H / p, W / p], with zeros beyond the last row and column."""
        p, (height, width, _) = self.patch, self.shape
        if p == 1:
            return images.permute(0, 3, 1, 2)
        images = pad(images, (0, 0, 0, -width % p, 0, -height % p))
        split = images.unflatten(2, (-1, p)).unflatten(1, (-1, p))  # [n, H / p, p, W / p, p, C]
        return split.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)

    def _pixels(self, h: Tensor) -> Tensor:
        """Return [n, p p C, H / p, W / p] as images [n, H, W, C]."""
        p, (height, width, _) = self.patch, self.shape
        images = h.permute(0, 2, 3, 1)
        if p == 1:
            return images
        split = images.unflatten(3, (p, p, -1)).transpose(2, 3)
        return split.flatten(3, 4).flatten(1, 2)[:, :height, :width]

    @property
    def phrase(self) -> str:
        sizes = " ".join(f"{h}x{w}" for h, w in self.sizes)
        return f"U-Net over {sizes}" + (f" of {self.patch}x{self.patch} pixels each" if self.patch > 1 else "")


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes from the image down to at most 7 pixels a side, each half of the one before, rounded up."""
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes
