"""Tables in Excel workbooks, as they were given."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.wording import plural
from .frames import Cells, Frame, unique_names
from .headers import SAMPLE
from .selection import Header
from .text_frames import is_header
from .typed_frames import cells_of_objects

__all__ = ["read_excel_frame"]


def read_excel_frame(
    path: Path, header: Header = "auto", known: tuple[str, ...] = (), most: int | None = None
) -> tuple[Frame, list[str]]:
    """Return the table in the first sheet of a workbook, with notes.

    Args:
        path: of the file.
        header: "yes" if the first row holds names, "no" if it is data, "auto" to judge it.
        known: names of columns, by which a header is recognised.
        most: rows to read; None for all.

    Raises:
        DataError: openpyxl is not installed, or the workbook is damaged or empty.
    """
    numbers, rows, formats, notes = _sheet(path, most)
    if not rows:
        raise DataError(f"{path} has no rows", "Give one row per datum, in the first sheet.")
    width = max(map(len, rows))
    rows = [[*row, *[None] * (width - len(row))] for row in rows]
    shown = [["" if v is None else str(v).strip() for v in row] for row in rows[: SAMPLE + 1]]
    names = None
    if header == "yes" or (header == "auto" and is_header(shown[0], shown[1:], known)):
        names, rows, numbers = shown[0], rows[1:], numbers[1:]
    if not rows:
        raise DataError(f"{path} has a header and no rows", "Give one row per datum.")
    own, changed = unique_names(names or [""] * width)
    if names is not None and changed:
        notes.append(f"columns of {path} without a name of their own are called {', '.join(changed[:8])}")
    columns = list[Cells]()
    for name, values in zip(own, zip(*rows, strict=True), strict=True):
        cells = [None if isinstance(v, str) and not v.strip() else v for v in values]
        columns.append(cells_of_objects(cells, "text", name, str(path)))
    lines, header_names = np.array(numbers, dtype=np.int64), None if names is None else tuple(names)
    return Frame(own, tuple(columns), "xlsx", str(path), header_names, lines, origin=formats), notes


def _sheet(path: Path, most: int | None = None) -> tuple[list[int], list[list[Any]], tuple[str, ...], list[str]]:
    """Return the numbers of the rows that are not blank, their values, the formats of the last one, and notes.

    Raises:
        DataError: openpyxl is not installed, or the workbook is damaged.
    """
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError as error:
        raise DataError(
            f"{path} is an Excel workbook, and openpyxl, which reads these, is not installed",
            "Install it: pip install 'jensen[excel]'; or save the sheet as CSV UTF-8.",
        ) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet, names = book.worksheets[0], book.sheetnames
        numbers, rows, formats = list[int](), list[list[Any]](), ()
        for number, row in enumerate(sheet.iter_rows(), 1):
            values = [cell.value for cell in row]
            if any(v is not None for v in values):
                numbers.append(number)
                rows.append(values)
                formats = tuple(getattr(cell, "number_format", "General") for cell in row)
            if len(rows) == most:
                break
        book.close()
    except Exception as error:  # a damaged workbook makes the library raise almost anything
        raise DataError(f"{path} is damaged ({error})", "Save it again, or save the sheet as CSV UTF-8.") from error
    others = f"{path} has {plural(len(names), 'sheet')}: the first, {names[0]!r}, is read"
    return numbers, rows, formats, [others] if len(names) > 1 else []
