"""The detector: its threshold, its measures, and p-values that hold in finite samples and are the command line's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jensen.cli import main
from jensen.core.errors import CompositionError, DataError, UsageError
from jensen.sklearn import LatentAnomalyDetector, load

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


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("measure", ["log_prob", "typicality"])
def test_false_alarms_are_as_frequent_as_the_p_values_say(of_many, measure, level):
    """Given M = 199 held-out rows the rate at j / (M + 1) is Beta(j, M + 1 - j): its standard error, and the binomial
    one of 3,000 new rows. All three levels are on the grid."""
    model, new = of_many[measure], rows(3000, 5)
    assert len(model.held_out_scores_) == 199
    error = np.sqrt(level * (1 - level) * (1 / len(new) + 1 / 201))
    assert abs((model.p_values(new) <= level + 1e-9).mean() - level) < 3 * error


@pytest.fixture(scope="module")
def of_many() -> dict[str, LatentAnomalyDetector]:
    split = {**FAST, "split": (300 / 599, 100 / 599, 199 / 599)}
    return {m: detector(measure=m, options=split).fit(rows(599, 0)) for m in ("log_prob", "typicality")}


def test_typicality_finds_rows_that_are_too_likely(of_many):
    """Of a single number: the mode of a distribution in three dimensions is nearly as typical as others."""
    model = of_many["typicality"]
    likely = of_many["log_prob"].score_samples(rows(50, 3))
    np.testing.assert_allclose(model.score_samples(rows(50, 3)), -np.abs(likely + model.entropy_))
    assert of_many["log_prob"].entropy_ is None


def test_the_measures_are_those_of_the_command_line(x):
    model = detector(recipe="vae", latent=1, epochs=1, measure="regret", options={"hidden": (4,)}).fit(x)
    scores = model.run_.score(rows(20, 3), measures=["regret"], columns=False, k=5).measures["regret"]
    np.testing.assert_allclose(model.score_samples(rows(20, 3)), -scores.values)
    np.testing.assert_allclose(model.p_values(rows(20, 3)), scores.p_value)
    with pytest.raises(UsageError, match="measure must be one of log_prob, typicality, regret"):
        detector(measure="likelihood").fit(x)
    with pytest.raises(CompositionError, match="regret is 0 for every row"):
        detector(measure="regret").fit(x)


def test_rows_with_holes_are_compared_with_whole_ones(tmp_path):
    """An ordinary cell that is emptied leaves its row nearly as odd; log p of the others is higher by some nats."""
    holed = pd.DataFrame(np.round(rows(200, 0), 2), columns=["a", "b", "c"])
    holed.loc[::4, "b"] = np.nan
    model = detector(recipe="table-gmm").fit(holed)
    whole = pd.DataFrame([[0.0, 9.0, 0.0], [0.1, 0.2, -0.1]], columns=["a", "b", "c"])
    emptied = whole.assign(b=np.nan)
    scores = model.run_.score(emptied)
    np.testing.assert_allclose(model.score_samples(emptied), scores.compared, rtol=1e-6)
    np.testing.assert_allclose(model.score_samples(emptied), scores.log_px + model.hole_offsets_[1], rtol=1e-6)
    again = load(model.save(tmp_path / "saved"))
    np.testing.assert_allclose(again.score_samples(emptied), scores.compared, rtol=1e-6)
    assert model.score_samples(whole)[0] < scores.compared.min() - 3


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


def test_plain_numbers_have_clusters_and_columns_with_an_atom_a_floor(x):
    pixels = np.where(rows(250, 4) < 1, 0.0, rows(250, 4))
    short = {"threads": 1, "device": "cpu", "hidden": (4,)}

    def chosen(data: object, **options: object) -> tuple[str, object]:
        model = LatentAnomalyDetector(epochs=1, latent=1, options={**short, **options}, random_state=0).fit(data)
        command = model.run_.spec["command"]
        return command["recipe"], command["floor"]

    assert chosen(x) == ("mixture-prior", None)
    assert chosen(x[:150]) == ("vae", None)
    assert chosen(x, points=2) == ("vae", None)  # an option that the other does not have
    assert chosen(np.column_stack([pixels, np.full(250, 7.0)])) == ("mixture-prior", 0.3)
    assert chosen(pixels, floor=0.2) == ("mixture-prior", 0.2)
    assert chosen((pixels > 1).astype(float)) == ("mixture-prior", None)
    holed = pd.DataFrame(x[:, :2], columns=["a", "b"])
    holed.loc[::5, "a"] = np.nan
    assert chosen(holed, points=1)[0] == "table"
