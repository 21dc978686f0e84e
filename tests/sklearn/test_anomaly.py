"""The detector: its threshold, and p-values that hold in finite samples and are the command line's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jensen.cli import main
from jensen.core.errors import CompositionError, DataError, UsageError
from jensen.sklearn import LatentAnomalyDetector

FAST = {"threads": 1, "device": "cpu", "components": 2}


def detector(**parameters) -> LatentAnomalyDetector:
    known = {"recipe": "gmm", "epochs": 2, "options": FAST, "random_state": 0}
    return LatentAnomalyDetector(**(known | parameters))


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size=(n, 3))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return rows(400, 0)


@pytest.fixture(scope="module")
def fitted(x) -> LatentAnomalyDetector:
    return detector().fit(x)


def test_the_threshold_is_that_of_the_conformal_p_value(fitted):
    new = rows(3000, 1)
    p, held = fitted.p_values(new), fitted.held_out_scores_
    assert len(held) == 40
    expected = (1 + (held <= fitted.score_samples(new)[:, None]).sum(1)) / 41
    np.testing.assert_allclose(p, expected)
    np.testing.assert_array_equal(fitted.predict(new) == -1, p <= 2 / 41)
    np.testing.assert_allclose(fitted.decision_function(new), fitted.score_samples(new) - fitted.offset_)


def test_false_alarms_are_at_most_one_in_twenty_over_trainings():
    """The rate is at most 0.05 over training and new rows together; its standard error is 0.035 / sqrt(8) = 0.012."""
    rates = [(detector(epochs=1).fit(rows(200, 10 + i)).predict(rows(2000, 50 + i)) == -1).mean() for i in range(8)]
    assert 0.005 < np.mean(rates) < 0.05 + 3 * 0.012


def test_contamination_is_the_share_of_the_training_rows(x):
    model = detector(contamination=0.1)
    assert (model.fit_predict(x) == -1).mean() == pytest.approx(0.1)
    for bad in (0, 0.6, True, "some", None):
        with pytest.raises(UsageError, match="contamination must be"):
            detector(contamination=bad).fit(x)


def test_without_held_out_rows_there_are_no_p_values(x):
    model = detector(options={**FAST, "split": "1,0,0"}).fit(x)
    assert model.held_out_scores_ is None
    assert (model.predict(x) == -1).mean() == pytest.approx(0.05)
    with pytest.raises(DataError, match="no rows were held out"):
        model.p_values(x)


def test_a_recipe_of_labels_is_refused(x):
    with pytest.raises(CompositionError, match="labels"):
        detector(recipe="conditional", options=None).fit(x)


def test_the_command_line_gives_the_same(fitted, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    np.save("new.npy", rows(50, 3))
    words = ["train", "x.npy", "--recipe", "gmm", "--components", "2", "--epochs", "2", "--threads", "1"]
    assert main([*words, "--device", "cpu", "--out", "run", "--quiet"]) in (0, None)
    assert main(["score", "run", "new.npy", "--out", "scores.csv", "--no-columns", "--quiet"]) in (0, None)
    theirs, new = pd.read_csv("scores.csv"), rows(50, 3)
    np.testing.assert_allclose(fitted.score_samples(new), theirs["log_px"], rtol=1e-6)
    np.testing.assert_allclose(fitted.p_values(new), theirs["p_value"], atol=1e-6)
