"""Counts from the command line: trained, evaluated, sampled as whole numbers, reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jensen.cli.writing import to_integers
from tests.cli.conftest import TINY

SOME = ["--epochs", "30", "--latent", "2", "--hidden", "8"]


@pytest.fixture
def counts(here):
    """300 rows of 6 negative-binomial counts of one dimension, up to a few hundred."""
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(size=(300, 1)) * np.array([1.0, -1, 0.5, 0, 1, -0.5]) + 1.5)
    x = rng.poisson(rate * rng.gamma(2, 0.5, size=(300, 6)))
    np.save("counts.npy", x)
    return x


@pytest.mark.usefixtures("unrendered")
def test_counts_from_file_to_report(jensen, counts):
    train = jensen("train", "counts.npy", "--out", "run", "--likelihood", "negative-binomial", *SOME)
    assert train.code == 0
    assert "NegativeBinomial(6, a dispersion per feature)" in train.out
    record = json.loads(jensen("evaluate", "run", "-k", "50", "--json").out)
    assert np.isfinite(record["log_px"])
    assert record["kind"] == "stochastic lower bound"
    assert jensen("sample", "run", "-n", "2000", "--out", "samples.npy").code == 0
    samples = np.load("samples.npy")
    assert samples.dtype.kind in "iu"
    assert samples.min() == 0
    # means of long-tailed columns, after a short training: within a third of each other
    assert np.abs(np.log(samples.mean(0) / counts.mean(0))).max() < 1 / 3
    assert jensen("report", "run").code == 0
    assert jensen("encode", "run", "counts.npy", "--out", "z.npy").code == 0
    assert jensen("reconstruct", "run", "counts.npy", "--out", "mean.npy").code == 0


def test_the_likelihood_of_counts_is_better_than_that_of_levels(jensen, counts):
    """The same masses on the same rows: a log-rate and a dispersion know more of counts than bins of a logistic."""
    scores = {}
    for name in ("negative-binomial", "discretized-logistic"):
        assert jensen("train", "counts.npy", "--out", name, "--likelihood", name, *SOME).code == 0
        scores[name] = json.loads(jensen("evaluate", name, "-k", "50", "--json").out)["log_px"]
    assert scores["negative-binomial"] > scores["discretized-logistic"] + 1


@pytest.mark.parametrize(
    ("likelihood", "words"),
    [
        ("beta", "no upper bound"),
        ("log-normal", "--dequantize"),
        ("zebra", "Choose from auto, bernoulli"),
    ],
)
def test_likelihoods_that_counts_do_not_have_are_refused(jensen, counts, likelihood, words):
    answer = jensen("train", "counts.npy", "--out", "run", "--likelihood", likelihood, *TINY)
    assert answer.code == (2 if likelihood == "zebra" else 3)
    assert words in " ".join(answer.err.split())


def test_values_of_a_range_are_left_in_it(jensen, here):
    """They are not standardised unless the user says so, and the specification says what was done."""
    np.save("x.npy", np.random.default_rng(0).gamma(2.0, size=(80, 3)))
    refused = jensen("train", "x.npy", "--out", "run", "--likelihood", "log-normal", "--standardize", "feature", *TINY)
    assert refused.code == 3
    assert "leave --standardize out" in " ".join(refused.err.split())
    assert jensen("train", "x.npy", "--out", "run", "--likelihood", "log-normal", *TINY).code == 0
    assert json.loads(Path("run/spec.json").read_text())["preparation"]["scale"] is None
    assert jensen("sample", "run", "-n", "9", "--out", "s.npy").code == 0
    assert np.load("s.npy").min() > 0


def test_counts_that_are_read_as_reals_are_left_as_they_are(jensen, here):
    """A few large counts make more values than levels."""
    x = np.random.default_rng(0).poisson(30.0, size=(60, 3)).astype(float)
    x[0, 0] = 1e7
    np.save("x.npy", x)
    assert jensen("train", "x.npy", "--out", "run", "--likelihood", "poisson", *TINY).code == 0
    assert json.loads(Path("run/spec.json").read_text())["data"]["schema"]["kind"] == "real"


@pytest.mark.parametrize(("most", "kind"), [(255, np.uint8), (256, np.int32), (70_000, np.int32), (2**31, np.int64)])
def test_samples_above_the_levels_of_the_data_are_kept(most, kind):
    """Counts have no upper end: 300 must not become 44 because the data ended at 40."""
    x = to_integers(np.array([0.0, float(most)]), 41)
    assert x.dtype == kind
    assert x.max() == most
