"""The choice of steps that are recorded: those of long trainings, where repeating a recording is faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import JensenError
from ..core.modules import unchanged_buffers
from .gradient import Gradient, gradient
from .players import Player
from .program import GradientProgram, Shape, is_own_code, shape_of
from .recording import Unrecordable
from .setup import TrainingSetup
from .state import TrainingState

__all__ = ["Programs"]

FIRST, AGAIN = 10, (1, 10, 100)  # steps of a shape after which its recording is tried, and times these steps
LEAST_STEPS, LEAST_SECONDS = 200, 1.0  # of such steps to come, without a recording, for which one is worth its cost
TURNS = 5  # of the trial that times the step with and without its recording
GAIN = 0.97  # a recording has to take less than this part of the time
CHECKED = 64  # uses of a recording after which it is compared again, then at every doubling


@dataclass
class _Use:
    """The steps of one shape.

    Attributes:
        steps: so far, in this process.
        seconds: the least that one took without a recording.
        program: the recording; None where there is none.
        uses: of the recording.
    """

    steps: int = 0
    seconds: float = float("inf")
    program: GradientProgram | None = None
    uses: int = 0


@dataclass
class Programs:
    """The recordings of a training, by player and shape of batch.

    A recording is used only after its results were the same to the bit as those of the step itself on the same batch,
    and is compared again after 64, 128, 256, ... uses.

    Attributes:
        setup: of the training.
        state: of the training.
        uses: of each player and shape.
        reasons: why a player's steps are not recorded, by the player's number.
    """

    setup: TrainingSetup
    state: TrainingState
    uses: dict[tuple[int, Shape], _Use] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trained = [player.trained for player in self.setup.players]

    def gradient(self, player: Player, batch: Batch, noise: torch.Generator) -> Gradient | None:
        """Return the gradient by a recording; None where there is none, and `timed` is to be called."""
        number = self.setup.number_of(player)
        if number in self.reasons:
            return None
        use = self.uses.setdefault((number, shape_of(batch)), _Use())
        use.steps += 1
        if use.program is None:
            if use.steps in [FIRST * times for times in AGAIN] and self._is_worthwhile(use):
                self._record(number, use, batch, noise)
            return None
        use.uses += 1
        due = use.uses % CHECKED == 0 and (use.uses // CHECKED).bit_count() == 1
        if due and not self._is_same(number, use.program, batch, noise):
            self._refuse(number, "its results differ from those of the step itself")
            return None
        try:
            return use.program(batch, noise)
        except Unrecordable as error:
            self._refuse(number, str(error))
            return None

    def timed(self, player: Player, batch: Batch, compute: Callable[[], Gradient]) -> Gradient:
        """Return the gradient that a function computes, and note its time."""
        started = time.perf_counter()
        result = compute()
        use = self.uses.get((self.setup.number_of(player), shape_of(batch)))
        if use is not None:
            use.seconds = min(use.seconds, time.perf_counter() - started)
        return result

    def _is_worthwhile(self, use: _Use) -> bool:
        """Return whether there are so many steps of this shape to come that a recording is worth its cost."""
        setup, state = self.setup, self.state
        to_come = setup.steps_per_epoch * setup.budget.epochs - state.step
        taken = sum(u.steps for u in self.uses.values()) / max(len(setup.players), 1)
        mine = to_come * min(use.steps / max(taken, 1), 1.0)
        return mine >= LEAST_STEPS and mine * use.seconds >= LEAST_SECONDS

    def _record(self, number: int, use: _Use, batch: Batch, noise: torch.Generator) -> None:
        """Record a step, compare and time it, and keep the recording if it is the same and faster."""
        setup, player = self.setup, self.setup.players[number]
        if setup.data.device.type not in ("cpu", "cuda"):
            self._refuse(number, f"steps on {setup.data.device.type} are not recorded")
        elif player.optimizer.name == "LBFGS":
            self._refuse(number, "a line search evaluates its objective several times in a step")
        elif is_own_code(setup, player):
            self._refuse(number, "parts of your own may do more in a step than to compute")
        else:
            try:
                with unchanged_buffers(self._modules(player)):
                    program = GradientProgram(setup, player, batch, noise)
                if not self._is_same(number, program, batch, noise):
                    self._refuse(number, "its results differ from those of the step itself")
                elif self._is_faster(number, program, batch, noise):  # another process may disturb the trial
                    use.program = program
            except Unrecordable as error:
                self._refuse(number, str(error))

    def _refuse(self, number: int, reason: str) -> None:
        self.reasons[number] = reason
        for (owner, _), use in self.uses.items():
            use.program = None if owner == number else use.program

    def _modules(self, player: Player) -> nn.Module:
        owned = [o for o in player.parameters if isinstance(o, nn.Module)]
        return nn.ModuleList([self.setup.model, self.setup.guide, *owned])

    def _both(
        self, number: int, program: GradientProgram, batch: Batch, noise: torch.Generator
    ) -> tuple[Gradient, Gradient, float, float]:
        """Return a player's gradient with and without a recording, and the seconds of each; nothing is changed."""
        player = self.setup.players[number]
        state = noise.get_state()
        modules = self._modules(player)
        with unchanged_buffers(modules):
            started = self._now()
            by_program = program(batch, noise)
            middle = self._now()
        after = noise.get_state()
        noise.set_state(state)
        with unchanged_buffers(modules):
            began = self._now()
            by_step = gradient(self.setup, player, batch, noise, self.trained[number])
            ended = self._now()
        if not torch.equal(after, noise.get_state()):
            raise Unrecordable("its random numbers are drawn in another way")
        noise.set_state(state)
        return by_program, by_step, middle - started, ended - began

    def _now(self) -> float:
        """Return the time in seconds, when the device has done what it was told."""
        if self.setup.data.device.type == "cuda":
            torch.cuda.synchronize(self.setup.data.device)
        return time.perf_counter()

    def _is_same(self, number: int, program: GradientProgram, batch: Batch, noise: torch.Generator) -> bool:
        """Return whether the recording gives what the step itself gives, to the bit."""
        try:
            mine, step, _, _ = self._both(number, program, batch, noise)
        except (Unrecordable, JensenError, RuntimeError, ValueError):
            return False
        pairs = zip((mine.sums.values, mine.loss, *mine.parts), (step.sums.values, step.loss, *step.parts), strict=True)
        return all(_same(a, b) for a, b in pairs)

    def _is_faster(self, number: int, program: GradientProgram, batch: Batch, noise: torch.Generator) -> bool:
        """Return whether the recording takes less time than the step itself."""
        seconds = [self._both(number, program, batch, noise)[2:] for _ in range(TURNS)]
        return min(s[0] for s in seconds) < GAIN * min(s[1] for s in seconds)


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Return whether two tensors are equal, NaN to NaN."""
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
