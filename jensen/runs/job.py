"""One training: everything that can go wrong is checked before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from ..core.commands import command_line
from ..core.device import resolve_device
from ..core.errors import InterruptedRun, NumericalError, UsageError
from ..core.modules import joined, named_tensors
from ..core.parts import own_parts
from ..core.precision import resolve_precision
from ..core.processes import ALONE, Processes
from ..core.random import drawing_from, stream
from ..core.threads import MOST_THREADS, planned_threads
from ..core.validation import require_finite, require_integer
from ..data import is_in_memory
from ..evaluate.floors import floor_binding
from ..recipes import BuiltModel, Recipe, RecipeContext
from ..recipes.likelihoods import check_support, in_own_units
from ..storage.training_state import TrainingStateKeeper, check_space
from ..training import Budget, EpochEnded, Event, History, Optimizer, Snapshot, Trainer
from ..training.dry_run import dry_run
from ..training.loop import TrainingLoop
from ..training.patience import default_patience
from ..training.players import check_players
from ..training.shared_steps import check_shared, has_noise_of_one
from .composition import write_initial
from .ineffective import untrained_labels
from .init_from import take_over
from .memory_needs import making, try_within_memory, try_without_memory
from .places import reading
from .process_choices import OWN_NOISE, process_choices
from .rebuilding import Settings, check_rebuilds, refuse_own_parts, settings_of
from .run import Run, load
from .run_writer import RunWriter, check_trackers
from .spec import check_readable, spec_from
from .training_data import DataOptions, Sources, TrainingData, gather
from .training_options import TrainingOptions

__all__ = ["Job"]

MOST_EPOCHS, MOST_CHECKPOINTS, LARGEST_BATCH = 10**9, 10_000, 2**31
TRIED = 256  # rows that show which options a recipe reads
STEPS = 20_000  # where a recipe does not say how many epochs, about this many steps


class Job:
    """A call of `train`: everything is checked in `prepare`; `run` writes."""

    def __init__(
        self,
        sources: Sources,
        recipe: Recipe,
        reading: DataOptions,
        training: TrainingOptions,
        options: dict[str, Any],
        folder: Path,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.sources, self.options, self.folder = sources, options, folder
        self.recipe = recipe if reading.batch_key is None else recipe.of_batches
        self.reading, self.training = reading, training
        self.keeper: TrainingStateKeeper | None = None
        self.device = resolve_device(reading.device)
        self.dtype = recipe.dtype if self.device.type in ("cpu", "cuda") else torch.float32  # others lack float64
        if training.epochs is not None:
            require_integer(1, MOST_EPOCHS, **{"--epochs": training.epochs})
        if training.save_every is not None:
            require_finite(0, **{"--save-every": training.save_every})
        require_integer(0, MOST_CHECKPOINTS, **{"--checkpoints": training.checkpoints})
        require_integer(1, LARGEST_BATCH, **{"--batch": training.batch})
        if training.threads != "auto":
            require_integer(1, MOST_THREADS, **{"--threads": training.threads})
        self.optimizer = Optimizer(training.optimizer, training.lr)
        asked = None if training.patience == "auto" else training.patience
        self.budget = Budget(training.epochs or recipe.epochs or 1, training.batch, asked)

    def prepare(self, notice: Callable[[str], None], known: TrainingData | None = None) -> None:
        """Read the data and make the parts: whatever can be refused is refused here.

        Args:
            notice: called with what the user should know.
            known: the data as another training has read and prepared them, in the same way.
        """
        training = self.training
        likelihood = str(self.options.get("likelihood"))
        recipe = replace(self.recipe, standardize="none") if in_own_units(likelihood) else self.recipe
        if likelihood == "columns":  # which any table has, and each column with a mask of its own
            recipe = replace(recipe, columns=True, missing=True)
        if known is None:
            with reading(self.sources.data, self.reading.test, self.reading.labels, self.reading.test_labels):
                known = gather(self.sources, recipe, self.reading, self.device, self.dtype)
        self.training_data = data = known
        for text in data.notices:
            notice(text)
        if recipe.labels is None and (self.reading.labels is not None or self.sources.labels is not None):
            notice(untrained_labels(recipe, self.options))
        if self.budget.patience is not None and data.valid is None:
            raise UsageError("--patience needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
        steps = -(-len(data.train) // min(training.batch, len(data.train)))
        if training.epochs is None and self.recipe.epochs is None:
            self.budget = replace(self.budget, epochs=min(max(-(-STEPS // steps), 20), self.recipe.most))
        kept = self.recipe.keep if training.keep == "auto" else training.keep
        self._plan(data, steps, kept)
        self.context = _context(data, steps, self.budget.epochs, self.optimizer, self.reading)
        self.made, self.settings = _make(
            self.recipe,
            self.context,
            data,
            self.reading,
            self.device,
            self.dtype,
            self.options,
            training.batch,
        )
        self._check_made()
        if kept == "best" or self.budget.patience is not None:
            _check_followed(self.made)
        if training.patience == "auto" and kept == "best" and data.valid is not None:
            self.budget = replace(self.budget, patience=_patience(self.made, self.budget.epochs, steps))
        self.choices["patience"] = self.budget.patience
        self._share_noise(notice)
        self.module = joined(self.made.model, self.made.guide)
        if training.init_from is not None:
            notice(take_over(self.module, Path(training.init_from)))
        check_trackers(training)
        check_readable(self.spec())

    def _plan(self, data: TrainingData, steps: int, kept: Literal["best", "last"]) -> None:
        """Make the choices that a specification records, and the trainer.

        Args:
            data: as prepared.
            steps: per epoch.
            kept: weights to keep.
        """
        training = self.training
        self.choices = {
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "precision": resolve_precision(training.precision, self.device),
            "threads": planned_threads(training.threads, self.device),  # "auto" is decided by a trial, before step 1
            "epochs": self.budget.epochs,
            "steps_per_epoch": steps,
            "keep": kept,
            **({"stream": True} if data.data.is_streamed else {}),
        }
        self.trainer = Trainer(
            seed=self.reading.seed,
            schedule=training.schedule,
            clip=training.clip,
            spikes=training.spikes,
            average=training.average,
            precision=self.choices["precision"],
            threads=training.threads,
            log_jacobian=data.log_jacobian(),
            valid_jacobian=data.log_jacobian("valid"),
            keep_best=kept == "best",
            processes=self.processes,
        )

    def _share_noise(self, notice: Callable[[str], None]) -> None:
        """Record the processes that train together, and whether each draws noise of its own."""
        made, rows = self.made, self.training_data.train
        self.own_noise = not has_noise_of_one(made.model, made.guide, made.players, rows, self.processes)
        if self.own_noise:
            notice(OWN_NOISE)
        self.choices |= process_choices(self.processes, self.own_noise)

    def _check_made(self) -> None:
        """Refuse parts that a run could not be opened with, that do not suit the data, or that cannot be trained.

        Raises:
            CompositionError: naming them.
            DataError: naming row and column.
        """
        model, guide = self.made.model, self.made.guide
        if self.recipe.built is None:
            refuse_own_parts(self.recipe.name, model, guide)
        check_rebuilds(model, guide, self.made.players, self.settings)
        self._check_supports()
        self.trainer.check(self.made.players)
        check_shared(self.made.players, self.processes)

    def tried(self, options: dict[str, Any]) -> BuiltModel:
        """Return the parts that the recipe makes of other options, for a few rows of this training."""
        rows = self.context.rows
        few = rows.subset(torch.arange(min(TRIED, len(rows)), device=rows.device))
        with drawing_from(stream(self.reading.seed, "tried")):
            return self.recipe(replace(self.context, rows=few), **options)

    def _check_supports(self) -> None:
        """Refuse rows of any part with a value that the likelihood does not know, before training begins.

        Raises:
            DataError: naming row and column.
        """
        data, likelihood = self.training_data, self.made.model.likelihood
        if data.preparation.binarize is not None or not likelihood.has_density:
            return
        family = likelihood.family
        remedy = "Drop or correct these rows, or choose a likelihood for such values: --likelihood."
        for part, rows in data.prepared(self.dtype):
            number = partial(data.number, part)
            check_support(family.support, rows, f"{part} row {{}}", family.phrase, remedy, number)

    def check_space(self, again: bool = False) -> None:
        """Refuse a disk that cannot hold what will be written; see `jensen.storage.training_state.check_space`."""
        weights = sum(t.nbytes for t in named_tensors(self.module).values())
        critics = sum(t.nbytes for critic in self.made.critics for t in named_tensors(critic).values())
        averaged, best = self.training.average is not None, self.trainer.keep_best
        copies = (1 + averaged) * (1 + best)  # of the weights, in a state; optimisers keep about two of each number
        states = self.training.save_every is not None
        state = (copies + 2) * weights + (3 + averaged * (1 + best)) * critics if states else 0
        along = min(self.training.checkpoints, self.budget.epochs) * weights
        check_space(self.folder, state, (1 + averaged) * weights, along, again)

    def spec(self) -> dict[str, Any]:
        """Return the specification that the run folder holds."""
        return spec_from(self.command(), self.training_data, self.made, self.choices, self.folder)

    def run(
        self,
        listeners: Sequence[Callable[[Event], None]],
        should_stop: Callable[[], bool],
        notice: Callable[[str], None] = lambda text: None,
        start: tuple[Snapshot, list[EpochEnded]] | None = None,
        spec: dict[str, Any] | None = None,
    ) -> None:
        """Write the specification (or the one given), train (on from a state, if one is given), write weights."""
        trainer, writer = self.begin(listeners, should_stop, notice, start is not None, spec)
        made, data = self.made, self.training_data
        try:
            history = trainer.fit(made.model, made.guide, made.players, data.batched, self.budget, data.valid, start)
        except NumericalError as error:
            raise error if writer is None else writer.failed(error) from error
        self.end(history, writer, notice)

    def begin(
        self,
        listeners: Sequence[Callable[[Event], None]],
        should_stop: Callable[[], bool],
        notice: Callable[[str], None],
        again: bool = False,
        spec: dict[str, Any] | None = None,
    ) -> tuple[Trainer, RunWriter | None]:
        """Write the specification, and return the trainer and what writes its events; `again` if it is resumed."""
        spec, writer, in_file = self.spec() if spec is None else spec, None, self.training_data.in_file
        if self.processes.is_first:
            writer = RunWriter(self.folder, spec, self.training, self.module, in_file, notice)
            if self.recipe.built is not None and not again:
                write_initial(self.folder, spec, self.made)
        self.keeper = None if writer is None else writer.keeper
        heard = () if writer is None else (*writer.listeners, *listeners)
        return replace(self.trainer, listeners=heard, should_stop=should_stop, keeper=self.keeper), writer

    def loop(self, trainer: Trainer) -> TrainingLoop:
        """Return the loop of this training, before its first step."""
        made, data = self.made, self.training_data
        return trainer.loop(made.model, made.guide, made.players, data.batched, self.budget, data.valid)

    def end(self, history: History, writer: RunWriter | None, notice: Callable[[str], None]) -> None:
        """Write the weights of a training that has ended.

        Raises:
            InterruptedRun: it was interrupted; the run is readable.
        """
        if writer is not None:
            writer.finish(history.average)
        names = self.training_data.data.schema.names
        binding = floor_binding(self.made.model, self.made.guide, self.training_data.train, names=names)
        if binding is not None:
            notice(binding.note)
        if history.stopped is not None and history.stopped.reason == "interrupted":
            keeper = self.keeper
            lost = "" if keeper is None or keeper.lost is None else f"; {keeper.lost.what}: what is newer is made again"
            where = f"epoch {history.stopped.epoch} of {self.budget.epochs}"
            look, resume = (
                f"ook at it with {command_line('evaluate', self.folder)}.",
                command_line("resume", self.folder),
            )
            remedy = f"L{look}" if keeper is None else f"Go on with {resume}, or l{look}"
            raise InterruptedRun(f"training stopped in {where}; {self.folder} is readable{lost}", remedy, self.opened)

    def settle(self) -> None:
        """Raise what kept the last state from the disk, when everything else is on it.

        Raises:
            UsageError: it could not be written.
        """
        if self.keeper is not None:
            self.keeper.check_last()

    def opened(self) -> Run:
        """Return the run, with the modules of the user's own, and the data that were given in memory."""
        own = own_parts(self.made.model, self.made.guide)
        run = load(self.folder, copy.deepcopy(own), str(self.device))
        if is_in_memory(self.sources.data) or self.sources.test is not None:
            run.held = (self.training_data.data, self.training_data.test)
        return run

    def command(self) -> dict[str, Any]:
        """Return the arguments of `train` that repeat this run."""
        settings = {**asdict(self.reading), **asdict(self.training), **self.options}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
        recipe = None if self.recipe.built is not None else self.recipe.name
        return {"data": self.sources.name, "recipe": recipe, **plain}


