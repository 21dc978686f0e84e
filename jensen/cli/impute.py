"""`jensen impute`: draw missing entries given the observed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.wording import plural
from ..storage.recorded_table import check_table
from .defaults import IMPUTATION_METHODS, IMPUTATION_SIZES, PARTICLES
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..runs.evaluation import Part
    from ..runs.impute import Completion
    from ..runs.pieces import InPieces
    from ..runs.run import Run as LoadedRun
    from ..runs.table_completion import TableCompletion
    from .writing import Target

__all__ = ["impute"]

PICTURED = 12
VERSIONS = 5  # of each datum

M = Annotated[
    int | None,
    Parameter(
        name="-m", help="number of imputations of each datum, by default 5; of a mixed table, instead of one value each"
    ),
]
Point = Annotated[
    str | None,
    Parameter(
        help="of a mixed table, the value of a missing number: mean, median or mode; by default the median of"
        " counts and the mean of others; names are the most probable"
    ),
]
Intervals = Annotated[
    float | None,
    Parameter(help="of a mixed table, also columns NAME_low and NAME_high, between which a number is so probably"),
]
Mask = Annotated[
    str | None,
    Parameter(
        help="also hide: right, left, top, bottom, rect:r0,c0,r1,c1, columns by name, or a file (white, not 0: hidden)"
    ),
]
Method = Annotated[
    str | None,
    Parameter(help=f"one of {', '.join(IMPUTATION_METHODS)}; by default sir; of a diffusion it is particles"),
]
K = Annotated[
    int | None,
    Parameter(
        name="-k",
        help=f"weighted latent points per datum; by default {IMPUTATION_SIZES['points']:,}, or"
        f" {IMPUTATION_SIZES['chains']} m annealed chains, or {PARTICLES} particles",
    ),
]
Steps = Annotated[
    int | None,
    Parameter(
        help=f"steps of each chain (gibbs, by default {IMPUTATION_SIZES['gibbs']:,}), temperatures (annealed, by"
        f" default {IMPUTATION_SIZES['annealed']}), or steps that particles go down in (by default"
        f" {IMPUTATION_SIZES['particles']})"
    ),
]


def impute(
    run: Run,
    data: Data = None,
    /,
    *,
    m: M = None,
    point: Point = None,
    intervals: Intervals = None,
    out: Out = None,
    mask: Mask = None,
    method: Method = None,
    k: K = None,
    steps: Steps = None,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Draw missing entries (NaN, empty, NA) given the observed ones. Without --out: RUN/imputations.png, or .csv.

    A mixed table comes back as it was given, its missing cells filled, if any: by one value each, or by -m draws.

    Each imputation is one sample of the missing entries; their differences show the uncertainty of the model. A row of
    a picture shows the datum as far as known, the observed part (hidden pixels in tan), the posterior mean, and the
    mean of p(x | z) at the latent point of each imputation; files hold samples of x itself.

    The method sir resamples latent points of the guide by importance weights, and gibbs continues them with
    Metropolis-within-Gibbs chains; annealed is slow, and for data so incomplete that the guide's points have no weight.
    A diffusion takes the noise off K particles beside the noised observed entries, by which they are weighted.
    """
    check_table(run, data)
    from ..analysis.chain_imputation import imputation_method
    from ..core.divided import divided
    from ..core.processes import joined
    from .targets import result_target

    opened = flags.opened(run)
    method = imputation_method(opened.model, opened.guide, method)
    _check_steps(steps, method)
    number = _number_of_draws(m, point is not None or intervals is not None, opened.schema.columns is not None)
    target = result_target(opened, "imputations", data, out, force, safe, flags, pictures=opened.schema.is_image)
    part = opened.chosen(data, flags.seed, missing=True, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    target.require_rows((number or 1) * len(part.rows))
    notify = notifier(flags.quiet)
    part, hidden, fewer = _rows(target, opened, part, mask)
    how = {"m": number or 1, "point": point, "intervals": intervals, "method": method, "k": k, "steps": steps}
    with ProgressLine(flags.quiet) as line, joined() as processes, divided(processes):
        how |= {"hidden": hidden, "seed": flags.seed, "watch": line.task("imputing")}
        in_pieces = _is_in_pieces(target, opened, part)
        if in_pieces:
            completion = _in_pieces(target, opened.completions(part, **how), number is not None, processes.is_first)
        else:
            completion = opened.completion(part, **how)
    for text in (*completion.notes, *fewer):
        notify(text)
    drawn, what = number is not None, ""
    if processes.is_first:
        what = _name(completion, drawn) if in_pieces else _write(target, opened, completion, part, drawn)
    _print(target, completion, {"m": number, "method": method}, flags, what)


def _check_steps(steps: int | None, method: str) -> None:
    """Refuse steps of a method that has none."""
    if steps is not None and method == "sir":
        what = f"--steps {steps} is of chains, and the method sir has none"
        raise UsageError(what, "Leave it out, or add --method gibbs.")


def _is_in_pieces(target: Target, opened: LoadedRun, part: Part) -> bool:
    """Return whether the rows are completed and written some after another."""
    if opened.schema.columns is None:
        return False
    from .table_pieces import are_in_pieces

    return are_in_pieces(target, part)


def _in_pieces(target: Target, completions: InPieces[TableCompletion], drawn: bool, is_first: bool) -> TableCompletion:
    """Write completions of some rows after another, and return what holds for all.

    Args:
        target: the file.
        completions: of the rows.
        drawn: whether draws were asked for, and not one value for each missing cell.
        is_first: whether this process writes.
    """
    from .table_imputations import write_in_pieces

    if is_first:
        write_in_pieces(target, completions, drawn)
    else:
        for _ in completions:  # which are divided among the processes
            pass
    return completions.summary


def _name(completion: Completion | TableCompletion, drawn: bool) -> str:
    """Return a name for what was written."""
    from ..runs.table_completion import TableCompletion
    from .table_imputations import title

    if isinstance(completion, TableCompletion):
        return title(completion, drawn)
    return plural(len(completion.x), "imputation")


def _number_of_draws(m: int | None, is_point: bool, is_mixed: bool) -> int | None:
    """Return the number of draws of each missing entry; None for one value of each instead.

    Raises:
        UsageError: both are asked for, or a number below 1.
    """
    if m is None:
        return None if is_mixed else VERSIONS
    if m < 1:
        raise UsageError(f"-m must be at least 1, got {m}", "Give -m 1 or more.")
    if is_mixed and is_point:
        raise UsageError("-m draws, and --point and --intervals do not", "Give -m, or the others.")
    return m


def _rows(target: Target, opened: LoadedRun, part: Part, mask: str | None) -> tuple[Part, np.ndarray | None, list[str]]:
    """Return the rows, the entries of them to hide, and a note if a picture shows the first rows only."""
    from ..data import parse_mask

    hidden = None if mask is None else parse_mask(mask, opened.schema, len(part.x))
    if not target.is_picture or len(part.x) <= PICTURED:
        return part, hidden, []
    fewer = f"{target.path} shows the first {PICTURED} of {len(part.x):,}; other formats hold all"
    return part.first(PICTURED), None if hidden is None else hidden[:PICTURED], [fewer]


def _print(
    target: Target, completion: Completion | TableCompletion, settings: dict[str, Any], flags: RunFlags, what: str
) -> None:
    """Print where imputations are, and their diagnostics; nothing if they went to stdout."""
    settings |= {"k": completion.drawn.k, "steps": completion.drawn.steps, "seed": flags.seed}
    record = {**settings, **_record(completion), "out": target.path}
    if flags.json:
        print_json(record)
    elif target.path is not None:
        first = f"{what} of {completion.data} in {target.path} (seed {flags.seed})"
        print_lines([first, *_lines(record), *_errors(completion)])


def _write(target: Target, opened: LoadedRun, completion: Completion | TableCompletion, part: Part, drawn: bool) -> str:
    """Write imputations, and return a name for them.

    Args:
        target: the file.
        opened: the run.
        completion: of the rows.
        part: the rows.
        drawn: whether draws were asked for, and not one value for each missing cell of a table.
    """
    from ..runs.table_completion import TableCompletion
    from .table_imputations import write_completion

    if isinstance(completion, TableCompletion):
        write_completion(target, completion, drawn)
    else:
        _write_versions(target, opened, completion, part)
    return _name(completion, drawn)


def _write_versions(target: Target, opened: LoadedRun, completion: Completion, part: Part) -> None:
    """Write all imputations, as [m, N, ...], or as a table in which they follow each other."""
    import numpy as np

    from .grids import png
    from .writing import column_names, row_arrays, row_columns

    schema, labels, n = opened.schema, part.labels, len(completion.mask)
    if not (target.is_picture or (target.path is not None and target.path.suffix.lower() in (".npy", ".npz"))):
        versions = np.repeat(np.arange(1, len(completion.x) + 1), n)
        repeated = None if labels is None else (np.tile(labels, len(completion.x)), schema.classes)
        rows = completion.x.reshape(-1, schema.size)
        names = column_names(schema)
        identity = row_columns(part, ("version", *names), repeat=len(completion.x))
        target.write(rows, names, bytes, repeated, {"version": versions, **identity})
        return
    drawn, shape = completion.drawn, (n, *schema.shape)
    others = {
        "mean": completion.mean.reshape(shape),
        "observed": completion.mask.reshape(shape),
        "ess": drawn.ess.cpu().numpy(),
        "k_hat": drawn.k_hat.cpu().numpy(),
    }
    if drawn.acceptance is not None and drawn.r_hat is not None:
        others |= {"acceptance": drawn.acceptance.cpu().numpy(), "r_hat": drawn.r_hat.cpu().numpy()}
    others |= row_arrays(part, others)
    target.write(
        completion.x.reshape(-1, *shape),
        column_names(schema),
        lambda: png(_picture(opened, completion, part.rows.context)),
        None if labels is None else (labels, schema.classes),
        arrays=others,
    )


def _picture(opened: LoadedRun, completion: Completion, context: Tensor | None) -> np.ndarray:
    """Return a strip per datum: the datum, its observed part, the posterior mean, and the mean of each imputation."""
    import numpy as np

    from ..analysis.latents import decode
    from .grids import data_range, model_range, painted, scaled, strips

    shape, observed, drawn = (-1, *opened.schema.shape), completion.mask, completion.drawn
    original = np.where(observed, completion.x[0], np.nan if completion.truth is None else completion.truth)
    known = original[~np.isnan(original)]
    known = known if known.size else completion.mean  # the grey scale of reals is the range of the known ones
    grey_range = data_range(opened.schema, known)
    original = scaled(original, grey_range)
    imputed = [original] * len(completion.x)
    rows = drawn.holed.cpu().numpy()
    if rows.any():
        repeated = None if context is None else context[drawn.holed].repeat(len(imputed), 1)
        means = opened.shaped(decode(opened.model, drawn.z[:, drawn.holed].flatten(0, 1), repeated))
        means = scaled(means, model_range(opened, known)).reshape(len(imputed), -1, observed.shape[1])
        imputed = [_filled(original, observed, rows, mean) for mean in means]
    visible = np.where(observed, original, np.nan)
    cells = painted(*(x.reshape(shape) for x in (original, scaled(completion.mean, grey_range), *imputed)))
    return strips(np.stack([cells[0], painted(visible.reshape(shape))[0], *cells[1:]], 1))


def _filled(x: np.ndarray, observed: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return x [N, D] with other values [M, D] of the entries of these rows that are not observed."""
    import numpy as np

    filled = x.copy()
    filled[rows] = np.where(observed[rows], x[rows], values)
    return filled


def _record(completion: Completion | TableCompletion) -> dict[str, Any]:
    """Return the diagnostics, over rows with missing entries, as JSON-serialisable values."""
    drawn = completion.drawn
    rows = drawn.holed

    def summary(values: Any, worst: str) -> dict[str, float] | None:
        if values is None or not rows.any():
            return None
        of_rows = values[rows].double()
        return {"median": float(of_rows.median()), "worst": float(getattr(of_rows, worst)())}

    return {
        "n": len(completion.mask),
        "missing": int((~completion.mask).sum()),
        "rows_with_missing": int(rows.sum()),
        "ess": summary(drawn.ess, "min"),
        "k_hat": summary(drawn.k_hat, "max"),
        "acceptance": summary(drawn.acceptance, "min"),
        "r_hat": summary(drawn.r_hat, "max"),
        "unreliable_rows": int(drawn.unreliable.sum()),
        **_of_hidden(completion),
        "data": completion.data,
        "notes": list(completion.notes),
    }


def _lines(record: dict[str, Any]) -> list[str]:
    """Return the diagnostics in sentences."""
    lines = [f"{plural(record['missing'], 'missing entry')} in {plural(record['rows_with_missing'], 'row')}"]
    ess, k_hat = record["ess"], record["k_hat"]
    if ess is None:  # of no row
        return lines
    size = f"{record['k']:,}: median {ess['median']:.0f}, smallest {ess['worst']:.1f}"
    if record["method"] == "particles":
        lines.append(f"effective number of ancestors of particles {size}; {record['steps']:,} steps")
    elif record["method"] == "annealed":
        lines.append(f"effective sample size of chains {size}; {record['steps']:,} temperatures")
    else:
        k_hats = f"k-hat: median {k_hat['median']:.2f}, largest {k_hat['worst']:.2f}"
        lines.append(f"effective sample size of {size}; {k_hats}")
    if record["r_hat"] is not None:
        acceptance, r_hat = record["acceptance"], record["r_hat"]
        lines.append(
            f"chains of {record['steps']:,} steps: acceptance median {acceptance['median']:.0%}, smallest"
            f" {acceptance['worst']:.1%}; R-hat median {r_hat['median']:.3f}, largest {r_hat['worst']:.3f}"
        )
    return lines


def _of_hidden(completion: Completion | TableCompletion) -> dict[str, Any]:
    """Return the errors of hidden entries as JSON-serialisable values."""
    from ..runs.table_completion import TableCompletion
    from .table_imputations import completion_record

    if isinstance(completion, TableCompletion):
        return completion_record(completion)
    return {"rmse_of_hidden": completion.rmse}


def _errors(completion: Completion | TableCompletion) -> list[str]:
    """Return the errors of hidden entries in sentences."""
    from ..runs.table_completion import TableCompletion
    from .table_imputations import error_lines

    if isinstance(completion, TableCompletion):
        return error_lines(completion)
    rmse = completion.rmse
    return [] if rmse is None else [f"root mean square error of the mean on hidden entries: {rmse:.4g}"]
