"""Values outside the likelihood's support are refused wherever they come from: any part, any later file, exit 3."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import jensen as j
from jensen import families
from jensen.cli import main
from jensen.core.errors import DataError
from jensen.data import split

RNG = np.random.default_rng(0)
SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}
N = 60

# likelihood: data within its support, and values outside it
LIKELIHOODS = {
    "continuous-bernoulli": (RNG.random((N, 3)), (2.8, -0.1)),
    "beta": (RNG.uniform(0.1, 0.9, (N, 3)), (0.0, 1.0, 1.5)),
    "log-normal": (RNG.uniform(0.5, 2.0, (N, 3)), (0.0, -2.0)),
    "poisson": (RNG.integers(0, 9, (N, 3)), (1.5, -2.0)),
    "negative-binomial": (RNG.integers(0, 9, (N, 3)), (1.5, -2.0)),
    "zinb": (RNG.integers(0, 9, (N, 3)), (1.5, -2.0)),
    "discretized-logistic": (RNG.integers(0, 9, (N, 3)), (9.0, -1.0)),
}


def with_value(x: np.ndarray, row: int, value: float) -> np.ndarray:
    x = x.astype(np.float64)
    x[row, 1] = value
    return x


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.sampled(4)
def test_later_data_are_checked(likelihood, tmp_path, capsys):
    x, outside = LIKELIHOODS[likelihood]
    run = j.train(x, likelihood=likelihood, out=tmp_path / "run", **SMALL)
    for i, value in enumerate(outside):
        bad = with_value(x, 7, value)
        for verb in (run.evaluate, run.encode, run.reconstruct):
            with pytest.raises(DataError, match=r"row 7\b.*column 1"):
                verb(bad)
        path = tmp_path / f"bad{i}.npy"
        np.save(path, bad)
        assert main(["evaluate", str(run.path), str(path), "--quiet"]) == 3
        answer = capsys.readouterr()
        assert "column 1 (from 0)" in answer.err
        assert answer.out == ""


@pytest.mark.parametrize("likelihood", ["continuous-bernoulli", "beta", "log-normal"])
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_every_part_is_checked_before_training(likelihood, part, tmp_path):
    x, outside = LIKELIHOODS[likelihood]
    row = int(getattr(split(N), part)[0])
    with pytest.raises(DataError, match=r"row \d+, column 1 \(from 0\), is"):
        j.train(with_value(x, row, outside[0]), likelihood=likelihood, out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_test_files_are_checked_before_training(tmp_path):
    x, _ = LIKELIHOODS["poisson"]
    for bad in (with_value(x, 3, 1.5), with_value(x, 3, -2.0)):
        np.save(tmp_path / "test.npy", bad)
        with pytest.raises(DataError, match="row 3, column 1"):
            j.train(x, likelihood="poisson", test=tmp_path / "test.npy", out=tmp_path / "run", **SMALL)


@pytest.mark.parametrize("recipe", ["count-vae", pytest.param("gmm", marks=pytest.mark.slow), "ppca", "sigma-vae"])
def test_integers_beyond_the_largest_of_training_are_no_error_where_the_model_has_no_last_level(recipe, tmp_path):
    x = RNG.integers(0, 150, (N, 4))
    options = {"latent": 1} if recipe == "ppca" else {"components": 2} if recipe == "gmm" else {"latent": 2}
    more = {"hidden": (8,), "epochs": 1} if recipe in ("count-vae", "sigma-vae") else {}
    run = j.train(x, recipe=recipe, out=tmp_path / "run", device="cpu", **options, **more)
    beyond = x[:10].copy()
    beyond[3, 2] = 373
    estimate = run.evaluate(beyond, k=20).estimate
    assert bool(torch.isfinite(estimate.nats).all())
    same = [i for i in range(10) if i != 3]
    assert estimate.nats[3] < estimate.nats[same].min()
    tested = j.train(x, recipe=recipe, test=beyond, out=tmp_path / "tested", device="cpu", **options, **more)
    assert tested.evaluate(k=20).estimate.nats.shape == (10,)


FAMILIES = {
    "continuous Bernoulli": (families.ContinuousBernoulli(1), [0.0, 0.3, 1.0], [-0.1, 2.8]),
    "Beta": (families.Beta(1), [0.3], [0.0, 1.0, -1.0]),
    "log-normal": (families.LogNormal(1), [1e-3, 9.0], [0.0, -1.0]),
    "Poisson": (families.Poisson(1), [0.0, 173.0], [1.5, -2.0]),
    "negative binomial": (families.NegativeBinomial(1), [0.0, 173.0], [1.5, -2.0]),
    "zero-inflated": (families.ZeroInflated(families.Poisson(1)), [0.0, 173.0], [0.5, -2.0]),
    "Bernoulli": (families.Bernoulli(1), [0.0, 1.0], [0.5, 2.0]),
    "one-hot": (families.Categorical(1), [0.0, 1.0], [0.5]),
    "levels": (families.DiscretizedLogistic(1, 17), [0.0, 16.0], [17.0, 0.5, -1.0]),
    "mixtures of levels": (families.DiscretizedLogisticMixture(1, 1, 17, 2), [0.0, 16.0], [17.0, 0.5]),
    "Gaussian": (families.Gaussian(1), [-1e9, 1e9], [float("inf"), float("nan")]),
    "mixture": (families.Mixture(families.Gaussian(1), 2), [-3.0], [float("nan")]),
    "product": (families.Product(families.Categorical(2), 2), [1.0], [2.0]),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_support_holds_what_has_a_density_and_nothing_else(name):
    family, inside, outside = FAMILIES[name]
    assert family.support.contains(torch.tensor(inside)).all()
    assert not family.support.contains(torch.tensor(outside)).any()
    if family.dim == 1 and name not in ("one-hot", "mixtures of levels"):
        values = family.log_prob(torch.zeros(len(inside), family.size), torch.tensor(inside)[:, None])
        assert bool(torch.isfinite(values).all())


@pytest.mark.parametrize("far", [3_000_000_000, 2**31, 2**40])
def test_counts_beyond_32_bits_are_counts(far, tmp_path):
    x = np.random.default_rng(0).poisson(3.0, (60, 2))
    run = j.train(x, recipe="vae", likelihood="poisson", latent=1, hidden=(4,), epochs=1, out=tmp_path / "run")
    later = x[:8].astype(np.int64)
    later[3, 1] = far
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nats = run.evaluate(later, k=5).estimate.nats
    assert np.isfinite(nats.numpy()).all()
    assert int(nats.argmin()) == 3


@pytest.fixture
def large_counts(tmp_path):
    """60 rows of counts up to millions, of more levels than a discretised likelihood has."""
    x = np.random.default_rng(0).negative_binomial(0.5, 1e-6, (60, 3)).astype(float)
    assert x.max() > 2**20
    np.save(tmp_path / "large.npy", x)
    return tmp_path / "large.npy"


@pytest.mark.parametrize(
    ("options", "spread"),
    [
        ({}, True),
        ({"recipe": "beta-vae"}, True),
        ({"recipe": "gaussian"}, True),
        ({"recipe": "count-vae"}, False),
        ({"likelihood": "negative-binomial"}, False),
    ],
    ids=str,
)
@pytest.mark.sampled(3)
def test_counts_beyond_all_levels_are_a_density_or_of_a_likelihood_of_counts(options, spread, large_counts, tmp_path):
    notes = []
    run = j.train(large_counts, out=tmp_path / "run", epochs=1, notice=notes.append, **options)
    assert run.preparation.dequantize is spread
    assert run.schema.kind == "integers"
    assert any("too many for a likelihood of levels" in n for n in notes) is (
        spread and "gaussian" not in options.values()
    )


@pytest.mark.parametrize("options", [{"dequantize": False}, {"recipe": "made", "dequantize": False}], ids=str)
def test_too_many_levels_are_refused_by_their_number(options, large_counts, tmp_path):
    with pytest.raises(DataError, match=r"at most 1,048,576 levels, and these data have [\d,]+"):
        j.train(large_counts, out=tmp_path / "run", epochs=1, **options)
    assert not (tmp_path / "run").exists()
