"""Illnesses of the decoder that are planted: scales, components, copies of the data, saturation, bad weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import jensen
from jensen.analysis.doctor import CHECKS, examine
from jensen.analysis.examination import Examination
from jensen.analysis.memorisation import memorised
from jensen.core.batch import Rows
from jensen.core.random import stream
from jensen.families import Bernoulli, Categorical, Gaussian, Laplace, LogNormal, StudentT
from jensen.guides import Amortized, Exact, Shared
from jensen.models.conditionals import Given, Table, Unconditional
from jensen.models.model import LatentVariableModel
from tests.analysis.patients import names, pair, sharp
from tests.identities.models import Fixed, linear_model, mixture_model, simulated


def test_decoder_scale_at_its_floor():
    model = linear_model(2, 5)
    train, test = pair(model)
    with torch.no_grad():
        model.likelihood.raw_scale.fill_(-30.0)
    assert "decoder-scale-collapse" in names(examine(model, Exact(model), train, test))


def test_decoder_scale_finer_than_the_data():
    assert "decoder-scale-collapse" in names(examine(*sharp(0.001)))


def test_component_at_its_floor():
    model = mixture_model(3, 4)
    train, test = pair(model)
    with torch.no_grad():
        model.likelihood.table[1, 4:] = -30.0
    found = examine(model, Exact(model), train, test)
    assert "4 of 4" in next(f for f in found.problems if f.name == "decoder-scale-collapse").what


@pytest.mark.parametrize("family", [Laplace(3), StudentT(3, 5.0), LogNormal(3)], ids=lambda f: f.phrase)
def test_scales_of_other_families_are_looked_at(family):
    """At their floor a problem, at the data's spread none (of log x, where that is what the scale is of)."""
    likelihood = Given(nn.Linear(1, 6), family).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.zero_()
    model = LatentVariableModel(Unconditional(Gaussian(1)), likelihood).double()
    rows, guide = pair(model, 200), Shared(Unconditional(Gaussian(1))).double()
    found = examine(model, guide, *rows)
    assert "decoder-scale-collapse" not in names(found)
    assert found.measures["scale_least"] == pytest.approx(1.0)
    assert 0.4 < found.measures["scale_to_spread"] < 1.2
    with torch.no_grad():
        likelihood.net.bias[3:] = -30.0
    assert "decoder-scale-collapse" in names(examine(model, guide, *rows))


def test_constant_columns_are_a_note():
    x = torch.randn(300, 3, dtype=torch.float64, generator=stream(0, "constant"))
    x[:, 1] = 0.5
    p = Unconditional(Gaussian(3, floor=0.01)).double()
    with torch.no_grad():
        p.value.copy_(torch.cat([x.mean(0), p.family.raw(x.std(0))]))
    model = LatentVariableModel(Unconditional(Gaussian(0)), p).double()
    found = examine(model, Exact(model), Rows(x[:150]), Rows(x[150:]))
    assert "decoder-scale-collapse" not in names(found)
    assert "constant-columns" in names(found, "note")


@pytest.mark.parametrize("plant", ["weight", "place"])
def test_unused_components(plant):
    model = mixture_model(3, 2)
    train, test = pair(model)
    assert "unused-components" not in names(examine(model, Exact(model), train, test))
    with torch.no_grad():
        if plant == "weight":
            model.prior.value[1] = -40.0
        else:
            model.likelihood.table[1, :2] = 1e4
    found = examine(model, Exact(model), train, test)
    assert "unused-components" in names(found)
    assert found.measures["components_unused"] == 1


def test_memorised_rows():
    """A mixture with one narrow component on each training row."""
    train, test = pair(linear_model(3, 6), 150)
    model = LatentVariableModel(Unconditional(Categorical(150)), Table(Gaussian(6, 0.05), 150)).double()
    with torch.no_grad():
        model.likelihood.table.copy_(train.stored)
    found = examine(model, Exact(model), train, test)
    assert {"memorised-rows", "over-fitting"} <= names(found)
    assert found.measures["sample_distance_ratio"] < 0.2


