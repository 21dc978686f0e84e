"""The precision of float32 matrix products: chosen for a scope, checked before it is trusted, restored afterwards."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "MatmulPrecision",
    "ResolvedPrecision",
    "applied",
    "fast_products_are_accurate",
    "matmul_precision",
    "resolve_precision",
]

MatmulPrecision = Literal["auto", "fast", "float32", "medium", "bfloat16"]
ResolvedPrecision = Literal["float32", "medium", "bfloat16"]

_LAYERS_IN_BFLOAT16: ContextVar[bool] = ContextVar("whether networks run in bfloat16", default=False)


@contextmanager
def matmul_precision(mode: ResolvedPrecision) -> Iterator[None]:
    """Set the precision of float32 matrix products within the scope.

    "float32" is exact to float32; "medium" is torch's setting of that name: on some machines float32 accuracy by
    another library, on others bfloat16 products summed in float32; "bfloat16" runs the layers of networks in
    bfloat16, and everything else exactly.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if mode == "medium" else "highest")
    token = _LAYERS_IN_BFLOAT16.set(mode == "bfloat16")
    try:
        yield
    finally:
        _LAYERS_IN_BFLOAT16.reset(token)
        torch.set_float32_matmul_precision(before)


def applied(net: nn.Module, x: Tensor | None) -> Tensor:
    """Return net(x), with layers in the precision of the scope and the result in the type of x, for densities."""
    if x is None or x.dtype != torch.float32 or not _LAYERS_IN_BFLOAT16.get():
        return net(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        out = net(x)
    return out.to(x.dtype)


@functools.cache
def fast_products_are_accurate(device: str = "cpu") -> bool:
    """Return whether "medium" products have float32 accuracy here: errors at most four times those of "float32"."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 512, generator=generator), torch.randn(512, 256, generator=generator)
    exact = a.double() @ b.double()
    error = {}
    for mode in ("float32", "medium"):
        with matmul_precision(mode):
            error[mode] = float(((a.to(device) @ b.to(device)).cpu().double() - exact).abs().max())
    return error["medium"] <= 4 * error["float32"]


def resolve_precision(mode: MatmulPrecision, device: torch.device | str) -> ResolvedPrecision:
    """Return the precision of a choice on this device.

    "auto" is "medium" where that costs no accuracy, else "float32"; "fast" is "bfloat16" on processors with
    instructions for it, which torch's own "medium" does not always use, else "medium". The others are unchanged.
    """
    if mode == "auto":
        return "medium" if fast_products_are_accurate(str(device)) else "float32"
    if mode == "fast":
        return "bfloat16" if torch.device(device).type == "cpu" and _multiplies_bfloat16() else "medium"
    return mode


@functools.cache
def _multiplies_bfloat16() -> bool:
    """Return whether this processor has bfloat16 instructions, as far as torch can detect (from 2.10 on)."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
