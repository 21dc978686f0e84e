"""A page about data with missing entries: what is not known is not drawn, and no number is made of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jensen
from jensen.plot.latents import density_at
from jensen.plot.shades import MISSING, Shades
from jensen.report import latents, tables
from jensen.report.facts import Facts, gather
from jensen.report.images import reconstructions, samples
from tests.report.pages import page_of
from tests.report.test_pictures import whole

TINY = {"recipe": "miwae", "latent": 2, "points": 2, "epochs": 2, "hidden": (8,)}


def with_holes(shape: tuple[int, ...]) -> np.ndarray:
    """Values about 100, so that a zero in the place of a missing one would be seen in every moment."""
    rng = np.random.default_rng(0)
    x = 100 + rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.3, np.nan, x)


def made(x: np.ndarray, folder) -> Facts:
    np.save(folder / "x.npy", x)
    return gather(jensen.train(folder / "x.npy", out=folder / "run", **TINY), examples=True)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Facts:
    return made(with_holes((200, 3)), tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Facts:
    return made(with_holes((120, 4, 4)), tmp_path_factory.mktemp("images"))


def test_moments_are_those_of_known_entries(rows):
    part = rows.part
    assert (part.x[~part.mask] == 0).all()  # what stands there is no datum
    panel = tables.distributions(rows, tables.samples(rows))
    for j, body in enumerate(panel.bodies):
        known = part.x[part.mask[:, j], j]
        assert f"data have mean {known.mean():.3g} and s.d. {known.std():.3g}" in body
    assert f"{(~part.mask).sum()} of {part.mask.size} entries are missing, and left out" in panel.caption


def test_returns_are_those_of_known_entries(rows):
    numbers = {}
    assert "left out" in tables.reconstructions(rows, numbers).caption
    back = rows.run.reconstruct(rows.part)
    for j, share in numbers["explained_by_column"].items():
        known = rows.part.mask[:, int(j) - 1]
        x, y = rows.part.x[known, int(j) - 1], back[known, int(j) - 1]
        assert share == pytest.approx(1 - ((x - y) ** 2).mean() / x.var(), rel=1e-4)


def test_correlations_are_left_out(rows):
    numbers = {}
    assert tables.correlations(rows, tables.samples(rows), numbers) is None
    assert numbers == {}


def test_a_column_of_which_nothing_is_known_in_the_test_rows(rows):
    mask = rows.part.mask.copy()
    mask[:, 1] = False
    from dataclasses import replace

    facts, numbers = replace(rows, part=replace(rows.part, mask=mask)), {}
    assert "no observed entry" in tables.distributions(facts, tables.samples(facts)).bodies[1]
    tables.reconstructions(facts, numbers)
    assert np.isnan(numbers["explained_by_column"]["2"])


def test_unknown_pixels_have_a_colour_of_their_own(images):
    shades = Shades.of(images)
    known = images.part.x[images.part.mask]
    assert (shades.low, shades.high) == (known.min(), known.max())  # zeros are not the darkest values
    panel = reconstructions(images, shades)
    picture, n = whole(panel.bodies), len(images.part.x)
    for j in range(n):
        cell = picture[:64, 66 * j : 66 * j + 64][::16, ::16, :3]
        tan = (cell == MISSING).all(-1).reshape(-1)
        assert tan.tolist() == (~images.part.mask[j]).tolist()
        assert (cell.reshape(-1, 3)[~tan].std(-1) == 0).all()  # shades of grey
    assert not (picture[66:] == [*MISSING, 255]).all(-1).any()  # the model knows all of its pixels
    assert "pixels in tan are missing" in panel.caption


def test_no_neighbours_of_rows_with_holes(images):
    numbers = {}
    panel = samples(images, Shades.of(images), numbers)
    assert "nearest" not in panel.caption
    assert numbers == {}


@pytest.mark.parametrize("which", ["rows", "images"])
def test_the_whole_page(which, request, tmp_path):
    page = page_of(request.getfixturevalue(which).run, tmp_path / "page.html")
    assert "correlation_error" not in page.numbers
    assert "nearest_training_row" not in page.numbers
    assert not re.search(r"\bnan\b", page.said.replace("R² = nan", ""))


@pytest.mark.parametrize(
    ("recipe", "options", "standard"),
    [("vae", {}, True), ("mixture-prior", {"components": 2}, False), ("ladder", {"groups": (1,), "state": 4}, False)],
)
def test_the_density_beside_one_feature_is_that_of_the_prior(recipe, options, standard, tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 3))
    latent = {} if recipe == "ladder" else {"latent": 1}
    np.save(tmp_path / "x.npy", x)
    run = jensen.train(
        tmp_path / "x.npy", recipe=recipe, out=tmp_path / "run", epochs=2, hidden=(8,), lr=0.05, **latent, **options
    )
    facts = gather(run, examples=True)
    grid = np.linspace(-12, 12, 4001)
    density = density_at(facts, grid)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    normal = np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi)
    assert np.allclose(density, normal, atol=1e-6) == standard
    panel = latents.latent_map(facts, {})
    assert ("standard normal" in panel.bodies[0] + panel.caption) == standard
    assert "beside the prior" in panel.caption
