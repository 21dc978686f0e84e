"""Likelihood regret against its closed form on probabilistic PCA, and the guides that have none."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import CompositionError
from jensen.evaluate.regret import likelihood_regret
from jensen.families import Categorical, Gaussian
from jensen.guides import Amortized, Masked, Shared
from jensen.guides import Exact as ExactGuide
from jensen.guides.refined import Refined
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel
from tests.evaluate.instance import instance
from tests.evaluate.test_gaps import SMALL, noise_of


@pytest.fixture(scope="module")
def given():
    return instance(**SMALL)


@pytest.fixture(scope="module")
def regret(given):
    return likelihood_regret(given.model, given.guide, given.rows, steps=200)


def test_it_is_the_guides_gap_to_the_best_of_its_family(given, regret):
    """The closed form is the gap less the family's, the same for every row; noise is that of the guide's ELBO."""
    error = 4 * noise_of(given, given.guide)
    assert float(regret.mean()) == pytest.approx(given.lost - given.family, abs=0.02 + error)


def test_that_of_a_row_does_not_depend_on_other_rows(given, regret):
    alone = likelihood_regret(given.model, given.guide, given.rows.subset(torch.tensor([5])), steps=200)
    assert float(alone[0]) == pytest.approx(float(regret[5]), abs=1e-9)


def test_a_guide_that_takes_steps_is_judged_by_its_network(given, regret):
    refined = Refined(given.model, given.guide, steps=3)
    again = likelihood_regret(given.model, refined, given.rows, steps=200)
    assert torch.equal(again, regret)


def test_a_guide_that_sees_the_mask_has_it_too():
    model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
    guide = Masked(Given.mlp(10, (8,), Gaussian(2)))
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, False, True, True]]).expand(4, 5)
    seen = []
    regret = likelihood_regret(model, guide, Rows(x, mask=mask, fill=torch.zeros(5)), steps=30, watch=seen.append)
    assert regret.shape == (4,)
    assert (regret > 0).all()
    assert seen == [1.0]


def test_guides_without_a_network_for_a_gaussian_are_refused(given):
    with pytest.raises(CompositionError, match="regret is 0 for every row"):
        likelihood_regret(given.model, ExactGuide(given.model), given.rows)
    with pytest.raises(CompositionError, match="proposes a Gaussian for each datum"):
        likelihood_regret(given.model, Shared(Unconditional(Gaussian(4))), given.rows)
    discrete = LatentVariableModel(Unconditional(Categorical(3)), Table(Gaussian(5), 3))
    with pytest.raises(CompositionError, match="proposes a Gaussian for each datum"):
        likelihood_regret(discrete, Amortized.mlp(5, (4,), Categorical(3)), Rows(torch.zeros(2, 5)))
