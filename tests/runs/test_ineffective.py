"""Every option of every recipe has an effect, or is refused: what the recipe makes decides, not a list."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, wraps
from typing import Any

import numpy as np
import pytest
import torch

import jensen
from jensen.cli import main
from jensen.core.batch import Rows
from jensen.core.errors import JensenError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.data.labels import Labels
from jensen.data.schema import Schema
from jensen.recipes import RECIPES, RecipeContext
from jensen.runs.ineffective import refuse_ineffective
from jensen.storage.specification import read_spec
from jensen.training import Optimizer

SHAPE = (6, 4, 1)
BITS = (np.random.default_rng(0).random((40, *SHAPE)) < 0.5).astype(np.uint8)
# with all other options at their defaults, on binary images
IGNORED = {
    ("categorical", "points"): "--gradient score",
    ("made", "components"): None,
    ("pixelcnn", "components"): None,
    ("pixel-vae", "components"): None,
}
OTHER = {"likelihood": "continuous-bernoulli", "activation": "tanh"}


def other(name: str, default: Any, hint: Any) -> Any:
    """Another value than the default."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default + 1
    if isinstance(default, tuple):
        return tuple(size + 2 for size in default)
    if default is None:
        return 3
    return next(choice for choice in hint.__args__ if choice != default)


# those with options that are not read, and one of each kind of prior, guide, estimator and game
FEW = [name for name, _ in IGNORED] + ["beta-vae", "gmm", "ladder", "vq-vae", "vae-gan", "flow-prior", "very-deep"]


@pytest.mark.parametrize("names", [FEW, pytest.param(list(RECIPES), marks=pytest.mark.slow)], ids=["few", "all"])
def test_every_option_of_every_recipe_is_read_or_refused(names):
    """With dense networks none reads --width and --norm; all others that are not in the list above change the parts."""
    asked, refused, recipes = 0, {}, [RECIPES[name] for name in names]
    for recipe in recipes:
        usual = recipe.checked({})
        _made(recipe, usual)  # what fails would seem to be read
        for name, parameter in recipe.options.items():
            value = other(name, parameter.default, recipe.hints[name])
            try:
                refuse_ineffective(recipe, {**usual, name: value}, partial(_made, recipe))
            except UsageError as error:
                refused[recipe.name, name] = error.remedy
            asked += 1
    wide = {recipe.name for recipe in recipes if recipe.has_nets} - {"pixelcnn", "pixel-vae", "very-deep"}
    unread = {pair: remedy for pair, remedy in refused.items() if pair[1] not in ("width", "norm")}
    assert {recipe for recipe, name in refused if name == "width"} == wide
    assert unread.keys() == IGNORED.keys()
    for pair, choice in IGNORED.items():
        assert choice is None or choice in unread[pair]
    assert asked > 6 * len(names)


def _made(recipe: Any, options: dict[str, Any]) -> Any:
    """What a recipe makes for some images: of bits, or of reals if it is a density."""
    schema, labels = Schema("real" if recipe.density else "binary", SHAPE), np.arange(40) % 2
    x = torch.from_numpy(BITS.reshape(40, -1)).float() + torch.randn(40, 24, generator=stream(0, "x")) * recipe.density
    made_of = RecipeContext(
        schema=schema,
        mean=x.double().mean(0),
        scale=x.double().std(0),
        rows=Rows(x, lambda x, g: x),
        steps_per_epoch=10,
        optimizer=Optimizer(),
        epochs=40,
        labels=Labels.of(labels, schema, recipe.labels, labels) if recipe.labels else None,
    )
    with drawing_from(stream(0, "init")):  # of sizes, not of weights
        return recipe(made_of, **options)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"width": 16}, "use --net conv"),
        ({"hidden": (8,), "net": "conv"}, "use --net mlp"),
        ({"recipe": "categorical", "points": 3}, "use --gradient score"),
        ({"recipe": "vae", "width": 8, "blocks": 1}, "use --net conv"),
        ({"recipe": "made", "components": 7}, "Leave --components out."),
        ({"width": 16, "flat": True}, "Leave --width out."),  # --net conv needs images
        ({"recipe": "iwae", "width": 16, "flat": True}, "Leave --width out."),
        ({"recipe": "denoising-vae", "width": 16}, "use --net conv"),
    ],
)
def test_an_option_that_is_not_read_is_refused_before_anything_is_written(options, remedy, tmp_path):
    x = BITS.reshape(40, -1) if options.pop("flat", False) else BITS
    with pytest.raises(UsageError, match="has no effect") as refused:
        jensen.train(x, out=tmp_path / "run", epochs=1, **options)
    assert refused.value.remedy.endswith(remedy) if remedy[0] == "L" else remedy in refused.value.remedy
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"width": 16, "net": "conv"},
        {"recipe": "categorical", "points": 3, "gradient": "score"},
        {"hidden": (8, 8), "blocks": 1},
        {"warmup": 0},  # which is what the default comes to in one epoch
        {"likelihood": "bernoulli"},  # likewise, on bits
        {"width": 32, "recipe": "vae"},  # the default
    ],
)
def test_an_option_that_is_read_is_taken_even_where_it_comes_to_the_same(options, tmp_path):
    assert jensen.train(BITS, out=tmp_path / "run", epochs=1, **options).path.exists()


