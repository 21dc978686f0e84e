"""The imputer with IterativeImputer's interface: arrays and DataFrames, and equal to the command line's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest

from jensen.cli import main
from jensen.core.errors import CompositionError, DataError
from jensen.sklearn import LatentImputer

FAST = {"threads": 1, "device": "cpu"}


def imputer(**parameters) -> LatentImputer:
    known = {"recipe": "table-gmm", "epochs": 3, "options": {**FAST, "components": 3}, "random_state": 0}
    return LatentImputer(**(known | parameters))


def holed(n: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 1)) * [1.0, 3.0, -2.0] + 0.1 * rng.normal(size=(n, 3))
    x[rng.random(x.shape) < 0.15] = np.nan
    return x


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return holed()


@pytest.fixture(scope="module")
def fitted(x) -> LatentImputer:
    return imputer(add_indicator=True).fit(x)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"sex": rng.choice(["F", "M"], 60), "height": rng.normal(170, 9, 60).round(1), "visits": rng.poisson(4, 60)}
    )
    frame = frame.astype({"visits": "Int64", "sex": "object"}).set_index(pd.Index(range(100, 160)))
    frame.iloc[:5, 0], frame.iloc[3:9, 1], frame.iloc[8:12, 2] = None, np.nan, pd.NA
    return frame


def test_holes_are_filled_and_entries_stay(fitted, x):
    out = fitted.transform(x)
    holes = np.isnan(x)
    assert out.shape == (60, 6)
    np.testing.assert_array_equal(out[:, :3][~holes], x[~holes])
    np.testing.assert_array_equal(out[:, 3:], holes)
    assert np.isfinite(out).all()
    names = fitted.get_feature_names_out(["a", "b", "c"]).tolist()
    assert names == ["a", "b", "c", *(f"missingindicator_{n}" for n in "abc")]
    assert fitted.indicator_.features_.tolist() == [0, 1, 2]
    new = np.array([[1.0, np.nan, -2.0]])
    assert abs(fitted.transform(new)[0, 1] - 3.0) < 2.5


def test_a_number_stands_for_missing_entries(fitted, x):
    marked = np.where(np.isnan(x), -99.0, x)
    other = imputer(missing_values=-99).fit(marked)
    np.testing.assert_allclose(other.transform(marked), fitted.transform(x)[:, :3], rtol=1e-12)
    with pytest.raises(ValueError, match="NaN"):
        other.transform(x)


def test_empty_and_constant_columns(x):
    wide = np.column_stack([x, np.full(60, np.nan), np.where(np.arange(60) % 5 == 0, np.nan, 7.0)])
    out = imputer().fit(wide).transform(wide)
    assert out.shape == (60, 4)
    assert (out[:, 3] == 7.0).all()
    kept = imputer(keep_empty_features=True).fit(wide)
    assert (kept.transform(wide)[:, 3] == 0).all()
    assert kept.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3", "x4"]
    with pytest.raises(DataError, match="nothing to learn"):
        imputer().fit(wide[:, 3:])


def test_draws_differ_from_means_and_between_seeds(fitted, x):
    draws = [imputer(sample_posterior=True, random_state=i).fit(x).transform(x) for i in (0, 1)]
    holes = np.isnan(x)
    assert (draws[0][holes] != draws[1][holes]).all()
    assert (draws[0][holes] != fitted.transform(x)[:, :3][holes]).any()


def test_a_table_of_mixed_kinds_comes_back_with_its_types(people):
    model = imputer(add_indicator=True).fit(people)
    out = model.transform(people)
    assert out.index.equals(people.index)
    assert out["visits"].dtype == people["visits"].dtype
    assert set(out["sex"]) == {"F", "M"}
    assert not out.isna().any().any()
    pd.testing.assert_frame_equal(out.iloc[12:, :3], people.iloc[12:])
    assert out.columns.tolist() == model.get_feature_names_out().tolist()
    assert model.set_output(transform="pandas").transform(people).equals(out)


def test_a_frame_of_numbers_gives_an_array_or_a_frame(x):
    frame = pd.DataFrame(x, columns=["a", "b", "c"], index=range(60, 120))
    model = imputer().fit(frame)
    array = model.transform(frame)
    assert isinstance(array, np.ndarray)
    out = model.set_output(transform="pandas").transform(frame)
    assert out.index.equals(frame.index)
    np.testing.assert_array_equal(out, array)


def test_a_column_that_another_one_tells_is_filled_by_it(x):
    wide = np.column_stack([x, x[:, 1]])
    both = np.isnan(x[:, 1])
    wide[:4, 3] = np.nan
    model = imputer().fit(wide)
    out = model.transform(wide)
    np.testing.assert_array_equal(out[:, 3], out[:, 1])
    np.testing.assert_array_equal(out[~both, 3], x[~both, 1])
    again = model.run_.as_estimator("imputer")
    assert again.n_features_in_ == 4
    np.testing.assert_array_equal(again.transform(wide), out)


def test_whole_numbers_and_truth_values_of_arrays(x):
    flags = np.column_stack([x, np.where(np.isnan(x[:, 0]), np.nan, x[:, 0] > 0)])
    out = imputer().fit(flags).transform(flags)
    assert set(out[:, 3]) == {0.0, 1.0}


def test_the_command_line_gives_the_same(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people.to_csv("people.csv", index=False)
    words = ["train", "people.csv", "--recipe", "table-gmm", "--components", "3", "--epochs", "3", "--seed", "4"]
    assert main([*words, "--threads", "1", "--device", "cpu", "--out", "run", "--quiet"]) in (0, None)
    assert main(["impute", "run", "people.csv", "--out", "filled.csv", "--seed", "4", "--quiet"]) in (0, None)
    frame = pd.read_csv("people.csv")
    out, theirs = imputer(random_state=4).fit_transform(frame), pd.read_csv("filled.csv")
    assert out["sex"].tolist() == theirs["sex"].tolist()
    np.testing.assert_allclose(out[["height", "visits"]].astype(float), theirs[["height", "visits"]], atol=1e-6)


def test_the_command_line_gives_the_same_of_an_array(fitted, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(x).to_csv("x.csv", index=False, header=False)
    words = ["train", "x.csv", "--header", "no", "--recipe", "table-gmm", "--components", "3", "--epochs", "3"]
    assert main([*words, "--threads", "1", "--device", "cpu", "--out", "run", "--quiet"]) in (0, None)
    assert main(["impute", "run", "x.csv", "--out", "filled.csv", "--quiet"]) in (0, None)
    theirs = pd.read_csv("filled.csv", header=None)
    np.testing.assert_allclose(fitted.transform(x)[:, :3], theirs, atol=1e-6)


def test_categories_and_columns_that_identify_rows(people):
    frame = people.assign(sex=people["sex"].astype("category"), id=[f"row {i}" for i in range(60)])
    frame.iloc[2, frame.columns.get_loc("id")] = None
    out = imputer().fit(frame).transform(frame)
    assert out["sex"].dtype == frame["sex"].dtype
    assert not out[["sex", "height", "visits"]].isna().any().any()
    assert out["id"].isna().tolist() == frame["id"].isna().tolist()


def test_polars_gives_numbers(fitted, x):
    table = polars.DataFrame(dict(zip("abc", x.T, strict=True))).with_columns(polars.all().fill_nan(None))
    np.testing.assert_allclose(imputer().fit(table).transform(table), fitted.transform(x)[:, :3], rtol=1e-9)
    with pytest.raises(DataError, match="DataFrame of pandas"):
        imputer().fit(polars.DataFrame({"a": ["u", "v", None], "b": [1.0, 2.0, 3.0]}))


def test_a_recipe_that_needs_complete_rows_is_refused(x):
    with pytest.raises(CompositionError, match="complete rows"):
        imputer(recipe="vae").fit(x)
    with pytest.raises(CompositionError, match="no recipe auto"):
        imputer(recipe="auto").fit(x)
