"""`jensen data`: describe a data set, before any model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.commands import command_line
from ..core.errors import RunExistsError, UsageError
from ..core.wording import plural
from ..data import Header
from ..data.selection import Fit
from .column_lines import column_lines
from .flags import Json, Quiet, parse_size
from .output import notifier, print_json, print_lines

if TYPE_CHECKING:
    from ..data import Dataset

__all__ = ["data"]

MOST_LISTED = 12  # names or labels


def data(
    source: Annotated[str, Parameter(help="digits, sprites, or a path")],
    /,
    *,
    labels: Annotated[str | None, Parameter(help="a file of labels, or a column or key of the source")] = None,
    size: Annotated[str | None, Parameter(help="H,W: resize the images of a folder")] = None,
    resize: Annotated[
        Fit | None,
        Parameter(help="of images of other proportions: crop (by default) to the centre, or stretch", negative=""),
    ] = None,
    strict: Annotated[
        bool, Parameter(negative="", help="refuse a folder with a broken image, which is skipped")
    ] = False,
    header: Annotated[Header, Parameter(help="of a table: yes if its first line holds names, no if data")] = "auto",
    columns: Annotated[str | None, Parameter(help="a,b: the columns of a table to read, by name or number")] = None,
    drop: Annotated[str | None, Parameter(help="a,b: columns of a table to leave out")] = None,
    layer: Annotated[str | None, Parameter(help="the layer of an .h5ad file to read, in place of its X")] = None,
    schema: Annotated[str | None, Parameter(help="a TOML file on the kinds of the columns of a table")] = None,
    schema_out: Annotated[str | None, Parameter(help="write such a file, to change it: S.toml")] = None,
    force: Annotated[bool, Parameter(negative="", help="replace the file of --schema-out")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Describe a data set: shape, kind, range, irregularities, and how to train on it."""
    from ..data import describe, read

    pixels = None if size is None else parse_size(size)
    if schema_out is not None:
        _check_schema_out(schema_out, force)
    table = {"header": header, "columns": columns, "drop": drop, "schema": schema, "layer": layer, "resize": resize}
    typed = "auto" if schema_out is None else True
    dataset = read(source, labels=labels, size=pixels, missing=True, strict=strict, typed=typed, **table)
    description = describe(dataset)
    again = {"labels": labels, "size": pixels, "resize": resize, "header": None if header == "auto" else header}
    again |= {"columns": columns, "drop": drop, "layer": layer, "schema": schema or schema_out}
    again |= {"recipe": None if dataset.conditions is None else "conditional"}  # the others know one label
    description["advice"] = _advice(description, source, again)
    if schema_out is not None:
        _write_schema(schema_out, dataset)
    if json:
        print_json(description)
        return
    notify = notifier(quiet)
    for note in description["notes"]:
        notify(note)
    print_lines(_lines(description))


def _check_schema_out(place: str, force: bool) -> None:
    """Refuse a file of a schema that cannot be written, before data are read.

    Raises:
        UsageError: it is not called .toml, or its folder does not exist.
        RunExistsError: it exists, and is not to be replaced.
    """
    path = Path(place)
    if path.suffix.lower() != ".toml":
        raise UsageError(f"--schema-out must end in .toml, got {place}", "Give a name such as schema.toml.")
    if path.is_dir() or (path.exists() and not force):
        raise RunExistsError(f"{place} exists", "Give --schema-out another name, or replace it with --force.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --schema-out another name.")


def _write_schema(place: str, dataset: Dataset) -> None:
    """Write what was guessed of the columns of a table, as a start of a schema."""
    from ..data.determined import full_names
    from ..data.schema_files import schema_text
    from ..storage.files import write_atomic

    columns = dataset.schema.columns or ()
    names = set(full_names(columns))
    left_out = {name: why for name, why in dataset.reasons.items() if name not in names}
    text = schema_text(dataset.source.name, columns, left_out, dataset.reasons)
    write_atomic(Path(place), text.encode())


