"""`jensen sample`: draw new data from a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.wording import plural
from ..storage.recorded_columns import check_columns
from .conditions import parse_conditions
from .flags import Ddim, DescentSteps, Device, Force, Json, Number, Out, Quiet, Run, RunFlags, Safe, Seed, switch
from .named_columns import KINDS
from .output import notifier
from .progress import ProgressLine
from .targets import result_target

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ..models.model import LatentVariableModel
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
Guidance = Annotated[
    float,
    Parameter(
        help="of a diffusion with labels, the multiple of what the label adds: above 1 samples are more typical of it,"
        " and less varied"
    ),
]

Label = Annotated[
    str | None,
    Parameter(
        help='class of all samples, or a value of each of several labels, "sex=F,age=40"; by default they are drawn'
        " with their training frequencies"
    ),
]
Noise = Annotated[bool, switch("draws from p(x | z), which is the default for data that are no images")]
Mean = Annotated[bool, switch("means of p(x | z) at z from the prior, which is the default for images")]


def sample(
    run: Run,
    /,
    *,
    n: Number = 64,
    out: Out = None,
    noise: Noise = False,
    mean: Mean = False,
    label: Label = None,
    given: Given = None,
    k: K = None,
    steps: DescentSteps = None,
    ddim: Ddim = False,
    guidance: Guidance = 1.0,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    safe: Safe = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw new data from a run, in the data's own units. Without --out: RUN/samples.png, or RUN/samples.csv.

    Images are means of p(x | z), as in the report: a draw adds noise to each pixel by itself. Of a model without latent
    features, and of one whose likelihood only samples, they are draws. Rows of a table of mixed columns are draws, in
    the format of its source: names, whole numbers, dates and decimals are written as they are there.

    Of a diffusion, --steps, --ddim and --guidance say how noise is taken off; a note says where that is another model.
    """
    if noise and mean:
        raise UsageError("--noise and --mean exclude each other", "Leave one of them out.")
    condition = _condition(given, k, mean or label is not None)
    check_columns(Path(run), tuple(condition or ()))
    from ..models.descents import chain_prior
    from ..runs.chain_samples import descending_model, descent_notes
    from ..runs.run import load
    from .writing import print_target

    opened = load(run, device=device)
    flags, notify = RunFlags(seed=seed, json=json, quiet=quiet), notifier(quiet)
    target = result_target(opened, "samples", None, out, force, safe, flags, opened.schema.is_image)
    target.require_rows(n)
    model = descending_model(opened, steps, ddim, guidance)
    if condition is not None:
        if model is not opened.model:
            raise UsageError("--given excludes --steps, --ddim and --guidance", "Leave one of them out.")
        return _sample_given(opened, target, condition, n, k, flags)
    images = opened.schema.is_image
    # without latent features all means are one, and without a density there is nothing but draws
    smooth = images and opened.model.latent > 0 and opened.model.likelihood.has_density
    mean = mean or (smooth and not noise)
    for note in descent_notes(model):
        notify(note)
    _note_beyond(opened, _written(opened, target, n, mean, label, flags, model), notify)
    what = f"{plural(n, 'mean' if mean else 'sample')}{_of_label(opened, label)} in {target.path} (seed {seed})"
    record = {"n": n, "seed": seed, "mean": mean, "label": label, "shape": list(opened.schema.shape)}
    record |= {} if chain_prior(model) is None else {"steps": steps, "ddim": ddim, "guidance": guidance}
    if target.path is None and images:  # to stdout, where the line would be among the rows
        notify(_meaning(mean, opened, smooth))
    print_target(target, json, f"{what}: {_meaning(mean, opened, smooth)}", record)


def _of_label(opened: LoadedRun, label: str | None) -> str:
    """Return the label of all samples in words, if there is one."""
    return "" if label is None else f" of {'class' if opened.conditions is None else 'labels'} {label}"


