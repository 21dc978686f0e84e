"""Pictures of models of images: reconstructions, samples, interpolations and traversals."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..core.errors import JensenError
from ..core.rows import evenly_spaced
from ..plot.images import STEPS, grid_rows, originals, reconstruction_rows, sample_rows, traversal_rows
from ..plot.shades import Shades, coloured, columns
from .chains import fewer_steps, path_of_chain
from .facts import Facts, some
from .grids import blocks, sheet
from .panels import Panel

__all__ = ["between", "component_means", "nearest", "prior_grid", "reconstructions", "samples", "traversals"]

PAIRS = 6
BLOCKS = 2
SOME = 20_000  # training rows of files among which neighbours are searched for


def _preparation_note(facts: Facts) -> str:
    """Return a note on binarisation and on missing pixels, where there are any."""
    how = {"static": "once", "dynamic": "at random", "threshold": "at half the range"}.get(
        facts.run.preparation.binarize or ""
    )
    missing = "; pixels in tan are missing" if facts.part is not None and facts.part.mask is not None else ""
    return (f" (binarised {how}, as the model sees them)" if how else "") + missing


def reconstructions(facts: Facts, shades: Shades) -> Panel | None:
    """Return held-out data above their reconstructions: means, and samples."""
    if facts.part is None or not facts.examples or facts.latent == "none" or not facts.run.guide.infers:
        return None
    index, content = reconstruction_rows(facts, shades, columns(shades.shape))
    alt = f"{len(index)} held-out images in the top row, their mean reconstructions below, sampled ones at the bottom."
    return Panel(
        blocks(content, alt),
        f"Top: {some(len(index), facts.held_out, 'row')} that were not trained on{_preparation_note(facts)}. Middle: "
        "the mean of p(x|z) at the mean of q(z|x). Bottom: a sample of x with a sample of z, noise included. Means "
        "that all look alike would show a code that is ignored; means of another class than the original, a code that "
        "confuses classes.",
        tiles=True,
    )


def nearest(facts: Facts, x: np.ndarray, shades: Shades, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `train` nearest to images [M, H, W, C] in shades, and their distances, pixels from 0 to 1."""
    flat = x.reshape(len(x), -1).astype(np.float32) / 255
    best, where = np.full(len(x), np.inf, np.float32), np.zeros(len(x), np.int64)
    for start in range(0, len(train), 4096):
        other = shades(train[start : start + 4096]).reshape(-1, flat.shape[1]).astype(np.float32) / 255
        square = (flat**2).sum(1)[:, None] - 2 * flat @ other.T + (other**2).sum(1)
        index = square.argmin(1)
        value = square[np.arange(len(x)), index]
        better = value < best
        best[better], where[better] = value[better], start + index[better]
    return where, np.sqrt(np.maximum(best, 0))


def _training(facts: Facts) -> np.ndarray | None:
    """Return training rows to search for neighbours, of those that stay in files 20,000, evenly spaced.

    None where entries are missing, which have no distance.

    None in a quick report. Where batches had mirrored rows, these follow.
    """
    if not facts.examples or facts.holed or facts.quick:
        return None
    try:
        dataset, train = facts.run.dataset(), facts.run.split().train
        if dataset.is_streamed:
            train = train[evenly_spaced(len(train), SOME).numpy()]
        rows = dataset.x[train[:]]
    except JensenError:
        return None
    return np.concatenate([rows, _mirrored(rows, facts.run.schema.shape)]) if _are_mirrored(facts) else rows


