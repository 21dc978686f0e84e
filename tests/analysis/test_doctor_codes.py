"""Planted illnesses of the codes: collapse, mismatch with the prior, and the weight of the rate are found and named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.analysis.doctor import examine
from jensen.core.batch import Rows
from jensen.families import Gaussian
from jensen.guides import Amortized, Exact, Shared
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from tests.analysis.patients import names, pair, sharp, standard_guide
from tests.identities.models import linear_model, mixture_model


def test_posterior_collapse():
    model = linear_model(2, 5)
    found = examine(model, standard_guide(2), *pair(model))
    assert "posterior-collapse" in names(found)
    assert found.measures["active_features"] == 0


def test_one_q_for_all_data_is_a_collapse():
    """Its rate may be large: what counts is that it says nothing about x."""
    model = linear_model(2, 5)
    family = Gaussian(2)
    conditional = Unconditional(family, learn=True).double()
    with torch.no_grad():
        conditional.value[:2] = 3.0
    found = examine(model, Shared(conditional), *pair(model))
    assert "posterior-collapse" in names(found)
    assert found.measures["rate"] > 1


def test_classes_without_meaning_are_a_collapse():
    model = mixture_model(3, 2)
    with torch.no_grad():
        model.likelihood.table[:] = model.likelihood.table[:1]
    assert "posterior-collapse" in names(examine(model, Exact(model), *pair(model)))


def test_unused_features_are_a_note():
    model = linear_model(3, 5)
    with torch.no_grad():
        model.likelihood.W[:, 2] = 0
    found = examine(model, Exact(model), *pair(model))
    assert found.healthy
    assert names(found, "note") == {"unused-features"}
    assert (found.measures["active_features"], found.measures["features"]) == (2, 3)


def test_codes_away_from_the_prior():
    model = linear_model(2, 5)
    train, test = pair(model)
    guide = Exact(model)
    moved = Rows(train.stored * 6)
    assert "prior-mismatch" not in names(examine(model, guide, train, test))
    found = examine(model, guide, moved, Rows(test.stored * 6))
    assert "prior-mismatch" in names(found)
    assert found.measures["marginal_kl_at_least"] <= found.measures["marginal_kl_at_most"]


def test_classes_away_from_the_prior():
    model = mixture_model(3, 2, spread=20.0)
    train, test = pair(model)
    with torch.no_grad():
        model.prior.value.copy_(torch.tensor([8.0, 0.0, 0.0]))
    assert "prior-mismatch" in names(examine(model, Exact(model), train, test))


@pytest.mark.parametrize(("beta", "severity"), [(0.5, "problem"), (4.0, "problem"), (1.001, "problem"), (1.0, None)])
def test_weight_of_the_rate(beta, severity):
    model = linear_model(1, 3)
    guide = standard_guide(1)
    history = [{"event": "epoch", "epoch": 1, "beta": beta}, {"event": "epoch", "epoch": 2, "beta": 1.0}]
    history += [{"event": "stopped", "kept_epoch": 1}]
    for found in (
        examine(model, guide, *pair(model, 60), beta=beta),
        examine(model, guide, *pair(model, 60), history=history),
    ):
        assert {f.severity for f in found.findings if f.name == "beta-not-one"} == ({severity} if severity else set())
        bounds = {"still a lower bound" in f.what for f in found.findings if f.name == "beta-not-one"}
        assert bounds == ({beta > 1} if severity else set())


@pytest.mark.parametrize(
    ("betas", "kept", "warming"),
    [
        ((0.2, 0.4, 0.6), 3, True),  # the training ended first
        ((0.5, 1.0, 1.0), 1, True),  # the best epoch came first
        ((0.5, 1.0, 1.0), 2, None),
        ((0.5, 0.5, 0.5), 3, False),
        ((1.0, 2.0, 2.0, 2.0), 3, False),
        ((1.0, 2.0, 2.0, 2.0), 1, None),
        ((0.5,), 1, False),
    ],
)
def test_an_unfinished_warm_up_is_told_from_a_weight_that_was_asked_for(betas, kept, warming):
    model = linear_model(1, 3)
    history = [{"event": "epoch", "epoch": i + 1, "beta": b} for i, b in enumerate(betas)]
    history += [{"event": "stopped", "kept_epoch": kept}]
    found = examine(model, standard_guide(1), *pair(model, 60), history=history)
    told = [f for f in found.problems if f.name == "beta-not-one"]
    assert len(told) == (warming is not None)
    assert all(("still changing" in f.cause) == warming for f in told)
    assert all("--keep last" in f.remedy for f in told if warming and kept < len(betas))


def test_encoder_scale_collapse():
    assert "encoder-scale-collapse" in names(examine(*sharp(0.01)))
    assert examine(*sharp(0.1)).healthy


def unevenly_sharp(sds, unused):
    """As `sharp`, with a noise for each feature, and more features that neither decoder nor encoder uses."""
    seen, latent = len(sds), len(sds) + unused
    sd, W = torch.tensor(sds, dtype=torch.float64), torch.eye(seen, latent).double()
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, seen, noise="feature")).double()
    model.likelihood.assign(W, torch.zeros(seen).double(), sd.square())
    net = nn.Linear(seen, 2 * latent).double()
    with torch.no_grad():
        net.weight.copy_(torch.cat([W.mT, torch.zeros(latent, seen)]))
        net.bias.zero_()
        net.bias[latent : latent + seen] = Gaussian(seen).raw(sd)
        net.bias[latent + seen :] = Gaussian(unused).raw(torch.ones(unused, dtype=torch.float64))
    return model, Amortized(Given(net, Gaussian(latent))), *pair(model, 300)


def test_unused_features_do_not_hide_a_collapse_of_the_others():
    """Of 16 features 12 have the prior's width, as in every VAE that has more than it needs."""
    found = examine(*unevenly_sharp([0.01] * 4, 12))
    assert "4 active features" in next(f for f in found.problems if f.name == "encoder-scale-collapse").what
    assert len(found.measures["encoder_noise"]) == 16
    told = names(examine(*unevenly_sharp([0.01] * 4 + [0.1], 11)))
    assert "encoder-scale-collapse" not in told  # one that is active has a noise that can be felt


def test_one_precise_feature_is_no_collapse():
    assert "encoder-scale-collapse" not in names(examine(*sharp(0.01, latent=1)))
