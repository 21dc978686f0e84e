"""Steps that several processes take together: each computes its rows of every batch, and gradients are summed.

In the same exchange travel the loss and what the processes have to agree on, so that all of them go on, keep a state or
stop after the same step. A process that fails takes part in the exchange too, and then all of them know.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, JensenError, NumericalError
from ..core.processes import Processes
from ..core.random import stream
from ..core.shares import Share, current_share, sharing
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import TermKind
from .dry_run import ROWS, dry_run
from .nonfinite import REMEDY
from .plan import Plan
from .players import Player

__all__ = [
    "SharedRows",
    "SharedSteps",
    "check_shared",
    "draws_noise",
    "has_noise_of_one",
    "mean_loss",
    "shared_batches",
]

REPORT_EVERY = 0.25  # seconds between reports within an epoch


def mean_loss(value: Tensor) -> Tensor:
    """Return minus the mean objective of a batch from values [B]; of a share, its part of that of the whole batch."""
    share = current_share()
    return -value.mean() if share is None else -value.sum() * (share.counts / share.of)


@dataclass
class SharedSteps:
    """The common work of the processes of a training in every step; a single process asks nobody.

    Attributes:
        plan: of the training, with its processes.
        reported: when progress was last reported.
        agreed: whether to stop, to report and to keep a state, as all processes know since the last exchange.
        exchanged: True once something was exchanged in this step.
    """

    plan: Plan
    reported: float = field(default_factory=time.monotonic)
    agreed: tuple[bool, ...] = (False, False, False)
    exchanged: bool = False

    def summed(self, evaluate: Callable[[], Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
        """Compute the loss and the gradients of this process's rows, and return the sum of the loss over all processes.

        Args:
            evaluate: computes the loss [] and the gradients of the parameters.
            parameters: whose gradients are summed, in place.

        Raises:
            NumericalError: another process failed in this step.
        """
        processes = self.plan.processes
        if processes.is_alone:
            return evaluate()
        failure, loss = None, torch.zeros((), dtype=parameters[0].dtype, device=parameters[0].device)
        try:
            loss = evaluate().detach()
        except (RuntimeError, ValueError) as error:
            if isinstance(error, JensenError | torch.OutOfMemoryError):
                raise
            failure = error
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flags = loss.new_tensor([failure is not None, *self._wishes()])
        total = loss.reshape(1)
        processes.sum_all([*gradients, total, flags])
        failed, *agreed = (flags > 0).tolist()
        self.agreed = tuple(a or b for a, b in zip(self.agreed, agreed, strict=True))
        self.exchanged = True
        if failed:
            what = str(failure).splitlines()[0] if failure is not None and str(failure) else "a step failed"
            raise NumericalError(f"{what} (in one of {processes.size} processes)", REMEDY) from failure
        return total[0]

    @contextmanager
    def step(self) -> Iterator[None]:
        """The scope of a step, after which all processes know whether to stop, to report or to keep a state."""
        self.agreed, self.exchanged = (False, False, False), False
        yield
        if not self.exchanged:
            self.agree()

    def agree(self) -> None:
        """Agree by an exchange of its own, where none belongs to a step."""
        if not self.plan.processes.is_alone:
            self.agreed = self.plan.processes.any(*self._wishes())

    def should_stop(self) -> bool:
        """Return whether training is to stop after this step."""
        return self.plan.should_stop() if self.plan.processes.is_alone else self.agreed[0]

    def should_report(self) -> bool:
        """Return whether progress is to be reported, at most every quarter of a second."""
        due = self._is_report_due() if self.plan.processes.is_alone else self.agreed[1]
        if due:
            self.reported = time.monotonic()
        return due

    def should_keep(self) -> bool:
        """Return whether a state is to be kept."""
        return self._is_keeping_due() if self.plan.processes.is_alone else self.agreed[2]

    def _wishes(self) -> tuple[bool, bool, bool]:
        """Return what this process wants: to stop, to report, to keep a state."""
        first = self.plan.processes.is_first
        return self.plan.should_stop(), first and self._is_report_due(), first and self._is_keeping_due()

    def _is_report_due(self) -> bool:
        return time.monotonic() - self.reported >= REPORT_EVERY

    def _is_keeping_due(self) -> bool:
        return self.plan.keeper is not None and self.plan.keeper.due()


def _share_of(batch: Batch, share: Share | None) -> Batch:
    """Return the rows of a share of a whole batch."""
    if share is None:
        return batch
    rows = slice(share.start, share.stop)
    x, mask, context, index = (t if t is None else t[rows] for t in (batch.x, batch.mask, batch.context, batch.index))
    return replace(batch, x=x, mask=mask, context=context, index=index)


def draws_noise(data: Rows) -> bool:
    """Return whether noise is drawn where rows are taken, as by a dynamic binarisation."""
    generator = stream(0, "trial", data.device)
    before = generator.get_state()
    data.take(torch.zeros(1, dtype=torch.long, device=data.device), generator)
    return not torch.equal(before, generator.get_state())


@dataclass
class SharedRows:
    """Takes this process's rows of batches of a data set.

    Args:
        data: the rows of all processes.
        processes: that share them.
    """

    data: Rows
    processes: Processes

    def __post_init__(self) -> None:
        # noise of preparation depends on all rows of a batch: every process prepares them, and keeps its own
        self.draws = not self.processes.is_alone and draws_noise(self.data)

    @contextmanager
    def taken(self, index: Tensor, noise: torch.Generator) -> Iterator[Batch]:
        """A scope in which batches are shares, with this process's rows of the batch of these numbers [B]."""
        if self.processes.is_alone:
            yield self.data.take(index, noise)
            return
        share = self.processes.share(len(index))
        whole = self.data.take(index, noise) if self.draws else None
        with sharing(share):
            yield _share_of(whole, share) if whole else self.data.take(index[share.start : share.stop], noise)


def shared_batches(data: Rows, size: int, noise: torch.Generator, processes: Processes) -> Iterator[Batch]:
    """Yield this process's rows of all batches in order, each within the scope of its share."""
    if processes.is_alone:
        yield from data.batches(size, noise)
        return
    rows = SharedRows(data, processes)
    for start in range(0, len(data), size):
        index = torch.arange(start, min(start + size, len(data)), device=data.device)
        with rows.taken(index, noise) as batch:
            yield batch


def check_shared(players: Sequence[Player], processes: Processes) -> None:
    """Refuse terms whose value for a batch is no sum over its rows, which several processes would compute otherwise.

    Raises:
        CompositionError: naming the term.
    """
    if processes.is_alone:
        return
    for player in players:
        for _, term in player.objective.terms:
            if term.kind is TermKind.COUPLED and not term.reads_means and player.closed is None:
                raise CompositionError(
                    f"{term} couples the data of a batch, of which each of {processes.size} processes sees a part",
                    "Train in one process: leave torchrun out.",
                )


def has_noise_of_one(
    model: LatentVariableModel, guide: Guide, players: Sequence[Player], data: Rows, processes: Processes
) -> bool:
    """Return whether the noise of several processes is that of one, so that they train the same model.

    It is for Gaussian noise of latent points, for preparations and for corruptions; other distributions draw from a
    stream of their own in every process.
    """
    if processes.is_alone:
        return True
    rows = min(len(data), ROWS)
    share = Share(0, rows, 2 * rows)
    with sharing(share):
        dry_run(model, guide, players, data)
    return not share.own_noise
