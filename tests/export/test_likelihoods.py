"""Parameters of p(x | z) by name, in the data's own units."""

from __future__ import annotations

import torch

from jensen.export.likelihoods import Units, level_slices, named_parameters
from jensen.families import Bernoulli, Choices, Columns, DiscretizedLogistic, FullGaussian, Gaussian, Integers
from jensen.models import Given

UNITS = Units(torch.tensor([10.0, 20.0], dtype=torch.float64), torch.tensor([2.0, 4.0], dtype=torch.float64))


def named(family, params, units=UNITS):
    return {n.name: n.value for n in named_parameters(Given(torch.nn.Identity(), family), params, units)}


def test_scales_are_in_the_unit_of_the_data():
    values = named(Gaussian(2), torch.zeros(1, 4))
    torch.testing.assert_close(values["scale"], torch.tensor([[2.0, 4.0]], dtype=torch.float64))


def test_places_are_moved_and_stretched():
    place = UNITS.own(torch.ones(1, 2))
    assert place.tolist() == [[12.0, 24.0]]
    assert Units().own(torch.ones(1)).dtype == torch.float32


def test_levels_of_pixels_are_their_unit():
    values = named(DiscretizedLogistic(1, 9), torch.zeros(1, 2), Units())
    assert values["location"].tolist() == [[4.0]]
    torch.testing.assert_close(values["scale"], torch.tensor([[4.0]], dtype=torch.float64))


def test_bits_have_log_odds():
    assert named(Bernoulli(2), torch.ones(1, 2))["logits"].tolist() == [[1.0, 1.0]]


def test_unknown_distributions_have_flat_parameters():
    assert named(FullGaussian(2), torch.ones(1, 5))["parameters"].shape == (1, 5)


def test_columns_have_probabilities_in_their_order():
    family = Columns((Gaussian(1), Choices((2, 3)), Integers(1, (40.0,), (12.0,))), ((2,), (3, 1), (0,)))
    values = named(family, torch.zeros(1, family.size))
    assert level_slices(family) == {1: slice(0, 3), 3: slice(3, 5)}
    torch.testing.assert_close(values["probabilities"], torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0.5, 0.5]]))
    assert values["group3_location"].tolist() == [[40.0]]
    assert values["group3_scale"].tolist() == [[12.0]]
    assert "group1_scale" in values
