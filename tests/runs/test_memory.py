"""Data given in memory to `train`: all that is given is used, and the run knows its own split while it lives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

import jensen as j
from jensen.core.errors import DataError, UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}


def test_the_kind_of_container_changes_no_number(tmp_path):
    runs = {
        "array": j.train(X, out=tmp_path / "array", **SMALL),
        "frame": j.train(pd.DataFrame(X, columns=list("abcd")), out=tmp_path / "frame", **SMALL),
        "dataset": j.train(TensorDataset(torch.as_tensor(X)), out=tmp_path / "dataset", **SMALL),
    }
    assert len({run.evaluate(k=10).estimate.mean for run in runs.values()}) == 1
    assert runs["frame"].schema.names == ("a", "b", "c", "d")
    frame = pd.DataFrame(X[:5], columns=list("abcd"))
    assert runs["frame"].encode(frame).tolist() == runs["array"].encode(X[:5]).tolist()


def test_a_run_knows_its_own_rows_while_they_are_in_memory(tmp_path):
    run = j.train(X, out=tmp_path / "run", **SMALL)
    assert run.readable
    assert "6 test rows of array" in str(run.evaluate(k=10))
    assert run.doctor().measures
    again = j.load(run.path)
    assert not again.readable
    for verb in (again.doctor, again.evaluate):
        with pytest.raises(DataError, match="in memory"):
            verb()
    assert j.resume(run.path, data=X, epochs=2).evaluate(k=10).estimate.mean is not None


def test_labels_and_test_rows_in_memory_are_used(tmp_path):
    run = j.train(
        X[:40], recipe="conditional", labels=Y[:40], test=X[40:], test_labels=Y[40:], out=tmp_path / "a", **SMALL
    )
    assert len(run.classes) == 3
    evaluation = run.evaluate(k=10)
    assert (evaluation.given, evaluation.estimate.nats.shape) == ("label", (20,))
    with pytest.raises(DataError, match=r"test=\.\.\."):
        j.resume(run.path, data=X[:40], labels=Y[:40], epochs=2)
    longer = j.resume(run.path, data=X[:40], labels=Y[:40], test=X[40:], test_labels=Y[40:], epochs=2)
    assert longer.evaluate(k=10).estimate.nats.shape == (20,)
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[Y])
    named = j.train(frame, recipe="conditional", labels="kind", out=tmp_path / "b", **SMALL)
    assert named.classes.values is not None
    assert named.schema.classes == ("x", "y", "z")


def test_labels_in_memory_beside_a_path(tmp_path):
    np.save(tmp_path / "x.npy", X)
    run = j.train(tmp_path / "x.npy", recipe="conditional", labels=Y, out=tmp_path / "run", **SMALL)
    assert len(run.classes) == 3


@pytest.mark.parametrize(
    ("given", "kind"),
    [({"size": (8, 8)}, UsageError), ({"test_labels": Y}, UsageError), ({"test": X[:, :3]}, DataError)],
)
def test_what_would_play_no_part_is_refused(given, kind, tmp_path):
    with pytest.raises(kind):
        j.train(X, out=tmp_path / "none", **SMALL, **given)
    assert not (tmp_path / "none").exists()


def test_one_row_is_enough_for_every_verb_but_training(tmp_path):
    run = j.train(X, out=tmp_path / "run", **SMALL)
    np.save(tmp_path / "one.npy", X[:1])
    for one in (X[:1], tmp_path / "one.npy", X[:1].tolist()):
        assert run.encode(one).shape == (1, 2)
        assert run.reconstruct(one).shape == (1, 4)
        assert run.evaluate(one, budget=0, k=10).estimate.nats.shape == (1,)
    np.testing.assert_allclose(run.encode(X[:1]), run.encode(X)[:1], rtol=1e-5)
    with pytest.raises(DataError, match=r"one datum only.*at least 2 rows"):
        j.train(X[:1], out=tmp_path / "none", **SMALL)
