"""`jensen reconstruct`: pass data through the latent space and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.errors import UsageError
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Ddim, DescentSteps, Force, Labels, Out, Run, RunFlags, Safe, switch
from .output import notifier

if TYPE_CHECKING:
    import numpy as np

    from ..runs.evaluation import Part
    from ..runs.run import Run as LoadedRun
    from .writing import Piece, Target

__all__ = ["reconstruct"]

PICTURED = 64

Sample = Annotated[bool, switch("a sample of p(x | z) at a sample of q(z | x), instead of the mean at the mean")]
TransformBatch = Annotated[
    str | None, Parameter(help="batch, or label, that all codes are decoded at; by default that of each datum")
]
FromNoise = Annotated[
    float | None,
    Parameter(
        help="of a diffusion, the time up to which noise is added before the chain takes it off again: near 0 data"
        " hardly change, and at 1 hardly anything is left of them"
    ),
]


def reconstruct(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    sample: Sample = False,
    transform_batch: TransformBatch = None,
    noisy: Annotated[bool, switch("corrupt the data first, as a denoising run did in training")] = False,
    from_noise: FromNoise = None,
    steps: DescentSteps = None,
    ddim: Ddim = False,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Reconstruct data from their codes. Without --out: RUN/reconstructions.png (originals above), or .csv.

    A mixed table comes back as it was given, with its cells of data reconstructed; names are the most probable ones.

    With --noisy a picture shows the corrupted datum between both, and an .npz holds it as "noisy".

    A diffusion's code is the data with hardly any noise; with --from-noise 0.5 it changes them, at --transform-batch to
    another label.
    """
    check_table(run, data)
    from ..core.divided import divided
    from ..core.processes import joined
    from ..runs.chain_samples import noise_option
    from ..runs.expression import batch_contexts
    from .targets import result_target
    from .writing import print_target

    opened = flags.opened(run)
    batch_contexts(opened, transform_batch)  # refuses one that is not there
    noise: dict[str, Any] = {"from_noise": from_noise, "steps": steps, "ddim": ddim}
    noise_option(opened, **noise)  # refuses what cannot be
    images = opened.schema.is_image
    target = result_target(opened, "reconstructions", data, out, force, safe, flags, pictures=images)
    part = opened.chosen(data, flags.seed, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    target.require_rows(len(part.rows))
    part = _shown(target, part, flags.quiet)
    record = {"n": len(part.rows), "data": part.name, "sample": sample, "seed": flags.seed, "notes": list(part.notes)}
    record |= {} if from_noise is None else noise
    with joined() as processes, divided(processes):
        inputs = _inputs(opened, part, noisy, flags.seed)
        record["data"] = inputs.name
        if processes.is_first and _is_in_pieces(part):
            _write_pieces(target, opened, part, {"sample": sample, "seed": flags.seed, **noise})
        elif processes.is_first:
            how: Any = {"sample": sample, "seed": flags.seed, "batch": transform_batch, **noise}
            _write(target, opened, part, inputs, how, noisy=noisy)
        elif not sample and from_noise is None:  # samples follow from one another: the first process draws all
            for _ in opened.reconstructions(inputs, seed=flags.seed, batch=transform_batch):
                pass
    print_target(target, flags.json, f"reconstructions of {record['data']} in {target.path}", record)


def _shown(target: Target, part: Part, quiet: bool) -> Part:
    """Print the notes on rows, and return those that a picture has room for."""
    notify = notifier(quiet)
    for text in part.notes:
        notify(text)
    if not target.is_picture or len(part.x) <= PICTURED:
        return part
    notify(f"{target.path} shows the first {PICTURED} of {len(part.x):,}; other formats hold all")
    return part.first(PICTURED)


def _is_in_pieces(part: Part) -> bool:
    """Return whether reconstructions are written some rows after another: those of rows that stay in their files."""
    from ..runs.pieces import stays_in_files

    return part.is_streamed or stays_in_files(part)


def _inputs(opened: LoadedRun, part: Part, noisy: bool, seed: int) -> Part:
    """Return the rows to reconstruct, corrupted first where that is asked for.

    Raises:
        UsageError: they are to be corrupted, and stay in their files.
    """
    if noisy and _is_in_pieces(part):
        raise UsageError(
            f"--noisy corrupts all {part.name} at once, and these stay in their files", "Give fewer rows: DATA."
        )
    return opened.corrupted(part, seed=seed) if noisy else part


def _write(target: Target, opened: LoadedRun, part: Part, inputs: Part, how: dict[str, Any], *, noisy: bool) -> None:
    """Write reconstructions of rows in memory.

    Args:
        target: the file.
        opened: the run.
        part: the rows.
        inputs: the same, or corrupted.
        how: options of `Run.reconstruct`.
        noisy: whether they are corrupted.
    """
    import numpy as np

    from ..runs.table_results import reconstructed_table
    from .grids import data_range, model_range, painted, pairs, png, scaled
    from .writing import column_names, row_arrays, row_columns, to_integers

    names = column_names(opened.schema)
    x, sample = opened.reconstruct(inputs, **how), how["sample"]
    columns = opened.schema.columns
    if columns is not None and not target.is_array:
        target.write_table(reconstructed_table(part, columns, x), columns)
        return
    x = to_integers(x, opened.seen.levels) if sample and opened.seen.kind not in ("real", "mixed") else x
    original = part.x[:] if part.mask is None else np.where(part.mask, part.x[:].astype(np.float64), np.nan)
    original = original.reshape(x.shape)
    corrupted = {"noisy": opened.shaped(inputs.rows.stored)} if noisy else {}  # pyright: ignore[reportArgumentType]
    labelled = None if part.labels is None else (part.labels, opened.schema.classes)

    def picture() -> bytes:
        observed = original[~np.isnan(original)] if part.mask is not None else original
        above = scaled(original, data_range(opened.schema, observed))
        below = [scaled(images, model_range(opened, observed)) for images in (*corrupted.values(), x)]
        return png(pairs(*(painted(above, *below) if part.mask is not None else (above, *below))))

    arrays = {"original": original, **corrupted}
    target.write(x, names, picture, labelled, row_columns(part, names), arrays | row_arrays(part, arrays))


def _originals(part: Part) -> Iterator[np.ndarray]:
    """Yield the numbers [n, D] of a table that stays in its files, NaN where a cell is missing."""
    import numpy as np

    from ..runs.pieces import ROWS, table_parts

    for rows in table_parts(part, ROWS):
        yield rows.x[:] if rows.mask is None else np.where(rows.mask, rows.x[:], np.nan)


def _write_pieces(target: Target, opened: LoadedRun, part: Part, how: dict[str, Any]) -> None:
    """Write reconstructions of rows that stay in their files, piece by piece."""
    import numpy as np

    from ..data.file_rows import ConvertedRows, FileRows
    from .writing import Piece, column_names, row_arrays, row_columns, to_integers

    names, shape, x = column_names(opened.schema), opened.schema.shape, part.x
    columns, reconstructions = opened.schema.columns, opened.reconstructions(part, **how)
    sample = how["sample"]
    if columns is not None and not target.is_array:
        from ..runs.table_results import reconstructed_tables
        from .table_pieces import write_tables

        write_tables(target, ([table] for table in reconstructed_tables(part, columns, reconstructions)), columns)
        return

    def rebuilt() -> Iterator[Piece]:
        if columns is not None:
            yield from (Piece(values, None, {}) for values in reconstructions)
            return
        whole = sample and opened.seen.kind != "real"
        for rows, values in zip(part.pieces(), reconstructions, strict=True):
            if whole and not opened.has_last_level:  # counts, of which later rows may have the largest
                values = np.rint(values).astype(np.int64)
            elif whole:
                values = to_integers(values, opened.seen.levels)
            yield Piece(values, rows.labels, row_columns(rows, names))

    arrays: dict[str, Any] = {}
    if target.is_archive and isinstance(x, FileRows):
        in_shape = ConvertedRows(x, lambda rows: rows.reshape(-1, *shape), shape, x.dtype)
        arrays = {"original": in_shape if columns is None else _originals(part)}
        arrays |= row_arrays(part, arrays)
        arrays |= {} if part.labels is None else {"labels": part.labels}
    target.write_pieces(rebuilt(), len(part.rows), names, opened.schema.classes, arrays)