def test_the_recipe_is_asked_with_few_rows_and_small_networks(tmp_path, monkeypatch):
    """A k-means over 30,000 rows for each option would take longer than the training."""
    asked, recipe = [], RECIPES["gmm"]

    @wraps(recipe.make)
    def make(context: RecipeContext, **options: Any) -> Any:
        asked.append(len(context.rows))
        return recipe.make(context, **options)

    monkeypatch.setitem(RECIPES, "gmm", replace(recipe, make=make))
    x = np.random.default_rng(0).normal(size=(2000, 3))
    jensen.train(x, recipe="gmm", components=5, fit="gradient", epochs=1, out=tmp_path / "run")
    assert asked[0] == 1600  # what is trained
    assert len(asked) > 2
    assert max(asked[1:]) <= 256


@pytest.mark.parametrize("options", [{"width": 16}, {"recipe": "categorical", "points": 3}])
def test_the_specification_of_an_earlier_run_is_repeated_with_a_note(options, tmp_path, monkeypatch, capsys):
    """It may have been written before options without effect were refused; the weights are the same, byte for byte."""
    np.save(tmp_path / "bits.npy", BITS)
    with monkeypatch.context() as earlier:
        earlier.setattr("jensen.runs.calls.refuse_ineffective", lambda *_: None)
        jensen.train(str(tmp_path / "bits.npy"), out=tmp_path / "old", epochs=2, hidden=(8,), **options)
    words = ["train", "--spec", str(tmp_path / "old" / "spec.json"), "--out", str(tmp_path / "new")]
    assert main(words) == 0
    name = min(options.keys() - {"recipe"})
    assert f"--{name} has no effect" in capsys.readouterr().err
    old, new = (tmp_path / run / "model.safetensors" for run in ("old", "new"))
    assert old.read_bytes() == new.read_bytes()
    assert read_spec(tmp_path / "new")["command"][name] == options[name]
    assert main([*words, f"--{name}", "17", "--force"]) == 2  # which is not of the earlier run


def test_labels_that_no_one_learns_from_are_said(tmp_path):
    heard, labels = [], np.arange(40) % 2
    jensen.train(BITS, labels=labels, out=tmp_path / "run", epochs=1, notice=heard.append)
    assert any("vae does not train on labels" in text for text in heard)
    heard.clear()
    jensen.train(BITS, labels=labels, recipe="conditional", out=tmp_path / "other", epochs=1, notice=heard.append)
    assert not any("does not train on labels" in text for text in heard)
    with pytest.raises(JensenError, match="does not learn from some labels"):
        jensen.train(BITS, labels=labels, labelled=3, out=tmp_path / "third", epochs=1)


@pytest.mark.parametrize(
    ("recipe", "options", "others"),
    [
        ("count-vae", ["--latent", "2"], "--recipe conditional --likelihood negative-binomial"),
        ("count-vae", ["--latent", "2", "--likelihood", "zip"], "--recipe semi-supervised --likelihood zip"),
        ("gmm", ["--components", "2"], "--recipe conditional, or --recipe semi-supervised"),
    ],
)
@pytest.mark.sampled(2)
def test_a_batch_that_nothing_is_corrected_for_is_said_before_training_and_after(
    recipe, options, others, tmp_path, capsys
):
    x = np.random.default_rng(0).poisson(3.0, (60, 3))
    rows = "".join(f"{','.join(map(str, row))},{'AB'[i % 2]}\n" for i, row in enumerate(x.tolist()))
    (tmp_path / "cells.csv").write_text(f"g1,g2,g3,batch\n{rows}")
    words = ["train", str(tmp_path / "cells.csv"), "--recipe", recipe, *options, "--epochs", "1", "--labels", "batch"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert f"labels have no effect on the model: {recipe} does not train on labels" in said.err
    assert others in said.err
    assert "labels (batch): for the report and results only, without effect on the model\n" in said.out
    taken = words[:2] + others.split(",")[0].split() + ["--latent", "2", *words[-4:]]
    assert main([*taken, "--out", str(tmp_path / "other")]) == 0  # as it was said
    said = capsys.readouterr()
    assert "effect" not in said.err + said.out
