"""`jensen reconstruct`: data, through the latent space and back."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ..runs.run import load
from .flags import Data, Device, Force, Json, Labels, Out, Quiet, Run, Seed, switch
from .grids import data_range, model_range, painted, pairs, png, scaled
from .output import notifier
from .writing import Target, columns, tell, whole

__all__ = ["reconstruct"]

PICTURED = 64


def reconstruct(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    sample: Annotated[bool, switch("a draw from p(x | z) at a draw from q(z | x), not the mean at the mean")] = False,
    noisy: Annotated[bool, switch("from data with the noise that a denoising run was trained with")] = False,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What the model makes of each datum. Without --out: RUN/reconstructions.png (originals above), or .csv.

    With --noisy a picture shows the noisy datum between both, and an .npz holds it as "noisy".
    """
    opened = load(run, device=device)
    images = opened.schema.is_image
    default = opened.path / ("reconstructions.png" if images else "reconstructions.csv")
    target = Target.choose(out, default, force, images, json)
    part = opened.chosen(data, seed, labels=labels)
    note = notifier(quiet)
    for text in part.notes:
        note(text)
    if target.is_picture and len(part.x) > PICTURED:
        note(f"{target.path} shows the first {PICTURED} of {len(part.x):,}; other formats hold all")
        part = part.first(PICTURED)
    start = opened.corrupted(part, seed=seed) if noisy else part
    x = opened.reconstruct(start, seed=seed, sample=sample)
    if sample and opened.seen.kind != "real":
        x = whole(x, opened.seen.levels)
    original = part.x if part.mask is None else np.where(part.mask, part.x.astype(np.float64), np.nan)
    original = original.reshape(x.shape)
    seen = {"noisy": opened.shaped(start.rows.stored)} if noisy else {}
    named = None if part.labels is None else (part.labels, opened.schema.classes)

    def picture() -> bytes:
        known = original[~np.isnan(original)] if part.mask is not None else original
        above = scaled(original, data_range(opened.schema, known))
        below = [scaled(each, model_range(opened, known)) for each in (*seen.values(), x)]
        return png(pairs(*(painted(above, *below) if part.mask is not None else (above, *below))))

    target.write(x, columns(opened.schema), picture, named, None, original=original, **seen)
    record = {"n": len(x), "data": start.name, "sample": sample, "seed": seed, "notes": list(part.notes)}
    tell(target, json, f"reconstructions of {start.name} in {target.path}", record)
