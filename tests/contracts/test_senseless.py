"""Argument validation: invalid numbers are refused where a part is made, by a typed error with a remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from jensen.core.errors import CorruptRunError, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.validation import require_above, require_finite, require_integer
from jensen.estimators.denoising import GaussianNoise, Masking, SaltAndPepper
from jensen.estimators.quadrature import Quadrature as Nodes
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.evaluate import Annealed, Importance, Quadrature, Sandwich
from jensen.families import Bernoulli, DiscretizedLogistic, Gaussian, Implicit, Mixture
from jensen.guides import Hamiltonian
from jensen.guides.refined import PerDatum, Refined
from jensen.models.priors import VampPrior
from jensen.nets import MLP
from jensen.objectives import Capacity, Elbo, FreeBits, Ramp, Rate
from jensen.training import Budget, Optimizer, Player
from tests.contracts.members import (
    ALL_CONDITIONALS,
    ALL_COUPLED,
    ALL_ESTIMATORS,
    ALL_FAMILIES,
    ALL_FLOWS,
    ALL_GUIDES,
    ALL_NETS,
    ALL_OBJECTIVES,
    GAMES,
    GAUSSIAN,
    OF_DATA,
    SAMPLERS,
)

LISTED = [
    *(ALL_FAMILIES + SAMPLERS),
    *(*ALL_FLOWS, *ALL_NETS, *ALL_CONDITIONALS, *(guide for guide, _ in ALL_GUIDES), OF_DATA),
    *(*ALL_ESTIMATORS, *ALL_OBJECTIVES, *ALL_COUPLED, *GAMES),
    *(GaussianNoise(1.0), Masking(0.5), SaltAndPepper(0.5), Ramp(1.0, 10, 0.5, 20)),
    *(Annealed(), Importance(10), Quadrature(), Sandwich()),
    *(Budget(10, 8, 3), Optimizer("Adam", 1e-3), Player(Elbo(), [])),
]

# what any number may be, where the part says so
ANY = {(Refined, "seed"), (PerDatum, "seed"), (Hamiltonian, "limit")}


def arguments(member: object) -> dict[str, Any]:
    """Return the arguments that a part was made with."""
    if is_dataclass(member):
        return {f.name: getattr(member, f.name) for f in fields(member) if f.init}
    return dict(getattr(member, "_made_with", {}))


def senseless(value: object) -> Iterator[object]:
    """Yield invalid values in place of a number, or of the last number of a tuple."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield from (-1, 1.5, math.nan, math.inf, "3", True)
    elif isinstance(value, float):
        yield from (math.nan, math.inf, -math.inf)
    elif isinstance(value, tuple | list) and value and all(type(v) in (int, float) for v in value):
        yield from ((*value[:-1], bad) for bad in senseless(value[-1]))


def cases() -> list[object]:
    """Each number of each kind of part once."""
    params = {}
    for member in LISTED:
        for name, value in arguments(member).items():
            key = (type(member), name)
            if key not in ANY and any(True for _ in senseless(value)):
                params[key] = pytest.param(member, name, id=f"{type(member).__name__}-{name}")
    return list(params.values())


@pytest.fixture
def as_users_call(monkeypatch):
    """Without the check of types that tests have: a fraction must not pass for a size outside them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(("member", "name"), cases())
def test_senseless_numbers_are_refused(member, name):
    given = arguments(member)
    for bad in senseless(given[name]):
        shown = bad[-1] if isinstance(bad, tuple) else bad
        with pytest.raises(UsageError, match=re.escape(str(shown))) as refusal:
            type(member)(**{**given, name: bad})
        assert refusal.value.remedy, "what to give instead"


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(3, 0),
        lambda: MLP(3, 2, (8, 0)),
        lambda: DiscretizedLogistic(3, 1),
        lambda: Mixture(Gaussian(3), 0),
        lambda: Bernoulli(0),
        lambda: Gaussian(3, "each", math.nan),
        lambda: Implicit(3, 0.0, math.inf),
        lambda: Elbo(-1.0),
        lambda: math.nan * Rate(),
        lambda: Ramp(1.0, 10).times(math.inf),
        lambda: Ramp(1.0, 10, every=0),
        lambda: Ramp(1.0, 10, every=5),
        lambda: FreeBits(Ramp(-1.0, 10)),
        lambda: Capacity(math.nan),
        lambda: Pathwise(0),
        lambda: Score(1),
        lambda: Nodes(10_000),
        lambda: Quadrature(most=100),
        lambda: VampPrior(GAUSSIAN, 3, 0),
        lambda: VampPrior(GAUSSIAN, 3, low=1.0, high=0.0),
        lambda: VampPrior(GAUSSIAN, 3, low=math.nan),
        lambda: VampPrior(GAUSSIAN, 4),
        lambda: Player(Elbo(), [], steps=0),
        lambda: Player(Elbo(), [], during=(0.5, 0.5)),
        lambda: Player(Elbo(), [], during=(0.0, math.nan)),
        lambda: Budget(patience=0),
    ],
)
def test_values_that_only_look_like_numbers_of_a_part(make):
    with pytest.raises(UsageError) as refusal:
        make()
    assert refusal.value.remedy


@pytest.mark.usefixtures("as_users_call")
def test_numbers_of_numpy_are_numbers():
    """A size read off an array, and a weight computed with one; a latent of no features is none at all."""
    assert MLP(np.int64(3), 2)(torch.zeros(1, 3)).shape == (1, 2)
    assert Elbo(np.float32(0.5)).beta == 0.5
    assert Gaussian(0).size == 0


def test_a_damaged_size_is_told_from_a_wrong_one():
    nodes = spec_of(Gaussian(3))
    nodes[0]["args"]["dim"] = -3
    with pytest.raises(CorruptRunError, match=r"dim: expected a whole number from 0 to 2,147,483,648, got -3"):
        build(nodes)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: require_integer(1, k=0), "k must be a whole number of at least 1, got 0. Give k 1 or more."),
        (
            lambda: require_integer(2, **{"--levels": 1}),
            "--levels must be a whole number of at least 2, got 1. Give --levels 2 or more.",
        ),
        (
            lambda: require_integer(1, hidden=(8, 2.5)),
            "hidden must hold whole numbers of at least 1, got (8, 2.5). Give hidden 1 or more.",
        ),
        (lambda: require_integer(0, n="3"), "n must be a whole number of at least 0, got '3'. Give n 0 or more."),
        (lambda: require_finite(beta=math.inf), "beta must be a finite number, got inf. Give beta a finite number."),
        (
            lambda: require_finite(0, beta=-0.5),
            "beta must be a finite number of at least 0, got -0.5. Give beta 0 or more.",
        ),
        (lambda: require_above(0, lr=0.0), "lr must be a finite number above 0, got 0.0. Give lr more than 0."),
    ],
)
def test_refusals_name_the_value_and_the_remedy(check, words):
    with pytest.raises(UsageError, match=f"^{re.escape(words)}$"):
        check()
