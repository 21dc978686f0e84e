"""Train some members of a group together: every member is written as it would be alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from ..core.errors import NumericalError
from ..storage.run_lock import writing
from ..training import Event, Stopped
from ..training.lockstep import Lockstep
from .group import RunGroup, set_state, tracked
from .job import Job

__all__ = ["train_stack"]

Listener = Callable[[Event], None]


def train_stack(
    group: RunGroup,
    jobs: Sequence[tuple[str, Job]],
    force: bool,
    listeners: Sequence[Listener],
    should_stop: Callable[[], bool],
    notice: Callable[[str], None],
) -> None:
    """Train members of one shape together, and record how each has ended.

    Args:
        group: whose members they are.
        jobs: prepared trainings, by the names of their members.
        force: whether runs in their folders are replaced.
        listeners: called with the events of the first member that has not ended.
        should_stop: asked between steps.
        notice: called with what the user should know.
    """
    with ExitStack() as all_scopes:
        scopes = [ExitStack() for _ in jobs]
        for scope, (name, job) in zip(scopes, jobs, strict=True):
            scope.enter_context(writing(job.folder, force))
            all_scopes.push(scope)  # closed already, unless what follows is left by an error
            set_state(group, name, "training")
        shown = _First(len(jobs), listeners)
        begun = [job.begin([shown.of(place)], should_stop, notice) for place, (_, job) in enumerate(jobs)]
        loops = [job.loop(trainer) for (_, job), (trainer, _) in zip(jobs, begun, strict=True)]
        results = Lockstep(loops, notice).run()
        for scope, (name, job), (_, writer), result in zip(scopes, jobs, begun, results, strict=True):
            with tracked(group, name, lambda text: None), scope:
                if isinstance(result, NumericalError):
                    raise result if writer is None else writer.failed(result) from result
                job.end(result, writer, notice)
                job.settle()
                group.opened[name] = job.opened()


class _First:
    """Passes on the events of the first training that has not ended.

    Args:
        several: number of trainings.
        listeners: called with its events.
    """

    def __init__(self, several: int, listeners: Sequence[Listener]) -> None:
        self.left, self.listeners = list(range(several)), listeners

    def of(self, place: int) -> Listener:
        """Return the listener of one training."""

        def hear(event: Event) -> None:
            if self.left[0] == place:
                for listener in self.listeners:
                    listener(event)
            if isinstance(event, Stopped) and len(self.left) > 1:
                self.left.remove(place)

        return hear
