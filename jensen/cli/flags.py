"""Flags that several verbs share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..core.errors import UsageError

__all__ = ["Data", "Device", "Force", "Json", "Labels", "Number", "Out", "Quiet", "Run", "Seed", "parse_size", "switch"]


def switch(text: str) -> Parameter:
    """A flag that is there or not."""
    return Parameter(help=text, negative="", show_default=False)


Run = Annotated[str, Parameter(help="the folder that jensen train wrote")]
Data = Annotated[str | None, Parameter(help="other data than the run's own test rows: a path, digits or sprites")]
Labels = Annotated[str | None, Parameter(name="--labels", help="labels of DATA: a file, or a column or key of it")]
Out = Annotated[
    str | None,
    Parameter(
        name="--out",
        help="the file to write: .npy, .npz, .csv or .png, as its suffix says; - is CSV on stdout",
        allow_leading_hyphen=True,  # for the hyphen itself
    ),
]
Number = Annotated[int, Parameter(name="-n", help="how many")]
Seed = Annotated[int, Parameter(name="--seed", help="of all randomness")]
Device = Annotated[str, Parameter(name="--device", help="auto, cpu, cuda, ...")]
Force = Annotated[bool, switch("replace what exists")]
Json = Annotated[bool, switch("print one JSON object")]
Quiet = Annotated[bool, switch("no progress and no notes")]


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "H,W" or "H".

    Raises:
        UsageError: these are not one or two whole numbers.
    """
    try:
        sizes = [int(part) for part in text.replace("x", ",").split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise UsageError(f"--size {text} is not a height and a width", "Give both: --size 28,28.")
    return sizes[0], sizes[-1]
