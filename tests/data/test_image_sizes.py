"""Images of other proportions are cropped to their centre or stretched, in memory and from their files alike."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jensen.core.errors import UsageError
from jensen.data import read, read_beside
from jensen.data.image_sizes import Header, Resize, common_size
from jensen.data.selection import Selection

ROUNDED = 1.01  # height and width are averaged one after the other, to whole numbers
SIZES = [(40, 60), (60, 40), (33, 47), (50, 50)]


@pytest.fixture
def photographs(tmp_path):
    """Images of noise, in several sizes and proportions."""
    rng = np.random.default_rng(0)
    for i, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def means(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The means of equal blocks of an image [H, W, C]."""
    h, w = size
    return x.reshape(h, x.shape[0] // h, w, x.shape[1] // w, -1).astype(float).mean((1, 3))


def pixels(folder, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / name))


@pytest.mark.parametrize("seed", range(5))
def test_the_part_that_is_kept_is_central_and_has_the_proportions_of_the_result(seed):
    rng = np.random.default_rng(seed)
    size, to = (tuple(int(n) for n in rng.integers(1, 400, 2)) for _ in range(2))
    box = Resize(to).box(size)
    left, upper, right, lower = (0.0, 0.0, float(size[1]), float(size[0])) if box is None else box
    assert 0 <= left < right <= size[1]
    assert 0 <= upper < lower <= size[0]
    assert (right - left) * to[0] == pytest.approx((lower - upper) * to[1])
    assert (left + right, upper + lower) == pytest.approx((size[1], size[0]))
    assert (left, right) == (0, size[1]) or (upper, lower) == (0, size[0])  # no more is left out than has to be


def test_cropping_averages_the_areas_of_the_central_part(photographs):
    wide, high = pixels(photographs, "0.png"), pixels(photographs, "1.png")
    x = read(photographs, size=(8, 8)).x.reshape(-1, 8, 8, 3)
    assert np.abs(x[0] - means(wide[:, 10:50], (8, 8))).max() <= ROUNDED
    assert np.abs(x[1] - means(high[10:50], (8, 8))).max() <= ROUNDED
    stretched = read(photographs, size=(8, 10), resize="stretch").x.reshape(-1, 8, 10, 3)
    assert np.abs(stretched[0] - means(wide, (8, 10))).max() <= ROUNDED
    usual = Image.fromarray(wide).resize((10, 8), Image.Resampling.BOX)  # as versions without a choice did
    assert stretched[0].tobytes() == np.asarray(usual).tobytes()


def test_images_of_the_same_proportions_are_the_same_either_way(tmp_path):
    rng = np.random.default_rng(1)
    for i, side in enumerate((12, 24, 36)):
        Image.fromarray(rng.integers(0, 256, (side, 2 * side), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    ways = [read(tmp_path, size=(6, 12), resize=fit) for fit in (None, "crop", "stretch")]
    assert len({way.source.sha256 for way in ways}) == 1
    assert len({way.notes for way in ways}) == 1
    assert "proportions" not in ways[0].notes[0]
    np.testing.assert_allclose(
        ways[0].x[0].reshape(6, 12), means(pixels(tmp_path, "0.png"), (6, 12))[..., 0], atol=ROUNDED
    )


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [None, (16, 24)])
def test_images_that_stay_in_their_files_are_fitted_likewise(photographs, size, fit):
    held, streamed = (read(photographs, size=size, resize=fit, stream=stream) for stream in (False, True))
    assert held.x.tobytes() == streamed.x[:].tobytes()
    assert held.source.sha256 == streamed.source.sha256
    assert held.source.fit == streamed.source.fit == fit
    assert held.notes == streamed.notes[:1]
    other = read(photographs, size=size, resize={"crop": "stretch", "stretch": "crop"}[fit])
    assert other.source.sha256 != held.source.sha256


def test_a_note_says_what_was_done_and_the_other_choice(photographs):
    cropped, stretched = read(photographs), read(photographs, resize="stretch")
    assert cropped.source.fit == "crop"
    assert "all are resized to 32x32 by area averaging, 3 of them cropped to the centre (--resize" in cropped.notes[0]
    assert "3 of them without regard to their proportions (--resize crop keeps them" in stretched.notes[0]
    assert cropped.notes[0].endswith("another size: --size H,W")
    assert read(photographs, size=(16, 32)).notes[0].startswith("4 images resized to 16x32 by area averaging, cropped")


def test_later_images_are_fitted_as_the_first_ones_were(photographs):
    for fit in ("crop", "stretch"):
        later = read_beside(photographs, size=(16, 16), table=Selection.of(resize=fit))
        assert later.source.sha256 == read(photographs, size=(16, 16), resize=fit).source.sha256


def test_an_image_smaller_than_the_size_is_enlarged_without_distortion(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.uint8)).save(tmp_path / name)
    assert read(tmp_path, size=(4, 4)).x[0].reshape(4, 4)[::2].tolist() == [[2, 2, 3, 3], [6, 6, 7, 7]]


def test_what_is_refused(photographs, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    for source, options in (("digits", {}), (tmp_path / "x.npy", {}), (tmp_path / "t.csv", {"typed": True})):
        with pytest.raises(UsageError, match="--resize is for a folder of images"):
            read(source, resize="crop", **options)
    with pytest.raises(UsageError, match="--resize must be crop or stretch, got squeeze"):
        read(photographs, resize="squeeze")  # pyright: ignore[reportArgumentType]


def test_one_size_is_kept_where_all_have_it(tmp_path):
    notes: list[str] = []
    headers = [Header(tmp_path / f"{i}.png", (7, 9), "grey") for i in range(2)]
    assert common_size(headers, None, "crop", True, notes) == ((7, 9), None)
    assert common_size(headers, (7, 9), "crop", True, notes) == ((7, 9), Resize((7, 9), "crop"))
    assert notes == []
