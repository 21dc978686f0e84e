"""A run: a trained model with everything needed to use it on data in the data's own units."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..analysis.compared_objective import compared_objective
from ..analysis.doctor import Diagnosis
from ..analysis.gradients import GradientComparison, compare_gradients
from ..core.device import resolve_device
from ..core.errors import CorruptRunError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..core.shown import Shown
from ..core.thread_trial import undisturbed_threads
from ..data import Preparation, Schema
from ..evaluate import Annealed, TightnessSettings
from ..evaluate.estimate import ProgressCallback
from ..evaluate.generalisation import some_rows
from ..models import autoregressive, priors
from ..recipes import RECIPES
from ..storage.metrics import lines_of
from ..storage.run_folder import METRICS, SPEC
from ..storage.specification import read_spec, rebuild
from .agreement import check_agreement
from .checkpoint_bounds import CheckpointCurve, evaluate_checkpoints
from .data import Source, Targets
from .doctor import diagnose
from .evaluate import evaluate
from .evaluation import Evaluation, Part, keep
from .export import Exported, export_run
from .players import check_recorded_players, recorded_points
from .relocation import given_again
from .run_joint import RunJoint
from .simulated import like_part
from .spec import check_recorded_command
from .training_data import Sources

if TYPE_CHECKING:
    from ..analysis.calibration import Calibration

__all__ = ["Evaluation", "Part", "Run", "Source", "load", "resolve_device"]

PARTS = (autoregressive, priors)  # rooms whose parts a specification may name, and that nothing else here imports


def load(
    folder: str | Path,
    parts: Mapping[str, Callable[..., Any]] | None = None,
    device: str = "cpu",
    *,
    data: Any = None,
    labels: Any = None,
    test: Any = None,
    test_labels: Any = None,
) -> Run:
    """Open a run folder; no code is executed from it, and nothing is unpickled.

    Args:
        folder: what `jensen train` wrote.
        parts: for a model with parts of your own: by class name, the class, or a function that makes one.
        device: where the model goes; "auto" is the accelerator where there is one.
        data, labels, test, test_labels: what it was trained on, from another place or in memory; by default files are
            read where they were, or beside the run.

    Raises:
        DataError: these are not the data that it was trained on.
        UsageError: there is no run here, the device cannot be used, or a part of your own is missing.
        CorruptRunError: files are damaged or do not belong together.
    """
    folder, where = Path(folder), resolve_device(device)
    spec = read_spec(folder)
    run = Run(folder, spec, parts, str(where))
    given = Sources(data, labels, test, test_labels)
    if data is not None or test is not None:
        run.held = given_again(spec, given)
    return run


class Run(RunJoint, Shown):
    """An opened run folder; see `load`.

    Attributes:
        path: the folder.
        parts: of the user's own, as they were given to `load`.
        spec: the specification, as read.
        model, guide: with their weights, ready to use.
        weights: which those are, "raw" or "averaged".
        schema: of the data, as the user knows them.
        seen: of the data, as the model sees them.
        preparation: from the one to the other.
    """

    def __init__(
        self, folder: Path, spec: dict[str, Any], parts: Mapping[str, Callable[..., Any]] | None, device: str
    ) -> None:
        self.path, self.spec, self.device, self.parts = folder, spec, device, parts
        check_recorded_players(spec, parts)
        check_recorded_command(spec, folder / SPEC)
        self.model, self.guide, self.weights = rebuild(folder, spec, parts)
        self.model.to(device)
        self.guide.to(device)
        self.schema = Schema.from_dict(spec["data"]["schema"])
        self.preparation = Preparation.from_dict(spec["preparation"])
        self.seen = self.preparation.outcome(self.schema)
        self.sentence: str = spec["sentence"]
        self._check_sizes()
        if not parts:  # those of the user's own need not accept a made-up datum
            check_agreement(
                self.model, self.guide, len(self.conditions or self.classes or ()) if self.conditional else 0
            )

    def _check_sizes(self) -> None:
        """Model, schema and preparation are of the same data."""
        size = self.schema.size
        fits = self.model.likelihood.family.dim == size
        for values in (self.preparation.center, self.preparation.scale, self.preparation.fill):
            fits = fits and (values is None or values.shape in ((), (size,)))
        scale = self.preparation.scale
        if not fits or (scale is not None and not (scale > 0).all()):
            raise CorruptRunError(
                f"model, data schema and preparation in {self.path / SPEC} are not of the same data",
                "Restore it from a copy, or train again.",
            )

    @property
    def title(self) -> str:
        """The title of its recipe, or the recipe's name where that is not known here."""
        name = self.spec["command"].get("recipe")
        if name is None:
            return "Model of your own parts"
        return RECIPES[name].title if name in RECIPES else str(name)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
        return list(lines_of(self.path / METRICS))

    @property
    def interrupted(self) -> bool:
        """True if training was interrupted, and can be resumed."""
        return next((line["reason"] for line in reversed(self.metrics) if "reason" in line), "") == "interrupted"

    def evaluate(
        self,
        data: Source | None = None,
        *,
        labels: Targets | None = None,
        k: int | None = None,
        method: str = "auto",
        budget: float = 30.0,
        settings: TightnessSettings | None = None,
        annealing: Annealed | None = None,
        tolerance: float | None = None,
        levels: Sequence[int] = (),
        rows_at_most: int | None = None,
        train_rows: int | None = None,
        seed: int = 0,
        watch: ProgressCallback | None = None,
        first: Callable[[Evaluation], None] | None = None,
    ) -> Evaluation:
        """Estimate log p(x) of rows, by default the run's test rows, in the data's own units.

        A plain one (no method, no k) also measures how tight the number is, and how training rows compare.

        Args:
            data: other rows; and `labels` of them, where a run learned from labels and the data do not hold any.
            k: points per datum of importance weighting: with it, that bound alone. Without, as many of 5000, 1000, 100
                and 10 as take a third of the budget, and annealing of some rows says how tight the bound is.
            method: "auto", "exact", "importance", "annealed", "quadrature" or "flow": of a diffusion, log p(x) by its
                probability flow, another density than the chain's.
            budget: seconds for all of a plain evaluation; 0 leaves out all but the number itself, with 5000 points.
            settings: of annealing, instead of a budget: those of an earlier evaluation repeat it.
            annealing: temperatures, leapfrog_steps, chains and start, where the method is "annealed".
            tolerance, rows_at_most: of the method "flow": of its solver, 1e-4 unless given, and how many rows, evenly
                spaced, 500 unless given.
            levels: numbers of levels: the bound of a chain of so many, by a diffusion's network, is estimated for each.
            train_rows: training rows to evaluate too; by default as many as fit the budget, 500 at most.
            seed: of all Monte Carlo, and of a dynamic binarisation.
            watch: progress callback, called with the fraction done, 0 to 1.
            first: called with the number as soon as it is there, before all that is measured about it.
        """
        with undisturbed_threads(torch.device(self.device)):
            return evaluate(
                self,
                data,
                labels=labels,
                k=k,
                method=method,
                budget=budget,
                settings=settings,
                annealing=annealing,
                tolerance=tolerance,
                levels=levels,
                rows_at_most=rows_at_most,
                train_rows=train_rows,
                seed=seed,
                watch=watch,
                first=first,
            )

    def along(
        self,
        data: Source | Part | None = None,
        *,
        rows_at_most: int = 200,
        k: int = 500,
        seed: int = 0,
        watch: ProgressCallback | None = None,
    ) -> CheckpointCurve:
        """Return ELBO, log p(x) and their gap at every checkpoint that training kept, and with the run's own weights.

        Args:
            data: other rows than the run's own test rows.
            rows_at_most: rows to evaluate, evenly spaced.
            k: points per datum, where log p(x) is not exact.
            seed: of all Monte Carlo.
            watch: progress callback, called with the fraction done, 0 to 1.

        Raises:
            NotNormalised: the guide has no density.
            CorruptRunError: a checkpoint is damaged, or belongs to another run.
        """
        part = self.chosen(data, seed)
        index = evenly_spaced(len(part.rows), rows_at_most, self.device)
        part = part.subset(index, f"{len(index)} of {part.name}")
        last = [line for line in self.metrics if line["event"] == "stopped"]
        own = (int(last[-1]["kept_epoch"]), self.weights) if last else None
        return evaluate_checkpoints(self, part, own, k=k, seed=seed, watch=watch)

    def doctor(self, *, seed: int = 0, watch: ProgressCallback | None = None) -> Diagnosis:
        """Diagnose the run on its own rows and by its kept evaluation; see `jensen.analysis.doctor.examine`.

        Raises:
            UsageError: the run keeps no data, and none were given.
            DataError: the rows that it was trained on cannot be read.
        """
        return diagnose(self, classes=self.class_features, seed=seed, watch=watch)

    def calibrate(self, *, n: int = 1000, seed: int = 0, watch: ProgressCallback | None = None) -> Calibration:
        """Return the calibration of q(z | x) on n data simulated by the model; see `jensen.analysis.calibration`.

        Where entries of the run's own rows are missing, the same entries of simulated data are hidden.
        """
        from ..analysis.calibration import calibrate  # SciPy's functions take a tenth of a second

        like = like_part(self, seed)[0]
        like = None if like is None else like.rows
        return calibrate(self.model, self.guide, n=n, seed=seed, watch=watch, like=like)

    def as_estimator(self, kind: Literal["model", "imputer", "anomaly", "mixture"] = "model") -> Any:
        """Return the run as an estimator of scikit-learn; see `jensen.sklearn.estimator_of`."""
        # by name, since that room is built on this one
        return importlib.import_module("jensen.sklearn").estimator_of(self, kind)

    def keep(
        self, evaluation: Evaluation, online: bool = False, notice: Callable[[str], None] = lambda text: None
    ) -> Path:
        """Write the evaluation into the run's folder, and say where; see `jensen.runs.evaluation.keep`."""
        return keep(self.path, evaluation, online, notice)

    def export(self, folder: str | Path, kind: str = "onnx", *, force: bool = False, seed: int = 0) -> Exported:
        """Write encoder and decoder into a folder that opens without jensen; see `jensen.runs.export.export_run`."""
        return export_run(self, folder, kind, title=self.title, force=force, seed=seed)

    def gradients(
        self, *, n: int = 64, repeats: int = 100, seed: int = 0, pair: Any = None, watch: ProgressCallback | None = None
    ) -> GradientComparison:
        """Bias, variance and cost of each gradient estimator on n training rows; `pair` is another (model, guide)."""
        rows, noise = self.part("train", seed).rows, stream(seed, "gradient rows", self.device)
        index = some_rows(len(rows), n, stream(seed, "gradient rows")).to(self.device)
        model, guide = pair or (self.model, self.guide)
        return compare_gradients(
            model,
            guide,
            rows.take(index, noise),
            objective=compared_objective(self.spec["players"]),
            points=recorded_points(self.spec),
            corruption=self.corruption,
            repeats=repeats,
            seed=seed,
            watch=watch,
        )

    def __repr__(self) -> str:
        stopped = ", interrupted" if self.interrupted else ""
        return f"Run({str(self.path)!r}{stopped}: {self.sentence})"
