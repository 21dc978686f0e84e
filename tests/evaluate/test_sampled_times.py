"""The bound by sampled times: its mean and its error, and what is refused of a chain; a run of one from parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import jensen
from jensen.core.batch import Rows
from jensen.core.errors import CompositionError, NotNormalised, NotReparameterizable, UsageError
from jensen.evaluate import Annealed, Kind, SampledTimes, choose
from jensen.evaluate.quadrature import integrable
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Linear
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule
from jensen.models.probability_flow import ProbabilityFlow
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted
from jensen.training import Player
from jensen.training.players import check_players

START, END, D = -6.0, 4.0, 2


def standard():
    """A chain of zeros, which is the standard normal, with the likelihood that is exact for it."""
    net = nn.Linear(D + 13, D)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(D, net, LinearSchedule(START, END)).double()
    likelihood = Linear(D, D).double()
    alpha2, sigma2 = 1 / (1 + math.exp(START)), 1 / (1 + math.exp(-START))
    likelihood.assign(alpha2**0.5 * torch.eye(D), torch.zeros(D), torch.tensor([sigma2]))
    return LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain)


def test_the_bound_of_the_standard_normal_is_log_p():
    """The chain is exact, so that nothing is lost: 4 stated standard errors, which their spread over seeds confirms."""
    model, guide = standard()
    x = torch.tensor([[0.5, -1.0], [2.0, 0.0], [0.0, 0.3]], dtype=torch.float64)
    exact = torch.distributions.Normal(0, 1).log_prob(x).sum(-1)
    estimates = [SampledTimes(512)(model, guide, Rows(x), seed) for seed in range(12)]
    assert {e.kind for e in estimates} == {Kind.STOCHASTIC_LOWER}
    assert all(abs(e.mean - float(exact.mean())) < 4 * e.stderr_mc for e in estimates)
    spread = float(np.std([e.mean for e in estimates], ddof=1))
    stated = float(np.mean([e.stderr_mc for e in estimates]))
    assert 0.5 < spread / stated < 1.7  # twelve spreads are within 40 % of the truth in 95 of 100 cases
    torch.testing.assert_close(estimates[0].elbo, estimates[0].nats)


def test_the_seed_decides():
    model, guide = standard()
    rows = Rows(torch.zeros(3, D, dtype=torch.float64))
    first, again, other = (SampledTimes(16)(model, guide, rows, seed).nats for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("n", [0, 1])
def test_times_that_have_no_spread_are_refused(n):
    with pytest.raises(UsageError, match="times per datum"):
        SampledTimes(n)


def test_the_choice_and_what_is_refused():
    model, guide = standard()
    assert choose(model, guide) == SampledTimes()
    assert choose(model, guide, k=16) == SampledTimes(16)
    for method in ("importance", "exact"):
        with pytest.raises(CompositionError, match="no importance weights"):
            choose(model, guide, method)
    with pytest.raises(NotNormalised, match="no closed form"):
        choose(model, guide, "annealed")
    with pytest.raises(NotNormalised, match="no closed form"):
        Annealed().check(model, guide)
    assert not integrable(model)
    player = Player(ImportanceWeighted(), [model])
    with pytest.raises(CompositionError, match="needs importance weights"):
        check_players(model, guide, [player])


def test_a_run_of_a_diffusion_from_parts(tmp_path):
    """Train, evaluate, load, sample and encode: the chain learns that the second feature follows the first."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)) @ [[1.0, 1.0]] + 0.3 * rng.normal(size=(400, 2))
    x = (x / x.std(0)).astype(np.float32)
    chain = Diffusion(D, MLP(D + 13, D, (64,)), LinearSchedule(START, END))
    likelihood, variance = jensen.Linear(D, D), 1 / (1 + math.exp(-START))
    likelihood.assign((1 - variance) ** 0.5 * torch.eye(D), torch.zeros(D), torch.tensor([variance]))
    model = jensen.LatentVariableModel(DiffusionPrior(chain), likelihood)
    run = jensen.train(
        x, model=model, guide=Diffused(chain), objective=jensen.Elbo(), epochs=15, lr=1e-2, out=tmp_path / "r"
    )
    evaluation = run.evaluate(budget=0)
    assert evaluation.estimate.kind is Kind.STOCHASTIC_LOWER
    independent = float(-0.5 * (x**2).sum(-1).mean() - D * 0.919)
    assert evaluation.estimate.mean > independent + 0.15
    again = jensen.load(tmp_path / "r", data=x)
    assert again.evaluate(budget=0).estimate.mean == evaluation.estimate.mean
    samples = again.sample(500, seed=1)
    assert np.corrcoef(np.asarray(samples).T)[0, 1] > 0.6
    assert again.encode(x[:3]).shape[-1] == D


