"""Models that learn from labels, from a file to samples: what they are given, what they refuse, what they say."""

from __future__ import annotations

import numpy as np
import pytest

import jensen
from jensen.errors import DataError, UsageError

TINY = {"hidden": (4,), "latent": 2, "epochs": 2, "split": "0.6,0.2,0.2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes: the left half is bright, or the right one."""
    path, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    bright = np.where(np.arange(4) < 2, 1 - y[:, None], y[:, None])
    x = (rng.random((120, 4)) < 0.1 + 0.8 * bright).astype(np.uint8)
    np.savez(path / "both.npz", x=x, y=np.where(y == 1, 7, 3))
    np.save(path / "bare.npy", x)
    return path


def test_a_conditional_model_says_what_it_is_given(folder, tmp_path):
    options = {**TINY, "epochs": 60, "batch": 16, "lr": 0.02}
    run = jensen.train(folder / "both.npz", recipe="conditional", out=tmp_path / "run", **options)
    found = run.evaluate(k=10)
    assert found.given == found.to_dict()["given"] == "label"
    assert str(found).startswith("log p(x | label) >=")
    assert run.sample(3, label=3).shape == (3, 4)
    left, right = (run.sample(200, label=c).mean(0) for c in (3, 7))
    assert (left[:2] > right[:2] + 0.4).all()
    assert (right[2:] > left[2:] + 0.4).all()
    x, labels = run.labelled_sample(500)
    assert x.shape == (500, 4)
    counts = np.asarray(run.classes.counts)
    share = counts[1] / counts.sum()
    assert abs((labels == 7).mean() - share) < 4 * (share * (1 - share) / 500) ** 0.5
    assert run.reconstruct().shape == (24, 4)
    assert run.calibrate(n=20).ranks.shape[0] == 20
    with pytest.raises(UsageError, match="classes are 3, 7"):
        run.sample(1, label=5)
    with pytest.raises(DataError, match="--labels"):
        run.evaluate(folder / "bare.npy", k=5)


def test_a_prior_that_sees_the_label(folder, tmp_path):
    run = jensen.train(folder / "both.npz", recipe="conditional", learned_prior=True, out=tmp_path / "run", **TINY)
    assert np.isfinite(run.evaluate(k=5).estimate.mean)
    assert np.isfinite(run.evaluate(method="quadrature").estimate.mean)
    assert run.sample(3).shape == (3, 4)


def test_labels_of_some_rows(folder, tmp_path):
    told = []
    run = jensen.train(
        folder / "both.npz", recipe="semi-supervised", labelled=6, out=tmp_path / "run", notice=told.append, **TINY
    )
    assert any("6 of 72 training rows have labels" in text for text in told)
    assert run.classes.counts == (3, 3)
    found = run.evaluate(k=5)
    assert found.given is None
    assert found.classified["labels_in_training"] == 6
    assert found.classified["n"] == 24
    codes = run.encode()
    assert codes.shape == (24, 4)
    np.testing.assert_allclose(codes[:, :2].sum(1), 1, atol=1e-5)
    assert run.sample(5, label=7).shape == (5, 4)


@pytest.mark.parametrize("recipe", ["conditional", "semi-supervised"])
def test_data_without_labels_are_refused(folder, tmp_path, recipe):
    with pytest.raises(DataError, match="--labels"):
        jensen.train(folder / "bare.npy", recipe=recipe, out=tmp_path / "run", **TINY)


def test_labels_that_play_no_part_are_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="--labelled"):
        jensen.train(folder / "both.npz", recipe="vae", labelled=6, out=tmp_path / "run", **TINY)
    run = jensen.train(folder / "both.npz", recipe="vae", out=tmp_path / "run", **TINY)
    with pytest.raises(UsageError, match="--recipe conditional"):
        run.sample(1, label=3)
    assert run.evaluate(k=5).given is None
