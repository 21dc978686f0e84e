"""`jensen train`: odd data that work, the same bytes from the same command, and what is said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from jensen.cli.options import parse_options
from jensen.cli.recipe_help import recipe_help
from jensen.cli.sweeps import parse_sweep
from jensen.core.errors import UsageError
from jensen.data.splits import split
from jensen.recipes import RECIPES, option_flag
from jensen.runs.run import load
from jensen.storage.files import write_json

TINY = ["--epochs", "1", "--latent", "2", "--hidden", "8", "--out", "run"]
REAL = np.random.default_rng(0).normal(size=(60, 4))


# --- odd data ---


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (REAL.astype(">f8"), "real"),
        (np.asfortranarray(REAL.astype(np.float32)), "real"),
        (np.random.default_rng(0).integers(0, 999, (60, 4)).astype(np.uint16), "integers"),
        (np.random.default_rng(0).integers(0, 999, (60, 4)).astype(">i4"), "integers"),
    ],
    ids=["big-endian", "Fortran order", "uint16", "big-endian integers"],
)
@pytest.mark.sampled(2)
def test_layouts_of_memory_do_not_matter(x, kind, jensen):
    np.save("x.npy", x)
    answer = jensen("train", "x.npy", *TINY)
    assert answer.code == 0, answer.err
    run = load("run")
    assert run.schema.kind == kind
    assert np.array_equal(run.dataset().x, x)


def test_layout_does_not_change_the_weights(jensen, here):
    for name, x in {"little": REAL, "big": np.asfortranarray(REAL.astype(">f8"))}.items():
        np.save("x.npy", x)
        assert jensen("train", "x.npy", *TINY[:-1], name).code == 0
    assert (here / "little" / "model.safetensors").read_bytes() == (here / "big" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("n", [20, 129 + 32])  # fewer than a batch; training rows that leave a last batch of one
def test_any_number_of_rows(n, jensen):
    np.save("x.npy", np.random.default_rng(0).normal(size=(n, 3)))
    answer = jensen("train", "x.npy", *TINY, "--batch", "128", "--split", "0.8,0.1,0.1", "--json")
    assert answer.code == 0, answer.err
    sizes = load("run").spec["split"]["sizes"]
    assert sizes["train"] < 128 or sizes["train"] % 128 == 1
    assert np.isfinite(json.loads(answer.out)["bound"])


def test_constant_columns_with_a_floor(jensen):
    x = REAL.copy()
    x[:, 2] = 5
    np.save("x.npy", x)
    answer = jensen("train", "x.npy", *TINY, "--floor", "0.01")
    assert answer.code == 0, answer.err
    assert np.isfinite(load("run").sample(5)).all()


def pictures(folder, **saved):
    """A folder with twelve pictures of one mode."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        name, image, options = saved["make"](i, rng)
        image.save(folder / name, **options)


def deep(i, rng):
    return f"{i}.png", Image.fromarray(rng.integers(0, 65536, (4, 6), dtype=np.uint16)), {}


def alpha(i, rng):
    return f"{i}.png", Image.fromarray(rng.integers(0, 256, (4, 6, 4), dtype=np.uint8)), {}


def cmyk(i, rng):
    return f"{i}.tif", Image.fromarray(rng.integers(0, 256, (4, 6, 4), dtype=np.uint8), "CMYK"), {}


def rotated(i, rng):
    exif = Image.Exif()
    exif[0x0112] = 6
    return f"{i}.png", Image.fromarray(rng.integers(0, 256, (4, 6), dtype=np.uint8)), {"exif": exif}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize(
    ("make", "shape", "levels", "note"),
    [
        (deep, (4, 6, 1), 65536, "16-bit grey images kept"),
        (alpha, (4, 6, 3), 256, "transparency composed over black"),
        (cmyk, (4, 6, 3), 256, "CMYK converted to RGB"),
        (rotated, (6, 4, 1), 256, "rotated as EXIF says"),
    ],
)
@pytest.mark.sampled(2)
def test_odd_images(make, shape, levels, note, jensen, here):
    pictures(here / "pictures", make=make)
    answer = jensen("train", "pictures", *TINY)
    assert answer.code == 0, answer.err
    assert note in answer.err
    schema = load("run").schema
    assert (schema.shape, schema.levels) == (shape, levels)


# --- repetition ---


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("options", [["--recipe", "vae", "--hidden", "8"], ["--recipe", "gmm", "--components", "3"]])
def test_same_seed_same_bytes(options, data, jensen):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert jensen("train", "real.npy", "--epochs", "2", *options, "--seed", seed, "--out", out).code == 0
    assert weights(data / "a") == weights(data / "b")
    assert weights(data / "a") != weights(data / "c")


def test_replay_gives_the_same_bytes(data, jensen):
    words = ["--latent", "3", "--hidden", "8,4", "--batch", "16", "--seed", "5", "--average", "0.9", "--warmup", "1"]
    words += ["--binarize", "dynamic", "--test", "images.npy", "--epochs", "2", "--quiet", "--out", "run"]
    assert jensen("train", "images.npy", *words).code == 0
    (data / "elsewhere").mkdir()
    answer = jensen("train", "--spec", "run/spec.json", "--out", "elsewhere/again")
    assert answer.code == 0, answer.err
    assert weights(data / "run") == weights(data / "elsewhere" / "again")


