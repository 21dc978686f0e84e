"""Files of text that are no tables: letters, documents, source code, settings and logs, given by mistake."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from pathlib import Path

from ..core.errors import DataError

__all__ = ["document_error", "document_kind"]

HEAD = 2**16  # bytes by which a file is told
SAME = 0.6  # of the lines have as many separators as each other: then it is a table, though one line may be wrong
WORDS, LONG = 0.6, 4  # of what stands between spaces are words, and so many of them are in a line: sentences
MANY, SOME = 0.4, 0.1  # of the lines have the form of a log or of settings; of a document or a program
_MARKDOWN, _CODE, _SETTINGS = "a Markdown document", "source code", "a file of settings"
_SUFFIXES = {
    **dict.fromkeys((".md", ".markdown"), _MARKDOWN),
    **dict.fromkeys((".rst", ".adoc"), "a document"),
    ".tex": "a LaTeX document",
    **dict.fromkeys(
        (".py", ".r", ".jl", ".c", ".h", ".cpp", ".js", ".ts", ".java", ".go", ".rs", ".sh", ".sql"), _CODE
    ),
    **dict.fromkeys((".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf"), _SETTINGS),
    ".log": "a log",
    ".eml": "a letter",
}
_LINES = (  # a form of lines, and the share of them from which a text is of this kind
    (r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*[a-z]{3}", MANY, "a log"),
    (r"(#{1,6} \S|```|[-*] \S.*\]\()", SOME, _MARKDOWN),
    (
        r"\s*(import \w|from [\w.]+ import |(async )?def \w+\(|class \w+.*[:{]$|#include |return\b|(public|private) )",
        SOME,
        _CODE,
    ),
    (r"(\[+[\w. \"-]+\]+$|\s*[\w.\"-]+\s*=\s*\S|\s*(- )?[\w.\"-]+:(\s|$))", MANY, _SETTINGS),
)
_REMEDY = "Give a file with one row per datum: CSV or TSV, Parquet, Feather, Excel, or an array (.npy)."


def document_kind(text: str, suffix: str = "") -> str | None:
    """Return the kind of a text that is no table, in words; None where it may be one.

    Args:
        text: its beginning.
        suffix: of its name.

    Example:
        >>> document_kind("This is a letter.\\nIt is of no table at all, with words.\\nIt goes on.")
        'prose'
        >>> document_kind("a,b\\n1,2\\n3") is None
        True
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or _is_divided(lines):
        return None
    if suffix.lower() in _SUFFIXES:
        return _SUFFIXES[suffix.lower()]
    for pattern, share, kind in _LINES:
        if sum(re.match(pattern, line) is not None for line in lines) >= max(share * len(lines), 2):
            return kind
    pieces = text.split()
    words = sum(re.fullmatch(r"[\"'(]?[^\W\d_]+[\"').,;:!?]*", piece) is not None for piece in pieces)
    is_prose = words >= WORDS * len(pieces) and len(pieces) >= LONG * len(lines)
    return "prose" if is_prose and re.search(r"\w[.!?](\s|$)", text) else None


def _is_divided(lines: list[str]) -> bool:
    """Return whether most lines have equally many of a separator."""
    for separator in "\t;,|":
        counts = Counter(line.count(separator) for line in lines)
        count, often = counts.most_common(1)[0]
        if count and often >= SAME * len(lines):
            return True
    return False


def document_error(path: Path, error: DataError) -> DataError:
    """Return the error of a file that cannot be read as a table: a plain one where it is a document, else the same.

    Args:
        path: of a file of text, plain or gzip-compressed.
        error: of its reader.
    """
    kind = document_kind(_beginning(path), path.suffix)
    if kind is None:
        return error
    return DataError(f"{path} looks like {kind}, and is no table of data ({error.what})", _REMEDY)


def _beginning(path: Path) -> str:
    """Return the beginning of a file of text; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else path.open("rb") as file:
            return file.read(HEAD).decode(errors="replace")
    except (EOFError, zlib.error, OSError):
        return ""
