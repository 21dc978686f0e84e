"""Measures of an epoch: averages of the leading player's objective and bound, on training and validation rows."""

from __future__ import annotations

import torch
from torch import nn

from ..core.batch import Batch
from ..core.precision import matmul_precision, resolve_precision
from ..core.random import stream
from ..models.guide import Guide
from ..objectives import likelihood_weight
from .events import Measures
from .players import Player
from .running_measures import RunningMeasures, sums_of
from .setup import TrainingSetup
from .shared_steps import shared_batches

__all__ = ["CHUNK", "measure", "train_measures", "validate"]

CHUNK = 1024  # rows that are measured at once


@torch.no_grad()
def measure(
    setup: TrainingSetup, lead: Player, guide: Guide, batch: Batch, noise: torch.Generator, measures: RunningMeasures
) -> None:
    """Add a batch to running averages, without a step."""
    draw = lead.estimator.draw(setup.model, guide, batch, noise)
    bound = setup.plan.bound_of(guide, lead.objective, draw)
    measures.add(sums_of(lead.objective(draw), bound, draw, guide.is_exact), len(batch))


def train_measures(setup: TrainingSetup, lead: Player, measures: RunningMeasures) -> Measures:
    """Return the averages over training rows in the data's own units."""
    return measures.averages(setup.plan.log_jacobian, likelihood_weight(lead.objective))


def validate(setup: TrainingSetup, lead: Player, module: nn.Module) -> Measures | None:
    """Measure the validation rows with accurate matrix products and the same noise each time; None without rows."""
    plan, valid = setup.plan, setup.valid
    if not valid:
        return None
    noise, measures = stream(plan.seed, "validation", valid.device), RunningMeasures(processes=plan.processes)
    module.eval()
    with matmul_precision(resolve_precision("auto", valid.device)):
        for batch in shared_batches(valid, CHUNK, noise, plan.processes):
            measure(setup, lead, setup.guide.followed, batch, noise, measures)
    module.train()
    shift = plan.log_jacobian if plan.valid_jacobian is None else plan.valid_jacobian
    return measures.averages(shift, likelihood_weight(lead.objective))
