"""Invalid options: each is refused with exit code 2 and a remedy, and nothing is written."""

from __future__ import annotations

import os
import shutil

import pytest

FEW = ["--hidden", "8"]

# options -> what is said
BAD = {
    "--latent 0": ("--latent must be a whole number of at least 1, got 0", "--latent 1 or more"),
    "--latent x": ("--latent must be a whole number, got x", "such as --latent 16"),
    "--latent 1.5": ("--latent must be a whole number, got 1.5",),
    "--width 0": ("--width must be a whole number of at least 1, got 0", "--width 1 or more"),
    "--points 0": ("--points must be a whole number of at least 1, got 0", "--points 1 or more"),
    "--warmup -1": ("--warmup must be a finite number of at least 0, got -1", "--warmup 0 or more"),
    "--net conv": ("--net conv needs images", "--net mlp"),
    "--net foo": ("--net must be one of auto, mlp, conv, got foo", "Choose from auto, mlp, conv"),
    "--activation foo": ("no activation 'foo'", "silu"),
    "--likelihood foo": ("no likelihood 'foo'", "bernoulli"),
    "--recipe foo": ("no recipe 'foo'", "jensen recipes"),
    "--recipe iwa": ("no recipe 'iwa'", "Did you mean iwae?"),
    "--recipe ppca --latent 4": ("--latent must be below the data's 4 features, got 4", "--latent 3"),
    "--recipe factor-analysis --latent 5": ("must be below the data's 4 features, got 5", "--latent 3 or less"),
    "--recipe gmm --components 100": ("at most the number of training rows, 48, got 100", "--components 48 or less"),
    "--recipe gmm --components 0": ("--components must be a whole number of at least 1, got 0", "Give --components 1"),
    "--recipe gmm --fit closed": ("--fit must be one of em, gradient, got closed", "Choose from em, gradient"),
    "--recipe gaussian --latent 3": ("recipe gaussian has no option --latent", "Recipes that have it: vae,"),
    "--recipe beta-vae --beta nan": ("--beta must be a finite number of at least 0, got nan", "--beta 0 or more"),
    "--recipe beta-vae --beta -1": ("--beta must be a finite number of at least 0, got -1.0", "--beta 0 or more"),
    "--latents 3": ("no option --latents", "Did you mean --latent?"),
    "--bogus 3": ("no option --bogus",),
    "--jsn": ("no option --jsn", "Did you mean --json?"),
    "--lr": ("--lr needs a value", "--help"),
    "--latent": ("--latent needs a value", "--help"),
    "extra": ("extra: more arguments than jensen train takes", "--help"),
    "--optimizer Adamm": ("no optimiser 'Adamm'", "Adam,"),
    "--schedule foo": ("--schedule", '"cosine", "constant", "linear"'),
    "--device foo": ("device 'foo' cannot be used here", "--device cpu"),
    "--device meta": ("device 'meta' cannot be used here", "--device cpu"),
    "--epochs 0": ("--epochs must be a whole number of at least 1, got 0", "--epochs 1 or more"),
    "--epochs x": ("--epochs must be a whole number, got x", "such as --epochs 16"),
    "--epochs 1.5": ("--epochs must be a whole number, got 1.5", "such as --epochs 16"),
    "--batch .5": ("--batch must be a whole number, got .5", "such as --batch 16"),
    "--seed=-2.5e1": ("--seed must be a whole number of at least 0, got -25",),
    "--patience 1.5": ("--patience must be a whole number or auto or none, got 1.5", "such as --patience 16"),
    "--checkpoints 1e3": ("--checkpoints must be a whole number, got 1e3",),
    "--batch 0": ("--batch must be a whole number of at least 1, got 0", "--batch 1 or more"),
    "--lr 0": ("--lr must be a finite number above 0, got 0", "positive"),
    "--lr nan": ("--lr must be a finite number above 0, got nan", "positive"),
    "--lr -1": ("--lr must be a finite number above 0, got -1", "positive"),
    "--clip 0": ("--clip must be above 0, got 0", "positive"),
    "--average 2": ("--average must be at least 0 and below 1, got 2", "0.999"),
    "--floor -1": ("floor must be above 0 and below 1, got -1", "--floor"),
    "--patience 0": ("--patience must be a whole number of at least 1, got 0", "--patience 1 or more"),
    "--patience 2 --split 1,0,0": ("--patience needs validation rows", "--split"),
    "--keep best --split 1,0,0": ("--keep best needs validation rows", "--split"),
    "--split 0.5,0.5": ("--split must be three fractions from 0 to 1, got '0.5,0.5'", "--split 0.8,0.1,0.1"),
    "--split a,b,c": ("--split must be three fractions from 0 to 1, got 'a,b,c'", "--split 0.8,0.1,0.1"),
    "--split 0.5,0.2,0.2": ("must sum to 1, got 0.5,0.2,0.2 (sum 0.9)", "--split 0.8,0.1,0.1"),
    "--split 0,1,0": ("the training fraction of --split must be above 0", "--split 0.8,0.1,0.1"),
    "--split 2,-1,0": ("--split must be three fractions from 0 to 1, got 2,-1,0", "--split 0.8,0.1,0.1"),
    "--split 0.8,0.1,0.1 --test real.npy": ("exclude each other", "--split 0.9,0.1,0"),
    "--seed -1": ("--seed must be a whole number of at least 0, got -1", "--seed 0 or more"),
    "--split-seed -1": ("--split-seed must be a whole number of at least 0, got -1", "--split-seed 0 or more"),
    "--size 3": ("--size is for a folder of images, and real.npy is not a folder", "Leave --size out"),
    "--size a": ("--size must be a height and a width, got a", "--size 28,28"),
    "--binarize foo": ("--binarize", '"static", "dynamic", "threshold"'),
    "--binarize static --standardize global": ("neither dequantised nor standardised", "Choose one"),
    "--dequantize": ("only integers can be dequantised, got real data", "Leave --dequantize out"),
    "--init-from absent": ("there is no run at absent", "jensen train"),
}


