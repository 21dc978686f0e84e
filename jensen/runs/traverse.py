"""Paths through the latent space of a run: along one feature, between two data, or towards an attribute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..analysis import latents
from ..analysis.chain_paths import chain_path, slerp
from ..core.errors import CompositionError, UsageError
from ..core.rows import evenly_spaced
from ..core.validation import require_integer
from ..data.file_rows import column_of
from ..models.descents import chain_prior, shares_chain
from .condition import column_names
from .data import RunData, Source, Targets
from .evaluation import Part
from .run import Run

__all__ = ["STEPS", "Traversal", "slerp", "traverse"]

STEPS = 9
SPAN = 2.5  # standard deviations of the prior on each side, or of the attribute
ROWS = 5_000  # evenly spaced, by which a direction is fitted
FEWEST = 5  # rows with an attribute, and without it


@dataclass(frozen=True)
class Traversal:
    """Means of p(x | z) along a path.

    Attributes:
        at: [S] the place of each step: the value of the feature, 0 to 1 between two data, or standard deviations.
        z: [S, Z] the points.
        x: [S, ...] the means, in the data's own units; of a mixed table as it stores them.
        path: what the path is, in words.
        notes: for the user.
    """

    at: np.ndarray
    z: np.ndarray
    x: np.ndarray
    path: str
    notes: tuple[str, ...] = ()


def traverse(
    run: Run,
    *,
    feature: int | None = None,
    between: tuple[int, int] | None = None,
    attribute: str | None = None,
    row: int | None = None,
    steps: int = STEPS,
    spherical: bool = False,
    data: Source | Part | None = None,
    labels: Targets | None = None,
    seed: int = 0,
) -> Traversal:
    r"""Return the means of p(x | z) along one of three paths.

    A feature moves from -2.5 to 2.5 standard deviations of the prior about its mean. Between two data the path is
    :math:`(1 - t) z_A + t z_B`, or on a great circle; of a diffusion, on a great circle of the z_1 to which both data
    lead without noise. The direction of an attribute is the difference of mean codes of rows with and without it, in
    units of the standard deviation of codes along it; of a column of numbers it is the
    slope of the codes on the column, for one standard deviation of the column.

    Args:
        run: the run.
        feature: number of a latent feature, from 1.
        between: numbers of two rows, from 0.
        attribute: the name of a class of the labels, or of a column of numbers.
        row: where a feature or an attribute starts, a row from 0; by default the prior's mean, or the mean code.
        steps: points of the path.
        spherical: see above; by the angle between the codes, their lengths in proportion.
        data: rows other than the run's own test rows.
        labels: of these rows.
        seed: of the randomness of encoding.

    Returns:
        The path.

    Raises:
        UsageError: not exactly one path is asked for, or there is no such feature, row or attribute.
        CompositionError: z is not continuous, the model has no encoder, or its prior no moments.

    Source: Kingma & Welling, "Auto-encoding variational Bayes", 2014; White, "Sampling generative networks", 2016.

    Example:
        >>> traverse(run, feature=1, steps=5).at.tolist()  # doctest: +SKIP
        [-2.5, -1.25, 0.0, 1.25, 2.5]
    """
    _check(run, feature, between, attribute, row, steps, spherical)
    if feature is not None:
        start = None if row is None else _code(run, _part(run, data, labels, seed), row)
        at, z = _along_feature(run, feature, start, steps)
        return _decoded(run, at, z, f"feature {feature}{_from(row)}")
    part = _part(run, data, labels, seed)
    if between is not None:
        a, b = (_code(run, part, i) for i in between)
        at, z, kind = _between(run, a, b, steps, spherical)
        return _decoded(run, at, z, f"from row {between[0]} to row {between[1]}{kind}")
    codes, direction, notes = _direction(run, part, str(attribute))
    start = codes.mean(0) if row is None else _code(run, part, row)
    at = torch.linspace(-SPAN, SPAN, steps, dtype=start.dtype, device=start.device)
    return _decoded(run, at, start + at[:, None] * direction, f"attribute {attribute}{_from(row)}", notes)


def _between(run: Run, a: Tensor, b: Tensor, steps: int, spherical: bool) -> tuple[Tensor, Tensor, str]:
    """Return places and points of the path from one code to another, and its kind in words."""
    at, prior = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device), chain_prior(run.model)
    if prior is not None:
        context = run.model.usual if prior.diffusion.context else None
        return at, chain_path(prior.diffusion, a, b, at, context), ", through the noise of the chain"
    return at, slerp(a, b, at) if spherical else a + at[:, None] * (b - a), ", spherical" if spherical else ""


def _check(
    run: Run,
    feature: int | None,
    between: tuple[int, int] | None,
    attribute: str | None,
    row: int | None,
    steps: int,
    spherical: bool,
) -> None:
    """Refuse what is no path.

    Raises:
        UsageError, CompositionError: see `traverse`.
    """
    require_integer(2, steps=steps)
    if sum(v is not None for v in (feature, between, attribute)) != 1:
        what = "a traversal is along one feature, between two rows, or along one attribute"
        raise UsageError(what, "Give one of --feature, --between and --attribute.")
    if between is not None and row is not None:
        raise UsageError("--row is where a feature or an attribute starts", "Leave it out beside --between.")
    if spherical and between is None:
        raise UsageError("--spherical is a path between two rows", "Give --between A,B, or leave it out.")
    prior = run.model.prior(run.model.usual)
    if run.model.latent == 0 or prior.support.is_discrete:  # pyright: ignore[reportOptionalMemberAccess]
        raise CompositionError(f"the model in {run.path} has no continuous features", "Train one such as --recipe vae.")
    if attribute is not None and shares_chain(run.model, run.guide):
        what = "a diffusion has no direction of an attribute: its features are the data's own, with noise"
        raise CompositionError(what, "Take a path between two rows: --between A,B; or train --recipe vae.")
    if feature is not None and not 1 <= feature <= run.model.latent:
        what = f"--feature must be from 1 to {run.model.latent}, got {feature}"
        raise UsageError(what, "Give the number of a feature.")


def _from(row: int | None) -> str:
    return "" if row is None else f" from row {row}"


def _part(run: Run, data: Source | Part | None, labels: Targets | None, seed: int) -> Part:
    return run.chosen(data, seed, labels=labels, own="test")


def _code(run: RunData, part: Part, row: int) -> Tensor:
    """Return the code [Z] of a row.

    Raises:
        UsageError: there is no such row.
    """
    if not 0 <= row < len(part.rows):
        raise UsageError(f"{part.name} has no row {row}", f"Rows are numbered from 0 to {len(part.rows) - 1:,}.")
    index = torch.tensor([row], device=part.rows.device)
    return latents.encode(run.model, run.guide, part.rows.subset(index))[0]


def _along_feature(run: RunData, feature: int, start: Tensor | None, steps: int) -> tuple[Tensor, Tensor]:
    """Return values [S] of a feature and points [S, Z] at which it alone has them.

    Raises:
        CompositionError: the prior has no moments.
    """
    prior = run.model.prior(run.model.usual)
    try:
        mean, deviation = (v.detach().reshape(-1, run.model.latent)[0] for v in (prior.mean, prior.stddev))
    except NotImplementedError as error:
        what = "the prior of this model has no mean and standard deviation in closed form"
        raise CompositionError(what, "Take a path between two rows: --between A,B.") from error
    offsets = torch.linspace(-SPAN, SPAN, steps, dtype=mean.dtype, device=mean.device)
    at = mean[feature - 1] + offsets * deviation[feature - 1]
    z = (mean if start is None else start).expand(steps, -1).clone()
    z[:, feature - 1] = at
    return at, z


def _direction(run: RunData, part: Part, attribute: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return codes [N, Z], a direction [Z] of one standard deviation of an attribute, and notes.

    Raises:
        UsageError: there is no such attribute, or too few rows have it or lack it.
    """
    index = evenly_spaced(len(part.rows), ROWS, part.rows.device)
    rows = part.rows.subset(index)
    codes, numbers = latents.encode(run.model, run.guide, rows), index.cpu().numpy()
    has, values = _attribute(run, part, attribute)
    if values is not None:
        x, known = torch.as_tensor(values[numbers]).to(codes), torch.as_tensor(~np.isnan(values[numbers]))
        x, own = x[known.to(x.device)], codes[known.to(x.device)]
        if len(x) < FEWEST or not x.std() > 0:
            raise UsageError(f"column {attribute!r} does not vary over the rows of {part.name}", "Give another one.")
        slope = ((x - x.mean())[:, None] * (own - own.mean(0))).sum(0) / (x - x.mean()).square().sum()
        return codes, slope * x.std(correction=0), ()
    own = torch.as_tensor(np.asarray(has)[numbers], device=codes.device)
    if min(int(own.sum()), int((~own).sum())) < FEWEST:
        what = f"{int(own.sum())} of {len(own)} rows of {part.name} are {attribute!r}"
        raise UsageError(what, f"Give data of which {FEWEST} rows are, and {FEWEST} are not.")
    apart = codes[own].mean(0) - codes[~own].mean(0)
    unit = apart / apart.norm()
    spread = (codes @ unit).std(correction=0)
    far = float(apart.norm() / spread)
    return codes, unit * spread, (f"rows that are {attribute} and others are {far:.2f} standard deviations apart",)


