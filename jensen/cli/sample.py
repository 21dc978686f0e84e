"""`jensen sample`: draw new data from a run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.wording import plural
from .flags import Device, Force, Json, Number, Out, Run, Safe, Seed, switch
from .output import notifier

__all__ = ["sample"]


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
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    safe: Safe = False,
    json: Json = False,
) -> None:
    """Draw new data from a run, in the data's own units. Without --out: RUN/samples.png, or RUN/samples.csv.

    Images are means of p(x | z), as in the report: a draw adds noise to each pixel by itself. Of a model without latent
    features, and of one whose likelihood only samples, they are draws.
    """
    if noise and mean:
        raise UsageError("--noise and --mean exclude each other", "Leave one of them out.")
    from ..runs.run import load
    from .grids import grid, model_range, png, scaled
    from .writing import Target, column_names, print_target, to_integers

    opened = load(run, device=device)
    images = opened.schema.is_image
    default = opened.path / ("samples.png" if images else "samples.csv")
    target = Target.choose(out, default, force, images, json, safe)
    # without latent features all means are one, and without a density there is nothing but draws
    smooth = images and opened.model.latent > 0 and opened.model.likelihood.has_density
    mean = mean or (smooth and not noise)
    x, labels = opened.labelled_sample(n, seed=seed, mean=mean, label=label)
    if not mean and opened.seen.kind != "real":
        x = to_integers(x, opened.seen.levels)
    named_labels = None if labels is None else (labels, opened.schema.classes)
    target.write(x, column_names(opened.schema), lambda: png(grid(scaled(x, model_range(opened, x)))), named_labels)
    of_class = "" if label is None else f" of class {label}"
    what = f"{plural(n, 'mean' if mean else 'sample')}{of_class} in {target.path} (seed {seed})"
    record = {"n": n, "seed": seed, "mean": mean, "label": label, "shape": list(opened.schema.shape)}
    line = f"{what}: {_meaning(mean, images, smooth)}"
    if target.path is None and images:  # to stdout, where the line would be among the rows
        notifier(False)(_meaning(mean, images, smooth))
    print_target(target, json, line, record)


def _meaning(mean: bool, images: bool, both: bool) -> str:
    """Return what was written, and the option for the other kind if it shows something else."""
    each = "pixels" if images else "values"
    if mean:
        return f"means of p(x | z) at z from the prior; --noise draws {each}"
    means = "; --mean writes the means of p(x | z)" if both or not images else ""
    return f"{each} drawn from p(x | z) at z from the prior{means}"