@pytest.mark.parametrize("options", BAD)
@pytest.mark.sampled(30)
def test_bad_option_is_refused(options, data, refused):
    words = options.split()
    hidden = [] if any(f"--recipe {name}" in options for name in ("ppca", "factor", "gmm", "gaussian")) else FEW
    epochs = [] if "--epochs" in words else ["--epochs", "1"]
    refused(["train", "real.npy", "--out", "out", "--quiet", *epochs, *hidden, *words], 2, *BAD[options])


def test_hidden_of_zero(data, refused):
    words = ["train", "real.npy", "--out", "out", "--hidden", "8,0"]
    refused(words, 2, "--hidden must hold sizes of at least 1, got 8,0", "--hidden 200,200")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean"),
        (["train"], "no data are named"),
        (["--foo"], "a command must come first, got --foo"),
        (["train", "--spec", "absent"], "no run at absent"),
        (["train", "--spec", "real.npy"], "is not the spec.json of a run"),
        (["evaluate"], "jensen evaluate needs RUN"),
        (["evaluate", "absent"], "no run at absent"),
        (["evaluate", "."], "it has no spec.json"),
        (["evaluate", "real.npy"], "real.npy is a file, not the folder of a run"),
        (["sample", "run", "--foo"], "Unknown option"),
        (["sample", "run", "--num", "3"], "Did you mean -n?"),
        (["impute", "run", "--max=3"], "Did you mean -m?"),
        (["evaluate", "run", "--kk", "3"], "Did you mean -k?"),
        (["sample", "run", "--nose"], "Did you mean --noise?"),
        (["evaluate", "run", "-k", "2.5"], "-k must be a whole number, got 2.5"),
        (["sample", "run", "-n", "1.5"], "-n must be a whole number, got 1.5"),
        (["resume", "run", "--epochs", "3.5"], "--epochs must be a whole number, got 3.5"),
        (["resume", "run", "--patience", "3.5"], "--patience must be a whole number or auto or none, got 3.5"),
        (["data"], "jensen data needs SOURCE"),
        (["recipes", "x"], "more arguments than jensen recipes takes"),
    ],
)
def test_bad_command_is_refused(words, said, data, refused):
    refused(words, 2, said)


@pytest.mark.parametrize(
    ("out", "said"),
    [("real.npy", "is a file"), (".", "holds files that are not a run's"), ("real.npy/out", "cannot be written")],
)
def test_out_that_cannot_be_a_run(out, said, data, refused):
    refused(["train", "real.npy", "--epochs", "1", *FEW, "--out", out], 2, said, "--out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_without_permission(data, refused):
    (data / "locked").mkdir(mode=0o500)
    refused(["train", "real.npy", "--out", "locked/out"], 2, "cannot be written to", "--out")


def test_an_existing_run_is_not_replaced(run, data, refused):
    refused(["train", "real.npy", "--epochs", "1", *FEW, "--out", "run"], 2, "holds a run already", "--force")


def test_an_existing_run_survives_a_failure_in_spite_of_force(run, data, refused):
    refused(["train", "real.npy", "--epochs", "0", "--out", "run", "--force"], 2, "--epochs must be")
    refused(["train", "absent.npy", "--out", "run", "--force"], 3, "absent.npy")


def test_force_replaces_a_run_and_what_was_made_of_it(run, data, jensen):
    assert jensen("sample", "run", "-n", "3").code == 0
    assert (run / "samples.csv").exists()
    assert jensen("train", "real.npy", "--epochs", "1", "--latent", "1", *FEW, "--out", "run", "--force").code == 0
    assert not (run / "samples.csv").exists()
    assert jensen("encode", "run", "--out", "-").out.splitlines()[0] == "row,z1"


def test_init_from_another_shape(run, data, refused):
    words = ["--recipe", "gmm", "--components", "3", "--init-from", "run", "--out", "out"]
    refused(["train", "real.npy", *words], 2, "no weights of run fit", "same shape")


def test_free_names_are_numbered(data, jensen):
    for expected in ("real-vae", "real-vae-2"):
        assert jensen("train", "real.npy", "--epochs", "1", *FEW).code == 0
        assert (data / "runs" / expected / "spec.json").exists()
    shutil.rmtree(data / "runs")
