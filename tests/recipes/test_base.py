"""Recipes: their list, their options, and what a setting allows."""

from __future__ import annotations

import inspect

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import DataError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.data import Schema
from jensen.data.columns import Column
from jensen.data.labels import Labels
from jensen.families import Bernoulli, DiscretizedLogistic, Gaussian
from jensen.guides import (
    Amortized,
    Deterministic,
    Exact,
    Flowing,
    FromPrior,
    Hamiltonian,
    Masked,
    Quantized,
    Structured,
)
from jensen.guides.refined import PerDatum, Refined
from jensen.models.conditionals import Given
from jensen.models.diffused import Diffused
from jensen.models.ladder import LadderGuide
from jensen.nets import MLP
from jensen.recipes import RECIPES, RecipeContext, find, option_names
from jensen.recipes.base import start_from_mean
from jensen.training import Optimizer
from jensen.training.players import check_players
from tests.identities.models import close

D = 4
X = {
    "binary": torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]], dtype=torch.uint8),
    "integers": torch.tensor([[0, 3, 4, 1], [2, 2, 0, 4], [1, 0, 3, 3]], dtype=torch.uint8),
    "real": torch.tensor([[0.5, -1.0, 2.0, 0.0], [1.5, 0.0, 1.0, 3.0], [1.0, 2.0, 1.0, 0.1]]),
    "mixed": torch.tensor([[0.5, 1.0, 2.0, 0.0], [1.5, 0.5, 0.0, 3.0], [-1.0, 2.0, 1.0, 5.0]]),
}
COLUMNS = (
    Column("a", "real"),
    Column("b", "positive"),
    Column("c", "categorical", levels=("red", "green", "blue")),
    Column("d", "count"),
)


def context(kind: str, shape=(D,), **more) -> RecipeContext:
    x = X[kind]
    columns = COLUMNS if kind == "mixed" else None
    schema = Schema(kind, shape, 5 if kind == "integers" else None, columns=columns)
    mean, scale = x.double().mean(0), x.double().std(0)
    return RecipeContext(schema, mean, scale, Rows(x, lambda x, g: x.float()), 10, Optimizer(), **more)


GUIDES = {
    "adversarial-autoencoder": Deterministic,
    "autoencoder": Deterministic,
    "conditional-diffusion": Diffused,
    "ddpm": Diffused,
    "denoising-autoencoder": Deterministic,
    "diffusion": Diffused,
    "factor-analysis": Exact,
    "fsq": Quantized,
    "gan": FromPrior,
    "gaussian": Exact,
    "gmm": Exact,
    "hamiltonian": Hamiltonian,
    "iaf": Flowing,
    "ladder": LadderGuide,
    "latent-diffusion": Diffused,
    "made": Exact,
    "pixelcnn": Exact,
    "ppca": Exact,
    "refined": Refined,
    "semi-supervised": Structured,
    "spline-posterior": Flowing,
    "svi": PerDatum,
    "table": Masked,
    "table-gmm": Exact,
    "very-deep": LadderGuide,
    "vq-vae": Quantized,
    "wae-mmd": Deterministic,
}
LABELS = Labels("partial", (0, 1), ("no", "yes"), (2, 1))
IMAGES = {"very-deep", "pixelcnn", "pixel-vae"}
KINDS = {"gaussian": "real", "ppca": "real", "factor-analysis": "real", "gmm": "real", "sigma-vae": "real"}
KINDS |= {"table": "mixed", "table-gmm": "mixed"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_makes_parts_that_go_together(name):
    kind = KINDS.get(name, "binary")
    sizes = {"latent": 2, "components": 2, "hidden": (5,), "groups": (1, 2), "state": 3, "width": 3}
    sizes |= {"hidden": (200, 200)} if name == "very-deep" else {}
    options = {k: v for k, v in sizes.items() if k in RECIPES[name].options}
    with drawing_from(stream(0, "init")):
        made = RECIPES[name](context(kind, (2, 2, 1) if name in IMAGES else (D,), labels=LABELS), **options)
    check_players(made.model, made.guide, made.players, 10)
    trained = {id(p) for player in made.players for p in player.trained}
    modules = (made.model, made.guide, *made.critics)
    everything = {id(p) for m in modules for p in m.parameters() if p.requires_grad}
    assert trained == everything
    assert made.model.likelihood.family.dim == D
    assert type(made.guide) is GUIDES.get(name, Amortized)
    assert RECIPES[name].summary.endswith(".")
    assert any(c.isdigit() for c in RECIPES[name].paper)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"hidden": (5,)}, "no --hidden"), ({"net": "conv"}, "no --net"), ({"blocks": 1}, "no --blocks")],
)
def test_very_deep_refuses_what_would_play_no_part(options, words):
    with pytest.raises(UsageError, match=words) as refusal:
        find("very-deep")(context("binary", (2, 2, 1)), width=3, **options)
    assert "Leave" in refusal.value.remedy


