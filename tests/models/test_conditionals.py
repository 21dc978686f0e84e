"""Conditionals beyond their contract: what is shared, what is looked up, what is assigned."""

from __future__ import annotations

import torch
from torch import nn

from jensen.core.random import stream
from jensen.families import Bernoulli, Gaussian
from jensen.models.conditionals import Given, Linear, Table, Unconditional


def test_shared_parameters_are_learned_beside_the_net():
    conditional = Given(nn.Linear(2, 3), Gaussian(3, "feature"))
    with torch.no_grad():
        conditional.free.copy_(torch.tensor([1.0, 2.0, 3.0]))
    params = conditional.params(torch.randn(4, 5, 2, generator=stream(0, "c")))
    assert params.shape == (4, 5, 6)
    assert (params[..., 3:] == conditional.free).all()
    assert Given(nn.Linear(2, 6), Gaussian(3)).free is None


def test_a_table_is_looked_up():
    table = Table(Bernoulli(3), 4)
    assert torch.equal(table.params(torch.eye(4)), table.table)
    assert torch.equal(table.params(torch.eye(4)[2]), table.table[2])


def test_an_unconditional_ignores_its_context():
    prior = Unconditional(Gaussian(2))
    assert prior(torch.zeros(5, 1)).batch_shape == prior().batch_shape == ()
    assert not prior.value.requires_grad
    assert Unconditional(Gaussian(2), learn=True).value.requires_grad


def test_a_linear_map_is_assigned():
    for noise, variance in (("shared", [0.3]), ("feature", [0.3, 2.0, 1e-3])):
        likelihood = Linear(2, 3, noise).double()
        W, b = torch.randn(3, 2).double(), torch.randn(3).double()
        psi = torch.tensor(variance, dtype=torch.float64)
        likelihood.assign(W, b, psi)
        torch.testing.assert_close(likelihood.noise_variance, psi)
        z = torch.randn(4, 2).double()
        d = likelihood(z)
        torch.testing.assert_close(d.mean, z @ W.mT + b)
        torch.testing.assert_close(d.variance, psi.expand(4, 3))
        torch.testing.assert_close(likelihood().mean, b)


def test_one_variance_may_be_assigned_to_all_features():
    likelihood = Linear(1, 3, "feature").double()
    likelihood.assign(likelihood.W.detach(), likelihood.b.detach(), torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(likelihood.noise_variance, torch.full((3,), 0.5, dtype=torch.float64))
