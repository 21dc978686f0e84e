"""Damaged files of every format are read or refused: changed bits, other bytes, and ends that are missing."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import struct

import numpy as np
import pytest
import scipy.io
from PIL import Image
from safetensors.numpy import save_file
from scipy import sparse

from jensen.core.errors import DataError
from jensen.data import describe, read

X = np.random.default_rng(0).random((12, 5))
WHOLE = np.random.default_rng(1).integers(0, 50, (12, 5)).astype(np.uint8)
IDX = struct.pack(">HBB2I", 0, 8, 2, 12, 5) + WHOLE.tobytes()
TABLE = "id,a,b\n" + "".join(f"{i},{a:.3f},{b:.3f}\n" for i, (a, b) in enumerate(X[:, :2]))
FORMATS = {
    "x.npy": lambda path: np.save(path, X),
    "x.npz": lambda path: np.savez_compressed(path, x=X, y=np.arange(12) % 3, names=np.array(list("abcde"))),
    "sparse.npz": lambda path: sparse.save_npz(path, sparse.csr_matrix(WHOLE)),
    "x.mat": lambda path: scipy.io.savemat(path, {"x": X}, do_compression=True),
    "sparse.mat": lambda path: scipy.io.savemat(path, {"x": sparse.csc_matrix(WHOLE * 1.0)}),
    "x.safetensors": lambda path: save_file({"x": X}, path),
    "x-idx2-ubyte": lambda path: path.write_bytes(IDX),
    "x-idx2-ubyte.gz": lambda path: path.write_bytes(gzip.compress(IDX, mtime=0)),
    "x.csv": lambda path: path.write_text(TABLE),
    "x.csv.gz": lambda path: path.write_bytes(gzip.compress(TABLE.encode(), mtime=0)),
    "x.json": lambda path: path.write_text(json.dumps(dict(zip("ab", X[:, :2].T.tolist(), strict=True)))),
    "x.png": lambda path: Image.fromarray(WHOLE).save(path),
}


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """The bytes with one bit changed, one byte replaced, or an end missing; more often near their beginning."""
    at = rng.randrange(rng.choice([len(whole), min(200, len(whole))]))
    kind = rng.random()
    if kind > 0.75:
        return whole[:at]
    byte = whole[at] ^ 1 << rng.randrange(8) if kind < 0.6 else rng.choice(b'\x00\xff\x7f\x80\n,"')
    return whole[:at] + bytes([byte]) + whole[at + 1 :]


def survive(name, tmp_path, n):
    path, rng = tmp_path / name, random.Random(7)
    FORMATS[name](path)
    assert len(read(path))
    whole = path.read_bytes()
    for _ in range(n):
        path.write_bytes(damaged(whole, rng))
        for missing in (False, True):
            with contextlib.suppress(DataError):
                describe(read(path, missing=missing))


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_survived(name, tmp_path):
    survive(name, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_much_damage_is_survived(name, tmp_path):
    survive(name, tmp_path, 1000)


def test_a_sparse_matrix_whose_indices_are_reals(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"x": sparse.csc_matrix(WHOLE * 1.0)})
    whole = bytearray((tmp_path / "x.mat").read_bytes())
    at = whole.index(struct.pack("<I", 5), 160)  # the type of the rows: 32-bit integers, become single precision
    whole[at] = 7
    (tmp_path / "x.mat").write_bytes(whole)
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "x.mat")
