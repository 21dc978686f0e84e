"""A run is offered the options that have an effect on another training of its model."""

from __future__ import annotations

import numpy as np
import pytest

import jensen
from jensen.runs.accepted import accepted_options

RNG = np.random.default_rng(0)
DATA = {
    "real": RNG.normal(size=(60, 4)),
    "bits": (RNG.random((60, 4)) < 0.5).astype(np.uint8),
    "integers": RNG.integers(0, 9, (60, 4)),
}


@pytest.mark.parametrize(
    ("data", "recipe", "options", "offered", "withheld"),
    [
        (
            "real",
            "gmm",
            {"components": 2},
            {"floor", "components", "standardize", "seed"},
            {"lr", "clip", "latent", "beta"},
        ),
        ("real", "ppca", {"latent": 2, "fit": "gradient"}, {"floor", "lr", "latent"}, {"components", "dequantize"}),
        (
            "real",
            "vae",
            {"latent": 2, "hidden": (4,)},
            {"floor", "lr", "likelihood", "hidden"},
            {"components", "dequantize"},
        ),
        (
            "bits",
            "vae",
            {"latent": 2, "hidden": (4,)},
            {"lr", "hidden"},
            {"floor", "standardize", "dequantize", "likelihood"},
        ),
        ("integers", "vae", {"latent": 2, "hidden": (4,)}, {"dequantize", "lr"}, {"floor", "standardize"}),
    ],
)
@pytest.mark.sampled(3)
def test_options_follow_from_data_recipe_and_fit(data, recipe, options, offered, withheld, tmp_path):
    run = jensen.train(DATA[data], recipe=recipe, out=tmp_path / "run", epochs=1, **options)
    accepted = accepted_options(run)
    assert offered - accepted == set()
    assert withheld & accepted == set()


@pytest.mark.parametrize("recipe", ["vae", *(pytest.param(n, marks=pytest.mark.slow) for n in ("iwae", "beta-vae"))])
def test_layers_are_not_offered_to_convolutions(recipe, tmp_path):
    """What the command refuses as without effect is no remedy: --hidden beside --net conv."""
    images = (RNG.random((40, 8, 8)) < 0.5).astype(np.uint8)
    options = {"recipe": recipe, "latent": 2, "epochs": 1}
    dense = jensen.train(images, out=tmp_path / "dense", hidden=(4,), **options)
    convolutions = jensen.train(images, out=tmp_path / "conv", net="conv", width=2, **options)
    assert accepted_options(dense) - accepted_options(convolutions) == {"hidden"}
    assert {"latent", "warmup"} & set(dense.spec["command"]) <= accepted_options(convolutions)
    assert "--hidden" not in " ".join(f.remedy for f in convolutions.doctor().findings)


def test_without_validation_rows_nothing_goes_by_them(tmp_path):
    run = jensen.train(DATA["real"], recipe="gmm", components=2, out=tmp_path / "run", split=(1.0, 0.0, 0.0))
    assert not {"keep", "patience"} & accepted_options(run)
