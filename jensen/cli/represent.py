"""`jensen represent`: what the codes of a run are worth."""

from __future__ import annotations

from ..runs.evaluation import versions
from ..runs.represent import Representation, Score
from ..runs.represent import represent as measure
from ..runs.run import load
from ..storage.run_folder import REPRESENTATION, digest, write_json
from .flags import Data, Device, Json, Labels, Quiet, Run, Seed
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["represent"]


def represent(
    run: Run,
    data: Data = None,
    /,
    *,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What codes tell of labels and factors: linear probe, k-means, MIG, SAP, DCI, FactorVAE score, each beside chance.

    Fitted on the run's training rows and scored on its test rows; of other data, on one half and the other. What is
    found for the run's own rows is kept in RUN/representation.json, for the report.
    """
    opened, tell = load(run, device=device), notifier(quiet)
    with Line(quiet) as line:

        def watch(done: float) -> None:
            line.fraction("representing", done)

        found = measure(opened, data, labels=labels, seed=seed, watch=watch)
    about = {"run": str(opened.path), "weights": opened.weights, "versions": versions()}
    record = {**found.to_dict(), **about, "weights_sha256": digest(opened.path / "model.safetensors")}
    for note in found.notes:
        tell(note)
    if data is None:
        write_json(opened.path / REPRESENTATION, record)
        tell(f"kept in {opened.path / REPRESENTATION}")
    if json:
        print_json(record)
    else:
        print_lines([*_lines(found), f"next: jensen report {run}"])


def _lines(found: Representation) -> list[str]:
    """One line for each measure of all factors or of the labels, one for all probes of factors."""
    (n, fitted), (m, scored) = found.fitted, found.scored
    probes = [s for s in found.scores if s.name == "linear probe"]
    lines = [f"linear probe: {'; '.join(f'{s.of} {_share(s)}' for s in probes)}"]
    clusters = [s for s in found.scores if s.name.startswith("k-means")]
    lines += (
        [f"k-means, {clusters[0].of}: {'; '.join(f'{s.name[8:]} {_share(s)}' for s in clusters)}"] if clusters else []
    )
    lines += [f"{s.name} {_share(s)}" for s in found.scores if s.of == "factors"]
    where = f"fitted on {_rows(n, fitted)}, scored on {_rows(m, scored)}; seed {found.seed}"
    return [*lines, f"codes of {found.size} features, {where}"]


def _rows(n: int, name: str) -> str:
    return name if f"{n} " in name or f"{n:,} " in name else f"{n:,} rows, {name}"


def _share(s: Score) -> str:
    error = "" if s.stderr is None else f" ± {s.stderr:.3f}"
    return f"{s.value:.3f}{error} (chance {s.chance:.3f})"
