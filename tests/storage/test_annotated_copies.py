"""Copies of an .h5ad with codes in obsm: all else is as it was, and the source is not touched."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from jensen.core.errors import DataError, RunExistsError, UsageError
from jensen.storage.annotated_copies import check_copy, write_copy

anndata = pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)

CODES = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.fixture
def source(tmp_path):
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", False):
        held = anndata.AnnData(np.eye(6, 3, dtype=np.float32))
        held.obsm["X_pca"] = np.ones((6, 2))
        held.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_codes_are_added_and_nothing_else_changes(source, tmp_path):
    before = source.read_bytes()
    target = tmp_path / "out.h5ad"
    write_copy(source, target, CODES)
    a, b = anndata.read_h5ad(source), anndata.read_h5ad(target)
    np.testing.assert_array_equal(b.obsm["X_jensen"], CODES)
    np.testing.assert_array_equal(b.obsm["X_pca"], a.obsm["X_pca"])
    np.testing.assert_array_equal(b.X, a.X)
    assert b.obs_names.tolist() == a.obs_names.tolist()
    assert source.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.h5ad", "out.h5ad"]
    write_copy(target, tmp_path / "again.h5ad", 2 * CODES)
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "again.h5ad").obsm["X_jensen"], 2 * CODES)


def test_the_source_is_never_the_target(source, tmp_path):
    (tmp_path / "link.h5ad").symlink_to(source)
    for target in (source, tmp_path / "link.h5ad"):
        with pytest.raises(UsageError, match="the data themselves"):
            check_copy(str(source), target, force=True)


def test_what_cannot_be_written_is_refused_before(source, tmp_path):
    check_copy(str(source), tmp_path / "new.h5ad", force=False)
    (tmp_path / "there.h5ad").touch()
    with pytest.raises(RunExistsError, match="--force"):
        check_copy(str(source), tmp_path / "there.h5ad", force=False)
    check_copy(str(source), tmp_path / "there.h5ad", force=True)
    with pytest.raises(UsageError, match="no folder"):
        check_copy(str(source), tmp_path / "no" / "x.h5ad", force=False)
    for data in (None, str(tmp_path / "x.npy")):
        with pytest.raises(UsageError, match=r"DATA that is an \.h5ad"):
            check_copy(data, tmp_path / "new.h5ad", force=False)


def test_a_failed_copy_leaves_nothing(source, tmp_path):
    with pytest.raises(DataError, match="6 cells"):
        write_copy(source, tmp_path / "out.h5ad", CODES[:4])
    source.write_bytes(source.read_bytes()[:900])
    with pytest.raises(DataError, match="damaged"):
        write_copy(source, tmp_path / "out.h5ad", CODES)
    assert [p.name for p in tmp_path.iterdir()] == ["cells.h5ad"]
