"""Data that do not fit into memory stay in their files or are refused by their headers, not as a matter of batches."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import scipy.io
from PIL import Image
from safetensors.numpy import save_file
from scipy import sparse

from jensen.core.errors import DataError
from jensen.data import from_memory, read, sizes
from jensen.data.sizes import check_size, within_memory

ROWS, COLUMNS = 50_000, 10


def npz(path):
    np.savez_compressed(path / "x.npz", x=np.zeros((ROWS, COLUMNS)))
    return path / "x.npz"


def npy(path):
    np.save(path / "x.npy", np.zeros((ROWS, COLUMNS)))
    return path / "x.npy"


def idx(path):
    (path / "x-idx2-ubyte").write_bytes(struct.pack(">HBB2I", 0, 8, 2, ROWS * 8, COLUMNS) + bytes(8 * ROWS * COLUMNS))
    return path / "x-idx2-ubyte"


def dense(path):
    sparse.save_npz(path / "x.npz", sparse.csr_matrix((ROWS, COLUMNS)))
    return path / "x.npz"


def matlab(path):
    scipy.io.savemat(
        path / "x.mat", {"x": np.random.default_rng(0).random((ROWS, COLUMNS)).round(1)}, do_compression=True
    )
    return path / "x.mat"


def tensors(path):
    save_file({"x": np.zeros((ROWS, COLUMNS))}, path / "x.safetensors")
    return path / "x.safetensors"


def text(path):
    (path / "x.csv").write_text("0,1\n" * (ROWS * 4))
    return path / "x.csv"


def lines_of_json(path):
    (path / "x.json").write_text("[" + ",".join(["[0,1]"] * ROWS) + "]")
    return path / "x.json"


def folder(path):
    for i in range(10):
        Image.new("RGB", (400, 200)).save(path / f"{i}.png")
    return path


MAKERS = [npz, idx, dense, matlab, tensors, text, lines_of_json]


@pytest.mark.parametrize("make", MAKERS)
def test_what_does_not_fit_is_refused_before_it_is_read(make, tmp_path, monkeypatch):
    path = make(tmp_path)
    monkeypatch.setattr(sizes, "available_memory", lambda: 3_900_000)  # all of these need 4 MB or more
    with pytest.raises(DataError, match=r"of memory, and 3\.9 MB are available") as caught:
        read(path)
    assert "batch" not in str(caught.value)
    assert "fewer" in caught.value.remedy.lower()
    monkeypatch.setattr(sizes, "available_memory", lambda: 10**9)
    assert len(read(path))


@pytest.mark.parametrize("make", [npy, folder])
def test_what_can_stay_in_its_files_is_refused_for_memory_alone(make, tmp_path, monkeypatch):
    path = make(tmp_path)
    monkeypatch.setattr(sizes, "available_memory", lambda: 3_900_000)
    assert read(path).is_streamed
    with pytest.raises(DataError, match=r"of memory, and 3\.9 MB are available"):
        read(path, stream=False)


def test_a_sparse_matrix_in_memory(monkeypatch):
    monkeypatch.setattr(sizes, "available_memory", lambda: 10**6)
    with pytest.raises(DataError, match="the sparse array declares 8 GB"):
        from_memory(sparse.csr_matrix((10**5, 10**4)))


def test_words_and_limits(monkeypatch):
    monkeypatch.setattr(sizes, "available_memory", lambda: 1000)
    check_size(500, "x")
    with pytest.raises(
        DataError, match=r"x holds 501 bytes of data, which take 1 kB of memory, and 1 kB are available"
    ):
        check_size(501, "x", verb="holds")
    check_size(1000, "x", times=1)


def test_memory_that_is_refused_is_an_error_of_the_data():
    with pytest.raises(DataError, match="x does not fit into memory") as caught, within_memory("x"):
        raise MemoryError
    assert "fewer rows" in caught.value.remedy
