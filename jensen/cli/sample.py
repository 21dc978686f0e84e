"""`jensen sample`: draw new data from a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.wording import plural
from ..storage.recorded_columns import check_columns
from .conditions import parse_conditions
from .flags import Device, Force, Json, Number, Out, Run, RunFlags, Safe, Seed, switch
from .named_columns import KINDS
from .output import notifier
from .targets import result_target

if TYPE_CHECKING:
    import numpy as np

    from ..runs.run import Run as LoadedRun
    from .writing import Target

__all__ = ["sample"]

Given = Annotated[
    list[str] | None,
    Parameter(
        help='values of columns, such as "age=40,sex=F": the others are drawn given these; a value with a comma in'
        """ quotes, 'job="cook, chef"'; may be given several times"""
    ),
]
K = Annotated[
    int | None,
    Parameter(name="-k", help="points that are weighted for --given, where they are not all states; by default 16,384"),
]


def sample(
    run: Run,
    /,
    *,
    n: Number = 64,
    out: Out = None,
    noise: Annotated[bool, switch("draws from p(x | z), which is the default for data that are no images")] = False,
    mean: Annotated[bool, switch("means of p(x | z) at z from the prior, which is the default for images")] = False,
    label: Annotated[
        str | None, Parameter(help="class of all samples; by default classes are drawn with their training frequencies")
    ] = None,
    given: Given = None,
    k: K = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    safe: Safe = False,
    json: Json = False,
) -> None:
    """Draw new data from a run, in the data's own units. Without --out: RUN/samples.png, or RUN/samples.csv.

    Images are means of p(x | z), as in the report: a draw adds noise to each pixel by itself. Of a model without latent
    features, and of one whose likelihood only samples, they are draws. Rows of a table of mixed columns are draws, in
    the format of its source: names, whole numbers, dates and decimals are written as they are there.
    """
    if noise and mean:
        raise UsageError("--noise and --mean exclude each other", "Leave one of them out.")
    if k is not None and given is None:
        raise UsageError(f"-k {k} is of a condition, and there is none", "Leave it out, or give one: --given.")
    condition = None if given is None else parse_conditions(given)
    if condition is not None and (mean or label is not None):
        raise UsageError("--given excludes --mean and --label", "Leave one of them out.")
    check_columns(Path(run), tuple(condition or ()))
    from ..runs.run import load
    from .writing import print_target

    opened = load(run, device=device)
    target = _target(opened, out, force, json, safe)
    if condition is not None:
        _sample_given(opened, target, condition, n, k, seed, json)
        return
    images = opened.schema.is_image
    # without latent features all means are one, and without a density there is nothing but draws
    smooth = images and opened.model.latent > 0 and opened.model.likelihood.has_density
    mean = mean or (smooth and not noise)
    x, labels = opened.labelled_sample(n, seed=seed, mean=mean, label=label)
    _write(opened, target, x, labels, mean)
    _note_beyond(opened, x)
    of_class = "" if label is None else f" of class {label}"
    what = f"{plural(n, 'mean' if mean else 'sample')}{of_class} in {target.path} (seed {seed})"
    record = {"n": n, "seed": seed, "mean": mean, "label": label, "shape": list(opened.schema.shape)}
    line = f"{what}: {_meaning(mean, opened, smooth)}"
    if target.path is None and images:  # to stdout, where the line would be among the rows
        notifier(False)(_meaning(mean, opened, smooth))
    print_target(target, json, line, record)


def _sample_given(
    opened: LoadedRun, target: Target, condition: dict[str, str], n: int, k: int | None, seed: int, json: bool
) -> None:
    """Draw and write samples given the values of some columns."""
    from .writing import print_target

    drawn = opened.given_sample(n, condition, k=k, seed=seed)
    for text in drawn.notes:
        notifier(False)(text)
    _write(opened, target, drawn.x, None, False)
    line = f"{plural(n, 'sample')} {drawn.sentence} in {target.path} (seed {seed})"
    print_target(target, json, line, {"n": n, "seed": seed, **drawn.to_dict()})


def _note_beyond(opened: LoadedRun, x: np.ndarray) -> None:
    """Say how many rows of a mixed table have numbers that the training data have none like."""
    if opened.schema.columns is not None:
        from ..runs.condition import beyond_data

        note = beyond_data(opened, x)
        if note is not None:
            notifier(False)(note)


def _target(opened: LoadedRun, out: str | None, force: bool, json: bool, safe: bool) -> Target:
    """Return the file for samples, by default in the format of the data."""
    return result_target(opened, "samples", None, out, force, safe, RunFlags(json=json), opened.schema.is_image)


def _write(opened: LoadedRun, target: Target, x: np.ndarray, labels: np.ndarray | None, mean: bool) -> None:
    """Write samples in the format of the target: a table of mixed columns as its source has them."""
    from .grids import grid, model_range, png, scaled
    from .writing import column_names, to_integers

    columns = opened.schema.columns
    if columns is not None:
        from ..data.table_building import table_of
        from ..data.table_values import as_written

        x = as_written(columns, x)
        if not target.is_array:
            suffix = ".csv" if target.path is None else target.path.suffix.lower()
            target.write_table(table_of(columns, x, KINDS.get(suffix, "csv"), dialect=opened.dialect), columns)
            return
    elif not mean and opened.seen.kind != "real":
        x = to_integers(x, opened.seen.levels)
    named_labels = None if labels is None else (labels, opened.schema.classes)
    target.write(x, column_names(opened.schema), lambda: png(grid(scaled(x, model_range(opened, x)))), named_labels)


def _meaning(mean: bool, opened: LoadedRun, both: bool) -> str:
    """Return what was written, and the option for the other kind if it shows something else."""
    images = opened.schema.is_image
    each = "pixels" if images else "values"
    if mean:
        return f"means of p(x | z) at z from the prior; --noise draws {each}"
    has_means = both or not (images or opened.schema.columns is not None)
    return (
        f"{each} drawn from p(x | z) at z from the prior{'; --mean writes the means of p(x | z)' if has_means else ''}"
    )
