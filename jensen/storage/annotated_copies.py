"""Copies of an .h5ad file with codes in `obsm["X_jensen"]`; all else is as it was, and the source is not touched."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

import numpy as np

from ..core.errors import DataError, RunExistsError, UsageError
from ..data.annotated import opened
from .commits import check_free, flush_folder

__all__ = ["check_copy", "write_copy"]

GROUP, NAME = "obsm", "X_jensen"
SLACK = 2**20  # bytes that HDF5 adds at most for a matrix without compression


def check_copy(data: str | None, target: Path, force: bool) -> None:
    """Refuse a copy that cannot be written, before anything is computed.

    Args:
        data: the .h5ad file that is copied, as it was named.
        target: the file to write.
        force: replace what exists.

    Raises:
        UsageError: there is no such source, it is the target, or the folder does not exist.
        RunExistsError: the target exists, and `force` is not given.
    """
    if data is None or Path(data).suffix.lower() != ".h5ad":
        raise UsageError(
            f"{target} would be a copy of DATA that is an .h5ad file, and {data or 'nothing'} is given",
            "Give the file of cells: jensen encode RUN cells.h5ad --out coded.h5ad; or write a .csv.",
        )
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "Give --out the name of a file.")
    if target.exists() and Path(data).exists() and target.samefile(data):
        raise UsageError(f"{target} are the data themselves, which are never written over", "Give --out another name.")
    if target.exists() and not force:
        raise RunExistsError(f"{target} exists", "Give --out another name, or replace it with --force.")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "Make it first, or give --out another name.")


def write_copy(source: Path, target: Path, codes: np.ndarray) -> None:
    """Write an .h5ad file again with codes [N, Z] in its `obsm`, under a temporary name, and rename it.

    Raises:
        UsageError: anndata is not installed, or the disk is full or cannot be written.
        DataError: the source is damaged, or of another number of cells.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        check_free(target.parent, source.stat().st_size + codes.nbytes + SLACK)
        shutil.copyfile(source, temporary)  # of a name that nobody else has
        _add(temporary, codes, source)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        flush_folder(target.parent)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written ({error.strerror or error})", "Free space, or give --out another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # it has its new name, or a read-only disk refuses this too
            temporary.unlink(missing_ok=True)


def _add(path: Path, codes: np.ndarray, source: Path) -> None:
    """Add codes to the `obsm` of a file.

    Raises:
        DataError: it is damaged, or of another number of cells.
    """
    with opened(path, "r+", source) as (file, elements):
        n = len(elements.read_elem(file["obs"]))
        if n != len(codes):
            raise DataError(
                f"{source} has {n:,} cells, and {len(codes):,} rows were encoded",
                "Give --out a .csv, which names the cells.",
            )
        if GROUP not in file:
            elements.write_elem(file, GROUP, {})
        elements.write_elem(file[GROUP], NAME, np.ascontiguousarray(codes))
