"""Arrays from NumPy, IDX and MATLAB files; headers are checked against the size of the file."""

from __future__ import annotations

import gzip
import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..core.errors import DataError
from .dataset import Raw, check_dtype
from .formats import IDX_TYPES
from .identity import identifies, is_identifying_name
from .matlab import MOST_PACKED, values, variables
from .sizes import check_size

__all__ = ["npy_header", "read_idx", "read_mat", "read_npy", "read_npz", "read_safetensors", "read_sparse"]

Stream = io.BufferedIOBase | IO[bytes]

DATA_KEYS = ("x", "X", "data", "images")
MOST_AXES = 32
NAME_KEYS = {"names", "columns", "column_names", "features", "feature_names", "var_names", "genes", "gene_names"}
LABEL_KEYS = ("y", "Y", "labels", "target")


def _damaged(where: object, why: object) -> DataError:
    """Return the error of a damaged file."""
    return DataError(f"{where} is damaged ({why})", "Write or download it again.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress NumPy's warnings about headers written by Python 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def npy_header(stream: Stream, where: str, *, fits: bool = True) -> tuple[np.dtype, tuple[int, ...], int]:
    """Return type, shape and total size in bytes that a .npy header declares.

    Args:
        stream: at its beginning.
        where: the name of the file.
        fits: refuse more bytes than there is memory for.

    Raises:
        DataError: the header is damaged, or declares objects, or too many bytes.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with _quiet():
            shape, _, dtype = read(stream)
    except Exception as error:  # the header is parsed as a Python literal, which raises almost anything
        raise _damaged(where, error or type(error).__name__) from error
    if dtype.hasobject:
        check_dtype(dtype, where)
    if min(shape, default=0) < 0 or len(shape) > MOST_AXES:
        raise _damaged(where, f"shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if fits:
        check_size(size, where)
    return dtype, shape, size + stream.tell()


def read_npy(path: Path) -> Raw:
    """Read a .npy file; object arrays are refused and never unpickled.

    Raises:
        DataError: the file is damaged, or does not hold numbers.
    """
    with path.open("rb") as stream:
        _, shape, size = npy_header(stream, str(path))
    if path.stat().st_size < size:
        raise _damaged(path, f"truncated: shape {shape} needs {size:,} bytes, got {path.stat().st_size:,}")
    try:
        with _quiet():
            return Raw(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _choose(
    names: list[str], key: str | None, wanted: str | None, where: str, texts: Collection[str] = ()
) -> tuple[str, str | None]:
    """Return the names of the data and of the labels among several arrays, some of which are texts beside others.

    Raises:
        DataError: there is no array of that name, or several could be the data.
    """
    if key is not None and key not in names:
        raise DataError(f"{where} has no array {key!r}", f"It has {', '.join(names)}.")
    labels = wanted if wanted is not None else next((n for n in LABEL_KEYS if n in names and n != key), None)
    if labels not in names:
        labels = None
    if key is None:
        others = [n for n in names if n != labels]
        others = [n for n in others if n not in texts] or others
        key = others[0] if len(others) == 1 else next((n for n in DATA_KEYS if n in others), None)
    if key is None:
        raise DataError(
            f"{where} holds {len(names)} arrays ({', '.join(names[:8])}), and it is not clear which are the data",
            f"Name it: {where}:{names[0]}" if names else "Save one array of numbers.",
        )
    return key, labels


def _paired(x: np.ndarray, labels: np.ndarray | None, label: str | None, wanted: str | None, names: list[str]) -> Raw:
    """Return x with its labels; an unnamed array of labels is ignored unless it has one entry per row."""
    raw = Raw(x, labels, choices=tuple(names))
    if labels is not None and wanted is None:
        if x.ndim and labels.size == len(x):
            raw.notes.append(f"labels taken from the array {label!r}")
        else:
            raw.labels = None
            raw.notes.append(f"the array {label!r} of shape {labels.shape} was not taken as labels")
    return raw


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """Return an array of an archive.

    Raises:
        DataError: it is damaged, or does not hold numbers.
    """
    where, member = f"{path}:{name}", archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where} has a compression that NumPy does not use", "Save it with np.savez.")
    with archive.open(member) as stream:
        _, shape, size = npy_header(stream, where)
    if size != member.file_size:
        raise _damaged(where, f"shape {shape} does not match its {member.file_size:,} bytes")
    _check_packed(size, min(member.compress_size, path.stat().st_size), where)
    with archive.open(member) as stream:
        with _quiet():
            x = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read(1)  # past the end, so that the checksum is verified
        return x


def read_npz(path: Path, key: str | None, wanted: str | None) -> Raw:
    """Read an .npz archive: the array `key`, or the only one, or the one named x, X, data or images.

    Raises:
        DataError: the archive is damaged, or has no such array.
    """

    try:
        with zipfile.ZipFile(path) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
            if not names:
                raise DataError(f"{path} is a zip archive without arrays", "Save it with np.savez(FILE, x=x).")
            headers = {n: _declared(archive, n, path) for n in names}
            texts = {n for n, (dtype, _) in headers.items() if dtype.kind in "US"} - {key, wanted, *LABEL_KEYS}
            key, label = _choose(names, key, wanted, str(path), texts)
            x = _member(archive, key, path)
            labels = None if label is None else _member(archive, label, path)
            beside = {n: headers[n] for n in names if n not in (key, label)}
            columns, identity = _beside(archive, path, beside, x.shape)
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes the standard library raise almost anything
        raise _damaged(path, error or type(error).__name__) from error
    raw = _paired(x, labels, label, wanted, names)
    raw.names, raw.identity = columns, identity
    return raw


def _declared(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """Return the type and the shape of an array of an archive; no array where they cannot be read.

    It is refused when it is read, if it is wanted.
    """
    try:
        with archive.open(f"{name}.npy") as stream:
            dtype, shape, _ = npy_header(stream, f"{path}:{name}")
            return dtype, shape
    except Exception:  # a damaged archive makes the standard library raise almost anything
        return np.dtype("V1"), ()


def _beside(
    archive: zipfile.ZipFile, path: Path, headers: dict[str, tuple[np.dtype, tuple[int, ...]]], shape: tuple[int, ...]
) -> tuple[tuple[str, ...] | None, dict[str, np.ndarray]]:
    """Return names of the columns of a table [N, D], and arrays [N] that identify its rows, from other arrays.

    Args:
        archive, path: with these arrays.
        headers: type and shape of each of the others.
        shape: of the data.
    """
    columns, identity = None, {}
    for name, (dtype, own) in headers.items():
        is_text = dtype.kind in "US"
        if len(shape) == 2 and is_text and own == shape[1:] and name.lower() in NAME_KEYS:
            columns = tuple(str(v) for v in _member(archive, name, path).astype(str))
        elif own == shape[:1] and (is_text or (dtype.kind in "iu" and is_identifying_name(name))):
            values = _member(archive, name, path)
            identity |= {name: values.astype(str) if is_text else values} if identifies(name, values, True) else {}
    return columns, identity


def read_sparse(path: Path) -> Raw:
    """Read a sparse matrix that scipy.sparse.save_npz wrote, of any format, as a dense array.

    Raises:
        DataError: the file is damaged, or the dense array is too large.
    """
    from scipy import sparse  # imported for sparse matrices only

    try:
        with zipfile.ZipFile(path) as archive:  # each member is checked against its size before it is read
            held = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}
            arrays = {name: _member(archive, name, path) for name in held}
        shape, dtype = tuple(int(n) for n in arrays["shape"]), arrays["data"].dtype
        check_dtype(dtype, str(path))
        check_size(math.prod(shape) * dtype.itemsize, str(path))
        matrix: Any = sparse.load_npz(path)
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)  # else a damaged index would be written outside the array
        return Raw(np.asarray(matrix.toarray()), notes=[f"a sparse matrix ({matrix.format}) read as a dense array"])
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes the libraries raise almost anything
        raise _damaged(path, error or type(error).__name__) from error


def read_safetensors(path: Path, key: str | None, wanted: str | None) -> Raw:
    """Read a .safetensors file: one of its tensors, chosen as those of an .npz archive.

    Raises:
        DataError: the file is damaged, or has no such tensor.
    """
    from safetensors import safe_open  # imported for such files only

    try:
        with safe_open(str(path), framework="numpy") as file:
            key, label = _choose(sorted(file.keys()), key, wanted, str(path))
            check_size(min(8 * math.prod(file.get_slice(key).get_shape()), path.stat().st_size), str(path))
            x = file.get_tensor(key)
            labels = None if label is None else file.get_tensor(label)
            names = sorted(file.keys())
    except DataError:
        raise
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path}:{key} has a type that NumPy lacks", "Save it in float32: x.float().") from error
    except Exception as error:  # the library has errors of its own
        raise _damaged(path, error) from error
    return _paired(x, labels, label, wanted, names)


def _check_packed(size: int, packed: int, where: str) -> None:
    """Refuse a size that exceeds any compression by deflate, before it is allocated.

    Raises:
        DataError: the size is impossible.
    """
    if size > MOST_PACKED * (packed + 1):
        raise _damaged(where, f"{packed:,} compressed bytes cannot hold {size:,}")


def _read_at_most(stream: Stream, size: int) -> bytearray:
    """Return at most `size` bytes; memory is allocated as they are read, and not as a header claims."""
    content = bytearray()  # torch needs writable memory
    while len(content) < size and (part := stream.read(min(size - len(content), 2**24))):
        content += part
    return content


def _read_idx(stream: Stream, where: str, packed: int) -> np.ndarray:
    """Return the array of an IDX stream.

    Args:
        stream: uncompressed.
        where: name of the file.
        packed: size of the file in bytes.

    Raises:
        DataError: the stream is not IDX data, or damaged.
    """
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\x00\x00" or magic[2] not in IDX_TYPES or not 1 <= magic[3] <= 4:
        raise DataError(
            f"{where} is not IDX data: it begins with {magic.hex(' ')}",
            "An IDX file begins with 00 00, a type and a number of axes; unpack other formats first.",
        )
    axes = stream.read(4 * magic[3])
    if len(axes) < 4 * magic[3]:
        raise _damaged(where, "truncated in its header")
    dtype, shape = np.dtype(IDX_TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", axes)
    size = math.prod(shape) * dtype.itemsize
    check_size(size, where)
    _check_packed(size, packed, where)
    content = _read_at_most(stream, size)
    if len(content) < size or stream.read(1):
        amount = "fewer" if len(content) < size else "more"
        raise _damaged(where, f"shape {shape} needs {size:,} bytes, and there are {amount}")
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _labels_beside(path: Path) -> Path | None:
    """Return the label file in the same folder that belongs to an IDX image file, None if there is none."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if name == path.name or "images" not in path.name:
        return None
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    return next((path.with_name(n) for n in (name, other) if path.with_name(n).is_file()), None)


def _open_idx(path: Path) -> np.ndarray:
    """Return the array of an IDX file, plain or compressed.

    Raises:
        DataError: it is not IDX data, or damaged.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            return _read_idx(stream, str(path), path.stat().st_size)
    except EOFError as error:
        raise _damaged(path, "truncated: the compressed data end early") from error
    except (gzip.BadGzipFile, zlib.error, OSError) as error:
        raise _damaged(path, error) from error


def read_idx(path: Path, pair: bool = True) -> Raw:
    """Read IDX data, plain or gzip-compressed (LeCun, Cortes and Burges, 1998), with the labels in the same folder.

    Raises:
        DataError: a file is damaged, or there is not one label per row.
    """
    raw = Raw(_open_idx(path))
    labels = _labels_beside(path) if pair else None
    if labels is not None:
        raw.labels = _open_idx(labels)
        raw.notes.append(f"labels paired with {labels.name}")
        raw.files.append(str(labels.resolve()))
        if len(raw.labels) != len(raw.x):
            raise DataError(
                f"{path} has {len(raw.x):,} rows, and {labels.name} in its folder {len(raw.labels):,} labels",
                "Name the right labels with --labels, or move these away.",
            )
    return raw


def read_mat(path: Path, key: str | None, wanted: str | None) -> Raw:
    """Read a MATLAB v5 file: numeric arrays only, full or sparse, chosen as those of an .npz archive.

    Raises:
        DataError: the file is damaged, or has no such array.
    """
    try:
        headers = {v.name: v for v in variables(path)}
    except (ValueError, zlib.error, OSError) as error:
        raise _damaged(path, error) from error
    if not headers:
        raise DataError(f"{path} holds no array of numbers", "Save a full numeric matrix: save(FILE, 'x', '-v7').")
    key, label = _choose(list(headers), key, wanted, str(path))
    arrays = {}
    for name in (key, label):
        if name is not None:
            is_sparse = headers[name].kind == "sparse"
            size = max(headers[name].stored, math.prod(headers[name].shape))
            check_size(size, str(path))
            if not is_sparse:
                _check_packed(size, path.stat().st_size, f"{path}:{name}")
            try:
                arrays[name] = values(path, headers[name])
            except (ValueError, zlib.error, OSError) as error:
                raise _damaged(f"{path}:{name}", error) from error
    raw = _paired(arrays[key], None if label is None else arrays[label], label, wanted, list(headers))
    raw.loose = headers[key].kind in ("double", "single", "sparse")
    if headers[key].kind == "sparse":
        raw.notes.append("a sparse matrix read as a dense array")
    return raw