def _attribute(run: RunData, part: Part, attribute: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return which rows [N] have a class, or the numbers [N] of a column; the other is None.

    Raises:
        UsageError: there is neither.
    """
    classes = run.schema.classes or ()
    if part.labels is not None and attribute in classes:
        return part.labels == classes.index(attribute), None
    names = () if run.schema.is_image else column_names(run)
    if attribute in names:
        i = names.index(attribute)
        column = None if run.schema.columns is None else run.schema.columns[i]
        if column is None or column.kind not in ("categorical", "circular"):
            values = np.asarray(column_of(part.x, i), dtype=np.float64)
            return None, values if part.mask is None else np.where(part.mask[:, i], values, np.nan)
        raise UsageError(f"column {attribute!r} is {column.kind}, and has no direction", "Give a class or numbers.")
    known = ", ".join([*(classes if part.labels is not None else ()), *names][:20]) or "none"
    raise UsageError(f"there is no class or column {attribute!r}", f"There are: {known}.")


def _decoded(run: Run, at: Tensor, z: Tensor, path: str, notes: tuple[str, ...] = ()) -> Traversal:
    x = run.shaped(latents.decode(run.model, z))
    usual = "the most frequent one" if run.conditions is None else "the most frequent names and the mean numbers"
    of_label = (f"labels are {usual} on the whole path",) if run.conditional else ()
    return Traversal(at.double().cpu().numpy(), z.double().cpu().numpy(), x, path, (*notes, *of_label))
