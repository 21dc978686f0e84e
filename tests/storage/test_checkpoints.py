"""Weights along training: when they are kept, that they are the run's own, and what they say of the bound."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import jensen
from jensen.core.errors import CorruptRunError, NotNormalised, UsageError
from jensen.storage.checkpoints import checkpoint_epochs, file_name, kept_epochs

SMALL = {"recipe": "vae", "latent": 2, "hidden": (8,), "batch": 32}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("along")
    np.save(folder / "bits.npy", (np.random.default_rng(0).random((120, 6)) < 0.3).astype(np.uint8))
    jensen.train(folder / "bits.npy", out=folder / "vae", epochs=12, keep="last", checkpoints=4, **SMALL)
    jensen.train(folder / "bits.npy", out=folder / "average", epochs=3, average=0.9, **SMALL)
    return folder


@pytest.mark.parametrize(("epochs", "n"), [(1, 8), (2, 8), (5, 8), (300, 8), (300, 2), (10**6, 5)])
def test_moments_hold_both_ends(epochs, n):
    found = checkpoint_epochs(epochs, n)
    assert (found[0], found[-1]) == (1, epochs)
    assert list(found) == sorted(set(found))
    assert len(found) <= n


def test_the_files_are_those_of_the_moments(home):
    assert kept_epochs(home / "vae") == list(checkpoint_epochs(12, 4)) == [1, 2, 5, 12]
    last = load_file(home / "vae" / file_name(12))
    own = load_file(home / "vae" / "model.safetensors")
    assert last.keys() == own.keys()
    assert all(torch.equal(last[name], own[name]) for name in own)
    first = load_file(home / "vae" / file_name(1))
    assert any(not torch.equal(first[name], own[name]) for name in own)


def test_none_are_kept_on_request_and_force_removes_old_ones(home, tmp_path):
    run = shutil.copytree(home / "vae", tmp_path / "run")
    jensen.train(home / "bits.npy", out=run, epochs=2, force=True, checkpoints=0, **SMALL)
    assert kept_epochs(run) == []
    assert jensen.load(run).spec["command"]["checkpoints"] == 0
    with pytest.raises(UsageError, match="--checkpoints must be a whole number of at least 0, got -1"):
        jensen.train(home / "bits.npy", out=tmp_path / "no", checkpoints=-1, **SMALL)
    assert not (tmp_path / "no").exists()


def test_the_last_stage_is_the_run_itself(home):
    run = jensen.load(home / "vae")
    before = [p.clone() for p in run.model.parameters()]
    found = run.along(rows_at_most=100, k=50, seed=2)
    own = run.evaluate(k=50, seed=2).to_dict()
    assert [s.epoch for s in found.stages] == [1, 2, 5, 12]
    assert found.stages[-1].log_px == pytest.approx(own["log_px"], abs=1e-6)
    assert found.stages[-1].elbo == pytest.approx(own["elbo"], abs=1e-5)
    assert all(s.gap == pytest.approx(s.log_px - s.elbo, abs=1e-6) and s.gap > 0 for s in found.stages)
    assert found.stages[0].elbo < found.stages[-1].elbo
    assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))
    assert found == run.along(rows_at_most=100, k=50, seed=2)
    json.dumps(found.to_dict())


def test_few_rows_and_progress(home):
    told: list[float] = []
    found = jensen.load(home / "vae").along(rows_at_most=5, k=3, watch=told.append)
    assert (found.n, found.k) == (5, 3)
    assert told[-1] == 1.0
    assert len(told) == 4


def test_averaged_weights_are_a_stage_of_their_own(home):
    stages = jensen.load(home / "average").along(rows_at_most=12, k=3).stages
    assert [s.weights for s in stages].count("averaged") == 1
    assert [s.weights for s in stages].count("raw") == 3


def test_an_exact_model_has_no_gap(home, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(80, 3)))
    found = jensen.train(tmp_path / "x.npy", recipe="gmm", components=2, floor=0.01, out=tmp_path / "gmm").along()
    assert found.k is None
    assert found.stages
    assert all(s.gap == 0 and s.kind == "exact" for s in found.stages)


def test_without_a_density_it_is_refused(home, tmp_path):
    code = {"recipe": "autoencoder", "latent": 1, "hidden": (4,), "epochs": 1}
    with pytest.raises(NotNormalised, match="no bound at any checkpoint"):
        jensen.train(home / "bits.npy", out=tmp_path / "code", **code).along()


@pytest.mark.parametrize("damage", ["truncated", "foreign", "misnamed"])
def test_damage_is_noticed(damage, home, tmp_path):
    run = shutil.copytree(home / "vae", tmp_path / "run")
    path = run / file_name(2)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "foreign":
        shutil.copy(home / "average" / file_name(2), path)
    else:
        path.rename(path.with_name("epoch-two.safetensors"))
    with pytest.raises(CorruptRunError, match=r"epoch-"):
        jensen.load(run).along(rows_at_most=3, k=2)
