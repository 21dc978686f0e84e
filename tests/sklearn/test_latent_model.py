"""The model as a transformer and a density: in pipelines and searches, and equal to the command line's."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import jensen
from jensen.cli import main
from jensen.core.errors import CompositionError, DataError, UsageError
from jensen.sklearn import LatentModel

FAST = {"threads": 1, "device": "cpu"}
NETS = {**FAST, "hidden": (8,)}
RECORDED = ["--threads", "1", "--device", "cpu", "--quiet"]


def numbers(n: int = 80, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(n, 4))) * [1, 10, 0.1, 3] + 5


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return numbers()


@pytest.fixture(scope="module")
def linear(x) -> LatentModel:
    return LatentModel("ppca", latent=2, epochs=1, options=FAST, random_state=0).fit(x)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"height": rng.normal(170, 9, 60).round(1), "sex": rng.choice(["F", "M"], 60)})
    frame.loc[:4, "height"] = np.nan
    return frame


def test_scores_are_of_the_data_in_their_own_units(linear, x):
    p, prep = linear.run_.model.likelihood, linear.run_.preparation
    W, b, noise = (t.detach().numpy() for t in (p.W, p.b, p.noise_variance))
    W, noise = W * prep.scale, noise * np.ones(4) * prep.scale**2
    density = multivariate_normal(b * prep.scale + prep.center, W @ W.T + np.diag(noise))
    np.testing.assert_allclose(linear.score_samples(x), density.logpdf(x), atol=1e-6)
    assert linear.score(x) == pytest.approx(linear.score_samples(x).mean())


def test_codes_and_their_inverse_are_those_of_the_run(linear, x):
    z = linear.transform(x)
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, linear.run_.encode(x), atol=1e-12)
    np.testing.assert_allclose(linear.inverse_transform(z), linear.run_.reconstruct(x), rtol=1e-6)
    assert linear.sample(3).shape == (3, 4)
    np.testing.assert_array_equal(linear.sample(3), linear.sample(3))
    with pytest.raises(DataError, match="latent space 2"):
        linear.inverse_transform(z[:, :1])


def test_a_row_alone_has_the_code_that_it_has_among_others(x):
    model = LatentModel("vae", latent=2, epochs=1, options=NETS, random_state=0).fit(x)
    together = model.transform(x[:20])
    for i in range(20):
        np.testing.assert_array_equal(model.transform(x[i : i + 1])[0], together[i])


def test_names_and_set_output(linear, x):
    assert linear.get_feature_names_out().tolist() == ["latentmodel0", "latentmodel1"]
    frame = pd.DataFrame(x, columns=list("abcd"), index=range(100, 180))
    model = clone(linear).set_output(transform="pandas").fit(frame)
    codes = model.transform(frame)
    assert codes.index.equals(frame.index)
    assert model.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(codes, linear.transform(x), atol=1e-10)
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_allclose(model.transform(x), codes, atol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[["b", "a", "c", "d"]])


def test_grid_search_over_recipe_and_latent_in_a_pipeline(x):
    steps = Pipeline([("scale", StandardScaler()), ("model", LatentModel(epochs=1, options=FAST, random_state=0))])
    grid = {"model__recipe": ["ppca", "factor-analysis"], "model__latent": [1, 2]}
    search = GridSearchCV(steps, grid, cv=2, error_score="raise").fit(x)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_params_["model__latent"] == 2
    assert search.score(x) == pytest.approx(search.best_estimator_.score_samples(x).mean())


def test_column_transformer(x):
    frame = pd.DataFrame(x, columns=list("abcd"))
    model = LatentModel("ppca", latent=1, epochs=1, options=FAST)
    both = ColumnTransformer([("codes", model, ["a", "b", "c"])], remainder="passthrough")
    out = both.set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["codes__latentmodel0", "remainder__d"]


def test_parameters_are_cloned_and_set(x):
    model = LatentModel("vae", latent=3, options={"hidden": (8,)})
    twin = clone(model).set_params(latent=1, options={"hidden": (4,)}, epochs=1)
    assert (model.latent, twin.latent, twin.options) == (3, 1, {"hidden": (4,)})
    assert twin.set_params(options=NETS).fit(x).run_.model.latent == 1


@pytest.mark.parametrize("recipe", ["ppca", "vae"])
def test_the_command_line_gives_the_same(recipe, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    nets = ["--hidden", "8"] if recipe == "vae" else []
    words = ["train", "x.npy", "--recipe", recipe, "--latent", "3", "--epochs", "2", "--seed", "7", "--out", "run"]
    assert main([*words, *nets, *RECORDED]) in (0, None)
    assert main(["encode", "run", "x.npy", "--out", "codes.npy", "--seed", "7", "--quiet"]) in (0, None)
    assert main(["score", "run", "x.npy", "--out", "scores.csv", "--no-columns", "--seed", "7", "--quiet"]) in (0, None)
    options = NETS if recipe == "vae" else FAST
    model = LatentModel(recipe, latent=3, epochs=2, options=options, random_state=7).fit(x)
    np.testing.assert_allclose(model.transform(x), np.load("codes.npy"), rtol=1e-6, atol=1e-6)
    scores = pd.read_csv("scores.csv")
    column = next(name for name in scores if name.startswith("log_px"))
    np.testing.assert_allclose(model.score_samples(x), scores[column], rtol=1e-6)


@pytest.mark.slow
def test_a_search_over_recipe_and_latent_is_what_the_command_line_finds(x, tmp_path, monkeypatch):
    """Every score of a search with a scaler, by fold, and the codes of the best: those of `jensen train`, to 1e-6."""
    monkeypatch.chdir(tmp_path)
    model = LatentModel(epochs=2, options=NETS, random_state=3)
    grid = {"model__recipe": ["vae", "mixture-prior"], "model__latent": [1, 2]}
    folds = KFold(2, shuffle=True, random_state=0)
    steps = Pipeline([("scale", StandardScaler()), ("model", model)])
    search = GridSearchCV(steps, grid, cv=folds, error_score="raise").fit(x)

    def trained(recipe: str, latent: int, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        scaler = StandardScaler().fit(rows)
        np.save("rows.npy", scaler.transform(rows))
        np.save("others.npy", scaler.transform(others))
        words = ["train", "rows.npy", "--recipe", recipe, "--latent", latent, "--epochs", 2, "--hidden", 8, "--seed", 3]
        assert main([*map(str, words), *RECORDED, "--out", "run", "--force"]) == 0
        score = [
            "score",
            "run",
            "others.npy",
            "--out",
            "scores.csv",
            "--no-columns",
            "--seed",
            "3",
            "--quiet",
            "--force",
        ]
        assert main([*map(str, score)]) == 0
        scores = pd.read_csv("scores.csv").sort_values("row")
        return scores[next(name for name in scores if name.startswith("log_px"))].to_numpy()

    for i, chosen in enumerate(search.cv_results_["params"]):
        for j, (train, test) in enumerate(folds.split(x)):
            scores = trained(chosen["model__recipe"], chosen["model__latent"], x[train], x[test])
            assert search.cv_results_[f"split{j}_test_score"][i] == pytest.approx(scores.mean(), abs=1e-6)
    best = search.best_params_
    trained(best["model__recipe"], best["model__latent"], x, x)
    assert main(["encode", "run", "others.npy", "--out", "codes.npy", "--seed", "3", "--quiet"]) == 0
    np.testing.assert_allclose(search.best_estimator_.transform(x), np.load("codes.npy"), rtol=1e-6, atol=1e-6)


def test_auto_reads_a_table_of_mixed_kinds(people):
    model = LatentModel(latent=1, epochs=1, options={**NETS, "points": 1}, random_state=0)
    model.fit(people)
    assert model.run_.spec["command"]["recipe"] == "table"
    assert model.transform(people).shape == (60, 1)
    assert model.inverse_transform([[0.0]]).columns.tolist() == ["height", "sex"]
    assert set(model.sample(5)["sex"]) <= {"F", "M"}


@pytest.mark.slow
def test_the_command_line_gives_the_same_of_a_table(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people.to_csv("people.csv", index=False)
    words = ["train", "people.csv", "--latent", "2", "--epochs", "3", "--hidden", "8", "--points", "2", "--out", "run"]
    assert main([*words, *RECORDED]) in (0, None)
    assert main(["encode", "run", "people.csv", "--out", "codes.csv", "--quiet"]) in (0, None)
    assert main(["score", "run", "people.csv", "--out", "scores.csv", "--no-columns", "--quiet"]) in (0, None)
    model = LatentModel(latent=2, epochs=3, options={**NETS, "points": 2}, random_state=0)
    frame = pd.read_csv("people.csv")
    codes, scores = pd.read_csv("codes.csv"), pd.read_csv("scores.csv")
    np.testing.assert_allclose(model.fit(frame).transform(frame), codes[["z1", "z2"]], rtol=1e-5, atol=1e-6)
    column = next(name for name in scores if name.startswith("log_px"))
    np.testing.assert_allclose(model.score_samples(frame), scores[column], rtol=1e-6)


def test_sparse_and_infinite_rows_are_refused(linear, x):
    for use in (clone(linear).fit, linear.transform):
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            use(csr_array(x))
        with pytest.raises(ValueError, match="infinity"):
            use(np.where(x > 10, np.inf, x))


def test_refusals_name_the_parameter(x):
    with pytest.raises(UsageError, match="no recipe 'vea'"):
        LatentModel("vea").fit(x)
    with pytest.raises(UsageError, match="recipe must be a name"):
        LatentModel(3).fit(x)
    with pytest.raises(UsageError, match="random_state"):
        LatentModel("ppca", options={"seed": 1}).fit(x)
    with pytest.raises(UsageError, match="'latent', which is set by latent"):
        LatentModel("ppca", options={"latent": 1}).fit(x)
    with pytest.raises(CompositionError, match="label"):
        LatentModel("conditional").fit(x, np.zeros(80))


def test_labels_reach_a_recipe_that_learns_from_some(x):
    y = np.where(np.arange(80) % 3 == 0, -1, np.arange(80) % 2)
    model = LatentModel("semi-supervised", latent=1, epochs=1, options=NETS, random_state=0).fit(x, y)
    assert len(model.run_.classes) == 2


def test_threads_change_neither_results_nor_global_state(x):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = LatentModel("vae", latent=2, epochs=3, options=NETS)
    models = [clone(model).set_params(random_state=i) for i in (1, 2, 1)]
    with ThreadPoolExecutor(3) as pool:
        codes = list(pool.map(lambda each: each.fit(x).transform(x), models))
    np.testing.assert_array_equal(codes[0], codes[2])
    np.testing.assert_array_equal(codes[1], clone(models[1]).fit(x).transform(x))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_the_front_door_opens_the_room():
    assert jensen.sklearn.LatentModel is LatentModel


def test_progress_and_notices_are_shown_where_they_are_asked_for(capsys, monkeypatch):
    """Notices are of level INFO, and warnings beside a line of progress; a wrong value is refused before training."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=60), "b": ["x", "y", None] * 20})  # missing cells are told
    log, texts = logging.getLogger("jensen"), {}
    for progress in (False, True):
        said: list[int] = []
        for level, name in ((logging.INFO, "info"), (logging.WARNING, "warning")):
            monkeypatch.setattr(log, name, lambda text, level=level, said=said: said.append(level))
        LatentModel("table-gmm", epochs=1, progress=progress, random_state=0, options=FAST).fit(x)
        assert set(said) == {logging.WARNING if progress else logging.INFO}
        texts[progress] = capsys.readouterr().err
    assert "trained: epoch 1/1" in texts[True]
    assert "trained" not in texts[False]
    with pytest.raises(UsageError, match="progress must be"):
        LatentModel("vae", progress="yes").fit(x)
