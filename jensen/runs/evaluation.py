"""An evaluation: an estimate, the rows and circumstances that it is about, and what it takes to repeat it."""

from __future__ import annotations

import math
import platform
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import NumericalError, UsageError
from ..core.version import __version__
from ..data import Factors, Preparation, Schema
from ..evaluate import Annealed, Assessment, Estimate, Evaluator, ExactTightness, GeneralisationGap
from ..evaluate.estimate import quantity
from ..storage.files import JSON_LIMIT, digest, parsed, read_limited, write_json
from ..storage.run_folder import EVALUATION, EVALUATIONS, WEIGHTS

__all__ = ["Evaluation", "Part", "bits_per_dim", "circumstances", "keep", "refuse_nan", "versions"]


QUESTION = ("method", "k", "annealing")  # of a replay: what was asked for


@dataclass(frozen=True)
class Part:
    """Data as the model sees them, and as the user knows them.

    Attributes:
        rows: prepared; a dynamic binarisation has been drawn once.
        x: [N, D] in the data's own units.
        labels: [N], or None.
        name: what to call them ("test rows of digits").
        notes: what the user should be told.
        mask: [N, D], True where observed; None when everything is.
        shift: nats that turn the model's log-density into that of the data's own units; [N] where entries are missing.
        factors: what the data were made from, where that is known.
    """

    rows: Rows
    x: np.ndarray
    labels: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    shift: float | Tensor = 0.0
    factors: Factors | None = None

    def subset(self, index: Tensor, name: str) -> Part:
        """Return the rows [M] of these numbers, under another name."""
        own = index.cpu().numpy()
        labels, mask = (None if each is None else each[own] for each in (self.labels, self.mask))
        shift = self.shift[index.to(self.shift.device)] if isinstance(self.shift, Tensor) else self.shift
        factors = None if self.factors is None else self.factors.rows(own)
        return Part(self.rows.subset(index), self.x[own], labels, name, self.notes, mask, shift, factors)

    def first(self, n: int) -> Part:
        """Return the first n rows."""
        some = min(n, len(self.rows))
        return self.subset(torch.arange(some, device=self.rows.device), f"the first {some} of {self.name}")


@dataclass(frozen=True)
class Evaluation:
    """An estimate with the circumstances under which it holds.

    Attributes:
        estimate: in the data's own units.
        data: which rows.
        prepared: binarisation or dequantisation, in words.
        weights: "raw" or "averaged".
        seed: of all Monte Carlo.
        bits_per_dim: for integer data; a mass, or a density of dequantised values.
        size: D.
        assessment: how tight a bound is and where it is lost, or what stands behind an exact number, where that was
            measured.
        halves: training rows beside these, where they were compared.
        given: what the number is conditional on, log p(x | given): "label"; None of one on log p(x).
        classified: how often the guide is right about labels, where the class is a latent; JSON-serialisable.
        replay: what was asked for, and of which weights and versions: enough to repeat it (see `circumstances`).
    """

    estimate: Estimate
    run: str
    data: str
    prepared: str
    weights: str
    seed: int
    bits_per_dim: float | None
    size: int
    notes: tuple[str, ...] = ()
    assessment: Assessment | ExactTightness | None = None
    halves: GeneralisationGap | None = None
    replay: dict[str, Any] = field(default_factory=dict)
    given: str | None = None
    classified: dict[str, Any] | None = None

    @property
    def bits_scale(self) -> float:
        """Nats per datum in one bit per dimension."""
        return self.size * math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        about = {
            "run": self.run,
            "data": self.data,
            "prepared": self.prepared,
            "weights": self.weights,
            "seed": self.seed,
        }
        record = {**self.estimate.to_dict(), "bits_per_dim": self.bits_per_dim, "units": "nats per datum"}
        record["given"] = self.given
        assessment = None if self.assessment is None else self.assessment.to_dict()
        halves = None if self.halves is None else self.halves.to_dict()
        measured = {"assessment": assessment, "train_test": halves, "classified": self.classified}
        return {**record, **about, **measured, "notes": list(self.notes), "replay": self.replay}

    @property
    def slug(self) -> str:
        """The question that was asked, as the name of a file.

        Method and K (or the settings of annealing), the binding parts of the question; the seed, where it is not 0.
        """
        method, estimate = str(self.replay.get("method", "auto")), self.estimate
        if method == "auto":
            bound = "importance" if estimate.k is not None else str(estimate.kind)
            method = bound
        words = [method.replace(" ", "-")]
        if method == "annealed":
            words += [
                f"{name[0]}{estimate.settings[name]}" for name in ("temperatures", "leapfrog_steps", "chains", "start")
            ]
            words += [] if estimate.settings["correct"] else ["uncorrected"]
        elif estimate.k is not None:
            words.append(f"k{estimate.k}")
        words += [f"seed{self.seed}"] if self.seed else []
        return re.sub(r"[^a-z0-9-]", "", "-".join(words))

    def worded(self, text: str) -> str:
        """Return a line about log p(x) with the quantity that the number is of, such as log p(x | label)."""
        return text.replace(quantity(None), quantity(self.given))

    def __str__(self) -> str:
        return self.worded(f"{self.estimate} on {self.data} ({self.prepared})")


