"""The Hamiltonian guide: its bounds against exact evidence, its gradients against finite differences, its refusals.

On probabilistic PCA with kicks that are not bent, the log-weight of a path is an exact quadratic of the noise that it
is made from, so that the ELBO is known without Monte Carlo: the value at no noise and half the trace of the Hessian.
"""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from jensen.analysis.latents import encode
from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, NotInvertible, UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import HamiltonianFlow
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from jensen.estimators.score import Score
from jensen.evaluate import Annealed, Importance, Quadrature
from jensen.families import Categorical, FullGaussian, Gaussian
from jensen.flows import Autoregressive
from jensen.guides import Amortized, Deterministic, Exact, Flowing, Hamiltonian
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import weigh
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted, Rate
from tests.contracts.members import ALL_FAMILIES
from tests.evaluate.instance import Instance, instance
from tests.identities.models import amortized, close, curved_model, evidence, linear_model, rows, simulated

# a guide that is off, and too wide, so that the weights have a variance
SMALL = {"n": 3, "dim": 6, "latent": 2, "common": 1.0, "off": 0.8, "wide": 1.4}


def driven(given: Instance, leaps: int, limit: float = math.inf) -> Hamiltonian:
    return Hamiltonian(given.model, given.guide, leaps, limit=limit).double()


def log_weight(guide: Hamiltonian, batch: Batch, noise: Tensor) -> Tensor:
    """log w [..., B] of the paths from this noise [T + 1, ..., B, Z]."""
    q = guide(batch)
    assert isinstance(q, HamiltonianFlow)
    assert isinstance(q.base, Independent)
    start = q.base.base_dist.loc + q.base.base_dist.scale * noise[0]
    z, log_q = q.through(start, noise[1:])
    return guide.model.log_joint(batch, z) - log_q


def exact_elbo(guide: Hamiltonian, batch: Batch) -> Tensor:
    """E[log w] [], averaged over data, of a quadratic: exact."""
    steps, latent = len(guide.raw_sizes) + 1, guide.model.latent
    one = torch.eye(steps * latent, dtype=torch.float64)
    noise = torch.cat([torch.zeros_like(one[:1]), one, -one]).reshape(-1, steps, 1, latent).movedim(1, 0)
    with torch.no_grad():
        weights = log_weight(guide, batch, noise.expand(-1, -1, len(batch), -1)).mean(-1)
    return weights[0] + 0.5 * (weights[1:] - weights[0]).sum()  # each second derivative is f(e) + f(-e) - 2 f(0)


def test_the_elbo_is_a_lower_bound_that_rises_with_more_steps():
    """Exactly, without Monte Carlo, and untrained: 1.09 nats of gap without a path, under 0.11 after 32 steps."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    gaps = [given.mean - float(exact_elbo(driven(given, leaps), batch)) for leaps in (1, 2, 4, 8, 16, 32)]
    assert all(a > b for a, b in itertools.pairwise(gaps))
    assert gaps[2] < given.lost
    assert 0 < gaps[-1] < 0.11


def test_the_weights_are_unbiased():
    """E[w] = p(x), under bent kicks and under others, and E[log w] is the exact ELBO: 20,000 paths, 4 s.e."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    for limit in (math.inf, 0.5):
        guide = driven(given, 8, limit)
        with torch.no_grad():
            log_w = Pathwise(20_000).draw(given.model, guide, batch, stream(0, "paths")).log_weight
        ratio = (log_w - given.truth).exp()
        assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / 20_000**0.5).all()
        assert (log_w.mean(0) + 4 * log_w.std(0) / 20_000**0.5 < given.truth).all()
        if math.isinf(limit):
            error = float(log_w.mean(1).std()) / 20_000**0.5
            assert abs(float(log_w.mean()) - float(exact_elbo(guide, batch))) < 4 * error


