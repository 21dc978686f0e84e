"""The latent map: codes of held-out rows, and what has none is refused."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import jensen
from jensen import plot
from jensen.core.errors import UsageError
from jensen.plot.latents import density_at, plane
from jensen.plot.view import view_of


def test_the_map_shows_the_two_strongest_features_in_equal_units(run):
    view = view_of(run)
    axes = plot.latent_map(view, Figure().add_subplot())
    i, j = np.argsort(-view.rates)[:2]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (f"latent feature {i + 1}", f"latent feature {j + 1}")
    assert axes.get_aspect() == 1
    assert {text.get_text() for text in axes.texts} >= {"1 s.d.", "2 s.d.", *view.labels}
    assert np.array_equal(plane(view, view.codes).points, view.codes[:, [i, j]])


def test_one_feature_is_a_histogram_beside_the_prior(flat):
    axes = plot.latent_map(flat, Figure().add_subplot())
    grid, density = axes.lines[0].get_data()
    assert np.allclose(density, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), atol=1e-6)
    assert np.allclose(density, density_at(view_of(flat), grid))
    assert axes.texts[0].get_text() == "standard normal"


def test_what_cannot_be_mapped_is_refused(flat, tmp_path):
    with pytest.raises(UsageError, match="at least 3 rows, got 2"):
        plot.latent_map(flat, data=np.zeros((2, 3)))
    mixture = jensen.train(np.random.default_rng(0).normal(size=(60, 2)), recipe="gmm", out=tmp_path / "gmm", epochs=1)
    with pytest.raises(UsageError, match="no latent features"):
        plot.latent_map(mixture)
