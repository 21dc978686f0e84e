"""Figures of calibration and of rate against distortion, from the records of other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.errors import CorruptRunError
from ..core.wording import fixed, plural
from ..plot.rate_distortion import rate_distortion
from ..plot.style import COLOURS, DASHES, GRID, SOFT, end_labels
from ..runs.rate_distortion import NAME
from ..storage.run_folder import CALIBRATION
from ..storage.schemas import CalibrationRecord, CurveRecord
from .facts import Facts, kept, of_these_weights
from .figures import draw
from .panels import Panel

__all__ = ["calibration", "tradeoff"]

NAMED = 3  # quantities drawn in colour, the furthest from uniform first
ERRORS = 2.0  # standard errors of the band around a coverage


def calibration(facts: Facts, numbers: dict[str, Any]) -> list[Panel]:
    """Return two figures of calibration.json, ranks and coverage; none where it is of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    path = facts.run.path / CALIBRATION
    record = of_these_weights(facts.run, path, CalibrationRecord, "jensen calibrate RUN")
    if record is None:
        return []
    curves, band = [q["ecdf_difference"] for q in record["quantities"]], record["band"]
    lengths = {len(values) for values in (*curves, *band.values())}, {len(v) for v in record["coverage"].values()}
    if not curves or lengths[0] != {record["l"]} or len(lengths[1]) != 1:
        raise CorruptRunError(f"{path} is damaged (its curves differ in length)", "Run jensen calibrate RUN again.")
    numbers["calibration"] = record
    return [_ranks(record), _coverage(record)]


def _ranks(record: dict[str, Any]) -> Panel:
    """Return the ECDF of the ranks minus the uniform one, with the simultaneous band of a calibrated guide."""
    grid = np.arange(record["l"] + 2) / (record["l"] + 1)
    curves = {q["name"]: _closed(q["ecdf_difference"]) for q in record["quantities"]}
    low, high = (_closed(record["band"][side]) for side in ("lower", "upper"))
    uncalibrated = [q["name"] for q in record["quantities"] if q["finding"] is not None]
    worst = sorted(uncalibrated, key=lambda name: -float(np.abs(curves[name]).max()))[:NAMED]

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

    alt = f"Ranks of {len(record['quantities'])} quantities against uniform ones: {record['verdict']}."
    coloured = f"In colour: the {len(worst)} furthest from uniform. " if worst else ""
    caption = (
        f"Calibration: {record['verdict']}. On {record['n']:,} data simulated by the model, not the user's (seed "
        f"{record['seed']}), the true z is known, and its rank among {record['l']} draws of q(z|x) is uniform if q is "
        f"the posterior: the whole curve of a calibrated quantity lies in the band with probability 95 %. {coloured}"
        f"{len(uncalibrated)} of {plural(len(record['quantities']), 'quantity')} are not uniform, at a level of 5 % "
        "over all of them. For a latent feature, an S would show an over-confident or under-confident guide, an arch "
        "or a bowl a biased one."
    )
    return Panel((draw("calibration-ranks", alt, paint_ranks, 470, 290),), caption)


def _closed(values: list[float]) -> np.ndarray:
    """Return a difference of two distribution functions with the zeros at both ends."""
    return np.concatenate([[0.0], values, [0.0]])


def _coverage(record: dict[str, Any]) -> Panel:
    """Return the share of true z in regions of highest density, over the level of the regions."""
    level, fraction, error = (np.array(record["coverage"][key]) for key in ("levels", "fractions", "stderr"))

    def paint_coverage(axes: Axes) -> None:
        axes.fill_between(level, level - ERRORS * error, level + ERRORS * error, color=GRID, alpha=0.6, linewidth=0)
        axes.plot(level, level, color=SOFT, linewidth=1, linestyle=":")
        axes.plot(level, fraction, color=COLOURS[0], marker="o", markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the region of q(z|x)", ylabel="share that holds the true z")

    i = int(np.abs(level - 0.9).argmin())
    message = f"regions of {level[i]:.0%} hold the truth {fraction[i]:.1%} of the time"
    caption = (
        f"Coverage: {message} (± {error[i]:.1%} for a calibrated guide). Regions of highest density of q(z|x), of all "
        f"features jointly, on the same data. Band: {ERRORS:.0f} standard errors of a calibrated guide, pointwise. The "
        "curve should lie in the band: below it the guide is over-confident, above it under-confident."
    )
    return Panel((draw("calibration-coverage", f"Coverage: {message}.", paint_coverage, 470, 290),), caption)


def tradeoff(facts: Facts, numbers: dict[str, Any]) -> Panel | None:
    """Return rate against distortion, where the run is a point of a rate-distortion curve.

    Raises:
        CorruptRunError: the file is damaged.
    """
    folder = facts.run.path.resolve()
    record = kept(folder.parent / f"{NAME}.json", CurveRecord, "jensen rate-distortion")
    own = None if record is None else next((p for p in record["points"] if Path(p["run"]).name == folder.name), None)
    if record is None or own is None:
        return None
    numbers["rate_distortion"] = {"this_beta": own["beta"], **record}
    best = record["best_beta"]
    alt = (
        f"Rate against distortion for {len(record['points'])} weights of the rate; this run, beta {own['beta']:g}, has "
        f"rate {fixed(own['rate'], 2)} and distortion {fixed(own['distortion'], 2)}; the best ELBO is at beta {best:g}."
    )
    caption = (
        f"The rate-distortion curve, over the weight of the rate (beta) in training; this run is ringed, with an ELBO "
        f"of {fixed(own['elbo'], 2)} nats per datum. The best ELBO is at beta {best:g}. Measured on {record['data']} "
        f"by jensen rate-distortion (seed {record['seed']}, K = {own['k']}). Each point is one training, so the true "
        "curve may lie further down and left. A point above its neighbours would show a training that went wrong."
    )
    body = draw("rate-distortion", alt, lambda axes: rate_distortion(record, axes, own=own["beta"]), 470, 380)
    return Panel((body,), caption)
