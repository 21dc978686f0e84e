"""`jensen gradients`: compare gradient estimators on the model of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..core.commands import command_line
from ..core.wording import plural
from .flags import NO_FLAGS, Run, RunFlags
from .output import print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..analysis.gradients import GradientComparison, Side

__all__ = ["gradients"]


def gradients(
    run: Run,
    /,
    *,
    at: Annotated[Literal["end", "start"], Parameter(help="trained weights, or initial ones")] = "end",
    n: Annotated[int, Parameter(name="-n", help="number of training rows in the batch")] = 64,
    repeats: Annotated[int, Parameter(help="gradients per estimator")] = 100,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Compare gradient estimators on the model of a run: bias, noise and cost of each, for guide and model.

    The batch is fixed, and with it the corruption of a denoising run; only the latent points vary. The reference of the
    bias has many more samples.
    """
    opened = flags.opened(run)
    pair = None
    if at == "start":
        from ..runs.train import untrained

        built = untrained(opened)
        pair = built.model, built.guide
    with ProgressLine(flags.quiet) as line:
        comparison = opened.gradients(
            n=n, repeats=repeats, seed=flags.seed, pair=pair, watch=line.task("computing gradients")
        )
    weights = "initial" if at == "start" else opened.weights
    if flags.json:
        print_json({"run": str(opened.path), "at": at, "weights": weights, "seed": flags.seed, **comparison.to_dict()})
        return
    rows = plural(comparison.rows, "training row")
    print_lines(
        [
            comparison.sentence,
            f"objective: {comparison.objective}",
            *_lines(comparison),
            f"{weights} weights; {rows}; {comparison.repeats} repeats; seed {flags.seed}",
            f"next: {command_line('doctor', run, **flags.places, device=flags.again)}",
        ]
    )


def _lines(comparison: GradientComparison) -> Iterator[str]:
    """Yield the lines of each estimator, of those that were left out, and of the reference."""
    for m in comparison.measured:
        yield f"{m.estimator}: {1000 * m.seconds:.2f} ms per step{', biased' if m.biased else ''}"
        for name, side in (("guide", m.guide), ("model", m.model)):
            if side is not None:
                yield f"  {name}: {_measures(side)}"
    for name, why in comparison.left_out:
        yield f"not {name}: {why}"
    yield f"reference: {comparison.reference}"


def _measures(side: Side) -> str:
    """Return the measures of the gradient of guide or model."""
    ratio = "no noise" if side.signal_to_noise is None else f"signal to noise {side.signal_to_noise:.3g}"
    bias = "no gradient to compare a bias with"
    if side.bias is not None:
        bias = f"bias {side.bias:+.2%} ± {side.bias_stderr:.2%} of the gradient"
    return f"{ratio}, variance {side.variance:.3g}, {bias}"
