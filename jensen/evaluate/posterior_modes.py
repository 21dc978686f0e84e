"""Location of a posterior over one or two features: its modes by search, its frame by moments, its extent by a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.random import drawing_from, stream
from ..models.model import LatentVariableModel
from .hidden_ridges import ridge_points
from .joint_density import BEND, Frame, Joint

__all__ = ["Survey", "survey"]

SAMPLES = 256  # of the prior
CORE, PER_CORE = {1: 7.5, 2: 5.0}, {1: 1501, 2: 49}  # the prior's grid, in units of its spread, and its nodes
TAIL = {1: (1.1, 64), 2: (1.3, 8)}  # factor from node to node beyond the core, and their number on a side
BEST = {1: (6, 2), 2: (4, 2)}  # candidates: maxima of the grid, and points of each kind of draw
SEARCHES, FLAT, RESOLVED = 40, 0.02, 0.5  # rounds of a search; nats by which neighbours of a mode are lower in the end
REACH, NODES, MOVES = 7.0, {1: 40, 2: 14}, 40  # of the grid that measures moments
FARTHEST = 40 * BEND  # in u
SLANT = 0.3  # correlation above which the axes of a frame are not the features
CLOSE = 8.4  # in u: half the side of the part that the scan sees well
NEGLIGIBLE = 28.0  # nats below the integral
DROP = 1.0  # nats, within the width of a peak
NARROW = 0.3  # width of a peak, in u, that the scan may miss


@dataclass(frozen=True)
class Survey:
    """The place of the posterior of each of B rows.

    Attributes:
        frame: coordinates in which the main mode has its centre at 0 and standard deviations of about 1.
        lo, hi: [B, Z] in u, the sides of a box with all but a negligible part of the integral.
        peaks: [B, M, Z] in u, the modes; NaN where there are fewer.
        widths: [B, M, Z] in u, the distance at which a peak is lower by a nat.
        outside: [B] the log-integral outside the box, roughly.
        noise: [B] nats, the rounding error of log p(x, z) at the highest peak.
        points: evaluations per row.
    """

    frame: Frame
    lo: Tensor
    hi: Tensor
    peaks: Tensor
    widths: Tensor
    outside: Tensor
    noise: Tensor
    points: int


@dataclass(frozen=True)
class _Points:
    """Points z [K, B or 1, Z], log p(x, z) [K, B] there, and their spacing [K, B or 1, Z]."""

    z: Tensor
    log: Tensor
    spacing: Tensor


@dataclass(frozen=True)
class _Grid(_Points):
    """The prior's grid: the product of a line with itself, about a centre [B or 1, Z] in units of a spread."""

    centre: Tensor
    spread: Tensor


def survey(joint: Joint, z: Tensor, log: Tensor) -> Survey:
    """Locate the posteriors of a batch, from the prior, the guide's points, and what a search from these finds.

    Args:
        joint: the density.
        z: the guide's points [K, B, Z].
        log: log p(x, z) [K, B] at them.
    """
    dim = joint.model.latent
    samples = _prior_points(joint.model, joint.batch)
    centre, spread = _centre_and_spread(samples)
    grid = _prior_grid(joint, centre, spread)
    draws = _Points(samples, joint.at_all(samples), (spread / 8).expand_as(samples))
    _, own_spread = _centre_and_spread(z.double())
    own = _Points(z.double(), log.double(), own_spread.expand_as(z))
    start, step = _candidates(grid, [draws, own], dim)
    at, height, size, searched = _search(joint, start, step)
    at, height = _distinct(at, height, size)
    best = (height + size.log().sum(-1)).argmax(1)
    rows = torch.arange(len(best), device=best.device)
    frame, moved = _by_moments(joint, at[rows, best], size[rows, best])
    frame = _straightened(frame, joint.model.prior.family.support.low > -torch.inf)
    peaks = torch.where(
        torch.isfinite(height)[..., None], frame.coordinates(at.transpose(0, 1)).transpose(0, 1), torch.nan
    )
    widths, profiled = _widths(joint, frame, peaks, height)
    return _extent(joint, frame, peaks, widths, height, grid, searched + moved + profiled + len(grid.z) + SAMPLES)


