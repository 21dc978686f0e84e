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
    "views that lead back": (lambda x: [x.t().t() + 1, x.view(2, 6).view(4, 3) * 2, x.expand(4, 3).sum()], 0),
    "repeated views": (lambda x: [x.t() + 1, x.t() * 2], 1),
    "copies": (lambda x: [x.neg().neg().exp(), (x * 1).exp(), x.pow(1.0).exp()], 0),
    "a changed copy": (changed_after_a_double_negation, None),
    "a changed source": (source_changed_after_a_copy, None),
    "a changed view": (lambda x: [(y := x.clone()).t().t().add_(1), y, y.view(12)[:2].mul_(2), y], None),
}
REMOVABLE = {torch.ops.aten.t.default, torch.ops.aten.view.default, torch.ops.aten.expand.default}
REMOVABLE |= {torch.ops.aten.neg.default, torch.ops.aten.mul.Tensor, torch.ops.aten.pow.Tensor_Scalar}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_the_same_to_the_bit(name):
    function, left = FUNCTIONS[name]
    expected = function(X.clone())
    graph = make_fx(function)(X.clone())
    before = len(graph.graph.nodes)
    simplify(graph)
    found = graph(X.clone())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    kinds = [n.target for n in graph.graph.nodes if n.target in REMOVABLE and 1 not in n.args[1:] and 2 not in n.args]
    assert left is None or len(kinds) == left
    assert len(graph.graph.nodes) <= before


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
