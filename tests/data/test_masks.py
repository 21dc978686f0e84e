"""Which entries to hide, as words, rectangles and files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jensen.core.errors import DataError, JensenError, UsageError
from jensen.data import Schema, parse_mask

GREY = Schema("integers", (3, 5, 1), levels=17)
COLOUR = Schema("integers", (3, 5, 2), levels=17)
TABLE = Schema("real", (4,))


def shown(text: str, schema: Schema = GREY, n: int = 7) -> list[str]:
    """The mask of one datum as rows of letters, h where the first channel is hidden."""
    hidden = parse_mask(text, schema, n)
    assert hidden.dtype == bool
    assert hidden.shape == (1, schema.size)
    return ["".join("h" if value else "." for value in row) for row in hidden.reshape(schema.shape)[..., 0]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("right", ["..hhh"] * 3),
        ("left", ["hhh.."] * 3),
        ("top", ["hhhhh", "hhhhh", "....."]),
        ("bottom", [".....", "hhhhh", "hhhhh"]),
        ("rect:1,0,2,4", [".....", "hhhh.", "....."]),
        ("rect:0,0,3,5", ["hhhhh"] * 3),
    ],
)
def test_sides_and_rectangles(text, rows):
    assert shown(text) == rows
    assert shown(text, COLOUR) == rows
    assert parse_mask(text, COLOUR, 7).reshape(COLOUR.shape).all(-1).sum() == "".join(rows).count("h")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rect:1,2,3", "four numbers"),
        ("rect:a,b,c,d", "four numbers"),
        ("rect:2,0,1,5", "rows from 0 to 3"),
        ("rect:0,0,4,5", "columns from 0 to 5"),
        ("rect:0,-1,1,1", "rows from 0 to 3"),
        ("middle", "right, left, top, bottom"),
    ],
)
def test_words_that_name_no_mask(text, said):
    with pytest.raises(UsageError, match=said):
        parse_mask(text, GREY, 7)


def test_a_table_has_no_sides():
    with pytest.raises(UsageError, match=r"Give --mask a \.npy file"):
        parse_mask("right", TABLE, 7)


def test_arrays_of_one_datum_or_of_all(tmp_path):
    path, rng = tmp_path / "mask.npy", np.random.default_rng(0)
    for schema in (GREY, COLOUR, TABLE):
        for shape in (schema.shape, (schema.size,), (7, *schema.shape), (7, schema.size)):
            hidden = rng.integers(0, 3, size=shape)
            np.save(path, hidden)
            parsed = parse_mask(str(path), schema, 7)
            assert (parsed == (hidden != 0).reshape(-1, schema.size)).all()
    for lead in ((), (7,)):  # without channels: all of a pixel
        hidden = rng.random((*lead, 3, 5)) < 0.5
        np.save(path, hidden)
        parsed = parse_mask(str(path), COLOUR, 7).reshape(*(lead or (1,)), *COLOUR.shape)
        assert (parsed == hidden[..., None]).all()


def test_an_image_hides_where_it_is_white(tmp_path):
    bits = np.array([[0, 255, 0, 0, 200], [0, 0, 0, 100, 0], [255, 0, 0, 0, 0]], np.uint8)
    Image.fromarray(bits).save(tmp_path / "mask.png")
    assert shown(str(tmp_path / "mask.png")) == [".h..h", ".....", "h...."]
    with pytest.raises(DataError, match=r"\(3, 5\)"):
        parse_mask(str(tmp_path / "mask.png"), Schema("integers", (4, 4, 1), levels=17), 7)


def test_files_that_are_no_masks(tmp_path):
    path = tmp_path / "mask.npy"
    np.save(path, np.ones((6, 3, 5)))
    with pytest.raises(DataError, match=r"Give \(3, 5\), or \(7, 3, 5\)"):
        parse_mask(str(path), GREY, 7)
    np.save(path, np.zeros((3, 5)))
    with pytest.raises(UsageError, match="hides nothing"):
        parse_mask(str(path), GREY, 7)
    for name in ("mask.npy", "mask.png"):
        (tmp_path / name).write_text("no mask")
        with pytest.raises(JensenError):
            parse_mask(str(tmp_path / name), GREY, 7)
    with pytest.raises(UsageError, match="is no file"):
        parse_mask(str(tmp_path / "nowhere.npy"), GREY, 7)
