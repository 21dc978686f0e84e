"""MATLAB v5 files: numeric arrays, full or sparse, read here because other readers crash on damaged files.

A file is 128 bytes of header and then elements: a type, a number of bytes, and these bytes. A variable is an element of
type matrix, plain or inside a compressed one; its parts are elements too. Source: MathWorks, "MAT-File Format", 2019.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["MOST_PACKED", "Variable", "values", "variables"]

MOST_PACKED = 1032  # largest number of bytes that one byte of deflate can encode
HEADER, MATRIX, COMPRESSED = 128, 14, 15
BEGINNING = 2**16  # bytes at the start of a variable that contain its name and shape
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
KINDS = {
    5: "sparse",
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
}
KINDS |= {14: "int64", 15: "uint64"}
COMPLEX, LOGICAL = 0x08, 0x02


@dataclass(frozen=True)
class Variable:
    """The header of a numeric array.

    Attributes:
        name: in MATLAB.
        kind: "double", "single", an integer type, "logical" or "sparse".
        shape: as declared.
        complex: True if it has an imaginary part.
        order: of bytes, "<" or ">".
        at, size: offset and size of its element in the file, without the tag.
        packed: True if the element is compressed.
        begins: offset of its numbers in the variable.
        stored: bytes of its numbers, or of the dense array of a sparse matrix.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    complex: bool
    order: str
    at: int
    size: int
    packed: bool
    begins: int
    stored: int


def _part(body: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Return type, offset and size of the element at an offset, and the offset of the next.

    Raises:
        ValueError: it is damaged.
    """
    if len(body) < at + 8:
        raise ValueError("truncated")
    first, size = struct.unpack_from(f"{order}II", body, at)
    if first >> 16:  # a short element: up to four bytes within the tag
        if first >> 16 > 4:
            raise ValueError("a short element of more than four bytes")
        return first & 0xFFFF, at + 4, first >> 16, at + 8
    return first, at + 8, size, at + 8 + -(-size // 8) * 8


def _numbers(body: bytes, at: int, order: str, kind: str, most: int) -> tuple[tuple[int, ...], int]:
    """Return the whole numbers of an element in the header of a variable, and the offset of the next.

    Raises:
        ValueError: it is damaged.
    """
    number, start, size, after = _part(body, at, order)
    width = int(kind[1])
    if TYPES.get(number) != kind or size % width or size > most or len(body) < start + size:
        raise ValueError("its beginning is not that of a variable")
    return tuple(int(v) for v in np.frombuffer(body, f"{order}{kind}", size // width, start)), after


def _described(body: bytes, order: str, at: int, size: int, packed: bool) -> Variable | None:
    """Return the header of a variable, None if it is not an array of numbers.

    Raises:
        ValueError: it is damaged.
    """
    flags, after = _numbers(body, 0, order, "u4", 8)
    if not flags or flags[0] & 0xFF not in KINDS:
        return None
    shape, after = _numbers(body, after, order, "i4", 4 * 32)
    letters, after = _numbers(body, after, order, "i1", 2**12)
    if min(shape, default=-1) < 0:
        raise ValueError(f"shape {shape}")
    bits = flags[0] >> 8
    stored = KINDS[flags[0] & 0xFF]
    kind = "logical" if bits & LOGICAL and stored != "sparse" else stored
    name = bytes(v & 0xFF for v in letters).decode("latin-1")
    stored = 8 * math.prod(shape) if kind == "sparse" else _part(body, after, order)[2]
    return Variable(name, kind, shape, bool(bits & COMPLEX), order, at, size, packed, after, stored)


def variables(path: Path) -> Iterator[Variable]:
    """Yield the headers of the numeric arrays of a file, in order.

    Raises:
        ValueError, zlib.error, OSError: it is damaged.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(HEADER)[126:])
        if order is None:
            raise ValueError("its header does not state the byte order")
        at = HEADER
        while at + 8 <= total:
            file.seek(at)
            kind, size = struct.unpack(f"{order}II", file.read(8))
            at += 8
            if size > total - at:
                raise ValueError(f"truncated: an element of {size:,} bytes, of which there are {total - at:,}")
            if kind == MATRIX:
                variable = _described(file.read(min(size, BEGINNING)), order, at, size, False)
            elif kind == COMPRESSED:
                body = zlib.decompressobj().decompress(file.read(min(size, BEGINNING)), BEGINNING)
                is_matrix = _part(body, 0, order)[0] == MATRIX
                variable = _described(body[8:], order, at, size, True) if is_matrix else None
            else:
                raise ValueError(f"an element of type {kind} between the variables")
            if variable is not None and variable.name:
                yield variable
            at += size


