"""`jensen reconstruct`: pass data through the latent space and back."""

from __future__ import annotations

from typing import Annotated

from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe, switch
from .output import notifier

__all__ = ["reconstruct"]

PICTURED = 64


def reconstruct(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    sample: Annotated[
        bool, switch("a sample of p(x | z) at a sample of q(z | x), instead of the mean at the mean")
    ] = False,
    noisy: Annotated[bool, switch("corrupt the data first, as a denoising run did in training")] = False,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Reconstruct data from their codes. Without --out: RUN/reconstructions.png (originals above), or .csv.

    With --noisy a picture shows the corrupted datum between both, and an .npz holds it as "noisy".
    """
    import numpy as np

    from .grids import data_range, model_range, painted, pairs, png, scaled
    from .writing import Target, column_names, print_target, row_arrays, row_columns, to_integers

    opened = flags.opened(run)
    images = opened.schema.is_image
    default = opened.path / ("reconstructions.png" if images else "reconstructions.csv")
    target = Target.choose(out, default, force, images, flags.json, safe, flags.quiet)
    part = opened.chosen(data, flags.seed, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    notify = notifier(flags.quiet)
    for text in part.notes:
        notify(text)
    if target.is_picture and len(part.x) > PICTURED:
        notify(f"{target.path} shows the first {PICTURED} of {len(part.x):,}; other formats hold all")
        part = part.first(PICTURED)
    inputs = opened.corrupted(part, seed=flags.seed) if noisy else part
    x = opened.reconstruct(inputs, seed=flags.seed, sample=sample)
    if sample and opened.seen.kind != "real":
        x = to_integers(x, opened.seen.levels)
    original = part.x if part.mask is None else np.where(part.mask, part.x.astype(np.float64), np.nan)
    original = original.reshape(x.shape)
    corrupted = {"noisy": opened.shaped(inputs.rows.stored)} if noisy else {}
    labels_with_names = None if part.labels is None else (part.labels, opened.schema.classes)

    def picture() -> bytes:
        observed = original[~np.isnan(original)] if part.mask is not None else original
        above = scaled(original, data_range(opened.schema, observed))
        below = [scaled(images, model_range(opened, observed)) for images in (*corrupted.values(), x)]
        return png(pairs(*(painted(above, *below) if part.mask is not None else (above, *below))))

    arrays = {"original": original, **corrupted}
    arrays |= row_arrays(part, arrays)
    names = column_names(opened.schema)
    target.write(x, names, picture, labels_with_names, row_columns(part, names), arrays)
    record = {"n": len(x), "data": inputs.name, "sample": sample, "seed": flags.seed, "notes": list(part.notes)}
    print_target(target, flags.json, f"reconstructions of {inputs.name} in {target.path}", record)
