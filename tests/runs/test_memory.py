"""Data given in memory to `train`: all that is given is used, and the run knows its own split while it lives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

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
    assert j.load(run.path, data=X).evaluate(k=10).estimate.mean == run.evaluate(k=10).estimate.mean
    assert not again.readable
    for verb, error in ((again.doctor, UsageError), (again.evaluate, DataError)):
        with pytest.raises(error, match="in memory"):
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


class Streamed(IterableDataset):
    def __iter__(self):
        return iter(torch.as_tensor(X))


class Labelled(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return torch.as_tensor(X[i]), int(Y[i])


class Lost(Labelled):
    def __getitem__(self, i):
        raise FileNotFoundError(2, "No such file", "/gone/0.png")


CONTAINERS = {
    "list": X.tolist(),
    "list of arrays": list(X),
    "columns": {name: X[:, i] for i, name in enumerate("abcd")},
    "x and y": {"x": X, "y": Y},
    "frame": pd.DataFrame(X, columns=list("abcd")),
    "tensor": torch.as_tensor(X),
    "needs a gradient": torch.as_tensor(X).requires_grad_(),
    "sparse matrix": sparse.csr_matrix(X),
    "sparse array": sparse.coo_array(X),
    "tensor dataset": TensorDataset(torch.as_tensor(X)),
    "dataset": Labelled(),
    "loader": DataLoader(Labelled(), batch_size=7),
    "stream": Streamed(),
    "loader of a stream": DataLoader(Streamed(), batch_size=7),
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.sampled(7)
def test_every_container_is_accepted_by_every_verb(name, tmp_path):
    data = CONTAINERS[name]
    run = j.train(data, out=tmp_path / "run", **SMALL)
    assert run.doctor().measures
    assert run.encode(data).shape == (60, 2)
    own = run.evaluate(k=10).estimate
    assert run.evaluate(data, k=10).estimate.nats.tolist() == own.nats.tolist()
    assert j.load(run.path, data=data).evaluate(k=10).estimate.nats.tolist() == own.nats.tolist()


@pytest.mark.parametrize(
    "data",
    [None, 5, b"abc", (row for row in X), {1, 2}, [], [[1, 2], [3]], ["a.png", "b.png"], X.astype(complex), Lost()],
)
def test_what_is_no_data_is_refused_by_name(data, tmp_path):
    name = "array" if isinstance(data, np.ndarray) else type(data).__name__
    with pytest.raises(DataError, match=rf"{name}|/gone/0\.png"):
        j.train(data, out=tmp_path / "none", **SMALL)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (np.zeros((40, 4, 4), np.uint8), {"recipe": "gmm"}),
        (np.ones((300, 2)), {"recipe": "ppca", "latent": 1}),
        (np.full((40, 4), 7, np.uint8), {"latent": 2, "hidden": (8,)}),
        (RNG.normal(size=(5, 2)), {"latent": 2, "hidden": (8,)}),
        (1e30 * RNG.normal(size=(40, 2)), {"latent": 2, "hidden": (8,)}),
    ],
)
@pytest.mark.sampled(3)
def test_no_warning_leaks_from_data_that_are_odd(x, options, tmp_path):
    """Warnings are errors in the tests."""
    run = j.train(x, epochs=1, device="cpu", out=tmp_path / "run", **options)
    assert run.evaluate(budget=0).data
    run.doctor()
    assert len(run.encode(x)) == len(x)
