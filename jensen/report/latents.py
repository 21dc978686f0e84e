"""Pictures of the latent space, of components, and of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch.distributions import Independent, Normal

from ..core.wording import fixed
from ..runs.players import weighted_points
from .facts import Facts, some
from .figures import COLOURS, INK, PAGE, SOFT, bars, draw, lines
from .maps import Legend, legend, scatter
from .panels import Panel

__all__ = ["component_weights", "curves", "latent_map", "rates"]

ROUNDING = 1e-3  # of sums in single precision
SPREAD = "Circles: one and two standard deviations of the prior; the cloud should fill them. "


def curves(facts: Facts) -> Panel | None:
    """Return the bound and its two parts over epochs."""
    if len(facts.epochs) < 2:
        return None
    kept = facts.kept["epoch"] if facts.stopped and facts.kept else None
    titles = {
        "bound": f"bound on {facts.log_px}, nats per datum",
        "distortion": "distortion, nats per datum",
        "rate": "rate, nats per datum",
    }
    exact = facts.run.guide.is_exact
    bodies = []
    for key in titles:
        series = _series(facts, key)
        if not series or (key == "rate" and facts.latent == "none"):
            continue
        title = f"{facts.log_px}, nats per datum" if key == "bound" and exact else titles[key]

        def paint(axes: Axes, shown: Any = series, title: str = title) -> None:
            lines(axes, shown, kept=kept)
            axes.set_title(title, loc="left")

        ends = ", ".join(f"{name} ends at {fixed(y[-1], 2)}" for name, (_, y) in series.items())
        bodies.append(
            draw(f"curve-{key}", f"{title.split(',')[0]} over epochs: {ends} nats per datum.", paint, 335, 260)
        )
    caption = (
        "Averages over each epoch, in the data's own units; the first epochs may lie outside the range. The validation "
        "curve should follow the training curve; one that turns back while the other goes on shows over-fitting. The "
        f"{_relation(facts)}: a rate near 0 would show a code that is ignored."
    )
    if not bodies:  # the objectives of a game are not comparable over epochs, since all players move
        return None
    if not facts.normalised:
        caption = (
            "Averages over each epoch. A validation curve that turns up while training goes down shows over-fitting."
        )
    return Panel(tuple(bodies), caption)


def _relation(facts: Facts) -> str:
    """Return how the bound relates to distortion and rate, which are the parts of the ELBO."""
    points, kept = weighted_points(facts.run.spec), facts.kept
    if points > 1:
        return f"bound is importance-weighted with K = {points}; distortion and rate are those of the ELBO, below it"
    parts = (kept or {}).get("train") or {}
    values = [parts[name] for name in ("bound", "rate", "distortion") if parts.get(name) is not None]
    if len(values) == 3 and abs(sum(values)) > ROUNDING * max(1.0, abs(values[0])):
        return "distortion and rate are not all that is in the bound"
    return "bound is minus the sum of distortion and rate"


def _series(facts: Facts, key: str) -> dict[str, tuple[list[float], list[float]]]:
    series = {}
    for part, name in (("train", "training"), ("valid", "validation")):
        pairs = [(e["epoch"], e[part][key]) for e in facts.epochs if e[part] is not None and e[part][key] is not None]
        if pairs:
            series[name] = ([p[0] for p in pairs], [p[1] for p in pairs])
    return series


def rates(facts: Facts) -> Panel | None:
    """Return the rate of each latent feature, in nats, highest first."""
    if facts.rates is None or facts.active is None or len(facts.rates) < 2:
        return None
    order = np.argsort(-facts.rates)
    values, strong = facts.rates[order], facts.active[order]

    def paint(axes: Axes) -> None:
        bars(axes, values, [str(i + 1) for i in order], strong, "rate, nats per datum")
        axes.set_xlabel("latent feature, strongest first")

    inactive = int((~strong).sum())
    most, least = fixed(values[0], 2), fixed(values[-1], 2)
    alt = f"Rate per latent feature, from {most} down to {least} nats; {int(strong.sum())} are active."
    hollow = f"; the hollow ones ({inactive}) are not" if inactive else ""
    return Panel(
        (draw("rates", alt, paint, 500, 260),),
        f"{int(strong.sum())} of {len(strong)} features are active: the mean of q(z|x) has a variance over data above "
        f"0.01{hollow}. One feature with nearly all of the rate, or none with any, would be bad.",
    )


def component_weights(facts: Facts) -> Panel | None:
    """Return the weights of the mixture's components, heaviest first."""
    if facts.weights is None or len(facts.weights) < 2:
        return None
    order = np.argsort(-facts.weights)
    values = facts.weights[order]

    def paint(axes: Axes) -> None:
        bars(axes, values, [str(i + 1) for i in order], np.ones(len(values), bool), "weight")
        axes.axhline(1 / len(values), color=SOFT, linewidth=1, linestyle=":")
        axes.set_xlabel("component, heaviest first")

    alt = f"Weights of {len(values)} components, from {values[0]:.3f} down to {values[-1]:.3f}."
    return Panel(
        (draw("weights", alt, paint, 500, 260),),
        f"In effect {facts.components:.1f} components (the exponential of the weights' entropy). Dotted: equal "
        "weights. Weights near 0 would show components without data.",
    )


