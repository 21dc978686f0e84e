"""Negative binomials: the mass where most counts are 0, its closed-form gradients, and their recording."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from jensen.distributions import NegativeBinomial, counts
from jensen.distributions.counts import _dispersed
from jensen.training.compiled import compiled
from jensen.training.recording import recorded

SMALL, LARGE = (6, 20), (40, 1000)  # below and above `MANY` entries


def sparse(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-means, inverse dispersions from 1e-2 to 1e5 and counts up to 1e5, nine of ten of them 0."""
    noise = torch.Generator().manual_seed(seed)
    log_mean, theta = 3 * torch.randn(shape, generator=noise), 10 ** (7 * torch.rand(shape, generator=noise) - 2)
    x = torch.poisson((4 * torch.randn(shape, generator=noise)).exp().clamp_max(1e5), generator=noise)
    return log_mean, theta, torch.where(torch.rand(shape, generator=noise) < 0.9, 0.0, x)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_the_mass_is_that_of_scipy(shape):
    log_mean, theta, x = sparse(shape)
    assert (x.numel() >= counts.MANY) == (shape is LARGE)
    p = theta.double() / (theta.double() + log_mean.double().exp())
    expected = torch.from_numpy(stats.nbinom.logpmf(x.double().numpy(), theta.double().numpy(), p.numpy()))
    log_p = NegativeBinomial(log_mean, theta).log_prob(x)
    torch.testing.assert_close(log_p.double(), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_gradients_are_those_of_autograd(shape):
    log_mean, theta, x = sparse(shape)
    own, plain = ([t.clone().requires_grad_() for t in (log_mean, theta)] for _ in range(2))
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    (NegativeBinomial(*own).log_prob(x) * weight).sum().backward()
    (_dispersed(*(t.double() for t in plain), x.double()) * weight).sum().backward()
    torch.testing.assert_close(own[0].grad, plain[0].grad, rtol=1e-4, atol=1e-4)
    # of zero counts the gradient by theta is a difference of numbers near s, and rounded as these are
    s = log_mean.exp() / (log_mean.exp() + theta)
    assert ((own[1].grad - plain[1].grad).abs() <= 1e-6 * s + 1e-4 * plain[1].grad.abs()).all()


@pytest.mark.parametrize("turned", [(0,), (1,), (2,), (0, 1, 2)])
def test_the_layout_of_tensors_does_not_matter(turned):
    """Transposed log-means, dispersions and counts have the mass, and the gradients, of their copies."""
    parts = sparse(LARGE)
    other = [part.T.contiguous().T if i in turned else part for i, part in enumerate(parts)]
    assert any(not part.is_contiguous() for part in other)
    for own, known in zip(step(*other), step(*parts), strict=True):
        torch.testing.assert_close(own, known, rtol=1e-5, atol=1e-6)


def test_gradients_are_differentiable():
    log_mean, theta, x = (t.double() for t in sparse((3, 4)))
    log_mean.requires_grad_()
    theta = theta.clamp(0.1, 10).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda m, t: NegativeBinomial(m, t).log_prob(x), (log_mean, theta))


def test_what_is_not_a_number_stays_one():
    log_mean, theta, x = sparse(LARGE)
    x[3, 5] = torch.nan
    assert NegativeBinomial(log_mean, theta).log_prob(x).isnan().nonzero().tolist() == [[3, 5]]


def step(log_mean: torch.Tensor, theta: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    leaves = [t.detach().requires_grad_() for t in (log_mean, theta)]
    value = NegativeBinomial(*leaves, validate_args=False).log_prob(x).sum()
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_a_recorded_step_holds_for_other_numbers_of_zeros(shape):
    example = sparse(shape)
    run = compiled(recorded(step, example, torch.Generator()).graph, list(example))
    for seed, kept in ((1, 1.0), (2, 0.0), (3, 0.5)):
        log_mean, theta, x = sparse(shape, seed)
        others = (log_mean, theta, x * (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < kept))
        for own, again in zip(step(*others), run(*others), strict=True):
            torch.testing.assert_close(own, again)
