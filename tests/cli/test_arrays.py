"""Arrays whose rows come some after another have the bytes of one array of all rows."""

from __future__ import annotations

import io
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest

from jensen.cli.arrays import ArrayPieces, write_rows

RNG = np.random.default_rng(0)
ARRAYS = {"x": RNG.normal(size=(3, 10, 2)), "mean": RNG.normal(size=(10, 2)), "seen": RNG.random(10) < 0.5}


def in_pieces(folder, cuts):
    with ExitStack() as scope:
        pieces, stream, single = ArrayPieces(folder, scope), io.BytesIO(), io.BytesIO()
        for start, stop in pairwise(cuts):
            pieces.add("x", ARRAYS["x"][:, start:stop], versions=True)
            for name in ("mean", "seen"):
                pieces.add(name, ARRAYS[name][start:stop])
        pieces.write(stream, is_archive=True)
        pieces.write(single, is_archive=False)
    return io.BytesIO(stream.getvalue()), single.getvalue()


@pytest.mark.parametrize("cuts", [[0, 10], [0, 4, 4, 9, 10]])
def test_pieces_make_the_arrays_of_all_rows(cuts, tmp_path):
    archive, single = in_pieces(tmp_path, cuts)
    with np.load(archive) as loaded:
        assert loaded.files == list(ARRAYS)
        for name, values in ARRAYS.items():
            assert loaded[name].dtype == values.dtype
            np.testing.assert_array_equal(loaded[name], values)
    whole = io.BytesIO()
    np.save(whole, ARRAYS["x"])
    assert single == whole.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match="follow others"):
        write_rows(io.BytesIO(), iter([np.zeros((2, 3)), np.zeros((1, 4))]), 3)
