"""A recorded function is the same function: to the bit, with the same random numbers; others are refused."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Laplace, Normal

from jensen.core.random import drawing_from, stream
from jensen.training.compiled import compiled
from jensen.training.recording import Unrecordable, recorded

X = torch.randn(4, 3, generator=stream(0, "x"))


def through_distributions(x, noise):
    with drawing_from(noise):
        return [Normal(x, 2.0, validate_args=False).rsample((2,)) + Laplace(x, 1.0, validate_args=False).rsample()]


def through_autograd(x, noise):
    leaf = x.detach().requires_grad_()
    return list(torch.autograd.grad(leaf.sigmoid().mul(torch.randn(3, generator=noise)).sum(), leaf))


def filled_in_place(x, noise):
    y = torch.empty(4, 3)
    y.uniform_(generator=noise)
    return [x + y, y]


def like_others(x, noise):
    with drawing_from(noise):
        return [x + torch.rand_like(x), torch.randn_like(x, dtype=torch.float64), torch.randint(4, (3,)) * 1.0]


FUNCTIONS = {
    "likes": like_others,
    "filled in place": filled_in_place,
    "makers": lambda x, noise: [torch.randn(3, generator=noise) + torch.rand((4, 3), generator=noise) * x],
    "fillers": lambda x, noise: [x + torch.empty(4, 3).normal_(1.0, 2.0, generator=noise)],
    "integers": lambda x, noise: [x[torch.randint(4, (2,), generator=noise)]],
    "distributions": through_distributions,
    "in place": lambda x, noise: [x.mul(2).add_(1).clamp_(min=0)],
    "gradient": lambda x, noise: [
        torch.autograd.grad((p := x.detach().requires_grad_()).sigmoid().mul(torch.randn(3, generator=noise)).sum(), p)[
            0
        ]
    ],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_gives_the_same_bits_and_moves_the_generator_as_far(name):
    noise = stream(0, "noise")
    function = FUNCTIONS[name]
    before = noise.get_state()
    recording = recorded(lambda x: function(x, noise), [X], noise)
    assert torch.equal(before, noise.get_state())
    run = compiled(recording.graph, [X, *recording.drawn(stream(1, "other"))])
    for y in (X, X - 0.3):
        after = noise.get_state()
        expected = function(y.clone(), noise)
        moved = noise.get_state()
        noise.set_state(after)
        found = run(y.clone(), *recording.drawn(noise))
        assert torch.equal(moved, noise.get_state())
        assert len(found) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_nothing_is_left_of_the_example():
    noise, x = stream(0, "noise"), X.clone()
    recording = recorded(lambda t: [t.add_(1)], [x], noise)
    compiled(recording.graph, [x])
    assert torch.equal(x, X)


REFUSED = {
    "random numbers depend on tensors": lambda x, noise: [torch.bernoulli(x.sigmoid(), generator=noise)],
    "another generator": lambda x, noise: [x + torch.randn(3, generator=stream(0, "another"))],
    "the global generator": lambda x, noise: [x + torch.randn(3)],
    "a branch": lambda x, noise: [x if bool((x > 0).all()) else -x],
    "a number": lambda x, noise: [x * float(x.max())],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_another_function_is_refused(name):
    noise = stream(0, "noise")
    before, overall = noise.get_state(), torch.get_rng_state()
    with pytest.raises(Unrecordable):
        recorded(lambda x: REFUSED[name](x, noise), [X], noise)
    assert torch.equal(before, noise.get_state())
    torch.set_rng_state(overall)


def test_random_calls_that_differ_from_call_to_call_are_refused():
    noise, calls = stream(0, "noise"), []

    def more_each_time(x):
        calls.append(0)
        return [x + sum(torch.randn(3, generator=noise) for _ in calls)]

    with pytest.raises(Unrecordable, match="different random numbers"):
        recorded(more_each_time, [X], noise)

    def once(x):
        calls.append(0)
        return [x + torch.randn(3, generator=noise) if len(calls) == 1 else x]

    calls.clear()
    with pytest.raises(Unrecordable, match="different random numbers"):
        recorded(once, [X], noise)
