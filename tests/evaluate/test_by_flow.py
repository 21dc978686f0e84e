"""log p(x) by the probability flow: exact denoisers, labels, estimated traces, the stated error, and refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from jensen.core.batch import Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.evaluate import ByFlow, Kind, SampledTimes, choose
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Linear, Unconditional
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule, signal_and_noise
from tests.identities.test_diffusion import START as MIXTURE_START
from tests.identities.test_diffusion import OfMixture
from tests.models.test_probability_flow import of_mixture

START, END = -6.0, 14.0


class Shift(nn.Module):
    """What a chain adds to the standard normal so that it is N(c, 1), where c is the context; nothing without one."""

    def __init__(self, dim: int, labels: int) -> None:
        super().__init__()
        self.dim, self.labels = dim, labels

    def forward(self, inputs):
        u = inputs[..., self.dim : self.dim + 1]
        _, sigma = signal_and_noise(START + (END - START) * u)
        return -sigma * inputs[..., -1:] if self.labels else torch.zeros_like(inputs[..., : self.dim])


class Flat(nn.Module):
    """A network of rows, for points of any shape."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs):
        return self.net(inputs.flatten(0, -2)).unflatten(0, inputs.shape[:-1])


def normal(dim: int, labels: int = 0) -> tuple[LatentVariableModel, Diffused]:
    """The chain that is N(c, 1), with the likelihood that is exact for N(0, 1)."""
    chain = Diffusion(dim, Shift(dim, labels), LinearSchedule(START, END), context=labels).double()
    likelihood, (alpha, sigma) = Linear(dim, dim).double(), signal_and_noise(torch.tensor(START).double())
    likelihood.assign(alpha * torch.eye(dim), torch.zeros(dim), sigma[None] ** 2)
    return LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain)


def points(dim: int, n: int = 20) -> torch.Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_of_the_standard_normal_it_is_log_p():
    """Every weight is p(x) here, and the path is a point, so that the solver makes no error."""
    model, guide = normal(2)
    x = points(2)
    estimate = ByFlow()(model, guide, Rows(x))
    exact = Normal(0.0, 1.0).log_prob(x).sum(-1)
    assert (estimate.kind, estimate.k) == (Kind.STOCHASTIC_LOWER, 5)
    assert float((estimate.nats - exact).abs().max()) < 5e-4
    assert estimate.settings["solver_error"] < 1e-6
    assert estimate.ess_median == pytest.approx(5, abs=1e-3)
    torch.testing.assert_close(estimate.elbo, exact, atol=1e-3, rtol=0)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-2])
def test_the_stated_error_is_that_of_the_solver(tolerance):
    """With few steps the number is wrong, and the error says by how much, of 16 of the rows: within a factor of 3."""
    chain = Diffusion(1, OfMixture(), LinearSchedule(MIXTURE_START, 6.0)).double()
    model = LatentVariableModel(DiffusionPrior(chain), Linear(1, 1).double())
    rows = Rows(points(1, 16))
    coarse, fine = (ByFlow(1, t)(model, Diffused(chain), rows) for t in (tolerance, 1e-7))
    wrong = float((coarse.nats - fine.nats).abs().max())
    assert wrong / 3 < coarse.settings["solver_error"] < 3 * wrong
    assert coarse.settings["evaluations"] < fine.settings["evaluations"]


def test_of_a_mixture_it_is_log_p():
    """In two dimensions; p(x) is the mixture with the noise of z_0 and of p(x | z_0) added. A hundredth of a nat of the
    tolerance is of the 200 points; that of z_0 is within another (`test_probability_flow`)."""
    chain = of_mixture()
    mixture, chain.net = chain.net, Flat(chain.net)
    alpha, sigma = signal_and_noise(torch.tensor(chain.schedule.start).double())
    likelihood = Linear(2, 2).double()
    likelihood.assign(torch.eye(2) / alpha, torch.zeros(2), (sigma / alpha)[None] ** 2)
    x = points(2, 16)
    estimate = ByFlow(200)(LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain), Rows(x))
    exact = mixture.log_terms(x, torch.ones(()), 2**0.5 * sigma / alpha).logsumexp(-1)
    torch.testing.assert_close(estimate.nats, exact, atol=0.02, rtol=0)


def test_many_features_have_an_estimated_trace_and_no_weights():
    """Of 40 features: the mean over points, with an error that their spread gives. Five of them, four errors."""
    model, guide = normal(40)
    x = points(40)
    estimate = ByFlow()(model, guide, Rows(x))
    exact = float(Normal(0.0, 1.0).log_prob(x).sum(-1).mean())
    assert (estimate.k, estimate.settings["trace"], estimate.settings["points"]) == (None, "estimated", 5)
    assert abs(estimate.mean - exact) < 4 * estimate.stderr_mc + 1e-3
    assert ByFlow(1)(model, guide, Rows(x)).stderr_mc is None


def test_the_label_counts():
    """A chain that is N(c, 1): log p(x | c) is that of x - c."""
    model, guide = normal(2, labels=1)
    x, c = points(2), torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    estimate = ByFlow(20)(model, guide, Rows(x, context=c))
    alpha, sigma = signal_and_noise(torch.tensor(START).double())
    scale = torch.sqrt(alpha**2 + sigma**2)  # of alpha z_0 plus noise, about alpha^2 c
    exact = Normal(alpha**2 * c, scale).log_prob(x).sum(-1)
    torch.testing.assert_close(estimate.nats, exact, atol=0.02, rtol=0)


def test_the_seed_decides():
    model, guide = normal(40)
    rows = Rows(points(40, 3))
    first, again, other = (ByFlow(2)(model, guide, rows, seed).nats for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_choice_and_what_is_refused():
    model, guide = normal(2)
    assert choose(model, guide, "flow") == ByFlow()
    assert choose(model, guide, "flow", 3, tolerance=1e-3) == ByFlow(3, 1e-3)
    assert choose(model, guide, levels=(1, 4)) == SampledTimes(64, (1, 4))
    plain = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 2)), Amortized.mlp(2, (4,), Gaussian(2))
    with pytest.raises(CompositionError, match="--recipe diffusion"):
        choose(*plain, "flow")
    with pytest.raises(UsageError, match="--recipe diffusion"):
        choose(*plain, levels=(4,))
    with pytest.raises(UsageError, match="--method flow"):
        choose(model, guide, tolerance=1e-3)
    with pytest.raises(UsageError, match="--levels"):
        choose(model, guide, "flow", levels=(4,))
    with pytest.raises(UsageError, match="tolerance"):
        choose(model, guide, "flow", tolerance=-1.0)