def test_a_path_that_forgets_its_momenta_would_be_seen():
    """The planted bug: without the momenta's densities the weights are biased by more than 4 standard errors."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    with torch.no_grad():
        q = driven(given, 8)(batch)
        noise = torch.randn(9, 20_000, 3, 2, dtype=torch.float64, generator=stream(0, "paths"))
        start = q.base.base_dist.loc + q.base.base_dist.scale * noise[0]
        z, _ = q.through(start, noise[1:])
        ratio = (given.model.log_joint(batch, z) - q.base.log_prob(start) - given.truth).exp()
    assert ((ratio.mean(0) - 1).abs() > 4 * ratio.std(0) / 20_000**0.5).any()


def parameters(guide: Hamiltonian) -> list[Tensor]:
    return [guide.raw_temperatures, guide.raw_sizes, guide.raw_kept]


def moved(guide: Hamiltonian, direction: list[Tensor], far: float) -> Hamiltonian:
    again = copy.deepcopy(guide)
    with torch.no_grad():
        for p, d in zip([*parameters(again), again.model.likelihood.W], direction, strict=True):
            p += far * d
    return again


def test_gradients_are_those_of_the_expected_bound():
    """Along a direction in the guide's and the model's parameters: finite differences of the exact ELBO, within 4
    standard errors of 4,000 sampled gradients; and with the same noise, the path's own derivative to 1e-6."""
    given = instance(**SMALL)
    guide, batch = driven(given, 3), Batch(given.rows.stored)
    guide.model.likelihood.W.requires_grad_(True)
    noise = torch.randn(4, 4000, 3, 2, dtype=torch.float64, generator=stream(0, "paths"))
    where = [*parameters(guide), guide.model.likelihood.W]
    with drawing_from(stream(0, "direction")):
        direction = [torch.randn_like(p) for p in where]

    def along(value: Tensor) -> float:
        gradient = torch.autograd.grad(value, where, retain_graph=True)
        return float(sum((g * d).sum() for g, d in zip(gradient, direction, strict=True)))

    h = 1e-5
    ends = [moved(guide, direction, side * h) for side in (1, -1)]
    values = log_weight(guide, batch, noise).mean(-1)
    with torch.no_grad():
        by_path = [log_weight(end, batch, noise).mean(-1) for end in ends]
    each = (by_path[0] - by_path[1]) / (2 * h)  # of every path, by differences
    close(along(values.mean()), each.mean(), 1e-6)
    exact = float(exact_elbo(ends[0], batch) - exact_elbo(ends[1], batch)) / (2 * h)
    assert abs(exact) > 0.1
    assert abs(float(each.mean()) - exact) < 4 * float(each.std()) / 4000**0.5


def test_it_climbs_and_stays_below_the_evidence():
    """60 steps of Adam close four tenths of the gap of an untrained path; the bound stays below, within 4 s.e."""
    given = instance(**SMALL)
    guide, batch = driven(given, 4, 2.0), Batch(given.rows.stored)
    optimiser, noise = torch.optim.Adam(parameters(guide), lr=0.1), stream(0, "noise")

    def gap() -> tuple[float, float]:
        with torch.no_grad():
            log_w = Pathwise(2000).draw(given.model, guide, batch, stream(1, "paths")).log_weight.mean(1)
        return given.mean - float(log_w.mean()), float(log_w.std()) / 2000**0.5

    before, _ = gap()
    for _ in range(60):
        optimiser.zero_grad()
        (-Elbo()(Pathwise(8).draw(given.model, guide, batch, noise)).mean()).backward()
        optimiser.step()
    after, error = gap()
    assert -4 * error < after < 0.6 * before


def test_evaluation_of_a_curved_model():
    """Importance weighting by paths against quadrature, 4 standard errors and the bound's own slack."""
    model, base = curved_model(), amortized(3, Gaussian(1))
    guide, data = Hamiltonian(model, base, 6).double(), simulated(model, 6)
    estimate = Importance(2000)(model, guide, rows(data))
    truth = Quadrature()(model, base, rows(data)).nats
    assert estimate.stderr_mc is not None
    assert abs(float((estimate.nats - truth).mean())) < 4 * estimate.stderr_mc + 1e-2
    assert float((estimate.elbo - truth).mean()) < 0


def test_the_rate_is_that_of_the_paths():
    """It is the ELBO's other half, and at least the rate of the points: of one Gaussian here, by its moments."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    draw = Pathwise(5000).draw(given.model, driven(given, 8), batch, stream(0, "paths"))
    close(-draw.distortion - draw.rate, Elbo()(draw))
    z = draw.z.detach()
    mean, cov = z.mean(0), torch.stack([torch.cov(z[:, b].T) for b in range(3)])
    spread = cov.diagonal(dim1=-2, dim2=-1).sum(-1)
    of_points = 0.5 * (spread + mean.square().sum(-1) - 2 - torch.logdet(cov))
    assert (draw.rate > of_points).all()


def test_mean_and_variance_are_near_those_of_many_points():
    """32 fixed paths: within half a standard deviation and a factor of 2; a datum's neighbours do not matter."""
    given = instance(**SMALL)
    guide, batch = driven(given, 4, 2.0), Batch(given.rows.stored)
    with torch.no_grad():
        q, z = guide(batch), Pathwise(4000).draw(given.model, guide, batch, stream(0, "paths")).z
        assert ((q.mean - z.mean(0)).abs() < 0.5 * z.std(0)).all()
        assert ((q.variance / z.var(0)).log().abs() < math.log(2)).all()
        close(guide(Batch(batch.x[1:2])).mean, q.mean[1:2])
    assert encode(given.model, guide, given.rows).shape == (3, 2)


