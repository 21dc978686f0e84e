"""The shared scale in closed form (Rybkin et al., 2021): profiled while training, one number afterwards."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import FLOOR, Gaussian, Mixture, positive
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Table, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Elbo
from jensen.training import Budget, Optimizer, Player, Trainer
from tests.identities.models import close

D = 5


def parts() -> tuple[LatentVariableModel, Amortized]:
    with drawing_from(stream(0, "init")):
        likelihood = Given(MLP(2, D, (6,)), Gaussian(D, "optimal"))
        guide = Amortized(Given(MLP(D, 4, (6,)), Gaussian(2)))
    return LatentVariableModel(Unconditional(Gaussian(2)), likelihood).double(), guide.double()


def data(n: int = 40) -> Batch:
    return Batch(torch.randn(n, D, dtype=torch.float64, generator=stream(0, "x")))


def variance(likelihood: Given) -> torch.Tensor:
    return positive(torch.as_tensor(likelihood.free), FLOOR).square()


def test_a_batch_is_scored_with_its_own_mean_squared_error():
    """-log p has its least value, D/2 log(2 pi e mse), at the root of the mean squared error of the batch."""
    model, guide = parts()
    model.train()
    batch = data()
    draw = Pathwise(3).draw(model, guide, batch, stream(0, "noise"))
    square = (batch.x - model.likelihood.net(draw.z)).square().mean()
    close(draw.distortion.mean(), D / 2 * torch.log(2 * math.pi * math.e * square), 1e-9)
    close(variance(model.likelihood)[0], square, 1e-9)
    params = draw.likelihood_params.detach()
    for step in (-0.01, 0.01):  # any other scale is worse
        moved = params + step * torch.eye(D + 1, dtype=params.dtype)[-1]
        assert model.likelihood.family.log_prob(moved, batch.x).mean() < draw.log_lik.mean()


def test_the_gradient_is_that_of_the_profiled_likelihood():
    """The scale is held fixed, and the gradient of D/2 log mse comes out: at an optimum nothing flows through it."""
    model, guide = parts()
    model.train()
    batch, weights = data(), [*model.likelihood.net.parameters(), *guide.parameters()]
    draw = Pathwise(3).draw(model, guide, batch, stream(0, "noise"))
    gradients = torch.autograd.grad(draw.distortion.mean(), weights)
    again = Pathwise(3).draw(model, guide, batch, stream(0, "noise"))
    square = (batch.x - model.likelihood.net(again.z)).square().mean()
    for a, b in zip(gradients, torch.autograd.grad(D / 2 * square.log(), weights), strict=True):
        close(a, b, 1e-9)


def test_outside_training_the_scale_is_one_number():
    model, guide = parts()
    before = variance(model.likelihood).clone()
    Pathwise(1).draw(model, guide, data(), stream(0, "noise"))  # fresh: not in training, though gradients are recorded
    model.train()
    with torch.no_grad():
        Pathwise(1).draw(model, guide, data(), stream(0, "noise"))
    assert torch.equal(variance(model.likelihood), before)
    Pathwise(1).draw(model, guide, data(), stream(0, "noise"))
    assert not torch.equal(variance(model.likelihood), before)
    model.eval()
    kept, batch = variance(model.likelihood).clone(), data(7)
    draw = Pathwise(2).draw(model, guide, batch, stream(0, "noise"))
    assert torch.equal(variance(model.likelihood), kept)
    plain = torch.distributions.Normal(model.likelihood.net(draw.z), kept.sqrt())
    close(draw.log_lik, plain.log_prob(batch.x).sum(-1), 1e-12)
    each = Pathwise(1).draw(model, guide, Batch(batch.x[:1]), stream(1, "noise"))
    close(model.likelihood.log_prob(batch.x[:1], each.z), each.log_lik, 1e-12)


def test_what_is_kept_is_the_mean_over_batches():
    """The first hundred batches have equal weights; what is missing does not count."""
    model, _ = parts()
    model.train()
    likelihood, squares = model.likelihood, []
    z = torch.zeros(1, 8, 2, dtype=torch.float64)
    for seed in range(20):
        x = torch.randn(8, D, dtype=torch.float64, generator=stream(seed, "x"))
        mask = torch.rand(8, D, generator=stream(seed, "mask")) < 0.7
        holes = torch.where(mask, x, torch.full_like(x, math.nan))
        params = likelihood.params(z)
        adapted = likelihood.adapted(params, holes, mask)
        squares.append((x - params[0, :, :D]).square()[mask].mean())
        close(positive(adapted[0, 0, -1], FLOOR).square(), squares[-1], 1e-9)
    close(variance(likelihood)[0], torch.stack(squares).mean(), 1e-9)


def test_training_finds_the_noise_of_the_data():
    """The noise has variance 0.09, whose estimate from N rows has the standard error 0.09 sqrt(2 / (N (D - Z)))."""
    noise = stream(3, "data")
    z = torch.randn(2000, 2, dtype=torch.float64, generator=noise)
    w = torch.randn(2, D, dtype=torch.float64, generator=noise)
    x = z @ w + 0.3 * torch.randn(2000, D, dtype=torch.float64, generator=noise)
    with drawing_from(stream(0, "init")):
        likelihood = Given(MLP(2, D, ()), Gaussian(D, "optimal")).double()
        guide = Amortized(Given(MLP(D, 4, ()), Gaussian(2))).double()
    model = LatentVariableModel(Unconditional(Gaussian(2)), likelihood)
    everything = [*model.parameters(), *guide.parameters()]
    player = Player(Elbo(), everything, Pathwise(1), Optimizer(lr=0.05))
    Trainer(seed=0).fit(model, guide, [player], Rows(x), Budget(60, 200))
    assert not model.training
    error = 0.09 * math.sqrt(2 / (2000 * 3))
    assert abs(float(variance(likelihood)) - 0.09) < 5 * error + 0.001
    exact = torch.distributions.MultivariateNormal(x.new_zeros(D), w.T @ w + 0.09 * torch.eye(D, dtype=x.dtype))
    draw = Pathwise(20).draw(model, guide, Batch(x), stream(1, "noise"))
    gap = exact.log_prob(x).mean() - draw.log_evidence.mean().detach()
    assert abs(gap.item()) < 0.02  # a closed model: the bound is close to what made the data


def test_the_kept_scale_is_saved_and_rebuilt():
    model, _ = parts()
    assert set(dict(model.likelihood.named_buffers())) == {"free", "batches"}
    again = build(spec_of(model.likelihood))[0]
    assert again.family == Gaussian(D, "optimal")
    assert "one scale at its optimum" in again.phrase


@pytest.mark.parametrize("make", [lambda f: Table(f, 3), Unconditional, lambda f: Mixture(f, 2)])
def test_elsewhere_it_is_refused(make):
    with pytest.raises(CompositionError, match="scale="):
        make(Gaussian(3, "optimal"))
