"""One q per datum: the table in training, fits everywhere else, and what a training by tables comes to."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from jensen.analysis.gradients import compare_gradients
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.evaluate.gaps import elbo_per_datum, lower_bounds
from jensen.families import FullGaussian, Gaussian
from jensen.guides import Exact
from jensen.guides.refined import PerDatum, Refined, Schedule, fitted_params, with_more_steps
from jensen.models.conditionals import Given
from jensen.models.model import LatentVariableModel
from jensen.objectives import Distortion, Rate
from jensen.training import Budget, Optimizer, Player, Trainer
from tests.evaluate.instance import instance
from tests.identities.models import amortized, close, curved_model, linear_model, rows, simulated

SMALL = {"n": 10, "dim": 20, "latent": 3, "common": 1.0, "off": 0.8, "wide": 0.5}


def table(model: LatentVariableModel, n: int = 8, **more) -> PerDatum:
    """A table of random rows."""
    guide = PerDatum(model, Gaussian(model.latent), n, **more).double()
    with drawing_from(stream(0, "table")), torch.no_grad():
        guide.table.copy_(torch.randn_like(guide.table))
    return guide


def test_training_rows_are_looked_up():
    """By index, with a gradient for the rows of the batch alone."""
    model = linear_model(2)
    guide, x = table(model), simulated(model, 8).x
    index = torch.tensor([5, 2, 2])
    q = guide(Rows(x).take(index))
    loc, scale = Gaussian(2).loc_scale(guide.table[index])
    close(q.base_dist.loc, loc)
    close(q.base_dist.scale, scale)
    q.base_dist.loc.sum().backward()
    assert guide.table.grad is not None
    assert guide.table.grad[:, 0].tolist() == [0, 0, 2, 0, 0, 1, 0, 0]


def test_rows_of_another_data_set_are_refused_in_training():
    model = linear_model(2)
    guide, other = table(model), Rows(simulated(model, 7).x)
    with pytest.raises(CompositionError, match=r"8 rows.*7.*eval\(\)"):
        guide(other.take(torch.tensor([0])))
    assert guide.eval()(other.take(torch.tensor([0]))).batch_shape == (1,)
    with pytest.raises(CompositionError, match=r"eval\(\)"):
        guide.train()(Batch(other.stored, index=torch.arange(7)))


def test_a_fit_finds_the_best_diagonal_gaussian():
    """On probabilistic PCA it is known in closed form: means and scales within a tenth, from the table's mean."""
    given = instance(**SMALL)
    batch, W = Batch(given.rows.stored), given.model.likelihood.W
    guide = PerDatum(given.model, Gaussian(3), 10, steps=300, lr=0.1).double().eval()
    q = guide(batch).base_dist
    best = (torch.eye(3).double() + W.mT @ W / given.model.likelihood.noise_variance).diagonal().rsqrt()
    exact = Exact(given.model)(batch).mean
    assert float(((q.loc - exact) / best).abs().max()) < 0.1
    assert float((q.scale / best).log().abs().max()) < 0.1


def test_a_fit_is_of_its_datum_and_seed_alone():
    """Not of neighbours, order, index or earlier fits; the global random state is neither read nor moved."""
    model = curved_model()
    guide, batch = table(model, steps=6).eval(), simulated(model, 5)
    before = torch.get_rng_state()
    first = guide(batch).base_dist.loc
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(guide(Batch(batch.x, index=torch.arange(5), n_data=8)).base_dist.loc, first)
    close(guide(Batch(batch.x[[3, 1]])).base_dist.loc, first[[3, 1]])
    other = PerDatum(model, Gaussian(1), 8, steps=6, seed=1).double().eval()
    other.load_state_dict(guide.state_dict())
    assert not torch.equal(other(batch).base_dist.loc, first)
    assert not first.requires_grad
    assert all(p.grad is None for p in guide.parameters())


