"""Reports of runs on augmented or resized images say so, and look for mirrored neighbours of samples."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import jensen
from jensen.plot.shades import Shades
from jensen.report.facts import gather
from jensen.report.images import samples
from tests.report.pages import SMALL, page_of


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images of noise in two proportions."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, ((12, 9), (9, 12))[i % 2], dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def runs(photographs, tmp_path_factory):
    """A run on rows as they are, and one on mirrored ones."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"size": (8, 8), "latent": 2, **SMALL}
    plain = jensen.train(photographs, out=folder / "plain", resize="stretch", **options)
    return plain, jensen.train(photographs, out=folder / "flip", augment="flip", **options)


def test_the_neighbours_of_samples_are_mirrored_rows_too(runs, monkeypatch):
    """A model that draws its training rows mirrored has memorised them, if it was trained on such rows."""
    for run, is_mirrored in zip(runs, (False, True), strict=True):
        facts = gather(run, examples=True)
        shades, numbers = Shades.of(facts), {}
        train = run.dataset().x[run.split().train].reshape(-1, 8, 8, 1)
        drawn = shades(train[:, :, ::-1])
        monkeypatch.setattr("jensen.report.images.sample_rows", lambda *_, drawn=drawn: [drawn])
        panel = samples(facts, shades, numbers)
        assert panel is not None
        assert ("training row, mirrored or not, that is nearest" in panel.caption) == is_mirrored
        distances = numbers["nearest_training_row"]
        assert (distances["samples"] < 0.01) == is_mirrored  # as exact as single precision
        assert distances["held_out_rows"] > 0.5


def test_pages_say_what_was_done_to_the_images(runs, tmp_path):
    said = [page_of(run, tmp_path / f"{i}.html").said for i, run in enumerate(runs)]
    assert "resized to 8x8, without regard to their proportions" in said[0]
    assert "resized to 8x8, cropped to the centre" in said[1]
    for text, is_augmented in zip(said, (False, True), strict=True):
        assert ("The training curve is of augmented rows" in text) == is_augmented
        assert ("batches are of augmented rows (flip)" in text) == is_augmented
