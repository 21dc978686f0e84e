"""Features for comparing samples with data: those of a small classifier, or principal components, fitted to the data.

No weights are downloaded, so the features are specific to the data set: distances in them can be compared between
models of the same data and split, and not otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..core.batch import Rows
from ..core.errors import DataError
from ..core.random import drawing_from, stream
from ..core.rows import evenly_spaced
from ..data import UNKNOWN
from ..nets import MLP, ConvEncoder, Critic, Standardize

__all__ = ["Features", "learn_features"]

WIDTH, CHANNELS = 64, 8  # features of a classifier's last layer, and channels of its finest convolutions
STEPS, BATCH, RATE = 1500, 128, 2e-3
COMPONENTS, FIT = 32, 2000  # principal components, and rows to which they are fitted
CLASSES = 1000
CHUNK = 1024


@dataclass(frozen=True)
class Features:
    """A map from data [N, D] to features [N, F] in float64.

    Attributes:
        kind: "classifier" or "principal components".
        size: F.
        rows: number of rows to which it was fitted.
        accuracy: of a classifier, on held-out rows; None where there were no labels.
        seed: seed of its weights and of the order of its data.
        of: the map.
    """

    kind: str
    size: int
    rows: int
    accuracy: float | None
    seed: int
    of: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([self.of(part.float()).double().cpu() for part in x.split(CHUNK)])

    @property
    def phrase(self) -> str:
        """The features in words."""
        if self.kind != "classifier":
            return f"{self.size} {self.kind}"
        accuracy = "" if self.accuracy is None else f" (right on {self.accuracy:.1%} of the rows)"
        return f"{self.size} features of a classifier{accuracy}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return {k: getattr(self, k) for k in ("kind", "size", "rows", "accuracy", "seed")}


def learn_features(
    train: Rows,
    labels: Tensor | None,
    held_out: Rows,
    held_out_labels: Tensor | None,
    shape: tuple[int, ...],
    seed: int = 0,
) -> Features:
    """Return a classifier's last features, where there are labels of two classes or more; else principal components.

    Args:
        train: rows to which the features are fitted.
        labels: [N] whole numbers, `UNKNOWN` where there is none; or None.
        held_out: rows on which the accuracy of the classifier is measured, with `held_out_labels`.
        shape: (H, W, C) of images, or (D,).
        seed: seed of all random streams.

    Raises:
        DataError: there are fewer than two training rows.
    """
    if len(train) < 2:
        raise DataError(f"features need at least 2 training rows, got {len(train)}", "Train on more rows.")
    x = torch.cat([batch.x for batch in train.batches(CHUNK, stream(seed, "feature rows", train.device))]).float()
    if labels is not None and held_out_labels is not None:
        held_out, held_out_labels = _labelled(held_out, held_out_labels)
    names = torch.zeros(0) if labels is None else labels[labels != UNKNOWN].unique()
    classes = len(names)
    if labels is None or not 2 <= classes <= min(CLASSES, len(x) // 2):
        return _components(x, seed)
    x, numbers = x[(labels != UNKNOWN).to(x.device)], torch.searchsorted(names, labels[labels != UNKNOWN])
    with torch.enable_grad(), drawing_from(stream(seed, "feature weights")):
        net = _classifier(x.cpu(), shape, classes).to(x.device)
    _fit(net, x, numbers.to(x.device), seed)
    accuracy = None
    if held_out_labels is not None and len(held_out_labels):
        y = torch.cat([b.x for b in held_out.batches(CHUNK, stream(seed, "feature rows", held_out.device))]).float()
        predicted = torch.cat([net(part).argmax(-1).cpu() for part in y.split(CHUNK)])
        accuracy = float((names[predicted] == held_out_labels.cpu()).double().mean())
    return Features("classifier", WIDTH, len(x), accuracy, seed, lambda part: net.features(part))


def _labelled(rows: Rows, labels: Tensor) -> tuple[Rows, Tensor]:
    """Return the rows whose class is known, with their labels."""
    index = (labels != UNKNOWN).nonzero().squeeze(-1)
    return rows.subset(index.to(rows.device)), labels[index]


class _Classifier(nn.Module):
    """Logits [N, C] from the features of a net."""

    def __init__(self, body: Critic, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(WIDTH, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the features [N, F] of the last layer."""
        return self.body.features(self.body.standardized(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def _classifier(x: Tensor, shape: tuple[int, ...], classes: int) -> _Classifier:
    dim = x.shape[1]
    if len(shape) == 3:
        body: nn.Module = ConvEncoder((shape[0], shape[1], shape[2]), WIDTH, CHANNELS)
    else:
        body = MLP(dim, WIDTH, (2 * WIDTH,))
    scale = x.var(0, correction=0).mean().sqrt().expand(dim)
    return _Classifier(Critic(body, WIDTH, Standardize(dim).set(x.mean(0), scale), "silu"), classes)


@torch.enable_grad()
def _fit(net: nn.Module, x: Tensor, numbers: Tensor, seed: int) -> None:
    """Minimise the cross entropy by Adam, with a learning rate that falls to zero over a fixed number of steps."""
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(parameters, RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, STEPS)
    generator, index = stream(seed, "feature order"), torch.zeros(0, dtype=torch.long)
    for _ in range(STEPS):
        if len(index) < min(BATCH, len(x)):
            index = torch.randperm(len(x), generator=generator)
        some, index = index[:BATCH].to(x.device), index[BATCH:]
        optimizer.zero_grad()
        cross_entropy(net(x[some]), numbers[some]).backward()
        optimizer.step()
        schedule.step()
    net.eval().requires_grad_(False)


def _components(x: Tensor, seed: int) -> Features:
    """Return projections onto the directions of largest variance, in units of the data's mean standard deviation."""
    some = x[evenly_spaced(len(x), FIT, x.device)]
    centre = some.mean(0)
    _, _, directions = torch.linalg.svd((some - centre).double(), full_matrices=False)
    size = min(COMPONENTS, len(directions))
    scale = some.double().var(0, correction=0).mean().sqrt().clamp_min(1e-30)
    matrix = directions[:size].mT / scale
    return Features("principal components", size, len(some), None, seed, lambda part: (part - centre).double() @ matrix)
