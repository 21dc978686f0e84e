"""Counts whose sizes vary: a model that knows of sizes, against one that does not, on simulated and on real counts."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import jensen
from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.families import NegativeBinomial, ZeroInflated
from jensen.nets import MLP, LogCounts, SizeFactor
from jensen.recipes import find
from tests.recipes.test_base import context

SMALL = {"hidden": (32,), "epochs": 40, "lr": 5e-3, "batch": 64, "split": "0.6,0,0.4", "checkpoints": 0}


def simulated(n: int = 400, d: int = 40, kinds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Negative-binomial counts [n, d] (theta 5) of as many kinds [n], whose sizes are log-normal over a wide range."""
    rng = np.random.default_rng(0)
    kind = rng.integers(kinds, size=n)
    rate = rng.dirichlet(np.ones(d), size=kinds)[kind] * np.exp(5 + 1.3 * rng.normal(size=(n, 1)))
    return rng.poisson(rate * rng.gamma(5, 1 / 5, size=(n, d))), kind


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """As many latents in both: two and a size, or three."""
    folder = tmp_path_factory.mktemp("counts")
    x = folder / "counts.npy"
    np.save(x, simulated()[0])
    return [
        jensen.train(x, recipe="count-vae", latent=2, out=folder / "sized", **SMALL),
        jensen.train(x, recipe="vae", latent=3, likelihood="negative-binomial", out=folder / "plain", **SMALL),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1.0, 0.05], ids=["as large", "thinned"])
def test_a_model_of_sizes_is_better_where_sizes_vary(runs, kept):
    """Held-out rows, whole or with one count in twenty, K = 50: by four standard errors of the paired difference."""
    whole = runs[0].part("test").x.astype(np.int64)
    x = np.random.default_rng(5).binomial(whole, kept)
    sized, plain = (run.evaluate(x, k=50).estimate.nats.double() for run in runs)
    better = sized - plain
    assert float(better.mean()) > 4 * float(better.std()) / math.sqrt(len(better))


@pytest.mark.slow
def test_the_last_feature_is_the_size(runs):
    part, run = runs[0].part("test"), runs[0]
    size = part.x.sum(1)
    z = run.encode(part)[size > 20]
    assert np.corrcoef(z[:, -1], np.log(size[size > 20]))[0, 1] > 0.95
    kind = simulated()[1][run.split().test][size > 20]
    centre = np.stack([z[kind == k, :-1].mean(0) for k in range(3)])
    within = np.mean([z[kind == k, :-1].var(0) for k in range(3)], 0)
    assert (centre.var(0) / within).max() > 2  # and the others tell the kinds apart


def test_inputs_know_content_and_size_apart():
    x = torch.tensor([[1.0, 2.0, 0.0], [40.0, 3.0, 7.0]])
    once, tenfold = LogCounts(3, 20.0)(x), LogCounts(3, 20.0)(10 * x)
    torch.testing.assert_close(once[:, :3], tenfold[:, :3])
    torch.testing.assert_close(once[:, 3].expm1(), x.sum(1))
    torch.testing.assert_close(once[:, :3].expm1().sum(-1), torch.tensor([20.0, 20.0]))
    assert torch.isfinite(LogCounts(3, 20.0)(torch.zeros(2, 3))).all()
    with pytest.raises(UsageError, match="above 0"):
        LogCounts(3, 0.0)


@pytest.mark.parametrize("at", [0, 4])
def test_rates_add_up_to_the_latent_size(at):
    with drawing_from(stream(0, "sized")):
        net, z = MLP(2, 9, (4,)), torch.randn(5, 3)
    out, rates = net(z[:, :-1]), SizeFactor(net, 4, at, 2.0, 0.7)(z)
    torch.testing.assert_close(rates[:, at : at + 4].logsumexp(-1), 2.0 + 0.7 * z[:, -1])
    others = [i for i in range(9) if not at <= i < at + 4]
    assert torch.equal(rates[:, others], out[:, others])


def test_a_decoder_starts_at_the_average_composition():
    made = find("count-vae")(context("integers"), latent=2, hidden=(3,))
    rates = made.model.likelihood.net
    with torch.no_grad():
        for parameter in rates.net.layers[0].parameters():
            parameter.zero_()
        mean = made.model.likelihood(torch.zeros(1, 3)).mean[0]
    x = context("integers").rows.take(torch.arange(3)).x
    torch.testing.assert_close(mean / mean.sum(), (x.mean(0) / x.mean(0).sum()), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(mean.sum().log(), x.sum(1).log().mean())


def test_its_likelihoods_are_of_counts():
    made = find("count-vae")(context("integers"), latent=2, hidden=(3,), likelihood="zinb")
    assert isinstance(made.model.likelihood.family, ZeroInflated)
    assert made.model.likelihood.net.at == 4
    assert isinstance(find("count-vae")(context("integers"), latent=2).model.likelihood.family, NegativeBinomial)
    with pytest.raises(UsageError, match="Choose from poisson"):
        find("count-vae")(context("integers"), likelihood="gaussian")
    with pytest.raises(UsageError, match="--net mlp"):
        find("count-vae")(context("integers"), net="conv")


@pytest.mark.slow
def test_real_counts(tmp_path):
    """`JENSEN_COUNTS` names a .npz of counts "x" [N, D], such as of molecules of RNA per cell and gene."""
    path = os.environ.get("JENSEN_COUNTS")
    if path is None or not Path(path).exists():
        pytest.skip("JENSEN_COUNTS does not name a file of counts")
    how = {"hidden": (64,), "epochs": 40}
    sized = jensen.train(path, recipe="count-vae", latent=8, out=tmp_path / "sized", **how)
    plain = jensen.train(path, recipe="vae", likelihood="negative-binomial", latent=9, out=tmp_path / "plain", **how)
    better = sized.evaluate(k=50).estimate.nats.double() - plain.evaluate(k=50).estimate.nats.double()
    assert float(better.mean()) > -0.5 - 2 * float(better.std()) / math.sqrt(len(better))  # a nat of a hundred or so
    z, part = sized.encode(), sized.part("test")
    assert np.corrcoef(z[:, -1], np.log(part.x.sum(1)))[0, 1] > 0.9
