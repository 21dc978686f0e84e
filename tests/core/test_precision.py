"""The precision of float32 products holds within a scope, and is checked before it is trusted."""

from __future__ import annotations

import pytest
import torch

from jensen.core import precision
from jensen.core.precision import applied, fast_products_are_accurate, matmul_precision, resolve_precision


@pytest.mark.parametrize(("mode", "within"), [("float32", "highest"), ("medium", "medium"), ("bfloat16", "highest")])
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
    for accurate, mode in ((True, "medium"), (False, "float32")):
        monkeypatch.setattr(precision, "fast_products_are_accurate", lambda device, yes=accurate: yes)
        assert resolve_precision("auto", "cpu") == mode
    for named in ("float32", "medium", "bfloat16"):
        assert resolve_precision(named, "cpu") == named


def test_fast_is_bfloat16_where_the_processor_has_instructions_for_it(monkeypatch):
    for has, mode in ((True, "bfloat16"), (False, "medium")):
        monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda yes=has: yes)
        assert resolve_precision("fast", "cpu") == mode
        assert resolve_precision("fast", "meta") == "medium"  # another device


def test_bfloat16_is_for_the_layers_of_networks_alone():
    """Inside the scope a network's result is that of rounded layers, in the type of its input; products elsewhere, and
    everything afterwards, are untouched. The rounding of a factor is 2^-9, so a product of 64 of them is off by some
    2^-9: more than single precision's, less than a hundredth."""
    net, x = torch.nn.Linear(64, 8), torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    plain = net(x).detach()
    with matmul_precision("bfloat16"):
        rounded, product = applied(net, x).detach(), x @ x.T
        assert torch.equal(net(x), plain)
        assert applied(net.double(), x.double()).dtype == torch.float64
    net.float()
    assert rounded.dtype == torch.float32
    assert 1e-4 < float((rounded - plain).abs().max()) < 1e-2 * float(plain.abs().max())
    assert torch.equal(product, x @ x.T)
    assert torch.equal(applied(net, x), plain)


def test_gradients_pass_through_layers_in_bfloat16():
    net, x = torch.nn.Linear(64, 8), torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    (exact,) = torch.autograd.grad(net(x).square().sum(), net.weight)
    with matmul_precision("bfloat16"):
        (rounded,) = torch.autograd.grad(applied(net, x).square().sum(), net.weight)
    assert rounded.dtype == torch.float32
    assert float((rounded - exact).norm()) < 0.02 * float(exact.norm())


def test_the_check_tells_true():
    """The check agrees with measured products, and leaves randomness untouched."""
    state = torch.get_rng_state()
    fast_products_are_accurate.cache_clear()
    said = fast_products_are_accurate("cpu")
    assert torch.equal(torch.get_rng_state(), state)
    a = torch.randn(300, 300, generator=torch.Generator().manual_seed(1))
    with matmul_precision("medium"):
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
