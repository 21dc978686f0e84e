"""Training as it is called: everything is checked, then `fit.py` does it."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.allocator import keep_freed_memory
from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.precision import matmul_precision
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .earlier import copied
from .events import EpochEnded
from .firstaid import FirstAid
from .fit import Fit
from .history import History
from .plan import Budget, Plan
from .players import Player, check_players
from .rehearsal import rehearse
from .snapshot import Snapshot

__all__ = ["Trainer"]


class Trainer(Plan):
    """Has players climb their objectives, as planned (see `Plan` for its settings)."""

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
            data: training rows.
            valid: rows on which the bound is followed, and by which training may stop early.
            start: a snapshot of an earlier training to go on from, and the events of the epochs behind it.

        Raises:
            CompositionError: parts that do not go together, before anything is trained.
            DataError: there are no rows.
            NumericalError: the objective, or a parameter, is no longer finite, also after going back to a good state
                with smaller steps three times; or smaller steps could not help.
        """
        check_players(model, guide, players, budget.epochs)
        self.check(players)
        if not len(data):
            raise DataError("there are no rows to train on", "Give at least one.")
        if budget.patience is not None and not valid:
            raise UsageError("--patience needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
        keep_freed_memory()
        with matmul_precision(self.precision):
            rehearse(model, guide, players, data)
            fit = Fit(self, model, guide, list(players), data, budget, valid)
            first = None
            if start is not None:
                first = copied(fit)
                fit.restore(*start)
            return fit.run(FirstAid(fit, first).course)
