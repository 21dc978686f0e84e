"""One training: everything that can go wrong is checked before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..core.commands import command_line
from ..core.device import resolve_device
from ..core.errors import InterruptedRun, NumericalError, UsageError
from ..core.modules import joined, named_tensors
from ..core.parts import own_parts
from ..core.precision import resolve_precision
from ..core.random import drawing_from, stream
from ..core.validation import require_finite, require_integer
from ..data import constant_columns, is_in_memory
from ..evaluate.floors import floor_binding
from ..recipes import BuiltModel, Recipe, RecipeContext
from ..recipes.likelihoods import check_support, in_own_units
from ..storage.commits import flush_folder
from ..storage.fault_log import FaultLog
from ..storage.files import write_json
from ..storage.recorder import Recorder, TensorBoard
from ..storage.run_folder import SPEC, TENSORBOARD
from ..storage.training_state import TrainingStateKeeper, check_space
from ..storage.weights import tie
from ..training import Budget, EpochEnded, Event, Optimizer, Snapshot, Trainer
from ..training.dry_run import dry_run
from ..training.patience import default_patience
from ..training.players import check_players
from ..training.stages import stage_ends
from .composition import write_initial
from .memory_needs import making, try_within_memory, try_without_memory
from .places import reading
from .rebuilding import Settings, check_rebuilds, refuse_own_parts, settings_of
from .run import Run, load
from .spec import check_readable, spec_from
from .training_data import DataOptions, Sources, TrainingData, gather
from .training_options import TrainingOptions

__all__ = ["Job"]

UNTRAINED_LABELS = (
    "labels have no effect on the model: {recipe} does not train on labels, which only name classes in the report and "
    "in results; a model of p(x | label), or of some labels, is {others}"
)

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
    ) -> None:
        self.sources, self.recipe, self.options, self.folder = sources, recipe, options, folder
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
        self.optimizer = Optimizer(training.optimizer, training.lr)
        asked = None if training.patience == "auto" else training.patience
        self.budget = Budget(training.epochs or recipe.epochs or 1, training.batch, asked)

    def prepare(self, notice: Callable[[str], None]) -> None:
        """Read the data and make the parts: whatever can be refused is refused here."""
        training = self.training
        own = in_own_units(str(self.options.get("likelihood")))
        recipe = replace(self.recipe, standardize="none") if own else self.recipe
        with reading(self.sources.data, self.reading.test, self.reading.labels, self.reading.test_labels):
            self.training_data = data = gather(self.sources, recipe, self.reading, self.device, self.dtype)
        for text in data.notices:
            notice(text)
        if recipe.labels is None and (self.reading.labels is not None or self.sources.labels is not None):
            notice(UNTRAINED_LABELS.format(recipe=recipe.name, others=_learning_from_labels(recipe, self.options)))
        if self.budget.patience is not None and data.valid is None:
            raise UsageError("--patience needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
        steps = -(-len(data.train) // min(training.batch, len(data.train)))
        if training.epochs is None and self.recipe.epochs is None:
            self.budget = replace(self.budget, epochs=min(max(-(-STEPS // steps), 20), self.recipe.most))
        kept = self.recipe.keep if training.keep == "auto" else training.keep
        self.choices = {
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "precision": resolve_precision(training.precision, self.device),
            "threads": torch.get_num_threads(),
            "epochs": self.budget.epochs,
            "steps_per_epoch": steps,
            "keep": kept,
        }
        self.trainer = Trainer(
            seed=self.reading.seed,
            schedule=training.schedule,
            clip=training.clip,
            spikes=training.spikes,
            average=training.average,
            precision=self.choices["precision"],
            log_jacobian=data.log_jacobian(),
            valid_jacobian=data.log_jacobian("valid"),
            keep_best=kept == "best",
        )
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
        self.module = joined(self.made.model, self.made.guide)
        if training.init_from is not None:
            notice(_take_over(self.module, Path(training.init_from)))
        if training.tensorboard:
            TensorBoard.check()
        check_readable(self.spec())

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
        spec = self.spec() if spec is None else spec
        writers: list[Any] = [TensorBoard(self.folder / TENSORBOARD)] if self.training.tensorboard else []
        write_json(self.folder / SPEC, spec)
        if self.recipe.built is not None and start is None:
            write_initial(self.folder, spec, self.made)
        for place in self.folder.absolute().parents[:2]:  # the folder may be new, and its parent, such as runs
            flush_folder(place)
        stages = stage_ends(spec["players"], self.budget.epochs)
        recorder = Recorder(self.folder, self.module, tie(spec), self.training.checkpoints, stages, notice)
        faults = FaultLog(self.folder, spec["command"], self.training_data.in_file)
        keeper = None
        if self.training.save_every is not None:
            seconds = self.training.save_every
            self.keeper = keeper = TrainingStateKeeper(self.folder, spec, seconds, notice, recorder.flush)
        trainer = replace(
            self.trainer, listeners=(recorder, faults, *writers, *listeners), should_stop=should_stop, keeper=keeper
        )
        made, data = self.made, self.training_data
        try:
            history = trainer.fit(made.model, made.guide, made.players, data.train, self.budget, data.valid, start)
        except NumericalError as error:
            raise NumericalError(f"{error.what}{faults.reference()}", error.remedy) from error
        averaged = None
        if history.average is not None:
            names = {id(p): n for n, p in self.module.named_parameters()}
            pairs = zip(history.average.parameters, history.average.values, strict=True)
            averaged = {names[id(p)]: v for p, v in pairs if id(p) in names}  # critics are no part of the model
        recorder.write(averaged)
        binding = floor_binding(made.model, made.guide, data.train)
        if binding is not None:
            notice(binding.note)
        if history.stopped is not None and history.stopped.reason == "interrupted":
            lost = "" if keeper is None or keeper.lost is None else f"; {keeper.lost.what}: what is newer is made again"
            where = f"epoch {history.stopped.epoch} of {self.budget.epochs}"
            look = f"ook at it with {command_line('evaluate', self.folder)}."
            resume = command_line("resume", self.folder)
            remedy = f"L{look}" if keeper is None else f"Go on with {resume}, or l{look}"
            raise InterruptedRun(f"training stopped in {where}; {self.folder} is readable{lost}", remedy)

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
    if options.floor is not None and made.model.likelihood.family.scale_floor != options.floor:
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
    if schema.kind == "real" and not data.preparation.dequantize:
        train = data.data.rows(data.split.train)
        constant = len(constant_columns(train.x, train.mask))
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
        number=partial(data.number, "training"),
    )


def _learning_from_labels(recipe: Recipe, options: dict[str, Any]) -> str:
    """Return the options of recipes that learn from labels, with the likelihood of another recipe."""
    likelihood = options.get("likelihood", "auto")
    if recipe.name == "count-vae" and likelihood == "auto":
        likelihood = "negative-binomial"
    same = "" if likelihood == "auto" else f" --likelihood {likelihood}"
    return ", or ".join(f"--recipe {name}{same}" for name in ("conditional", "semi-supervised"))


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


def _take_over(module: torch.nn.Module, folder: Path) -> str:
    """Start from another run's weights, where names and shapes agree."""
    other = load(folder)
    theirs, mine = named_tensors(joined(other.model, other.guide)), named_tensors(module)
    common = [n for n, t in mine.items() if n in theirs and theirs[n].shape == t.shape]
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    if not trained & set(common):
        raise UsageError(f"no weights of {folder} fit this model", "Give --init-from a run of the same shape.")
    with torch.no_grad():
        for name in common:
            mine[name].copy_(theirs[name])
    return f"{len(common)} of {len(mine)} tensors start from {folder}"
