"""The bound, log p(x) and their gap at every checkpoint of a training run."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.batch import Rows
from ..core.errors import NotNormalised
from ..core.modules import joined
from ..evaluate import Estimate, Importance, Unnormalised, choose
from ..evaluate.estimate import ProgressCallback
from ..evaluate.gaps import elbo_per_datum
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..storage.checkpoints import file_name, kept_epochs
from ..storage.run_folder import WEIGHTS
from ..storage.weights import read_weights, tie
from .data import RunData
from .evaluation import Part

__all__ = ["CheckpointBound", "CheckpointCurve", "evaluate_checkpoints"]


@dataclass(frozen=True)
class CheckpointBound:
    """The bounds of rows under the weights of one epoch, in nats per datum.

    Attributes:
        epoch: that ended with these weights.
        weights: "raw" or "averaged".
        elbo, log_px, gap: means over rows; the gap is log_px - elbo, a lower bound where log_px is one.
        kind: of log_px.
        stderr: of log_px over rows; `gap_stderr`: of the gap over rows; `stderr_mc`: of log_px over the Monte Carlo.
        ess: median effective sample size.
    """

    epoch: int
    weights: str
    elbo: float
    log_px: float
    gap: float
    kind: str
    stderr: float | None
    gap_stderr: float | None
    stderr_mc: float | None
    ess: float | None


@dataclass(frozen=True)
class CheckpointCurve:
    """ELBO, log p(x) and their gap at every checkpoint, on the same rows.

    Attributes:
        stages: in the order of epochs; the last may be the run's own weights.
        data: the name of the rows.
        n: their number.
        k: points per datum; None where log p(x) is exact.
        seed: of all Monte Carlo.
    """

    stages: tuple[CheckpointBound, ...]
    data: str
    n: int
    k: int | None
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        stages = [asdict(stage) for stage in self.stages]
        return {
            "stages": stages,
            "data": self.data,
            "n": self.n,
            "k": self.k,
            "seed": self.seed,
            "units": "nats per datum",
        }


def evaluate_checkpoints(
    run: RunData,
    part: Part,
    own: tuple[int, str] | None,
    *,
    k: int,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> CheckpointCurve:
    """Return the bounds of rows at every checkpoint of a run; its model and guide are not changed.

    Args:
        run: with checkpoints in its folder.
        part: the rows.
        own: the epoch of the run's own weights, and "raw" or "averaged", to be evaluated too; None leaves them out.
        k: points per datum, where log p(x) is not exact.
        seed: of all Monte Carlo.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        NotNormalised: the guide or the likelihood has no density.
        CorruptRunError: a checkpoint is damaged, or belongs to another run.
    """
    stages = tuple(_bounds(run, part, own, k, seed, watch))
    points = k if any(stage.ess is not None for stage in stages) else None
    return CheckpointCurve(stages, data=part.name, n=len(part.rows), k=points, seed=seed)


def _bounds(
    run: RunData, part: Part, own: tuple[int, str] | None, k: int, seed: int, watch: ProgressCallback | None
) -> Iterator[CheckpointBound]:
    """Yield the bounds at each checkpoint, in the order of epochs."""
    if isinstance(choose(run.model, run.guide, "auto", k), Unnormalised):
        raise NotNormalised(
            "q(z|x) or p(x|z) has no density, so there is no bound at any checkpoint", "Train a recipe such as vae."
        )
    pair = copy.deepcopy(joined(run.model, run.guide))  # parameters that model and guide share stay shared
    nodes, epochs, shift = tie(run.spec), kept_epochs(run.path), float(torch.as_tensor(part.shift).mean())
    is_apart = own is not None and (own[1] != "raw" or own[0] not in epochs)  # the own weights are no checkpoint
    jobs = [(epoch, "raw") for epoch in epochs] + ([own] if own is not None and is_apart else [])
    for i, (epoch, weights) in enumerate(sorted(jobs)):
        read_weights(run.path, pair, nodes, WEIGHTS if (epoch, weights) == own and is_apart else file_name(epoch))
        yield _bound_at(pair, part.rows, epoch, weights, k, seed, shift)
        if watch is not None:
            watch((i + 1) / len(jobs))


def _bound_at(
    pair: nn.ModuleDict, rows: Rows, epoch: int, weights: str, k: int, seed: int, shift: float
) -> CheckpointBound:
    model, guide = pair["model"], pair["guide"]
    if not isinstance(model, LatentVariableModel) or not isinstance(guide, Guide):
        raise TypeError("a model and a guide are needed")
    evaluator = choose(model, guide, "auto", k)
    estimate = evaluator(model, guide, rows, seed)
    elbo = _elbo(model, guide, rows, estimate, isinstance(evaluator, Importance), seed)
    nats = torch.as_tensor(estimate.nats).double()
    gap, root = nats - elbo, math.sqrt(len(nats))
    return CheckpointBound(
        epoch=epoch,
        weights=weights,
        elbo=float(elbo.mean()) + shift,
        log_px=float(nats.mean()) + shift,
        gap=float(gap.mean()),
        kind=str(estimate.kind),
        stderr=estimate.stderr,
        gap_stderr=float(gap.std() / root) if len(gap) > 1 else None,
        stderr_mc=estimate.stderr_mc,
        ess=estimate.ess_median,
    )


def _elbo(
    model: LatentVariableModel, guide: Guide, rows: Rows, estimate: Estimate, weighted: bool, seed: int
) -> Tensor:
    """Return [N] the guide's own ELBO: from the same points as the estimate, or from fresh ones where that had none."""
    if guide.is_exact:
        return torch.as_tensor(estimate.nats).double()
    return torch.as_tensor(estimate.elbo).double() if weighted else elbo_per_datum(model, guide, rows, seed, 64)
