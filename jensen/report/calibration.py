"""Is the guide as sure as it should be, and what a nat of code buys: figures of what other commands wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.errors import CorruptRunError
from ..runs.rate_distortion import NAME
from ..storage.schemas import CalibrationRecord, CurveRecord
from .facts import Facts, kept, of_these_weights
from .figures import COLOURS, DASHES, GRID, SOFT, draw, end_labels
from .panels import Panel
from .rate_distortion import paint

__all__ = ["calibration", "tradeoff"]

NAMED = 3  # quantities drawn in colours of their own, the furthest from uniform first
ERRORS = 2.0  # standard errors of the band around a coverage


def calibration(facts: Facts, numbers: dict[str, Any]) -> list[Panel]:
    """Two figures of calibration.json: ranks against uniform ones, and coverage; none where it is of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    path = facts.run.path / "calibration.json"
    found = of_these_weights(facts.run, path, CalibrationRecord, "jensen calibrate RUN")
    if found is None:
        return []
    curves, band = [q["ecdf_difference"] for q in found["quantities"]], found["band"]
    lengths = {len(values) for values in (*curves, *band.values())}, {len(v) for v in found["coverage"].values()}
    if not curves or lengths[0] != {found["l"]} or len(lengths[1]) != 1:
        raise CorruptRunError(f"{path} is damaged (its curves differ in length)", "Run jensen calibrate RUN again.")
    numbers["calibration"] = found
    return [_ranks(found), _coverage(found)]


def _ranks(found: dict[str, Any]) -> Panel:
    """Distribution of the ranks less the uniform one, with the band that holds all of a calibrated one's."""
    grid = np.arange(found["l"] + 2) / (found["l"] + 1)
    curves = {q["name"]: _closed(q["ecdf_difference"]) for q in found["quantities"]}
    low, high = (_closed(found["band"][side]) for side in ("lower", "upper"))
    faulty = [q["name"] for q in found["quantities"] if q["finding"] is not None]
    worst = sorted(faulty, key=lambda name: -float(np.abs(curves[name]).max()))[:NAMED]

    def paint_ranks(axes: Axes) -> None:
        axes.fill_between(grid, low, high, color=GRID, alpha=0.6, linewidth=0)
        for name in (name for name in curves if name not in worst):
            axes.plot(grid, curves[name], color=SOFT, linewidth=1, alpha=0.7)
        for i, name in enumerate(worst):
            axes.plot(grid, curves[name], color=COLOURS[i], linestyle=DASHES[i % 2])
        axes.margins(x=0)
        # before its last step to 0, where all curves end
        end_labels(axes, [(1.0, float(curves[name][-2]), name) for name in worst])
        axes.set(xlabel="rank of the truth among draws of q(z|x), as a fraction", ylabel="ECDF - uniform")

    alt = f"Ranks of {len(found['quantities'])} quantities against uniform ones: {found['verdict']}."
    shown = f"In colour the {len(worst)} that go furthest. " if worst else ""
    caption = (
        f"Calibration: {found['verdict']}. On {found['n']:,} data that the model made, not on yours (seed "
        f"{found['seed']}), the true z is known, and its rank among {found['l']} draws of q(z|x) is uniform if q is "
        f"the posterior: of a calibrated quantity the whole curve lies in the band with probability 95 %. {shown}"
        f"{len(faulty)} of {len(found['quantities'])} quantities are found not uniform, at 5 % over all of them. Of a "
        "latent feature, an S shows a guide that is too sure or not sure enough, an arch or a bowl one that is biased."
    )
    return Panel((draw("calibration-ranks", alt, paint_ranks, 470, 290),), caption)


def _closed(values: list[float]) -> np.ndarray:
    """A difference of two distribution functions, with the zeros at either end."""
    return np.concatenate([[0.0], values, [0.0]])


def _coverage(found: dict[str, Any]) -> Panel:
    """How often regions of highest density hold the truth, over their level."""
    level, fraction, error = (np.array(found["coverage"][key]) for key in ("levels", "fractions", "stderr"))

    def paint_coverage(axes: Axes) -> None:
        axes.fill_between(level, level - ERRORS * error, level + ERRORS * error, color=GRID, alpha=0.6, linewidth=0)
        axes.plot(level, level, color=SOFT, linewidth=1, linestyle=":")
        axes.plot(level, fraction, color=COLOURS[0], marker="o", markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the region of q(z|x)", ylabel="holds the true z")

    i = int(np.abs(level - 0.9).argmin())
    told = f"regions of {level[i]:.0%} hold the truth {fraction[i]:.1%} of the time"
    caption = (
        f"Coverage: {told} (± {error[i]:.1%} of a calibrated guide). Regions of highest density of q(z|x), all "
        f"features together, on the same data. Band: {ERRORS:.0f} standard errors of a calibrated guide, at each level "
        "by itself. Below it the guide is too sure, above it not sure enough."
    )
    return Panel((draw("calibration-coverage", f"Coverage: {told}.", paint_coverage, 470, 290),), caption)


def tradeoff(facts: Facts, numbers: dict[str, Any]) -> Panel | None:
    """Rate against distortion, where the run is one of the trainings that a rate-distortion curve is made of.

    Raises:
        CorruptRunError: the file is damaged.
    """
    folder = facts.run.path.resolve()
    found = kept(folder.parent / f"{NAME}.json", CurveRecord, "jensen rate-distortion")
    own = None if found is None else next((p for p in found["points"] if Path(p["run"]).name == folder.name), None)
    if found is None or own is None:
        return None
    numbers["rate_distortion"] = {"this_beta": own["beta"], **found}
    best = found["best_beta"]
    alt = (
        f"Rate against distortion for {len(found['points'])} weights of the rate; this run, beta {own['beta']:g}, has "
        f"rate {own['rate']:.2f} and distortion {own['distortion']:.2f}; the best ELBO is at beta {best:g}."
    )
    caption = (
        f"What a nat of code buys, over the weight of the rate (beta) in training; this run is ringed, with an ELBO of "
        f"{own['elbo']:.2f} nats per datum. The best ELBO is at beta {best:g}. Of {found['data']}, by "
        f"jensen rate-distortion (seed {found['seed']}, K = {own['k']}). Each point is one training: the curve is what "
        "these reached, not what is possible."
    )
    body = draw("rate-distortion", alt, lambda axes: paint(axes, found, own["beta"]), 470, 380)
    return Panel((body,), caption)
