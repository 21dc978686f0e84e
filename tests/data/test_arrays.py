"""NumPy, IDX and MATLAB files: what is read, and what is refused."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from safetensors.numpy import save_file
from scipy import sparse

from jensen.core.errors import DataError, UsageError
from jensen.data import from_array, read

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10


def save(path, x):
    np.save(path, x, allow_pickle=True)
    return path


def refuse(source, *words, **options):
    """The error of a refused source says these words, ends without a full stop, and has a remedy."""
    with pytest.raises(DataError) as caught:
        read(source, **options)
    for word in words:
        assert word in str(caught.value)
    assert not caught.value.what.endswith(".")
    assert caught.value.remedy
    return caught.value


def idx(x, code=0x08, dtype=">u1"):
    return bytes([0, 0, code, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.astype(dtype).tobytes()


def test_digits():
    digits = read("digits")
    assert digits.x.shape == (1797, 64)
    assert digits.x.dtype == np.uint8
    assert digits.schema.shape == (8, 8, 1)
    assert digits.schema.levels == 17
    assert digits.schema.classes == tuple("0123456789")
    assert digits.labels.dtype == np.int64
    assert digits.labels[:3].tolist() == [0, 1, 2]
    assert digits.source.files == ()


@pytest.mark.parametrize(
    ("x", "kind", "levels", "dtype"),
    [
        (np.array([[True, False], [False, True]]), "binary", None, np.uint8),
        (np.array([[0.0, 1.0], [1.0, 1.0]]), "binary", None, np.uint8),
        (np.array([[0, 1], [1, 1]]), "binary", None, np.uint8),
        (np.array([[0, 3], [2, 1]]), "integers", 4, np.uint8),
        (np.array([[0, 255], [2, 1]], dtype=np.uint8), "integers", 256, np.uint8),
        (np.array([[0, 256], [2, 1]], dtype=np.uint16), "integers", 257, np.int32),
        (np.array([[0, 65535], [2, 1]], dtype=">u2"), "integers", 65536, np.int32),
        (np.array([[0, 65536], [2, 1]]), "real", None, np.float32),
        (np.array([[0, 2**24 + 1], [2, 1]]), "real", None, np.float64),
        (np.array([[0, -1], [2, 1]]), "real", None, np.float32),
        (np.array([[0.0, 3.0], [2.0, 1.0]]), "real", None, np.float64),
        (np.array([[0.0, 0.5], [1.0, 1.0]], dtype=np.float32), "real", None, np.float32),
        (np.array([[0.0, 0.5], [1.0, 1.0]], dtype=np.float16), "real", None, np.float32),
        (np.array([[0.0, 0.5], [1.0, 1.0]], dtype=">f8"), "real", None, np.float64),
        (PIXELS[:, :, :1] // 100, "integers", 256, np.uint8),
        (PIXELS.astype(np.int64), "integers", 231, np.uint8),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_kinds_of_arrays(tmp_path, x, kind, levels, dtype, order):
    held = read(save(tmp_path / "x.npy", np.asarray(x, order=order)))
    assert (held.schema.kind, held.schema.levels, held.x.dtype) == (kind, levels, np.dtype(dtype))
    assert held.x.dtype.isnative
    assert held.x.flags.c_contiguous
    np.testing.assert_array_equal(held.x, np.asarray(x).reshape(len(x), -1))


def test_shapes(tmp_path):
    assert read(save(tmp_path / "a.npy", PIXELS)).schema.shape == (3, 4, 1)
    last = np.zeros((2, 5, 6, 3), dtype=np.uint8)
    assert read(save(tmp_path / "b.npy", last)).schema.shape == (5, 6, 3)
    first = np.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6)
    moved = read(save(tmp_path / "c.npy", first))
    assert moved.schema.shape == (5, 6, 3)
    np.testing.assert_array_equal(moved.x.reshape(2, 5, 6, 3), np.moveaxis(first, 1, 3))
    assert "channels moved last" in moved.notes[0]


def test_source_is_recorded(tmp_path):
    path = save(tmp_path / "x.npy", PIXELS)
    first, again = read(path), read(str(path))
    assert first.source == again.source
    assert first.source.files == (str(path.resolve()),)
    assert first.source.n == len(first) == 2
    other = PIXELS.copy()
    other[0, 0, 0] = 7
    assert from_array(other).source.sha256 != first.source.sha256
    assert from_array(PIXELS.reshape(2, 12)).source.sha256 == from_array(PIXELS[..., None]).source.sha256
    assert from_array(PIXELS.reshape(4, 6)).source.sha256 != first.source.sha256


def test_two_valued_images_are_pointed_out(tmp_path):
    assert "--binarize threshold" in from_array((PIXELS > 50).astype(np.uint8) * 255).notes[0]
    assert from_array(PIXELS).notes == ()


def test_a_single_row_is_a_data_set():
    assert from_array(np.ones((1, 3)) / 2).x.shape == (1, 3)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.zeros((0, 3)), "empty"),
        (np.zeros((3, 0)), "empty"),
        (np.zeros(3), "one axis"),
        (np.float64(3.0), "neither"),
        (np.zeros((2, 2, 2, 5)), "neither"),
        (np.zeros((2, 2, 2, 2, 2)), "neither"),
        (np.zeros((2, 2), dtype=complex), "complex"),
        (np.array([["a", "b"]] * 2), "text"),
        (np.array([[b"a", b"b"]] * 2), "text"),
        (np.zeros((2, 2), dtype="M8[s]"), "dates"),
        (np.zeros((2, 2), dtype="f8,i4"), "structured"),
        (np.array([[{}, None]] * 2, dtype=object), "never unpickled"),
    ],
)
def test_arrays_refused(tmp_path, x, word):
    refuse(save(tmp_path / "x.npy", x), word)


def test_missing_entries_are_located(tmp_path):
    x = np.ones((5, 3))
    x[2, 1], x[4, 0] = np.nan, -np.inf
    refuse(save(tmp_path / "x.npy", x), "1 infinite entry", "row 4, column 0")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("unpickled",))

    refuse(save(tmp_path / "x.npy", np.array([[Trap()]] * 2, dtype=object)), "never unpickled")
    np.savez(tmp_path / "x.npz", x=np.array([[Trap()]] * 2, dtype=object))
    refuse(tmp_path / "x.npz", "never unpickled")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    refuse(tmp_path / "model.pkl", "never opened")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("x.npy", b"\x89PNG\r\n\x1a\n", "an image"),
        ("x.npy", b"", "empty file"),
        ("x.npy", b"1,2\n3,4\n", "holds text"),
        ("x.npy", b"\x93NUMPY\x01\x00\xff", "damaged"),
        ("x.npz", b"\x93NUMPY\x01\x00", "a NumPy array"),
        ("x.npz", b"PK\x03\x04rubbish", "damaged"),
        ("x.gz", b"plain text", "holds text"),
        ("x.csv", b"PK\x03\x04", "a zip archive"),
        ("x.csv", b"PAR1\x00", "Parquet"),
        ("x.mat", b"\x01\x02\x00\x00", "unknown format"),
        ("x.mat", b"MATLAB 7.3 MAT-file, HDF5", "-v7"),
        ("x.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("train-images-idx3-ubyte", b"\x00\x01\x08\x03", "00 01 08 03"),
        ("x.bin", b"\x01\x00\x02\x03", "unknown format"),
        ("photo.png", b"\x89PNG\r\n\x1a\n", "is not an image that can be read"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    refuse(tmp_path / name, word)


def test_missing_file(tmp_path):
    refuse(tmp_path / "none.npy", "there is no file")
    refuse(tmp_path / "none.npz:x", "there is no file")


def test_no_name():
    """An empty path is not the present folder."""
    refuse("", "no data are named")


def test_size_is_for_folders(tmp_path):
    path = save(tmp_path / "x.npy", PIXELS)
    with pytest.raises(UsageError, match="--size"):
        read(path, size=(2, 2))


def test_truncated_npy(tmp_path):
    path = save(tmp_path / "x.npy", PIXELS)
    path.write_bytes(path.read_bytes()[:-1])
    refuse(path, "truncated")


def npy_header(shape, dtype="|u1"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("shape", ["(1000000000, 1000000000)", "(100000, 100000)", "(3, 3)", "(-2, -2)"])
def test_headers_are_not_believed(tmp_path, shape):
    """A small file that declares a large array is refused before anything is allocated."""
    (tmp_path / "x.npy").write_bytes(npy_header(shape))
    refuse(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy_header(shape))
    small = {"(3": "does not match", "(-2": "damaged"}
    refuse(tmp_path / "x.npz", small.get(shape.split(",")[0], "x"))


def test_npz_choices(tmp_path):
    y = np.array([1, 0])
    np.savez(tmp_path / "one.npz", anything=PIXELS)
    assert read(tmp_path / "one.npz").schema.shape == (3, 4, 1)
    np.savez_compressed(tmp_path / "two.npz", images=PIXELS, y=y, other=y)
    both = read(tmp_path / "two.npz")
    assert both.labels.tolist() == [1, 0]
    assert "'y'" in both.notes[0]
    np.savez(tmp_path / "many.npz", a=PIXELS, b=PIXELS, c=np.array(["cat", "dog"]))
    refuse(tmp_path / "many.npz", "a, b, c", "many.npz:a")
    named = read(f"{tmp_path / 'many.npz'}:b", labels="c")
    assert named.labels.tolist() == [0, 1]
    assert named.schema.classes == ("cat", "dog")
    refuse(f"{tmp_path / 'many.npz'}:z", "no array 'z'", "a, b, c")
    refuse(f"{tmp_path / 'many.npz'}:b", "neither a part", "a, b, c", labels="z")
    np.savez(tmp_path / "short.npz", x=PIXELS, y=np.arange(5))
    short = read(tmp_path / "short.npz")
    assert short.labels is None
    assert "not taken as labels" in short.notes[0]
    refuse(tmp_path / "short.npz", "2 rows and 5 labels", labels="y")


def test_npz_without_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(tmp_path / "x.npz", "without arrays")


def test_damaged_npz(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.random.default_rng(0).random((50, 50)))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[5000:5010] = bytes(10)
    (tmp_path / "x.npz").write_bytes(content)
    refuse(tmp_path / "x.npz", "damaged")


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_with_labels(tmp_path, zipped):
    wrap, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    (tmp_path / f"t10k-images-idx3-ubyte{end}").write_bytes(wrap(idx(PIXELS)))
    alone = read(tmp_path / f"t10k-images-idx3-ubyte{end}")
    assert alone.labels is None
    np.testing.assert_array_equal(alone.x, PIXELS.reshape(2, 12))
    assert alone.x.flags.writeable
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([7, 3])))
    paired = read(tmp_path / f"t10k-images-idx3-ubyte{end}")
    assert paired.labels.tolist() == [7, 3]
    assert paired.notes == ("labels paired with t10k-labels-idx1-ubyte",)
    assert len(paired.source.files) == 2
    (tmp_path / "mine.csv").write_text("1\n2\n")
    assert read(tmp_path / f"t10k-images-idx3-ubyte{end}", labels=tmp_path / "mine.csv").labels.tolist() == [1, 2]
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([7, 3, 1])))
    refuse(tmp_path / f"t10k-images-idx3-ubyte{end}", "2 rows", "3 labels")


@pytest.mark.parametrize(
    ("code", "dtype", "kind"),
    [(0x09, ">i1", "real"), (0x0B, ">i2", "real"), (0x0C, ">i4", "real"), (0x0D, ">f4", "real"), (0x0E, ">f8", "real")],
)
def test_idx_types(tmp_path, code, dtype, kind):
    x = np.array([[-1, 2], [3, 100]])
    (tmp_path / "x.idx").write_bytes(idx(x, code, dtype))
    held = read(tmp_path / "x.idx")
    assert held.schema.kind == kind
    np.testing.assert_array_equal(held.x, x)


def test_damaged_idx(tmp_path):
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(idx(PIXELS)[:-1])
    refuse(path, "damaged", "fewer")
    path.write_bytes(idx(PIXELS) + b"0")
    refuse(path, "damaged", "more")
    path.write_bytes(idx(PIXELS)[:9])
    refuse(path, "truncated")
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 2))
    refuse(path, "of memory")
    path = tmp_path / "x-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(PIXELS))[:-12])
    refuse(path, "damaged", "end early")
    path.write_bytes(gzip.compress(b"1,2\n3,4\n"))
    refuse(path, "not IDX")
    content = bytearray(gzip.compress(idx(PIXELS)))
    content[-6] ^= 1
    path.write_bytes(content)
    refuse(path, "damaged")


def test_matlab(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"X": np.array([[0.0, 5.0], [3.0, 1.0]]), "y": np.array([[1, 2]]), "note": "text"})
    held = read(path)
    assert (held.schema.kind, held.schema.levels) == ("integers", 6)
    assert held.labels.tolist() == [1, 2]
    scipy.io.savemat(path, {"only": np.array([[0.0, 300.0], [3.0, 1.0]])})
    assert read(path).schema.kind == "real"
    scipy.io.savemat(path, {"a": np.eye(2), "b": 3 * np.eye(2)})
    refuse(path, "a, b", ":a")
    assert read(f"{path}:b").x.tolist() == [[3, 0], [0, 3]]
    assert read(f"{path}:a").schema.kind == "binary"
    scipy.io.savemat(path, {"s": {"field": 1}, "c": np.array([{}, 1], dtype=object)})
    refuse(path, "no array of numbers")
    scipy.io.savemat(path, {"x": np.random.default_rng(0).random((20, 20))}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-200])
    refuse(path, "damaged")


def test_label_files(tmp_path):
    path = save(tmp_path / "x.npy", PIXELS)
    assert read(path, labels=save(tmp_path / "y.npy", np.array([[4], [5]]))).labels.tolist() == [4, 5]
    assert read(path, labels=save(tmp_path / "f.npy", np.array([4.0, 5.0]))).labels.tolist() == [4, 5]
    (tmp_path / "y.csv").write_text("kind\ncat\nant\n")
    named = read(path, labels=tmp_path / "y.csv")
    assert named.labels.tolist() == [1, 0]
    assert named.schema.classes == ("ant", "cat")
    assert named.source.files == (str(path), str(tmp_path / "y.csv"))
    refuse(path, "neither", labels="nothing")
    refuse(path, "2 rows and 3 labels", labels=save(tmp_path / "l.npy", np.arange(3)))
    refuse(path, "whole number", labels=save(tmp_path / "h.npy", np.array([0.5, 1.0])))
    assert read(path, labels=save(tmp_path / "n.npy", np.array([np.nan, 1.0]))).labels.tolist() == [-1, 1]
    (tmp_path / "some.csv").write_text("kind\n?\nant\n")
    some = read(path, labels=tmp_path / "some.csv")
    assert (some.labels.tolist(), some.schema.classes) == ([-1, 0], ("ant",))
    refuse(path, "whole number", labels=save(tmp_path / "i.npy", np.array([np.inf, 1.0])))
    refuse(path, "shape (2, 2)", labels=save(tmp_path / "m.npy", np.eye(2)))
    with pytest.raises(DataError, match="labels"):
        from_array(PIXELS, np.array([1j, 2j]))


SPARSE = np.where(np.random.default_rng(0).random((100, 12)) < 0.3, np.random.default_rng(1).normal(size=(100, 12)), 0)


@pytest.mark.filterwarnings("ignore:Constructing a DIA")
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("family", ["matrix", "array"])
@pytest.mark.parametrize("packed", [False, True])
def test_sparse_matrices_of_scipy(tmp_path, kind, family, packed):
    options = {"blocksize": (4, 4)} if kind == "bsr" else {}
    matrix = getattr(sparse, f"{kind}_{family}")(SPARSE, **options)
    sparse.save_npz(tmp_path / "x.npz", matrix, compressed=packed)
    held = read(tmp_path / "x.npz")
    np.testing.assert_array_equal(held.x, sparse.load_npz(tmp_path / "x.npz").toarray())
    assert held.schema.shape == (12,)
    assert kind in held.notes[0]
    counts = (SPARSE > 0) * 3
    sparse.save_npz(tmp_path / "x.npz", getattr(sparse, f"{kind}_{family}")(counts, **options))
    assert (read(tmp_path / "x.npz").schema.kind, read(tmp_path / "x.npz").schema.levels) == ("integers", 4)


def test_damaged_sparse_matrices(tmp_path):
    path, matrix = tmp_path / "x.npz", sparse.csr_matrix(SPARSE)
    matrix.indices[3] = 99
    sparse.save_npz(path, matrix)
    refuse(path, "damaged")
    sparse.save_npz(path, sparse.coo_matrix(([1.0], ([0], [0])), shape=(10**6, 10**5)))
    refuse(path, "of memory")
    refuse(f"{path}:data", "no 'data'")
    np.savez(path, format=b"csr", shape=(2, 2), data=np.array([{}], dtype=object), indices=[0], indptr=[0, 1, 1])
    refuse(path, "never unpickled")
    np.savez(path, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=matrix.shape)
    refuse(path, "without its format")
    coo = sparse.coo_matrix(SPARSE)
    np.savez(path, data=coo.data, coords=[coo.row, coo.col], shape=coo.shape, fill_value=0.0)
    refuse(path, "library sparse")


@pytest.mark.parametrize("packed", [False, True])
def test_sparse_matrices_of_matlab(tmp_path, packed):
    path = tmp_path / "x.mat"
    for x in (SPARSE, SPARSE[:, :1], (SPARSE > 0) * 1.0, np.where(np.arange(12) == 5, SPARSE, 0)):
        scipy.io.savemat(path, {"x": sparse.csc_matrix(x)}, do_compression=packed)
        np.testing.assert_array_equal(read(path).x, scipy.io.loadmat(path)["x"].toarray())
    scipy.io.savemat(path, {"x": sparse.csc_matrix(SPARSE > 0)}, do_compression=packed)
    np.testing.assert_array_equal(read(path).x, SPARSE > 0)
    scipy.io.savemat(path, {"x": sparse.csc_matrix(SPARSE), "y": np.arange(100) % 3}, do_compression=packed)
    assert read(path).labels.tolist() == [i % 3 for i in range(100)]
    scipy.io.savemat(path, {"x": sparse.csc_matrix(SPARSE * 1j)}, do_compression=packed)
    refuse(path, "complex")


def test_a_sparse_matrix_of_matlab_with_entries_outside(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"x": sparse.csc_matrix(([1.0, 2.0], ([7, 7], [0, 1])), shape=(9, 2))})
    whole = path.read_bytes()
    at = whole.index(struct.pack("<2i", 7, 7))
    path.write_bytes(whole[:at] + struct.pack("<2i", 7, 9) + whole[at + 8 :])
    refuse(path, "damaged", "outside")
    scipy.io.savemat(path, {"x": sparse.csc_matrix((10**5, 10**5))})
    refuse(path, "of memory")


def test_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"x": SPARSE, "y": np.arange(100) % 2}, path)
    held = read(path)
    np.testing.assert_array_equal(held.x, SPARSE)
    assert held.labels.tolist() == [0, 1] * 50
    save_file({"a": SPARSE, "b": SPARSE.astype(np.float32) * 2}, path)
    refuse(path, "not clear", "(a, b)")
    np.testing.assert_array_equal(read(f"{path}:b").x, SPARSE.astype(np.float32) * 2)
    refuse(f"{path}:c", "no array 'c'")
    path.write_bytes(path.read_bytes()[:-9])
    refuse(path, "damaged")


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


def saved_by_torch(**options):
    content = io.BytesIO()
    torch.save(torch.zeros(3, 2), content, **options)
    return content.getvalue()


def written(suffix, method, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        getattr(pd.DataFrame(SPARSE, columns=[f"c{i}" for i in range(12)]), method)(path, **options)
        return path.read_bytes()


FOREIGN = {
    "Excel": ("x.xlsx", lambda: zipped(xl__workbook="<x/>"), "an Excel workbook", "read_excel"),
    "Excel as npz": ("x.npz", lambda: zipped(xl__workbook="<x/>"), "named .npz, but holds an Excel", "read_excel"),
    "Excel as csv": ("x.csv", lambda: zipped(xl__workbook="<x/>"), "named .csv, but holds an Excel", "read_excel"),
    "old Excel": ("x.xls", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel 97", "read_excel"),
    "ods": (
        "x.ods",
        lambda: zipped(mimetype="application/vnd.oasis.opendocument.spreadsheet"),
        "an OpenDocument spreadsheet",
        "CSV",
    ),
    "torch": ("x.pt", saved_by_torch, "a PyTorch file", "np.save"),
    "torch .pth": ("x.pth", saved_by_torch, "a PyTorch file", ".safetensors"),
    "torch as npz": ("x.npz", saved_by_torch, "holds a PyTorch file", "np.save"),
    "old torch": (
        "x.pt",
        lambda: saved_by_torch(_use_new_zipfile_serialization=False),
        "a PyTorch file",
        "never opened",
    ),
    "zip": ("x.zip", lambda: zipped(a="1"), "a zip archive without arrays", "Unpack it"),
    "parquet": ("x.npy", lambda: written(".parquet", "to_parquet"), "a Parquet table", "to_csv"),
    "feather": ("x.feather", lambda: written(".feather", "to_feather"), "an Arrow or Feather table", "to_csv"),
    "Stata": ("x.dta", lambda: written(".dta", "to_stata"), "a Stata file", "read_stata"),
    "new Stata": ("x.dta", lambda: written(".dta", "to_stata", version=118), "a Stata file", "read_stata"),
    "SPSS": ("x.sav", lambda: b"$FL2@(#) SPSS DATA FILE", "an SPSS file", "read_spss"),
    "R": ("x.rds", lambda: gzip.compress(b"X\n\0\0\0\3\0\4\2\0" + bytes(99)), "an R data file", "write.csv"),
    "RData": ("x.RData", lambda: gzip.compress(b"RDX3\nX\n" + bytes(99)), "an R data file", "write.csv"),
    "R, bzip2": ("x.rda", lambda: b"BZh91AY" + bytes(99), "an R data file", "write.csv"),
    "AnnData by another name": ("x.h5", lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "write_h5ad"),
    "h5": ("x.h5", lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "np.save"),
    "Matrix Market": ("x.mtx", lambda: b"%%MatrixMarket matrix coordinate real general\n", "Matrix Market", "mmread"),
    "HTML": ("x.csv", lambda: b"<!DOCTYPE html><html></html>", "holds an HTML page", "download"),
    "LFS": ("x.csv", lambda: b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS", "git lfs pull"),
    "xz": ("x.csv.xz", lambda: b"\xfd7zXZ\0" + bytes(99), "a compressed file", "Unpack"),
    "array, compressed": ("x.npy.gz", lambda: gzip.compress(b"\x93NUMPY\1\0" + bytes(99)), "a NumPy array", "gunzip"),
    "pickle": ("x.pkl", lambda: b"\x80\x04K\x01.", "a Python pickle", "np.save"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_formats_are_refused_by_name(tmp_path, name):
    file, make, message, remedy = FOREIGN[name]
    (tmp_path / file).write_bytes(make())
    assert remedy in refuse(tmp_path / file, message).remedy


def test_options_of_tables_are_refused_for_arrays(tmp_path):
    np.save(tmp_path / "x.npy", SPARSE)
    for options in ({"columns": "a"}, {"drop": "a"}, {"header": "no"}):
        for source in (tmp_path / "x.npy", "digits"):
            with pytest.raises(UsageError, match="is for tables"):
                read(source, **options)
