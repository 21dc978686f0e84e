"""Comparisons: paired differences against known models, and pairs that must not be compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import jensen
from jensen.comparison import Comparison, Group, Score, compare
from jensen.errors import DataError, NotNormalised, UsageError
from jensen.evaluate import Estimate, Kind
from tests.identities.models import close

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=(300, 1)) @ np.ones((1, 5)) + 0.3 * RNG.normal(size=(300, 5))
GREY = RNG.integers(0, 256, size=(60, 3, 2, 1), dtype=np.uint8)
VAE = {"recipe": "vae", "latent": 2, "hidden": (8,), "epochs": 2, "batch": 16}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    np.save(folder / "x.npy", SIGNAL)
    np.save(folder / "rows.npy", SIGNAL[:50] + 1e-3)
    np.save(folder / "other.npy", SIGNAL + 1)
    np.save(folder / "grey.npy", GREY)
    jensen.train(folder / "x.npy", recipe="gaussian", out=folder / "gaussian")
    jensen.train(folder / "x.npy", recipe="ppca", latent=1, out=folder / "ppca")
    jensen.train(folder / "x.npy", recipe="gaussian", seed=1, out=folder / "seed")
    jensen.train(folder / "other.npy", recipe="gaussian", out=folder / "other")
    jensen.train(folder / "x.npy", recipe="autoencoder", latent=1, hidden=(4,), epochs=1, out=folder / "code")
    jensen.train(folder / "x.npy", out=folder / "vae", **VAE)
    for name, more in {
        "levels": {},
        "static": {"binarize": "static"},
        "dynamic": {"binarize": "dynamic"},
        "dense": {"dequantize": True},
    }.items():
        jensen.train(folder / "grey.npy", out=folder / name, **VAE, **more)
    return folder


def opened(home, *names):
    return [jensen.load(home / name) for name in names]


def group(*means: float, noise: float = 0.0, n: int = 400) -> Group:
    """Runs with these means, of the same rows but for some noise."""
    rng = np.random.default_rng(len(means))
    rows = 10 * np.random.default_rng(0).normal(size=n)
    scores = [rows + m + noise * rng.normal(size=n) for m in means]
    made = [Estimate(Kind.EXACT, torch.as_tensor(s)) for s in scores]
    return Group(tuple(Score(f"run-{i}", "vae", "raw", "", e) for i, e in enumerate(made)))


def comparison(a: Group, b: Group) -> Comparison:
    return Comparison(a, b, "rows", "real values", "density", 0)


def test_the_difference_is_paired(home):
    a, b = opened(home, "ppca", "gaussian")
    found = compare(a, b)
    x, y = (r.evaluate().estimate for r in (a, b))
    close(found.differences, (x.nats - y.nats).double())
    expected = float((x.nats - y.nats).double().std() / math.sqrt(len(x.nats)))
    assert found.stderr == pytest.approx(expected)
    assert found.stderr < math.hypot(x.stderr, y.stderr)
    assert found.better == "A"
    assert found.verdict.startswith("A is better by ")
    assert compare(b, a).better == "B"
    assert compare(b, a).difference == pytest.approx(-found.difference)


def test_a_model_does_not_differ_from_itself(home):
    a, b = opened(home, "vae", "vae")
    found = compare(a, b, k=10)
    assert (found.difference, found.stderr, found.better) == (0.0, 0.0, None)
    assert "no difference at this size" in found.verdict


def test_pairing_sees_what_unpaired_errors_hide():
    found = comparison(group(0.5, noise=0.5), group(0.0, noise=0.5))
    assert found.better is None or found.stderr < 0.1
    assert found.a.to_dict()["stderr"] > 0.4
    assert found.stderr < 0.1


def test_seeds_widen_the_error():
    tight, wide = comparison(group(1.0, 1.001), group(0.0, 0.001)), comparison(group(3.0, -1.0), group(0.0, 0.001))
    assert tight.better == "A"
    assert tight.stderr_seeds == pytest.approx(0.001 / math.sqrt(2), rel=1e-3)
    assert wide.difference == pytest.approx(1.0, abs=0.01)
    assert wide.stderr_seeds == pytest.approx(2.0, rel=0.01)
    assert wide.better is None


def test_a_group_counts_as_its_mean(home):
    ppca, gaussian = opened(home, "ppca", "gaussian")
    found = compare([ppca, gaussian], gaussian)
    alone = compare(ppca, gaussian)
    assert found.difference == pytest.approx(alone.difference / 2)
    assert found.a.spread == pytest.approx(alone.difference / math.sqrt(2))
    assert not [n for n in found.notes if "another seed" in n]
    assert [n for n in alone.notes if "another seed" in n]


def test_kinds_may_differ_and_are_told(home):
    found = compare(*opened(home, "ppca", "vae"), k=5)
    assert "A is exact, B is stochastic lower bound: log p(x) of B may be higher" in found.notes
    assert found.measure == "density"
    json.dumps(found.to_dict())


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_the_bits_of_a_binarisation_are_the_same(name, home):
    run, again = opened(home, name, name)
    again.preparation = replace(again.preparation, seed=7)  # as of a run with another seed
    found = compare(run, again, home / "grey.npy", k=3)
    assert float(found.differences.abs().max()) == 0.0
    assert found.measure == "mass"
    assert again.preparation.seed == 7


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (("vae", "code"), NotNormalised, "has no density"),
        (("code", "vae"), NotNormalised, "has no density"),
        (("levels", "dense"), DataError, "the same base measure: a mass and a density"),
        (("levels", "static"), DataError, "do not see the same values"),
        (("static", "dynamic"), DataError, "binarised once .* and binarised dynamically"),
        (("vae", "levels"), DataError, "of different data: 5 real and 3 x 2 x 1 integers of 256 levels"),
        (("gaussian", "other"), DataError, "were trained on different data"),
        (("gaussian", "seed"), DataError, "the test rows of .* are not the same"),
    ],
)
def test_what_cannot_be_compared_is_refused(names, error, said, home):
    with pytest.raises(error, match=said):
        compare(*opened(home, *names), k=2)


def test_rows_of_the_users_own(home):
    found = compare(*opened(home, "gaussian", "seed"), home / "rows.npy")
    assert len(found.differences) == 50
    told = compare(*opened(home, "gaussian", "other"), home / "x.npy").notes
    assert "the runs were trained on different data" in told
    assert [n for n in told if "240 of these 300 rows were trained on" in n]


def test_an_empty_group_is_refused(home):
    with pytest.raises(UsageError, match="a group holds no run"):
        compare([], opened(home, "vae")[0])


def test_progress_covers_all_runs(home):
    told: list[float] = []
    compare(*opened(home, "vae", "vae"), k=2, watch=told.append)
    assert told == sorted(told)
    assert 0.5 in told
    assert told[-1] == 1.0