def test_a_fit_starts_from_the_mean_of_the_table():
    model = curved_model()
    guide, batch = table(model, steps=1, lr=1e-9).eval(), simulated(model, 3)
    loc, scale = Gaussian(1).loc_scale(guide.table.mean(0))
    close(guide(batch).base_dist.loc, loc.expand(3, 1), 1e-6)
    close(guide(batch).base_dist.scale, scale.expand(3, 1), 1e-6)


def test_a_fit_leaves_a_model_in_training_as_it_is():
    """Running averages and the dropping of units are not a fit's business; modes are put back."""
    with drawing_from(stream(0, "net")):
        net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    model = LatentVariableModel(curved_model().prior, Given(_Flat(net), Gaussian(3, "optimal"))).double().train()
    before = copy.deepcopy(model.state_dict())
    start = torch.zeros(4, 2).double()
    batch = Batch(torch.randn(4, 3, dtype=torch.float64, generator=stream(0, "x")))
    params = [fitted_params(model, Gaussian(1), start, batch, stream(0, "fit"), Schedule(3)) for _ in range(2)]
    assert torch.equal(*params)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert all(m.training for m in model.modules())


class _Flat(nn.Module):
    """A net of [N, ...] given [K, B, ...]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.net(z.flatten(0, -2)).unflatten(0, z.shape[:-1])


def players(guide: PerDatum, optimizer: Optimizer) -> list[Player]:
    return [Player(-Distortion() - Rate(), [guide.table], optimizer=optimizer)]


@pytest.mark.parametrize("name", ["Adagrad", "SGD", "RMSprop"])
def test_rows_outside_the_batch_stay(name):
    """To the bit, over 3 steps in which only rows 0 to 3 are looked at, after one for all."""
    before, after = taken(Optimizer(name, 0.1))
    assert torch.equal(after[4:], before[4:])
    assert not (after[:4, :2] == before[:4, :2]).any()


def taken(optimizer: Optimizer) -> tuple[torch.Tensor, torch.Tensor]:
    """The table after one step for all 8 rows, and after three more for the first four."""
    model = linear_model(2)
    guide, data = table(model), Rows(simulated(model, 8).x)
    climb, tables = optimizer([guide.table]), []
    for rows_of_step in (8, 4, 4, 4):
        climb.zero_grad()
        (guide(data.take(torch.arange(rows_of_step))).mean ** 2).sum().backward()
        climb.step()
        tables.append(guide.table.detach().clone())
    return tables[0], tables[-1]


def test_adam_would_move_them():
    """The recipe takes Adagrad, since momentum of an earlier step moves rows that are not in the batch."""
    before, after = taken(Optimizer("Adam", 0.1))
    assert not (after[4:, :2] == before[4:, :2]).any()


def test_a_trained_table_is_the_best_member_of_each_datum():
    """On probabilistic PCA at fixed parameters: the ELBO of the table ends within 0.05 nats of the family's best."""
    given = instance(**SMALL)
    guide = PerDatum(given.model, Gaussian(3), 10).double()
    trainer = Trainer(seed=0)
    trainer.fit(given.model, guide, players(guide, Optimizer("Adagrad", 0.5)), given.rows, Budget(120, 10))
    own = guide.table.detach()
    with torch.no_grad():
        q = Gaussian(3)(own)
        W, noise = given.model.likelihood.W, given.model.likelihood.noise_variance
        precision = torch.eye(3).double() + W.mT @ W / noise
        off = q.mean - Exact(given.model)(Batch(given.rows.stored)).mean
        spread = (q.variance * precision.diagonal()).sum(-1) + torch.einsum("bi,ij,bj->b", off, precision, off)
        lost = 0.5 * (spread - 3 - torch.logdet(precision)) - q.stddev.log().sum(-1)
    assert abs(float(lost.mean()) - given.family) < 0.05


