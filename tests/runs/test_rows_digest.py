"""The digest of rows: of values and holes, whatever their type, place or name."""

from __future__ import annotations

import numpy as np
import pytest

import jensen
from jensen.evaluate import TightnessSettings
from jensen.runs import compare as comparing
from jensen.runs.rows_digest import rows_digest

X = np.arange(12, dtype=np.float64).reshape(4, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_the_type_does_not_count(dtype):
    assert rows_digest(X.astype(dtype)) == rows_digest(X)
    assert rows_digest(np.asfortranarray(X)) == rows_digest(X)


def test_values_order_and_holes_count():
    other, mask = X.copy(), np.ones(X.shape, dtype=bool)
    other[0, 0] = 99
    mask[0, 0] = False
    digests = {rows_digest(X), rows_digest(other), rows_digest(X[::-1]), rows_digest(X, mask), rows_digest(X[:3])}
    assert len(digests) == 5
    assert rows_digest(other, mask) == rows_digest(X, mask)  # a hidden value is none
    assert rows_digest(np.zeros((5000, 2))) != rows_digest(np.zeros((2500, 4)))
    assert rows_digest(-0.0 * X[:1, :1]) == rows_digest(0.0 * X[:1, :1])


def test_the_looseness_of_a_run_whose_data_have_moved(tmp_path):
    """It is found by the rows, wherever these are; not of other rows."""
    x = np.random.default_rng(0).normal(size=(80, 4))
    (tmp_path / "old").mkdir()
    np.save(tmp_path / "old" / "x.npy", x)
    run = jensen.train(
        tmp_path / "old" / "x.npy", out=tmp_path / "run", latent=3, epochs=1, hidden=(8,), seed=0, batch=16
    )
    settings = TightnessSettings(
        rows=8, temperatures=20, leapfrog_steps=3, chains=8, simulated=0, refine=0, prior_chains=0
    )
    evaluation = run.evaluate(settings=settings)
    assert evaluation.assessment.converged
    run.keep(evaluation)
    (tmp_path / "old").rename(tmp_path / "new")
    opened = jensen.load(tmp_path / "run", data=tmp_path / "new" / "x.npy")
    result = comparing.compare(opened, opened)
    assert result.a.scores[0].loss == pytest.approx(evaluation.assessment.loss)
    assert comparing.compare(opened, opened, x[:20]).a.scores[0].loss is None
