"""Tensors of a model and its guide have one name each, also where both hold them."""

from __future__ import annotations

import torch
from torch import nn

from jensen.core.modules import joined, named_tensors


def test_what_both_hold_has_one_name_under_the_model():
    shared = nn.Linear(2, 1)
    pair = joined(nn.Sequential(shared), nn.Sequential(nn.Linear(2, 2), shared))
    assert list(named_tensors(pair)) == ["model.0.weight", "model.0.bias", "guide.0.weight", "guide.0.bias"]
    assert named_tensors(pair)["model.0.weight"] is shared.weight


def test_buffers_are_named_too_and_follow_the_parameters():
    module = nn.BatchNorm1d(3)
    assert list(named_tensors(module)) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert torch.equal(named_tensors(module)["running_var"], torch.ones(3))
