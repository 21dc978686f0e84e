"""The doctor on whole models and runs: healthy ones have no problem, ill ones have theirs, and what it cannot say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import jensen
from jensen.analysis.doctor import examine
from jensen.core.batch import Rows
from jensen.core.errors import DataError, UsageError
from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.guides import Deterministic, Exact
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from tests.analysis.patients import names, pair, rows, sharp
from tests.identities.models import linear_model, mixture_model

# --- healthy models ---


def test_models_on_their_own_data_are_healthy():
    for model in (linear_model(3, 8), mixture_model(3, 4)):
        found = examine(model, Exact(model), *pair(model))
        assert found.findings == ()
        assert {"over-fitting", "memorised-rows", "weights"}.isdisjoint(found.skipped)


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "vae", "epochs": 30},
        pytest.param({"recipe": "ppca", "latent": 10}, marks=pytest.mark.slow),
        {"recipe": "gmm", "components": 10},
        pytest.param({"recipe": "gaussian"}, marks=pytest.mark.slow),
    ],
    ids=lambda options: options["recipe"],
)
@pytest.mark.sampled(1)
def test_runs_on_digits_are_healthy(options, tmp_path):
    run = jensen.train("digits", out=tmp_path / "run", device="cpu", **options)
    found = run.doctor()
    assert found.healthy, found.problems
    assert found.to_dict()["healthy"]
    expected = run.evaluate(method="importance", k=64).estimate
    score = expected.mean if run.guide.is_exact else float(expected.elbo.mean())
    assert found.measures["score_test"] == pytest.approx(score, abs=0.3)  # in the data's own units


# --- trained until ill ---


def ill(tmp_path, **options):
    return names(jensen.train("digits", out=tmp_path / "run", device="cpu", **options).doctor())


@pytest.mark.slow
def test_run_with_a_heavy_rate(tmp_path):
    assert "posterior-collapse" in ill(tmp_path, recipe="beta-vae", beta=50.0, epochs=10)


@pytest.mark.slow
def test_run_with_a_light_rate(tmp_path):
    found = ill(
        tmp_path, recipe="beta-vae", beta=1e-5, epochs=20, batch=64, lr=5e-3, latent=4, hidden=(64,), keep="last"
    )
    assert {"prior-mismatch", "beta-not-one", "encoder-scale-collapse"} <= found


def test_run_on_few_rows(tmp_path):
    found = ill(tmp_path, split="0.05,0.05,0.9", epochs=80, batch=16, keep="last", latent=8, lr=3e-3)
    assert {"over-fitting", "saturated-outputs"} <= found


def test_over_fitting_by_the_validation_curve():
    """A gap that is only visible becomes a problem once validation has fallen."""
    model = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(4))).double()
    noise = stream(0, "gap")
    train = torch.randn(400, 4, dtype=torch.float64, generator=noise)
    test = 1.2 * torch.randn(400, 4, dtype=torch.float64, generator=noise)
    curve = [{"event": "epoch", "epoch": e, "beta": 1.0, "valid": {"bound": b}} for e, b in ((1, -5.0), (2, -9.0))]
    for kept, severity in ((1, "note"), (2, "problem")):
        history = [*curve, {"event": "stopped", "kept_epoch": kept}]
        found = examine(model, Exact(model), Rows(train), Rows(test), history=history)
        assert "over-fitting" in names(found, severity)


# --- what does not apply ---


def test_what_does_not_apply_is_said():
    net = nn.Linear(5, 2).double()
    model = linear_model(2, 5)
    found = examine(model, Deterministic(net), *pair(model))
    assert {"posterior-collapse", "prior-mismatch", "encoder-scale-collapse", "unused-components"} <= set(found.skipped)
    assert "rate" not in found.measures
    alone = examine(model, Exact(model), rows(model, 300))
    assert {"over-fitting", "memorised-rows"} <= set(alone.skipped)


def test_nothing_is_changed_and_the_seed_repeats_it():
    model, guide, train, test = sharp(0.1)
    before = [p.clone() for p in (*model.parameters(), *guide.parameters())]
    told: list[float] = []
    first = examine(model, guide, train, test, seed=3, watch=told.append)
    assert first == examine(model, guide, train, test, seed=3)
    assert first.measures != examine(model, guide, train, test, seed=4).measures
    after = [*model.parameters(), *guide.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert not any(m._forward_hooks for m in guide.modules())


def test_no_rows_are_refused():
    model = linear_model(1, 2)
    with pytest.raises(DataError):
        examine(model, Exact(model), Rows(torch.zeros(0, 2, dtype=torch.float64)))


def test_run_on_an_array_is_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    run = jensen.load(jensen.train(x, recipe="ppca", latent=1, out=tmp_path / "run", device="cpu").path)
    with pytest.raises(UsageError, match="in memory"):
        run.doctor()


def test_findings_say_what_to_do(tmp_path):
    model, guide, train, test = sharp(0.001)
    found = examine(model, guide, train, test, beta=0.1)
    assert len(found.problems) > 1
    assert list(found.findings) == sorted(found.findings, key=lambda f: f.severity != "problem")
    for finding in found.findings:
        record = finding.to_dict()
        assert all(record[key] for key in ("name", "severity", "what", "cause", "remedy"))
        assert not record["what"].endswith(".")
        assert record["remedy"].endswith(".")
