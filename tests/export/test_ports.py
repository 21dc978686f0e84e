"""The subject of an export: the types of its data, and copies whose experts all run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.data import Preparation, Schema
from jensen.export.ports import Port, Subject
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models import Given, LatentVariableModel, Unconditional
from jensen.nets import MLP, Experts


def subject(schema: Schema, preparation: Preparation | None = None) -> Subject:
    experts = Experts.copies(2, MLP(3, 4, (4,)), last=True)
    model = LatentVariableModel(Unconditional(Gaussian(3)), Given(experts, Gaussian(2), context=True))
    guide = Amortized.mlp(schema.size, (4,), Gaussian(3))
    return Subject(model, guide, schema, preparation or Preparation(), ("a", "b"))


@pytest.mark.parametrize(
    ("schema", "dtype"),
    [
        (Schema("real", (2,)), "float64"),
        (Schema("binary", (2,)), "uint8"),
        (Schema("integers", (2,), levels=256), "uint8"),
        (Schema("integers", (2,), levels=1000), "int64"),
    ],
)
def test_data_have_the_smallest_type_that_holds_them(schema, dtype):
    assert subject(schema).x_dtype == dtype
    assert subject(schema).number == "float32"


def test_experts_of_a_copy_all_run_and_agree_with_the_selected_one():
    own = subject(Schema("real", (2,)))
    copy, _ = own.copied()
    x = torch.cat([torch.randn(5, 3), torch.eye(2)[torch.arange(5) % 2]], -1)
    assert not own.model.likelihood.net.through
    assert copy.likelihood.net.through
    torch.testing.assert_close(copy.likelihood.net(x), own.model.likelihood.net(x))


def test_bits_that_are_drawn_are_random():
    schema = Schema("integers", (2,), levels=8)
    assert subject(schema, Preparation(binarize="dynamic")).is_random
    assert not subject(schema, Preparation(binarize="threshold")).is_random


def test_port_describes_itself():
    described = Port("x", "float64", (2, 3), "data").to_dict()
    assert described == {"name": "x", "type": "float64", "shape": ["batch", 2, 3], "meaning": "data"}
    assert np.dtype(described["type"]) == np.float64
