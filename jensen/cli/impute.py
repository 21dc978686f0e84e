"""`jensen impute`: what is missing, given what is observed."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from torch import Tensor

from ..core.wording import plural
from ..analysis.imputation import METHODS
from ..analysis.latents import decode
from ..data import parse_mask
from ..runs.evaluation import Part
from ..runs.impute import Completion
from ..runs.run import Run as Opened
from ..runs.run import load
from .flags import Data, Device, Force, Json, Labels, Out, Quiet, Run, Seed
from .grids import data_range, model_range, painted, png, scaled, strips
from .output import notifier, print_json, print_lines
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
    k: Annotated[
        int | None, Parameter(name="-k", help="weighted points per datum: 1000, or 6 m annealed chains")
    ] = None,
    steps: Annotated[int | None, Parameter(help="of each chain (gibbs: 1000), or temperatures (annealed: 200)")] = None,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw what is missing (NaN, empty, NA), given what is observed. Without --out: RUN/imputations.png, or .csv.

    Each version is one draw; differences among them say how sure the model is. In a picture a row is: the data as far
    as known, what was observed (hidden pixels in tan), the mean of all that is possible, then what to expect of x at
    each version's latent point; files hold draws of x itself.

    Method sir weighs points of the guide, and gibbs lets chains run on from there; annealed, which is slow, serves
    where so much is missing that the guide's points carry no weight.
    """
    opened = load(run, device=device)
    images = opened.schema.is_image
    target = Target.choose(out, opened.path / f"imputations.{'png' if images else 'csv'}", force, images, json)
    part = opened.chosen(data, seed, missing=True, labels=labels)
    note = notifier(quiet)
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
    _write(target, opened, found, part)
    told |= {"k": found.drawn.k, "steps": found.drawn.steps}
    record = {**told, **_record(found), "out": target.path}
    if json:
        print_json(record)
    elif target.path is not None:
        print_lines([f"{plural(m, 'version')} of {found.data} in {target.path} (seed {seed})", *_lines(record)])


def _write(target: Target, opened: Opened, found: Completion, part: Part) -> None:
    """All versions: as [m, N, ...], or as a table in which the versions follow each other."""
    shape, schema = (len(found.x), *found.mask.shape[:1], *opened.schema.shape), opened.schema
    x, labels = found.x.reshape(shape), part.labels
    if target.is_picture or (target.path is not None and target.path.suffix.lower() in (".npy", ".npz")):
        drawn = found.drawn
        others: dict[str, Any] = {"mean": found.mean.reshape(shape[1:]), "observed": found.mask.reshape(shape[1:])}
        others |= {"ess": drawn.ess.cpu().numpy(), "k_hat": drawn.k_hat.cpu().numpy()}
        if drawn.acceptance is not None and drawn.r_hat is not None:
            others |= {"acceptance": drawn.acceptance.cpu().numpy(), "r_hat": drawn.r_hat.cpu().numpy()}
        target.write(
            x,
            columns(schema),
            lambda: png(_picture(opened, found, part.rows.context)),
            None if labels is None else (labels, schema.classes),
            **others,
        )
        return
    versions = np.repeat(np.arange(1, len(x) + 1), len(found.mask))
    named = None if labels is None else (np.tile(labels, len(x)), schema.classes)
    target.write(found.x.reshape(-1, schema.size), columns(schema), bytes, named, first=("version", versions))


def _picture(opened: Opened, found: Completion, context: Tensor | None) -> np.ndarray:
    """Rows of the data, what was observed of them, the mean, and p(x | z)'s mean at each version; a hole is tan."""
    shape, seen, drawn = (-1, *opened.schema.shape), found.mask, found.drawn
    original = np.where(seen, found.x[0], np.nan if found.truth is None else found.truth)
    known = original[~np.isnan(original)]
    known = known if known.size else found.mean  # of reals, whose range is that of what is known
    between = data_range(opened.schema, known)
    original = scaled(original, between)
    expected = [original] * len(found.x)
    rows = drawn.holed.cpu().numpy()
    if rows.any():
        given = None if context is None else context[drawn.holed].repeat(len(expected), 1)
        means = opened.shaped(decode(opened.model, drawn.z[:, drawn.holed].flatten(0, 1), given))
        means = scaled(means, model_range(opened, known)).reshape(len(expected), -1, seen.shape[1])
        expected = [_filled(original, seen, rows, mean) for mean in means]
    observed = np.where(seen, original, np.nan)
    cells = painted(*(x.reshape(shape) for x in (original, scaled(found.mean, between), *expected)))
    return strips(np.stack([cells[0], painted(observed.reshape(shape))[0], *cells[1:]], 1))


def _filled(x: np.ndarray, seen: np.ndarray, rows: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """x [N, D] where it was seen, and what stands for the missing entries of these rows [M, D]."""
    out = x.copy()
    out[rows] = np.where(seen[rows], x[rows], missing)
    return out


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
    effective = f"of {record['k']:,}: median {ess['median']:.0f}, least {ess['worst']:.1f}"
    if record["method"] == "annealed":
        lines.append(f"effective chains {effective}; {record['steps']:,} temperatures")
    else:
        lines.append(f"effective points {effective}; k-hat: median {k_hat['median']:.2f}, most {k_hat['worst']:.2f}")
    if record["r_hat"] is not None:
        moved, r_hat = record["acceptance"], record["r_hat"]
        lines.append(
            f"chains of {record['steps']:,} steps: acceptance median {moved['median']:.0%}, least"
            f" {moved['worst']:.1%}; R-hat median {r_hat['median']:.3f}, most {r_hat['worst']:.3f}"
        )
    if record["rmse_of_hidden"] is not None:
        lines.append(f"the mean misses the hidden entries by {record['rmse_of_hidden']:.4g} (root mean square)")
    return lines
