"""`jensen sample`: draw new data from a run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..core.wording import plural
from ..runs.run import load
from .flags import Device, Force, Json, Number, Out, Run, Seed, switch
from .grids import grid, model_range, png, scaled
from .writing import Target, column_names, print_target, to_integers

__all__ = ["sample"]


def sample(
    run: Run,
    /,
    *,
    n: Number = 64,
    out: Out = None,
    mean: Annotated[bool, switch("the mean of p(x | z) at each z from the prior, instead of a sample")] = False,
    label: Annotated[
        str | None, Parameter(help="class of all samples; by default classes are drawn with their training frequencies")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw new data from a run, in the data's own units. Without --out: RUN/samples.png, or RUN/samples.csv."""
    opened = load(run, device=device)
    images = opened.schema.is_image
    default = opened.path / ("samples.png" if images else "samples.csv")
    target = Target.choose(out, default, force, images, json)
    x, labels = opened.labelled_sample(n, seed=seed, mean=mean, label=label)
    if not mean and opened.seen.kind != "real":
        x = to_integers(x, opened.seen.levels)
    named_labels = None if labels is None else (labels, opened.schema.classes)
    target.write(x, column_names(opened.schema), lambda: png(grid(scaled(x, model_range(opened, x)))), named_labels)
    of_class = "" if label is None else f" of class {label}"
    line = f"{plural(n, 'mean' if mean else 'sample')}{of_class} in {target.path} (seed {seed})"
    record = {"n": n, "seed": seed, "mean": mean, "label": label, "shape": list(opened.schema.shape)}
    print_target(target, json, line, record)
