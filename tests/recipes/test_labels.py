"""Models that learn from labels, from a file to samples: what they are given, what they refuse, what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jensen
from jensen.core.errors import CompositionError, DataError, UsageError
from jensen.core.random import stream
from jensen.data import split
from jensen.estimators.reparameterized import Pathwise
from jensen.objectives import Elbo
from jensen.runs.classify import confusion
from jensen.runs.represent import represent

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
    evaluation = run.evaluate(k=10)
    assert evaluation.given == evaluation.to_dict()["given"] == "label"
    assert str(evaluation).startswith("log p(x | label) >=")
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
    with pytest.raises(UsageError, match="Choose from 3, 7"):
        run.sample(1, label=5)
    with pytest.raises(DataError, match="--labels"):
        run.evaluate(folder / "bare.npy", k=5)
    with pytest.raises(CompositionError, match="encoder is given the label"):
        represent(run)


def test_a_class_that_no_training_row_has_is_not_drawn(folder, tmp_path):
    """The one row of a third class is a test row: there is nothing that a sample of it could be."""
    with np.load(folder / "both.npz") as held:
        x, y = held["x"], held["y"].copy()
    y[split(len(y), (0.6, 0.2, 0.2), 0).test[0]] = 9
    np.savez(tmp_path / "three.npz", x=x, y=y)
    run = jensen.train(tmp_path / "three.npz", recipe="conditional", out=tmp_path / "run", **TINY)
    with pytest.raises(UsageError, match="no training row was labelled 9") as refused:
        run.sample(1, label=9)
    assert "3, 7" in str(refused.value)


def test_a_prior_that_sees_the_label(folder, tmp_path):
    run = jensen.train(folder / "both.npz", recipe="conditional", learned_prior=True, out=tmp_path / "run", **TINY)
    assert np.isfinite(run.evaluate(k=5).estimate.mean)
    assert np.isfinite(run.evaluate(method="quadrature").estimate.mean)
    assert run.sample(3).shape == (3, 4)


def test_labels_of_some_rows(folder, tmp_path):
    notices = []
    run = jensen.train(
        folder / "both.npz", recipe="semi-supervised", labelled=6, out=tmp_path / "run", notice=notices.append, **TINY
    )
    assert any("6 of 72 training rows have labels" in text for text in notices)
    assert run.classes.counts == (3, 3)
    evaluation = run.evaluate(k=5)
    assert evaluation.given is None
    assert evaluation.classified["labels_in_training"] == 6
    assert evaluation.classified["n"] == 24
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


# --- labels of other data


@pytest.fixture(scope="module")
def others(folder):
    """Rows and labels of them in files of their own, and in one: the same rows."""
    arrays = np.load(folder / "both.npz")
    x, y = arrays["x"][:40], arrays["y"][:40]
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.savez(folder / "some.npz", x=x, y=y)
    return x, y


@pytest.fixture(scope="module")
def conditional(folder, tmp_path_factory):
    return jensen.train(folder / "both.npz", recipe="conditional", out=tmp_path_factory.mktemp("c") / "run", **TINY)


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


def test_labels_of_other_data_are_taken_from_where_they_are_named(folder, others, conditional):
    """Held against a file that holds both; and the labels count: those of other classes give another number."""
    run, (x, y) = conditional, others
    beside = run.evaluate(folder / "some.npz", k=5).estimate.nats
    for data, labels in ((folder / "x.npy", folder / "y.npy"), (folder / "some.npz", "y"), (x, y)):
        assert same(run.evaluate(data, labels=labels, k=5).estimate.nats, beside)
    assert not same(run.evaluate(x, labels=10 - y, k=5).estimate.nats, beside)
    for verb in (run.encode, run.reconstruct):
        assert np.array_equal(verb(x, labels=y), verb(folder / "some.npz"))
        assert not np.array_equal(verb(x, labels=10 - y), verb(x, labels=y))
    hidden = np.array([True, False, False, False])
    options = {"m": 2, "k": 20, "hidden": hidden}
    assert np.array_equal(run.impute(x, labels=y, **options).x, run.impute(folder / "some.npz", **options).x)


def test_labels_that_cannot_be_taken_are_refused(folder, others, conditional):
    run, (x, y) = conditional, others
    for verb in (run.evaluate, run.encode, run.reconstruct, run.impute):
        with pytest.raises(DataError, match="--labels"):
            verb(x)
        with pytest.raises(UsageError, match="Leave --labels out"):
            verb(labels=y)
        with pytest.raises(DataError, match=r"label 4 of .* does not occur"):
            verb(x, labels=np.where(y == 3, 4, y))
        with pytest.raises(DataError, match="40 rows and 39 labels"):
            verb(x, labels=y[1:])
        with pytest.raises(UsageError, match="Give an array"):
            verb(x, labels=folder / "y.npy")
    assert np.array_equal(run.encode(folder / "x.npy", labels=y), run.encode(x, labels=y))
    named = folder / "named.csv"
    named.write_text("kind\n" + "ant\nbee\n" * 20)
    with pytest.raises(DataError, match="classes that the training data do not have"):
        run.encode(folder / "x.npy", labels=named)


def test_labels_of_other_data_say_how_often_a_classifier_is_right(folder, others, tmp_path):
    x, y = others
    run = jensen.train(folder / "both.npz", recipe="semi-supervised", labelled=6, out=tmp_path / "run", **TINY)
    assert run.evaluate(x, k=5).classified is None
    classified = run.evaluate(x, labels=y, k=5).classified
    taken = np.where(run.encode(x)[:, :2].argmax(-1) == 1, 7, 3)
    assert classified["n"] == 40
    assert classified["accuracy"] == pytest.approx((taken == y).mean())
    part = run.other(x, y)
    table = confusion(run, part)
    assert table.tolist() == [[int(((y == a) & (taken == b)).sum()) for b in (3, 7)] for a in (3, 7)]


def test_labels_of_a_run_without_labels_change_no_number(folder, others, tmp_path):
    run = jensen.train(folder / "bare.npy", recipe="ppca", latent=1, out=tmp_path / "run")
    with pytest.raises(UsageError, match="--labels needs a run that learned from labels"):
        run.evaluate(others[0], labels=others[1])


def test_a_conditional_model_of_convolutions(tmp_path):
    """Both nets are convolutional, and see the label."""
    x, y = np.random.default_rng(0).integers(0, 2, (60, 4, 4), dtype=np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "x.npz", x=x, y=y)
    options = {**TINY, "epochs": 1, "net": "conv", "width": 2, "split": "0.8,0.1,0.1"}
    run = jensen.train(tmp_path / "x.npz", recipe="conditional", out=tmp_path / "run", **options)
    assert "upsampling convolutions to 4x4x1" in run.model.likelihood.phrase
    assert "convolutions over 4x4x1" in run.guide.phrase
    again = jensen.load(tmp_path / "run")
    codes = [again.encode(x[:5], labels=np.full(5, c)) for c in range(3)]
    assert not np.allclose(codes[0], codes[1])
    images = [again.sample(5, label=c, mean=True) for c in range(3)]
    assert not np.allclose(images[0], images[2])
    batch = again.other(x, y, own="all").rows.take(torch.arange(8))
    Elbo()(Pathwise().draw(again.model, again.guide, batch, stream(0, "points"))).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in again.guide.parameters())


def test_a_label_is_standardised_to_mean_zero_and_variance_one():
    """Over classes as frequent as in training; what stands before the label is left as it is."""
    from jensen.data.labels import Labels
    from jensen.recipes.labels import label_scale
    from tests.recipes.test_base import context

    scale = label_scale(context("binary", labels=Labels("context", (0, 1, 2), ("a", "b", "c"), (1, 3, 6))), 2)
    share = torch.tensor([0.1, 0.3, 0.6])
    out = scale(torch.cat([torch.full((3, 2), 5.0), torch.eye(3)], -1))
    assert out[:, :2].eq(5.0).all()
    torch.testing.assert_close(share @ out[:, 2:], torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(share @ out[:, 2:].square(), torch.ones(3))
