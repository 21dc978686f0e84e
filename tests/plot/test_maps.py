"""Maps of classes: names do not touch, stay inside, and are whole in the key."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jensen.plot.maps import FEW, MOST_CLASSES, legend, scatter
from jensen.plot.style import laid_out

NAMES = {
    "digits": [str(i) for i in range(10)],
    "long": [f"a class with a name of about sixty characters, number {i:04}" for i in range(6)],
    "twenty": [f"cell type {i} of the peripheral blood" for i in range(20)],
    "unicode": ["温度の高い状態が続く場合のとても長い名前", "Größe", "naïve", "ψ", "é" * 50],
    "right to left": ["خلية جذعية", "خلية عصبية طويلة جدا مع اسم لا ينتهي", "שלום"],
    "few": ["setosa", "versicolor", "virginica"],
}


def drawn(names: list[str], spread: float, seed: int = 0):
    """The figure of 30 points of each class; without spread, all classes lie in one place."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.array(names), 30)
    points = rng.normal(size=(len(classes), 2)) + spread * np.repeat(rng.normal(size=(len(names), 2)), 30, 0)
    key = legend(classes)

    def paint(axes):
        axes.set(xlim=(-8, 8), ylim=(-8, 8))
        scatter(axes, points, classes, key)

    figure = laid_out(paint, 500, 460)
    figure.draw_without_rendering()
    return figure, key


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.filterwarnings("ignore:Matplotlib currently does not support")
@pytest.mark.parametrize("spread", [0.0, 3.0])
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.sampled(5)
def test_labels_do_not_touch(kind, spread):
    """By the boxes that the renderer draws."""
    figure, key = drawn(NAMES[kind], spread)
    labels = [t for t in figure.axes[0].texts if t.get_text() in key.labels.values()]
    assert len(labels) == len(key.labels)
    boxes = [label.get_window_extent() for label in labels]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = figure.axes[0].get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)


@pytest.mark.parametrize("kind", NAMES)
def test_every_class_can_be_read(kind):
    key = legend(np.array(NAMES[kind]))
    shown = {*key.labels.values(), *key.marks.values(), *(name for _, name in key.key)}
    assert set(NAMES[kind]) <= shown
    assert len(set(key.marks.values()) - {""}) in (0, len(NAMES[kind]))
    assert len(set(key.labels.values())) == len(key.labels) <= FEW


def test_too_many_classes_are_not_drawn_and_said_so():
    key = legend(np.array([f"class {i}" for i in range(MOST_CLASSES + 1)]))
    assert not key.marks
    assert "61 classes are too many" in key.reading


def test_the_points_that_are_drawn_are_counted():
    classes = np.repeat(np.array(["0", "1"]), 1000)
    key = legend(classes)
    figure, axes_points = None, np.zeros((2000, 2))

    def paint(axes):
        axes.set(xlim=(-1, 1), ylim=(-1, 1))
        scatter(axes, axes_points, classes, key)

    figure = laid_out(paint, 300, 300)
    assert len(figure.axes[0].texts) == key.drawn(axes_points, classes) == 600
    assert legend(None).drawn(np.zeros((4000, 2)), None) == 1500
