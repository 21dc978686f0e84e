"""A denoising run from the command line: noisy data, what is made of them, and the report of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import TINY


@pytest.fixture
def data(here):
    """60 images of 4 by 4 pixels of 0..3, bright in the middle."""
    x = np.random.default_rng(0).integers(2, size=(60, 4, 4)).astype(np.uint8)
    x[:, 1:3, 1:3] += 2
    np.save("images.npy", x)
    return x


@pytest.mark.usefixtures("unrendered")
def test_a_denoising_run(jensen, here, data):
    how = ["--noise", "salt-and-pepper", "--amount", "0.5"]
    assert jensen("train", "images.npy", "--recipe", "denoising-vae", "--out", "run", *how, *TINY).code == 0
    spec = json.loads((here / "run" / "spec.json").read_text())
    args = {"share": 0.5, "low": 0.0, "high": 255.0}
    corruption = spec["players"][0]["parts"]["estimator"]["args"]["corruption"]
    assert (corruption["part"], corruption["args"]) == ("SaltAndPepper", args)
    assert "50 % of the features set to 0 or 255 at random" in spec["sentence"]
    assert jensen("reconstruct", "run", "images.npy", "--noisy", "--out", "x.npz").code == 0
    with np.load("x.npz") as arrays:
        assert np.array_equal(arrays["original"][..., 0], data)
        changed = arrays["noisy"] != arrays["original"]
        assert set(np.unique(arrays["noisy"][changed])) <= {0.0, 255.0}
        assert 0.2 < changed.mean() < 0.5  # half of the pixels, of which some were 0 before
        noisy, again = arrays["x"].copy(), arrays["noisy"].copy()
    assert jensen("reconstruct", "run", "images.npy", "--out", "y.npz").code == 0
    with np.load("y.npz") as arrays:
        assert not np.array_equal(arrays["x"], noisy)
        assert "noisy" not in arrays
    assert jensen("reconstruct", "run", "images.npy", "--noisy", "--seed", "1", "--out", "z.npz").code == 0
    with np.load("z.npz") as arrays:
        assert not np.array_equal(arrays["noisy"], again)
    assert "with noise" in jensen("reconstruct", "run", "images.npy", "--noisy").out
    with Image.open(here / "run" / "reconstructions.png") as picture:
        assert picture.size[1] == 4 * 3 * 50 - 2  # three rows for 16 of 60 images
    assert jensen("evaluate", "run", "-k", "5").code == 0
    assert jensen("report", "run").code == 0
    page = (here / "run" / "report.html").read_text(encoding="utf-8")
    assert "reconstructed from noisy data" in page
    errors = json.loads(re.search(r'"denoising":(\{[^}]*\})', page)[1])
    assert errors["noisy"] > 0.5
    assert set(errors) == {"noisy", "from noisy", "from clean"}


def test_a_run_without_noise_has_none_to_show(jensen, data):
    assert jensen("train", "images.npy", "--recipe", "vae", "--out", "run", *TINY).code == 0
    refused = jensen("reconstruct", "run", "images.npy", "--noisy", "--out", "x.npz")
    assert refused.code == 2
    assert "denoising-vae" in refused.err


def test_noise_that_the_data_cannot_have_is_refused(jensen, here):
    np.save("real.npy", np.random.default_rng(0).normal(size=(40, 3)))
    for words, code in ((["--noise", "salt-and-pepper"], 3), (["--amount", "1.5"], 2), (["--amount", "-1"], 2)):
        answer = jensen("train", "real.npy", "--recipe", "denoising-autoencoder", "--out", "run", *words, *TINY)
        assert answer.code == code, answer.err
