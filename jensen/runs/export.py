"""The export of a run: encoder and decoder as graphs that open without jensen, checked against the run itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from ..core.errors import CompositionError, CorruptRunError, DataError, NumericalError, UsageError
from ..core.random import stream
from ..core.version import __version__
from ..export.card import About, model_card
from ..export.checking import BATCHES, Agreement, check_graph
from ..export.decoding import decoder_graph
from ..export.encoding import encoder_graph, sampler_graph
from ..export.onnx_files import computed_by_onnxruntime, onnx_bytes, require_onnx
from ..export.ports import Arrays, Graph, Subject
from ..export.schema_file import schema_record
from ..export.torch_files import computed_by_torch, program_bytes
from ..storage.export_folder import check_export_target, write_export
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, EVALUATIONS, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .data import RunData

__all__ = ["KINDS", "Exported", "export_run", "subject_of"]

KINDS = {"onnx": ".onnx", "torch": ".pt2"}
LETTERS = 16  # of the SHA-256 of the weights, which identify the run
TRACED = 2  # rows with which a graph is made


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Attributes:
        folder: its place.
        kind: "onnx" or "torch".
        files: the names in it.
        agreements: what the check of each graph found.
    """

    folder: Path
    kind: str
    files: tuple[str, ...]
    agreements: tuple[Agreement, ...]

    @property
    def worst(self) -> Agreement:
        """The check with the largest error."""
        return max(self.agreements, key=lambda agreement: agreement.largest)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return {
            "export": str(self.folder),
            "kind": self.kind,
            "files": list(self.files),
            "largest_relative_error": self.worst.largest,
            "checks": [agreement.to_dict() for agreement in self.agreements],
        }


def export_run(
    run: RunData, folder: str | Path, kind: str = "onnx", *, title: str = "", force: bool = False, seed: int = 0
) -> Exported:
    """Write encoder and decoder of a run into a folder that opens without jensen, with a model card.

    Each graph is compared with the run on 1, 7 and 64 rows: the run's own test rows, or rows of the model where these
    cannot be read. Nothing is written if a number differs by more than 1e-5 of its value.

    Args:
        run: see `jensen.load`; on the processor.
        folder: that is made; one that is not empty is replaced with `force`, if it is an export.
        kind: "onnx", or "torch" for programs of torch.export.
        title: of the recipe.
        force: replace another export.
        seed: of rows and noise of the check.

    Raises:
        UsageError: there is no such kind, the run is on another device, or the packages for ONNX are not installed.
        RunExistsError: the folder holds something else, or an export.
        CompositionError: the model has no such graph; the message says why.
        NumericalError: a graph differs from the run.
    """
    folder = Path(folder)
    if kind not in KINDS:
        raise UsageError(f"there is no export {kind!r}", f"Choose from {', '.join(KINDS)}.")
    if torch.device(run.device).type != "cpu":
        raise UsageError(f"the run is on {run.device}", 'Open it with jensen.load(RUN, device="cpu").')
    if kind == "onnx":
        require_onnx()
    check_export_target(folder, force)
    subject, suffix = subject_of(run), KINDS[kind]
    graphs = [g for g in (encoder_graph(subject), decoder_graph(subject), sampler_graph(subject)) if g is not None]
    about, arrays = _about(run, title), _inputs(run, subject, seed)
    metadata = about.metadata(subject.schema)
    try:
        files, agreements = _checked_files(graphs, arrays, metadata, kind)
    except CompositionError as error:
        raise CompositionError(error.what, _remedy(graphs, arrays, metadata, kind)) from error
    schema = schema_record(subject, graphs, suffix)
    files["schema.json"] = msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
    files["README.md"] = model_card(about, subject, graphs, agreements, suffix).encode()
    record = {"kind": kind, **metadata, "checks": [a.to_dict() for a in agreements], "torch": str(torch.__version__)}
    write_export(folder, files, record, force)
    return Exported(folder, kind, (*files, "export.json"), tuple(agreements))


def _checked_files(
    graphs: Sequence[Graph], arrays: Arrays, metadata: dict[str, str], kind: str
) -> tuple[dict[str, bytes], list[Agreement]]:
    """Return the files of graphs by name, and what their checks found.

    Raises:
        CompositionError: the format cannot hold a graph.
        NumericalError: a graph differs from the run.
    """
    files: dict[str, bytes] = {}
    agreements: list[Agreement] = []
    for graph in graphs:
        own = {port.name: arrays[port.name] for port in graph.inputs}
        content = _content(graph, own, metadata, kind)
        runtime = (computed_by_onnxruntime if kind == "onnx" else computed_by_torch)(content, graph)
        agreements.append(check_graph(graph, own, runtime))
        files[f"{graph.name}{KINDS[kind]}"] = content
    return files, agreements


