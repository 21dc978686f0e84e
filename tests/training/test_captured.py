"""A CUDA graph gives the results of the graph that it captures; checked where there is a CUDA device."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from jensen.training.captured import captured

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_it_reads_parameters_where_they_are_and_copies_batches_in():
    weight, x = torch.randn(3, 3, device="cuda"), torch.randn(4, 3, device="cuda")
    graph = make_fx(lambda w, x: [(x @ w).sum(0), (x @ w).sum(), x @ w])(weight, x)
    run = captured(graph, [weight, x], held=1)
    for _ in range(3):
        weight.mul_(1.5)
        other = torch.randn(4, 3, device="cuda")
        first = run(weight, other)
        assert all(torch.equal(a, b) for a, b in zip(first, graph(weight, other), strict=True))
        kept = first[0].clone()
        run(weight, other + 1)
        assert torch.equal(first[0], kept)