def test_replay_of_a_run_without_a_seed_of_the_split(data, jensen):
    """Such runs were split by --seed: the split is repeated, whatever seed is asked for."""
    words = ["--binarize", "static", "--split-seed", "5", "--seed", "5", "--quiet"]
    assert jensen("train", "images.npy", *TINY, *words).code == 0
    spec = json.loads((data / "run/spec.json").read_text())
    assert spec["command"].pop("split_seed") == 5
    write_json(data / "run/spec.json", spec)
    old = load("run")
    assert old.evaluate(k=2).estimate.k == 2
    for name, more in (("again", []), ("other", ["--seed", "6"])):
        answer = jensen("train", "--spec", "run/spec.json", "--out", name, *more)
        assert answer.code == 0, answer.err
        run = load(name)
        assert run.spec["split"] == spec["split"]
        assert run.spec["command"]["split_seed"] == 5
        assert run.part("test").x.tolist() == old.part("test").x.tolist()
    assert weights(data / "run") == weights(data / "again")
    assert weights(data / "run") != weights(data / "other")


def test_replay_with_other_flags(data, jensen):
    assert jensen("train", "real.npy", *TINY).code == 0
    assert jensen("train", "--spec", "run", "--out", "again", "--epochs", "2", "--latent", "3").code == 0
    command = load("again").spec["command"]
    assert (command["epochs"], command["latent"], command["hidden"]) == (2, 3, [8])
    assert len(load("again").metrics) == 3


def test_init_from(data, jensen):
    assert jensen("train", "real.npy", *TINY).code == 0
    answer = jensen("train", "real.npy", *TINY[:-1], "more", "--init-from", "run")
    assert answer.code == 0
    assert "start from run" in answer.err


# --- what is said ---


def test_result_lines(data, jensen):
    answer = jensen("train", "real.npy", *TINY)
    number, parts, sentence, where, following = answer.out.splitlines()
    assert re.fullmatch(r"log p\(x\) >= -\d+\.\d\d nats per datum \(ELBO\), 6 validation rows", number)
    assert "raw weights of epoch 1" in parts
    assert sentence == load("run").sentence
    assert where == "run:  run"
    assert following == "next: jensen evaluate run"
    assert answer.err == ""


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--recipe", "vae", "--hidden", "8"], "ELBO"),
        (["--recipe", "iwae", "--hidden", "8", "--points", "3"], "importance-weighted bound"),
        (["--recipe", "autoencoder", "--hidden", "8"], "no bound"),
        (["--recipe", "ppca", "--latent", "2"], "exact"),
        (["--recipe", "gmm", "--components", "3"], "exact"),
        (["--recipe", "gaussian"], "exact"),
    ],
)
@pytest.mark.sampled(3)
def test_json_is_one_object_with_the_kind_of_the_number(options, kind, data, jensen):
    answer = jensen("train", "real.npy", "--epochs", "1", *options, "--out", "run", "--json")
    assert answer.code == 0, answer.err
    record = json.loads(answer.out)
    assert len(answer.out.splitlines()) == 1
    assert (record["kind"], record["part"], record["n"]) == (kind, "validation", 6)
    assert (record["bound"] is None) == (kind == "no bound")


def test_result_is_in_the_units_of_the_data(jensen):
    bounds = {}
    for factor in (1, 10):
        np.save("x.npy", REAL * factor)
        words = ["--recipe", "ppca", "--latent", "2", "--out", f"run{factor}", "--json"]
        bounds[factor] = json.loads(jensen("train", "x.npy", *words).out)["bound"]
    assert bounds[1] - bounds[10] == pytest.approx(4 * np.log(10), abs=1e-4)


def test_result_is_what_evaluate_says(jensen):
    np.save("x.npy", REAL)
    words = ["--recipe", "ppca", "--latent", "2", "--split", "0.8,0.2,0", "--out", "run", "--json"]
    trained = json.loads(jensen("train", "x.npy", *words).out)
    evaluated = json.loads(jensen("evaluate", "run", "--json").out)
    assert trained["bound"] == pytest.approx(evaluated["log_px"], abs=1e-4)


def test_notes_are_kept_quiet(jensen):
    np.save("x.npy", np.concatenate([REAL, REAL]))
    assert "exact duplicates of training rows" in jensen("train", "x.npy", *TINY).err
    assert jensen("train", "x.npy", *TINY, "--force", "--quiet").err == ""


# --- flags ---


