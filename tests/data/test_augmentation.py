"""Augmented images are mirrored, moved and cropped copies; masks, units and the rows themselves stay right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.data import Preparation, Schema
from jensen.data.augmentation import LEAST, Augmentation, augmentation_of
from jensen.data.conversions import BinaryDraw

N, SHAPE = 4000, (16, 24, 3)


def draw(name: str = "images") -> torch.Generator:
    return stream(0, name)


def numbered(n: int = N, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """Images whose every entry is its own number."""
    return torch.arange(int(np.prod(shape))).expand(n, -1)


def moved(kinds: tuple, shape: tuple[int, int, int] = SHAPE, n: int = N) -> np.ndarray:
    """The numbers [n, H, W, C] of the entries that come to each place."""
    return Augmentation(kinds, shape)(numbered(n, shape), (), draw())[0].numpy().reshape(n, *shape)


def test_a_flip_mirrors_half_of_the_images_and_twice_it_is_the_identity():
    """The share of N = 4,000 has a standard error of 0.008."""
    x, plain = moved(("flip",)), numbered(1).numpy().reshape(SHAPE)
    is_plain, is_mirrored = ((x == image).all((1, 2, 3)) for image in (plain, plain[:, ::-1]))
    assert (is_plain ^ is_mirrored).all()
    assert abs(is_mirrored.mean() - 0.5) < 4 * 0.5 / N**0.5
    mirrored = torch.from_numpy(x[is_mirrored]).flatten(1)
    again = mirrored.gather(1, torch.from_numpy(plain[:, ::-1].copy()).flatten().expand(len(mirrored), -1))
    assert (again == numbered(len(again))).all()


def test_shifts_are_uniform_up_to_an_eighth_of_each_side_and_repeat_edges():
    """Each of 5 x 7 shifts has N / 35 = 114 images, with a standard error of 10.5."""
    x, plain = moved(("shift",)), numbered(1).numpy().reshape(SHAPE)
    wide = np.pad(plain, ((2, 2), (3, 3), (0, 0)), "edge")
    counts = {}
    for i in range(5):
        for j in range(7):
            counts[i, j] = int((x == wide[i : i + 16, j : j + 24]).all((1, 2, 3)).sum())
    assert sum(counts.values()) == N
    p = 1 / 35
    errors = [(count - N * p) / (N * p * (1 - p)) ** 0.5 for count in counts.values()]
    assert max(map(abs, errors)) < 4.5


def test_a_crop_keeps_four_fifths_of_each_side_in_order():
    """The shares of the sides are uniform, of mean 0.9; that of N = 4,000 has a standard error of 0.0009."""
    shape = (100, 200, 1)
    x = moved(("crop",), shape, 400)
    rows, columns = x[:, :, 0, 0] // 200, x[:, 0, :, 0] % 200
    assert (x[..., 0] == rows[:, :, None] * 200 + columns[:, None, :]).all()
    for places, side in ((rows, 100), (columns, 200)):
        steps = np.diff(places, axis=1)
        assert set(np.unique(steps)) == {0, 1}
        assert places.min() == 0
        assert places.max() == side - 1
        kept = (places[:, -1] - places[:, 0]) / (side - 1)
        assert kept.min() > LEAST - 2 / side
        assert abs(kept.mean() - 0.9) < 4 * (0.2 / 12**0.5) / 400**0.5 + 1 / side
        assert places[:, 0].std() > 0.02 * side


def test_one_pixel_of_the_image_comes_to_each_place_with_all_of_its_channels():
    x = moved(("flip", "shift", "crop"), n=50)
    assert (x // 3 == x[..., :1] // 3).all()
    assert (x % 3 == np.arange(3)).all()
    assert len({row.tobytes() for row in x}) == 50


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_values_keep_their_type_and_masks_move_along(dtype):
    shape = (8, 8, 1)
    x = torch.randint(0, 100, (30, 64), generator=draw("x")).to(dtype)
    mask = x > 20
    values, (same, none) = Augmentation(("flip", "shift", "crop"), shape)(x, (mask, None), draw())
    assert values.dtype == dtype
    assert none is None
    assert same is not None
    assert same.equal(values > 20)


def test_units_of_their_own_move_with_the_pixels():
    """Standardised by pixel, the moved image is that of the moved values."""
    raw = np.random.default_rng(0).normal(size=(40, 64)) * np.arange(1, 65) + np.arange(64)
    schema = Schema("real", (8, 8, 1))
    for how in ("global", "feature"):
        preparation = Preparation.fit(raw, schema, standardize=how)
        rows = preparation.rows(raw, schema, dtype=torch.float64)
        own = augmentation_of("flip,shift", schema, preparation)
        assert own is not None
        values = preparation.invert(own(rows.take(torch.arange(40)).x, (), draw())[0])
        plain = Augmentation(own.kinds, own.shape)(torch.from_numpy(raw), (), draw())[0].numpy()
        np.testing.assert_allclose(values, plain, atol=1e-11)


def test_rows_are_augmented_when_they_are_taken_and_only_then():
    x = torch.randint(0, 256, (20, 64), generator=draw("x")).to(torch.uint8)
    mask = torch.rand(20, 64, generator=draw("mask")) < 0.8
    plain = Rows(x, BinaryDraw(255, torch.float32), mask=mask, fill=torch.full((64,), 7.0), hidden=~mask)
    rows = Rows(plain.stored, plain.prepare, None, mask, plain.fill, plain.hidden, Augmentation(("flip",), (8, 8, 1)))
    index, generator = torch.arange(20), draw()
    batch = rows.take(index, generator)
    assert batch.mask is not None
    assert batch.hidden is not None
    places = Augmentation(("flip",), (8, 8, 1)).pixels(20, "cpu", draw())
    assert batch.mask.equal(mask.gather(1, places))
    assert batch.hidden.equal(~batch.mask)
    assert (batch.x[~batch.mask] == 7).all()
    assert set(batch.x[batch.mask].tolist()) == {0.0, 1.0}
    assert not generator.get_state().equal(draw().get_state())
    fixed = rows.fixed(draw())
    assert fixed.augment is None
    assert fixed.take(index).x.equal(plain.fixed(draw()).take(index).x)


def test_names_are_a_text_or_a_list_in_any_order():
    schema = Schema("binary", (8, 8, 1))
    for asked in ("shift, flip", ["shift", "flip", "flip"]):
        own = augmentation_of(asked, schema)
        assert own is not None
        assert own.kinds == ("flip", "shift")
        assert "flip, shift" in own.note
    assert augmentation_of(None, schema) is None
    assert augmentation_of("crop", None) is None


@pytest.mark.parametrize(
    ("asked", "shape", "what"),
    [
        ("flop,flip", (8, 8, 1), r"takes flip, shift and crop, got 'flop'"),
        ("", (8, 8, 1), "got ''"),
        ([], (8, 8, 1), "got nothing"),
        ("flip", (64,), "these are rows of 64 columns"),
        ("flip,shift", (7, 5, 1), "no pixel of images of 7x5"),
    ],
)
def test_what_is_refused(asked, shape, what):
    with pytest.raises(UsageError, match=what) as caught:
        augmentation_of(asked, Schema("binary", shape))
    assert "--augment" in caught.value.remedy
