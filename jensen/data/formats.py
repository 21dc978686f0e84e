"""File formats, recognised by their first bytes and checked against the name."""

from __future__ import annotations

import re
from pathlib import Path

from ..core.errors import DataError

__all__ = ["IDX_TYPES", "file_format"]

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_SIGNATURES = (
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"PK\x05\x06", "npz"),
    (b"\x1f\x8b", "gz"),
    (b"MATLAB 5.0 MAT-file", "mat"),
    (b"MATLAB 7.3 MAT-file", "hdf5"),
    (b"\x89HDF\r\n", "hdf5"),
    (b"PAR1", "parquet"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
)

_NAMES = {
    "npy": "a NumPy array",
    "npz": "a zip archive",
    "gz": "gzip-compressed data",
    "idx": "IDX data",
    "mat": "a MATLAB v5 file",
    "hdf5": "an HDF5 file",
    "parquet": "a Parquet table",
    "image": "an image",
    "text": "text",
    "pickle": "a Python pickle",
    "unknown": "bytes of an unknown format",
}

_SUFFIXES = {".npy": "npy", ".npz": "npz", ".gz": "gz", ".idx": "idx", ".mat": "mat"}
_TEXT = (".csv", ".tsv", ".tab", ".txt", ".data")

_UNREADABLE = {
    "hdf5": "Save its matrix as .npy or .npz; from MATLAB: save(FILE, 'x', '-v7').",
    "parquet": "Save it as .csv or .npy.",
    "image": "One image is one datum: give the folder that holds all of them.",
    "pickle": "Pickles can run code and are never opened: save the array with np.save.",
    "unknown": "Give .npy, .npz, IDX, .mat (v5), CSV or a folder of images.",
}


def _sniff(head: bytes) -> str:
    """Return the format that the first bytes of a file indicate."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature) and (name != "image" or signature != b"BM" or b"\x00" in head):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if len(head) >= 4 and head[:2] == b"\x00\x00" and head[2] in IDX_TYPES and 1 <= head[3] <= 4:
        return "idx"
    if len(head) >= 2 and head[0] == 0x80 and head[1] in (2, 3, 4, 5):
        return "pickle"
    return "unknown" if b"\x00" in head else "text"


def _expected(path: Path) -> str | None:
    """Return the format that the name of a file indicates, None if any."""
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        return "text"
    if re.search(r"idx\d(-u?byte)?$", path.name.lower()):
        return "idx"
    return _SUFFIXES.get(suffix)


def file_format(path: Path) -> str:
    """Return the format of a file ("npy", "npz", "gz", "idx", "mat", "text") by its content, which its name must match.

    Raises:
        DataError: the file is missing, empty or unreadable, or its content does not match its name.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", "Check the path; `digits` and `sprites` are built in.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror})", "Check its permissions.") from error
    if not head:
        raise DataError(f"{path} is an empty file", "Write or download it again.")
    content, expected = _sniff(head), _expected(path)
    if expected == "idx" and content != "idx":
        raise DataError(
            f"{path} is named like IDX data, but begins with {head[:4].hex(' ')} ({_NAMES[content]})",
            "An IDX file begins with 00 00, a type and a number of axes; download it again.",
        )
    if content in _UNREADABLE and not (expected == "mat" and content == "hdf5") and expected is not None:
        suffix = path.suffix or path.name
        raise DataError(f"{path} is named {suffix}, but holds {_NAMES[content]}", _UNREADABLE[content])
    if content in _UNREADABLE:
        raise DataError(f"{path} is {_NAMES[content]}, which is not read", _UNREADABLE[content])
    if expected is not None and content != expected:
        raise DataError(
            f"{path} is named {path.suffix}, but holds {_NAMES[content]}",
            "Rename it, or give the right file.",
        )
    return content
