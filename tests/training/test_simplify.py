"""What is removed from a recorded graph changes no bit of its results, also where memory is shared and changed."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from jensen.core.random import stream
from jensen.training.simplify import simplify

X = torch.randn(4, 3, generator=stream(0, "x"))


def changed_after_a_double_negation(x):
    y = x.neg().neg()
    z = y * 2
    y.add_(1)
    return [y, z, x * 1]


def source_changed_after_a_copy(x):
    a = x + 0
    b = a * 1
    a.mul_(3)
    return [a, b]


FUNCTIONS = {
    "views that lead back": (lambda x: [x.t().t() + 1, x.view(2, 6).view(4, 3).exp(), x.expand(4, 3).sum()], 0),
    "repeated views": (lambda x: [x.t() + 1, x.t().exp()], 1),
    "copies": (lambda x: [x.neg().neg().exp(), (x * 1).exp(), x.pow(1.0).exp()], 0),
    "a changed copy": (changed_after_a_double_negation, None),
    "a changed source": (source_changed_after_a_copy, None),
    "views of equal shape": (lambda x: [(s := x[:3]) + s.t(), s.t().t() * 2, x[1:].t() + x[:3]], None),
    "a changed view": (lambda x: [(y := x.clone()).t().t().add_(1), y, y.view(12)[:2].mul_(2), y], None),
}
REMOVABLE = {torch.ops.aten.t.default, torch.ops.aten.view.default, torch.ops.aten.expand.default}
REMOVABLE |= {torch.ops.aten.neg.default, torch.ops.aten.mul.Tensor, torch.ops.aten.pow.Tensor_Scalar}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_the_same_to_the_bit(name):
    function, left = FUNCTIONS[name]
    expected = function(X.clone())
    graph = make_fx(function)(X.clone())
    before = sum(n.op == "call_function" for n in graph.graph.nodes)
    simplify(graph)
    found = graph(X.clone())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    called = [n.target for n in graph.graph.nodes if n.op == "call_function"]
    assert left is None or sum(target in REMOVABLE for target in called) == left
    assert len(called) <= before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_held_as_tensors_with_the_same_results(dtype):
    def function(x):
        scalar = x.sum()  # beside a tensor without axes, a held number would decide about types
        others = [x.to(kind) * 0.1 for kind in (torch.float32, torch.float64, torch.bfloat16)]
        plain = [(x + 0.1) * 0.1 / 3 - 1e-9, 0.7 * x, x.div(7), scalar * 0.1, (x > 0) * 2, x.add(0.1, alpha=3)]
        return plain + others

    x = X.to(dtype)
    expected = function(x)
    graph = make_fx(function)(x)
    simplify(graph)
    results = graph(x)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(results, expected, strict=True))
    held = [n for n in graph.graph.nodes if n.op == "get_attr"]
    assert len(held) >= 5


def test_what_nothing_reads_is_removed_and_what_changes_memory_is_not():
    def function(x):
        x.exp()
        x.add_(1)
        return [x.sum()]

    graph = make_fx(function)(X.clone())
    simplify(graph)
    names = {str(n.target) for n in graph.graph.nodes}
    assert "aten.exp.default" not in names
    assert "aten.add_.Tensor" in names
