"""Flags that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..storage.run_folder import require_run

if TYPE_CHECKING:
    from ..runs.run import Run as OpenedRun

__all__ = [
    "NO_FLAGS",
    "Data",
    "Ddim",
    "DescentSteps",
    "Device",
    "Force",
    "Json",
    "Labels",
    "Number",
    "Out",
    "Place",
    "Quiet",
    "Run",
    "RunFlags",
    "Safe",
    "Seed",
    "TestPlace",
    "parse_size",
    "switch",
]


def switch(text: str) -> Parameter:
    """Return the help of a flag without a value, off by default."""
    return Parameter(help=text, negative="", show_default=False)


Run = Annotated[str, Parameter(help="a run folder, as jensen train writes it")]
Data = Annotated[str | None, Parameter(help="data to use instead of the run's test rows: a path, digits or sprites")]
Place = Annotated[
    str | None,
    Parameter(
        name="--data", help="where the data that the run was trained on are now; the same rows, by their SHA-256"
    ),
]
TestPlace = Annotated[str | None, Parameter(name="--test", help="where its test file is now, if not near its data")]
Labels = Annotated[str | None, Parameter(name="--labels", help="labels of DATA: a file, or a column or key of it")]
Out = Annotated[
    str | None,
    Parameter(
        name="--out",
        help="file to write, in the format of its suffix: .csv, .npz, .npy or .png; of a mixed table also .tsv,"
        " .parquet, .feather or .xlsx; - is CSV on stdout",
        allow_leading_hyphen=True,  # for the hyphen itself
    ),
]
Number = Annotated[int, Parameter(name="-n", help="number of samples")]
DescentSteps = Annotated[
    int | None,
    Parameter(
        name="--steps",
        help="of a diffusion, in which the noise is taken off; by default the levels of its chain, or 256 in continuous"
        " time",
    ),
]
Ddim = Annotated[bool, switch("of a diffusion, steps without noise (DDIM), of which few suffice")]
Seed = Annotated[int, Parameter(name="--seed", help="seed of all randomness")]
Device = Annotated[str, Parameter(name="--device", help="auto, cpu, cuda, ...")]
Force = Annotated[bool, switch("replace what exists")]
Safe = Annotated[
    bool,
    Parameter(
        name="--spreadsheet-safe",
        help="put an apostrophe before text in a .csv that a spreadsheet would run as a formula",
        negative="",
        show_default=False,
    ),
]
Json = Annotated[bool, switch("print the result as one JSON object")]
Quiet = Annotated[bool, switch("print neither progress nor notes")]


@Parameter(name="*")
@dataclass(frozen=True)
class RunFlags:
    """The flags of every verb that reads a run and its data."""

    place: Place = None
    test: TestPlace = None
    seed: Seed = 0
    device: Device = "auto"
    json: Json = False
    quiet: Quiet = False

    @property
    def again(self) -> str | None:
        """The device, for the next command; None where it is chosen."""
        return None if self.device == "auto" else self.device

    @property
    def places(self) -> dict[str, str | None]:
        """Options for the next command on the same run: where its data are."""
        return {"data": self.place, "test": self.test}

    def opened(self, run: str) -> OpenedRun:
        """Return the run of this folder, on the device, with its data where they are now."""
        require_run(Path(run))
        from ..runs.run import load  # imports torch

        return load(run, device=self.device, data=self.place, test=self.test)


NO_FLAGS = RunFlags()


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width from "H,W", or from "H" if they are equal.

    Raises:
        UsageError: the text does not hold one or two whole numbers.
    """
    try:
        sizes = [int(part) for part in text.replace("x", ",").split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise UsageError(f"--size must be a height and a width, got {text}", "Give both: --size 28,28.")
    return sizes[0], sizes[-1]
