"""Conversions of stored rows to the model's input, whenever a batch is taken: a cast, or a draw of bits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BinaryDraw", "Cast"]


@dataclass(frozen=True)
class Cast:
    """A conversion of stored rows to floating point."""

    dtype: torch.dtype

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return x.to(self.dtype)


@dataclass(frozen=True)
class BinaryDraw:
    """A binarisation of stored rows [B, D] of values from 0 to `top`, P(1) = x / top, exact to 2^-24."""

    top: int
    dtype: torch.dtype

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if x.dtype == torch.uint8 and self.top == 255 and x.device.type == "cpu":
            return self._by_digits(x, generator)
        return self._uniform(x, generator).to(self.dtype)

    def _uniform(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
        return u < x.to(torch.float32).div_(self.top)

    def _by_digits(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the bits from one random byte per pixel, in half the time of `_uniform`.

        In base 256, x / 255 is 0.xxx..., so the first digit of a uniform number decides whether it is below x / 255
        unless it equals x; then (in one pixel of 256) the remaining digits pose the same question again.
        """
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=generator)
        digit = words.view(torch.uint8)[: x.numel()].view(x.shape)
        bits = (digit < x).to(self.dtype)
        tie = (digit == x).view(-1).nonzero().squeeze(1)
        bits.view(-1)[tie] = self._uniform(x.reshape(-1)[tie], generator).to(self.dtype)
        return bits
