"""From a file to a trained run: the one path that the command line, Python and scikit-learn share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..core.errors import InterruptedRun, NumericalError, UsageError
from ..core.precision import resolve_precision
from ..core.random import drawing_from, stream
from ..data import constant_columns
from ..recipes import BuiltModel, Recipe, RecipeContext, find
from ..recipes.likelihoods import in_own_units
from ..storage.commits import flush_folder
from ..storage.fault_log import Forensics
from ..storage.recorder import Recorder, TensorBoard
from ..storage.run_folder import modules, write_json
from ..storage.run_lock import claim, writing
from ..storage.training_state import StateKeeper, check_space
from ..storage.weights import tie
from ..training import Budget, EpochEnded, Event, Optimizer, Snapshot, Trainer
from ..training.players import check_players
from ..training.rehearsal import rehearse
from ..training.snapshot import named_tensors
from ..training.stages import ends
from .run import Run, load, resolve_device
from .spec import recorded_command, spec_from
from .training_data import DataOptions, TrainingData, gather

__all__ = ["Job", "TrainingOptions", "command_of", "sorted_options", "train", "untrained"]

STEPS = 20_000  # where a recipe does not say how many epochs, about this many steps


@dataclass(frozen=True)
class TrainingOptions:
    """How a model is trained.

    Attributes:
        epochs: passes over the data; by default the recipe's, or about 20,000 steps.
        batch: data per step.
        lr: learning rate.
        optimizer: a class of torch.optim, by name.
        schedule: of the learning rate.
        clip: largest norm of the gradient.
        spikes: how many times its usual norm a gradient may be long; longer ones are shortened, and counted.
        average: decay of averaged weights, such as 0.999.
        patience: stop when the validation bound has not risen for this many epochs.
        keep: the weights that are kept, of the best validation bound or of the last step.
        precision: of products in training; "fast" runs networks in bfloat16 where the processor knows it, "auto" is
            "fast" only where that costs no accuracy. Evaluation is accurate whatever it is.
        init_from: a run whose weights to start from, where names and shapes agree.
        checkpoints: weights to keep along training, at most: after the first epoch, the last, and evenly in the
            logarithm between; 0 keeps none.
        tensorboard: also write event files into the run folder.
        save_every: seconds between the states that a training can be resumed from (less often where that would cost a
            hundredth of its time); 0 keeps one after every step, None keeps none at all.
    """

    epochs: int | None = None
    batch: int = 128
    lr: float = 1e-3
    optimizer: str = "Adam"
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    clip: float | None = None
    spikes: float | None = None
    average: float | None = None
    patience: int | None = None
    keep: Literal["auto", "best", "last"] = "auto"
    precision: Literal["auto", "fast", "float32", "medium", "bfloat16"] = "auto"
    init_from: str | Path | None = None
    checkpoints: int = 8
    tensorboard: bool = False
    save_every: float | None = 60


def train(
    data: str | Path | np.ndarray,
    *,
    recipe: str = "vae",
    out: str | Path | None = None,
    force: bool = False,
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Run:
    """Train a recipe on data and write a run folder.

    Args:
        data: `digits`, a path, or an array [N, ...].
        recipe: a name from `jensen recipes`.
        out: the run folder; by default the first free of runs/DATA-RECIPE, runs/DATA-RECIPE-2, ...
        force: replace an existing run.
        listeners: called with every event.
        should_stop: asked between steps.
        notice: told what the user should know.
        **options: of `DataOptions`, of `TrainingOptions`, and of the recipe.

    Returns:
        The run, opened.

    Raises:
        JensenError: of a kind that says what is wrong, before anything is written where that can be known.
        InterruptedRun: `should_stop` said so; the run is readable.
    """
    chosen = find(recipe)
    reading, training, rest = sorted_options(options)
    job = Job(data, chosen, reading, training, chosen.checked(rest), _folder(data, recipe, out))
    claim(job.folder, force)
    job.prepare(notice)
    job.check_space()
    with writing(job.folder, force):
        job.run(listeners, should_stop, notice)
    job.settle()
    return load(job.folder, device=str(job.device))


def command_of(data: str | Path | np.ndarray, recipe: str = "vae", **options: Any) -> dict[str, Any]:
    """What `train` would record as its command; nothing is read or written.

    Raises:
        UsageError: an option that cannot work.
    """
    chosen = find(recipe)
    reading, training, rest = sorted_options(options)
    return Job(data, chosen, reading, training, chosen.checked(rest), Path()).command()


def untrained(run: Run) -> BuiltModel:
    """What a run's recipe made before the first step, from the recorded command.

    Raises:
        DataError: the data are gone, or have changed.
    """
    run.dataset()
    command = recorded_command(run.spec, run.path) | {"init_from": None, "device": run.device}
    chosen, where = find(command.pop("recipe")), command.pop("data")
    reading, training, rest = sorted_options(command)
    job = Job(where, chosen, reading, training, chosen.checked(rest), Path())
    job.prepare(lambda text: None)
    job.made.model.to(run.device)
    job.made.guide.to(run.device)
    return job.made


def sorted_options(options: dict[str, Any]) -> tuple[DataOptions, TrainingOptions, dict[str, Any]]:
    """Options by whom they belong to; what is left is the recipe's."""
    groups: list[Any] = []
    rest = dict(options)
    for kind in (DataOptions, TrainingOptions):
        names = {f.name for f in fields(kind)}
        groups.append(kind(**{k: rest.pop(k) for k in list(rest) if k in names}))
    return groups[0], groups[1], rest


