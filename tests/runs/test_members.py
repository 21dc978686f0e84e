"""Names of the members of a group, and sweeps that are refused before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jensen.core.errors import UsageError
from jensen.runs.members import MOST, check_names, expand, value_name


def test_seeds_are_consecutive_from_the_given_one():
    members = expand(3, None, {"seed": 5, "latent": 2})
    assert [m.name for m in members] == ["seed-5", "seed-6", "seed-7"]
    assert [m.options for m in members] == [{"seed": 5}, {"seed": 6}, {"seed": 7}]
    assert {m.setting for m in members} == {""}


def test_sweeps_are_multiplied_in_their_order_and_the_seed_comes_last():
    members = expand(2, {"beta": [0.5, 1.0], "init-from": [Path("runs/a b")]}, {})
    assert [m.name for m in members] == [
        *("beta-0.5-init-from-runs-a-b-seed-0", "beta-0.5-init-from-runs-a-b-seed-1"),
        *("beta-1-init-from-runs-a-b-seed-0", "beta-1-init-from-runs-a-b-seed-1"),
    ]
    assert [m.setting for m in members[::2]] == ["beta-0.5-init-from-runs-a-b", "beta-1-init-from-runs-a-b"]
    assert members[2].options == {"beta": 1.0, "init_from": Path("runs/a b"), "seed": 0}


def test_a_sweep_alone_has_one_member_per_value():
    assert [m.name for m in expand(None, {"seed": [9, 4]}, {"seed": 1})] == ["seed-9", "seed-4"]
    assert [m.name for m in expand(None, {"lr": [1e-3, 1e-4]}, {})] == ["lr-0.001", "lr-0.0001"]


@pytest.mark.parametrize(
    ("value", "name"),
    [(0.1 + 0.2, "0.30000000000000004"), (1e-12, "1e-12"), ("../x", "x"), ("", "none"), (-0.5, "-0.5"), ((), "none")],
)
def test_values_name_folders(value, name):
    assert value_name(value) == name


@pytest.mark.parametrize(
    ("seeds", "sweep", "given", "what"),
    [
        (0, None, {}, "--seeds must hold|--seeds must be"),
        (MOST + 1, None, {}, "--seeds must be"),
        (2, {"seed": [1]}, {}, "exclude each other"),
        (2, None, {"seed": -1}, "--seed must be"),
        (None, {}, {}, "needs an option"),
        (None, {"beta": []}, {}, "no list of values"),
        (None, {"likelihood": "gaussian"}, {}, "no list of values"),
        (None, {"beta": [1.0, 1]}, {}, "has 1 twice"),
        (None, {"beta": [1.0]}, {"beta": 2.0}, "both given and swept"),
        (None, {"test": [np.zeros(2)]}, {}, "holds a ndarray"),
        (None, {"activation": ["silu", "SiLU"]}, {}, "two members would be called"),
        (None, {"labels": ["a" * 300]}, {}, "too long"),
        (100, {"beta": [float(i) for i in range(11)]}, {}, "1,100 trainings"),
    ],
)
def test_senseless_groups_are_refused(seeds, sweep, given, what):
    with pytest.raises(UsageError, match=what):
        expand(seeds, sweep, given)


def test_an_unknown_option_is_refused_with_the_nearest():
    check_names(["init-from", "latent"], {"init_from", "latent"}, "vae")
    with pytest.raises(UsageError, match=r"no option latnt .* Did you mean latent"):
        check_names(["latnt"], {"latent", "lr"}, "vae")
