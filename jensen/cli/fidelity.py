"""`jensen fidelity`: how near a run's samples are to data."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..runs.evaluation import versions
from ..runs.fidelity import Fidelity, Score
from ..runs.fidelity import fidelity as measure
from ..runs.run import load
from ..storage.run_folder import FIDELITY, digest, write_json
from .flags import Data, Device, Json, Labels, Quiet, Run, Seed, switch
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["fidelity"]


def fidelity(
    run: Run,
    data: Data = None,
    /,
    *,
    n: Annotated[int | None, Parameter(name="-n", help="points of each kind; by default half the rows")] = None,
    mean: Annotated[bool, switch("means of p(x | z) in the place of samples")] = False,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How near samples are to data: Frechet distance, precision and recall, beside those of real data.

    In features of a classifier that is trained here on the run's training rows, or in principal components where there
    are no labels. What is found for the run's own test rows is kept in RUN/fidelity.json, for the report.
    """
    opened = load(run, device=device)
    with Line(quiet) as line:

        def watch(done: float) -> None:
            line.fraction("comparing", done)

        found = measure(opened, data, labels=labels, n=n, mean=mean, seed=seed, watch=watch)
    about = {"run": str(opened.path), "weights": opened.weights, "versions": versions()}
    record = {**found.to_dict(), **about, "weights_sha256": digest(opened.path / "model.safetensors")}
    if data is None:
        write_json(opened.path / FIDELITY, record)
        notifier(quiet)(f"kept in {opened.path / FIDELITY}")
    if json:
        print_json(record)
    else:
        print_lines([*_lines(found), f"next: jensen report {run}"])


def _lines(found: Fidelity) -> list[str]:
    f = found.frechet
    return [
        f"Frechet distance {f.value:.3g} ± {f.spread:.2g} of {found.n:,} {found.sampled} from as many rows; "
        f"real rows from others: {f.real:.3g} ± {f.real_spread:.2g}",
        f"precision {_share(found.precision)}; recall {_share(found.recall)}",
        f"in {found.features.phrase}, found on {found.features.rows:,} training rows; {found.data}",
        f"± over {found.repeats} draws and halves; the distance falls with -n: compare at one n only; "
        f"seed {found.seed}",
    ]


def _share(s: Score) -> str:
    return f"{s.value:.2f} ± {s.spread:.2f} (real rows {s.real:.2f})"
