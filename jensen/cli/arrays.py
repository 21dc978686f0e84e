"""Arrays to .npy and .npz files: whole, or some rows after another."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from ..data.column_statistics import pieces
from ..data.file_rows import Array, FileRows

__all__ = ["ArrayPieces", "member_of", "write_members", "write_rows"]


def member_of(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Return the stream of an array in an .npz, to be closed."""
    return archive.open(f"{name}.npy", "w", force_zip64=True)


def write_members(
    archive: zipfile.ZipFile, arrays: Mapping[str, Array | Iterator[np.ndarray]], n: int | None = None
) -> None:
    """Write arrays of an .npz; np.savez would take those named as its arguments are, such as "file", for these.

    Args:
        archive: the file.
        arrays: by name; of one that comes in parts, n is the number of rows.
    """
    for name, values in arrays.items():
        with member_of(archive, name) as member:
            if isinstance(values, FileRows):
                write_rows(member, (part for _, part in pieces(values)), len(values))
            elif isinstance(values, Iterator):
                write_rows(member, values, n or 0)
            else:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


def write_rows(stream: IO[bytes], parts: Iterable[np.ndarray], n: int) -> None:
    """Write an array of n rows that come in parts, as `np.save` writes one in C order.

    Raises:
        ValueError: a part is of another type or of rows of another shape than the first.
    """
    first = None
    for part in parts:
        own = (part.dtype, part.shape[1:])
        if first is None:
            first = own
            _write_header(stream, part.dtype, (n, *part.shape[1:]))
        if own != first:
            raise ValueError(f"rows of {own} follow others of {first}")
        stream.write(np.ascontiguousarray(part).data.cast("B") if part.size else b"")


def _write_header(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)  # pyright: ignore[reportArgumentType]


class ArrayPieces:
    """Arrays [N, ...], or [m, N, ...], whose rows come some after another, and wait in temporary files.

    Args:
        folder: of these files.
        scope: in which they exist.
    """

    def __init__(self, folder: Path, scope: ExitStack) -> None:
        self._folder, self._scope = folder, scope
        self._files: dict[str, list[IO[bytes]]] = {}
        self._like: dict[str, np.ndarray] = {}
        self._rows: dict[str, int] = {}
        self._are_versions: dict[str, bool] = {}

    def add(self, name: str, values: np.ndarray, versions: bool = False) -> None:
        """Take further rows of an array.

        Args:
            name: of the array.
            values: [n, ...], or [m, n, ...] of several versions.
            versions: whether these are several.
        """
        parts = values if versions else values[None]
        if name not in self._files:
            self._files[name] = [self._waiting() for _ in parts]
            self._like[name], self._rows[name], self._are_versions[name] = parts[:0, :0], 0, versions
        self._rows[name] += parts.shape[1]
        for file, part in zip(self._files[name], parts, strict=True):
            file.write(np.ascontiguousarray(part).data.cast("B") if part.size else b"")

    def write(self, stream: IO[bytes], is_archive: bool) -> None:
        """Write an .npz of all arrays, in the order in which they were named; or the first one as an .npy."""
        if not is_archive:
            self._write(stream, next(iter(self._files)))
            return
        with zipfile.ZipFile(stream, "w") as archive:
            for name in self._files:
                with member_of(archive, name) as member:
                    self._write(member, name)

    def _waiting(self) -> IO[bytes]:
        return self._scope.enter_context(tempfile.TemporaryFile(dir=self._folder))

    def _write(self, stream: IO[bytes], name: str) -> None:
        like, files = self._like[name], self._files[name]
        shape = (self._rows[name], *like.shape[2:])
        _write_header(stream, like.dtype, (len(files), *shape) if self._are_versions[name] else shape)
        for file in files:
            file.seek(0)
            shutil.copyfileobj(file, stream)