def test_help_names_every_recipe(jensen):
    names = re.split(r"[,\s]+", jensen("train", "--help").out.partition("Recipes:")[2].partition("More:")[0].strip())
    assert names == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_help_of_a_recipe(name):
    """Its publication, and each of its options with the default as it is typed."""
    recipe, page = RECIPES[name], recipe_help(name)
    assert recipe.paper in " ".join(page.split())
    rows = re.findall(r"^  (--[\w-]+) (\S+)(.*?)(?=\n  --|\n\n|\Z)", page, flags=re.M | re.S)
    assert {flag for flag, _, _ in rows} == set(map(option_flag, recipe.options))
    texts = {flag: " ".join(text.split()) for flag, _, text in rows}
    for option, parameter in recipe.options.items():
        text, default = texts[option_flag(option)], re.search(r"\[default: (.*)\]$", texts[option_flag(option)])
        assert not text.startswith("[")
        assert default is not None
        if parameter.default is not None:
            typed = parse_options(name, {option: default[1]})
            assert typed == {option: parameter.default}


def test_help_of_a_recipe_with_the_options_of_training(jensen):
    for words in (["--recipe", "gmm", "--help"], ["-h", "--recipe=gmm"]):
        page = jensen("train", *words).out
        assert page.startswith(recipe_help("gmm"))
        assert "--save-every" in page
    answer = jensen("train", "--recipe", "gm", "--help")
    assert answer.code == 2
    assert "Did you mean gmm" in answer.err


@pytest.mark.parametrize("name", RECIPES)
def test_defaults_survive_being_typed(name):
    recipe = RECIPES[name]
    defaults = {k: p.default for k, p in recipe.options.items()}
    typed = {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in defaults.items()}
    assert parse_options(name, typed) == defaults


@pytest.mark.parametrize("average", [[], ["--average", "0.9"]])
def test_a_number_of_training_rows_is_of_raw_weights_that_moved(average, data, jensen):
    words = ["train", "real.npy", *TINY, "--split", "1,0,0", *average]
    answer = jensen(*words)
    number, parts, *_ = answer.out.splitlines()
    assert number.endswith("(ELBO), average over the epoch while training, 60 training rows, raw weights")
    kept = "averaged" if average else "raw"
    assert f"; keeps {kept} weights of epoch 1, finished" in parts
    record = json.loads(jensen(*words, "--force", "--json").out)
    assert (record["measured"], record["weights"], record["kept_weights"]) == ("while training", "raw", kept)
    assert load("run").weights == kept


def test_a_number_of_validation_rows_is_of_the_weights_that_are_kept(data, jensen):
    record = json.loads(jensen("train", "real.npy", *TINY, "--average", "0.9", "--json").out)
    assert (record["measured"], record["weights"], record["kept_weights"]) == (
        "after the epoch",
        "averaged",
        "averaged",
    )
    assert record["precision"] is None


def test_a_validation_bound_that_is_not_finite_is_told(here, jensen):
    """Values far from a plane, though their squares are finite: in units of a noise of nearly nothing they are not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 4)) + 1e-8 * rng.normal(size=(60, 4))
    x[split(60).valid[0]] = 1e150 * rng.normal(size=4)
    np.save("x.npy", x)
    words = ["train", "x.npy", "--recipe", "ppca", "--latent", "2", "--floor", "1e-6", "--out", "run"]
    answer = jensen(*words)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("the bound is not finite, 6 validation rows: some of them have extreme values")
    assert "next: jensen evaluate run" in answer.out
    record = json.loads(jensen(*words, "--force", "--json").out)
    assert (record["bound"], record["objective"], record["kind"]) == (None, None, "not finite")


@pytest.mark.parametrize("value", [1e30, -1e25, 3e38])
def test_a_validation_row_whose_squares_overflow_is_refused_before_training(value, here, jensen):
    x = np.random.default_rng(0).normal(size=(60, 4))
    row = int(split(60).valid[0])
    x[row, 2] = value
    np.save("x.npy", x)
    answer = jensen("train", "x.npy", "--epochs", "1", "--latent", "2", "--hidden", "8", "--out", "run")
    assert answer.code == 3
    assert f"{value:g} in row {row}, column 2" in answer.err
    assert not (here / "run").exists()


def test_a_closed_form_is_measured_with_its_own_weights(data, jensen):
    answer = jensen("train", "real.npy", "--recipe", "ppca", "--latent", "2", "--split", "1,0,0", "--out", "run")
    assert answer.out.splitlines()[0].endswith("nats per datum (exact), 60 training rows")


def test_coarse_products_are_told_where_they_made_the_number(data, jensen):
    words = ["train", "real.npy", *TINY, "--precision", "bfloat16"]
    assert "bfloat16" not in jensen(*words).out  # validation is accurate whatever training was
    number = jensen(*words, "--force", "--split", "1,0,0").out.splitlines()[0]
    assert number.endswith("raw weights, networks in bfloat16")


def test_options_without_a_recipe_are_those_of_the_recipes_that_data_choose():
    assert parse_options(None, {"latent": "3", "components": "5", "hiding": "0.2"}) == {
        "latent": 3,
        "components": 5,
        "hiding": 0.2,
    }
    assert parse_sweep(None, ["components=2,3"]) == {"components": (2, 3)}
    with pytest.raises(UsageError, match="has no option --temperature"):
        parse_options(None, {"temperature": "3"})
