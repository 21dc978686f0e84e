"""What findings need to know of a training: the bound, the steps, and the score of the uniform distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jensen
from jensen.runs.trained import trained

RNG = np.random.default_rng(0)
REAL, BITS = RNG.normal(size=(60, 4)), (RNG.random((60, 4)) < 0.5).astype(np.uint8)
LEVELS = np.vstack([RNG.integers(0, 9, (59, 4)), np.full((1, 4), 8)])


@pytest.mark.parametrize(
    ("data", "options", "points", "uniform"),
    [
        (REAL, {"recipe": "vae"}, 1, None),
        (REAL, {"recipe": "miwae", "points": 7}, 7, None),
        (BITS, {"recipe": "iwae", "points": 5}, 5, -4 * math.log(2)),
        (LEVELS, {"recipe": "vae"}, 1, -4 * math.log(9)),
        (LEVELS, {"recipe": "vae", "dequantize": True}, 1, -4 * math.log(9)),
    ],
)
def test_a_training_is_described(data, options, points, uniform, tmp_path):
    run = jensen.train(data, out=tmp_path / "run", latent=2, hidden=(4,), epochs=3, batch=24, **options)
    found = trained(run)
    assert (found.run, found.points, found.steps) == (str(run.path), points, 6)  # 48 rows
    assert found.uniform == (None if uniform is None else pytest.approx(uniform))


def test_lines_say_of_which_bound_rate_and_distortion_are_parts(tmp_path):
    from jensen.cli.evaluation_lines import evaluation_lines
    from jensen.cli.train import outcome

    options = {"latent": 2, "hidden": (4,), "epochs": 2}
    weighted = jensen.train(REAL, recipe="iwae", points=5, out=tmp_path / "iwae", **options)
    plain = jensen.train(REAL, recipe="vae", out=tmp_path / "vae", **options)
    for run, points in ((weighted, 5), (plain, 1)):
        assert outcome(run)["weighted_points"] == points
        lines = "\n".join(evaluation_lines(run.evaluate(k=10)))
        assert ("trained by the importance-weighted bound with K = 5" in lines) == (points == 5)


def test_no_model_of_noise_is_better_than_uniform(tmp_path):
    """The cross-entropy of any model is at least the entropy of the data, D log(levels); told without an evaluation."""
    noise = RNG.integers(0, 256, (60, 8, 8)).astype(np.uint8)
    run = jensen.train(noise, recipe="vae", latent=2, hidden=(4,), out=tmp_path / "run", epochs=1)
    assert run.schema.levels == 256
    assert "worse-than-uniform" in {f.name for f in run.doctor().problems}
