"""The dry run: parts that do not fit are refused before the loop, and nothing is changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.errors import CompositionError, NotReparameterizable
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Bernoulli, Categorical, Gaussian, Laplace, LogNormal
from jensen.guides import Amortized, Exact, Shared
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Distortion, Elbo
from jensen.training import Budget, Player, Trainer
from jensen.training.dry_run import dry_run

X = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def gaussian(latent: int = 2, features: int = 3) -> LatentVariableModel:
    return LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, features))


def amortized(family, features: int = 3) -> Amortized:
    return Amortized(Given(MLP(features, family.size, (4,)), family))


FINITE = LatentVariableModel(Unconditional(Categorical(4)), Table(Gaussian(3), 4))
MISFITS = {
    "latent sizes": (gaussian(2), amortized(Gaussian(4)), Elbo(), "over 2 latent features, and the guide over 4"),
    "data sizes": (gaussian(2), amortized(Gaussian(2), 5), Elbo(), "cannot be evaluated on data of 3 features"),
    "likelihood sizes": (gaussian(2, 5), Shared(Unconditional(Gaussian(2))), Elbo(), "the likelihood is over 5"),
    "net sizes": (
        LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(7, 3), Bernoulli(3))),
        amortized(Gaussian(2)),
        Elbo(),
        "cannot be evaluated with this model and guide",
    ),
    "kinds": (FINITE, amortized(Gaussian(4)), Elbo(), "the guide is continuous and the prior discrete"),
    "supports": (
        LatentVariableModel(Unconditional(LogNormal(2)), Linear(2, 3)),
        amortized(Gaussian(2)),
        Elbo(),
        "where the prior has no mass",
    ),
    "another's posterior": (gaussian(), Exact(gaussian()), Elbo(), "another model"),
    "gradients": (FINITE, amortized(Categorical(4)), Elbo(), "has no pathwise gradient"),
    "one number for all": (
        gaussian(),
        amortized(Gaussian(2)),
        CustomObjective(lambda d: d.rate.mean(), "mean"),
        r"mean must be one number per datum, \[3\], got \[\]",
    ),
}


def fit(model, guide, objective, seed: int = 0, listeners=()):
    own = dict.fromkeys([*model.parameters(), *guide.parameters()])
    player = Player(objective, [p for p in own if p.requires_grad], Pathwise(1))
    return Trainer(seed, listeners=listeners).fit(model, guide, [player], Rows(X), Budget(2, 2))


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused_before_the_loop(name):
    model, guide, objective, words = MISFITS[name]
    events: list = []
    with pytest.raises(CompositionError, match=words) as refusal:
        fit(model, guide, objective, listeners=[events.append])
    assert refusal.value.remedy
    assert events == []


def test_an_error_of_a_part_keeps_its_type():
    model, guide, objective, _ = MISFITS["gradients"]
    with pytest.raises(NotReparameterizable, match="Enumerate"):
        fit(model, guide, objective)


def test_a_guide_within_the_prior_is_none_of_them():
    wide = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3))
    for trained in (fit(wide, amortized(Laplace(2)), Elbo()), fit(gaussian(), amortized(Gaussian(2)), -Distortion())):
        assert trained.stopped is not None


def test_nothing_is_changed():
    """Neither buffers that training keeps, nor modes, nor anybody's random numbers, nor gradients."""
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Gaussian(3, "optimal")))
    guide = amortized(Gaussian(2))
    module = nn.ModuleDict({"model": model, "guide": guide})
    before = {k: v.clone() for k, v in module.state_dict().items()}
    modes, state = [m.training for m in module.modules()], torch.get_rng_state()
    own = list(dict.fromkeys(p for p in module.parameters() if p.requires_grad))
    dry_run(model, guide, [Player(Elbo(), own)], Rows(X))
    assert len(list(module.buffers())) == 2
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert [m.training for m in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in own)