class Job:
    """One call of `train`: everything is checked in `prepare`; `run` writes."""

    def __init__(
        self,
        data: str | Path | np.ndarray,
        recipe: Recipe,
        reading: DataOptions,
        training: TrainingOptions,
        options: dict[str, Any],
        folder: Path,
    ) -> None:
        self.data, self.recipe, self.options, self.folder = data, recipe, options, folder
        self.reading, self.training = reading, training
        self.keeper: StateKeeper | None = None
        self.device = resolve_device(reading.device)
        # exact models are cheap and proven to many digits; deep ones train in single precision
        double = recipe.density and not recipe.has_nets and self.device.type in ("cpu", "cuda")
        self.dtype = torch.float64 if double else torch.float32
        self.optimizer = Optimizer(training.optimizer, training.lr)
        self.budget = Budget(training.epochs or recipe.epochs or 1, training.batch, training.patience)
        if training.epochs is not None and training.epochs < 1:
            raise UsageError(f"--epochs {training.epochs} cannot work", "Give --epochs a number of at least 1.")
        if training.save_every is not None and not training.save_every >= 0:
            raise UsageError(
                f"--save-every {training.save_every:g} cannot work", "Give --save-every seconds, such as 60."
            )
        if training.checkpoints < 0:
            raise UsageError(f"--checkpoints {training.checkpoints} cannot work", "Give --checkpoints 0 or more.")

    def prepare(self, notice: Callable[[str], None]) -> None:
        """Read the data and make the parts: all that can go wrong goes wrong here."""
        training = self.training
        own = in_own_units(str(self.options.get("likelihood")))
        recipe = replace(self.recipe, standardize="none") if own else self.recipe
        self.found = found = gather(self.data, recipe, self.reading, self.device, self.dtype)
        for text in found.notices:
            notice(text)
        if training.patience is not None and found.valid is None:
            raise UsageError("--patience needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
        steps = -(-len(found.train) // min(training.batch, len(found.train)))
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
            log_jacobian=found.log_jacobian(),
            valid_jacobian=found.log_jacobian("valid"),
            keep_best=kept == "best",
        )
        self.made = _make(
            self.recipe,
            found,
            steps,
            self.budget.epochs,
            self.optimizer,
            self.reading,
            self.device,
            self.dtype,
            self.options,
        )
        self.trainer.check(self.made.players)
        if kept == "best" or training.patience is not None:
            _check_followed(self.made)
        self.module = modules(self.made.model, self.made.guide)
        if training.init_from is not None:
            notice(_take_over(self.module, Path(training.init_from)))
        if training.tensorboard:
            TensorBoard.check()

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
        """What the run folder says of this training."""
        return spec_from(self.command(), self.found, self.made, self.choices)

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
        writers: list[Any] = [TensorBoard(self.folder / "tensorboard")] if self.training.tensorboard else []
        write_json(self.folder / "spec.json", spec)
        for place in self.folder.absolute().parents[:2]:  # the folder may be new, and its parent, such as runs
            flush_folder(place)
        stages = ends(spec["players"], self.budget.epochs)
        recorder = Recorder(self.folder, self.module, tie(spec), self.training.checkpoints, stages, notice)
        forensics = Forensics(self.folder, spec["command"], self.found.in_file)
        keeper = None
        if self.training.save_every is not None:
            self.keeper = keeper = StateKeeper(self.folder, spec, self.training.save_every, notice, recorder.flush)
        trainer = replace(
            self.trainer, listeners=(recorder, forensics, *writers, *listeners), should_stop=should_stop, keeper=keeper
        )
        made, found = self.made, self.found
        try:
            history = trainer.fit(made.model, made.guide, made.players, found.train, self.budget, found.valid, start)
        except NumericalError as error:
            raise NumericalError(f"{error.what}{forensics.where()}", error.remedy) from error
        averaged = None
        if history.average is not None:
            names = {id(p): n for n, p in self.module.named_parameters()}
            pairs = zip(history.average.parameters, history.average.values, strict=True)
            averaged = {names[id(p)]: v for p, v in pairs if id(p) in names}  # critics are no part of the model
        recorder.write(averaged)
        if history.stopped is not None and history.stopped.reason == "interrupted":
            lost = "" if keeper is None or keeper.lost is None else f"; {keeper.lost.what}: what is newer is made again"
            where = f"epoch {history.stopped.epoch} of {self.budget.epochs}"
            raise InterruptedRun(
                f"training stopped in {where}; {self.folder} is readable{lost}",
                f"Go on with jensen resume {self.folder}, or look at it with jensen evaluate {self.folder}.",
            )

    def settle(self) -> None:
        """Raise what kept the last state from the disk, when everything else is on it.

        Raises:
            UsageError: it could not be written.
        """
        if self.keeper is not None:
            self.keeper.settle()

    def command(self) -> dict[str, Any]:
        """The arguments of `train` that repeat this run."""
        name = "array" if isinstance(self.data, np.ndarray) else str(self.data)
        settings = {**asdict(self.reading), **asdict(self.training), **self.options}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
        return {"data": name, "recipe": self.recipe.name, **plain}


def _folder(data: str | Path | np.ndarray, recipe: str, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out)
    name = "array" if isinstance(data, np.ndarray) else Path(data).name.split(".")[0]
    stem = Path("runs") / f"{name or 'data'}-{recipe}"
    numbered = (stem.with_name(f"{stem.name}-{i}") for i in range(2, 100_000))
    return next(p for p in (stem, *numbered) if not p.exists())


def _make(
    recipe: Recipe,
    found: TrainingData,
    steps: int,
    epochs: int,
    optimizer: Optimizer,
    options: DataOptions,
    device: torch.device,
    dtype: torch.dtype,
    chosen: dict[str, Any],
) -> BuiltModel:
    """The recipe's parts, with initial weights from the seed; combinations that cannot work are refused."""
    schema = found.preparation.outcome(found.data.schema)
    mean, scale = found.moments
    constant = 0
    if schema.kind == "real" and not found.preparation.dequantize:
        train = found.data.rows(found.split.train)
        constant = len(constant_columns(train.x, train.mask))
    with drawing_from(stream(options.seed, "init")):
        setting = RecipeContext(
            *(schema, mean, scale, found.train, steps, optimizer, epochs, constant, options.floor, options.seed),
            labels=found.labels,
        )
        made = recipe(setting, **chosen)
    made.model.to(device, dtype)
    made.guide.to(device, dtype)
    for critic in made.critics:
        critic.to(device, dtype)
    check_players(made.model, made.guide, made.players, epochs)
    rehearse(made.model, made.guide, made.players, found.train)
    for player in made.players:
        if player.closed is None:
            player.optimizer(player.trained)  # refuses parameters that it is not for
    return made


def _check_followed(made: BuiltModel) -> None:
    """Refuse to go by validation rows where nothing that is measured on them rises as the model gets better."""
    if not made.model.likelihood.has_density:
        raise UsageError(
            "no number tells the best epoch of a game whose likelihood only samples: all its players move",
            "Use --keep last, without --patience.",
        )


def _take_over(module: torch.nn.Module, folder: Path) -> str:
    """Start from another run's weights, where names and shapes agree."""
    other = load(folder)
    theirs, mine = named_tensors(modules(other.model, other.guide)), named_tensors(module)
    common = [n for n, t in mine.items() if n in theirs and theirs[n].shape == t.shape]
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    if not trained & set(common):
        raise UsageError(f"no weights of {folder} fit this model", "Give --init-from a run of the same shape.")
    with torch.no_grad():
        for name in common:
            mine[name].copy_(theirs[name])
    return f"{len(common)} of {len(mine)} tensors start from {folder}"