def test_it_starts_from_other_gaussians():
    with drawing_from(stream(0, "full")):
        full = Amortized(Given(MLP(5, 5, (4,)), FullGaussian(2)))
    model = linear_model(2)
    guide, batch = Hamiltonian(model, full, 3).double(), simulated(model, 4)
    draw = Pathwise(3).draw(model, guide, batch, stream(0, "paths"))
    assert torch.isfinite(draw.log_weight).all()
    assert guide(batch).mean.shape == (4, 2)
    bound = ImportanceWeighted()(Pathwise(2000).draw(model, guide, batch, stream(0, "x")))
    assert ((bound - evidence(model, batch)).abs() < 0.5).all()


def test_gradients_reach_all_parts_and_evaluation_records_none():
    model, base = curved_model(), amortized(3, Gaussian(1))
    guide, batch = Hamiltonian(model, base, 2).double(), simulated(model, 4)
    draw = Pathwise(2).draw(model, guide, batch, stream(0, "paths"))
    Elbo()(draw).mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in guide.parameters() if p.requires_grad)
    with torch.no_grad():
        again = Pathwise(2).draw(model, guide, batch, stream(0, "paths"))
    assert not again.z.requires_grad
    assert not again.log_weight.requires_grad
    close(again.log_weight, draw.log_weight)


def test_a_path_is_not_thrown_out_of_a_steep_density():
    """Kicks are bent at their limit: what the momenta lose towards a scale of 0.001 stays below what 4 of them can."""
    base = Independent(Normal(torch.zeros(1, 3), torch.ones(1, 3)), 1)
    steep = Independent(Normal(torch.zeros(3), torch.full((3,), 1e-3)), 1)
    parts = (torch.linspace(0.25, 1, 4), torch.full((4, 1, 3), 0.5), torch.tensor(0.9))
    for limit in (2.0, math.inf):
        q = HamiltonianFlow(base, steep.log_prob, *parts, limit)
        with drawing_from(stream(0, "steep")), torch.no_grad():
            z = q.rsample((500,))
        assert (float(q.log_prob(z).abs().max()) < 300) == (limit == 2.0)


@pytest.mark.parametrize("family", [f for f in ALL_FAMILIES if not f.profiled], ids=str)
def test_likelihoods_can_be_differentiated_twice(family):
    """A path's gradient is one of a gradient: against differences of first derivatives along a direction, to 1e-4."""
    with drawing_from(stream(0, str(family))):
        params, direction = (torch.randn(4, family.size, dtype=torch.float64) for _ in range(2))
        x = family(params).sample()

    def slope(values: Tensor) -> Tensor:
        at = values.detach().requires_grad_(True)
        return torch.autograd.grad(family.log_prob(at, x).sum(), at)[0]

    at = params.clone().requires_grad_(True)
    (first,) = torch.autograd.grad(family.log_prob(at, x).sum(), at, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), at)
    h = 1e-6
    close(second, (slope(params + h * direction) - slope(params - h * direction)) / (2 * h), 1e-4)


def test_what_it_did_not_make_is_refused():
    given = instance(**SMALL)
    guide, batch = driven(given, 2), Batch(given.rows.stored)
    q = guide(batch)
    z = q.rsample((2,))
    assert q.log_prob(z).shape == (2, 3)
    for other in (z.clone(), z[:1]):
        with pytest.raises(NotInvertible, match=r"Use Pathwise\(k\)"):
            q.log_prob(other)
    draw = weigh(given.model, q, z.clone(), batch)
    with pytest.raises(CompositionError):
        Rate()(draw)
    for estimator in (StickTheLanding(2), DoublyReparameterized(2), Score(2)):
        with pytest.raises(CompositionError, match=r"cannot score a point.*Use Pathwise\(k\)"):
            estimator.draw(given.model, guide, batch, stream(0, "paths"))
    with pytest.raises(NotInvertible, match="Start from the prior"):
        Annealed(10).check(given.model, guide)


def test_what_cannot_begin_a_path_is_refused():
    model = linear_model(2)
    gaussian = Amortized(Given(MLP(5, 4, (4,)), Gaussian(2)))
    flow = Flowing(gaussian, Autoregressive(2))
    for start in (Exact(model), Deterministic(MLP(5, 2, ())), flow, Hamiltonian(model, gaussian)):
        with pytest.raises(CompositionError, match="cannot start"):
            Hamiltonian(model, start)
    nothing = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(5), learn=True))
    with pytest.raises(CompositionError, match="no latent"):
        Hamiltonian(nothing, gaussian)
    with pytest.raises(UsageError, match="at least 1"):
        Hamiltonian(model, gaussian, leaps=0)
    for numbers in ({"size": 0.0}, {"kept": 1.0}, {"size": math.inf}, {"limit": 0.0}):
        with pytest.raises(UsageError, match="Try"):
            Hamiltonian(model, gaussian, **numbers)
    classes = Amortized(Given(MLP(5, 4, (4,)), Categorical(4)))
    with pytest.raises(CompositionError, match="Use a Gaussian guide"):
        Hamiltonian(model, classes)(Batch(torch.zeros(1, 5)))
