"""The precision of float32 matrix products: chosen for a scope, checked before it is trusted, restored afterwards."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

__all__ = ["MatmulPrecision", "fast_products_are_accurate", "matmul_precision", "resolve_precision"]

MatmulPrecision = Literal["auto", "float32", "fast"]


@contextmanager
def matmul_precision(mode: Literal["float32", "fast"]) -> Iterator[None]:
    """Within the scope, float32 products are exact to float32 ("float32") or as fast as the machine has them ("fast").

    "fast" is torch's "medium": on some machines the same accuracy by another library, on others bfloat16 products
    summed in float32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if mode == "fast" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def fast_products_are_accurate(device: str = "cpu") -> bool:
    """Whether "fast" products have float32 accuracy on this machine: errors at most four times those of "float32"."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 512, generator=generator), torch.randn(512, 256, generator=generator)
    exact = a.double() @ b.double()
    error = {}
    for mode in ("float32", "fast"):
        with matmul_precision(mode):
            error[mode] = float(((a.to(device) @ b.to(device)).cpu().double() - exact).abs().max())
    return error["fast"] <= 4 * error["float32"]


def resolve_precision(mode: MatmulPrecision, device: torch.device | str) -> Literal["float32", "fast"]:
    """What "auto" means here: "fast" where that costs no accuracy, else "float32"."""
    if mode == "auto":
        return "fast" if fast_products_are_accurate(str(device)) else "float32"
    return mode