def test_samples_of_dense_regions_are_not_taken_for_copies():
    """Half of the data are a hundred times as dense, and the model makes only those."""
    noise = stream(0, "dense")
    x = torch.randn(400, 4, dtype=torch.float64, generator=noise)
    x[::2] *= 0.01
    p = Unconditional(Gaussian(4, 0.01)).double()
    model = LatentVariableModel(Unconditional(Gaussian(0)), p).double()
    found = memorised(Examination(model, Exact(model), Rows(x[:200]), Rows(x[200:])))
    assert found.findings == ()


def wide_bits(size):
    """Bits with a decoder that says the sign of z, with logits of that size."""
    model = LatentVariableModel(Unconditional(Gaussian(6)), Given(nn.Linear(6, 6), Bernoulli(6)))
    with torch.no_grad():
        model.likelihood.net.weight.copy_(torch.eye(6))
        model.likelihood.net.bias.zero_()
    train, test = (Rows(simulated(model, 400, name).x) for name in ("train", "test"))
    with torch.no_grad():
        model.likelihood.net.weight.mul_(size)
    guide = Amortized(Fixed(Gaussian(6), torch.zeros(12)))
    return examine(model, guide, train, test)


def stray_bits(right):
    """One wide feature, whose sign the decoder says with certainty; a bit is right in that many of 16 points."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(nn.Linear(1, 5), Bernoulli(5)))
    with torch.no_grad():
        model.likelihood.net.weight.fill_(0.0 if right == 0 else 400.0)
        model.likelihood.net.bias.fill_(-60.0 if right == 0 else 0.0)
    x = torch.ones(300, 5)
    guide = Amortized(Fixed(Gaussian(1), torch.zeros(2)))
    return examine(model, guide, Rows(x), Rows(x))


def test_a_stray_point_is_not_taken_for_a_certain_error():
    """Half of the points of q(z|x) are certain and wrong, and log p(x) = -log 2 all the same."""
    found = stray_bits(8)
    assert "saturated-outputs" not in names(found)
    assert found.measures["nats_lost_to_certainty"] < 0.1
    assert found.measures["score_test"] < -100  # what one point says of it
    found = stray_bits(0)
    assert "saturated-outputs" in names(found)
    assert found.measures["nats_lost_to_certainty"] == pytest.approx(300)
    assert found.measures["saturated_logits"] == 1.0


@pytest.mark.slow
def test_a_short_importance_weighted_run_is_not_saturated(tmp_path):
    """Its guide is wide: one point in two hundred is certain and wrong, and no datum is."""
    run = jensen.train("digits", recipe="iwae", epochs=10, seed=2, out=tmp_path / "run", device="cpu")
    found = run.doctor()
    assert found.healthy, found.problems
    assert found.measures["nats_lost_to_certainty"] < 0.05


def test_certain_and_wrong():
    assert "saturated-outputs" in names(wide_bits(100.0))
    assert "saturated-outputs" not in names(wide_bits(1.0))


def test_certain_and_right_is_harmless():
    p = Unconditional(Bernoulli(3))
    with torch.no_grad():
        p.value.copy_(torch.tensor([-30.0, 30.0, 0.0]))
    model = LatentVariableModel(Unconditional(Gaussian(0)), p)
    found = examine(model, Exact(model), *pair(model))
    assert found.healthy
    assert found.measures["saturated_logits"] == pytest.approx(2 / 3)


def test_exploding_weights():
    model, guide, train, test = sharp(0.1)
    with torch.no_grad():
        guide.conditional.net.weight[0, 0] = 1e5
    found = examine(model, guide, train, test)
    assert "exploding-weights" in names(found)
    assert found.measures["layer_output_sd"] > 1e4


def test_weights_that_are_not_finite():
    model, guide, train, test = sharp(0.1)
    with torch.no_grad():
        guide.conditional.net.weight[0, 0] = math.nan
    found = examine(model, guide, train, test)
    assert names(found) == {"non-finite-weights"}
    assert set(found.skipped) == set(CHECKS) - {"weights"}
