"""The interpreter runs a graph as it is, convolutions and their gradients too."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import conv2d, conv_transpose2d

from jensen.core.random import stream
from jensen.training.compiled import compiled
from jensen.training.recording import Unrecordable


def normal(*shape):
    return torch.randn(shape, generator=stream(0, str(shape)))


@pytest.mark.parametrize("wanted", [(0, 1, 2), (1, 2), (0, 1), (1,)])
@pytest.mark.parametrize("layer", [conv2d, conv_transpose2d])
def test_gradients_of_convolutions_are_the_same_to_the_bit(layer, wanted):
    tensors = [normal(2, 3, 5, 5), normal(3, 3, 3, 3), normal(3)]

    def function(*given):
        leaves = [t.detach().requires_grad_(i in wanted) for i, t in enumerate(given)]
        loss = layer(*leaves, stride=2).square().sum()
        return list(torch.autograd.grad(loss, [leaves[i] for i in wanted]))

    graph = make_fx(function)(*tensors)
    found, expected = compiled(graph, tensors)(*tensors), function(*tensors)
    assert len(found) == len(wanted)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_results_need_no_gradient():
    x = normal(3).requires_grad_()
    graph = make_fx(lambda t: [t * 2])(x.detach())
    assert not compiled(graph, [x.detach()])(x)[0].requires_grad


def test_what_the_interpreter_cannot_run_is_refused():
    graph = make_fx(lambda t: [t * 2])(normal(3))
    for node in graph.graph.nodes:
        if node.op == "call_function":
            node.target, node.args = len, node.args[:1]
    graph.recompile()
    with pytest.raises(Unrecordable):
        compiled(graph, [normal(3)])