def test_every_recipe_has_a_title():
    untitled = {name for name, r in RECIPES.items() if r.title in ("", name)}
    assert untitled == {"autoencoder"}  # whose title is its name
    assert {name for name, r in RECIPES.items() if r.title != r.title.strip(" .") or "\n" in r.title} == set()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_short_function(name):
    lines = inspect.getsource(RECIPES[name].make).splitlines()
    assert len(lines) <= 25


def test_objectives_are_what_the_recipes_say():
    def of(name, **options):
        [player] = RECIPES[name](context("binary"), latent=2, hidden=(3,), **options).players
        return str(player.objective), str(player.estimator)

    assert of("vae") == ("-Distortion - Rate", "Pathwise(k=1)")
    assert of("vae", warmup=3) == ("-Distortion - (0 to 1 in 30 steps) Rate", "Pathwise(k=1)")
    assert of("beta-vae", beta=2.5) == ("-Distortion - 2.5 Rate", "Pathwise(k=1)")
    assert of("iwae", points=7) == ("ImportanceWeighted", "Pathwise(k=7)")
    assert of("autoencoder") == ("-Distortion", "Pathwise(k=1)")


@pytest.mark.parametrize("kind", ["binary", "integers", "real"])
def test_the_likelihood_follows_the_data(kind):
    auto = context(kind).likelihood("auto")
    assert (
        auto
        == {
            "binary": Bernoulli(D),
            "integers": DiscretizedLogistic(D, 5),
            "real": Gaussian(D, "each"),
        }[kind]
    )


def test_likelihoods_by_name():
    real = context("real", floor=0.02)
    assert real.likelihood("gaussian") == Gaussian(D, "each", 0.02)
    assert real.likelihood("gaussian-shared") == Gaussian(D, "shared", 0.02)
    assert real.likelihood("gaussian-unit") == Gaussian(D, 1.0)


@pytest.mark.parametrize(
    ("kind", "name", "error", "words"),
    [
        ("integers", "bernoulli", DataError, "needs values 0 and 1.*--binarize"),
        ("real", "bernoulli", DataError, "needs values 0 and 1"),
        ("real", "discretized-logistic", DataError, "needs integers"),
        ("binary", "gaussian", DataError, "no upper bound.*--dequantize"),
        ("integers", "gaussian-unit", DataError, "no upper bound"),
        ("real", "zebra", UsageError, "Choose from auto"),
    ],
)
def test_likelihoods_that_the_data_do_not_have_are_refused(kind, name, error, words):
    with pytest.raises(error, match=words):
        context(kind).likelihood(name)


def test_constant_columns_need_a_floor_under_a_learned_scale():
    with pytest.raises(DataError, match=r"3 columns are constant.*--floor"):
        context("real", constant=3).likelihood("gaussian")
    assert context("real", constant=3, floor=0.1).likelihood("gaussian").floor == 0.1
    assert context("real", constant=3).likelihood("gaussian-unit").scale == 1  # nothing is learned
    assert context("real", floor=None).learned_floor() == 1e-4


@pytest.mark.parametrize("kind", ["binary", "integers", "real"])
def test_a_decoder_starts_at_the_average(kind):
    family = context(kind).likelihood("auto")
    net = MLP(2, family.size, ())
    mean = X[kind].double().mean(0).float()
    start_from_mean(net.layers[-1].bias, family, mean)
    with torch.no_grad():
        net.layers[-1].weight.zero_()
        likelihood = Given(net, family)(torch.zeros(1, 2))
    loc = net.layers[-1].bias[:D].detach()
    if kind == "integers":
        close((loc + 1) * 2, mean, 1e-5)  # the locations run from -1 to 1 over 0..4
    else:
        close(likelihood.mean[0].detach(), mean.clamp(0.01, 0.99) if kind == "binary" else mean, 1e-5)


def test_options_and_their_defaults():
    vae = find("vae")
    assert vae.checked({"latent": 3}) == {
        **{k: p.default for k, p in vae.options.items()},
        "latent": 3,
    }
    assert {"latent", "beta", "points", "components", "fit", "warmup"} <= option_names()
    assert "context" not in option_names()
    assert "nets" not in option_names()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latnet": 3}, "Did you mean --latent"),
        ({"zebra": 3}, "It has --latent"),
        ({"latent": 0}, "^--latent must be a whole number of at least 1, got 0. Give --latent 1 or more"),
        ({"width": -1}, "^--width must be a whole number of at least 1, got -1"),
        ({"hidden": (5, 0)}, "^--hidden must hold sizes of at least 1, got 5,0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        find("vae").checked(options)


def test_unknown_recipes_are_refused():
    with pytest.raises(UsageError, match="Did you mean factor-analysis"):
        find("factor-analisys")
    with pytest.raises(UsageError, match="jensen recipes"):
        find("zebra")


def test_convolutions_need_images():
    with pytest.raises(UsageError, match="--net mlp"):
        find("vae")(context("binary"), net="conv", latent=2)
    made = find("vae")(context("binary", (2, 2, 1)), net="conv", latent=2, width=4)
    assert made.model.sample(3).shape == (3, D)
    batch = next(context("binary").rows.batches(3))
    assert torch.isfinite(made.model.log_joint(batch, torch.zeros(1, 3, 2))).all()
