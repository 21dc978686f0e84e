"""Rate against distortion: one short training per weight of the rate, and where each of them ends on test rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..core.errors import RunExistsError, UsageError
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
        log_px: the importance-weighted bound with k points, and its kind.
        run: the folder of the training.
        reused: whether it was there already.
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
    """The points in the order of beta.

    Attributes:
        points: one per beta.
        data: which rows; `prepared`: binarisation or dequantisation, in words.
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
        about = {"data": self.data, "prepared": self.prepared, "n": self.n, "seed": self.seed}
        points = [asdict(point) for point in self.points]
        return {
            "points": points,
            "best_beta": self.best.beta,
            **about,
            "units": "nats per datum",
            "versions": versions(),
        }


def parse_betas(text: str) -> tuple[float, ...]:
    """Weights in ascending order from "0.1,1,10".

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
    if not betas or len(set(betas)) < len(betas) or not all(b > 0 and math.isfinite(b) for b in betas):
        raise UsageError(
            f"--betas {text} are not distinct positive numbers",
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
    the rate does not weigh 1. A training that is there already and was asked for in the same words is used again, so
    that an interrupted call goes on where it stopped.

    Args:
        data: as `train` takes them.
        out: the folder of all; the numbers are written to rate-distortion.json in it.
        betas: weights of the rate.
        recipe: one with an option `beta`.
        force: train again whatever is there.
        k: points per datum, of which rate and distortion are averages.
        listeners, should_stop, notice, options: as `train` takes them.

    Raises:
        RunExistsError: the folder holds something else, or a training that was asked for in other words.
        UsageError: a beta is not positive, or the recipe has no beta.
        InterruptedRun: `should_stop` said so; what is finished is kept.
    """
    betas, folder = _checked(betas, str(betas)), Path(out)
    if folder.is_file() or (folder / SPEC).exists():
        raise RunExistsError(f"{folder} is a {'file' if folder.is_file() else 'run'}", "Give --out another name.")
    jobs, options = [], {"keep": "last", **options}
    for beta in betas:  # what cannot work is refused before the first training
        place, asked = folder / f"beta-{beta:g}", {**options, "beta": beta}
        jobs.append((beta, place, asked, not force and _is_finished(place, command_of(data, recipe, **asked))))
    points, trained = [], None
    for beta, place, asked, reused in jobs:
        if reused:
            notice(f"{place} is there already, and is used again")
            run = load(place)
        else:
            callbacks = {"listeners": listeners, "should_stop": should_stop, "notice": notice}
            run = train(data, recipe=recipe, out=place, force=place.exists(), **callbacks, **asked)
        trained = run.evaluate(k=k)
        points.append(_point(beta, run, trained, reused))
    if trained is None:
        raise UsageError("there is no beta", "Give at least one.")
    curve = Curve(tuple(points), trained.data, trained.prepared, len(_nats(trained)), trained.seed)
    write_json(folder / f"{NAME}.json", curve.to_dict())
    return curve


def _is_finished(place: Path, command: dict[str, Any]) -> bool:
    """Return whether the run is there, complete, and of this very command.

    Raises:
        RunExistsError: it is of another command.
    """
    if not place.exists():
        return False
    run = load(place)
    asked = msgspec.json.decode(msgspec.json.encode(command))
    # a run from before there was a seed of the split records it with the split alone
    held = {"split_seed": run.spec["split"]["seed"], **run.spec["command"]}
    if held != asked:
        names = sorted(n for n in {*asked, *held} if asked.get(n) != held.get(n))
        raise RunExistsError(
            f"{place} was trained with another {', '.join(names)}",
            "Give --out another name, or replace it with --force.",
        )
    run.dataset()  # refuses data that have changed since
    ended = [line for line in run.metrics if line["event"] == "stopped"]
    return bool(ended) and ended[-1]["reason"] in ("finished", "early stopping", "converged")


def _nats(evaluation: Evaluation) -> Any:
    nats = evaluation.estimate.nats
    if nats is None or evaluation.estimate.elbo is None:
        raise UsageError("this recipe has no rate", "Use --recipe beta-vae.")
    return nats


def _point(beta: float, run: Run, evaluation: Evaluation, reused: bool) -> Point:
    _nats(evaluation)
    numbers, elbo = evaluation.estimate.to_dict(), evaluation.estimate.elbo
    error = None if elbo is None or len(elbo) < 2 else float(elbo.double().std() / math.sqrt(len(elbo)))
    values = (numbers["rate"], numbers["distortion"], numbers["elbo"], error, numbers["log_px"], numbers["kind"])
    return Point(beta, *values, numbers["k"], str(run.path), reused)