def _prior_points(model: LatentVariableModel, batch: Batch) -> Tensor:
    """Return points [S, B or 1, Z] drawn from the prior, the same in every evaluation."""
    with drawing_from(stream(0, "survey", batch.x.device)):
        z = model.prior(batch.context).sample(torch.Size((SAMPLES,))).double()
    z = z if z.dim() == 3 else z[:, None]
    return torch.where(torch.isfinite(z), z, 0.0)


def _centre_and_spread(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the median of points [K, B, Z] and half of what lies between their quantiles of 16 and 84 %, [B, Z]."""
    low, middle, high = (torch.quantile(z, p, 0) for p in (0.16, 0.5, 0.84))
    return middle, ((high - low) / 2).clamp_min(1e-6)


def _prior_grid(joint: Joint, centre: Tensor, spread: Tensor) -> _Grid:
    """Evaluate a grid about the prior: equidistant in its core, in steps of a factor beyond."""
    dim = centre.shape[-1]
    line = _prior_line(dim, centre.device)
    gaps = line.diff()
    gap = torch.maximum(torch.cat([gaps[:1], gaps]), torch.cat([gaps, gaps[-1:]]))
    v, spacing = _product(line, dim), _product(gap, dim)
    z = centre + spread * v[:, None]
    return _Grid(z, joint.at_all(z), spread * spacing[:, None], centre, spread)


def _prior_line(dim: int, device: torch.device) -> Tensor:
    """Return the nodes of a line of the prior's grid, in units of its spread."""
    factor, n = TAIL[dim]
    core = torch.linspace(-CORE[dim], CORE[dim], PER_CORE[dim], dtype=torch.float64, device=device)
    tail = CORE[dim] * factor ** torch.arange(1, n + 1, dtype=torch.float64, device=device)
    return torch.cat([-tail.flip(0), core, tail])


def _product(line: Tensor, dim: int) -> Tensor:
    """Return the grid [n^Z, Z] of a line [n]."""
    return line[:, None] if dim == 1 else torch.cartesian_prod(line, line)


def _candidates(grid: _Points, draws: list[_Points], dim: int) -> tuple[Tensor, Tensor]:
    """Return where searches start, [B, M, Z], and their first steps: maxima of the grid, and the best of the draws."""
    n, b = round(len(grid.z) ** (1 / dim)), grid.log.shape[1]
    image = grid.log.T.reshape(b, 1, *[n] * dim)
    pool = torch.nn.functional.max_pool1d if dim == 1 else torch.nn.functional.max_pool2d
    around = pool(image, 3, 1, 1)
    log = torch.where(image >= around, image, -torch.inf).reshape(b, -1).T
    chosen = [_top(_Points(grid.z, log, grid.spacing), BEST[dim][0])]
    chosen += [_top(points, min(BEST[dim][1], len(points.z))) for points in draws]
    start, step = (torch.cat(parts).transpose(0, 1) for parts in zip(*chosen, strict=True))
    return start, step


def _top(points: _Points, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best points of each row [k, B, Z] and their spacing."""
    b = points.log.shape[1]
    index = points.log.topk(k, 0).indices[..., None].expand(-1, -1, points.z.shape[-1])
    z, spacing = (t.expand(-1, b, -1).gather(0, index) for t in (points.z, points.spacing))
    return z, spacing


def _search(joint: Joint, start: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Climb from every start [B, M, Z] by a compass search; return modes, their heights [B, M] and sizes [B, M, Z].

    The size is the step at which the lowest neighbour of the mode is lower by FLAT to RESOLVED nats.

    Source: Kolda, Lewis & Torczon, "Optimization by direct search", 2003.
    """
    b, m, dim = start.shape
    at, step = start.reshape(-1, dim).clone(), step.reshape(-1, dim).clone()
    row = torch.arange(b, device=at.device).repeat_interleave(m)
    height, active = joint(at[None], row)[0], torch.arange(b * m, device=at.device)
    stencil, scale = _stencil(dim, at.device)
    points = torch.full((b,), m, device=at.device)
    for _ in range(SEARCHES):
        logs = joint(at[active] + stencil[:, None] * step[active], row[active])
        points += len(stencil) * (row[active].bincount(minlength=b))
        top, which = logs.max(0)
        moves = top > height[active]
        drop = height[active] - logs[scale == 1].min(0).values
        flat = ~moves & (drop <= RESOLVED) & (drop >= FLAT)
        at[active] = torch.where(moves[:, None], at[active] + stencil[which] * step[active], at[active])
        change = torch.where(drop < FLAT, 4.0, 0.5 * scale.min())
        change = torch.where(moves, (2 * scale[which]).clamp_max(1.0), change)
        height[active] = torch.maximum(top, height[active])
        step[active] = torch.where(flat[:, None], step[active], step[active] * change[:, None])
        active = active[~flat & torch.isfinite(height[active]) & (step[active] > 1e-13 * at[active].abs()).all(-1)]
        if not len(active):
            break
    return at.reshape(b, m, dim), height.reshape(b, m), step.reshape(b, m, dim), int(points.max())


def _stencil(dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the directions of a search [K, Z], each at a few scales [K]."""
    line = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64, device=device)
    around = _product(line, dim)
    around = around[(around != 0).any(-1)]
    scales = torch.tensor([1.0, 0.25] if dim == 2 else [1.0, 0.5, 0.25, 0.125], dtype=torch.float64, device=device)
    return (scales[:, None, None] * around).flatten(0, 1), scales.repeat_interleave(len(around))


def _distinct(at: Tensor, height: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return modes [B, M, Z] and heights [B, M], -inf where a mode is another's, or negligible beside another."""
    mass = height + size.log().sum(-1)
    first = height.argsort(1, descending=True).argsort(1)  # the rank of each
    near = (at[:, :, None] - at[:, None]).abs() <= 2 * torch.minimum(size[:, :, None], size[:, None])
    is_copy = (near.all(-1) & (first[:, None, :] < first[:, :, None])).any(-1)
    gone = is_copy | (mass < mass.amax(1, keepdim=True) - NEGLIGIBLE)
    return at, torch.where(gone, -torch.inf, height)


def _by_moments(joint: Joint, loc: Tensor, size: Tensor) -> tuple[Frame, int]:
    """Return the frame of the posterior's mean and covariance, from a grid that moves and scales until it fits them."""
    b, dim = loc.shape
    n = NODES[dim]
    line = ((torch.arange(n, dtype=torch.float64, device=loc.device) + 0.5) * (2.0 / n) - 1.0) * REACH
    u = _product(line, dim)
    outer = (u.abs() > REACH * (1 - 2.0 / n)).any(-1)
    loc, factor, index = loc.clone(), torch.diag_embed(size), torch.arange(b, device=loc.device)
    eye, points = torch.eye(dim, dtype=loc.dtype, device=loc.device), 0
    for _ in range(MOVES):
        z = loc[index] + torch.einsum("bij,kj->kbi", factor[index], u)
        points += len(u)
        # where all densities are zero there are no moments: equal shares of all nodes let the grid grow
        share = torch.softmax(joint(z, index), 0).nan_to_num(1.0 / len(u))
        mean = share.mT @ u
        away = u[:, None] - mean
        spread = torch.einsum("kb,kbi,kbj->bij", share, away, away)
        edge, sizes = share[outer].sum(0), torch.linalg.eigvalsh(spread)
        fits = (mean.abs().amax(-1) < 0.5) & (edge < 1e-3) & (sizes[:, 0] > 0.5) & (sizes[:, -1] < 2.0)
        # no narrower than the spacing of the nodes; nor narrower than before, while mass lies at the sides
        least = torch.where(edge > 1e-3, 1.0, (1.0 / n) ** 2 * REACH)
        root = torch.linalg.cholesky(spread + least[:, None, None] * eye)
        moving = index[~fits]
        loc[moving] += torch.einsum("bij,bj->bi", factor[moving], mean[~fits])
        factor[moving] = factor[moving] @ root[~fits]
        index = moving
        if not len(index):
            break
    return Frame(loc, factor), points


def _straightened(frame: Frame, always: bool) -> Frame:
    """Return the frame with its axes along the features where they are nearly so: discontinuities often are, too."""
    sd = frame.factor.square().sum(-1).sqrt()
    slanted = (frame.factor.tril(-1).abs().sum(-1) > SLANT * sd).any(-1) & (not always)
    return Frame(frame.loc, torch.where(slanted[:, None, None], frame.factor, torch.diag_embed(sd)))


def _widths(joint: Joint, frame: Frame, peaks: Tensor, height: Tensor) -> tuple[Tensor, int]:
    """Return the distances [B, M, Z] in u at which the log-density is a nat below its peak, on the flatter side."""
    b, m, dim = peaks.shape
    offsets = 3.0 * 0.6 ** torch.arange(22, dtype=torch.float64, device=peaks.device)
    which = torch.isfinite(height).flatten().nonzero()[:, 0]
    row, at, top = which // m, peaks.reshape(-1, dim)[which], height.flatten()[which]
    widths = torch.ones(b * m, dim, dtype=torch.float64, device=peaks.device)
    frames = frame.of(row)
    for axis in range(dim):
        step = torch.zeros(1, dim, dtype=torch.float64, device=peaks.device)
        step[0, axis] = 1.0
        sides = []
        for sign in (-1.0, 1.0):
            below = top - joint(frames.at(at + sign * offsets[:, None, None] * step), row) >= DROP
            sides.append(torch.where(below, offsets[:, None], offsets[0]).amin(0))
        widths[which, axis] = torch.maximum(*sides)
    return widths.reshape(b, m, dim), 2 * len(offsets) * dim * int(torch.isfinite(height).sum(1).max())


def _scan_line(dim: int, device: torch.device) -> Tensor:
    """Return the nodes of the scan over u: closer about 0."""
    if dim == 1:
        near, far = torch.arange(0.25, 16, 0.25), torch.arange(16.0, FARTHEST + 0.1, 2.0)
    else:
        near, far = torch.arange(1.2, 8.5, 1.2), torch.tensor([10.0, 12.5, 16.0, 21.0, 28.0, 42.0, 70.0, FARTHEST])
    side = torch.cat([near, far]).double().to(device)
    return torch.cat([-side.flip(0), side.new_zeros(1), side])


def _extent(
    joint: Joint, frame: Frame, peaks: Tensor, widths: Tensor, height: Tensor, grid: _Grid, points: int
) -> Survey:
    """Scan the whole space in the frame's coordinates, and enclose what is not negligible there."""
    b, _, dim = peaks.shape
    line = _scan_line(dim, peaks.device)
    gap = torch.cat([line.diff()[:1], line.diff()])
    u, rows = _product(line, dim)[:, None].expand(-1, b, -1), torch.arange(b, device=peaks.device)
    log = joint(frame.at(u), rows) + frame.log_jacobian(u)
    terms = log + _product(gap, dim).log().sum(-1)[:, None]
    of_peaks = height + frame.log_jacobian(peaks.transpose(0, 1)).T + widths.log().sum(-1)
    floor = torch.maximum(terms.amax(0), of_peaks.nan_to_num(-torch.inf).amax(1)) - NEGLIGIBLE
    lo, hi = _bounds_of_scan(log > floor, line, dim)
    of_grid = frame.coordinates(grid.z.expand(-1, b, -1))
    for at, holds in _holding(frame, peaks, widths, grid, (u, log, line), of_grid, floor):
        lo = torch.minimum(lo, torch.where(holds, at, torch.inf).amin(0))
        hi = torch.maximum(hi, torch.where(holds, at, -torch.inf).amax(0))
    lo, hi = lo.clamp(-FARTHEST, FARTHEST), hi.clamp(-FARTHEST, FARTHEST)
    empty = ~(lo < hi)
    lo, hi = torch.where(empty, -1.0, lo), torch.where(empty, 1.0, hi)
    mass = grid.log + grid.spacing.log().sum(-1)
    outside = [
        torch.where(((at < lo) | (at > hi) | (at.abs() >= FARTHEST)).any(-1), logs, -torch.inf).logsumexp(0)
        for at, logs in ((u, terms), (of_grid, mass))
    ]
    noise = _noise(joint, frame, peaks, height)
    return Survey(frame, lo, hi, peaks, widths, torch.maximum(*outside), noise, points + len(u))


def _holding(
    frame: Frame,
    peaks: Tensor,
    widths: Tensor,
    grid: _Grid,
    scan: tuple[Tensor, Tensor, Tensor],
    of_grid: Tensor,
    floor: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield points [K, B, Z] in u, and whether they are to be enclosed [K, B, 1]: of the grid, ridges and peaks."""
    (u, log, line), b, dim = scan, peaks.shape[0], peaks.shape[-1]
    holds = (grid.log + frame.log_jacobian(of_grid) > floor)[..., None]
    yield of_grid, holds
    far = holds & (of_grid.abs() > CLOSE).any(-1, keepdim=True)  # elsewhere the scan has closer nodes
    for sign in (-1.0, 1.0):
        yield frame.coordinates((grid.z + sign * grid.spacing).expand(-1, b, -1)), far
        is_narrow = (widths < NARROW).any(-1, keepdim=True)
        yield (peaks + sign * 6 * widths).nan_to_num(0.0).transpose(0, 1), is_narrow.transpose(0, 1)
    at, height = ridge_points(log, line, dim)
    yield at, (height > floor)[..., None]
    at, height = ridge_points(grid.log, _prior_line(dim, u.device), dim)
    at = frame.coordinates(grid.centre + grid.spread * at)
    yield at, (height + frame.log_jacobian(at) > floor)[..., None]


def _bounds_of_scan(holds: Tensor, line: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the sides [B, Z] of the box about the nodes [K, B] that hold something, wider by one node."""
    n, los, his = len(line), [], []
    image = holds.T.reshape(-1, *[n] * dim)
    for axis in range(dim):
        along = image if dim == 1 else image.any(2 - axis)
        index = torch.arange(n, device=line.device)
        first = torch.where(along, index, n - 1).amin(1)
        last = torch.where(along, index, 0).amax(1)
        los.append(line[(first - 1).clamp_min(0)])
        his.append(line[(last + 1).clamp_max(n - 1)])
    lo, hi = torch.stack(los, -1), torch.stack(his, -1)
    some = holds.any(0)[:, None]
    return torch.where(some, lo, torch.inf), torch.where(some, hi, -torch.inf)


def _noise(joint: Joint, frame: Frame, peaks: Tensor, height: Tensor) -> Tensor:
    """Return the rounding error [B] of log p(x, z) in nats, at least that of the sum itself.

    It is three times the median change between points at the highest peak that differ in their last bits alone.
    """
    rows = torch.arange(len(peaks), device=peaks.device)
    z = frame.at(peaks[rows, height.argmax(1)][None])
    bits = joint.epsilon * torch.arange(-4, 5, dtype=torch.float64, device=peaks.device)[:, None, None]
    change = 3 * joint(z * (1 + bits), rows).diff(dim=0).abs().nan_to_num(0.0, posinf=0.0).median(0).values
    return torch.maximum(change, joint.epsilon * height.amax(1).abs().nan_to_num(0.0, posinf=0.0))
