"""Everything that a training writes into its run folder; of several processes only the first has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..core.errors import NumericalError, UsageError
from ..storage.commits import flush_folder
from ..storage.fault_log import FaultLog
from ..storage.files import write_json
from ..storage.recorder import Recorder, TensorBoard
from ..storage.run_folder import SPEC, TENSORBOARD
from ..storage.trackers import KINDS, Tracker
from ..storage.tracking import Tracking, about
from ..storage.training_state import TrainingStateKeeper
from ..storage.weights import tie
from ..training import Event
from ..training.averages import Average
from ..training.stages import stage_ends
from .threads_recorder import ThreadsRecorder
from .training_options import TrainingOptions

__all__ = ["RunWriter", "check_trackers"]


class RunWriter:
    """The listeners that write a run, and the keeper of its training states.

    Args:
        folder: the run's; the specification is written there at once.
        spec: the specification.
        training: options of the training.
        module: model and guide.
        in_file: from rows of the training part to their numbers in the data as read.
        notice: called with a sentence for the user.

    Attributes:
        listeners: of the training's events.
        keeper: of training states; None where none are kept.
    """

    def __init__(
        self,
        folder: Path,
        spec: dict[str, Any],
        training: TrainingOptions,
        module: nn.Module,
        in_file: Callable[[Sequence[int]], list[int]],
        notice: Callable[[str], None],
    ) -> None:
        self.module = module
        writers: list[Callable[[Event], None]] = [TensorBoard(folder / TENSORBOARD)] if training.tensorboard else []
        write_json(folder / SPEC, spec)
        for place in folder.absolute().parents[:2]:  # the folder may be new, and its parent, such as runs
            flush_folder(place)
        stages = stage_ends(spec["players"], spec["choices"]["epochs"])
        self.recorder = Recorder(folder, module, tie(spec), training.checkpoints, stages, notice)
        self.faults = FaultLog(folder, spec["command"], in_file)
        self.threads = ThreadsRecorder(folder, spec, notice)
        trackers = [kind(folder, training.online) for kind in _asked(training)]
        writers += [Tracking(folder, tracker, about(folder, spec), notice) for tracker in trackers]
        self.listeners = (self.recorder, self.faults, self.threads, *writers)
        self.keeper: TrainingStateKeeper | None = None
        if training.save_every is not None:
            self.keeper = TrainingStateKeeper(folder, spec, training.save_every, notice, self.recorder.flush)

    def failed(self, error: NumericalError) -> NumericalError:
        """Return an error with the file that describes its fault."""
        return NumericalError(f"{error.what}{self.faults.reference()}", error.remedy)

    def finish(self, average: Average | None) -> None:
        """Write the weights, averaged ones included, when training has ended."""
        self.threads.tell_changes()
        averaged: dict[str, Tensor] | None = None
        if average is not None:
            names = {id(p): n for n, p in self.module.named_parameters()}
            pairs = zip(average.parameters, average.values, strict=True)
            averaged = {names[id(p)]: v for p, v in pairs if id(p) in names}  # critics are no part of the model
        self.recorder.write(averaged)


def check_trackers(training: TrainingOptions) -> None:
    """Check that what the options ask for is installed, before anything is written.

    Raises:
        UsageError: it is not, or `online` has nothing to send.
    """
    if training.online and not _asked(training):
        raise UsageError("--online is of --mlflow and --wandb, and neither is given", "Give one, or leave it out.")
    if training.tensorboard:
        TensorBoard.check()
    for kind in _asked(training):
        kind.check(training.online)


def _asked(training: TrainingOptions) -> list[type[Tracker]]:
    """Return the trackers that the options ask for."""
    return [kind for kind in KINDS if getattr(training, kind.key)]
