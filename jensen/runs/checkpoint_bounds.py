"""The bound, log p(x) and their gap at every checkpoint of a training run."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
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
from ..storage.weights import read_weights

__all__ = ["CheckpointBound", "CheckpointCurve", "evaluate_checkpoints"]


@dataclass(frozen=True)
class CheckpointBound:
    """Bounds of rows under the weights of one epoch, in nats per datum.

    Attributes:
        epoch: after which the weights were these.
        weights: "raw" or "averaged".
        elbo, log_px, gap: means over rows; the gap is log_px - elbo, and as much a bound as log_px is.
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
        data: which rows.
        n: how many.
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
    model: LatentVariableModel,
    guide: Guide,
    folder: Path,
    nodes: Any,
    rows: Rows,
    own: tuple[int, str] | None,
    *,
    k: int,
    seed: int,
    shift: float,
    watch: ProgressCallback | None = None,
) -> Iterator[CheckpointBound]:
    """Yield the stages of a run; its model and guide are left as they are.

    Args:
        nodes: what the weights are tied to.
        rows: prepared.
        own: the epoch of the run's own weights and which those are, to be looked at too.
        k: points per datum, where log p(x) is not exact.
        shift: log-Jacobian of the preparation.
    """
    if isinstance(choose(model, guide, "auto", k), Unnormalised):
        raise NotNormalised(
            "q(z|x) or p(x|z) has no density, so there is no bound to follow", "Train a recipe such as vae."
        )
    pair = copy.deepcopy(joined(model, guide))  # what model and guide share stays shared
    epochs = kept_epochs(folder)
    alone = own is not None and (own[1] != "raw" or own[0] not in epochs)
    jobs = [(epoch, "raw") for epoch in epochs] + ([own] if own is not None and alone else [])
    for i, (epoch, weights) in enumerate(sorted(jobs)):
        read_weights(folder, pair, nodes, WEIGHTS if (epoch, weights) == own and alone else file_name(epoch))
        yield _bound_at(pair, rows, epoch, weights, k, seed, shift)
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
        epoch,
        weights,
        float(elbo.mean()) + shift,
        float(nats.mean()) + shift,
        float(gap.mean()),
        str(estimate.kind),
        estimate.stderr,
        float(gap.std() / root) if len(gap) > 1 else None,
        estimate.stderr_mc,
        estimate.ess_median,
    )


def _elbo(
    model: LatentVariableModel, guide: Guide, rows: Rows, estimate: Estimate, weighted: bool, seed: int
) -> Tensor:
    """Return [N] the guide's own ELBO: from the same points as the estimate, or from fresh ones where that had none."""
    if guide.is_exact:
        return torch.as_tensor(estimate.nats).double()
    return torch.as_tensor(estimate.elbo).double() if weighted else elbo_per_datum(model, guide, rows, seed, 64)