def _lines(description: dict[str, Any]) -> list[str]:
    """Return the description of a data set in sentences."""
    shape, (low, high) = description["shape"], description["range"]
    images = f"of {shape[0]}x{shape[1]}x{shape[2]} (height x width x channels)" if len(shape) == 3 else ""
    kinds = {
        "binary": "binary values, 0 and 1",
        "integers": "counts" if description["counts"] else _levels(description["levels"], low, high),
        "real": "real values",
        "mixed": "columns of mixed kinds",
    }
    lines = [
        f"{description['name']}: {_rows(description['n'], images, shape[0])}",
        kinds[description["kind"]] + ("" if description["kind"] == "mixed" else f", from {low:g} to {high:g}"),
    ]
    if description["kind"] == "mixed":
        lines += column_lines(description)
    elif description["names"]:
        lines.append(f"columns: {_first(description['names'])}")
    if description["labels"] is not None:
        lines.append(_label_line(description["labels"], description["unlabelled"]))
    if description["identity"]:
        lines.append(f"beside the data: {_first(description['identity'])}")
    if description["factors"]:
        lines.append(f"factors: {', '.join(f'{name} ({n})' for name, n in description['factors'].items())}")
    constant = description["constant_columns"]
    if constant and description["kind"] != "mixed":
        names = _column_names(description, constant)
        noun, how = ("pixel", " (row/column)") if len(shape) == 3 else ("column", "")
        lines.append(f"{plural(len(names), f'constant {noun}')}{how}: {_first(names)}")
    if description["duplicates"]:
        lines.append(f"{plural(description['duplicates'], 'duplicate row')}")
    return [*lines, *description["advice"]]


def _rows(n: int, images: str, width: int) -> str:
    """Return a number of rows or images with what they are."""
    return f"{plural(n, 'image')} {images}" if images else f"{plural(n, 'row')} of {plural(width, 'column')}"


def _levels(levels: int | None, low: float, high: float) -> str:
    """Return the levels of integers, which begin at 0 whatever the values are."""
    if levels is None:
        return "integers"
    whole = low == 0 and high == levels - 1
    return f"integers of {levels:,} levels" + ("" if whole else f" (0 to {levels - 1:,})")


def _column_names(description: dict[str, Any], columns: list[int]) -> list[str]:
    """Return columns by their names, or by their numbers from 1, as options take them; pixels by row and column."""
    names, shape = description["names"], description["shape"]
    if len(shape) == 3:
        _, width, channels = shape
        places = (divmod(i // channels, width) for i in columns)
        return list(dict.fromkeys(f"{i + 1}/{j + 1}" for i, j in places))
    return [names[i] if names and names[i] else str(i + 1) for i in columns]


def _label_line(labels: dict[str, int], unlabelled: int) -> str:
    """Return the classes with their numbers of rows; rows without a label are of no class."""
    line = f"labels: {_first([f'{name} ({n:,})' for name, n in labels.items()]) or 'none'}"
    if len(labels) == 1:
        line += ", a single class, which tells no rows apart"
    return f"{line}; {plural(unlabelled, 'row')} without a label" if unlabelled else line


def _first(names: list[str]) -> str:
    """Return the first names, and their number if there are more."""
    return ", ".join(names[:MOST_LISTED]) + (f", ... {len(names)} in all" if len(names) > MOST_LISTED else "")


def _advice(description: dict[str, Any], source: str, again: dict[str, Any]) -> list[str]:
    """Return the default likelihood of these data, flags to consider, and the next command.

    Args:
        description: of the data.
        source: as it was given.
        again: the options by which the data were read.
    """
    if description["kind"] == "mixed":
        likelihood = "likelihood of a table: one family for each column, by its kind"
        several = again["recipe"] is not None
        advice = ["several labels are of a model of numbers, recipe conditional: here they can be columns"] * several
        again |= {"labels": None, "recipe": None} if several else {}
        return [likelihood, *advice, f"next: {command_line('train', source, **again)}"]
    likelihood = {
        "binary": "Bernoulli",
        "integers": f"{_logistic(description)} with {description['levels']} levels",
        "real": "Gaussian, after each column is standardised",
    }[description["kind"]]
    advice = [f"likelihood of a vae: {likelihood}"]
    if description["counts"]:
        advice = ["likelihood of a count-vae: negative binomial (or poisson, zip, zinb)"]
    elif description["kind"] == "integers":
        advice.append("for a Bernoulli likelihood: --binarize dynamic (or static, threshold)")
        advice.append("ppca, gmm and other densities dequantise integers by themselves")
    if description["kind"] == "real" and description["constant_columns"]:
        advice.append("constant columns under a learned scale need --floor 0.01, or drop them")
    recipe = "miwae" if description["missing"] else "count-vae" if description["counts"] else "vae"
    again = {**again, "recipe": again["recipe"] or recipe}
    return [*advice, f"next: {command_line('train', source, **again)}"]


def _logistic(description: dict[str, Any]) -> str:
    """Return the default likelihood of integers in words; see `jensen.recipes.networks.family_of`."""
    is_photograph = description["levels"] == 256 and tuple(description["shape"][2:]) == (3,)
    if is_photograph and not description["missing"]:
        return "mixture of discretised logistics over the channels of each pixel,"
    return "discretised logistic"
