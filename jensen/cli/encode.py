"""`jensen encode`: compute latent features of data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..core.commands import command_line
from ..core.errors import UsageError
from ..core.wording import plural
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe, switch
from .output import notifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from ..data.columns import Column
    from ..data.output_tables import OutputTable
    from ..runs.evaluation import Part
    from ..runs.run import Run as OpenedRun
    from .writing import Target

__all__ = ["encode"]


@dataclass(frozen=True)
class _Results:
    """The results that are written of rows.

    Attributes:
        run: the run.
        kept: numbers of the latent features.
        seed: of all randomness.
        assigned: columns [N] of the most probable cluster, from 1, and its probability, where they are asked for.
        data: as they were named; None for the run's own.
    """

    run: OpenedRun
    kept: Sequence[int]
    seed: int
    assigned: dict[str, np.ndarray]
    data: str | None

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        return [f"z{i + 1}" for i in self.kept]

    def codes(self, rows: Part) -> np.ndarray:
        """Return the codes [B, Z] of some rows."""
        codes = self.run.encode(rows, seed=self.seed)
        return codes if len(self.kept) == codes.shape[1] else codes[:, self.kept]

    def clusters(self, start: int = 0, stop: int | None = None) -> dict[str, np.ndarray]:
        """Return the columns of clusters of some rows."""
        return {name: values[start:stop] for name, values in self.assigned.items()}


def encode(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    labels: Labels = None,
    active: Annotated[
        bool, switch("only active features, whose mean varies over training rows (variance above 0.01)")
    ] = False,
    clusters: Annotated[
        bool, switch("the cluster of each datum (1, 2, ...) and its probability too: a component of model or prior")
    ] = False,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Compute the mean of q(z | x) of each datum, with its label if it has one. Without --out: RUN/codes.csv.

    Codes of a folder of images have the file of each in the column "file", relative to the folder; those of a mixed
    table have its columns that are no data. --out of DATA that is an .h5ad may be one too: a copy of it, with the codes
    in obsm["X_jensen"].
    """
    check_table(run, data)
    from ..core.divided import divided
    from ..core.processes import joined
    from .targets import result_target
    from .writing import print_target

    opened = flags.opened(run)
    if opened.model.latent == 0:
        raise UsageError(f"the model in {run} has no latent features", "Train one that has some, such as --recipe vae.")
    if clusters:
        _require_clusters(opened)
    target = result_target(opened, "codes", data, out, force, safe, flags, pictures=False, annotated=True)
    if clusters and target.path is not None and target.path.suffix.lower() in (".npy", ".h5ad"):
        raise UsageError(f"{target.path} holds one array, the codes", "Give --out an .npz or .csv, for clusters too.")
    part = opened.chosen(data, flags.seed, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    target.require_rows(len(part.rows))
    how, notify = _how_clustered(opened, part) if clusters else None, notifier(flags.quiet)
    for text in (*part.notes, *(() if how is None else (f"clusters are by {how}",))):
        notify(text)
    kept = _kept(opened, active)
    with joined() as processes, divided(processes):
        results = _Results(opened, kept, flags.seed, _assigned(opened, part, flags.seed) if clusters else {}, data)
        _write(target, part, results, processes.is_first)
    line, more = f"{plural(len(kept), 'latent feature')} of {part.name} in {target.path}", {}
    if how is not None:
        more = {"clusters": _occupied(results.assigned["cluster"], how, opened)}
        line += f"; {more['clusters']['occupied']} of {plural(more['clusters']['n'], 'cluster')} have data"
    record = {"n": len(part.rows), "features": len(kept), "data": part.name, **more, "notes": list(part.notes)}
    print_target(target, flags.json, line, record)


def _require_clusters(run: OpenedRun) -> None:
    """Refuse a run without clusters, before any row is read."""
    from ..analysis.clusters import require_clusters

    require_clusters(run.model, run.guide)


def _how_clustered(run: OpenedRun, part: Part) -> str:
    """Return in words what probabilities of clusters are."""
    from ..analysis.clusters import how_clustered

    return how_clustered(run.model, run.guide, part.rows)


def _kept(run: OpenedRun, active: bool) -> list[int]:
    """Return the numbers of the features that are written.

    Raises:
        UsageError: active ones are asked for, and none is.
    """
    import numpy as np

    kept = [int(i) for i in np.flatnonzero(run.active_features())] if active else list(range(run.model.latent))
    if not kept:
        raise UsageError(
            f"no latent feature of {run.path} is active", f"See why: {command_line('doctor', str(run.path))}."
        )
    return kept


def _assigned(run: OpenedRun, part: Part, seed: int) -> dict[str, np.ndarray]:
    """Return the columns [N] of the clusters of rows."""
    from ..analysis.clusters import assigned

    cluster, p = assigned(run.model, run.guide, part.rows, seed)
    return {"cluster": cluster.cpu().numpy() + 1, "p_cluster": p.cpu().numpy()}


def _occupied(cluster: np.ndarray, how: str, run: OpenedRun) -> dict[str, Any]:
    """Return the record of clusters: how many there are, how many have data, and how many data each has."""
    import numpy as np

    from ..analysis.clusters import number_of_clusters

    n = number_of_clusters(run.model)
    sizes = np.bincount(cluster - 1, minlength=n).tolist()
    return {"n": n, "occupied": sum(size > 0 for size in sizes), "sizes": sizes, "by": how}


def _write(target: Target, part: Part, results: _Results, is_first: bool) -> None:
    """Write codes and clusters in the format of the target; other processes than the first compute their part."""
    from .writing import Piece, row_arrays, row_columns, write_parts

    if target.path is not None and target.path.suffix.lower() == ".h5ad":
        _write_copy(target.path, part, results, is_first)
        return
    columns, clusters, names = results.run.schema.columns, results.clusters(), results.names
    if columns is not None and not target.is_array:
        codes = results.codes(part)
        if is_first:
            _write_table(target, part, columns, codes, results)
        return
    written = 0

    def encoded(rows: Part) -> Piece:
        nonlocal written
        start, written = written, written + len(rows.rows)
        before = row_columns(rows, (*clusters, *names)) | results.clusters(start, written)
        return Piece(results.codes(rows), rows.labels, before)

    if is_first:
        classes = results.run.schema.classes
        write_parts(target, part, encoded, names, classes, lambda: row_arrays(part, clusters) | clusters)
    else:
        for rows in part.pieces():
            encoded(rows)


def _write_copy(path: Path, part: Part, results: _Results, is_first: bool) -> None:
    """Write the .h5ad file that rows are from again, with their codes in `obsm`; in the order of its cells."""
    from ..storage.annotated_copies import write_copy

    codes, numbers = results.codes(part), part.row_numbers
    if is_first:
        write_copy(Path(results.data or ""), path, codes if numbers is None else codes[numbers.argsort()])


def _write_table(target: Target, part: Part, columns: Sequence[Column], codes: np.ndarray, results: _Results) -> None:
    """Write codes [N, Z] as a table; those of a table that stays in its files some rows after another."""
    from ..runs.table_results import encoded_table
    from .table_pieces import are_in_pieces, write_tables

    if are_in_pieces(target, part):
        write_tables(target, _tables(part, columns, codes, results), columns)
    else:
        whole = encoded_table(part, columns, codes, results.names, identified=True, before=results.clusters())
        target.write_table(whole, columns)


def _tables(part: Part, columns: Sequence[Column], codes: np.ndarray, results: _Results) -> Iterator[list[OutputTable]]:
    """Yield the tables of codes [N, Z] of some rows after another, of a table that stays in its files."""
    from ..runs.pieces import ROWS, table_parts
    from ..runs.table_results import encoded_table, places_beside

    start = 0
    for rows in table_parts(part, ROWS, places_beside(part, columns)):
        stop = start + len(rows.x)
        before = results.clusters(start, stop)
        yield [encoded_table(rows, columns, codes[start:stop], results.names, identified=True, before=before)]
        start = stop