def values(path: Path, of: Variable) -> np.ndarray:
    """Return the numbers of a variable, of the type in which they are stored.

    Raises:
        ValueError, zlib.error, OSError: it is damaged.
    """
    with path.open("rb") as file:
        file.seek(of.at)
        body = file.read(of.size)
    if of.packed:
        body = _unpacked(body, of.order)
    if of.kind == "sparse":
        return _dense(body, of)
    kind, start, size, _ = _part(body, of.begins, of.order)
    needed = math.prod(of.shape) * (int(TYPES[kind][1]) if kind in TYPES else 0)
    if kind not in TYPES or size != needed or len(body) < start + size:
        raise ValueError(f"shape {of.shape} does not match {size:,} bytes of type {kind}")
    # a bytearray, because torch needs writable memory
    x = np.frombuffer(bytearray(memoryview(body)[start : start + size]), f"{of.order}{TYPES[kind]}")
    x = x.reshape(of.shape, order="F")
    return x.astype(np.complex128) if of.complex else x


def _dense(body: bytes, of: Variable) -> np.ndarray:
    """Return a sparse matrix as a dense one: rows of its entries, where each column begins among them, and the entries.

    Raises:
        ValueError: these do not agree.
    """
    parts, at = [], of.begins
    for _ in range(3):
        kind, start, size, at = _part(body, at, of.order)
        if kind not in TYPES or size % int(TYPES[kind][1]) or len(body) < start + size:
            raise ValueError(f"{size:,} bytes of type {kind} in a sparse matrix")
        parts.append(np.frombuffer(body, f"{of.order}{TYPES[kind]}", size // int(TYPES[kind][1]), start))
    rows, begins, entries = parts
    if {rows.dtype.kind, begins.dtype.kind} - {"i", "u"}:
        raise ValueError("a sparse matrix whose indices are no whole numbers")
    if of.complex:
        entries = entries.astype(np.complex128)
    if len(of.shape) != 2 or len(begins) != of.shape[1] + 1 or begins[0] != 0 or (np.diff(begins) < 0).any():
        raise ValueError(f"a sparse matrix of shape {of.shape} whose columns do not add up")
    count = int(begins[-1])  # room for more entries may have been left
    if count > min(len(rows), len(entries)) or (
        count and not 0 <= rows[:count].min() <= rows[:count].max() < of.shape[0]
    ):
        raise ValueError(f"a sparse matrix of shape {of.shape} with entries outside")
    x = np.zeros(of.shape, np.complex128 if of.complex else np.float64)
    x[rows[:count], np.repeat(np.arange(of.shape[1]), np.diff(begins))] = entries[:count]
    return x


def _unpacked(body: bytes, order: str) -> bytes:
    """Return the variable in a compressed element, after verifying its checksum.

    Raises:
        ValueError, zlib.error: it is damaged.
    """
    unpacker = zlib.decompressobj()
    first = unpacker.decompress(body, 8)
    size = _part(first, 0, order)[2]
    if size > MOST_PACKED * (len(body) + 1):
        raise ValueError(f"{len(body):,} compressed bytes cannot hold {size:,}")
    content = unpacker.decompress(unpacker.unconsumed_tail, max(size, 1))
    if len(content) != size or unpacker.decompress(unpacker.unconsumed_tail, 1) or not unpacker.eof:
        raise ValueError(f"its {len(body):,} compressed bytes do not hold the {size:,} that they declare")
    return content
