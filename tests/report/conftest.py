"""Small data and a small run, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import jensen
from jensen.runs.run import Run
from tests.report.pages import SMALL, Page, page_of


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    digits = load_digits()
    path = tmp_path_factory.mktemp("report") / "small.npz"
    np.savez(path, x=(15 * digits.images[:240]).astype(np.uint8), y=digits.target[:240])
    return path


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(160, 1))
    x = np.hstack([a, -a + 0.1 * rng.normal(size=(160, 1)), rng.normal(size=(160, 1))])
    path = tmp_path_factory.mktemp("report") / "small.csv"
    np.savetxt(path, x, delimiter=",", header="width,$cost$,<script>alert(1)</script>", comments="")
    return path


@pytest.fixture(scope="session")
def run(images, tmp_path_factory) -> Run:
    """A VAE of images, three latent features, evaluated."""
    trained = jensen.train(images, latent=3, out=tmp_path_factory.mktemp("runs") / "vae", **SMALL)
    trained.keep(trained.evaluate(k=20))
    return trained


@pytest.fixture(scope="session")
def page(run, tmp_path_factory) -> Page:
    return page_of(run, tmp_path_factory.mktemp("pages") / "page.html")
