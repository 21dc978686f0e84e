"""Whole numbers of which some have a mass of their own."""

import math

import torch

from jensen.core.random import drawing_from, stream
from jensen.distributions import Heaped, RoundedLogistic

REST = RoundedLogistic(*(torch.tensor([v, 0.5], dtype=torch.float64) for v in (0.2, 1.0, 3.0, 2.0)))
HEAPS = torch.tensor([[3.0, 40.0], [0.0, math.nan]], dtype=torch.float64)
LOGITS = torch.tensor([[0.0, 1.0, -1.0], [0.0, -0.5, 7.0]], dtype=torch.float64)


def test_masses_add_up_to_one_without_the_heaps_that_a_feature_lacks():
    x = torch.arange(-400.0, 400.0, dtype=torch.float64)[:, None].expand(-1, 2)
    d = Heaped(LOGITS, HEAPS, REST)
    mass = d.log_prob(x).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    weight = torch.tensor([0.0, -0.5], dtype=torch.float64).softmax(-1)
    known = weight[0] * REST.log_prob(x).exp()[:, 1] + weight[1] * (x[:, 1] == 0)
    torch.testing.assert_close(mass[:, 1], known)
    torch.testing.assert_close((mass * x).sum(0), d.mean)
    torch.testing.assert_close((mass * (x - d.mean).square()).sum(0), d.variance)


def test_an_expanded_one_scores_and_draws_alike():
    d = Heaped(LOGITS, HEAPS, REST).expand((5, 2))
    x = torch.tensor([40.0, 0.0], dtype=torch.float64).expand(5, 2)
    torch.testing.assert_close(d.log_prob(x)[3], Heaped(LOGITS, HEAPS, REST).log_prob(x[0]))
    with drawing_from(stream(0, "x")):
        drawn = d.sample((4000,))
    assert drawn.shape == (4000, 5, 2)
    share, at = (drawn == x).double().mean((0, 1)), d.log_prob(x)[0].exp()
    assert ((share - at).abs() < 5 * (at * (1 - at) / 20_000).sqrt()).all()  # five standard errors


def test_gradients_are_finite_at_and_beside_a_heap():
    logits = LOGITS.clone().requires_grad_()
    x = torch.tensor([[40.0, 0.0], [41.0, 1.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(Heaped(logits, HEAPS, REST).log_prob(x).sum(), logits)
    assert gradient.isfinite().all()
    assert gradient[1, 2] == 0  # of a heap that is none
