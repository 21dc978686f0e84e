"""Rate-distortion curves: one short training per weight of the rate, each evaluated on test rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from torch import Tensor

from ..core.errors import RunExistsError, UsageError
from ..storage.entries import check_entries
from ..storage.files import write_json
from ..storage.run_folder import SPEC
from ..training import Event
from .evaluation import Evaluation, versions
from .run import Run, load
from .train import command_of, train

__all__ = ["BETAS", "NAME", "Curve", "Point", "parse_betas", "trade"]

BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)
NAME = "rate-distortion"


@dataclass(frozen=True)
class Point:
    """The end point of the training with one beta, in nats per datum of the held-out rows.

    Attributes:
        beta: the weight of the rate in training.
        rate, distortion, elbo: means over rows; elbo = -distortion - rate, whatever beta was.
        elbo_stderr: over data.
        log_px: the importance-weighted bound with k points; `kind`: of it.
        run: the folder of the training.
        reused: True if it had finished before.
    """

    beta: float
    rate: float
    distortion: float
    elbo: float
    elbo_stderr: float | None
    log_px: float
    kind: str
    k: int | None
    run: str
    reused: bool


@dataclass(frozen=True)
class Curve:
    """A rate-distortion curve, its points in the order of beta.

    Attributes:
        points: one per beta.
        data: the name of the rows; `prepared`: binarisation or dequantisation, in words.
        n: their number.
        seed: of the evaluation.

    Source: Alemi, Poole, Fischer, Dillon, Saurous & Murphy, "Fixing a broken ELBO", 2018.
    """

    points: tuple[Point, ...]
    data: str
    prepared: str
    n: int
    seed: int

    @property
    def best(self) -> Point:
        """The point of the highest ELBO."""
        return max(self.points, key=lambda point: point.elbo)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            "points": [asdict(point) for point in self.points],
            "best_beta": self.best.beta,
            "data": self.data,
            "prepared": self.prepared,
            "n": self.n,
            "seed": self.seed,
            "units": "nats per datum",
            "versions": versions(),
        }


def parse_betas(text: str) -> tuple[float, ...]:
    """Return the weights in "0.1,1,10", in ascending order.

    Raises:
        UsageError: these are not distinct positive numbers.

    Example:
        >>> parse_betas("1,0.1")
        (0.1, 1.0)
    """
    try:
        betas = [float(word) for word in text.split(",")]
    except ValueError:
        betas = []
    return _checked(betas, text)


def _checked(betas: Sequence[float], text: str) -> tuple[float, ...]:
    """Return the weights in ascending order; `text` names them in the error."""
    if not betas or len(set(betas)) < len(betas) or not all(b > 0 and math.isfinite(b) for b in betas):
        raise UsageError(
            f"--betas must be distinct positive numbers, got {text}",
            f"Give some: --betas {','.join(f'{b:g}' for b in BETAS)}.",
        )
    return tuple(sorted(float(b) for b in betas))


def trade(
    data: str | Path | np.ndarray,
    *,
    out: str | Path,
    betas: Sequence[float] = BETAS,
    recipe: str = "beta-vae",
    force: bool = False,
    k: int = 100,
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Curve:
    """Train once per beta into `out`/beta-..., measure rate and distortion of the test rows, and write the curve.

    The last weights are kept unless `keep` says otherwise: the best validation bound would favour early epochs where
    the weight of the rate is not 1. A finished training of the same command is used again, so that an interrupted call
    continues where it stopped.

    Args:
        data: as for `train`.
        out: the folder of all runs; the numbers are written to rate-distortion.json in it.
        betas: weights of the rate.
        recipe: one with an option `beta`.
        force: train again, whatever the folder holds.
        k: points per datum, of which rate and distortion are averages.
        listeners, should_stop, notice, options: as for `train`.

    Raises:
        RunExistsError: the folder holds something else, or a training of another command.
        UsageError: a beta is not positive, or the recipe has no beta.
        InterruptedRun: `should_stop` returned True; finished trainings are kept.
    """
    betas, folder = _checked(betas, str(betas)), Path(out)
    _refuse_taken(folder)
    places = {beta: folder / f"beta-{beta:g}" for beta in betas}
    options_of = {beta: {"keep": "last", **options, "beta": beta} for beta in betas}
    commands = {beta: command_of(data, recipe, **options_of[beta]) for beta in betas}  # invalid options are refused
    is_finished = {beta: not force and _is_finished(places[beta], commands[beta]) for beta in betas}
    points, evaluations = [], []
    for beta, place in places.items():
        if is_finished[beta]:
            notice(f"{place} has finished before, and is used again")
            run = load(place)
        else:
            run = train(
                data,
                recipe=recipe,
                out=place,
                force=place.exists(),
                listeners=listeners,
                should_stop=should_stop,
                notice=notice,
                **options_of[beta],
            )
        evaluations.append(run.evaluate(k=k))
        points.append(_point(beta, run, evaluations[-1], reused=is_finished[beta]))
    curve = _curve(points, evaluations[-1])
    write_json(folder / f"{NAME}.json", curve.to_dict())
    return curve


def _refuse_taken(folder: Path) -> None:
    """Refuse a folder that is a file or a run, or holds a link, which would lead to runs elsewhere."""
    if folder.is_file() or (folder / SPEC).exists():
        raise RunExistsError(f"{folder} is a {'file' if folder.is_file() else 'run'}", "Give --out another name.")
    check_entries(folder, lambda name: name.startswith("beta-"))


def _curve(points: Sequence[Point], last: Evaluation) -> Curve:
    """Return the curve of these points, all evaluated on the same rows as the last."""
    return Curve(tuple(points), data=last.data, prepared=last.prepared, n=len(_nats(last)), seed=last.seed)


def _is_finished(place: Path, command: dict[str, Any]) -> bool:
    """Return whether the run exists, has finished, and is of this command.

    Raises:
        RunExistsError: it is of another command.
    """
    if not place.exists():
        return False
    run = load(place)
    new = msgspec.json.decode(msgspec.json.encode(command))
    # earlier versions recorded the seed of the split with the split only
    old = {"split_seed": run.spec["split"]["seed"], **run.spec["command"]}
    if old != new:
        names = sorted(n for n in {*new, *old} if new.get(n) != old.get(n))
        raise RunExistsError(
            f"{place} was trained with another {', '.join(names)}",
            "Give --out another name, or replace it with --force.",
        )
    run.dataset()  # refuses data that have changed since
    stops = [line for line in run.metrics if line["event"] == "stopped"]
    return bool(stops) and stops[-1]["reason"] in ("finished", "early stopping", "converged")


def _nats(evaluation: Evaluation) -> Tensor:
    """Return log p(x) of each row [N], where the evaluation has an ELBO.

    Raises:
        UsageError: it has none.
    """
    nats = evaluation.estimate.nats
    if nats is None or evaluation.estimate.elbo is None:
        raise UsageError("this recipe has no rate", "Use --recipe beta-vae.")
    return nats


def _point(beta: float, run: Run, evaluation: Evaluation, *, reused: bool) -> Point:
    """Return the point of a training, by its evaluation."""
    _nats(evaluation)
    numbers, elbo = evaluation.estimate.to_dict(), evaluation.estimate.elbo
    error = None if elbo is None or len(elbo) < 2 else float(elbo.double().std() / math.sqrt(len(elbo)))
    return Point(
        beta=beta,
        rate=numbers["rate"],
        distortion=numbers["distortion"],
        elbo=numbers["elbo"],
        elbo_stderr=error,
        log_px=numbers["log_px"],
        kind=numbers["kind"],
        k=numbers["k"],
        run=str(run.path),
        reused=reused,
    )
