"""`jensen encode`: latent features of data."""

from __future__ import annotations

from ..errors import UsageError
from ..runs import load
from .flags import Data, Device, Force, Out, Quiet, Run, Seed
from .output import notices, plural, show
from .writing import Target

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
    quiet: Quiet = False,
) -> None:
    """The mean of q(z | x) of each datum, with its label if it has one. Without --out: RUN/codes.csv."""
    opened = load(run, device=device)
    if opened.model.latent == 0:
        raise UsageError(f"the model in {run} has no latent features", "Train one that has, such as --recipe vae.")
    target = Target.choose(out, opened.path / "codes.csv", force, pictures=False)
    part = opened.chosen(data, seed)
    tell = notices(quiet)
    for note in part.notes:
        tell(note)
    z = opened.encode(part, seed=seed)
    names = [f"z{i + 1}" for i in range(z.shape[1])]
    labels = None if part.labels is None else (part.labels, opened.schema.classes)
    target.write(z, names, bytes, labels)
    if target.path is not None:
        show([f"{plural(z.shape[1], 'latent feature')} of {part.name} in {target.path}"])