def _remedy(graphs: Sequence[Graph], arrays: Arrays, metadata: dict[str, str], kind: str) -> str:
    """Return what to do about graphs that a format cannot hold: the other one is named where it holds them."""
    other = "torch" if kind == "onnx" else "onnx"
    try:
        if other == "onnx":
            require_onnx()
        _checked_files(graphs, arrays, metadata, other)
    except (CompositionError, NumericalError):
        return "No format can hold it: export a run of another recipe, such as vae, gmm or table."
    except UsageError:  # the packages for ONNX are not installed, so that nothing is known of it
        return "Export a run of another recipe, such as vae, gmm or table."
    return f"Use --{other}, which can hold all graphs of this run."


def subject_of(run: RunData) -> Subject:
    """Return what is exported of a run."""
    classes = run.classes
    names = tuple(map(str, classes.values)) if classes is not None and run.conditional else ()
    sees_holes = run.holed or run.schema.columns is not None
    return Subject(run.model, run.guide, run.schema, run.preparation, names, sees_holes, run.conditions)


def _content(graph: Graph, arrays: Arrays, metadata: dict[str, str], kind: str) -> bytes:
    """Return the file of a graph."""
    few = {name: values[:TRACED] for name, values in arrays.items()}
    if kind == "onnx":
        return onnx_bytes(graph, few, metadata)
    return program_bytes(graph, few, {"about": msgspec.json.encode(metadata).decode()})


def _about(run: RunData, title: str) -> About:
    """Return what a model card says of the run."""
    recipe, data = run.spec["command"].get("recipe"), run.spec["data"]
    trained = len(run.split().train) if data["n"] else 0
    return About(
        title=title or "model",
        recipe=str(recipe or "parts of your own"),
        run=digest(run.path / WEIGHTS)[:LETTERS],
        sentence=run.spec["sentence"],
        data=Path(data["name"]).name,  # where it lay says nothing elsewhere
        rows=(trained, data["n"]),
        prepared=run.preparation.describe(run.schema),
        quantity=str(run.quantity),
        evaluations=_evaluations(run),
        version=__version__,
        notes=run.unfinished,
    )


def _evaluations(run: RunData) -> Sequence[dict[str, Any]]:
    """Return the recorded evaluations of the run's own rows, of its weights as they are."""
    paths = [run.path / EVALUATION, *sorted((run.path / EVALUATIONS).glob("*.json"))]
    weights, records = digest(run.path / WEIGHTS), []
    for path in paths:
        if path.is_file():
            try:
                record = read_record(path, EvaluationRecord, "")
            except CorruptRunError:
                continue
            if record.get("replay", {}).get("weights_sha256", weights) == weights:
                records.append(record)
    return records


def _inputs(run: RunData, subject: Subject, seed: int) -> Arrays:
    """Return inputs of all graphs, as many rows as the check takes."""
    n, shape = sum(BATCHES), subject.schema.shape
    rng, generator = np.random.default_rng([seed, n]), stream(seed, "export")
    x, mask = _rows(run, subject, n, generator)
    z = run.model.simulate(n, generator)[0]
    binarized = subject.preparation.binarize is not None
    label = rng.integers(0, max(len(subject.classes), 1), n)
    if subject.conditions is not None:
        label = torch.as_tensor(run.model.contexts(n, generator)).numpy()
    return {
        "x": x.reshape(n, *shape).astype(subject.x_dtype),
        "mask": mask.reshape(n, *shape),
        "uniform": rng.random((n, *shape)).astype(np.float32 if binarized else np.float64),
        "label": label,
        "z": z.numpy(),
        "noise": rng.standard_normal(z.shape).astype(subject.number),
    }


def _rows(run: RunData, subject: Subject, n: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return data [n, D] in their own units and a mask: the run's own rows, or rows of the model."""
    try:
        part = run.chosen(None)
        index = torch.arange(n) % len(part.rows)
        some = part.subset(index, part.name)
        x, mask = np.asarray(some.x[:]), some.mask
    except (DataError, UsageError):  # they were in memory, or are gone
        seen = run.model.simulate(n, generator)[1].x
        x, mask = run.preparation.invert(seen), None
        if subject.preparation.binarize is not None:
            x = x * ((subject.schema.levels or 2) - 1)
        elif subject.schema.kind in ("binary", "integers"):
            x = np.clip(np.floor(x), 0, (subject.schema.levels or 2) - 1)
    return x, np.ones(x.shape, dtype=bool) if mask is None else mask