def test_the_error_holds_where_rows_are_sorted():
    """Rows that cost much, and then others: errors of rows that share times would add up. 40 spreads: within 25 %."""
    model, guide = standard()
    x = torch.cat([torch.full((20, D), 6.0), torch.zeros(180, D)]).double()
    estimates = [SampledTimes(8)(model, guide, Rows(x), seed) for seed in range(40)]
    spread = float(np.std([e.mean for e in estimates], ddof=1))
    assert spread < 1.3 * float(np.mean([e.stderr_mc for e in estimates]))


def test_a_density_that_is_estimated_makes_no_importance_weights_and_has_no_gradient():
    chain = Diffusion(40, nn.Linear(53, 40), LinearSchedule(START, END))
    model = LatentVariableModel(ProbabilityFlow(chain), Linear(40, 3))
    guide = Amortized.mlp(3, (4,), Gaussian(40))
    assert choose(model, guide) == SampledTimes()
    with pytest.raises(CompositionError, match="no importance weights"):
        choose(model, guide, "importance")
    with pytest.raises(NotReparameterizable, match="needs gradients"):
        choose(model, guide, "annealed")
    with pytest.raises(CompositionError, match="no gradients"):
        check_players(model, guide, [Player(Elbo(), [guide])])
    small = LatentVariableModel(
        ProbabilityFlow(Diffusion(3, nn.Linear(16, 3), LinearSchedule(START, END))), Linear(3, 3)
    )
    assert not small.prior.samples_density
    assert choose(small, Amortized.mlp(3, (4,), Gaussian(3)), "importance").k == 5000


def test_the_bound_of_so_many_levels_is_that_of_such_a_chain():
    """The same numbers as of chains that were made with these levels; the chain itself stays as it is."""
    model, guide = standard()
    x = torch.tensor([[0.5, -1.0], [2.0, 0.0], [0.0, 0.3]], dtype=torch.float64)
    estimate = SampledTimes(32, (1, 4, 64))(model, guide, Rows(x), seed=3)
    assert model.prior.diffusion.levels is None
    assert torch.equal(estimate.nats, SampledTimes(32)(model, guide, Rows(x), seed=3).nats)
    assert [row[0] for row in estimate.by_levels] == [1, 4, 64]
    for levels, mean, stderr, stderr_mc in estimate.by_levels:
        other, of_other = standard()
        other.prior.diffusion.levels = levels
        bound = SampledTimes(32)(other, of_other, Rows(x), seed=3)
        assert (mean, stderr, stderr_mc) == (bound.mean, bound.stderr, bound.stderr_mc)
    means = [mean for _, mean, _, _ in estimate.by_levels]
    assert means == sorted(means)
    assert means[0] < float(torch.distributions.Normal(0, 1).log_prob(x).sum(-1).mean()) - 1
    shifted = estimate.shifted(1.5)
    assert [row[1] for row in shifted.by_levels] == [mean + 1.5 for mean in means]
    assert estimate.to_dict()["by_levels"][1] == {
        "levels": 4,
        "log_px": means[1],
        "stderr": estimate.by_levels[1][2],
        "stderr_mc": estimate.by_levels[1][3],
    }


@pytest.mark.parametrize("levels", [0, 10**6])
def test_senseless_levels_are_refused(levels):
    with pytest.raises(UsageError, match="--levels"):
        SampledTimes(8, (4, levels))
