"""Which evaluator a model calls for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.errors import NotNormalised, NotReparameterizable, UsageError
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import Pathwise
from jensen.evaluate import Annealed, Enumerated, Exact, Importance, Kind, Quadrature, Unnormalised, choose
from jensen.families import Categorical, Gaussian
from jensen.guides import Deterministic, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import (
    amortized,
    close,
    curved_model,
    linear_model,
    mixture_model,
    rows,
    scrambled,
    simulated,
)

with drawing_from(stream(0, "point")):
    POINT = Deterministic(nn.Linear(3, 1).double())
LINEAR, MIXTURE, CURVED = linear_model(2, 3), mixture_model(), curved_model()
NONE = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3), learn=True))
CASES = {
    "closed form": (LINEAR, ExactGuide(LINEAR), Exact()),
    "closed form, whatever the guide": (LINEAR, amortized(3, Gaussian(2)), Exact()),
    "mixture": (MIXTURE, Shared(Unconditional(Categorical(3), learn=True)), Exact()),
    "no latent": (NONE, ExactGuide(NONE), Exact()),
    "network": (CURVED, amortized(3, Gaussian(1)), Importance(77)),
    "point": (CURVED, POINT, Unnormalised()),
}


@pytest.mark.parametrize("case", CASES)
def test_the_best_that_a_model_allows_is_chosen(case):
    model, guide, expected = CASES[case]
    assert choose(model, guide, "auto", 77) == expected


def test_finite_latents_without_a_closed_form_are_enumerated():
    likelihood = scrambled(Unconditional(Gaussian(3), learn=True), "p")
    model = LatentVariableModel(Unconditional(Categorical(4)), likelihood)
    guide = Shared(Unconditional(Categorical(4), learn=True))
    assert choose(model, guide) == choose(model, guide, "exact") == Enumerated()


def test_a_method_can_be_named():
    model, guide = CURVED, amortized(3, Gaussian(1))
    assert choose(model, guide, "importance", 5) == Importance(5)
    assert choose(model, guide, "quadrature") == Quadrature()
    assert choose(model, guide, "exact") == Exact()
    assert choose(LINEAR, ExactGuide(LINEAR), "importance", 5) == Importance(5)


@pytest.mark.parametrize("method", ["auto", "exact", "quadrature", "importance"])
def test_a_bad_number_of_points_is_refused_whatever_the_method(method):
    with pytest.raises(UsageError, match="-k must be a whole number of at least 1, got 0"):
        choose(LINEAR, ExactGuide(LINEAR), method, 0)


def test_annealing_takes_its_own_settings():
    model, guide, chain = CURVED, amortized(3, Gaussian(1)), Annealed(20, 3, 4, "prior")
    assert choose(model, guide, "annealed") == Annealed()
    assert choose(model, guide, "annealed", annealing=chain) == chain
    with pytest.raises(UsageError, match="Use --chains 7"):
        choose(model, guide, "annealed", 7)


@pytest.mark.parametrize("method", ["auto", "exact", "quadrature", "importance"])
def test_settings_of_annealing_are_refused_where_nothing_anneals(method):
    with pytest.raises(UsageError, match=f"the method is {method}. Add --method annealed"):
        choose(LINEAR, ExactGuide(LINEAR), method, annealing=Annealed())


def test_a_point_is_annealed_from_the_prior_on_request_alone():
    with pytest.raises(NotNormalised, match="--start prior"):
        choose(CURVED, POINT, "annealed")
    assert choose(CURVED, POINT, "annealed", annealing=Annealed(start="prior")).start == "prior"


def test_a_finite_latent_is_not_annealed():
    with pytest.raises(NotReparameterizable, match="Use --method exact"):
        choose(MIXTURE, ExactGuide(MIXTURE), "annealed")


def test_unknown_methods_are_refused():
    with pytest.raises(UsageError, match="Choose from auto, exact, importance"):
        choose(LINEAR, ExactGuide(LINEAR), "exactly")


def test_without_a_density_only_the_distortion_is_told():
    batch = simulated(CURVED, 6)
    found = Unnormalised()(CURVED, POINT, rows(batch))
    assert (found.kind, found.nats, found.rate, found.elbo, found.mean) == (Kind.UNNORMALISED, None, None, None, None)
    draw = Pathwise(1).draw(CURVED, POINT, batch, stream(0, "evaluation"))
    close(found.distortion, draw.distortion.detach())
    assert torch.isfinite(found.distortion).all()
