"""`jensen data`: what a file is taken for, before any model."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from ..core.wording import plural
from ..data import describe, read
from .flags import Json, parse_size
from .output import notifier, print_json, print_lines

__all__ = ["data"]

MOST = 12  # names or labels that are listed


def data(
    source: Annotated[str, Parameter(help="digits, sprites, or a path")],
    /,
    *,
    labels: Annotated[str | None, Parameter(help="a file of labels, or a column or key of the source")] = None,
    size: Annotated[str | None, Parameter(help="H,W: resize the images of a folder")] = None,
    json: Json = False,
) -> None:
    """What a file is taken for: shape, kind, range, oddities, and what to train on it."""
    found = describe(read(source, labels=labels, size=None if size is None else parse_size(size), missing=True))
    found["advice"] = _advice(found)
    if json:
        print_json(found)
        return
    tell = notifier(False)
    for note in found["notes"]:
        tell(note)
    print_lines(_lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    shape, (low, high) = found["shape"], found["range"]
    what = f"images of {shape[0]}x{shape[1]}x{shape[2]} (height x width x channels)" if len(shape) == 3 else ""
    kinds = {
        "binary": "binary values, 0 and 1",
        "integers": f"integers of {found['levels']} levels",
        "real": "real values",
    }
    lines = [
        f"{found['name']}: {found['n']:,} {what or 'rows of ' + plural(shape[0], 'column')}",
        f"{kinds[found['kind']]}, from {low:g} to {high:g}",
    ]
    if found["names"]:
        lines.append(f"columns: {_few(found['names'])}")
    if found["labels"]:
        lines.append(f"labels: {_few([f'{name} ({n:,})' for name, n in found['labels'].items()])}")
    if found["factors"]:
        lines.append(f"factors: {', '.join(f'{name} ({n})' for name, n in found['factors'].items())}")
    if found["constant_columns"]:
        lines.append(
            f"{plural(len(found['constant_columns']), 'constant column')}, such as {found['constant_columns'][0]}"
        )
    if found["duplicates"]:
        lines.append(f"{plural(found['duplicates'], 'row')} occurred before")
    return [*lines, *found["advice"]]


def _few(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (f", ... {len(names)} in all" if len(names) > MOST else "")


def _advice(found: dict[str, Any]) -> list[str]:
    """The likelihood that `auto` means, and flags to think of."""
    likelihood = {
        "binary": "Bernoulli",
        "integers": f"discretised logistic with {found['levels']} levels",
        "real": "Gaussian, after each column is standardised",
    }[found["kind"]]
    words = [f"likelihood of a vae: {likelihood}"]
    if found["kind"] == "integers":
        words.append("for a Bernoulli: --binarize dynamic (or static, threshold); ppca, gmm and the like dequantise")
    if found["kind"] == "real" and found["constant_columns"]:
        words.append("constant columns under a learned scale need --floor 0.01, or drop them")
    net = " --net conv" if len(found["shape"]) == 3 and min(found["shape"][:2]) >= 16 else ""
    recipe = "miwae" if found["missing"] else "vae"
    return [*words, f"next: jensen train {found['name']} --recipe {recipe}{net}"]
