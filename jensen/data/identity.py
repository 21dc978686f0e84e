"""Columns that say which row it is, and are no measurement: found, left out of the data, and kept beside them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from .fields import category, is_missing, is_number, is_whole
from .headers import numbers_rows

__all__ = [
    "are_names",
    "identifies",
    "is_identifier",
    "is_identifying_name",
    "kept_as",
    "left_out",
    "suspected",
    "taken",
]

FEW = 3  # rows, below which texts are not known to be all different
MANY = 10  # rows, from which numbers that count rows do not do so by chance
NAMING = 0.8  # of the texts look like the names of persons: then they are
SAMPLE = 200  # rows that decide which columns are looked at as a whole
_THINGS = """account|barcode|case|cell|client|customer|employee|entry|image|item|member|observation|order|participant
|passenger|patient|person|product|record|row|sample|session|spot|student|subject|transaction|user""".replace("\n", "")
_PERSONS = "client|customer|employee|member|participant|passenger|patient|person|student|subject|user|author|owner"
_WORDS = r"ids?|idx|index|uu[_-]?id|gu[_-]?id|barcodes?|accession|row[ _-]?(?:name|number|num|no|nr)s?|rn"
_NAME = re.compile(
    rf"(?:.*[\W_])?(?:{_WORDS})(?:[\W_]?\d*)|(?:{_THINGS})s?[ _.-]?(?:id|no|nr|number|name)s?|row|id[\W_].*"
)
_NAMING = re.compile(rf"(?:(?:full|first|last|middle|sur|user|nick)[ _.-]?)?names?|(?:{_PERSONS})s?")
_CAMEL = re.compile(r".*[a-z](?:Id|ID|Index|Uuid|UUID)")


def is_identifying_name(name: str) -> bool:
    """Return whether a column of this name identifies rows.

    Example:
        >>> [is_identifying_name(n) for n in ("ID", "patient_id", "PassengerId", "humid", "covid", "age")]
        [True, True, True, False, False, False]
    """
    return _NAME.fullmatch(name.strip().lower()) is not None or _CAMEL.fullmatch(name.strip()) is not None


def are_names(column: str, texts: Sequence[str]) -> bool:
    """Return whether the different texts of a column name persons or things, rather than kinds of them.

    The column is called so, or four of five texts are two words or more, each with a capital and without digits.

    Example:
        >>> are_names("person", ["Anna Smith", "Ben Jones"]), are_names("x", ["Khan, Dora", "E. Roy"])
        (True, True)
        >>> are_names("city", ["Rome", "New York", "Oslo"]), are_names("job", ["machine operator", "clerk"])
        (False, False)
    """
    if is_identifying_name(column) or _NAMING.fullmatch(column.strip().lower()) is not None:
        return True
    words = [text.split() for text in texts]
    titled = sum(len(own) > 1 and all(w[0].isupper() and not any(map(str.isdigit, w)) for w in own) for own in words)
    return titled >= NAMING * len(texts) > 0


def is_identifier(name: str | None, values: Sequence[str], few: bool = False) -> bool:
    """Return whether the fields of a column identify its rows.

    They are all different, none is missing, and they are text; or whole numbers that count the rows from 0 or 1, in
    order; or whole numbers of a column whose name says it. A column without a header (None) is no identifier.

    Args:
        name: of the column.
        values: its fields.
        few: whether one row is enough, as of a column that is known not to be data.

    Example:
        >>> is_identifier("code", ["P7", "P9", "P3"]), is_identifier("id", ["7", "9"]), is_identifier("age", ["7", "9"])
        (True, True, False)
    """
    if (
        name is None
        or len(values) < (1 if few else 2)
        or len(set(values)) < len(values)
        or any(map(is_missing, values))
    ):
        return False
    named = is_identifying_name(name)
    if all(map(is_whole, values)):
        return named or (len(values) >= MANY and numbers_rows(values))
    if named:
        return not all(map(is_number, values))
    return len(values) >= (1 if few else FEW) and _is_text(values)


def identifies(name: str, values: np.ndarray, few: bool = False) -> bool:
    """Return whether a column [N] of any type identifies its rows (see `is_identifier`); numbers stay numbers."""
    if values.ndim != 1 or values.dtype.kind not in "iufOUS" or not len(values):
        return False
    if values.dtype.kind in "OUS":
        head = [str(v) for v in values[:SAMPLE].tolist()]
        return is_identifier(name, head, few) and is_identifier(name, [str(v) for v in values.tolist()], few)
    counts = len(values) >= MANY and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    if counts or not is_identifying_name(name) or len(values) < (1 if few else 2):
        return counts
    is_whole_from_0 = bool(np.isfinite(values).all() and (values >= 0).all() and (values == np.floor(values)).all())
    return is_whole_from_0 and len(np.unique(values)) == len(values)


def _is_text(values: Sequence[str]) -> bool:
    """Return whether most fields are text: a number may occur among names (12a and 3e5), no name among numbers."""
    kinds = [category(v) for v in values]
    may_be = set(kinds) <= {"text", "number", "unit", "pair", "hexadecimal"}
    return may_be and sum(kind in ("text", "hexadecimal") for kind in kinds) > len(values) / 2


def kept_as(name: str | None, index: int, used: Mapping[str, object]) -> str:
    """Return the name under which a column is kept: its own, "index" of one without a name, and no name twice."""
    base = name if name and not re.fullmatch(r"Unnamed: \d+(\.\d+)*", name) else "index"
    return base if base not in used else f"{base} ({index + 1})"


def left_out(names: Sequence[str]) -> str:
    """Return the note on identifiers that are left out."""
    listed = ", ".join(names[:8]) + (f", ... {len(names)} in all" if len(names) > 8 else "")
    what, verb = ("column", "identifies rows: it is") if len(names) == 1 else ("columns", "identify rows: they are")
    return (
        f"{what} {listed} {verb} no data, and kept beside the results; to train on such a column, name it in --columns"
    )


def suspected(names: Sequence[str], x: np.ndarray) -> list[str]:
    """Return a note on columns of data [N, D] that may identify rows: some that were not certain enough to be left out.

    Either the name says it, of whole numbers that repeat, such as those of patients with several visits; or these are
    the numbers of N rows, from any first one, in any order.

    Args:
        names: of the columns, or their numbers from 1.
        x: the data.

    Example:
        >>> suspected(["patient_id", "age"], np.array([[7.0, 31.0], [7.0, 32.0], [8.0, 64.0]]))[0][:50]
        'column patient_id may identify rows, and is read a'
    """
    n, width = x.shape
    if width < 2 or n < 2:
        return []
    lowest, highest = x.min(0), x.max(0)
    with np.errstate(invalid="ignore"):  # of infinities, which are refused later
        counted = (highest - lowest == n - 1) if n >= MANY else np.zeros(width, bool)
    counted[counted] = [len(np.unique(x[:, j])) == n and _are_whole(x[:, j]) for j in np.flatnonzero(counted)]
    suspects = [
        name
        for j, name in enumerate(names)
        # genes are called ID1 to ID4
        if counted[j] or (is_identifying_name(name) and not name[-1].isdecimal() and _are_whole(x[:, j]))
    ]
    if not suspects:
        return []
    listed = ", ".join(suspects[:8]) + (f", ... {len(suspects)} in all" if len(suspects) > 8 else "")
    what = ("column", "is read") if len(suspects) == 1 else ("columns", "are read")
    remedy = f"to leave {'it' if len(suspects) == 1 else 'them'} out: --drop {shlex.quote(','.join(suspects))}"
    return [f"{what[0]} {listed} may identify rows, and {what[1]} as data; {remedy}"]


def _are_whole(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return len(known) > 0 and bool((known == np.floor(known)).all())


def taken(identity: Mapping[str, np.ndarray], index: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of these numbers [M] of all columns."""
    return {name: values[index] for name, values in identity.items()}
