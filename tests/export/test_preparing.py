"""The preparation within a graph is that of the run, for every kind of data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.data import Preparation, Schema
from jensen.data.columns import Column
from jensen.export.ports import Subject
from jensen.export.preparing import Prepared, input_ports, prepared_batch
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models import Given, LatentVariableModel, Unconditional

REALS = np.random.default_rng(0).normal(5.0, 3.0, (6, 2))
LEVELS = np.random.default_rng(1).integers(0, 8, (6, 2), dtype=np.uint8)
INTEGERS = Schema("integers", (2,), levels=8)
MIXED = Schema(
    "mixed", (2,), names=("a", "b"), columns=(Column("a", "bounded", low=0, high=1), Column("b", "datetime"))
)
CASES = [
    (Schema("real", (2,)), Preparation(), REALS),
    (Schema("real", (2,)), Preparation.fit(REALS, Schema("real", (2,)), standardize="feature"), REALS),
    (INTEGERS, Preparation(), LEVELS),
    (INTEGERS, Preparation(binarize="threshold"), LEVELS),
    (INTEGERS, Preparation(binarize="dynamic"), LEVELS),
    (INTEGERS, Preparation.fit(LEVELS, INTEGERS, dequantize=True, standardize="global"), LEVELS),
    (MIXED, Preparation(None, False, np.array([0, 1.7e9]), np.array([1, 1e6]), 0, np.array([0.5, 0])), None),
]


def subject(schema: Schema, preparation: Preparation, holes: bool = False) -> Subject:
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given.mlp(1, (2,), Gaussian(2)))
    return Subject(model, Amortized.mlp(2, (2,), Gaussian(1)), schema, preparation, ("a", "b"), holes)


@pytest.mark.parametrize(("schema", "preparation", "x"), CASES)
def test_graph_prepares_as_the_run_does(schema, preparation, x):
    x = np.array([[1 - 1e-12, 1.7e9], [0.25, 1.8e9]]) if x is None else x
    own, n = subject(schema, preparation, holes=True), len(x)
    mask = np.random.default_rng(2).random((n, 2)) < 0.7
    uniform = np.random.default_rng(3).random((n, 2))
    uniform = uniform.astype(np.float32) if preparation.binarize else uniform
    arrays = {"x": x, "mask": mask, "uniform": uniform, "label": np.arange(n) % 2}
    expected = prepared_batch(own, arrays)
    given = {port.name: torch.from_numpy(arrays[port.name]) for port in input_ports(own)}
    actual = Prepared(own)(**given)
    assert torch.equal(actual.x, expected.x)
    assert torch.equal(actual.mask, expected.mask)
    assert torch.equal(actual.context, expected.context)


def test_inputs_are_those_that_are_needed():
    plain = subject(Schema("real", (2,)), Preparation())
    drawn = subject(INTEGERS, Preparation(binarize="static"), holes=True)
    assert [port.name for port in input_ports(plain)] == ["x", "label"]
    assert [port.name for port in input_ports(drawn)] == ["x", "uniform", "mask", "label"]


def test_masked_entries_may_be_anything():
    own = subject(Schema("real", (2,)), Preparation(), holes=True)
    x = torch.tensor([[1.0, torch.nan]], dtype=torch.float64)
    batch = Prepared(own)(x, mask=torch.tensor([[True, False]]), label=torch.tensor([0]))
    assert batch.x.isfinite().all()
