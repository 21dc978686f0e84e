"""Seals: a digest that every JSON record and every line of metrics carries, so that no changed byte goes unnoticed.

A sealed record has two fields that one changed byte cannot remove together: `format`, of 2 or more, and `sha256`, over
the canonical form of everything else. A record with either must have both. Records of earlier versions have neither,
and are taken as they are. The layout of a file is free: spaces and the order of fields are not covered.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

__all__ = ["DIGEST", "RECORD_FORMAT", "BrokenSeal", "numpy_number", "opened_seal", "seal_of", "sealed"]

DIGEST = "sha256"
RECORD_FORMAT = 2  # of records without a format of their own; 1 was without a digest


class BrokenSeal(ValueError):
    """A record differs from what was written, or lacks its digest."""


def numpy_number(value: Any) -> Any:
    """Return a NumPy number, such as a seed out of an array, as Python's; to be used as `enc_hook`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def seal_of(record: dict[str, Any], before: str = "") -> str:
    """Return the SHA-256 of plain values: of their JSON without spaces, with sorted keys.

    Args:
        record: as a reader gets it; its field `sha256` is left out.
        before: the digest of the record before it, in a chain of them.

    Raises:
        BrokenSeal: they are nested too deeply.
    """
    content = {k: v for k, v in record.items() if k != DIGEST}
    try:
        canonical = msgspec.json.encode(content, order="sorted")
    except RecursionError as error:
        raise BrokenSeal("it is nested too deeply") from error
    return hashlib.sha256(before.encode() + canonical).hexdigest()


def sealed(record: Any, before: str = "") -> dict[str, Any]:
    """Return a record as it is written: with its format first and its digest last; an earlier digest is replaced.

    Args:
        record: JSON-serialisable, by name; without a `format`, it is given that of records.
        before: the digest of the record before it, in a chain of them.

    Example:
        >>> record = sealed({"n": 3})
        >>> list(record), opened_seal(record, demanded=True)
        (['format', 'n', 'sha256'], {'format': 2, 'n': 3})
    """
    plain = msgspec.json.decode(msgspec.json.encode(record, enc_hook=numpy_number))  # as it will be read
    content = {"format": RECORD_FORMAT, **{k: v for k, v in plain.items() if k != DIGEST}}
    return {**content, DIGEST: seal_of(content, before)}


def opened_seal(record: dict[str, Any], *, demanded: bool, before: str = "") -> dict[str, Any]:
    """Return a record without its digest, which is verified.

    Args:
        record: as read.
        demanded: whether it must have a digest; one that is there is verified in any case.
        before: the digest of the record before it, in a chain of them.

    Raises:
        BrokenSeal: it has changed, or lacks a digest that is demanded.
    """
    if (demanded or DIGEST in record) and record.get(DIGEST) != seal_of(record, before):
        raise BrokenSeal("it has changed since it was written")
    return {k: v for k, v in record.items() if k != DIGEST}
