"""Streams are named and repeatable; a lent generator leaves the global one as it was."""

from __future__ import annotations

import pytest
import torch

from jensen.core.random import drawing_from, stream


def test_streams_are_repeatable_and_apart():
    values = {key: float(torch.rand((), generator=stream(*key))) for key in [(0, "a"), (0, "b"), (1, "a"), (-1, "a")]}
    assert len(set(values.values())) == 4
    assert values[0, "a"] == float(torch.rand((), generator=stream(0, "a")))


def test_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    with drawing_from(stream(0, "noise")):
        inside = torch.randn(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(inside, torch.randn(3, generator=stream(0, "noise")))


def test_the_lent_generator_moves_on():
    generator = stream(0, "noise")
    with drawing_from(generator):
        first = torch.randn(3)
    with drawing_from(generator):
        second = torch.randn(3)
    known = stream(0, "noise")
    assert torch.equal(first, torch.randn(3, generator=known))
    assert torch.equal(second, torch.randn(3, generator=known))


def test_an_error_inside_restores_both():
    before, generator = torch.get_rng_state(), stream(0, "noise")

    def failing():
        with drawing_from(generator):
            torch.randn(3)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(generator.get_state(), stream(0, "noise").get_state())


def test_scopes_nest():
    outer, inner = stream(0, "outer"), stream(0, "inner")
    with drawing_from(outer):
        a = torch.randn(2)
        with drawing_from(inner):
            torch.randn(5)
        b = torch.randn(2)
    known = stream(0, "outer")
    assert torch.equal(a, torch.randn(2, generator=known))
    assert torch.equal(b, torch.randn(2, generator=known))


def test_without_a_generator_the_global_one_is_used():
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        with drawing_from(None):
            torch.randn(2)
        assert not torch.equal(torch.get_rng_state(), before)
