"""Models that are trained in stages: who moves when, and which numbers are kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import jensen
from jensen.cli.train import outcome
from jensen.core.errors import CompositionError, UsageError
from jensen.recipes import find
from jensen.storage.checkpoints import kept_epochs
from tests.recipes.test_base import context

SMALL = {"latent": 2, "hidden": (16,), "split": "0.6,0.2,0.2"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two clusters of codes, which no standard normal prior fits, but flows do."""
    folder = tmp_path_factory.mktemp("staged")
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=(400, 1))
    x = (rng.random((400, 12)) < np.where(kind == 1, [0.9] * 6 + [0.1] * 6, [0.1] * 6 + [0.9] * 6)).astype(np.uint8)
    np.save(folder / "bits.npy", x)
    return jensen.train(
        folder / "bits.npy", recipe="two-stage", out=folder / "run", epochs=40, lr=5e-3, checkpoints=2, **SMALL
    )


def test_the_prior_alone_moves_in_the_second_stage(run):
    """Distortions stay what they were, the rate falls, and the bound rises by as much."""
    one, two = run.stages
    assert (one.first, one.last, two.first, two.last) == (1, 28, 29, 40)
    assert (one.part, two.objective) == ("validation", "-Rate")
    assert two.distortion == one.distortion
    assert two.bound > one.bound + 0.05
    assert two.bound + two.distortion == pytest.approx(-two.rate, abs=1e-4)
    assert run.metrics[-1]["kept_epoch"] == 40


def test_both_bounds_are_told(run):
    result = outcome(run)
    assert [stage["last"] for stage in result["stages"]] == [28, 40]
    assert result["bound"] == result["stages"][1]["bound"]
    one, two = (f"{stage.bound:.2f}" for stage in run.stages)
    [note] = [n for n in run.evaluate(k=5).notes if n.startswith("stages")]
    assert f"{one} after epoch 28" in note
    assert f"{two} after epoch 40 of -Rate" in note


def test_weights_of_the_first_stage_are_kept(run):
    """So that test rows can be asked what the first prior was worth: exactly a standard normal then."""
    assert 28 in kept_epochs(run.path)
    at = {stage.epoch: stage for stage in run.along(k=20).stages}
    assert at[40].elbo > at[28].elbo
    assert any(p.any() for p in run.model.prior.parameters())


def test_the_first_prior_is_a_standard_normal():
    made = find("two-stage")(context("binary", epochs=10), latent=2, hidden=(3,))
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    expected = -0.5 * z.square().sum(-1) - math.log(2 * math.pi)
    torch.testing.assert_close(made.model.prior.log_prob(z), expected)
    first, second = made.players
    assert not {id(p) for p in first.trained} & {id(p) for p in second.trained}
    assert {id(p) for p in second.trained} == {id(p) for p in made.model.prior.parameters() if p.requires_grad}


def test_what_leaves_no_stage_is_refused():
    for first in (0.0, 1.0):
        with pytest.raises(UsageError, match=f"--first must be a fraction between 0 and 1, got {first:g}"):
            find("two-stage")(context("binary"), first=first)
    with pytest.raises(CompositionError, match="Give more --epochs"):
        jensen.train(np.eye(8).astype(np.uint8), recipe="two-stage", epochs=1, out="never", **SMALL)
