"""The trainer: the arguments of a training are validated, then the loop runs."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.allocator import keep_freed_memory, return_freed_memory
from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.modules import named_tensors
from ..core.precision import matmul_precision
from ..core.threads import restored_threads
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .dry_run import dry_run
from .events import EpochEnded
from .history import History
from .loop import TrainingLoop
from .plan import Budget, Plan
from .players import Player, check_players
from .recovery import Recovery
from .setup import TrainingSetup
from .shared_steps import check_shared
from .snapshot import Snapshot

__all__ = ["Trainer"]


class Trainer(Plan):
    """Has optimisers maximise the objectives of players, as planned (see `Plan` for its settings)."""

    def fit(
        self,
        model: LatentVariableModel,
        guide: Guide,
        players: Sequence[Player],
        data: Rows,
        budget: Budget = Budget(),  # noqa: B008 (frozen)
        valid: Rows | None = None,
        start: tuple[Snapshot, list[EpochEnded]] | None = None,
    ) -> History:
        """Train in place.

        Args:
            model, guide: to train.
            players: objectives with the parameters that maximise them.
            data: training rows.
            budget: for how long.
            valid: rows on which the bound is followed, and by which training may stop early.
            start: a snapshot of an earlier training to continue from, and the events of its epochs so far.

        Raises:
            CompositionError: parts that do not fit together, before anything is trained.
            DataError: there are no rows.
            NumericalError: the objective or a parameter is not finite, and recovery is impossible or failed.
        """
        loop, first = self.loop(model, guide, players, data, budget, valid), None
        with matmul_precision(self.precision), restored_threads():
            if start is not None:
                first = loop.state.copy()
                loop.state.restore(*start)
            mine = (*named_tensors(loop.state.module).values(), *loop.state.critics.values())
            self.processes.broadcast_all([tensor.detach() for tensor in mine])
            return loop.run(Recovery(loop, first).train)

    def loop(
        self,
        model: LatentVariableModel,
        guide: Guide,
        players: Sequence[Player],
        data: Rows,
        budget: Budget,
        valid: Rows | None,
    ) -> TrainingLoop:
        """Return the loop of a training before its first step, after all checks; see `fit`.

        Raises:
            CompositionError: parts that do not fit together.
            DataError: there are no rows.
        """
        check_players(model, guide, players, budget.epochs)
        self.check(players)
        check_shared(players, self.processes)
        if not len(data):
            raise DataError("there are no rows to train on", "Give at least one.")
        if budget.patience is not None and not valid:
            raise UsageError("--patience needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
        return_freed_memory()  # of preparing the data and the model, beside which the steps would take theirs
        keep_freed_memory()
        with matmul_precision(self.precision), restored_threads():
            dry_run(model, guide, players, data)
            return TrainingLoop(TrainingSetup(self, model, guide, list(players), data, budget, valid))
