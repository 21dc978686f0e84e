"""Options that a recipe would ignore are refused, and name what takes them."""

from __future__ import annotations

import numpy as np
import pytest

import jensen
from jensen.core.errors import UsageError

X = np.random.default_rng(0).normal(size=(60, 4))


@pytest.mark.parametrize(
    ("recipe", "option"),
    [
        ("gmm", {"lr": 0.1}),
        ("ppca", {"clip": 1.0}),
        ("gaussian", {"optimizer": "SGD"}),
        ("factor-analysis", {"average": 0.9}),
    ],
)
def test_options_of_gradient_steps_are_refused_by_closed_forms(recipe, option, tmp_path):
    (name,) = option
    sizes = {"gmm": {"components": 2}, "gaussian": {}}.get(recipe, {"latent": 2})
    with pytest.raises(UsageError, match=f"--{name} is of gradient steps.*--fit gradient"):
        jensen.train(X, recipe=recipe, out=tmp_path / "run", **sizes, **option)
    assert not (tmp_path / "run").exists()
    run = jensen.train(X, recipe=recipe, out=tmp_path / "run", fit="gradient", epochs=1, **sizes, **option)
    assert run.path.exists()


def test_an_option_that_changes_nothing_is_taken_by_all(tmp_path):
    assert jensen.train(X, recipe="gmm", components=2, batch=16, out=tmp_path / "run").path.exists()
