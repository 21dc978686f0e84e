"""Graphs as ONNX: dynamic batch, names and texts, operations in double precision, and refusals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.export import onnx_files
from jensen.export.onnx_files import computed_by_onnxruntime, onnx_bytes
from jensen.export.ports import Graph, Port

onnx = pytest.importorskip("onnx", reason="ONNX is an extra: pip install 'jensen[onnx]'")
pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'jensen[onnx]'")
X = np.random.default_rng(0).normal(size=(6, 3))


class Applied(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return (self.function(x),)


def graph(function, dtype="float64") -> Graph:
    ports = (Port("x", dtype, (3,), "numbers"),), (Port("y", dtype, (3,), "function values"),)
    return Graph("encoder", "a function", Applied(function), *ports, lambda own: own)


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (torch.asinh, "float32"),
        (torch.expm1, "float32"),
        (torch.sinh, "float64"),
        (torch.round, "float64"),
        (torch.special.ndtr, "float64"),
        (torch.nn.functional.softplus, "float64"),
        (torch.nn.functional.softplus, "float32"),
        (lambda x: torch.zeros_like(x.unflatten(-1, (3, 1)).unbind(-1)[0]) + x, "float64"),
    ],
)
def test_operations_agree_on_other_numbers_of_rows(function, dtype):
    own, x = graph(function, dtype), X.astype(dtype)
    compute = computed_by_onnxruntime(onnx_bytes(own, {"x": x[:2]}, {}), own)
    for n in (1, 6):
        np.testing.assert_allclose(compute({"x": x[:n]})["y"], function(torch.from_numpy(x[:n])), rtol=2e-6, atol=1e-7)


def test_model_says_what_it_is():
    model = onnx.load_from_string(onnx_bytes(graph(torch.tanh), {"x": X[:2]}, {"run": "abc", "recipe": "vae"}))
    assert {p.key: p.value for p in model.metadata_props} == {"run": "abc", "recipe": "vae"}
    assert model.producer_name == "jensen"
    (x,), (y,) = model.graph.input, model.graph.output
    assert (x.name, x.doc_string, y.name) == ("x", "numbers", "y")
    assert [d.dim_param or d.dim_value for d in y.type.tensor_type.shape.dim] == ["batch", 3]
    assert not any(node.doc_string for node in model.graph.node)


def test_same_graph_has_the_same_bytes():
    assert onnx_bytes(graph(torch.tanh), {"x": X[:2]}, {"a": "b"}) == onnx_bytes(
        graph(torch.tanh), {"x": X[:2]}, {"a": "b"}
    )


def test_operation_that_onnx_lacks_is_refused_by_name(capfd):
    with pytest.raises(CompositionError, match="special_i1e"):
        onnx_bytes(graph(torch.special.i1e), {"x": X[:2]}, {})
    assert capfd.readouterr() == ("", "")
    print("still there", file=sys.stderr)
    assert capfd.readouterr().err == "still there\n"


def test_graph_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_files, "MOST", 8)
    own = Graph("encoder", "", torch.nn.Linear(3, 3), (), (), lambda own: own)
    with pytest.raises(CompositionError, match="at most 8"):
        onnx_bytes(own, {}, {})


def test_broken_model_is_refused():
    with pytest.raises(CompositionError, match="onnxruntime does not take"):
        computed_by_onnxruntime(b"no model", graph(torch.tanh))
