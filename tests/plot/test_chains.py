"""Pictures of a diffusion: the way down, samples by steps, and nats by time, with the bytes of the pages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import jensen
from jensen import plot
from jensen.analysis import latents
from jensen.core.errors import UsageError
from jensen.plot.chains import denoising_rows, nats_of_view, step_rows
from jensen.plot.shades import Shades, sheet_image
from jensen.plot.view import view_of


@pytest.fixture(scope="module")
def view(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("chains")
    options = {"epochs": 1, "hidden": (8,), "blocks": 1}
    return view_of(jensen.train(images, recipe="diffusion", out=out / "run", **options))


def labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_way_down_has_noise_above_the_estimate_of_the_image(view):
    axes = plot.denoising_steps(view, Figure().add_subplot(), n=2, columns=5)
    rows, times = denoising_rows(view, Shades.of(view), 2, 5)
    assert labels(axes) == ["z_t", "E[x | z_t]"] * 2
    assert np.array_equal(np.asarray(axes.images[0].get_array()), np.asarray(sheet_image(rows).convert("RGBA")))
    assert times == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert len(rows) == 4
    assert all(row.shape == (5, 8, 8, 1) for row in rows)
    apart = [np.abs(rows[0][i].astype(float) - rows[1][i]).mean() for i in (0, -1)]
    assert apart[1] < 0.2 * apart[0]  # at the end hardly any noise is left


def test_samples_by_steps_start_from_the_same_noise(view):
    rows = step_rows(view, Shades.of(view), (2, 4), 3)
    axes = plot.samples_by_steps(view, Figure().add_subplot(), steps=(2, 4), n=3)
    assert labels(axes) == ["2 steps", "4 steps", "2 DDIM", "4 DDIM"]
    assert np.array_equal(np.asarray(axes.images[0].get_array()), np.asarray(sheet_image(rows).convert("RGBA")))
    chain = view.run.model.prior.diffusion
    top = torch.randn(3, 64, generator=view.stream("samples by steps"))
    x = latents.decode(view.run.model, chain.descend(top, 4, noise=0.0))
    assert np.array_equal(rows[3], Shades.of(view)(view.run.shaped(x)))


def test_the_area_below_the_nats_is_the_rate_of_the_levels(view):
    axes = plot.nats_by_time(view, Figure().add_subplot(), bins=8)
    curve = nats_of_view(view, 8)
    values, edges, _ = axes.patches[0].get_data()
    np.testing.assert_allclose(values, curve.density.numpy())
    assert (values * np.diff(edges)).sum() == pytest.approx(curve.rate)
    assert axes.get_ylabel() == "nats per datum and unit of time"


def test_pictures_take_fewer_steps_than_samples(view, run):
    assert view.chain_steps == 64
    assert view.drawing.prior.diffusion is view.run.model.prior.diffusion
    assert view.drawing.prior.steps == 64
    assert view_of(run).chain_steps is None
    assert view_of(run).drawing is run.model


@pytest.mark.parametrize("draw", [plot.denoising_steps, plot.samples_by_steps, plot.nats_by_time])
def test_other_models_have_no_chain(draw, run):
    with pytest.raises(UsageError, match="is no diffusion"):
        draw(run)
