"""Runs of cells: batches as a condition, cells in memory, normalised expression and genes that differ."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.core.errors import CompositionError, DataError, InterruptedRun, UsageError

anndata = pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)

N, GENES = 240, ("Gad2", "Sst", "Vip", "Pvalb", "Mki67", "Actb")
SMALL = {
    "likelihood": "poisson",
    "latent": 2,
    "hidden": (8,),
    "epochs": 40,
    "batch": 60,
    "lr": 2e-2,
    "checkpoints": 0,
    "patience": None,
}


def simulated(seed: int = 0) -> anndata.AnnData:
    """Cells of two types and two batches: type B has six times as much of Sst, and the second batch sees less Vip."""
    rng = np.random.default_rng(seed)
    kind, batch = rng.integers(2, size=N), rng.integers(2, size=N)
    rate = np.tile([6.0, 4.0, 9.0, 5.0, 8.0, 120.0], (N, 1))
    rate[:, 1] *= np.where(kind == 1, 6.0, 1.0)
    rate[:, 2] *= np.where(batch == 1, 0.25, 1.0)
    x = rng.poisson(rate * rng.lognormal(0, 0.3, (N, 1))).astype(np.float32)
    obs = pd.DataFrame(
        {"type": np.array(["A", "B"], object)[kind], "run": np.array(["first", "second"], object)[batch]},
        index=pd.Index([f"cell{i}" for i in range(N)], dtype=object),
    )
    return anndata.AnnData(x, obs, pd.DataFrame(index=pd.Index(GENES, dtype=object)), layers={"double": 2 * x})


@pytest.fixture(autouse=True)
def texts_as_objects():
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        yield


def write(cells: anndata.AnnData, path) -> str:
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        cells.write_h5ad(path)
    return str(path)


@pytest.fixture(scope="module")
def cells():
    with (
        warnings.catch_warnings(action="ignore"),
        pd.option_context("future.infer_string", False),
    ):  # texts as objects, which every release of anndata writes
        return simulated()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("expression")


@pytest.fixture(scope="module")
def path(cells, folder):
    return write(cells.copy(), folder / "cells.h5ad")


@pytest.fixture(scope="module")
def run(path, folder):
    return jensen.train(path, recipe="count-vae", batch_key="run", out=folder / "run", **SMALL)


def test_a_run_records_its_batches(run, path):
    assert (run.batch_key, run.classes.called, run.classes.names) == ("run", "batch", ("first", "second"))
    assert str(run.quantity) == "log p(x | batch)"
    assert "that sees the context" in run.sentence
    again = jensen.load(run.path)
    assert again.evaluate(k=20).estimate.mean == run.evaluate(k=20).estimate.mean
    assert run.spec["command"]["batch_key"] == "run"


def test_the_same_numbers_from_memory_as_from_the_file(run, cells, path, folder):
    held = jensen.train(cells.copy(), recipe="count-vae", batch_key="run", out=folder / "held", **SMALL)
    assert held.spec["data"]["sha256"] == run.spec["data"]["sha256"]
    np.testing.assert_array_equal(held.encode(cells.copy()), run.encode(path))
    np.testing.assert_array_equal(run.encode(cells.copy()), run.encode(path))
    some = cells[:50].copy()
    few = write(some.copy(), folder / "few.h5ad")
    np.testing.assert_array_equal(
        run.score(some, k=20, columns=False).log_px, run.score(few, k=20, columns=False).log_px
    )
    a, b = (run.normalized_expression(data, draws=2) for data in (some, few))
    pd.testing.assert_frame_equal(a, b)
    assert list(a.index) == list(some.obs_names)
    assert list(a.columns) == list(GENES)
    double = jensen.train(
        cells.copy(), recipe="count-vae", layer="double", out=folder / "double", **SMALL | {"epochs": 1}
    )
    assert double.dataset().x.max() == 2 * cells.X.max()
    with pytest.raises(DataError, match="It has double"):
        jensen.train(cells.copy(), recipe="count-vae", layer="raw", out=folder / "none")


def test_batches_that_are_not_known_are_refused(run, cells, folder):
    third, none = cells[:20].copy(), cells[:20].copy()
    third.obs["run"] = "third"
    del none.obs["run"]
    with pytest.raises(DataError, match=r"batch 'third'.*Its batches are first, second"):
        run.encode(third)
    with pytest.raises(UsageError, match="no column 'run'"):
        run.encode(none)
    with pytest.raises(DataError, match="'run'"):  # and no other column takes its place
        run.encode(write(none, folder / "none.h5ad"))
    with pytest.raises(UsageError, match="Choose from first, second"):
        run.normalized_expression(cells.copy(), batch="third")
    with pytest.raises(UsageError, match="Choose from first, second"):
        run.sample(2, label="third")
    assert run.encode(none, labels=np.array(["second"] * 20)).shape == (20, 3)


def test_batches_are_of_recipes_that_take_them(cells, folder):
    with pytest.raises(UsageError, match="count-vae"):
        jensen.train(cells.copy(), recipe="vae", batch_key="run", out=folder / "vae")
    with pytest.raises(UsageError, match="exclude each other"):
        jensen.train(cells.copy(), recipe="count-vae", batch_key="run", labels="type", out=folder / "both")
    with pytest.raises(UsageError, match="nosuch"):
        jensen.train(cells.copy(), recipe="count-vae", batch_key="nosuch", out=folder / "nosuch")
    made = jensen.train(cells.copy(), batch_key="run", sees_batch=False, out=folder / "blind", **SMALL | {"epochs": 1})
    assert made.spec["command"]["recipe"] == "count-vae"
    assert made.guide.context is False
    assert made.model.likelihood.context is True
    table = cells.to_df().assign(run=cells.obs["run"].to_numpy())
    named = jensen.train(table, recipe="count-vae", batch_key="run", out=folder / "table", **SMALL | {"epochs": 1})
    assert named.encode(table).shape == (N, 3)


def test_a_stopped_training_goes_on_with_its_batches(path, folder):
    import itertools

    counter, how = itertools.count(), SMALL | {"epochs": 4}
    whole = jensen.train(path, recipe="count-vae", batch_key="run", out=folder / "whole", **how)
    with pytest.raises(InterruptedRun):
        jensen.train(
            path, recipe="count-vae", batch_key="run", out=folder / "part", should_stop=lambda: next(counter) > 5, **how
        )
    resumed = jensen.resume(folder / "part")
    np.testing.assert_array_equal(resumed.encode(path), whole.encode(path))


def test_expression_has_no_size_and_transforms_batches(run, cells):
    x = run.normalized_expression(cells.copy(), size=1e4, draws=3)
    np.testing.assert_allclose(x.sum(axis=1), 1e4, rtol=1e-6)
    first, second, both = (
        run.normalized_expression(cells.copy(), batch=batch, draws=3)
        for batch in ("first", "second", ["first", "second"])
    )
    np.testing.assert_allclose(both, (first + second) / 2)
    assert 2 < (first["Vip"] / second["Vip"]).mean() < 6  # 4.0 but for the other genes' shares
    means = [run.reconstruct(cells.copy(), batch=batch)[:, 2].mean() for batch in ("first", "second")]
    assert means[0] > 1.5 * means[1]


def test_genes_that_differ_are_those_that_were_made_to(run, cells, path):
    how = {"cells": 20, "pairs": 200, "delta": 1.0}
    drawn = run.differential_expression(path, ("type", "B", "A"), **how)
    assert drawn.table["gene"][0] == "Sst"
    assert [g for g, c in zip(drawn.genes, drawn.called, strict=True) if c] == ["Sst"]
    assert drawn.batches == ("first", "second")
    i = drawn.genes.index("Sst")
    assert 1.0 < drawn.changes.lfc[i] < 2.6  # log2(6) = 2.6, less what few epochs leave
    masks = tuple((cells.obs["type"] == t).to_numpy() for t in "BA")
    np.testing.assert_array_equal(
        run.differential_expression(cells.copy(), masks, **how).changes.lfc, drawn.changes.lfc
    )
    rest = run.differential_expression(cells.copy(), ("type", "B", "rest"), **how)
    np.testing.assert_array_equal(rest.changes.lfc, drawn.changes.lfc)
    # batches as groups: Vip differs between them, unless both cells are decoded at the same batch
    own = run.differential_expression(path, ("run", "first", "second"), corrected=False, **how)
    both = run.differential_expression(path, ("run", "first", "second"), **how)
    assert own.table["gene"][0] == "Vip"
    assert abs(both.changes.lfc[2]) < 0.5 < own.changes.lfc[2]
    assert set(drawn.frame.columns) == set(drawn.table)


def test_changes_are_set_beside_those_of_the_data(run, cells, path):
    how = {"cells": 20, "pairs": 200, "delta": 1.0, "offset": 0.01}
    drawn = run.differential_expression(path, ("type", "B", "A"), **how)
    x, b = np.asarray(cells.X, float), (cells.obs["type"] == "B").to_numpy()
    share = x / x.sum(1, keepdims=True)
    expected = np.log2(share[b].mean(0) + 0.01) - np.log2(share[~b].mean(0) + 0.01)
    np.testing.assert_allclose(drawn.observed, expected, rtol=1e-10)
    assert drawn.table["lfc_data"][0] == drawn.observed[1]  # Sst, the most probable
    assert not any("explains little" in note for note in drawn.notes)
    lanes = run.differential_expression(path, ("run", "first", "second"), **how)  # which the model decodes alike
    assert any("of 1 gene that" in note and "--uncorrected" in note for note in lanes.notes)
    with pytest.raises(UsageError, match="Leave one of them out"):
        run.differential_expression(path, ("type", "B", "A"), batches="first", corrected=False)


def test_groups_that_are_none_are_refused(run, cells, path, folder):
    for groups, match in (
        (("type", "B", "C"), "There are A, B"),
        (("type", "B", "B"), "share"),
        ((np.ones(N, bool), np.zeros(N, bool)), "group B has no data"),
        ((np.ones(3, bool), np.ones(3, bool)), "mask of 240 rows"),
        (("type",), "two masks"),
    ):
        with pytest.raises(UsageError, match=match):
            run.differential_expression(path, groups)
    with pytest.raises(DataError, match="nosuch"):
        run.differential_expression(path, ("nosuch", "A", "B"))
    with pytest.raises(UsageError, match="DATA"):
        run.differential_expression(None, ("type", "A", "B"))
    plain = jensen.train(np.random.default_rng(0).normal(size=(60, 3)), out=folder / "plain", epochs=1, hidden=(4,))
    with pytest.raises(CompositionError, match="count-vae"):
        plain.normalized_expression()
    with pytest.raises(UsageError, match="--batch-key"):
        plain.reconstruct(batch="first")
