"""Pictures of the latent space, of components, and of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.wording import fixed
from ..plot.latents import has_standard_prior, map_height, plane, prior_density
from ..plot.latents import latent_map as draw_map
from ..plot.maps import Legend, legend
from ..plot.style import SOFT, bars
from ..plot.training import Measure, curve_title, series, training_curves
from ..runs.players import weighted_points
from .facts import Facts, some
from .figures import draw
from .panels import Panel

__all__ = ["component_weights", "curves", "latent_map", "rates"]

MEASURES: tuple[Measure, ...] = ("bound", "distortion", "rate")
ROUNDING = 1e-3  # of sums in single precision
SPREAD = "Circles: one and two standard deviations of the prior; the cloud should fill them. "


def curves(facts: Facts) -> Panel | None:
    """Return the bound and its two parts over epochs."""
    if len(facts.epochs) < 2:
        return None
    bodies = []
    for key in MEASURES:
        curves_shown = series(facts, key)
        if not curves_shown or (key == "rate" and facts.latent == "none"):
            continue
        title = curve_title(facts, key)

        def paint(axes: Axes, key: Measure = key) -> None:
            training_curves(facts, axes, measure=key)

        ends = ", ".join(f"{name} ends at {fixed(y[-1], 2)}" for name, (_, y) in curves_shown.items())
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
    if facts.run.spec["command"].get("augment"):
        caption += " The training curve is of augmented rows, and may lie below the other."
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
    shown_plane = plane(facts, codes)
    numbers |= shown_plane.numbers
    points, names_of_classes = shown_plane.points, legend(facts.labels)

    def paint(axes: Axes) -> None:
        draw_map(facts, axes)

    message = (
        SPREAD + "Points far outside, or empty regions inside, would show codes that samples and data do not share. "
        if shown_plane.circles
        else ""
    )
    alt = f"Map of {len(points)} held-out data in latent space{', by class' if names_of_classes.marks else ''}."
    drawn = names_of_classes.drawn(points, facts.labels)
    sampled = "" if drawn == len(points) else f"{drawn:,} of them are drawn. "
    shown = some(len(points), facts.held_out, "held-out row")
    return Panel(
        (draw("map", alt, paint, 500, map_height(shown_plane)),),
        f"Means of q(z|x) of {shown}: {shown_plane.how} {sampled}{_by_class(facts, names_of_classes)}{message}".strip(),
        key=names_of_classes.key,
    )


def _by_class(facts: Facts, names: Legend) -> str:
    """Return how classes are drawn, and what to expect of them; empty without labels."""
    if not names.marks:
        return names.reading
    apart = "Classes that lie apart were separated without labels. "
    within = "The model has the class beside these features, so classes should overlap. "
    return f"{names.reading}{apart if facts.run.classes is None else within}"


def _line(facts: Facts, codes: np.ndarray) -> Panel:
    """Return a histogram of the codes of one feature, beside the density of the prior."""
    beside = "the prior, a standard normal" if has_standard_prior(facts) else "the prior"

    def paint(axes: Axes) -> None:
        draw_map(facts, axes)

    clause = f", beside {beside}" if prior_density(facts, codes) is not None else ""
    shown = some(len(codes), facts.held_out, "held-out row")
    return Panel(
        (draw("map", f"Histogram of the codes of {len(codes)} held-out rows.", paint, 520, 300),),
        f"Means of q(z|x) of {shown}{clause}. Codes far outside the prior, or all at one point, would be bad.",
    )
