"""Images that stay in their files are decoded by other processes to the pixels of a folder that is read at once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.image_rows import TASK, ImageRows
from jensen.data.image_worker import decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two sizes in two classes, more than a process decodes at a time."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(TASK + 10):
        place = folder / "ab"[i % 2]
        place.mkdir(exist_ok=True)
        side = 6 if i % 3 else 8
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return folder


def test_streamed_images_are_those_of_memory(folder):
    held, streamed = read(folder, size=(4, 4), stream=False), read(folder, size=(4, 4), stream=True)
    assert streamed.is_streamed
    assert not held.is_streamed
    assert streamed.source.sha256 == held.source.sha256
    assert streamed.schema == held.schema
    np.testing.assert_array_equal(streamed.x[:], held.x)
    np.testing.assert_array_equal(streamed.x[np.array([70, 3, 69])], held.x[[70, 3, 69]])
    np.testing.assert_array_equal(streamed.labels, held.labels)
    np.testing.assert_array_equal(streamed.identity["file"], held.identity["file"])


def test_a_damaged_image_is_named(folder, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(next(folder.rglob("*.png")).read_bytes()[:60])
    rows = ImageRows([(str(path), (8, 8), "colour")], "colour", None, (8, 8, 3), np.dtype(np.uint8))
    with pytest.raises(DataError, match=r"bad\.png is not an image that can be read"):
        rows.read(0, 1)


def test_a_process_that_has_ended_is_an_error_of_the_data(folder):
    rows = read(folder, size=(4, 4), stream=True).x.rows.rows
    for _ in range(rows.workers.free.qsize()):
        process = rows.workers.free.get()
        process.kill()
        process.wait()
        rows.workers.free.put(process)
    with pytest.raises(DataError, match="has ended"):
        rows.read(0, 2)


def test_pixels_of_another_shape_than_the_header_says_are_refused(folder):
    path = next(folder.rglob("*.png"))
    asked = {"files": [[str(path), [3, 3], "colour"]], "target": "colour", "resize": None, "shape": [3, 3, 3]}
    with pytest.raises(DataError, match="do not match its header"):
        decode(asked)
