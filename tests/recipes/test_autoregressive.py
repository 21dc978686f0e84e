"""What the autoregressive recipes make of each kind of data, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jensen
from jensen.core.errors import DataError, UsageError
from jensen.families import Bernoulli, DiscretizedLogistic, DiscretizedLogisticMixture, Gaussian, Mixture

IMAGES = (np.random.default_rng(0).random((40, 3, 4)) < 0.5).astype(np.uint8)
GREY = np.random.default_rng(0).integers(0, 5, (40, 3, 4)).astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3)).astype(np.uint8)
TABLE = np.random.default_rng(0).normal(size=(60, 3))


def position(x: np.ndarray, folder, **options) -> tuple[jensen.Run, object]:
    run = jensen.train(x, out=folder / "run", epochs=1, **options)
    return run, run.model.likelihood.family.part  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("x", "recipe", "part"),
    [
        (IMAGES, "pixelcnn", Bernoulli(1)),
        (GREY, "pixelcnn", Mixture(DiscretizedLogistic(1, 256), 2)),
        (COLOURS, "pixelcnn", DiscretizedLogisticMixture(3, 3, 256, 6)),
        (COLOURS, "made", Mixture(DiscretizedLogistic(1, 256), 2)),
        (TABLE, "made", Mixture(Gaussian(1), 2)),
    ],
    ids=["bits", "levels", "colours", "colours-by-feature", "reals"],
)
@pytest.mark.sampled(3)
def test_a_position_has_the_family_of_the_data(x, recipe, part, tmp_path):
    small = {"width": 4, "depth": 1} if recipe == "pixelcnn" else {"hidden": (6,)}
    several = {"components": 2} if isinstance(part, Mixture) else {}  # which is refused where there is no such mixture
    run, likelihood = position(x, tmp_path, recipe=recipe, **several, **small)
    assert likelihood == part
    assert run.sample(2).shape == (2, *run.schema.shape)
    assert str(run.evaluate(x, budget=0).estimate.kind) == "exact"


@pytest.mark.parametrize(
    ("x", "options", "error", "remedy"),
    [
        (TABLE, {"recipe": "pixelcnn"}, UsageError, "--recipe made"),
        (TABLE, {"recipe": "pixel-vae"}, UsageError, "--recipe made"),
        (TABLE, {"recipe": "made", "likelihood": "student-t"}, UsageError, "--likelihood auto"),
        (TABLE, {"recipe": "made", "likelihood": "log-normal"}, DataError, "values above 0"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(x, options, error, remedy, tmp_path):
    with pytest.raises(error, match=remedy):
        jensen.train(x, out=tmp_path / "run", epochs=1, **options)


def test_what_depends_on_what_came_before_is_learned(tmp_path):
    """Three bits and a copy of them: -3 log 2 is the best there is, and features alone would reach -6 log 2."""
    bits = (np.random.default_rng(0).random((800, 3)) < 0.5).astype(np.float64)
    x = np.concatenate([bits, bits], 1)
    run = jensen.train(x, recipe="made", out=tmp_path / "run", epochs=40, lr=0.01, hidden=(24,))
    estimate = run.evaluate(x[:200], budget=0).estimate
    assert estimate.mean is not None
    assert -3 * math.log(2) - 0.1 < estimate.mean < -3 * math.log(2) + 0.02
