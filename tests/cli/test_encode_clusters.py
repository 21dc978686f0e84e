"""`jensen encode --clusters`: the cluster of each row beside its code, in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jensen as package
from jensen.cli import main
from jensen.core.errors import CompositionError
from jensen.data import table_files
from jensen.runs import pieces
from tests.runs.test_mixed_joint import people

SHORT = ["--epochs", "2", "--split", "0.5,0.1,0.4", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A mixture of numbers, one of a mixed table, and a model without clusters."""
    folder = tmp_path_factory.mktemp("clusters")
    rng = np.random.default_rng(0)
    np.savetxt(folder / "x.csv", rng.normal(size=(60, 2)) + 5 * rng.integers(0, 2, (60, 1)), delimiter=",")
    people(80)[["age", "sex"]].to_csv(folder / "people.csv", index_label="name")
    for name, data, words in (
        ("gmm", "x.csv", ["--recipe", "gmm", "--components", "3"]),
        ("people", "people.csv", ["--recipe", "table-gmm", "--components", "3"]),
        ("ppca", "x.csv", ["--recipe", "ppca", "--latent", "1"]),
    ):
        assert main(["train", str(folder / data), "--out", str(folder / name), *words, *SHORT]) == 0
    return folder


def test_each_row_has_its_cluster_from_one_and_its_probability(folder, jensen):
    run = package.load(folder / "gmm")
    p, codes = run.clusters(), run.encode()
    assert p.shape == (24, 3)
    np.testing.assert_allclose(p, codes)  # of a mixture the code is the posterior
    answer = jensen("encode", folder / "gmm", "--clusters", "--out", "c.csv")
    assert answer.code == 0
    assert answer.out == f"3 latent features of 24 test rows of {folder / 'x.csv'} in c.csv; " + (
        f"{len(set(p.argmax(1)))} of 3 clusters have data\n"
    )
    assert answer.err == "note: clusters are by p(component | x)\n"
    with Path("c.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["row", "cluster", "p_cluster", "z1", "z2", "z3"]
    assert [row["cluster"] for row in rows] == [str(i + 1) for i in p.argmax(1)]
    np.testing.assert_allclose([float(row["p_cluster"]) for row in rows], p.max(1))


def test_arrays_and_the_record(folder, jensen, refused):
    p = package.load(folder / "gmm").clusters()
    answer = jensen("encode", folder / "gmm", "--clusters", "--out", "c.npz", "--json")
    sizes = np.bincount(p.argmax(1), minlength=3).tolist()
    occupied = sum(n > 0 for n in sizes)
    by = {"n": 3, "occupied": occupied, "sizes": sizes, "by": "p(component | x)"}
    assert json.loads(answer.out)["clusters"] == by
    with np.load("c.npz") as arrays:
        assert sorted(arrays) == ["cluster", "p_cluster", "row", "x"]
        assert arrays["cluster"].tolist() == (p.argmax(1) + 1).tolist()
    refused(["encode", folder / "gmm", "--clusters", "--out", "c.npy"], 2, "c.npy holds one array", ".npz or .csv")


def test_a_mixed_table_has_clusters_before_the_codes(folder, jensen):
    assert jensen("encode", folder / "people", "--clusters", "--out", "c.csv").code == 0
    table, p = pd.read_csv("c.csv"), package.load(folder / "people").clusters()
    assert list(table.columns) == ["row", "name", "cluster", "p_cluster", "z1", "z2", "z3"]
    assert table["cluster"].tolist() == (p.argmax(1) + 1).tolist()
    np.testing.assert_allclose(table["p_cluster"], p.max(1))


def test_a_model_without_clusters_names_recipes_that_have_some(folder, refused):
    refused(["encode", folder / "ppca", "--clusters"], 2, "this model has no clusters", "--recipe gmm, table-gmm")
    with pytest.raises(CompositionError, match="no clusters"):
        package.load(folder / "ppca").clusters()


def test_clusters_of_a_table_in_pieces_are_those_of_the_whole(folder, jensen, monkeypatch):
    pytest.importorskip("pyarrow")
    pd.read_csv(folder / "people.csv").to_parquet(folder / "people.parquet")
    words = ["encode", folder / "people", folder / "people.parquet", "--clusters", "--out"]
    assert jensen(*words, "whole.csv").code == 0
    monkeypatch.setattr(table_files, "LARGE", 1)
    monkeypatch.setattr(pieces, "ROWS", 7)
    assert jensen(*words, "pieces.csv").code == 0
    assert Path("pieces.csv").read_bytes() == Path("whole.csv").read_bytes()
