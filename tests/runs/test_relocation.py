"""The data of a run are given again, from another place or in memory, and are known by their digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import jensen as j
from jensen.core.errors import DataError, UsageError
from jensen.runs.relocation import given_again
from jensen.runs.train import untrained
from jensen.runs.training_data import Sources

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(60, 3)).astype(np.float32), RNG.normal(size=(20, 3)).astype(np.float32)
Y, U = np.arange(60) % 2, np.arange(20) % 2
SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """Data, labels and test rows in files; runs on them, and one on arrays."""
    root = tmp_path_factory.mktemp("origin")
    (root / "data").mkdir()
    for name, array in {"x": X, "y": Y, "t": T, "u": U}.items():
        np.save(root / "data" / f"{name}.npy", array)
    x, y, t, u = (str(root / "data" / f"{name}.npy") for name in "xytu")
    j.train(x, out=root / "plain", **SMALL)
    j.train(x, recipe="conditional", labels=y, test=t, test_labels=u, out=root / "labelled", **SMALL)
    j.train(X, recipe="conditional", labels=Y, test=T, test_labels=U, out=root / "arrays", **SMALL)
    return root


@pytest.fixture
def elsewhere(origin, tmp_path) -> Path:
    """The runs, and the data at another place; the old place is empty while the test runs."""
    shutil.copytree(origin / "data", tmp_path / "far" / "away")
    for name in ("plain", "labelled", "arrays"):
        shutil.copytree(origin / name, tmp_path / name)
    hidden = (origin / "data").rename(origin / "hidden")
    yield tmp_path
    hidden.rename(origin / "data")


def test_labels_and_test_rows_are_found_near_the_new_place(elsewhere):
    run = j.load(elsewhere / "labelled", data=elsewhere / "far" / "away" / "x.npy")
    evaluation = run.evaluate(k=10, train_rows=10)
    assert evaluation.estimate.nats.shape == (20,)
    assert evaluation.halves is not None
    assert run.doctor().measures
    assert untrained(run).model is not None
    assert j.resume(run.path, data=elsewhere / "far" / "away" / "x.npy", epochs=2).metrics
    assert j.load(run.path).evaluate(k=10).estimate.nats.shape == (20,)  # resume records the new place


def test_a_test_file_at_a_third_place(elsewhere):
    (elsewhere / "third").mkdir()
    for name in "tu":
        shutil.move(elsewhere / "far" / "away" / f"{name}.npy", elsewhere / "third" / f"{name}.npy")
    place = elsewhere / "far" / "away" / "x.npy"
    with pytest.raises(DataError, match=r"there is no file .*t\.npy.*--test FILE"):
        j.load(elsewhere / "labelled", data=place).evaluate(k=10)
    run = j.load(elsewhere / "labelled", data=place, test=elsewhere / "third" / "t.npy")
    assert run.evaluate(k=10).estimate.nats.shape == (20,)


@pytest.mark.parametrize("how", ["arrays", "files", "lists"])
def test_data_that_were_in_memory_are_given_again(how, elsewhere):
    arrays = {"data": X, "labels": Y, "test": T, "test_labels": U}
    files = {name: elsewhere / "far" / "away" / f"{letter}.npy" for name, letter in zip(arrays, "xytu", strict=True)}
    given = {"arrays": arrays, "files": files, "lists": arrays | {"labels": Y.tolist(), "test_labels": U.tolist()}}[how]
    run = j.load(elsewhere / "arrays", **given)
    assert run.readable
    assert run.evaluate(k=10).estimate.nats.shape == (20,)
    assert run.doctor().measures
    assert j.resume(run.path, **given, epochs=2).evaluate(k=10).estimate.nats.shape == (20,)


@pytest.mark.parametrize("other", ["file", "array", "changed"])
def test_others_are_refused_with_both_digests(other, elsewhere):
    place = elsewhere / "far" / "away" / ("t.npy" if other == "file" else "x.npy")
    if other == "changed":
        np.save(place, X + 1)
    was = j.load(elsewhere / "plain").spec["data"]["sha256"][:16]
    with pytest.raises(DataError, match=rf"does not hold the rows .*SHA-256 was {was}\.\.\., and is \w{{16}}"):
        j.load(elsewhere / "plain", data=X[::-1].copy() if other == "array" else place)


def test_other_test_rows_are_refused(elsewhere):
    with pytest.raises(DataError, match=r"does not hold the test rows .*SHA-256"):
        j.load(elsewhere / "labelled", data=X, labels=Y, test=T[:5], test_labels=U[:5])
    with pytest.raises(DataError, match="no test rows but those of its split"):
        j.load(elsewhere / "plain", test=T)


def test_labels_of_a_container_without_that_column(origin):
    spec = j.load(origin / "plain").spec
    with pytest.raises(UsageError, match="no column 'kind'"):
        given_again(spec, Sources(X, labels="kind"))
