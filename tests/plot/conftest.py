"""Small runs, made once, and no figure left open."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot

import jensen
from tests.report.conftest import images, run, table  # noqa: F401  # the same runs as those of the reports


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def flat(tmp_path_factory):
    """A run of a table, with one feature."""
    x = np.random.default_rng(0).normal(size=(80, 3))
    return jensen.train(x, latent=1, epochs=2, hidden=(8,), out=tmp_path_factory.mktemp("flat") / "run")