def test_validation_takes_a_cheaper_guide():
    """A fifth of the steps, with the same table; an amortised guide follows itself, a refined one its proposal."""
    model = curved_model()
    guide = table(model, steps=50).eval()
    quick = guide.followed
    assert isinstance(quick, PerDatum)
    assert quick.schedule == Schedule(10, 0.3, 4)
    assert guide.schedule == Schedule(100 // 2, 0.3, 4)
    assert quick.table is guide.table
    proposal = amortized(3, Gaussian(1))
    assert Refined(model, proposal).followed is proposal
    assert proposal.followed is proposal
    asked = []
    guide.train()
    guide.register_forward_hook(lambda module, given, q: asked.append(module.schedule.steps))
    data = Rows(simulated(model, 8).x)
    Trainer().fit(
        model, guide, players(guide, Optimizer("Adagrad", 0.1)), data, Budget(1, 8), rows(simulated(model, 3))
    )
    assert asked[-1] == 10
    assert set(asked[:-1]) == {50}


def test_refined_is_amortised_in_training():
    """In training mode the proposal, with its gradients; in evaluation mode better by its steps."""
    model, proposal = curved_model(), amortized(3, Gaussian(1))
    guide, data = Refined(model, proposal, steps=40, lr=0.1), rows(simulated(model, 12))
    batch = Batch(data.stored)
    assert torch.equal(guide(batch).mean, proposal(batch).mean)
    assert guide(batch).mean.requires_grad
    guide.eval()
    assert not guide(batch).mean.requires_grad
    assert float((elbo_per_datum(model, guide, data) - elbo_per_datum(model, proposal, data)).mean()) > 0.1


def test_the_gaps_of_a_guide_that_takes_steps():
    """Split by more of its own steps, and told as steps: from either start 200 find the same, within 0.05 nats."""
    given = instance(**(SMALL | {"n": 3}))
    few = Refined(given.model, given.guide, steps=3, lr=0.03).eval()
    alone = PerDatum(given.model, Gaussian(3), 4, steps=3, lr=0.1).double().eval()
    estimates = [lower_bounds(given.model, guide, given.rows, steps=200) for guide in (few, alone)]
    for bounds in estimates:
        assert bounds.proposal == "steps"
        assert bounds.refined is not None
        assert float((bounds.refined - bounds.amortised).mean()) > 0.1
    assert abs(float((estimates[0].refined - estimates[1].refined).mean())) < 0.05
    assert with_more_steps(given.model, alone, 200).schedule.steps == 200
    assert alone.schedule.steps == 3


def test_gradients_of_steps_are_not_compared():
    model = curved_model()
    guide, batch = table(model, steps=5).eval(), simulated(model, 4)
    with pytest.raises(CompositionError, match="no gradient passes"):
        compare_gradients(model, guide, batch)
    refined = Refined(model, amortized(3, Gaussian(1)), steps=5).eval()
    gradients = compare_gradients(model, refined, batch, repeats=32)
    assert gradients.measured[0].guide is not None  # those of the proposal, which is what is trained


def test_it_can_be_written_down_and_rebuilt():
    model = curved_model()
    guide = table(model, steps=5, lr=0.2, points=2, seed=3)
    again, rebuilt = build(spec_of(model, guide))
    assert rebuilt.model is again
    again.double().load_state_dict(model.state_dict())
    rebuilt.double().load_state_dict(guide.state_dict())
    batch = simulated(model, 3)
    assert torch.equal(rebuilt.eval()(batch).mean, guide.eval()(batch).mean)
    assert rebuilt.schedule == Schedule(5, 0.2, 2)
    assert "for each datum" in guide.phrase
    assert guide.takes_steps
    assert not amortized(3, Gaussian(1)).takes_steps


def test_what_has_no_table_is_refused():
    model = curved_model()
    for family in (FullGaussian(1), Gaussian(1, "shared"), Gaussian(2)):
        with pytest.raises(CompositionError, match=r"Use Gaussian\(1\)"):
            PerDatum(model, family, 4)
    with pytest.raises(UsageError, match=r"^rows must be a whole number of at least 1, got 0"):
        PerDatum(model, Gaussian(1), 0)
    for numbers in ({"steps": 0}, {"points": 0}, {"lr": 0.0}, {"lr": float("nan")}):
        with pytest.raises(UsageError, match="Give"):
            PerDatum(model, Gaussian(1), 4, **numbers)
