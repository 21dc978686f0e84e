"""A run of a mixed table with holes: trained, evaluated, resumed to the byte, from a file and from a DataFrame."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import jensen
from jensen.core.errors import DataError, InterruptedRun, UsageError
from jensen.recipes import RecipeContext, find
from jensen.runs.compare import compare
from jensen.runs.default_recipe import default_recipe
from jensen.runs.verify import verify
from jensen.training import Optimizer

SMALL = {"latent": 2, "hidden": (8,), "points": 2, "epochs": 3, "batch": 64}


def write_table(path: Path, n: int = 120, factor: float = 1.0) -> Path:
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["height", "sex", "colour", "visits"])
        for _ in range(n):
            sex = rng.choice(["F", "M"])
            height = repr((1.65 if sex == "F" else 1.78) * factor + float(rng.normal(0, 0.07)) * factor)
            row = [height, sex, rng.choice(["red", "green", "blue"]), str(rng.poisson(30))]
            lines.writerow([cell if rng.random() > 0.1 else "" for cell in row])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("mixed") / "people.csv")


@pytest.fixture(scope="module")
def run(table):
    return jensen.train(table, recipe="table", out=table.parent / "run", **SMALL)


def test_a_table_with_holes_is_trained_and_evaluated_in_its_own_units(run, table):
    kinds = [c.kind for c in run.schema.columns]
    assert run.schema.kind == "mixed"
    assert kinds[1:3] == ["boolean", "categorical"]
    assert run.spec["data"]["missing"] > 0
    evaluation = run.evaluate(k=20)
    assert str(evaluation.estimate.kind) == "stochastic lower bound"
    shift = run.part("test").shift
    scale = run.preparation.scale
    mask = run.part("test").mask
    np.testing.assert_allclose(shift.numpy(), -(mask @ np.log(scale)))


def test_large_whole_numbers_have_masses_and_are_drawn_whole(tmp_path):
    """log p(x) of numbers near 10^12 is that of the same about 0, to 1e-3 nats; none is drawn below zeros."""
    rng = np.random.default_rng(0)
    near, revenue = rng.integers(-5000, 5000, 150), rng.integers(10**6, 10**9, 150)
    frame = pd.DataFrame({"n": near, "revenue": np.where(rng.random(150) < 0.3, 0, revenue), "x": rng.normal(size=150)})
    far = frame.assign(n=frame["n"] + 10**12)
    runs = [
        jensen.train(data, recipe="table-gmm", out=tmp_path / str(i), epochs=5) for i, data in enumerate((frame, far))
    ]
    assert [c.kind for c in runs[1].schema.columns] == ["integer", "integer", "real"]
    scores = [run.evaluate(data.iloc[:40]).estimate.mean for run, data in zip(runs, (frame, far), strict=True)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    drawn = runs[1].sample(500)
    assert (drawn.dtypes == far.dtypes).all()
    assert drawn["revenue"].min() == 0
    assert (drawn["n"] - 10**12).abs().max() < 10**5


def test_an_evaluation_is_repeated(run):
    run.keep(run.evaluate(k=5))
    assert verify(run).holds


@pytest.mark.slow
def test_the_same_numbers_from_a_dataframe(run, table, tmp_path):
    frame = pd.read_csv(table)
    other = jensen.train(frame, recipe="table", out=tmp_path / "run", **SMALL)
    assert [c.kind for c in other.schema.columns] == [c.kind for c in run.schema.columns]
    assert other.evaluate(k=5).estimate.mean == pytest.approx(run.evaluate(k=5).estimate.mean, abs=1e-9)
    rows = run.evaluate(frame[frame.columns[::-1]].iloc[:30], k=5)  # by name, whatever their order
    assert rows.estimate.mean == pytest.approx(other.evaluate(frame.iloc[:30], k=5).estimate.mean, abs=1e-9)


@pytest.mark.slow
def test_resumed_to_the_byte(run, table, tmp_path):
    steps = iter(range(100))
    with pytest.raises(InterruptedRun):
        jensen.train(table, recipe="table", out=tmp_path / "run", should_stop=lambda: next(steps) > 2, **SMALL)
    jensen.resume(tmp_path / "run")
    name = "model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (run.path / name).read_bytes()


@pytest.mark.slow
def test_a_mixture_is_exact_and_compared(run, table, tmp_path):
    mixture = jensen.train(table, recipe="table-gmm", components=2, epochs=2, out=tmp_path / "run")
    assert str(mixture.evaluate(budget=0.0).estimate.kind) == "exact"
    assert mixture.doctor().findings is not None
    comparison = compare(run, mixture, k=10)
    assert comparison.measure == "density"
    assert len(comparison.differences) == len(run.part("test").x)


@pytest.mark.slow
def test_any_factorised_likelihood_has_columns(table, tmp_path):
    options = {"latent": 2, "hidden": (8,), "epochs": 1}
    vae = jensen.train(table, recipe="vae", likelihood="columns", out=tmp_path / "run", **options)
    assert vae.schema.kind == "mixed"
    assert np.isfinite(vae.evaluate(k=3).estimate.mean)


def test_the_recipe_follows_the_data(tmp_path):
    table = write_table(tmp_path / "few.csv", 80)
    name, sources, why = default_recipe(table, {})
    assert name == "table-gmm"  # of so few rows
    assert sources is not None
    assert sources.dataset is not None
    assert sources.dataset.schema.kind == "mixed"
    assert "missing entries" in str(why)
    assert default_recipe(pd.read_csv(write_table(tmp_path / "more.csv", 500)), {})[0] == "table"
    plain = tmp_path / "plain.csv"
    plain.write_text("a,b\n" + "".join(f"{i / 7},{i / 3 - 2}\n" for i in range(40)))
    assert default_recipe(plain, {}) == ("vae", None, None)
    assert default_recipe("digits", {}) == ("vae", None, None)
    assert default_recipe(table, {"likelihood": "columns"})[0] == "vae"
    name, _, why = default_recipe(table, {"latent": 4, "epochs": 2})
    assert name == "table"  # a mixture has no latent features of that name
    assert why is not None
    assert "--latent: --recipe table" in why
    assert default_recipe(tmp_path / "more.csv", {"components": 3})[0] == "table-gmm"


def test_what_a_mixed_run_refuses(run, table, tmp_path):
    frame = pd.read_csv(table)
    with pytest.raises(DataError, match="height"):
        run.evaluate(frame.drop(columns="height"), k=2)
    with pytest.raises(UsageError, match="no such column"):
        jensen.train(table, recipe="table", families="weight=gaussian", out=tmp_path / "a", **SMALL)
    with pytest.raises(UsageError, match="each by its kind"):
        jensen.train(table, recipe="table", standardize="feature", out=tmp_path / "b", **SMALL)


@pytest.mark.slow
def test_one_component_has_the_frequencies_of_ordered_levels(tmp_path):
    """They are its most likely parameters: exact at the start, which steps of Adam stay within a rate of."""
    rng = np.random.default_rng(0)
    grades = rng.choice(5, 200, p=[0.02, 0.03, 0.05, 0.2, 0.7])
    table = pd.DataFrame({"grade": pd.Categorical.from_codes(grades, list("abcde"), ordered=True)})
    table["size"] = rng.normal(size=200).round(3)
    run = jensen.train(table, recipe="table-gmm", components=1, epochs=1, batch=1000, out=tmp_path / "run")
    assert run.schema.columns[0].kind == "ordinal"
    rows = run.part("train")
    counts = np.bincount(rows.x[:, 0].astype(int), minlength=5)
    context = RecipeContext(run.schema, torch.zeros(2), torch.ones(2), rows.rows, 1, Optimizer())
    start = find("table-gmm")(context, components=1).model
    for model, error in ((start, 1e-6), (run.model, 1e-3)):
        params = model.likelihood.params(torch.ones(1, 1).to(model.prior.value))
        shares = model.likelihood.family.summary(params)[0, model.likelihood.family.summary_slices[0]]
        np.testing.assert_allclose(shares.detach().numpy(), counts / counts.sum(), rtol=0, atol=error)