def _make(
    recipe: Recipe,
    context: RecipeContext,
    data: TrainingData,
    options: DataOptions,
    device: torch.device,
    dtype: torch.dtype,
    chosen: dict[str, Any],
    batch: int,
) -> tuple[BuiltModel, Settings]:
    """Return the recipe's parts, with initial weights from the seed, and their settings before they were first used.

    Impossible combinations are refused.
    """
    with drawing_from(stream(options.seed, "tried")):
        try_without_memory(lambda: recipe(context, **chosen), recipe, chosen)
    with drawing_from(stream(options.seed, "init")), making(recipe, chosen):
        made = recipe(context, **chosen)
    if options.floor is not None and (made.model.likelihood.family.scale_floor or 0.0) < options.floor:
        family = made.model.likelihood.family.phrase
        raise UsageError(
            f"--floor limits a scale that is learned, and {family} has none of its own", "Leave --floor out."
        )
    made.model.to(device, dtype)
    made.guide.to(device, dtype)
    for critic in made.critics:
        critic.to(device, dtype)
    check_players(made.model, made.guide, made.players, context.epochs)
    settings = settings_of(made.model, made.guide)
    try_within_memory(
        lambda rows: dry_run(made.model, made.guide, made.players, rows), recipe, chosen, made, data.train, batch
    )
    for player in made.players:
        if player.closed is None:
            player.optimizer(player.trained)  # refuses parameters that it is not for
    return made, settings


