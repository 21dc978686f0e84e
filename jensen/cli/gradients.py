"""`jensen gradients`: bias, noise and cost of each gradient estimator on a run's own model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from cyclopts import Parameter

from ..core.wording import plural
from ..analysis.gradients import Comparison, Side
from ..runs.run import load
from .flags import Device, Json, Quiet, Run, Seed
from .output import print_json, print_lines
from .progress import Line

__all__ = ["gradients"]


def gradients(
    run: Run,
    /,
    *,
    at: Annotated[Literal["end", "start"], Parameter(help="trained weights, or those before the first step")] = "end",
    n: Annotated[int, Parameter(name="-n", help="training rows, as one batch")] = 64,
    repeats: Annotated[int, Parameter(help="gradients per estimator")] = 100,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which gradient estimator suits a run's model: bias, noise and cost of each, for guide and model.

    The batch is fixed, and so is the noise on it of a denoising run: what varies are the latent points. A bias is held
    against many more samples.
    """
    opened = load(run, device=device)
    pair = None
    if at == "start":
        from ..runs.train import untrained

        made = untrained(opened)
        pair = made.model, made.guide
    with Line(quiet) as line:
        watch = lambda done: line.fraction("differentiating", done)  # noqa: E731
        found = opened.gradients(n=n, repeats=repeats, seed=seed, pair=pair, watch=watch)
    weights = "initial" if at == "start" else opened.weights
    if json:
        print_json({"run": str(opened.path), "at": at, "weights": weights, "seed": seed, **found.to_dict()})
        return
    about = f"{weights} weights; {plural(found.rows, 'training row')}; {found.repeats} repeats; seed {seed}"
    print_lines([found.sentence, f"objective: {found.objective}", *_lines(found), about, f"next: jensen doctor {run}"])


def _lines(found: Comparison) -> Iterator[str]:
    for m in found.measured:
        yield f"{m.estimator}: {1000 * m.seconds:.2f} ms per step{', biased' if m.biased else ''}"
        for name, side in (("guide", m.guide), ("model", m.model)):
            if side is not None:
                yield f"  {name}: {_told(side)}"
    for name, why in found.left_out:
        yield f"not {name}: {why}"
    yield f"reference: {found.reference}"


def _told(side: Side) -> str:
    ratio = "no noise" if side.signal_to_noise is None else f"signal to noise {side.signal_to_noise:.3g}"
    bias = "no signal to hold a bias against"
    if side.bias is not None:
        bias = f"bias {side.bias:+.2%} ± {side.bias_stderr:.2%} of the gradient"
    return f"{ratio}, variance {side.variance:.3g}, {bias}"
