"""Entries hidden from the guide in training: the bound stays one, and nothing is hidden elsewhere."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.estimators import DoublyReparameterized, Hiding, Pathwise
from jensen.estimators.hiding import hidden_mask
from jensen.families import Gaussian
from jensen.guides import Amortized, Exact, Masked
from jensen.models.conditionals import Given
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted
from tests.identities.models import close, linear_model


@pytest.fixture(scope="module")
def pair():
    model = linear_model(1, 4, name="hidden")
    with drawing_from(stream(0, "guide")):
        guide = Masked(Given(MLP(8, 2, (6,)), Gaussian(1))).double()
    return model, guide, Batch(model.sample(400, stream(0, "rows")))


def test_masks_hide_what_was_asked_for():
    mask = torch.ones(20_000, 10, dtype=torch.bool)
    mask[:, 0] = False
    hidden = hidden_mask(mask, 0.5, 0.8, stream(0, "mask"))
    assert not hidden[:, 0].any()
    share = 1 - hidden[:, 1:].double().mean(-1)
    touched = (share > 0).double().mean()
    assert 0.42 < touched < 0.5  # rows of a small rate may have none
    assert float(share.mean()) == pytest.approx(0.5 * 0.4, abs=0.01)
    assert float(share.max()) > 0.8


@pytest.mark.parametrize("rows", [0.0, 1.0])
def test_no_share_hides_nothing(rows):
    mask = torch.ones(50, 4, dtype=torch.bool)
    assert hidden_mask(mask, rows, 0.0 if rows else 1.0, stream(0, "mask")).all()


def test_the_bound_is_below_log_px_and_that_of_all_entries(pair):
    model, guide, batch = pair
    evidence = float((Pathwise().draw(model, Exact(model), batch, stream(0, "z")).log_weight[0]).mean().detach())
    draw = Hiding(Pathwise(1), 1.0, 1.0).draw(model, guide, batch, stream(0, "hide"))
    assert float(Elbo()(draw).mean().detach()) < evidence
    log_lik = model.likelihood.log_prob(batch.x, draw.z)  # all entries are scored
    close(draw.log_lik.detach(), log_lik.detach())


def test_nothing_is_hidden_without_gradients(pair):
    model, guide, batch = pair
    with torch.no_grad():
        hiding = Hiding(Pathwise(3), 1.0, 1.0).draw(model, guide, batch, stream(0, "z"))
        plain = Pathwise(3).draw(model, guide, batch, stream(0, "z"))
    close(hiding.log_weight, plain.log_weight)


def test_the_guide_sees_nothing_of_what_is_hidden(pair):
    model, guide, batch = pair
    other = Batch(batch.x + 100.0)
    means = [Hiding(Pathwise(1), 1.0, 1.0).draw(model, guide, b, stream(3, "hide")) for b in (batch, other)]
    mask = hidden_mask(torch.ones_like(batch.x, dtype=torch.bool), 1.0, 1.0, stream(3, "hide"))
    same = ~mask.any(-1)  # of which all is hidden
    assert same.any()
    close(means[0].guide.mean[same].detach(), means[1].guide.mean[same].detach())
    assert not torch.allclose(means[0].guide.mean[~same], means[1].guide.mean[~same])


def test_gradients_without_the_score_see_the_same_mask(pair):
    model, guide, batch = pair
    estimator = Hiding(DoublyReparameterized(4), 1.0, 0.9)
    draw = estimator.draw(model, guide, batch, stream(0, "hide"))
    close(draw.frozen(draw.z).detach(), draw.log_guide.sum(-1).detach())
    value = estimator.surrogate(ImportanceWeighted(), draw)
    close(value.detach(), ImportanceWeighted()(draw).detach())


def test_it_is_recorded_and_rebuilt():
    estimator = Hiding(DoublyReparameterized(4), 0.3, 0.7)
    assert build(spec_of(estimator)) == [estimator]
    with pytest.raises(UsageError, match="share must be from 0 to 1"):
        Hiding(Pathwise(), 0.5, 1.5)


def test_a_guide_that_does_not_see_the_mask_is_refused(pair):
    model, _, batch = pair
    blind = Amortized(Given(MLP(4, 2, ()), Gaussian(1))).double()
    with pytest.raises(CompositionError, match="does not see the mask"):
        Hiding(Pathwise()).draw(model, blind, batch)
