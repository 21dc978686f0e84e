"""`jensen encode`: latent features of data."""

from __future__ import annotations

from ..errors import UsageError
from ..runs import load
from .flags import Data, Device, Force, Json, Out, Quiet, Run, Seed
from .output import notices, plural
from .writing import Target, tell

__all__ = ["encode"]


def encode(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The mean of q(z | x) of each datum, with its label if it has one. Without --out: RUN/codes.csv."""
    opened = load(run, device=device)
    if opened.model.latent == 0:
        raise UsageError(f"the model in {run} has no latent features", "Train one that has, such as --recipe vae.")
    target = Target.choose(out, opened.path / "codes.csv", force, pictures=False, json=json)
    part = opened.chosen(data, seed)
    note = notices(quiet)
    for text in part.notes:
        note(text)
    z = opened.encode(part, seed=seed)
    names = [f"z{i + 1}" for i in range(z.shape[1])]
    labels = None if part.labels is None else (part.labels, opened.schema.classes)
    target.write(z, names, bytes, labels)
    words = f"{plural(z.shape[1], 'latent feature')} of {part.name} in {target.path}"
    tell(target, json, words, {"n": len(z), "features": z.shape[1], "data": part.name, "notes": list(part.notes)})
