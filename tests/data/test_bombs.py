"""Small files that claim, or unpack to, far more than they are: refused before anything is allocated for them."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.matlab import values, variables

MUCH = 4 * 2**20  # bytes: what a refusal may take


def npy_header(shape: str, kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as made:
        made.writestr("x.npy", content)
    return held.getvalue()


def claiming_zip(size: int) -> bytes:
    """An archive whose one array has 16 bytes, and whose directory says that it has many."""
    whole = bytearray(zipped(npy_header(f"({size // 8}, 1)") + bytes(16), zipfile.ZIP_STORED))
    claimed = struct.pack("<I", len(npy_header(f"({size // 8}, 1)")) + size)
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = whole.index(signature) + at
        whole[place : place + 4] = claimed
    return bytes(whole)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def matlab(rows: int, packed: bool) -> bytes:
    head = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, rows, 1) + struct.pack("<HH4s", 1, 1, b"x")
    body = head + struct.pack("<II", 9, (rows * 8) % 2**32)
    inner = struct.pack("<II", 14, (len(body) + rows * 8) % 2**32) + body
    if packed:
        inner = zlib.compress(inner)
        inner = struct.pack("<II", 15, len(inner)) + inner
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM") + inner


BOMBS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "npy of 10^12 rows": ("x.npy", lambda: npy_header("(1000000000000, 1)"), "declares"),
    "npy of a thousand megabytes": ("x.npy", lambda: npy_header("(125000000, 1)"), "truncated"),
    "npy of endless text": ("x.npy", lambda: npy_header("(2, 2)", "<U999999999"), "damaged"),
    "npy of many axes": ("x.npy", lambda: npy_header("(" + "1, " * 60 + ")"), "damaged"),
    "npy nested deeply": ("x.npy", lambda: npy_header("(" * 4000), "damaged"),
    "npy of a negative size": ("x.npy", lambda: npy_header("(-1, 8)"), "damaged"),
    "npz of 10^12 rows": ("x.npz", lambda: zipped(npy_header("(1000000000000, 1)")), "declares"),
    "npz that claims": ("x.npz", lambda: claiming_zip(2**30), "cannot hold"),
    "npz with another compression": ("x.npz", lambda: zipped(npy_header("(2, 1)"), zipfile.ZIP_BZIP2), "np.savez"),
    "idx of 2^64 entries": ("x-idx3-ubyte", lambda: struct.pack(">HBB3I", 0, 8, 3, *[2**31] * 3), "declares"),
    "idx of a thousand megabytes": (
        "x-idx2-ubyte",
        lambda: struct.pack(">HBB2I", 0, 8, 2, 2**20, 2**10),
        "cannot hold",
    ),
    "compressed idx": (
        "x-idx2-ubyte.gz",
        lambda: gzip.compress(struct.pack(">HBB2I", 0, 8, 2, 2**20, 2**10)),
        "cannot hold",
    ),
    "mat of 2^30 rows": ("x.mat", lambda: matlab(2**30, False), "damaged"),
    "compressed mat": ("x.mat", lambda: matlab(2**28, True), "damaged"),
    "a line that never ends": (
        "x.csv",
        lambda: b"1," * 20_000 + b'"' + b"7" * 200_000 + b'"\n1,2\n',
        "cannot be parsed",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_for_little(name: str, tmp_path: Path) -> None:
    file, make, said = BOMBS[name]
    path = tmp_path / file
    path.write_bytes(make())
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=said) as caught:
            read(path)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < MUCH
    assert caught.value.remedy


@pytest.mark.parametrize("size", [(8001, 8001), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_giant_picture(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=r"a\.png") as caught:
        read(tmp_path)
    assert caught.value.remedy


def test_a_changed_bit_in_packed_data_is_noticed(tmp_path: Path) -> None:
    """Archives and compressed variables have checksums: they are looked at."""
    x = np.random.default_rng(0).random((40, 5))
    np.savez(tmp_path / "stored.npz", x=x)
    np.savez_compressed(tmp_path / "packed.npz", x=x)
    scipy.io.savemat(tmp_path / "packed.mat", {"x": x}, do_compression=True)
    for path in tmp_path.iterdir():
        assert len(read(path).x) == 40
        whole = path.read_bytes()
        for at in range(600, 1400, 50):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            with pytest.raises(DataError, match="damaged"):
                read(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_matlab_as_scipy_reads_it(kind: str, packed: bool, tmp_path: Path) -> None:
    """An oracle for the reader of our own."""
    path, noise = tmp_path / "x.mat", np.random.default_rng(0)
    held = {
        "a": (noise.random((3, 4)) * 100).astype(kind),
        "much_longer_name": np.arange(24, dtype=kind).reshape(2, 3, 4),
    }
    beside = {"word": "text", "cell": np.array([1, "a"], dtype=object), "part": {"x": 1.0}, "none": np.zeros((0, 3))}
    scipy.io.savemat(path, {**held, **beside, "big": np.full((2, 2), 1e300)}, do_compression=packed)
    headers = {v.name: v for v in variables(path)}
    theirs = scipy.io.loadmat(path)
    assert headers.keys() == {*held, "none", "big"}
    for name, variable in headers.items():
        mine = values(path, variable)
        assert mine.dtype == theirs[name].dtype
        assert mine.shape == theirs[name].shape == variable.shape
        assert (mine == theirs[name]).all()
    assert {n: (s, k) for n, s, k in scipy.io.whosmat(path) if n in headers} == {
        n: (v.shape, v.kind) for n, v in headers.items()
    }


def test_matlab_logicals_and_complex_numbers(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"x": np.array([[True, False], [False, True]])})
    [variable] = variables(tmp_path / "x.mat")
    assert variable.kind == "logical"
    assert read(tmp_path / "x.mat").x.tolist() == [[1, 0], [0, 1]]
    scipy.io.savemat(tmp_path / "x.mat", {"x": np.array([[1j, 2], [3, 4]])})
    with pytest.raises(DataError, match="complex numbers"):
        read(tmp_path / "x.mat")
