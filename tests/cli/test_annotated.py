"""Cells and genes in .h5ad files: trained on, encoded with the names of cells, and written back with their codes."""

from __future__ import annotations

import csv
import json
import warnings

import numpy as np
import pandas as pd
import pytest

from jensen.core.errors import UsageError
from jensen.runs.run import load
from jensen.runs.train import train

anndata = pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)

N, GENES = 40, ["Gad2", "Sst", "Vip", "Pvalb", "Lamp5"]
CELLS = [f"AAAC{i * 7 % N:02d}-1" for i in range(N)]
OPTIONS = ["--recipe", "count-vae", "--labels", "type", "--epochs", "1", "--latent", "2", "--hidden", "8", "--quiet"]


@pytest.fixture
def cells(here):
    counts = np.random.default_rng(0).poisson([0.3, 1.0, 4.0, 0.2, 9.0], (N, len(GENES))).astype(np.float32)
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        obs = pd.DataFrame({"type": pd.Categorical(["B", "T"] * (N // 2))}, index=pd.Index(CELLS))
        layers = {"counts": counts}
        anndata.AnnData(np.log1p(counts), obs, pd.DataFrame(index=pd.Index(GENES)), layers=layers).write_h5ad("c.h5ad")
    return here / "c.h5ad"


def test_from_counts_to_codes_in_obsm(jensen, cells):
    before = cells.read_bytes()
    answer = jensen("train", "c.h5ad", "--layer", "counts", *OPTIONS, "--out", "run")
    assert answer.code == 0, answer.err
    spec = json.loads((cells.parent / "run" / "spec.json").read_text())
    assert spec["command"]["layer"] == "counts"
    assert spec["data"]["schema"]["names"] == GENES
    for words in (["encode", "run", "c.h5ad", "--out", "codes.csv"], ["encode", "run", "c.h5ad", "--out", "out.h5ad"]):
        answer = jensen(*words)
        assert answer.code == 0, answer.err
    with open("codes.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["cell"] for row in rows] == CELLS
    assert {row["label"] for row in rows} == {"B", "T"}
    held = anndata.read_h5ad("out.h5ad")
    codes = np.array([[row[f"z{i}"] for i in (1, 2, 3)] for row in rows], dtype=np.float32)  # the last is the size
    np.testing.assert_allclose(held.obsm["X_jensen"], codes, rtol=1e-6)
    assert held.obs_names.tolist() == CELLS
    np.testing.assert_allclose(held.obsm["X_jensen"], load("run").encode("c.h5ad"), rtol=1e-6)
    assert cells.read_bytes() == before
    assert jensen("score", "run", "c.h5ad", "--out", "scores.csv", "-k", "2", "--no-columns", "--quiet").code == 0
    with open("scores.csv", newline="") as stream:
        assert [row["cell"] for row in csv.DictReader(stream)] == CELLS
    for words, said in (
        (["c.h5ad", "--out", "c.h5ad", "--force"], "never written over"),
        (["c.h5ad", "--out", "out.h5ad"], "--force"),
        (["--out", "new.h5ad"], "DATA that is an .h5ad"),
    ):
        answer = jensen("encode", "run", *words)
        assert (answer.code, said in answer.err) == (2, True), answer.err


def test_what_are_no_counts_is_refused_for_a_recipe_of_counts(jensen, cells):
    answer = jensen("train", "c.h5ad", *OPTIONS[:-1], "--out", "run")
    assert answer.code == 3
    assert "needs whole numbers from 0" in answer.err
    assert "other layers: counts (--layer counts)" in answer.err
    answer = jensen("train", "c.h5ad", "--layer", "raw", *OPTIONS, "--out", "run")
    assert answer.code == 3
    assert "It has counts" in answer.err
    answer = jensen("data", "c.h5ad", "--layer", "counts")
    assert "--layer counts" in answer.out


def test_a_layer_is_of_files_only():
    with pytest.raises(UsageError, match="Give the layer itself"):
        train(np.ones((20, 2)), layer="counts")
