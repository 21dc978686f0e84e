"""The recipes of diffusions: what each maximises, and what they refuse; every verb is in test_every.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jensen
from jensen.core.batch import Rows
from jensen.core.errors import CompositionError, DataError, UsageError
from jensen.data import Schema
from jensen.recipes import RecipeContext, find
from jensen.training import Optimizer


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(120, 3)) @ np.array([[1.0, 0.5, 0], [0, 1, 0.3], [0, 0, 0.2]])


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        ("diffusion", {}, "in continuous time"),
        ("diffusion", {"levels": 7, "noise_schedule": "learned"}, "of 7 levels"),
        ("ddpm", {"levels": 5}, "of 5 levels"),
        ("latent-diffusion", {"latent": 2}, "in continuous time"),
    ],
)
def test_each_is_trained_and_bounded(rows, tmp_path, recipe, options, sentence):
    run = jensen.train(rows, recipe=recipe, epochs=2, hidden=(8,), out=tmp_path / "r", **options)
    assert sentence in run.model.prior.phrase
    estimate = run.evaluate(k=8).estimate
    assert estimate.kind == "stochastic lower bound"
    assert run.sample(5).shape == (5, 3)


def test_the_prior_alone_is_trained_last():
    """In the second stage codes stay as they are, and the chain alone is fitted to them."""
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    context = RecipeContext(Schema("real", (3,)), x.mean(0), x.std(0), Rows(x), 10, Optimizer())
    built = find("latent-diffusion")(context, latent=2, first=0.5, hidden=(8,))
    first, second = built.players
    chain = set(map(id, built.model.prior.parameters()))
    everything = chain | set(map(id, [*built.model.parameters(), *built.guide.parameters()]))
    assert (first.during, second.during) == ((0.0, 0.5), (0.5, 1.0))
    assert set(map(id, first.parameters)) == everything
    assert set(map(id, second.parameters)) == chain < everything
    assert len(find("latent-diffusion")(context, latent=2, hidden=(8,)).players) == 1


@pytest.mark.parametrize("ones", [0, 1])
def test_whole_numbers_that_hardly_vary_are_trained(tmp_path, ones):
    x = np.zeros((60, 3), dtype=np.uint8)
    x[:ones, 0] = 1
    run = jensen.train(x, recipe="diffusion", epochs=1, hidden=(8,), out=tmp_path / "r")
    assert np.isfinite(run.evaluate(k=8).estimate.mean)


@pytest.mark.parametrize("wrong", [{"first": 0.0}, {"first": 1.5}, {"noise": 0.0}, {"noise": 25.0}])
def test_parts_of_the_epochs_and_noise_are_checked(rows, tmp_path, wrong):
    with pytest.raises(UsageError):
        jensen.train(rows, recipe="latent-diffusion", epochs=1, out=tmp_path / "r", **wrong)


def test_a_table_of_mixed_kinds_is_read_as_one_and_its_empty_cells_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.2f},{b},{c}" for a, b, c in zip(rng.normal(size=90), rng.choice(["x", "y"], 90), range(90), strict=True)
    ]
    whole, holed = tmp_path / "whole.csv", tmp_path / "holed.csv"
    whole.write_text("\n".join(["size,kind,age", *rows]))
    holed.write_text("\n".join(["size,kind,age", *rows, "0.5,,3", ",x,2"]))
    run = jensen.train(whole, recipe="diffusion", epochs=1, hidden=(8,), out=tmp_path / "r")
    assert run.schema.kind == "mixed"
    assert len(run.sample(4)) == 4
    with pytest.raises(DataError, match=r"2 cells of .*holed\.csv are empty") as refused:
        jensen.train(holed, recipe="diffusion", epochs=1, out=tmp_path / "h")
    assert "--recipe table" in refused.value.remedy
    with pytest.raises(DataError, match="empty"):
        jensen.train(whole, test=str(holed), recipe="diffusion", epochs=1, hidden=(8,), out=tmp_path / "t")
    with pytest.raises(CompositionError, match="missing"):
        run.score(holed)