def _written(
    opened: LoadedRun,
    target: Target,
    n: int,
    mean: bool,
    label: str | None,
    flags: RunFlags,
    model: LatentVariableModel,
) -> np.ndarray:
    """Write samples of the model with their labels, and return them."""
    from ..models.descents import watched_chain

    how: dict[str, Any] = {"seed": flags.seed, "mean": mean, "model": model}
    with ProgressLine(flags.quiet) as line, watched_chain(model, line.task("sampling")):
        if opened.conditions is None:
            x, labels = opened.labelled_sample(n, label=label, **how)
            several = None
        else:
            chosen = None if label is None else parse_conditions([label], "--label")
            (x, several), labels = opened.conditioned_sample(n, label=chosen, **how), None
    _write(opened, target, x, labels, mean, several)
    if opened.conditions is None or several is None:
        return x
    if label is None:
        names = ", ".join(opened.conditions.names)
        notifier(flags.quiet)(f"labels ({names}) are drawn independently of each other: --label")
    for note in opened.conditions.beyond(several[0]) if label is not None else ():
        notifier(flags.quiet)(note)
    return x


def _condition(given: list[str] | None, k: int | None, excluded: bool) -> dict[str, str] | None:
    """Return the values of columns that are given; None without.

    Raises:
        UsageError: they are given beside options that they exclude, or their points without them.
    """
    if k is not None and given is None:
        raise UsageError(f"-k {k} is of a condition, and there is none", "Leave it out, or give one: --given.")
    if given is not None and excluded:
        raise UsageError("--given excludes --mean and --label", "Leave one of them out.")
    return None if given is None else parse_conditions(given)


def _sample_given(
    opened: LoadedRun, target: Target, condition: dict[str, str], n: int, k: int | None, flags: RunFlags
) -> None:
    """Draw and write samples given the values of some columns."""
    from .writing import print_target

    drawn, notify = opened.given_sample(n, condition, k=k, seed=flags.seed), notifier(flags.quiet)
    for text in drawn.notes:
        notify(text)
    _write(opened, target, drawn.x, None, False)
    line = f"{plural(n, 'sample')} {drawn.sentence} in {target.path} (seed {flags.seed})"
    print_target(target, flags.json, line, {"n": n, "seed": flags.seed, **drawn.to_dict()})


def _note_beyond(opened: LoadedRun, x: np.ndarray, notify: Callable[[str], None]) -> None:
    """Say how many rows of a mixed table have numbers that the training data have none like."""
    if opened.schema.columns is not None:
        from ..runs.condition import beyond_data

        note = beyond_data(opened, x)
        if note is not None:
            notify(note)


def _write(
    opened: LoadedRun,
    target: Target,
    x: np.ndarray,
    labels: np.ndarray | None,
    mean: bool,
    several: np.ndarray | None = None,
) -> None:
    """Write samples in the format of the target: a table of mixed columns as its source has them.

    Args:
        opened: the run.
        target: the file.
        x: samples.
        labels: [N] of their classes.
        mean: whether they are means.
        several: [N, E] labels of several columns, as stored.
    """
    import numpy as np

    from .grids import grid, model_range, png, scaled
    from .writing import column_names, to_integers

    columns = opened.schema.columns
    if columns is not None:
        from ..data.table_building import table_of
        from ..data.table_values import as_written

        x = as_written(columns, x)
        if several is not None and opened.conditions is not None and not target.is_array:
            columns = (*columns, *opened.conditions.fitting(several))
            x = np.concatenate([x, several], 1)
        if not target.is_array:
            suffix = ".csv" if target.path is None else target.path.suffix.lower()
            target.write_table(table_of(columns, x, KINDS.get(suffix, "csv"), dialect=opened.dialect), columns)
            return
    elif not mean and opened.seen.kind != "real":
        x = to_integers(x, opened.seen.levels)
    named_labels = None if labels is None else (labels, opened.schema.classes)
    before = {} if several is None or opened.conditions is None else opened.conditions.written(several)
    target.write(
        x, column_names(opened.schema), lambda: png(grid(scaled(x, model_range(opened, x)))), named_labels, before
    )


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