def _context(data: TrainingData, steps: int, epochs: int, optimizer: Optimizer, options: DataOptions) -> RecipeContext:
    """Return what a recipe is told of the data and the training."""
    schema = data.preparation.outcome(data.data.schema)
    mean, scale = data.moments
    constant = 0
    if schema.kind in ("real", "mixed") and not data.preparation.dequantize:
        constant = data.constant
    return RecipeContext(
        schema=schema,
        mean=mean,
        scale=scale,
        rows=data.train,
        steps_per_epoch=steps,
        optimizer=optimizer,
        epochs=epochs,
        constant=constant,
        floor=options.floor,
        seed=options.seed,
        labels=data.labels,
        conditions=data.conditions,
        number=partial(data.number, "training"),
    )


def _check_followed(made: BuiltModel) -> None:
    """Refuse to go by validation rows where nothing that is measured on them rises as the model gets better."""
    if not made.model.likelihood.has_density:
        raise UsageError(
            "no number tells the best epoch of a game whose likelihood only samples: all its players move",
            "Use --keep last, without --patience.",
        )


def _patience(made: BuiltModel, epochs: int, steps: int) -> int | None:
    """Return the patience that a training has by default; None of one without a bound, or by a closed form."""
    if not made.guide.bounds(made.model) or all(player.closed for player in made.players):
        return None
    return default_patience(made.players, epochs, steps)
