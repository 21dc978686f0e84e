"""The sprites: what their factors say is what their pixels show."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from jensen.cli import main
from jensen.data import conform, read
from jensen.data.sprites import LEVELS, SHAPES, SPRITES, draw_sprites, sprites

EVERY = SPRITES.values


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return draw_sprites(EVERY)


def test_every_combination_is_an_image_of_its_own(images):
    assert images.shape == (3 * 4 * 8 * 8 * 8, 16, 16)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    assert (images.min(), images.max()) == (0, LEVELS - 1)


def test_the_middle_is_where_the_factors_say(images):
    """Of rectangles and ellipses, which are alike on both sides of it."""
    even = EVERY[:, 0] < 2
    drawn, place = images[even] / images[even].sum((1, 2), keepdims=True), np.arange(16) + 0.5
    right, down = (drawn.sum(1) @ place, drawn.sum(2) @ place)
    assert right == pytest.approx(EVERY[even, 3] + 4.5, abs=1e-9)
    assert down == pytest.approx(EVERY[even, 4] + 4.5, abs=1e-9)


def test_areas_are_those_of_the_shapes(images):
    """A rectangle of 2a by a has 2 a^2, an ellipse pi/4 of that and a triangle half of it: within 12 %."""
    half = 2.5 + EVERY[:, 1] / 2
    area = 2 * half**2 * np.array([1, np.pi / 4, 1 / 2])[EVERY[:, 0]]
    assert images.sum((1, 2)) / 16 == pytest.approx(area, rel=0.12)
    largest = (EVERY[:, 1] == 3) & (EVERY[:, 0] < 2)
    assert images.sum((1, 2))[largest] / 16 == pytest.approx(area[largest], rel=0.03)


def test_a_turn_turns(images):
    """Four steps of eight are a quarter of a circle."""
    at = {tuple(f): i for i, f in enumerate(EVERY)}
    for shape, size, turn in ((0, 3, 0), (1, 2, 1), (2, 3, 3)):
        before, after = images[at[shape, size, turn, 3, 3]], images[at[shape, size, turn + 4, 3, 3]]
        # about the middle at 7.5, which is that of the first 15 pixels
        assert np.array_equal(np.rot90(before[:15, :15], -1), after[:15, :15])


def test_the_set_is_always_the_same():
    """A digest, so that a run finds its data again after an update."""
    x, factors = sprites()
    assert np.array_equal(draw_sprites(factors.values[:50]), x[:50])
    assert hashlib.sha256(x.tobytes()).hexdigest()[:16] == "843fe185963f3a8d"
    assert (x.shape, len(np.unique(factors.values, axis=0))) == ((4096, 16, 16), 4096)


def test_they_are_read_with_labels_and_factors():
    dataset = read("sprites")
    assert (dataset.x.shape, dataset.schema.kind, dataset.schema.levels) == ((4096, 256), "integers", 17)
    assert dataset.schema.classes == SHAPES
    assert np.array_equal(dataset.labels, dataset.factors.values[:, 0])
    index = np.array([5, 2])
    assert np.array_equal(dataset.rows(index).factors.values, dataset.factors.values[index])
    assert conform(dataset, dataset.schema).factors is dataset.factors


def test_the_command_line_tells_their_factors(capsys):
    assert main(["data", "sprites"]) == 0
    assert "factors: shape (3), size (4), rotation (8), x (8), y (8)" in capsys.readouterr().out
    assert main(["data", "sprites", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["factors"]["rotation"] == 8
    assert main(["data", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["factors"] is None