def _mirrored(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return images [N, D] left to right."""
    return rows.reshape(len(rows), *shape)[:, :, ::-1].reshape(len(rows), -1)


def _are_mirrored(facts: Facts) -> bool:
    """Return whether the model was trained on mirrored rows beside those of the data."""
    return "flip" in (facts.run.spec["command"].get("augment") or ())


def samples(facts: Facts, shades: Shades, numbers: dict[str, Any]) -> Panel | None:
    """Return new images: means and samples of the same z, above the training row that is nearest to the mean."""
    if not facts.samples:
        return None
    n = columns(shades.shape)
    content, captions = sample_rows(facts, shades, BLOCKS * n), []
    only_noise, mean = len(content) == 1, content[0]  # else a mean beside each sample
    captions.append(
        "Samples from the model."
        if only_noise
        else "Top: the mean of p(x|z) at z drawn from the prior. Below it: a sample of x at the same z."
    )
    captions += fewer_steps(facts)
    train = _training(facts)
    if train is not None:
        where, distance = nearest(facts, mean, shades, train)
        content.append(shades(train[where]))
        numbers["nearest_training_row"] = _distances(facts, shades, train, distance)
        row = "training row, mirrored or not," if _are_mirrored(facts) else "training row"
        captions.append(f"Bottom: the {row} that is nearest to {'it' if only_noise else 'the mean'}.")
        captions.append(_median_distances(numbers["nearest_training_row"]))
    captions.append("Samples should look like data and differ from one another.")
    if train is not None:
        captions.append("Samples that equal their training row would show a model that has memorised its data.")
    strips = [[row[i : i + n] for row in content] for i in range(0, BLOCKS * n, n)]
    alt = f"{n} samples from the prior{', each above its nearest training row' if train is not None else ''}."
    return Panel(tuple(body for strip in strips for body in blocks(strip, alt)), " ".join(captions), tiles=True)


def _distances(facts: Facts, shades: Shades, train: np.ndarray, distance: np.ndarray) -> dict[str, float]:
    medians = {"samples": float(np.median(distance))}
    if facts.part is not None:
        some = shades(facts.part.x[evenly_spaced(len(facts.part.x), 200).numpy()])
        medians["held_out_rows"] = float(np.median(nearest(facts, some, shades, train)[1]))
    return medians


def _median_distances(distance: dict[str, float]) -> str:
    """Return a sentence on the median distances of samples and of held-out rows; empty where one is unknown."""
    if "held_out_rows" not in distance:
        return ""
    return (
        f"Median distance to the nearest training row (Euclidean, pixels from 0 to 1): {distance['samples']:.2f} for "
        f"these, {distance['held_out_rows']:.2f} for rows that were not trained on."
    )


def between(facts: Facts, shades: Shades) -> Panel | None:
    """Return the decoded straight lines in latent space between pairs of held-out images."""
    if facts.codes is None or facts.latent != "features" or not facts.examples or len(facts.codes) < 2:
        return None
    order = evenly_spaced(len(facts.codes), 4 * PAIRS).numpy()
    a, b = order[: len(order) // 2], order[len(order) // 2 :][: len(order) // 2]
    if facts.labels is not None:
        labels = facts.labels
        keep = [i for i in range(len(a)) if labels[a[i]] != labels[b[i]]] or list(range(len(a)))
        a, b = a[keep], b[keep]
    a, b = a[:PAIRS], b[:PAIRS]
    codes = torch.as_tensor(facts.codes, dtype=facts.run.dtype, device=facts.run.device)
    context = None if facts.shown is None else facts.shown.context
    ends = None if context is None else (context[a], context[b])
    chained = path_of_chain(facts, codes[a], codes[b], STEPS)
    x = latents.interpolate(facts.run.model, codes[a], codes[b], STEPS, ends) if chained is None else chained
    steps = shades(facts.run.shaped(x.flatten(0, 1))).reshape(STEPS, len(a), *_pixels(shades))
    index = facts.index(len(codes)).cpu().numpy()
    left, right = originals(facts, index[a], shades), originals(facts, index[b], shades)
    if 3 in (left.shape[-1], right.shape[-1]):  # images with missing pixels have colours
        left, right, steps = coloured(left), coloured(right), coloured(steps)
    rows = [np.concatenate([left[i : i + 1], steps[:, i], right[i : i + 1]]) for i in range(len(a))]
    return Panel(
        (sheet(rows, f"{len(a)} rows of images that change step by step from one held-out image to another."),),
        f"Far left and far right: held-out images{_preparation_note(facts)}. Between them: the mean of p(x|z) along "
        f"{_path(chained is not None, ends is not None)}. Every step should "
        "look like data; a blur of both ends in the middle would show a region without codes.",
    )


def _path(by_chain: bool, has_labels: bool) -> str:
    """Return what the path between two data is."""
    if by_chain:
        return "a great circle of the noise to which the chain leads from both without noise of its own (DDIM)"
    return f"the straight line from one code to the other{', and from label to label' if has_labels else ''}"


def _pixels(shades: Shades) -> tuple[int, int, int]:
    height, width, channels = shades.shape
    return height, width, 3 if channels >= 3 else 1


def traversals(facts: Facts, shades: Shades) -> Panel | None:
    """Return the decoded images as each of the strongest features moves alone."""
    if facts.rates is None or len(facts.rates) < 3:
        return None
    top, rows = traversal_rows(facts, shades)
    names = ", ".join(str(int(i) + 1) for i in top)
    return Panel(
        (sheet(rows, f"One row for each of the features {names}: the decoded image as that feature alone moves."),),
        f"Features {names}, from the top, strongest first: each moves alone from -2.5 to 2.5 about the prior's mean, "
        "where the others stay. Each row should change smoothly; a row without change would show a feature that the "
        f"decoder ignores there.{_usual(facts)}",
    )


def _usual(facts: Facts) -> str:
    """Return a note on the class of the pictures, where the model needs one."""
    classes, usual = facts.run.classes, facts.run.model.usual
    if classes is None or usual is None:
        return ""
    return f" All are of the class {classes.names[int(usual.argmax())]}, the most frequent in training."


def prior_grid(facts: Facts, shades: Shades) -> Panel | None:
    """Return a grid of decoded images over the plane of two features."""
    if facts.latent != "features" or facts.run.model.latent != 2 or not facts.normalised:
        return None
    try:
        rows = grid_rows(facts, shades)
    except JensenError:
        return None
    return Panel(
        (sheet(rows, "A grid of 15 by 15 decoded images over the two latent features."),),
        "The mean of p(x|z) over the plane: feature 1 grows to the right and feature 2 upwards, in steps of equal "
        "probability under the prior. Neighbours should differ little, and every place should look like data."
        f"{_usual(facts)}",
    )


def component_means(facts: Facts, shades: Shades) -> Panel | None:
    """Return the mean image of each component of a mixture, heaviest first."""
    if facts.weights is None:
        return None
    order, n = np.argsort(-facts.weights)[: 4 * columns(shades.shape)], columns(shades.shape)
    eye = torch.eye(len(facts.weights), dtype=facts.run.dtype, device=facts.run.device)[order.copy()]
    means = shades(facts.run.shaped(latents.decode(facts.run.model, eye)))
    rows = [means[i : i + n] for i in range(0, len(means), n)]
    shown = some(len(means), len(facts.weights), "component")
    return Panel(
        tuple(b for row in rows for b in blocks([row], f"The mean images of {shown}, heaviest first.")),
        f"The mean of each of {shown}, heaviest first. They should differ: components that look alike share one "
        "cluster; one that looks like noise, or like a single training image, has too few data.",
        tiles=True,
    )
