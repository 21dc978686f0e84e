"""The logit that an entry is observed: of numbers, angles and levels, and the nodes of a value that is not seen."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.families import Choices, Gaussian, VonMises
from jensen.models.mechanisms import STEEPEST, Mechanism


def test_the_logit_is_linear_in_the_standardised_number_and_its_weight_is_bounded():
    mechanism = Mechanism(Gaussian(2), (1,), (1,))
    x = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 99.0]])
    mechanism.set(x, torch.tensor([[True, True], [True, True], [True, False]]))
    assert (float(mechanism.mean), float(mechanism.scale)) == (2.0, 1.0)
    assert float(mechanism.bias.detach()) == pytest.approx(math.log(2), abs=1e-6)  # two of three are observed
    with torch.no_grad():
        mechanism.slope.fill_(1e3)
        mechanism.bias.fill_(0.5)
    logits = mechanism(torch.tensor([[2.0, 3.0]])).flatten().tolist()
    assert logits == pytest.approx([0.5, 0.5 - STEEPEST])


@pytest.mark.parametrize(("family", "slope"), [(Choices((3,)), [[0.5, -1.0, 2.0]]), (VonMises(1), [[0.7, -0.4]])])
def test_a_hidden_value_and_a_missing_one_have_probabilities_that_add_up_to_one(family, slope):
    """E[P(s = 1 | x)] + E[P(s = 0 | x)] = 1 over the nodes of one distribution."""
    mechanism, features = Mechanism(family, (0,), (0,)), family(0.3 * torch.ones(family.size)).base_dist
    with torch.no_grad():
        mechanism.slope.copy_(torch.tensor(slope))
        mechanism.bias.fill_(0.3)
    hidden = torch.tensor([[True], [False]])
    logs = mechanism.nodes(features, hidden)[1].logsumexp(-1)
    assert float(logs.exp().sum().detach()) == pytest.approx(1.0, abs=1e-6)
    assert float(mechanism.nodes(features, None)[1].logsumexp(-1).detach()) == pytest.approx(float(logs[1].detach()))