def bits_per_dim(estimate: Estimate, schema: Schema, preparation: Preparation) -> float | None:
    """Return bits per dimension of integer data, a mass or a dequantised density; None of others, which have no common
    unit."""
    if estimate.mean is None or schema.kind != "integers" or preparation.binarize is not None:
        return None
    return -estimate.mean / (schema.size * math.log(2))


def refuse_nan(estimate: Estimate) -> None:
    """Refuse an estimate with a row that is not a number.

    Raises:
        NumericalError: naming the first.
    """
    if estimate.nats is not None and bool(torch.isnan(estimate.nats).any()):
        bad = int(torch.isnan(estimate.nats).nonzero()[0])
        raise NumericalError(f"log p(x) of row {bad} is not a number", "Look at that row, and at jensen doctor.")


def keep(folder: Path, evaluation: Evaluation) -> Path:
    """Write an evaluation of a run's own rows into its folder, and say where.

    evaluation.json is for the plain one (no method, no K): that, and what it knows of its own tightness, is not lost to
    a later, narrower question about the same weights, which goes into the folder `evaluations`.
    """
    record, main = evaluation.to_dict(), folder / EVALUATION
    path = main if _yields(main, record) else folder / EVALUATIONS / f"{evaluation.slug}.json"
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be made a folder ({error})", "Move what is there.") from error
    write_json(path, record)
    return path


def _yields(path: Path, record: dict[str, Any]) -> bool:
    """Return whether what the file holds may be replaced: nothing, other weights, the same question, or less than there
    is."""
    try:
        held = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
        was, now = held["replay"], record["replay"]
        if was["weights_sha256"] != now["weights_sha256"]:
            return True
        same = all(was.get(name) == now.get(name) for name in QUESTION)
        plain = now["method"] == "auto" and now["k"] is None
    except (OSError, ValueError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return True  # there is none, or nothing that could be read or repeated
    return (same or plain) and (record["assessment"] is not None or held.get("assessment") is None)


def versions() -> dict[str, str]:
    """Return the versions of what computes the numbers."""
    return {
        "jensen": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def circumstances(
    folder: Path,
    method: str,
    k: int | None,
    assessment: Assessment | ExactTightness | None,
    halves: GeneralisationGap | None,
    device: str,
    evaluator: Evaluator | None = None,
) -> dict[str, Any]:
    """Return the record that repeats an evaluation, beside its seed; time plays no part in it.

    Args:
        folder: the run's.
        method, k: as they were asked for.
        assessment: its settings were chosen by time once; they are repeated as they were.
        halves: as many training rows are looked at again.
        evaluator: one that anneals is recorded with its settings.
    """
    return {
        "method": method,
        "k": k,
        "annealing": asdict(evaluator) if isinstance(evaluator, Annealed) else None,
        "assessment": None if assessment is None else asdict(assessment.settings),
        "train_rows": 0 if halves is None else len(halves.train),
        "weights_sha256": digest(folder / WEIGHTS),
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
