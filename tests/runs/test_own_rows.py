"""The very data that a run was trained on are known by their digest: only the rows that it kept aside are scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import jensen as j
from jensen.runs.compare import compare
from jensen.runs.fidelity import fidelity
from jensen.runs.represent import represent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 4))
Y = (X[:, 0] > 0).astype(int)
SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data, runs on them, and one on others."""
    root = tmp_path_factory.mktemp("own")
    pd.DataFrame(X, columns=list("abcd")).assign(kind=Y).to_csv(root / "x.csv", index=False)
    np.save(root / "x.npy", X)
    np.save(root / "grey.npy", RNG.integers(0, 256, (60, 4, 4), dtype=np.uint8))
    j.train(root / "x.npy", out=root / "a", **SMALL)
    j.train(root / "x.npy", seed=1, out=root / "b", **SMALL)
    j.train(RNG.normal(size=(60, 4)), out=root / "other", **SMALL)
    j.train(root / "x.csv", recipe="conditional", labels="kind", out=root / "labelled", **SMALL)
    j.train(root / "grey.npy", binarize="static", out=root / "static", **SMALL)
    j.train(root / "x.npy", split="0.9,0.1,0", out=root / "no-test", **SMALL)
    j.train(root / "x.npy", split="1,0,0", out=root / "all", **SMALL)
    return root


@pytest.mark.parametrize(("name", "file"), [("a", "x.npy"), ("labelled", "x.csv"), ("static", "grey.npy")])
@pytest.mark.sampled(2)
def test_the_number_is_that_of_the_test_rows(name, file, trained, tmp_path):
    run = j.load(trained / name)
    plain = run.evaluate(k=10)
    copied = tmp_path / f"copy-{file}"
    copied.write_bytes((trained / file).read_bytes())
    for place in (trained / file, copied):
        given = run.evaluate(place, k=10)
        assert given.estimate.nats.tolist() == plain.estimate.nats.tolist()
        assert any("holds the data of this run: only its test rows are used" in note for note in given.notes)
        assert not any("trained on" in note for note in given.notes)


@pytest.mark.parametrize("data", [X, X.tolist(), pd.DataFrame(X)])
def test_data_in_memory_are_known_too(data, trained):
    run = j.load(trained / "a")
    assert run.evaluate(data, k=10).estimate.nats.tolist() == run.evaluate(k=10).estimate.nats.tolist()
    assert run.encode(data).shape == (240, 2)


def test_other_rows_are_scored_as_before(trained):
    evaluation = j.load(trained / "a").evaluate(X[:239], k=10)
    assert evaluation.estimate.nats.shape == (239,)
    assert any("of these 239 rows were trained on" in note for note in evaluation.notes)


def test_without_a_test_part(trained):
    evaluation = j.load(trained / "no-test").evaluate(X, k=10)
    assert evaluation.estimate.nats.shape == (24,)
    assert any("only its validation rows" in note for note in evaluation.notes)
    evaluation = j.load(trained / "all").evaluate(X, k=10)
    assert any("240 of these 240 rows were trained on" in note for note in evaluation.notes)


def test_comparisons_share_the_rows_kept_aside(trained):
    a, b, other = (j.load(trained / name) for name in ("a", "b", "other"))
    plain = compare(a, b, k=10)
    assert compare(a, b, trained / "x.npy", k=10).differences.tolist() == plain.differences.tolist()
    for first, second in ((a, other), (other, a)):
        mixed = compare(first, second, trained / "x.npy", k=10)
        assert len(mixed.differences) == 24
        assert any("only its test rows" in note for note in mixed.notes)


def test_rows_that_are_transformed_are_all_of_them(trained):
    run = j.load(trained / "a")
    assert run.reconstruct(X).shape == (240, 4)
    hidden = np.array([True, False, False, False])
    imputed = run.impute(X, m=2, k=20, hidden=hidden)
    assert imputed.x.shape == (2, 240, 4)
    assert any("all its rows are used, 192 of which trained it" in note for note in imputed.notes)


def test_measures_that_fit_keep_to_the_split(trained):
    run = j.load(trained / "a")
    given, labels = represent(run, X, labels=Y), {"labels": Y}
    assert (given.fitted[0], given.scored[0]) == (192, 24)
    assert "24 test rows" in fidelity(run, X, **labels).data
