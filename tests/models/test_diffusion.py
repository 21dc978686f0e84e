"""Diffusion as a part: shapes, specifications, refusals, and one walk for prior, guide and likelihood."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.models.conditionals import Linear
from jensen.models.diffused import Diffused, DiffusedDistribution, DiffusionPrior
from jensen.models.diffusion import Diffusion, time_features
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LearnedSchedule, LinearSchedule
from jensen.nets import MLP
from jensen.objectives import Distortion, Elbo, Rate

D = 3


def made(levels=None, schedule=None, predicts="velocity"):
    torch.manual_seed(0)
    net = MLP(D + 5, D, (16,))
    chain = Diffusion(D, net, schedule or LinearSchedule(-6, 4), levels, predicts, frequencies=2)
    return LatentVariableModel(DiffusionPrior(chain), Linear(D, D)), Diffused(chain)


def draw(model, guide, k=2, seed=1):
    x = torch.randn(5, D, generator=torch.Generator().manual_seed(0))
    return Pathwise(k).draw(model, guide, Batch(x), stream(seed, "noise"))


def test_a_draw_has_the_parts_of_the_bound():
    one = draw(*made())
    assert one.z.shape == (2, 5, D)
    torch.testing.assert_close(Elbo()(one), -(Distortion()(one) + Rate()(one)))
    torch.testing.assert_close(one.log_prior - one.log_guide, -one.walk.rate)


def test_the_same_seed_gives_the_same_times_and_noise():
    model, guide = made()
    torch.testing.assert_close(Elbo()(draw(model, guide)), Elbo()(draw(model, guide)), rtol=0, atol=0)
    assert not torch.equal(Elbo()(draw(model, guide)), Elbo()(draw(model, guide, seed=2)))


@pytest.mark.parametrize("levels", [None, 4])
def test_gradients_reach_the_network_and_a_learned_schedule(levels):
    model, guide = made(levels, LearnedSchedule(-6, 4) if levels else None)
    (-Elbo()(draw(model, guide)).mean()).backward()
    parameters = list(model.prior.parameters())
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)
    assert len(parameters) == (5 if levels else 4)


def test_the_three_predictions_are_one_velocity():
    """A network's output v is the velocity, alpha v what noise has beyond sigma z, and -sigma v what data have."""
    z, gamma = torch.randn(4, D), torch.tensor([-5.0, -1.0, 0.0, 3.0])
    chains = {p: made(predicts=p)[0].prior.diffusion for p in ("velocity", "noise", "data")}
    raw = chains["velocity"].velocity(z, gamma)
    alpha, sigma = torch.sigmoid(-gamma).sqrt()[:, None], torch.sigmoid(gamma).sqrt()[:, None]
    torch.testing.assert_close(chains["noise"].noise_at(z, gamma), sigma * z + raw)
    torch.testing.assert_close(chains["data"].data_at(z, gamma), alpha * z + raw)
    for chain in chains.values():
        torch.testing.assert_close(alpha * chain.data_at(z, gamma) + sigma * chain.noise_at(z, gamma), z)


def test_a_new_walk_is_made_at_other_points():
    model, guide = made()
    q = guide(Batch(torch.zeros(5, D)))
    assert isinstance(q, DiffusedDistribution)
    z = q.rsample((2,))
    assert q.walk_at(z) is q.walk_at(z)
    assert q.walk_at(z + 0.1) is not q.walk_at(z)
    assert q.is_of(model.prior)
    assert not q.is_of(made()[0].prior)


def test_samples_have_the_shape_and_the_seed():
    model, _ = made(levels=3)
    first, again = (model.sample(6, stream(3, "samples")) for _ in range(2))
    assert first.shape == (6, D)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert model.prior().sample((4,)).shape == (4, D)


def test_going_down_from_a_middle_level_keeps_what_was_there():
    """From almost no noise the way down changes almost nothing."""
    chain = made()[0].prior.diffusion
    z = torch.randn(50, D)
    near = chain.descend(z, 10, start=0.01, noise=0.0)
    far = chain.descend(z, 10, start=1.0, noise=0.0)
    assert float((near - z).norm()) < 0.1 * float((far - z).norm())


def test_model_and_guide_share_the_chain_in_a_specification():
    model, guide = build(spec_of(*made(7, LearnedSchedule(-6, 4))))
    assert guide.diffusion is model.prior.diffusion
    assert guide.diffusion.levels == 7
    assert "7 levels" in model.prior.phrase
    assert guide.phrase == "noise added to x"


def test_what_a_chain_cannot_do_is_refused_with_the_remedy():
    model, _ = made()
    with pytest.raises(CompositionError, match="no closed form"):
        model.prior.log_prob(torch.zeros(2, D))
    with pytest.raises(CompositionError, match="no flat parameters"):
        model.prior.params()
    with pytest.raises(CompositionError, match="does not depend on the schedule"):
        Diffusion(D, MLP(D + 5, D), LearnedSchedule())
    assert not model.prior.has_density


def test_features_of_time_are_sines_of_doubling_frequencies():
    u = torch.tensor([0.0, 0.5, 1.0])
    features = time_features(u, 2)
    torch.testing.assert_close(features[:, 0], u)
    torch.testing.assert_close(features[1], torch.tensor([0.5, 1.0, 0.0, 0.0, -1.0]), atol=1e-6, rtol=0)
