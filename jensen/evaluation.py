"""An evaluation: an estimate, the rows and circumstances that it is about, and what it takes to repeat it."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .batch import Rows
from .evaluate import Assessment, Estimate
from .runfiles import digest
from .version import __version__

__all__ = ["Evaluation", "Part", "circumstances", "versions"]


@dataclass(frozen=True)
class Part:
    """Data as the model sees them, and as the user knows them.

    Attributes:
        rows: prepared; a dynamic binarisation has been drawn once.
        x: [N, D] in the data's own units.
        labels: [N], or None.
        name: what to call them ("test rows of digits").
        notes: what the user should be told.
    """

    rows: Rows
    x: np.ndarray
    labels: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()

    def first(self, n: int) -> Part:
        """The first n rows."""
        rows = self.rows.subset(torch.arange(min(n, len(self.rows)), device=self.rows.device))
        labels = None if self.labels is None else self.labels[:n]
        return Part(rows, self.x[:n], labels, f"the first {len(rows)} of {self.name}", self.notes)


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
        assessment: how tight a bound is, where that was measured.
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
    assessment: Assessment | None = None
    replay: dict[str, Any] = field(default_factory=dict)

    @property
    def bits_scale(self) -> float:
        """Nats per datum in one bit per dimension."""
        return self.size * math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        about = {
            "run": self.run,
            "data": self.data,
            "prepared": self.prepared,
            "weights": self.weights,
            "seed": self.seed,
        }
        record = {**self.estimate.to_dict(), "bits_per_dim": self.bits_per_dim, "units": "nats per datum"}
        told = None if self.assessment is None else self.assessment.to_dict()
        return {**record, **about, "assessment": told, "notes": list(self.notes), "replay": self.replay}

    def __str__(self) -> str:
        return f"{self.estimate} on {self.data} ({self.prepared})"


def versions() -> dict[str, str]:
    """Of what computes the numbers."""
    return {
        "jensen": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def circumstances(
    folder: Path, method: str, k: int | None, assessment: Assessment | None, device: str
) -> dict[str, Any]:
    """What has to be known to repeat an evaluation, beside its seed: time plays no part in it.

    Args:
        folder: the run's.
        method, k: as they were asked for.
        assessment: its settings were chosen by time once; they are repeated as they were.
    """
    return {
        "method": method,
        "k": k,
        "assessment": None if assessment is None else asdict(assessment.settings),
        "weights_sha256": digest(folder / "model.safetensors"),
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
