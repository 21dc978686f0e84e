"""What is done with a run: evaluation, samples, codes, reconstructions, and where they go."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jensen.cli.grids import UNKNOWN, data_range, grid, model_range, pairs, scaled
from jensen.runs.run import Run, load
from tests.records import fields


def table(text):
    header, *rows = csv.reader(text.splitlines())
    return header, rows


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


# --- evaluate ---


def test_evaluation_lines(run, jensen):
    answer = jensen("evaluate", "run", "-k", "50")
    number, about, errors, elbo, following = answer.out.splitlines()
    pattern = r"log p\(x\) >= -[\d.]+ ± [\d.]+ nats per datum \(stochastic lower bound, K = 50; ± over data\)"
    assert re.fullmatch(pattern, number)
    assert about.startswith("6 test rows of ")
    assert "standardised per feature; raw weights; seed 0" in about
    assert "over Monte Carlo; median effective sample size" in errors
    assert elbo.startswith("ELBO -")
    assert following == "next: jensen report run"
    kept = fields(run / "evaluation.json")
    assert (kept["k"], kept["kind"], kept["n"]) == (50, "stochastic lower bound", 6)


def test_evaluation_as_json(run, jensen):
    answer = jensen("evaluate", "run", "-k", "5", "--json")
    assert len(answer.out.splitlines()) == 1
    assert json.loads(answer.out) == fields(run / "evaluation.json")


def test_evaluation_repeats_itself(run, jensen):
    def numbers(seed):
        record = json.loads(jensen("evaluate", "run", "-k", "5", "--json", "--seed", seed).out)
        return {k: v for k, v in record.items() if k != "seconds"}

    assert numbers(3) == numbers(3)
    assert numbers(3)["log_px"] != numbers(4)["log_px"]


def test_evaluation_of_other_data_is_not_kept(run, data, jensen):
    np.save("new.npy", np.random.default_rng(1).normal(size=(20, 4)))
    answer = jensen("evaluate", "run", "new.npy", "-k", "5")
    assert answer.code == 0
    assert answer.err == ""
    assert not (run / "evaluation.json").exists()


def test_evaluation_on_training_rows_warns(run, data, jensen):
    np.save("some.npy", np.load("real.npy")[:-1])
    answer = jensen("evaluate", "run", "some.npy", "-k", "5")
    assert answer.code == 0
    assert "of these 59 rows were trained on, which biases the estimate upwards" in answer.err
    assert jensen("evaluate", "run", "some.npy", "-k", "5", "--quiet").err == ""


def test_evaluation_of_the_training_file_is_that_of_its_test_rows(run, data, jensen):
    answer = jensen("evaluate", "run", "real.npy", "-k", "5")
    assert answer.code == 0
    assert "real.npy holds the data of this run: only its test rows are used, 6 of 60" in answer.err
    assert "trained on" not in answer.err
    assert answer.out.splitlines()[0] == jensen("evaluate", "run", "-k", "5").out.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-k", "0"], 2, ["-k"]),
        (["-k", "x"], 2, ["-k", "whole number"]),
        (["--method", "foo"], 2, ["no method 'foo'", "importance"]),
        (["--device", "foo"], 2, ["device 'foo'", "--device cpu"]),
        (["absent.npy"], 3, ["there is no file absent.npy"]),
        (["bits.npy"], 3, ["have the shape (6,), and the training data (4,)"]),
        (["images.npy"], 3, ["have the shape (4, 4, 1)"]),
    ],
)
def test_evaluation_is_refused(words, code, said, run, data, refused):
    refused(["evaluate", "run", *words], code, *said)


def test_evaluation_of_another_binarisation(image_run, refused):
    np.save("bits.npy", np.random.default_rng(0).integers(0, 2, (20, 4, 4), dtype=np.uint8))
    refused(["evaluate", "run", "bits.npy"], 3, "is binary already", "binarises grey values", "Give grey values")


def test_validation_rows_stand_in_for_test_rows(data, jensen):
    words = ["--recipe", "ppca", "--latent", "1", "--split", "0.9,0.1,0", "--out", "run"]
    assert jensen("train", "real.npy", *words).code == 0
    answer = jensen("evaluate", "run")
    assert "there is no test part: these are validation rows" in answer.err
    assert "validation rows" in answer.out


def test_no_rows_kept_aside(data, jensen):
    assert jensen("train", "real.npy", "--recipe", "gaussian", "--split", "1,0,0", "--out", "run").code == 0
    answer = jensen("evaluate", "run")
    assert answer.code == 3
    assert "kept no rows aside" in answer.err


# --- sample ---


def test_samples_of_a_table(run, jensen):
    answer = jensen("sample", "run", "-n", "7")
    meaning = "values drawn from p(x | z) at z from the prior; --mean writes the means of p(x | z)"
    assert answer.out == f"7 samples in run/samples.csv (seed 0): {meaning}\n"
    header, rows = table((run / "samples.csv").read_text())
    assert header == ["x1", "x2", "x3", "x4"]
    assert np.allclose(np.array(rows, float), load("run").sample(7), rtol=1e-12)


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv"])
def test_samples_in_every_format(suffix, image_run, jensen):
    assert jensen("sample", "run", "-n", "5", "--noise", "--out", f"x.{suffix}").code == 0
    if suffix == "csv":
        samples = np.array(table(Path("x.csv").read_text())[1], float).reshape(5, 4, 4, 1)
    else:
        samples = np.load(f"x.{suffix}", allow_pickle=False)
        samples = samples["x"] if suffix == "npz" else samples
        assert samples.dtype == np.uint8
    assert set(np.unique(samples)) == {0, 1}
    assert samples.shape == (5, 4, 4, 1)


def test_samples_repeat_themselves(run, jensen):
    def drawn(*words):
        return jensen("sample", "run", "-n", "3", "--out", "-", *words).out

    assert drawn("--seed", "1") == drawn("--seed", "1")
    assert len({drawn("--seed", "1"), drawn("--seed", "2"), drawn("--seed", "1", "--mean")}) == 3


def test_samples_as_a_picture(image_run, jensen):
    assert jensen("sample", "run", "-n", "10", "--noise").code == 0
    image = picture(image_run / "samples.png")
    assert image.shape == (3 * 48 + 2 * 2, 4 * 48 + 3 * 2)  # 3 down, 4 across, gaps of 2
    assert set(np.unique(image[:48, :48])) <= {0, 255}  # bits, not smoothed


def test_samples_of_integers_read_as_the_same_kind(data, jensen):
    np.save("counts.npy", np.random.default_rng(0).integers(0, 9, (60, 3), dtype=np.uint8))
    assert jensen("train", "counts.npy", "--epochs", "1", "--hidden", "8", "--out", "run").code == 0
    assert jensen("sample", "run", "--out", "new.npy").code == 0
    assert jensen("evaluate", "run", "new.npy", "-k", "2").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "0"], "-n must be a whole number of at least 1, got 0"),
        (["--out", "x.png"], "these data are no images"),
        (["--out", "x.jpg"], ".npy, .npz, .csv"),
        (["--out", "x"], "--out must end in .npy, .npz, .csv, or be -, got x"),
        (["--out", "absent/x.csv"], "there is no folder absent"),
        (["--out", "real.npy"], "real.npy exists"),
        (["--out", "folder.csv", "--force"], "folder.csv exists"),
    ],
)
def test_sample_is_refused(words, said, run, data, refused):
    (data / "folder.csv").mkdir()
    refused(["sample", "run", *words], 2, said)


def test_force_overwrites_a_file(run, data, jensen):
    assert jensen("sample", "run", "-n", "3", "--out", "real.npy", "--force").code == 0
    assert np.load("real.npy").shape == (3, 4)


# --- encode ---


def test_codes_with_labels(jensen, here):
    x = np.random.default_rng(0).normal(size=(40, 2))
    kinds = ["cat" if row[0] > 0 else "dog" for row in x]
    lines = ["size,weight,label", *(f"{a},{b},{kind}" for (a, b), kind in zip(x, kinds, strict=True))]
    (here / "pets.csv").write_text("\n".join(lines))
    words = ["--labels", "label", "--recipe", "ppca", "--latent", "1", "--out", "run"]
    assert jensen("train", "pets.csv", *words).code == 0
    assert jensen("encode", "run", "pets.csv").code == 0
    header, rows = table((here / "run" / "codes.csv").read_text())
    assert header == ["row", "z1", "label"]
    assert [row[0] for row in rows] == [str(i) for i in range(40)]
    assert [row[2] for row in rows] == kinds
    assert jensen("encode", "run", "pets.csv", "--out", "codes.npz").code == 0
    with np.load("codes.npz", allow_pickle=False) as codes:
        assert codes["labels"].tolist() == [kind == "dog" for kind in kinds]
        assert np.allclose(codes["x"], np.array([row[1] for row in rows], float)[:, None])
    assert table(jensen("sample", "run", "-n", "2", "--out", "-").out)[0] == ["size", "weight"]


def test_a_test_file_has_its_labels_where_the_training_data_had_them(jensen, here):
    for name in ("a", "b", "plain"):
        x = np.random.default_rng(ord(name[0])).normal(size=(40, 2))
        ends = ["", ""] if name == "plain" else [",kind", ",cat"]
        (here / f"{name}.csv").write_text("\n".join([f"u,v{ends[0]}", *(f"{u},{v}{ends[1]}" for u, v in x)]))
    words = ["--labels", "kind", "--recipe", "ppca", "--latent", "1", "--out", "run"]
    assert jensen("train", "a.csv", "--test", "b.csv", *words).code == 0
    assert table(jensen("encode", "run", "--out", "-").out)[0] == ["row", "z1", "label"]
    assert table(jensen("encode", "run", "plain.csv", "--out", "-").out)[0] == ["row", "z1"]


def test_codes_are_those_of_the_test_rows(run, jensen):
    answer = jensen("encode", "run", "--out", "codes.npy")
    assert answer.out.startswith("2 latent features of 6 test rows of ")
    assert np.array_equal(np.load("codes.npy"), load("run").encode())


def test_codes_of_active_features(run, jensen, refused, monkeypatch):
    """They keep their numbers, and none is refused."""
    whole = load("run").encode()
    monkeypatch.setattr(Run, "active_features", lambda self: np.array([False, True]))
    header, rows = table(jensen("encode", "run", "--active", "--out", "-").out)
    assert header == ["row", "z2"]
    np.testing.assert_allclose(np.array(rows, float)[:, 1:], whole[:, 1:])
    monkeypatch.setattr(Run, "active_features", lambda self: np.array([False, False]))
    refused(["encode", "run", "--active"], 2, "no latent feature", "jensen doctor run")


@pytest.mark.parametrize("verb", ["encode", "reconstruct"])
def test_results_of_other_data_stand_beside_those_of_the_own_rows(verb, run, jensen, here):
    name = {"encode": "codes", "reconstruct": "reconstructions"}[verb]
    assert jensen(verb, "run").code == 0
    own = (run / f"{name}.csv").read_bytes()
    for place, rows in (("a", 2), ("b", 3)):
        (here / place).mkdir()
        np.save(here / place / "more rows.npy", np.full((rows, load("run").schema.size), 0.5))
    answer = jensen(verb, "run", "a/more rows.npy")
    assert answer.code == 0, answer.err
    path = run / f"{name}-more_rows.csv"
    assert f"run/{path.name}" in answer.out
    assert len(path.read_text().splitlines()) == 3
    refusal = jensen(verb, "run", "b/more rows.npy")  # other data of the same name
    assert refusal.code != 0
    assert "--force" in refusal.err
    assert len(path.read_text().splitlines()) == 3
    assert jensen(verb, "run", "b/more rows.npy", "--force").code == 0
    assert len(path.read_text().splitlines()) == 4
    assert (run / f"{name}.csv").read_bytes() == own
    assert jensen(verb, "run").code == 0  # those of the own rows are the same again


def test_codes_need_latent_features(data, jensen, refused):
    assert jensen("train", "real.npy", "--recipe", "gaussian", "--out", "run").code == 0
    refused(["encode", "run"], 2, "no latent features", "--recipe vae")


def test_codes_are_no_picture(image_run, refused):
    refused(["encode", "run", "--out", "codes.png"], 2, "no images", ".csv")


# --- reconstruct ---


def test_reconstructions_of_a_table(run, jensen):
    assert jensen("reconstruct", "run").code == 0
    _, rows = table((run / "reconstructions.csv").read_text())
    assert np.allclose(np.array(rows, float)[:, 1:], load("run").reconstruct(), rtol=1e-12)


def test_originals_stand_above_their_reconstructions(image_run, data, jensen):
    answer = jensen("reconstruct", "run", "images.npy")
    assert "shows the first 64" not in answer.err
    image = picture(image_run / "reconstructions.png")
    original = np.load("images.npy")[1]
    assert np.array_equal(image[:48:12, 50:98:12], original)  # the second of the first row
    mean = load("run").reconstruct("images.npy")[1, :, :, 0]
    assert np.allclose(image[50:98:12, 50:98:12], 255 * mean, atol=0.6)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.sampled(2)
def test_originals_with_unknown_pixels(channels, jensen, here):
    rng = np.random.default_rng(0)
    x = 5 + rng.random((60, 4, 4, channels))
    known = rng.random((60, 4, 4, 1)) < 0.7
    np.save("holes.npy", np.where(known, x, np.nan))
    words = ["--recipe", "miwae", "--points", "2", "--latent", "2", "--hidden", "8", "--epochs", "1", "--out", "run"]
    assert jensen("train", "holes.npy", *words).code == 0
    assert jensen("reconstruct", "run", "holes.npy", "--out", "x.npz").code == 0
    with np.load("x.npz", allow_pickle=False) as arrays:
        assert np.array_equal(np.isnan(arrays["original"]), np.broadcast_to(~known, x.shape))
        assert np.isfinite(arrays["x"]).all()
    assert jensen("reconstruct", "run", "holes.npy").code == 0
    image = picture(here / "run" / "reconstructions.png")
    assert image.shape[-1] == 3
    tan = (image[:48:12, :48:12] == UNKNOWN).all(-1)
    assert np.array_equal(tan, ~known[0, :, :, 0])
    assert not (image[50:98, :48] == UNKNOWN).all(-1).any()
    grey = np.ptp(image[:48:12, :48:12][~tan], axis=-1)
    assert channels == 3 or not grey.any()
    # known values fill the range: a zero in the place of an unknown one would have made them all bright
    assert image[:48:12, :48:12][~tan].min() < 60


def test_long_pictures_are_cut(image_run, data, jensen):
    np.save("many.npy", np.random.default_rng(1).integers(0, 256, (70, 4, 4), dtype=np.uint8))
    answer = jensen("reconstruct", "run", "many.npy")
    assert "shows the first 64 of 70" in answer.err
    assert picture(image_run / "reconstructions-many.png").shape == (8 * 50 - 2, 16 * 50 - 2)
    assert jensen("reconstruct", "run", "many.npy", "--out", "x.npz").code == 0
    with np.load("x.npz", allow_pickle=False) as arrays:
        assert arrays["x"].shape == arrays["original"].shape == (70, 4, 4, 1)


def test_sampled_reconstructions(image_run, data, jensen):
    assert jensen("reconstruct", "run", "images.npy", "--sample", "--out", "x.npy").code == 0
    samples = np.load("x.npy")
    assert samples.dtype == np.uint8
    assert set(np.unique(samples)) == {0, 1}


# --- pictures ---


def test_one_map_for_all_images(image_run):
    run = load("run")
    x = np.array([0.0, 255.0]).reshape(2, 1, 1, 1)
    assert scaled(x, data_range(run.schema, x)).ravel().tolist() == [0, 1]
    assert model_range(run, x) == (0.0, 1.0)


def test_grids():
    x = np.linspace(0, 1, 5).reshape(5, 1, 1, 1) * np.ones((5, 2, 3, 3))
    assert grid(x).shape == (2 * 32 + 2, 3 * 48 + 2 * 2, 3)
    both = pairs(x, 1 - x, across=3)
    assert both.shape == (4 * 32 + 3 * 2, 3 * 48 + 2 * 2, 3)
    assert both[0, 0, 0] == 0
    assert both[34, 0, 0] == 255
    assert both[68, 0, 0] == round(255 * 0.75)


@pytest.mark.parametrize(("side", "factor"), [(8, 6), (16, 3), (28, 2), (32, 2), (40, 2), (64, 2), (65, 1), (200, 1)])
def test_small_images_are_enlarged_without_smoothing(side, factor):
    x = np.random.default_rng(0).random((1, side, side, 3))
    picture = grid(x)
    assert picture.shape == (factor * side, factor * side, 3)
    assert (picture[::factor, ::factor] == picture[factor - 1 :: factor, factor - 1 :: factor]).all()


# --- the others ---


def test_recipes(jensen):
    output = jensen("recipes").out
    record = json.loads(jensen("recipes", "--json").out)["recipes"]
    assert {"vae", "gmm", "ppca"} <= {r["name"] for r in record}
    assert all(r["name"] in output and r["paper"] in output for r in record)
    assert next(r for r in record if r["name"] == "vae")["options"]["--latent"] == 16


def test_data(jensen, data):
    output = jensen("data", "digits").out
    assert output.startswith("digits: 1,797 images of 8x8x1")
    assert "integers of 17 levels" in output
    record = json.loads(jensen("data", "bits.npy", "--json").out)
    assert (record["kind"], record["shape"], record["n"]) == ("binary", [6], 60)
    assert "Bernoulli" in record["advice"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,fee\n1,3\n2,3\n3,3\n", ["1 constant column: fee\n", "integers of 4 levels (0 to 3), from 1 to 3"]),
        ("0.5,7,2\n1.5,7,2\n", ["2 constant columns: 2, 3\n", "real values"]),
        ("a,b\n0,1\n", ["1 row of 2 columns"]),
    ],
)
def test_data_in_words(text, said, data, jensen):
    (data / "words.csv").write_text(text)
    output = jensen("data", "words.csv").out
    assert all(part in output for part in said), output


def test_constant_pixels(data, jensen):
    x = np.random.default_rng(0).integers(0, 256, (9, 2, 3, 3)).astype(np.uint8)
    x[:, 0, 2] = x[:, 1, 0] = 7
    np.save("pixels.npy", x)
    assert "2 constant pixels (row/column): 1/3, 2/1\n" in jensen("data", "pixels.npy").out


def test_data_of_a_folder_is_resized(jensen, here):
    (here / "pictures").mkdir()
    for i in range(3):
        Image.new("L", (4 + i, 4), i).save(here / "pictures" / f"{i}.png")
    answer = jensen("data", "pictures")
    assert "3 images of 4x4x1" in answer.out
    assert "images differ in size" in answer.err
    assert "3 images of 5x5x1" in jensen("data", "pictures", "--size", "5").out
    stretched = jensen("data", "pictures", "--size", "5", "--resize", "stretch")
    assert "without regard to their proportions" in stretched.err
    assert "--size 5,5 --resize stretch" in stretched.out  # of the next command
    assert "--resize is for a folder of images" in jensen("data", "digits", "--resize", "crop").err


def test_options_of_images_are_not_repeated_for_other_data(jensen, here):
    rng = np.random.default_rng(0)
    (here / "pictures").mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (9, 12), dtype=np.uint8)).save(here / "pictures" / f"{i}.png")
    np.save("x.npy", rng.integers(0, 256, (12, 8, 8), dtype=np.uint8))
    words = ["--size", "8", "--resize", "stretch", "--augment", "flip,shift", "--epochs", "1", "--hidden", "4"]
    assert jensen("train", "pictures", *words, "--out", "one").code == 0
    for data in ("pictures", "x.npy"):
        answer = jensen("train", data, "--spec", "one/spec.json", "--out", f"of-{data}")
        assert answer.code == 0, answer.err
        assert "augmented rows (flip, shift)" in answer.out
    specs = [json.loads((here / run / "spec.json").read_text()) for run in ("one", "of-pictures", "of-x.npy")]
    assert [spec["data"].get("fit") for spec in specs] == ["stretch", "stretch", None]


@pytest.mark.usefixtures("unrendered")
def test_report(run, jensen):
    answer = jensen("report", "run")
    assert answer.code == 0, answer.err
    assert answer.out == "report: run/report.html\n"
    assert jensen("report", "run", "--no-examples").code == 0
    assert jensen("report", "run", "--out", "run/report.html").code == 2
