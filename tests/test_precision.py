"""The precision of float32 products holds within a scope, and is checked before it is trusted."""

from __future__ import annotations

import pytest
import torch

from jensen import precision
from jensen.precision import fast_products_are_accurate, matmul_precision, resolve_precision


@pytest.mark.parametrize(("mode", "within"), [("float32", "highest"), ("fast", "medium")])
@pytest.mark.parametrize("before", ["highest", "high"])
def test_the_switch_holds_within_the_scope_only(mode, within, before):
    old = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before)
    try:
        with matmul_precision(mode):
            assert torch.get_float32_matmul_precision() == within
        assert torch.get_float32_matmul_precision() == before
        with pytest.raises(RuntimeError, match="inside"), matmul_precision(mode):
            raise RuntimeError("inside")
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision(old)


def test_auto_is_fast_only_where_that_is_accurate(monkeypatch):
    for accurate, mode in ((True, "fast"), (False, "float32")):
        monkeypatch.setattr(precision, "fast_products_are_accurate", lambda device, yes=accurate: yes)
        assert resolve_precision("auto", "cpu") == mode
    assert resolve_precision("fast", "cpu") == "fast"
    assert resolve_precision("float32", "cpu") == "float32"


def test_the_check_tells_true():
    """What it says is what products show, and it leaves randomness alone."""
    state = torch.get_rng_state()
    fast_products_are_accurate.cache_clear()
    said = fast_products_are_accurate("cpu")
    assert torch.equal(torch.get_rng_state(), state)
    a = torch.randn(300, 300, generator=torch.Generator().manual_seed(1))
    with matmul_precision("fast"):
        error = float((a @ a - (a.double() @ a.double())).abs().max())
    assert said == (error < 1e-3)


def test_rounded_products_are_noticed(monkeypatch):
    """bfloat16 where "fast" was asked for."""
    product = torch.Tensor.__matmul__

    def rounded(a, b):
        if torch.get_float32_matmul_precision() == "medium" and a.dtype == torch.float32:
            return product(a.bfloat16(), b.bfloat16()).float()
        return product(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    fast_products_are_accurate.cache_clear()
    try:
        assert not fast_products_are_accurate("cpu")
    finally:
        fast_products_are_accurate.cache_clear()
