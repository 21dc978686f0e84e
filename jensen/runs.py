"""A run: a trained model with everything needed to use it on data in the data's own units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from . import tasks
from .checkpoints import Along, follow
from .data import (
    Dataset,
    Preparation,
    Schema,
    Split,
    conform,
    duplicates,
    from_array,
    read,
    read_beside,
    read_test,
    split,
)
from .errors import CorruptRunError, DataError, JensenError, NumericalError, UsageError
from .evaluate import Importance, Settings, assess, assess_within, choose
from .evaluate.doctor import Diagnosis, examine
from .evaluate.estimate import Watch
from .evaluation import Evaluation, Part, circumstances
from .randomness import stream
from .runfiles import read_spec, rebuild, tie, write_json

__all__ = ["Evaluation", "Part", "Run", "Source", "load", "resolve_device"]

Source = str | Path | np.ndarray


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is the accelerator where there is one.

    Raises:
        UsageError: it cannot be used here.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device).cpu()  # a device without memory, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {name!r} cannot be used here", "Use --device cpu.") from error
    return device


def load(folder: str | Path, parts: Mapping[str, Callable[[], nn.Module]] | None = None, device: str = "cpu") -> Run:
    """Open a run folder; no code is executed from it, and nothing is unpickled.

    Args:
        folder: what `jensen train` wrote.
        parts: for a model with modules of your own: by class name, a function that makes one.
        device: where the model goes; "auto" is the accelerator where there is one.

    Raises:
        UsageError: there is no run here, the device cannot be used, or a part of your own is missing.
        CorruptRunError: files are damaged or do not belong together.
    """
    folder, where = Path(folder), resolve_device(device)
    spec = read_spec(folder)
    try:
        return Run(folder, spec, parts, str(where))
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptRunError(
            f"{folder / 'spec.json'} is damaged ({type(error).__name__}: {error})",
            "Restore it from a copy, or train again.",
        ) from error


class Run:
    """A run folder, opened. See `load`.

    Attributes:
        path: the folder.
        spec: the specification, as read.
        model, guide: with their weights, ready to use.
        weights: which those are, "raw" or "averaged".
        schema: of the data, as the user knows them.
        seen: of the data, as the model sees them.
        preparation: from the one to the other.
    """

    def __init__(
        self, folder: Path, spec: dict[str, Any], parts: Mapping[str, Callable[[], nn.Module]] | None, device: str
    ) -> None:
        self.path, self.spec, self.device = folder, spec, device
        self.model, self.guide, self.weights = rebuild(folder, spec, parts)
        self.model.to(device)
        self.guide.to(device)
        self.schema = Schema.from_dict(spec["data"]["schema"])
        self.preparation = Preparation.from_dict(spec["preparation"])
        self.seen = self.preparation.outcome(self.schema)
        self.sentence: str = spec["sentence"]
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Model, schema and preparation are of the same data."""
        size = self.schema.size
        fits = self.model.likelihood.family.dim == size
        for values in (self.preparation.center, self.preparation.scale):
            fits = fits and (values is None or values.shape in ((), (size,)))
        scale = self.preparation.scale
        if not fits or (scale is not None and not (scale > 0).all()):
            raise CorruptRunError(
                f"model, data schema and preparation in {self.path / 'spec.json'} are not of the same data",
                "Restore it from a copy, or train again.",
            )

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
        path = self.path / "metrics.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        found = []
        for i, line in enumerate(lines):
            try:
                found.append(msgspec.json.decode(line))
            except msgspec.DecodeError as error:
                if i + 1 < len(lines):
                    raise CorruptRunError(
                        f"line {i + 1} of {path} is damaged", "Restore it, or delete the file."
                    ) from error
        return found

    # ---------------------------------------------------------------- data

    def dataset(self) -> Dataset:
        """The data that the run was trained on, read again and checked.

        Raises:
            DataError: they are gone, or have changed.
        """
        data = self.spec["data"]
        if not data["readable"]:
            raise DataError(
                "this run was trained on an array in memory, which is not kept", "Give the data: DATA or data=."
            )
        found = read(data["location"], labels=data["labels_from"], size=data["resize"])
        if found.source.sha256 != data["sha256"]:
            raise DataError(f"{data['location']} has changed since the run was trained", "Give the data to use: DATA.")
        return found

    def split(self) -> Split:
        """The rows that were trained on, and those that were not."""
        s = self.spec["split"]
        return split(self.spec["data"]["n"], tuple(s["fractions"]), s["seed"])

    def part(self, which: str = "test", seed: int = 0) -> Part:
        """The run's own "train", "valid" or "test" rows; without a test part, validation stands in and says so."""
        s, data = self.spec["split"], self.spec["data"]
        rows, notes = self.split(), ()
        if which == "test" and s["test"] is not None:
            found = read_test(
                s["test"]["location"], s["test"]["labels_from"], s["test"].get("own_labels"), data["resize"]
            )
            if found.source.sha256 != s["test"]["sha256"]:
                raise DataError(
                    f"{s['test']['location']} has changed since the run was trained", "Give the data: DATA."
                )
            return self._part(conform(found, self.schema, "test data"), f"test file {found.source.name}", seed, 2)
        if which == "test" and not len(rows.test):
            which, notes = "valid", ("there is no test part: these are validation rows",)
        index = getattr(rows, which)
        if not len(index):
            raise DataError("this run kept no rows aside", "Give data to use: DATA.")
        found = self.dataset()
        names = {"train": "training", "valid": "validation", "test": "test"}
        name = f"{len(index)} {names[which]} rows of {found.source.name}"
        kept = Dataset(
            found.x[index], None if found.labels is None else found.labels[index], found.schema, found.source
        )
        return self._part(kept, name, seed, {"train": 0, "valid": 1, "test": 2}[which], notes)

    def other(self, data: Source, labels: str | Path | None = None, seed: int = 0) -> Part:
        """Data of the user's, checked against those of the run and prepared in the same way.

        Raises:
            DataError: they have another shape, kind or binarisation.
        """
        found = from_array(data) if isinstance(data, np.ndarray) else self._read(data, labels)
        if self.preparation.binarize and found.schema.kind == "binary" and self.schema.kind != "binary":
            raise DataError(
                f"{found.source.name} is binary already, and the run binarises grey values",
                "Give grey values, or train on binary data.",
            )
        found = conform(found, self.schema)
        return self._part(found, f"{len(found)} rows of {found.source.name}", seed, 3)

    def _read(self, data: str | Path, labels: str | Path | None) -> Dataset:
        about = self.spec["data"]
        if labels is not None:
            return read(data, labels=labels, size=about["resize"] if Path(data).is_dir() else None)
        return read_beside(data, about["labels_from"], about["resize"])

    def _part(self, found: Dataset, name: str, seed: int, number: int, notes: tuple[str, ...] = ()) -> Part:
        rows = self.preparation.rows(found.x, self.schema, device=self.device, dtype=self.dtype, stream=number)
        if self.preparation.binarize == "dynamic":
            rows = rows.fixed(stream(seed, "binarize", self.device))
        return Part(rows, found.x, found.labels, name, (*found.notes, *notes))

    def chosen(self, data: Source | Part | None = None, seed: int = 0) -> Part:
        """The rows that a verb is about: the run's test rows, or data of the user's; a `Part` is returned as it is."""
        if isinstance(data, Part):
            return data
        return self.part("test", seed) if data is None else self.other(data, seed=seed)

    # ---------------------------------------------------------------- verbs

    def evaluate(
        self,
        data: Source | None = None,
        *,
        k: int | None = None,
        method: str = "auto",
        budget: float = 120.0,
        settings: Settings | None = None,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Evaluation:
        """Estimate log p(x) in the data's own units; of the run's test rows unless told otherwise.

        Args:
            data: other rows.
            k: points per datum of importance weighting: with it, that bound alone. Without, 5000, and annealing of a
                part of the rows says how tight the bound is.
            method: "auto", "exact", "importance", "annealed" or "quadrature".
            budget: seconds for annealing, where the method is "auto"; 0 leaves it out.
            settings: of annealing, instead of a budget: those of an earlier evaluation repeat it.
            seed: of all Monte Carlo, and of a dynamic binarisation.
            watch: told the fraction that is done.
        """
        evaluator = choose(self.model, self.guide, method, k)
        if budget < 0:
            raise UsageError(f"--budget {budget:g} cannot work", "Give seconds, or 0 for no annealing.")
        part = self.chosen(data, seed)
        notes = (*self.unfinished, *part.notes, *self.overlap(part, data))
        found = evaluator(self.model, self.guide, part.rows, seed, watch)
        assessed = None
        if method == "auto" and k is None and isinstance(evaluator, Importance):
            job = (self.model, self.guide, part.rows, found)
            if settings is not None:
                assessed = assess(*job, settings, seed, watch)
            elif budget > 0:
                assessed = assess_within(*job, budget, seed, watch)
                if assessed is None:
                    notes = (*notes, "how tight the bound is was not measured: raise --budget")
        if found.nats is not None and torch.isnan(found.nats).any():
            bad = int(torch.isnan(found.nats).nonzero()[0])
            raise NumericalError(f"log p(x) of row {bad} is not a number", "Look at that row, and at jensen doctor.")
        shift = self.preparation.log_jacobian(self.schema.size)
        found = found.shifted(shift)
        assessed = None if assessed is None else assessed.shifted(shift)
        bits = None
        if found.mean is not None and self.schema.kind == "integers" and self.preparation.binarize is None:
            bits = -found.mean / (self.schema.size * math.log(2))
        prepared = self.preparation.describe(self.schema)
        about = (str(self.path), part.name, prepared, self.weights, seed, bits, self.schema.size, notes)
        return Evaluation(found, *about, assessed, circumstances(self.path, method, k, assessed, self.device))

    def along(
        self,
        data: Source | Part | None = None,
        *,
        rows_at_most: int = 200,
        k: int = 500,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Along:
        """ELBO, log p(x) and their gap at every checkpoint that training kept, and with the run's own weights.

        Args:
            data: other rows than the run's own test rows.
            rows_at_most: rows to look at, evenly spaced.
            k: points per datum, where log p(x) is not exact.
            seed: of all Monte Carlo.
            watch: told the fraction that is done.

        Raises:
            NotNormalised: the guide has no density.
            CorruptRunError: a checkpoint is damaged, or belongs to another run.
        """
        part = self.chosen(data, seed)
        few = torch.linspace(0, len(part.rows) - 1, min(rows_at_most, len(part.rows)), dtype=torch.float64).round()
        rows = part.rows.subset(few.long().to(self.device))
        last = [line for line in self.metrics if line["event"] == "stopped"]
        own = (int(last[-1]["kept_epoch"]), self.weights) if last else None
        shift = self.preparation.log_jacobian(self.schema.size)
        told = {"k": k, "seed": seed, "shift": shift, "watch": watch}
        stages = tuple(follow(self.model, self.guide, self.path, tie(self.spec), rows, own, **told))
        points = k if any(stage.ess is not None for stage in stages) else None
        return Along(stages, f"{len(rows)} of {part.name}", len(rows), points, seed)

    def doctor(self, *, seed: int = 0, watch: Watch | None = None) -> Diagnosis:
        """Look for whatever can be wrong with the run, on its own rows; see `jensen.evaluate.doctor.examine`.

        Raises:
            DataError: the rows that it was trained on cannot be read.
        """
        where = self.spec["split"]
        if not self.spec["data"]["readable"]:
            remedy = "Write the array to a file, and train from that."
            raise DataError("this run was trained on an array in memory, which the doctor would have to see", remedy)
        train, test = self.part("train", seed), None
        if where["test"] is not None or where["sizes"]["test"] or where["sizes"]["valid"]:
            test = self.part("test", seed)
        rows = (train.rows, None if test is None else test.rows)
        shift = self.preparation.log_jacobian(self.schema.size)
        told = {"seed": seed, "history": self.metrics, "log_jacobian": shift, "watch": watch}
        found = examine(self.model, self.guide, *rows, **told)
        return replace(found, notes=() if test is None else test.notes)

    def keep(self, evaluation: Evaluation) -> None:
        """Write evaluation.json."""
        write_json(self.path / "evaluation.json", evaluation.to_dict())

    @property
    def unfinished(self) -> tuple[str, ...]:
        """What to say about a run whose training did not come to its end."""
        lines = self.metrics
        last = lines[-1] if lines else {}
        if last.get("event") != "stopped":
            return ("training has not ended, or was killed: these are the last weights that were written",)
        if last["reason"] in ("failed", "interrupted"):
            return (f"training {last['reason']} in epoch {last['epoch']}: these are the last weights written",)
        return ()

    def overlap(self, part: Part, data: Source | Part | None) -> tuple[str, ...]:
        """What to say about rows that the model was trained on."""
        if data is None:
            return ()
        try:
            trained = self.dataset().x[self.split().train]
        except JensenError:
            return ("the training data cannot be read, so rows that were trained on would not be noticed",)
        seen = int(duplicates(trained, part.x).sum())
        return (f"{seen} of these {len(part.x)} rows were trained on: the number flatters the model",) if seen else ()

    def sample(self, n: int, *, seed: int = 0, mean: bool = False) -> np.ndarray:
        """New data [n, ...] from the model, in the data's own units; with `mean`, the mean of p(x | z) at z ~ p(z).

        Raises:
            UsageError: n < 1.
        """
        if n < 1:
            raise UsageError(f"-n {n} cannot work", "Ask for at least one sample.")
        generator = stream(seed, "sample", self.device)
        z, batch = self.model.simulate(n, generator)
        return self.shaped(tasks.decode(self.model, z) if mean else batch.x)

    def encode(self, data: Source | Part | None = None, *, seed: int = 0) -> np.ndarray:
        """The mean of q(z | x) [N, Z]."""
        return tasks.encode(self.model, self.guide, self.chosen(data, seed).rows).cpu().numpy()

    def reconstruct(self, data: Source | Part | None = None, *, seed: int = 0, sample: bool = False) -> np.ndarray:
        """What the model makes of each datum [N, ...], in the data's own units: a mean, or a sample."""
        generator = stream(seed, "reconstruct", self.device)
        rows = self.chosen(data, seed).rows
        return self.shaped(tasks.reconstruct(self.model, self.guide, rows, sample=sample, generator=generator))

    def shaped(self, x: torch.Tensor) -> np.ndarray:
        """From the model's space [N, D] to the data's units and shape [N, H, W, C] or [N, D]."""
        return self.preparation.invert(x).reshape(len(x), *self.schema.shape)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.sentence})"
