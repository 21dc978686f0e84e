"""An evaluation: an estimate with its rows and circumstances, and the record that repeats it."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..analysis.reliability import Trained
from ..core.batch import Rows
from ..core.errors import CorruptRunError, NumericalError, UsageError
from ..core.memory import require_memory
from ..core.shown import Shown
from ..core.version import __version__
from ..core.wording import format_nats, plural
from ..data import Factors, Preparation, Schema
from ..data.file_rows import Array, ColumnRows, FileRows
from ..data.frames import Frame
from ..data.hashed_split import RowNumbers
from ..evaluate import Annealed, Estimate, Evaluator, GeneralisationGap, Kind, Tightness
from ..evaluate.quantity import EVIDENCE, Quantity
from ..storage.entries import make_folder
from ..storage.files import digest, write_json
from ..storage.run_folder import EVALUATION, EVALUATIONS, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from ..storage.tracking import track_evaluation
from .row_values import row_values

__all__ = ["Evaluation", "OwnRows", "Part", "bits_per_dim", "circumstances", "keep", "refuse_nan", "versions"]


NAMED = 5  # rows that are not finite
PIECE = 2**23  # bytes of rows in double precision that are processed at a time, of those that stay in their files
WHOLE = 512  # rows, of which a piece is a multiple, so that the batches of verbs are those of rows in memory
MEASURED = ("assessment", "by_levels")  # what an evaluation may hold beside its number
REQUEST = ("method", "k", "annealing")  # the keys of a replay that were asked for


@dataclass(frozen=True)
class OwnRows:
    """A part of the data that a run was trained on.

    Attributes:
        part: "train", "valid" or "test".
        index: [M] the numbers of its rows among all, from 0.
    """

    part: str
    index: np.ndarray | RowNumbers


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
        is_whole: they are all rows of the data that the run was trained on.
        frame: the table as it was given, with all of its columns; None of other data.
        identity: by name, columns [N] that say which row it is and are no data: see `Dataset.identity`.
        numbers: [N] the number of each row in its file or container, from 0; None where it is not known.
    """

    rows: Rows
    x: Array
    labels: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    shift: float | Tensor = 0.0
    factors: Factors | None = None
    files: np.ndarray | None = None
    own: OwnRows | None = None
    identity: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: np.ndarray | RowNumbers | None = None
    is_whole: bool = False
    frame: Frame | None = None

    def subset(self, index: Tensor, name: str) -> Part:
        """Return the rows [M] of these numbers, under another name."""
        own = index.cpu().numpy()
        kept = (self.labels, self.mask, self.files, self.numbers)
        labels, mask, files, numbers = (None if each is None else each[own] for each in kept)
        shift = self.shift[index.to(self.shift.device)] if isinstance(self.shift, Tensor) else self.shift
        factors = None if self.factors is None else self.factors.rows(own)
        identity = {key: values[own] for key, values in self.identity.items()}
        return Part(
            rows=self.rows.subset(index),
            x=self.x.rows(own) if isinstance(self.x, ColumnRows) else self.x[own],
            labels=labels,
            name=name,
            notes=self.notes,
            mask=mask,
            shift=shift,
            factors=factors,
            files=files,
            identity=identity,
            numbers=numbers,
            frame=None if self.frame is None else self.frame.rows(own),
        )

    @property
    def is_streamed(self) -> bool:
        """True if the rows stay in their files."""
        return isinstance(self.x, FileRows) and not isinstance(self.x, ColumnRows)

    @property
    def row_numbers(self) -> np.ndarray | None:
        """The numbers [N] of the rows as an array."""
        return None if self.numbers is None else self.numbers[:]

    def pieces(self) -> Iterator[Part]:
        """Yield the rows in order: all of them where they are in memory, else some megabytes at a time."""
        if not self.is_streamed:
            yield self
            return
        step = max(PIECE // max(1, 8 * self.x.shape[1]) // WHOLE, 1) * WHOLE
        for start in range(0, len(self.x), step):
            yield self.subset(torch.arange(start, min(start + step, len(self.x))), self.name)

    def loaded(self) -> Part:
        """Return the rows in memory.

        Raises:
            UsageError: they do not fit.
        """
        if not self.is_streamed:
            return self
        require_memory(3 * self.x.nbytes, f"all {len(self.x):,} rows at once", "Give fewer rows: DATA.")
        return self.subset(torch.arange(len(self.x)), self.name)

    def first(self, n: int) -> Part:
        """Return the first n rows."""
        some = min(n, len(self.rows))
        return self.subset(torch.arange(some, device=self.rows.device), f"the first {some} of {self.name}")


@dataclass(frozen=True)
class Evaluation(Shown):
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
        quantity: log p(x), log p(x | label) of a conditional model, or log p(x_o, s) (see `Quantity`).
        classified: the accuracy of the guide, where the class is a latent; JSON-serialisable.
        replay: the request, with weights and versions: enough to repeat it (see `circumstances`).
        identity: columns [N] that say which row it is.
        trained: the training of the model, on which findings about the number depend.
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
    identity: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    trained: Trained | None = None

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The values of every row, in nats, by the names of their columns; see `row_values`."""
        return row_values(self.estimate, self.quantity, self.identity)

    @property
    def given(self) -> str | None:
        """The condition of the quantity: "label" of a conditional model."""
        return self.quantity.condition

    @property
    def bits_scale(self) -> float:
        """Nats per datum in one bit per dimension."""
        return self.size * math.log(2)

    @property
    def bits_sentence(self) -> str | None:
        """The bits per dimension with their error; None where they are not defined, see `bits_per_dim`."""
        if self.bits_per_dim is None:
            return None
        error = None if self.estimate.stderr is None else self.estimate.stderr / self.bits_scale
        sign = "<= " if "lower bound" in self.estimate.kind else ""
        return f"{sign}{format_nats(self.bits_per_dim, error)} bits per dimension"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            **self.estimate.to_dict(),
            "bits_per_dim": self.bits_per_dim,
            "units": "nats per datum",
            "given": self.given,
            "quantity": str(self.quantity),
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
        bits = "" if self.bits_sentence is None else f", {self.bits_sentence},"
        return f"{self.estimate.sentence(str(self.quantity))}{bits} on {self.data} ({self.prepared})"

    def __repr__(self) -> str:
        return f"Evaluation({self})"


def bits_per_dim(estimate: Estimate, schema: Schema, preparation: Preparation) -> float | None:
    """Return bits per dimension of integer data, a mass or a dequantised density; None of others, which have no common
    unit."""
    if estimate.mean is None or schema.kind != "integers" or preparation.binarize is not None:
        return None
    return -estimate.mean / (schema.size * math.log(2))


def refuse_nan(estimate: Estimate, part: Part | None = None) -> None:
    """Refuse an estimate with a row that is not finite.

    Args:
        estimate: of rows.
        part: the rows, by whose numbers in their file they are named, with the value that is farthest out.

    Raises:
        NumericalError: naming the first of them.
    """
    if estimate.nats is None or bool(torch.isfinite(estimate.nats).all()):
        return
    bad = (~torch.isfinite(estimate.nats)).nonzero().flatten().tolist()
    value = float(estimate.nats[bad[0]])
    listed = ", ".join(_row_in_words(row, part) for row in bad[:NAMED]) + (", ..." if len(bad) > NAMED else "")
    what = f"log p(x) of {plural(len(bad), 'row')} is not finite ({value:g}, first in {listed}, from 0)"
    raise NumericalError(what, "Correct or drop these rows; and look at jensen doctor.")


def _row_in_words(row: int, part: Part | None) -> str:
    """Return the number of a row in its file, and its largest value in terms of what the model sees."""
    if part is None or row >= len(part.x):
        return f"row {row}"
    number = row if part.numbers is None else int(part.numbers[row])
    column = int(part.rows.take(torch.tensor([row], device=part.rows.device)).x[0].abs().argmax())
    return f"row {number} with {part.x[row, column]:g} in column {column}"


def keep(
    folder: Path,
    evaluation: Evaluation,
    online: bool = False,
    notice: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write an evaluation of a run's own rows into its folder, and return the path.

    evaluation.json is for the plain one (no method, no K): a later, narrower evaluation of the same weights goes into
    the folder `evaluations`, so that the plain one and its measured tightness are kept; so does that of a flow, which
    is another density. Runs of trackers that the
    training wrote get its numbers too, those on a server only if `online` is True.
    """
    record, main = evaluation.to_dict(), folder / EVALUATION
    is_main = record["replay"]["method"] != "flow" and _is_replaceable(main, record)
    path = main if is_main else folder / EVALUATIONS / f"{evaluation.slug}.json"
    try:
        if path.parent != folder:
            make_folder(path.parent)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be made a folder ({error})", "Move what is there.") from error
    write_json(path, record)
    track_evaluation(folder, record, online, notice)
    return path


def _is_replaceable(path: Path, record: dict[str, Any]) -> bool:
    """Return whether the record may replace the file: there is none that can be read, it is of other weights, or it
    answers the same or a narrower request and measures no more; a plain one with fewer points measures less."""
    try:
        held = read_record(path, EvaluationRecord, "")
        was, now = held["replay"], record["replay"]
        if was["weights_sha256"] != now["weights_sha256"]:
            return True
        same = all(was.get(name) == now.get(name) for name in REQUEST)
        plain = now["method"] == "auto" and now["k"] is None
    except (CorruptRunError, KeyError, TypeError, AttributeError):
        return True  # there is none, or none that could be read or repeated
    measures, measured = (any(each.get(name) is not None for name in MEASURED) for each in (record, held))
    fewer = same and plain and (record["k"] or 0) < (held["k"] or 0) and measured == measures
    return (same or plain) and (measures or not measured) and not fewer


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
    levels: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the record that, with the seed, repeats an evaluation; it does not depend on time.

    Args:
        folder: the run's.
        method, k: as they were asked for.
        assessment: of the tightness; its settings, once chosen by time, are recorded.
        halves: training rows against others; their number is recorded.
        device: of the computation.
        evaluator: if it anneals, its settings are recorded.
        levels: of a chain, as they were asked for.
    """
    return {
        "method": method,
        "k": k,
        "levels": list(levels),
        "annealing": asdict(evaluator) if isinstance(evaluator, Annealed) else None,
        "assessment": None if assessment is None else asdict(assessment.settings),
        "train_rows": 0 if halves is None else len(halves.train),
        "weights_sha256": digest(folder / WEIGHTS),
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
