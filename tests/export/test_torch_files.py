"""Graphs as programs of torch.export: a dynamic batch, inputs by name, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.export.ports import Graph, Port
from jensen.export.torch_files import computed_by_torch, program_bytes

X = np.arange(12.0).reshape(4, 3)


class Doubled(torch.nn.Module):
    def forward(self, x, noise=None):
        return (2 * x if noise is None else 2 * x + noise,)


class Deciding(torch.nn.Module):
    def forward(self, x):
        return (x if x.sum() > 0 else -x,)


def graph(module) -> Graph:
    port = Port("x", "float64", (3,), "")
    return Graph("encoder", "", module, (port,), (Port("y", "float64", (3,), ""),), lambda own: own)


def test_program_takes_any_number_of_rows():
    own = graph(Doubled())
    compute = computed_by_torch(program_bytes(own, {"x": X[:2]}, {"about": "{}"}), own)
    for n in (1, 4):
        np.testing.assert_array_equal(compute({"x": X[:n]})["y"], 2 * X[:n])


def test_program_that_depends_on_values_is_refused(capfd):
    is_validating = torch.distributions.Distribution._validate_args
    with pytest.raises(CompositionError, match="cannot be exported by torch"):
        program_bytes(graph(Deciding()), {"x": X[:2]}, {"about": "{}"})
    assert capfd.readouterr() == ("", "")
    assert torch.distributions.Distribution._validate_args == is_validating