def latent_map(facts: Facts, numbers: dict[str, Any]) -> Panel | None:
    """Return the map of held-out data in latent space."""
    codes = facts.codes
    if codes is None or facts.latent != "features" or len(codes) < 3:
        return None
    codes = codes[:, facts.classes :]
    if codes.shape[1] == 1:
        return _line(facts, codes[:, 0])
    points, names, how, circles = _plane(facts, codes, numbers)
    names_of_classes = legend(facts.labels)
    low, high = _limits(points, circles is not None)
    height = 70 + 420 * (high - low)[1] / (high - low)[0]

    def paint(axes: Axes) -> None:
        if circles is not None:
            for r in (1, 2):
                axes.add_patch(Circle((0, 0), r, fill=False, edgecolor=SOFT, linewidth=1.2))
                box = {"facecolor": PAGE, "edgecolor": "none", "pad": 1, "alpha": 0.9}
                axes.annotate(f"{r} s.d.", (0, r), ha="center", va="center", color=SOFT, bbox=box, zorder=5)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="box")
        scatter(axes, points, facts.labels, names_of_classes)

    message = (
        SPREAD + "Points far outside, or empty regions inside, would show codes that samples and data do not share. "
        if circles is not None
        else ""
    )
    alt = f"Map of {len(points)} held-out data in latent space{', by class' if names_of_classes.marks else ''}."
    drawn = names_of_classes.drawn(points, facts.labels)
    sampled = "" if drawn == len(points) else f"{drawn:,} of them are drawn. "
    shown = some(len(points), facts.held_out, "held-out row")
    return Panel(
        (draw("map", alt, paint, 500, round(min(max(height, 240), 560))),),
        f"Means of q(z|x) of {shown}: {how} {sampled}{_by_class(facts, names_of_classes)}{message}".strip(),
        key=names_of_classes.key,
    )


def _by_class(facts: Facts, names: Legend) -> str:
    """Return how classes are drawn, and what to expect of them; empty without labels."""
    if not names.marks:
        return names.reading
    apart = "Classes that lie apart were separated without labels. "
    within = "The model has the class beside these features, so classes should overlap. "
    return f"{names.reading}{apart if facts.run.classes is None else within}"


def _limits(points: np.ndarray, circles: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the map, which hold nearly all points and the prior's circles, and are not too unequal."""
    middle = np.median(points, 0)
    low, high = np.quantile(points, 0.002, axis=0), np.quantile(points, 0.998, axis=0)
    low, high = (np.minimum(low, -2.3), np.maximum(high, 2.3)) if circles else (low, high)
    pad = 0.05 * (high - low)
    short = 0.3 * (high - low).max()
    return np.minimum(low - pad, middle - short), np.maximum(high + pad, middle + short)


def _is_standard(facts: Facts) -> bool:
    """Return whether the prior is the standard normal."""
    prior = facts.run.model.prior(facts.run.model.usual)
    gaussian = isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)
    return gaussian and not prior.mean.any() and bool((prior.stddev == 1).all())


def _plane(
    facts: Facts, codes: np.ndarray, numbers: dict[str, Any]
) -> tuple[np.ndarray, tuple[str, str], str, np.ndarray | None]:
    """Return two coordinates of the codes, their names, a description, and the prior's scales where it has circles."""
    circles = np.ones(2) if _is_standard(facts) and facts.normalised else None
    z = codes.shape[1]
    if z == 2:
        return codes, ("latent feature 1", "latent feature 2"), "both latent features.", circles
    if facts.rates is not None:
        i, j = (int(k) for k in np.argsort(-facts.rates)[:2])
        numbers["mapped_features"] = [i + 1, j + 1]
        how = f"the two of {z} features with the highest rates, {i + 1} and {j + 1}."
        return codes[:, [i, j]], (f"latent feature {i + 1}", f"latent feature {j + 1}"), how, circles
    centred = codes - codes.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    share = float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-300))
    numbers["map_share_of_variance"] = share
    how = f"their first two principal components, with {share:.0%} of the variance of the {z} features."
    return u[:, :2] * s[:2], ("principal component 1", "principal component 2"), how, None


def _line(facts: Facts, codes: np.ndarray) -> Panel:
    """Return a histogram of the codes of one feature, beside the density of the prior."""
    grid = np.linspace(min(-3.5, codes.min()), max(3.5, codes.max()), 281)
    density = _density(facts, grid) if facts.normalised and not facts.classes else None
    standard = _is_standard(facts)
    name, beside = ("standard normal", "the prior, a standard normal") if standard else ("prior", "the prior")

    def paint(axes: Axes) -> None:
        axes.hist(codes, bins=40, density=True, color=COLOURS[0], alpha=0.6)
        if density is not None:
            axes.plot(grid, density, color=INK, linewidth=1.5)
            top = int(np.argmin(np.abs(grid - 0.8))) if standard else int(density.argmax())
            axes.annotate(name, (grid[top], density[top]), (6, 0), textcoords="offset points")
        axes.set(xlabel="latent feature 1", ylabel="density")

    clause = f", beside {beside}" if density is not None else ""
    shown = some(len(codes), facts.held_out, "held-out row")
    return Panel(
        (draw("map", f"Histogram of the codes of {len(codes)} held-out rows.", paint, 520, 300),),
        f"Means of q(z|x) of {shown}{clause}. Codes far outside the prior, or all at one point, would be bad.",
    )


@torch.no_grad()
def _density(facts: Facts, grid: np.ndarray) -> np.ndarray:
    """Return p(z) [n] of the model's prior at values [n] of its one feature."""
    z = torch.as_tensor(grid[:, None], dtype=facts.run.dtype, device=facts.run.device)
    return facts.run.model.prior.log_prob(z).exp().double().cpu().numpy().reshape(-1)
