"""`jensen expression`, `differential` and `--transform-batch`: tables of cells and genes, and what is refused."""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import warnings

import numpy as np
import pandas as pd
import pytest

from jensen.cli.named_columns import stem_of
from jensen.runs.run import Run

anndata = pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)

N, GENES = 40, ["Gad2", "Sst", "Vip", "Pvalb"]
OPTIONS = ["--recipe", "count-vae", "--epochs", "1", "--latent", "2", "--hidden", "8", "--quiet", "--out", "run"]


@pytest.fixture
def trained(here, jensen):
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        x = np.random.default_rng(0).poisson([2.0, 1.0, 4.0, 9.0], (N, len(GENES))).astype(np.float32)
        types, runs = np.array(["B", "T"] * (N // 2), object), np.array(["x", "x", "y", "y"] * (N // 4), object)
        obs = pd.DataFrame({"type": types, "lane": runs}, index=pd.Index([f"c{i}" for i in range(N)], dtype=object))
        anndata.AnnData(x, obs, pd.DataFrame(index=pd.Index(GENES, dtype=object))).write_h5ad("c.h5ad")
    answer = jensen("train", "c.h5ad", "--batch-key", "lane", *OPTIONS)
    assert answer.code == 0, answer.err
    return jensen


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_expression_of_cells_by_name(trained):
    answer = trained("expression", "run", "c.h5ad", "--draws", "2", "--out", "e.csv")
    assert answer.code == 0, answer.err
    assert "10000 in each cell" in answer.out
    table = rows("e.csv")
    assert list(table[0]) == ["cell", *GENES]
    assert [row["cell"] for row in table] == [f"c{i}" for i in range(N)]
    np.testing.assert_allclose([sum(float(row[g]) for g in GENES) for row in table], 1e4, rtol=1e-6)
    words = ["--size", "1", "--transform-batch", "x", "--transform-batch", "y", "--draws", "2", "--json"]
    record = json.loads(trained("expression", "run", "c.h5ad", *words, "--out", "both.npz").out)
    assert (record["batch"], record["genes"], record["n"]) == (["x", "y"], 4, N)


def test_genes_that_differ(trained):
    words = ["--groups", "type", "B", "rest", "--pairs", "50", "--cells", "3", "--delta", "0.1"]
    answer = trained("differential", "run", "c.h5ad", *words, "--out", "de.csv")
    assert answer.code == 0, answer.err
    assert "of 4 genes differ between B (n = 20) and rest (n = 20)" in answer.out
    assert {row["gene"] for row in rows("de.csv")} == set(GENES)
    p = [float(row["probability"]) for row in rows("de.csv")]
    assert p == sorted(p, reverse=True)
    record = json.loads(trained("differential", "run", "c.h5ad", *words, "--json", "--out", "again.csv").out)
    assert (record["batches"], record["pairs"], record["cells"]) == (["x", "y"], 50, 3)
    for words, said in (
        (["--groups", "type", "B", "C"], "There are B, T"),
        (["--groups", "kind", "B", "T"], "'kind'"),
        (["--groups", "type", "B", "T", "--fdr", "2"], "between 0 and 1"),
        (["--groups", "type", "B", "T", "--transform-batch", "z"], "Choose from x, y"),
        (["--groups", "type", "B", "T", "--out", "x.npy"], "Name a .csv"),
        ([], "--groups"),
    ):
        answer = trained("differential", "run", "c.h5ad", *words)
        assert answer.code in (2, 3), answer.out
        assert said in answer.err


def test_results_of_other_requests_are_kept(trained, here):
    words, short = ["differential", "run", "c.h5ad"], ["--pairs", "20"]
    for groups in (["type", "B", "T"], ["lane", "x", "y"]):
        answer = trained(*words, "--groups", *groups, *short)
        assert answer.code == 0, answer.err
    assert trained(*words, "--groups", "lane", "x", "y", "--uncorrected", *short).code == 0
    assert trained("expression", "run", "c.h5ad", "--draws", "2").code == 0
    assert trained("expression", "run", "c.h5ad", "--draws", "2", "--transform-batch", "x").code == 0
    made = {path.name for path in (here / "run").glob("*.csv")}
    assert made >= {"differential-type-B-T-pairs-20.csv", "differential-lane-x-y-pairs-20.csv"}
    assert made >= {"differential-lane-x-y-pairs-20-corrected-False.csv", "expression-draws-2.csv"}
    assert "expression-batch-x-draws-2.csv" in made
    first = (here / "run" / "differential-type-B-T-pairs-20.csv").read_bytes()
    assert trained(*words, "--groups", "type", "B", "T", *short).code == 0  # the same request gives the same file
    assert (here / "run" / "differential-type-B-T-pairs-20.csv").read_bytes() == first


def test_options_are_named_as_they_were_given(trained):
    words = ["differential", "run", "c.h5ad", "--groups"]
    answer = trained(*words, "type", "B", "T", "--uncorrected", "--transform-batch", "x")
    assert (answer.code, "Leave one of them out" in answer.err) == (2, True)
    answer = trained(*words, "tpye", "B", "T")
    assert "--groups 'tpye' is no column of c.h5ad" in answer.err
    assert "Did you mean 'type'" in answer.err
    answer = trained("train", "c.h5ad", "--batch-key", "lnae", *OPTIONS, "--force")
    assert "--batch-key 'lnae' is no column of c.h5ad" in answer.err
    assert "Did you mean 'lane'" in answer.err


def test_names_of_files_tell_requests_apart():
    assert stem_of("expression", size=(1.0, 1.0)) == "expression"
    assert stem_of("d", "c", "a", "b", cells=(5, 1)) == "d-c-a-b-cells-5"
    odd = {stem_of("d", "c", *pair) for pair in (("a b", "c"), ("a/b", "c"), ("a_b", "c"), ("a-b", "c"), ("a", "b-c"))}
    assert len(odd) == 5
    assert not any("/" in stem for stem in odd)
    assert len(stem_of("d", "c" * 300)) < 140


def test_reconstructions_at_another_batch(trained):
    for batch in ("x", "y"):
        answer = trained("reconstruct", "run", "c.h5ad", "--transform-batch", batch, "--out", f"{batch}.csv")
        assert answer.code == 0, answer.err
    plain = trained("reconstruct", "run", "c.h5ad", "--out", "own.csv")
    assert plain.code == 0, plain.err
    own, x, y = (np.array([[float(row[g]) for g in GENES] for row in rows(f"{n}.csv")]) for n in ("own", "x", "y"))
    first = np.array(["x", "x", "y", "y"] * (N // 4)) == "x"
    np.testing.assert_allclose(own, np.where(first[:, None], x, y), rtol=1e-5)
    assert not np.allclose(x, y)
    answer = trained("reconstruct", "run", "c.h5ad", "--transform-batch", "z")
    assert (answer.code, "Choose from x, y" in answer.err) == (2, True)


def test_batches_and_labels_exclude_each_other(trained):
    answer = trained("train", "c.h5ad", "--batch-key", "lane", "--labels", "type", *OPTIONS, "--force")
    assert (answer.code, "exclude each other" in answer.err) == (2, True)
    answer = trained("train", "c.h5ad", "--batch-key", "lane", "--recipe", "vae", "--out", "other")
    assert (answer.code, "--recipe count-vae" in answer.err) == (2, True)
    assert "log p(x | batch)" in trained("evaluate", "run", "-k", "2", "--quiet").out


def test_defaults_are_those_of_python():
    """The command line has them again, since it imports no torch before it must."""
    differential, expression = (
        importlib.import_module(f"jensen.cli.{name}") for name in ("differential", "expression")
    )
    own = inspect.signature(Run.differential_expression).parameters
    assert {name: own[name].default for name in differential.DEFAULTS} == differential.DEFAULTS
    assert inspect.signature(Run.normalized_expression).parameters["draws"].default == expression.DRAWS
