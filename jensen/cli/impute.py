"""`jensen impute`: what is missing, given what is observed."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from ..completion import Completion
from ..data import parse_mask
from ..imputation import METHODS
from ..runs import Run as Opened
from ..runs import load
from .flags import Data, Device, Force, Json, Out, Quiet, Run, Seed
from .grids import data_range, png, scaled, strips
from .output import emit, notices, plural, show
from .progress import Line
from .writing import Target, columns

__all__ = ["impute"]

PICTURED = 12


def impute(
    run: Run,
    data: Data = None,
    /,
    *,
    m: Annotated[int, Parameter(name="-m", help="versions of each datum")] = 5,
    out: Out = None,
    mask: Annotated[
        str | None,
        Parameter(help="also hide: right, left, top, bottom, rect:r0,c0,r1,c1, or a file (white, or not 0: hidden)"),
    ] = None,
    method: Annotated[str, Parameter(help=f"one of {', '.join(METHODS)}")] = "sir",
    k: Annotated[int, Parameter(name="-k", help="weighted points per datum")] = 1000,
    steps: Annotated[int, Parameter(help="of each chain (gibbs)")] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw what is missing (NaN, empty, NA), given what is observed. Without --out: RUN/imputations.png, or .csv.

    Each version is one draw; differences among them say how sure the model is. In a picture a row is: the data as far
    as known, what was observed, the mean of all that is possible, then the draws.
    """
    opened = load(run, device=device)
    images = opened.schema.is_image
    target = Target.choose(out, opened.path / f"imputations.{'png' if images else 'csv'}", force, images, json)
    part = opened.chosen(data, seed, missing=True)
    note = notices(quiet)
    hidden = None if mask is None else parse_mask(mask, opened.schema, len(part.x))
    if target.is_picture and len(part.x) > PICTURED:
        note(f"{target.path} shows the first {PICTURED} of {len(part.x):,}; other formats hold all")
        part = part.first(PICTURED)
        hidden = None if hidden is None else hidden[:PICTURED]
    told: dict[str, Any] = {"m": m, "method": method, "k": k, "steps": steps, "seed": seed}
    with Line(quiet) as line:
        found = opened.impute(part, hidden=hidden, watch=lambda done: line.fraction("imputing", done), **told)
    for text in found.notes:
        note(text)
    _write(target, opened, found, None if part.labels is None else part.labels)
    record = {**told, **_record(found), "out": target.path}
    if json:
        emit(record)
    elif target.path is not None:
        show([f"{plural(m, 'version')} of {found.data} in {target.path} (seed {seed})", *_lines(record)])


def _write(target: Target, opened: Opened, found: Completion, labels: np.ndarray | None) -> None:
    """All versions: as [m, N, ...], or as a table in which the versions follow each other."""
    shape, schema = (len(found.x), *found.mask.shape[:1], *opened.schema.shape), opened.schema
    x = found.x.reshape(shape)
    if target.is_picture or (target.path is not None and target.path.suffix.lower() in (".npy", ".npz")):
        drawn = found.drawn
        others: dict[str, Any] = {"mean": found.mean.reshape(shape[1:]), "observed": found.mask.reshape(shape[1:])}
        others |= {"ess": drawn.ess.cpu().numpy(), "k_hat": drawn.k_hat.cpu().numpy()}
        if drawn.acceptance is not None and drawn.r_hat is not None:
            others |= {"acceptance": drawn.acceptance.cpu().numpy(), "r_hat": drawn.r_hat.cpu().numpy()}
        target.write(
            x,
            columns(schema),
            lambda: png(_picture(opened, found)),
            None if labels is None else (labels, schema.classes),
            **others,
        )
        return
    versions = np.repeat(np.arange(1, len(x) + 1), len(found.mask))
    named = None if labels is None else (np.tile(labels, len(x)), schema.classes)
    target.write(found.x.reshape(-1, schema.size), columns(schema), bytes, named, first=("version", versions))


def _picture(opened: Opened, found: Completion) -> np.ndarray:
    """Rows of the data, what was observed of them, the mean, and the draws; a hole is blue."""
    shape, seen = (-1, *opened.schema.shape), found.mask
    known = seen if found.truth is None else ~np.isnan(found.truth)
    original = np.where(seen, found.x[0], 0 if found.truth is None else np.nan_to_num(found.truth))
    between = data_range(opened.schema, original[known])
    cells = [_holed(scaled(original, between).reshape(shape), known.reshape(shape))]
    cells.append(_holed(scaled(original, between).reshape(shape), seen.reshape(shape)))
    cells += [_coloured(scaled(v, between).reshape(shape)) for v in (found.mean, *found.x)]
    return strips(np.stack(cells, 1))


def _coloured(x: np.ndarray) -> np.ndarray:
    return x[..., :3] if x.shape[-1] >= 3 else np.repeat(x.mean(-1, keepdims=True), 3, -1)


def _holed(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(seen.all(-1, keepdims=True), _coloured(x), np.array([0.30, 0.47, 0.66]))


def _record(found: Completion) -> dict[str, Any]:
    """The diagnostics, over rows with something missing."""
    drawn = found.drawn
    rows = drawn.holed

    def middle(values: Any, worst: str) -> dict[str, float] | None:
        some = None if values is None else values[rows].double()
        return None if some is None else {"median": float(some.median()), "worst": float(getattr(some, worst)())}

    return {
        "n": len(found.mask),
        "missing": int((~found.mask).sum()),
        "rows_with_missing": int(rows.sum()),
        "ess": middle(drawn.ess, "min"),
        "k_hat": middle(drawn.k_hat, "max"),
        "acceptance": middle(drawn.acceptance, "min"),
        "r_hat": middle(drawn.r_hat, "max"),
        "unreliable_rows": int(drawn.unreliable.sum()),
        "rmse_of_hidden": found.rmse,
        "data": found.data,
        "notes": list(found.notes),
    }


def _lines(record: dict[str, Any]) -> list[str]:
    lines = [
        f"{plural(record['missing'], 'missing entry').replace('entrys', 'entries')} in "
        f"{plural(record['rows_with_missing'], 'row')}"
    ]
    ess, k_hat = record["ess"], record["k_hat"]
    lines.append(
        f"effective points of {record['k']:,}: median {ess['median']:.0f}, least {ess['worst']:.1f};"
        f" k-hat: median {k_hat['median']:.2f}, most {k_hat['worst']:.2f}"
    )
    if record["r_hat"] is not None:
        moved, r_hat = record["acceptance"], record["r_hat"]
        lines.append(
            f"chains of {record['steps']:,} steps: acceptance median {moved['median']:.0%}, least"
            f" {moved['worst']:.1%}; R-hat median {r_hat['median']:.3f}, most {r_hat['worst']:.3f}"
        )
    if record["rmse_of_hidden"] is not None:
        lines.append(f"the mean misses the hidden entries by {record['rmse_of_hidden']:.4g} (root mean square)")
    return lines
