"""An evaluation: an estimate with its rows and circumstances, and the record that repeats it."""

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
from ..evaluate import Annealed, Estimate, Evaluator, GeneralisationGap, Kind, Tightness
from ..evaluate.quantity import EVIDENCE, Quantity
from ..storage.files import JSON_LIMIT, digest, parsed, read_limited, write_json
from ..storage.run_folder import EVALUATION, EVALUATIONS, WEIGHTS

__all__ = ["Evaluation", "OwnRows", "Part", "bits_per_dim", "circumstances", "keep", "refuse_nan", "versions"]


REQUEST = ("method", "k", "annealing")  # the keys of a replay that were asked for


@dataclass(frozen=True)
class OwnRows:
    """A part of the data that a run was trained on.

    Attributes:
        part: "train", "valid" or "test".
        index: [M] the numbers of its rows among all, from 0.
    """

    part: str
    index: np.ndarray


@dataclass(frozen=True)
class Part:
    """Data as the model sees them, and in the user's own units.

    Attributes:
        rows: prepared; a dynamic binarisation has been drawn once.
        x: [N, D] in the data's own units.
        labels: [N], or None.
        name: such as "test rows of digits".
        notes: for the user.
        mask: [N, D], True where observed; None when everything is.
        shift: nats that turn the model's log-density into that of the data's own units; [N] where entries are missing.
        factors: the generating factors of the data, where they are known.
        files: [N] the file of each row, relative to the folder of images that it was read from; None of other data.
        own: for rows of the run's own data: which of these they are.
    """

    rows: Rows
    x: np.ndarray
    labels: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    shift: float | Tensor = 0.0
    factors: Factors | None = None
    files: np.ndarray | None = None
    own: OwnRows | None = None

    def subset(self, index: Tensor, name: str) -> Part:
        """Return the rows [M] of these numbers, under another name."""
        own = index.cpu().numpy()
        labels, mask, files = (None if each is None else each[own] for each in (self.labels, self.mask, self.files))
        shift = self.shift[index.to(self.shift.device)] if isinstance(self.shift, Tensor) else self.shift
        factors = None if self.factors is None else self.factors.rows(own)
        return Part(self.rows.subset(index), self.x[own], labels, name, self.notes, mask, shift, factors, files)

    def first(self, n: int) -> Part:
        """Return the first n rows."""
        some = min(n, len(self.rows))
        return self.subset(torch.arange(some, device=self.rows.device), f"the first {some} of {self.name}")


@dataclass(frozen=True)
class Evaluation:
    """An estimate with the circumstances under which it holds.

    Attributes:
        estimate: in the data's own units.
        data: the name of the rows.
        prepared: binarisation or dequantisation, in words.
        weights: "raw" or "averaged".
        seed: of all Monte Carlo.
        bits_per_dim: for integer data; a mass, or a density of dequantised values.
        size: D.
        assessment: how tight a bound is and where it is lost, or how accurate an exact number is, where that was
            measured.
        halves: training rows against these, where they were compared.
        quantity: log p(x), or log p(x | label) of a conditional model.
        classified: the accuracy of the guide, where the class is a latent; JSON-serialisable.
        replay: the request, with weights and versions: enough to repeat it (see `circumstances`).
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
    assessment: Tightness | None = None
    halves: GeneralisationGap | None = None
    replay: dict[str, Any] = field(default_factory=dict)
    quantity: Quantity = EVIDENCE
    classified: dict[str, Any] | None = None

    @property
    def given(self) -> str | None:
        """The condition of the quantity: "label" of a conditional model."""
        return self.quantity.condition

    @property
    def bits_scale(self) -> float:
        """Nats per datum in one bit per dimension."""
        return self.size * math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            **self.estimate.to_dict(),
            "bits_per_dim": self.bits_per_dim,
            "units": "nats per datum",
            "given": self.given,
            "run": self.run,
            "data": self.data,
            "prepared": self.prepared,
            "weights": self.weights,
            "seed": self.seed,
            "assessment": None if self.assessment is None else self.assessment.to_dict(),
            "train_test": None if self.halves is None else self.halves.to_dict(),
            "classified": self.classified,
            "notes": list(self.notes),
            "replay": self.replay,
        }

    @property
    def slug(self) -> str:
        """The name of a file for the request: method, K or settings of annealing, and the seed where it is not 0."""
        method, estimate = str(self.replay.get("method", "auto")), self.estimate
        if method == "auto":
            kind = Kind.EXACT if estimate.kind is Kind.FLOORED else estimate.kind
            method = "importance" if estimate.k is not None else str(kind)
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

    def __str__(self) -> str:
        return f"{self.estimate.sentence(str(self.quantity))} on {self.data} ({self.prepared})"


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
    """Write an evaluation of a run's own rows into its folder, and return the path.

    evaluation.json is for the plain one (no method, no K): a later, narrower evaluation of the same weights goes into
    the folder `evaluations`, so that the plain one and its measured tightness are kept.
    """
    record, main = evaluation.to_dict(), folder / EVALUATION
    path = main if _is_replaceable(main, record) else folder / EVALUATIONS / f"{evaluation.slug}.json"
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be made a folder ({error})", "Move what is there.") from error
    write_json(path, record)
    return path


def _is_replaceable(path: Path, record: dict[str, Any]) -> bool:
    """Return whether the record may replace the file: there is none that can be read, it is of other weights, or it
    answers the same or a narrower request and measures no more."""
    try:
        held = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
        was, now = held["replay"], record["replay"]
        if was["weights_sha256"] != now["weights_sha256"]:
            return True
        same = all(was.get(name) == now.get(name) for name in REQUEST)
        plain = now["method"] == "auto" and now["k"] is None
    except (OSError, ValueError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return True  # there is none, or none that could be read or repeated
    return (same or plain) and (record["assessment"] is not None or held.get("assessment") is None)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute the numbers."""
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
    assessment: Tightness | None,
    halves: GeneralisationGap | None,
    device: str,
    evaluator: Evaluator | None = None,
) -> dict[str, Any]:
    """Return the record that, with the seed, repeats an evaluation; it does not depend on time.

    Args:
        folder: the run's.
        method, k: as they were asked for.
        assessment: of the tightness; its settings, once chosen by time, are recorded.
        halves: training rows against others; their number is recorded.
        device: of the computation.
        evaluator: if it anneals, its settings are recorded.
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
