"""Annotated matrices of anndata: what is read of an .h5ad, and what is refused."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jensen.core.errors import DataError, UsageError
from jensen.data import describe, read, sizes

anndata = pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)
h5py = pytest.importorskip("h5py", reason="h5py is not installed", exc_type=ImportError)

N, GENES = 20, ("Gad2", "Sst", "Vip", "Pvalb")
COUNTS = np.random.default_rng(0).poisson([0.4, 1.0, 3.0, 0.2], (N, len(GENES))).astype(np.float32)
COUNTS[0, 2] = 300
CELLS = [f"AAAC{i:02d}-1" for i in range(N)]
TYPES = ["B cell", "T cell"] * (N // 2)


def written(path, x=COUNTS, **more):
    # releases of anndata before those that know the texts of pandas 3 write texts as objects only
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        obs = pd.DataFrame({"type": pd.Categorical(TYPES), "depth": COUNTS.sum(1)}, index=pd.Index(CELLS))
        anndata.AnnData(x, obs, pd.DataFrame(index=pd.Index(GENES)), **more).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A file whose X is sparse, with logarithms of it and its negative in layers."""
    layers = {"log": np.log1p(COUNTS), "wide": sparse.csc_matrix(COUNTS * 1000), "negative": -COUNTS}
    return written(tmp_path_factory.mktemp("cells") / "cells.h5ad", sparse.csr_matrix(COUNTS), layers=layers)


def refuse(source, *words, error=DataError, **options):
    with pytest.raises(error) as caught:
        read(source, **options)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy
    return caught.value


def test_sparse_counts_with_genes_cells_and_labels(cells):
    held = read(cells, labels="type")
    np.testing.assert_array_equal(held.x, COUNTS)
    assert (held.schema.kind, held.schema.levels, held.x.dtype) == ("integers", 301, np.int32)
    assert held.schema.names == GENES
    assert held.identity["cell"].tolist() == CELLS
    assert [held.schema.classes[i] for i in held.labels] == TYPES
    assert held.source.files == (str(cells.resolve()),)
    assert any("sparse matrix (csr)" in note and "dense" in note for note in held.notes)
    assert describe(held)["identity"] == ["cell"]


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, lambda x: x.astype(np.int64)])
def test_every_storage_holds_the_same_data(tmp_path, make):
    small = np.minimum(COUNTS, 9)
    held = read(written(tmp_path / "x.h5ad", make(small)))
    np.testing.assert_array_equal(held.x, small)
    assert (held.schema.kind, held.schema.levels, held.x.dtype) == ("integers", 10, np.uint8)
    assert held.labels is None


def test_a_layer_in_place_of_x(cells):
    held = read(cells, layer="log")
    np.testing.assert_allclose(held.x, np.log1p(COUNTS))
    assert held.schema.kind == "real"
    assert any("counts" in note and "fractional" in note for note in held.notes)
    np.testing.assert_array_equal(read(cells, layer="wide").x, COUNTS * 1000)
    assert any("negative" in note for note in read(cells, layer="negative").notes)


def test_genes_are_chosen_by_name(cells):
    held = read(cells, columns="Vip,Gad2")
    assert held.schema.names == ("Vip", "Gad2")
    np.testing.assert_array_equal(held.x, COUNTS[:, [2, 0]])
    assert read(cells, drop=["Sst"]).schema.names == ("Gad2", "Vip", "Pvalb")
    refuse(cells, "'Vipp'", "Did you mean 'Vip'", columns="Vipp")
    refuse(cells, "--header", error=UsageError, header="no")


def test_genes_of_one_name_are_told_apart(tmp_path):
    path = written(tmp_path / "x.h5ad")
    with h5py.File(path, "r+") as file:
        file["var/_index"][1] = "Gad2"
    held = read(path)
    assert held.schema.names == ("Gad2", "Gad2.1", "Vip", "Pvalb")
    assert any("Gad2.1" in note for note in held.notes)


def test_what_is_not_in_the_file_is_named(cells, tmp_path):
    refuse(cells, "no layer 'raw'", "log, negative, wide", layer="raw")
    refuse(cells, "'tipe'", "type", labels="tipe")
    path = written(tmp_path / "x.h5ad", None, layers={"counts": COUNTS})
    refuse(path, "no matrix X", "--layer counts")
    np.testing.assert_array_equal(read(path, layer="counts").x, COUNTS)
    np.save(tmp_path / "x.npy", COUNTS)
    refuse(tmp_path / "x.npy", "--layer is for .h5ad", error=UsageError, layer="counts")


@pytest.mark.parametrize("missing", ["obs", "var", "X/indptr", "obs/_index"])
def test_a_file_that_lacks_a_part(cells, tmp_path, missing):
    path = tmp_path / "x.h5ad"
    path.write_bytes(cells.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[missing]
    refuse(path, "x.h5ad", "damaged")


def test_damaged_files(cells, tmp_path):
    path, whole = tmp_path / "x.h5ad", cells.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:600], b"\x89HDF\r\n\x1a\n" + bytes(99)):
        path.write_bytes(content)
        refuse(path, "damaged")
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["X/indices"][3] = 10**6
    refuse(path, "damaged")
    path.write_text("a,b\n1,2\n")
    refuse(path, "named .h5ad, but holds text")


def test_memory_is_checked_before_it_is_taken(cells, monkeypatch):
    monkeypatch.setattr(sizes, "available_memory", lambda: 600)
    refuse(cells, "600 bytes", "--columns")


def test_without_anndata(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    refuse(cells, "anndata is not installed", "pip install anndata", error=UsageError)
