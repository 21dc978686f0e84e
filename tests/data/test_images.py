from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from PIL import Image

from jensen.core.errors import DataError
from jensen.data import images, read, read_beside

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7


def put(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)


def pair(folder, image, **options):
    """The least folder: the same image twice."""
    for name in ("a.png", "b.png"):
        put(folder / name, image, **options)
    return read(folder)


def refuse(folder, *words, **options):
    with pytest.raises(DataError) as caught:
        read(folder, **options)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy


def test_grey_and_colour(tmp_path):
    grey = pair(tmp_path / "grey", GREY)
    assert grey.schema.shape == (3, 4, 1)
    assert grey.schema.levels == 256
    assert grey.x[1].tolist() == GREY.reshape(-1).tolist()
    assert grey.notes == ()
    colour = pair(tmp_path / "colour", COLOUR)
    assert colour.schema.shape == (3, 4, 3)
    assert colour.x[0].tolist() == COLOUR.reshape(-1).tolist()
    assert colour.source.files == (str(tmp_path / "colour"),)


def test_order_and_classes(tmp_path):
    put(tmp_path / "cat" / "10.png", GREY + 1)
    put(tmp_path / "cat" / "deep" / "x.png", GREY + 2)
    put(tmp_path / "ant" / "2.png", GREY)
    (tmp_path / "cat" / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.png").write_text("hello")
    held = read(tmp_path)
    assert held.x[:, 0].tolist() == [0, 1, 2]
    assert held.labels.tolist() == [0, 1, 1]
    assert held.schema.classes == ("ant", "cat")
    assert any(note.startswith("2 files that are hidden or not images") for note in held.notes)
    put(tmp_path / "top.png", GREY)
    outside = read(tmp_path)
    assert outside.labels is None
    assert any("outside the folders" in note for note in outside.notes)


def test_labels_of_a_folder_from_a_file(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        put(tmp_path / "images" / name, GREY)
    (tmp_path / "y.csv").write_text("7\n9\n")
    held = read(tmp_path / "images", labels=tmp_path / "y.csv")
    assert held.labels.tolist() == [7, 9]
    assert held.schema.classes is None


def test_one_bit_images_are_binary(tmp_path):
    held = pair(tmp_path, Image.fromarray(GREY > 100))
    assert held.schema.kind == "binary"
    assert held.x[0].tolist() == (GREY > 100).reshape(-1).tolist()


def test_mixed_modes_become_rgb(tmp_path):
    put(tmp_path / "a.png", GREY)
    put(tmp_path / "b.png", COLOUR)
    held = read(tmp_path)
    assert held.schema.shape == (3, 4, 3)
    assert held.x[0].tolist() == np.repeat(GREY.reshape(-1), 3).tolist()
    assert "1 of 2 images converted to RGB" in held.notes[0]


def test_bits_among_grey(tmp_path):
    put(tmp_path / "a.png", GREY)
    put(tmp_path / "b.png", Image.fromarray(GREY > 100))
    held = read(tmp_path)
    assert held.x[1].tolist() == ((GREY > 100) * 255).reshape(-1).tolist()
    assert "8-bit grey" in held.notes[0]


def test_palette_and_cmyk(tmp_path):
    palette = pair(tmp_path / "p", Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE, colors=12))
    assert palette.schema.shape == (3, 4, 3)
    assert "palette" in palette.notes[0]
    for name in ("a.tif", "b.tif"):
        put(tmp_path / "c" / name, Image.fromarray(COLOUR).convert("CMYK"))
    cmyk = read(tmp_path / "c")
    assert cmyk.schema.shape == (3, 4, 3)
    assert "CMYK" in cmyk.notes[0]
    assert abs(cmyk.x[0].astype(int) - COLOUR.reshape(-1)).max() <= 1


def test_alpha(tmp_path):
    opaque = np.dstack([COLOUR, np.full((3, 4), 255, dtype=np.uint8)])
    held = pair(tmp_path / "opaque", opaque)
    assert held.x[0].tolist() == COLOUR.reshape(-1).tolist()
    assert "2 images with an opaque alpha channel" in held.notes[0]
    opaque[0, 1, 3] = 0
    held = pair(tmp_path / "clear", opaque)
    shown = held.x[0].reshape(3, 4, 3)
    assert shown[0, 1].tolist() == [0, 0, 0]
    assert shown[1].tolist() == COLOUR[1].tolist()
    assert "composed over black" in held.notes[0]
    grey = pair(tmp_path / "grey", np.dstack([GREY, np.full((3, 4), 255, dtype=np.uint8)]))
    assert grey.schema.shape == (3, 4, 1)
    assert grey.x[0].tolist() == GREY.reshape(-1).tolist()


def test_sixteen_bits_are_kept(tmp_path):
    deep = GREY.astype(np.uint16) * 257 + 3
    held = pair(tmp_path / "deep", deep)
    assert held.schema.levels == 65536
    assert held.x.dtype == np.int32
    assert held.x[0].tolist() == deep.reshape(-1).tolist()
    assert "65,536 levels" in held.notes[0]
    put(tmp_path / "deep" / "c.png", GREY)
    assert read(tmp_path / "deep").x[2].tolist() == (GREY.astype(int) * 257).reshape(-1).tolist()
    put(tmp_path / "deep" / "d.png", COLOUR)
    refuse(tmp_path / "deep", "16-bit grey", "in colour")


def test_rotation_and_animation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    held = pair(tmp_path / "turned", GREY, exif=exif)
    assert held.schema.shape == (4, 3, 1)
    assert held.x[0].tolist() == np.rot90(GREY, -1).reshape(-1).tolist()
    assert "rotated" in held.notes[0]
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("a.gif", "b.gif"):
        put(tmp_path / "moving" / name, frames[0], save_all=True, append_images=frames[1:])
    held = read(tmp_path / "moving")
    assert any("first frame" in note for note in held.notes)
    assert held.x[0].reshape(3, 4, -1)[..., 0].tolist() == GREY.tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("how", [{}, {"compression": "tiff_lzw"}], ids=["plain", "compressed"])
def test_a_rotated_tiff_is_what_the_same_png_is(tmp_path, orientation, how):
    """Pillow tells the size of a TIFF as it is after the rotation, and of other files as it is before."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, more in (("a.png", {}), ("b.tif", how)):
        put(tmp_path / name, GREY, exif=exif, **more)
    png, tiff = read(tmp_path).x
    assert png.tolist() == tiff.tolist()


def test_other_pixels_than_the_header_says(tmp_path, monkeypatch):
    pair(tmp_path / "odd", GREY)
    monkeypatch.setattr("jensen.data.images.pixels_of", lambda *args: np.zeros((4, 3, 1), dtype=np.uint8))
    refuse(tmp_path / "odd", "a.png is damaged")


def test_sizes_differ(tmp_path):
    put(tmp_path / "a.png", GREY)
    put(tmp_path / "b.png", np.zeros((6, 8), dtype=np.uint8))
    put(tmp_path / "c.png", np.kron(GREY, np.ones((2, 2), dtype=np.uint8)))
    guessed = read(tmp_path)
    assert guessed.schema.shape == (4, 4, 1)  # half of them have 6 pixels at least
    assert "(3x4 and 6x8, for example): all are resized to 4x4" in guessed.notes[0]
    with pytest.raises(DataError, match=r"a\.png is 3x4 and .*b\.png is 6x8"):
        read_beside(tmp_path)  # of a model, whose size is known
    held = read(tmp_path, size=(3, 4))
    assert held.x[2].tolist() == GREY.reshape(-1).tolist()
    assert "2 images resized to 3x4" in held.notes[0]


def test_resizing_averages_areas(tmp_path):
    for name in ("a.png", "b.png"):
        put(tmp_path / name, np.array([[0, 100], [50, 250]], dtype=np.uint8))
    assert read(tmp_path, size=(1, 1)).x.tolist() == [[100], [100]]


def test_resizing_bits_and_deep_images(tmp_path):
    for name in ("a.png", "b.png"):
        put(tmp_path / "bits" / name, Image.fromarray(np.array([[True, False]])))
        put(tmp_path / "deep" / name, np.array([[1000, 3000]], dtype=np.uint16))
    assert read(tmp_path / "bits", size=(1, 1), resize="stretch").x[0, 0] in (127, 128)
    assert read(tmp_path / "deep", size=(1, 1), resize="stretch").x.tolist() == [[2000], [2000]]


def test_refused_folders(tmp_path, monkeypatch):
    refuse(tmp_path, "holds no images")
    put(tmp_path / "a.png", GREY)
    assert len(read(tmp_path)) == 1
    monkeypatch.setattr(images, "MOST_PIXELS", 11)
    refuse(tmp_path, "a.png", "million pixels")


def test_declared_bombs_are_refused_before_decoding(tmp_path):
    put(tmp_path / "a.png", GREY)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (20000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    refuse(tmp_path, "64 million pixels")


def test_floating_point_images(tmp_path):
    for name in ("a.tif", "b.tif"):
        put(tmp_path / name, GREY.astype(np.float32))
    refuse(tmp_path, "floating-point")


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPE", "jif", "mpo", "apng", "dib", "jp2", "tga", "sgi", "pcx"])
def test_other_suffixes_that_pillow_reads(tmp_path, suffix):
    kinds = {"mpo": "JPEG", "jif": "JPEG"}
    options = {"format": kinds[suffix]} if suffix in kinds else {}
    for name in ("a", "b"):
        put(tmp_path / f"{name}.{suffix}", COLOUR, **options)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        oracle = np.asarray(image.convert("RGB"))
    held = read(tmp_path)
    assert len(held) == 2
    assert held.x[0].tolist() == oracle.reshape(-1).tolist()


@pytest.mark.parametrize(
    ("names", "data", "test"),
    [
        ("train test", "train", "test"),
        ("Train Valid", "Train", "Valid"),
        ("training_set test_set", "training_set", "test_set"),
        ("train2017 val2017 docs", "train2017", "val2017"),
        ("trainA trainB testA testB", "trainA", "testA"),
        ("train validation test", "train", "test"),
        ("val test", "val", "test"),
    ],
)
def test_parts_of_a_data_set_are_no_classes(tmp_path, names, data, test):
    for name in names.split():
        put(tmp_path / name / "cat" / "1.png", GREY)
        put(tmp_path / name / "dog" / "1.png", GREY)
    with pytest.raises(DataError, match="parts of a data set") as caught:
        read(tmp_path)
    assert f"{tmp_path / data} --test {tmp_path / test}" in caught.value.remedy
    assert read(tmp_path / data).schema.classes == ("cat", "dog")


@pytest.mark.parametrize("names", ["bus car train", "control test", "tests trains", "value worth"])
def test_classes_may_have_such_names(tmp_path, names):
    for name in names.split():
        put(tmp_path / name / "1.png", GREY)
    assert read(tmp_path).schema.classes == tuple(names.split())


def test_skipped_files_are_named(tmp_path):
    (tmp_path / "x.heic").write_text("no")
    (tmp_path / "y.svg").write_text("no")
    assert "(.heic, .svg)" in pair(tmp_path, GREY).notes[0]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x.docx").write_text("1,2")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "tables")
    assert "x.docx" in caught.value.remedy


@pytest.mark.parametrize("name", ["one.png", "one.bmp", "one.tif"])
def test_a_single_image_is_a_datum(name, tmp_path):
    pixels = (np.random.default_rng(0).random((6, 5)) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    dataset = read(str(tmp_path / name))
    assert dataset.schema.shape == (6, 5, 1)
    assert np.array_equal(dataset.x.reshape(6, 5), pixels)
    assert dataset.labels is None


def truncate(path):
    put(path, np.random.default_rng(0).integers(0, 256, (3, 4), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:48])


def bomb(path):
    put(path, GREY)
    content = bytearray(path.read_bytes())
    content[16:24] = (20000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)


BROKEN = {
    "truncated": truncate,
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("not an image"),
    "a bomb": bomb,
    "another file": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
    "a link to nowhere": lambda path: path.symlink_to("gone"),
    "a FIFO": os.mkfifo,
    "floating-point pixels": lambda path: Image.fromarray(GREY.astype(np.float32)).save(path, format="TIFF"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_skipped_with_a_note(tmp_path, kind):
    for i in range(3):
        put(tmp_path / f"{i}.png", GREY + i)
    whole = read(tmp_path)
    BROKEN[kind](tmp_path / "1b.png")
    held = read(tmp_path)
    assert held.source.sha256 == whole.source.sha256
    assert held.identity["file"].tolist() == ["0.png", "1.png", "2.png"]
    assert "1 of 4 images of" in held.notes[-1]
    assert "(1b.png) and is skipped" in held.notes[-1]
    refuse(tmp_path, "1 of 4 images", "(1b.png)", "without --strict", strict=True)


def test_all_broken_images_are_named_and_too_many_refused(tmp_path):
    for i in range(40):
        put(tmp_path / f"{i}.png", GREY)
    kinds = list(BROKEN)
    for i in range(25):
        BROKEN[kinds[i % len(kinds)]](tmp_path / f"x{i}.png")
    note = read(tmp_path).notes[-1]
    assert "25 of 65 images" in note
    assert all(f"x{i}.png" in note for i in range(20))
    assert "... 25 in all" in note
    refuse(tmp_path, "25 of 65", "x19.png", strict=True)
    for i in range(30):
        (tmp_path / f"{i}.png").unlink()
    refuse(tmp_path, "25 of 35 images", "Replace or remove them")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_broken_image_leaves_no_trace(tmp_path, suffix):
    """Neither its size nor its mode counts, where its header is whole and its pixels are not."""
    for i in range(3):
        put(tmp_path / f"{i}.png", GREY)
    path = tmp_path / f"3.{suffix}"
    put(path, np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-500])
    held = read(tmp_path)
    assert held.schema.shape == (3, 4, 1)
    assert len(held.notes) == 1


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(480, 640), (333, 500), (90, 80)], 32),
        ([(40, 40), (30, 50), (90, 80)], 32),
        ([(30, 40), (31, 29), (28, 90)], 28),
        ([(3, 9), (5, 3), (3, 3)], 3),
        ([(200, 10), (13, 300), (500, 500)], 12),
    ],
)
def test_the_size_that_is_guessed_is_a_sensible_square(tmp_path, sizes, side):
    for i, size in enumerate(sizes):
        put(tmp_path / f"{i}.png", np.full(size, 10 * i, dtype=np.uint8))
    held = read(tmp_path)
    assert held.schema.shape == (side, side, 1)
    assert held.source.resized == (side, side)
    assert f"resized to {side}x{side}" in held.notes[0]
    assert "--size" in held.notes[0]
    assert (held.x == 10 * np.arange(3)[:, None]).all()


def test_images_of_one_size_keep_it(tmp_path):
    held = pair(tmp_path, np.zeros((7, 90), dtype=np.uint8))
    assert held.schema.shape == (7, 90, 1)
    assert held.source.resized is None
