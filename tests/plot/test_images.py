"""Images on axes are those of the pages: the same bytes, named, without smoothing."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from jensen import plot
from jensen.analysis import latents
from jensen.core.errors import UsageError
from jensen.plot.images import grid_rows, reconstruction_rows, sample_rows, traversal_rows
from jensen.plot.shades import Shades, sheet_image
from jensen.plot.view import view_of


@pytest.fixture(scope="module")
def view(run):
    return view_of(run)


def shown(axes) -> np.ndarray:
    image = axes.images[0]
    assert image.get_interpolation() == "nearest"
    return np.asarray(image.get_array())


def labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_reconstructions_stand_below_their_originals(view):
    axes = plot.reconstructions(view, Figure().add_subplot(), n=4)
    index, rows = reconstruction_rows(view, Shades.of(view), 4)
    assert labels(axes) == ["data", "mean", "sample"]
    assert np.array_equal(shown(axes), np.asarray(sheet_image(rows).convert("RGBA")))
    assert np.array_equal(rows[0], Shades.of(view)(view.part.x[index]))


def test_samples_stand_below_their_means(view):
    axes = plot.samples(view, Figure().add_subplot(), n=3)
    mean, sampled = sample_rows(view, Shades.of(view), 6)
    assert labels(axes) == ["mean", "sample"] * 2
    rows = [mean[:3], sampled[:3], mean[3:], sampled[3:]]
    assert np.array_equal(shown(axes), np.asarray(sheet_image(rows).convert("RGBA")))


def test_traversals_go_through_the_mean_strongest_first(view, run):
    axes = plot.traversals(view, Figure().add_subplot(), features=2, steps=5)
    top, rows = traversal_rows(view, Shades.of(view), 2, 5)
    assert labels(axes) == [f"feature {i + 1}" for i in top]
    assert view.rates[top[0]] >= view.rates[top[1]]
    centre = Shades.of(view)(run.shaped(latents.decode(run.model, run.model.prior().mean.reshape(1, -1))))
    assert all(np.array_equal(row[2], centre[0]) for row in rows)


def test_a_grid_of_two_of_three_features_keeps_the_third_at_its_mean(view, run):
    axes = plot.decoded_grid(view, Figure().add_subplot(), features=(3, 1), n=3)
    assert axes.get_xlabel() == "latent feature 3"
    rows = grid_rows(view, Shades.of(view), (3, 1), 3)
    centre = Shades.of(view)(run.shaped(latents.decode(run.model, run.model.prior().mean.reshape(1, -1))))
    assert np.array_equal(rows[1][1], centre[0])
    z = run.model.prior().mean.reshape(1, -1).clone()
    z[0, 0] = 0.9674216  # the normal quantile of 5/6, at the top
    assert np.array_equal(rows[0][1], Shades.of(view)(run.shaped(latents.decode(run.model, z)))[0])
    with pytest.raises(UsageError, match="features must be from 1 to 3"):
        plot.decoded_grid(view, features=(0, 1))


@pytest.mark.parametrize("draw", [plot.samples, plot.reconstructions, plot.traversals, plot.decoded_grid])
def test_tables_have_no_images(draw, flat):
    with pytest.raises(UsageError, match="are no images"):
        draw(flat)
