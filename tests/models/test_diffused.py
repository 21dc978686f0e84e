"""Prior and guide of a diffusion: labels, how samples are drawn, and the error beside the rate."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical
from jensen.models.conditionals import Linear, Unconditional
from jensen.models.diffused import Diffused, DiffusionPrior, NoisedWalk
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule
from jensen.nets import MLP
from jensen.objectives import Distortion, Elbo, NoiseError

D, C = 3, 2


def made(drop=0.0, labels=C, **how):
    torch.manual_seed(0)
    chain = Diffusion(D, MLP(D + 5 + labels, D, (16,)), LinearSchedule(-6, 4), frequencies=2, context=labels, drop=drop)
    labelled = Unconditional(Categorical(C)) if labels else None
    return LatentVariableModel(DiffusionPrior(chain, **how), Linear(D, D), labelled), Diffused(chain)


def batch(n=6):
    noise = torch.Generator().manual_seed(0)
    labels = torch.nn.functional.one_hot(torch.arange(n) % C, C).float()
    return Batch(torch.randn(n, D, generator=noise), context=labels)


def test_the_error_is_the_rate_without_its_weights():
    """With a schedule of constant slope the rate of the levels is the slope times the error, but for a part of mean
    zero; by the same seed both are of the same times and noise. The difference is within 4 standard errors of 0."""
    model, guide = made(labels=0)
    x = batch().x
    walk = Pathwise(4000).draw(model, guide, Batch(x), stream(1, "noise")).walk
    assert isinstance(walk, NoisedWalk)
    top = model.prior.diffusion.top_rate(x)
    apart = (walk.rate[..., 0] - top - 10.0 * walk.error).detach().double()
    each = apart.mean(1)  # times are spread evenly over a batch, so that draws are not independent: by draw
    assert abs(float(each.mean())) < 4 * float(each.std()) / len(each) ** 0.5


def test_the_objective_of_ddpm_reads_the_error():
    model, guide = made(labels=0)
    draw = Pathwise(2).draw(model, guide, Batch(batch().x), stream(1, "noise"))
    torch.testing.assert_close(NoiseError()(draw), draw.walk.error.mean(0))
    objective = -Distortion() - NoiseError()
    assert str(objective) == "-Distortion - NoiseError"
    assert NoiseError().shares == (None, 0.0)


def test_labels_change_the_bound_and_the_samples():
    model, guide = made()
    one, flipped = batch(), batch()
    flipped = Batch(one.x, context=one.context.flip(-1))
    first, other = (Elbo()(Pathwise(1).draw(model, guide, b, stream(1, "noise"))) for b in (one, flipped))
    assert not torch.equal(first, other)
    samples = [model.sample(6, stream(3, "s"), context=b.context) for b in (one, flipped)]
    assert samples[0].shape == (6, D)
    assert not torch.equal(*samples)


def test_without_its_labels_a_chain_refuses():
    _, guide = made()
    with pytest.raises(CompositionError, match="needs a context"):
        guide(Batch(batch().x))


def test_all_labels_left_out_train_as_none_would():
    """With a share of 1, training sees zeros for every label; evaluation sees the labels."""
    model, guide = made(drop=1.0)
    rows = batch()
    blank = Batch(rows.x, context=torch.zeros_like(rows.context))

    def bound(b):
        return Elbo()(Pathwise(1).draw(model, guide, b, stream(1, "noise")))

    torch.testing.assert_close(bound(rows), bound(blank), rtol=0, atol=0)
    model.eval()
    assert not torch.equal(bound(rows), bound(blank))


def test_guidance_multiplies_what_a_label_adds():
    chain = made()[0].prior.diffusion
    z, gamma, label = torch.randn(4, D), torch.full((4,), -1.0), torch.tensor([1.0, 0.0])
    without, with_it = chain.velocity(z, gamma), chain.velocity(z, gamma, label)
    torch.testing.assert_close(chain.velocity(z, gamma, label, 0.0), without)
    torch.testing.assert_close(chain.velocity(z, gamma, label, 1.0), with_it)
    torch.testing.assert_close(chain.velocity(z, gamma, label, 3.0), without + 3 * (with_it - without))


def test_steps_are_of_samples_and_not_of_the_bound():
    torch.manual_seed(0)
    (many, guide), (few, _) = made(), made(steps=2)
    few = LatentVariableModel(DiffusionPrior(guide.diffusion, steps=2), many.likelihood, many.context)
    rows = batch()
    bounds = [Elbo()(Pathwise(1).draw(m, guide, rows, stream(1, "noise"))) for m in (many, few)]
    torch.testing.assert_close(*bounds, rtol=0, atol=0)
    assert not torch.equal(many.sample(4, stream(1, "s")), few.sample(4, stream(1, "s")))


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(UsageError, match="share of rows"):
        made(drop=1.5)
    with pytest.raises(UsageError, match="share of rows"):
        made(drop=0.1, labels=0)
    with pytest.raises(UsageError, match="product of 3"):
        Diffusion(3, MLP(16, 3), LinearSchedule(), axes=(2, 2))
    with pytest.raises(UsageError):
        made(steps=0)
