"""What the pictures show: the right images in the right places, the right neighbours, labels that do not touch."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jensen.core.rows import evenly_spaced
from jensen.plot.shades import Shades
from jensen.plot.style import end_labels, lines
from jensen.report.facts import gather
from jensen.report.figures import draw
from jensen.report.grids import sheet
from jensen.report.images import nearest, reconstructions


def opened(markup: str) -> np.ndarray:
    code = re.search(r"base64,([^\"]+)", markup)
    assert code
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code[1]))))


def whole(bodies: Sequence[str]) -> np.ndarray:
    """Blocks of images side by side, as on a wide page."""
    blocks = [opened(body) for body in bodies]
    gap = np.zeros_like(blocks[0][:, :2])
    return np.concatenate([part for block in blocks for part in (gap, block)][1:], 1)


def test_originals_stand_above_their_reconstructions(run):
    facts = gather(run, examples=True)
    shades = Shades.of(facts)
    picture = whole(reconstructions(facts, shades).bodies)
    index = evenly_spaced(len(facts.part.x), 15).numpy()
    assert picture.shape[0] == 3 * 64 + 2 * 2
    for j, x in enumerate(facts.part.x[index]):
        cell = picture[:64, 66 * j : 66 * j + 64]
        assert (cell[..., 1] == 255).all()
        assert np.array_equal(cell[::8, ::8, 0], x.reshape(8, 8))
        assert np.array_equal(cell[3::8, 6::8, 0], cell[::8, ::8, 0])  # pixels, not blurs


def test_gaps_are_narrow_and_transparent():
    picture = opened(sheet([np.full((2, 4, 4, 3), 200, np.uint8)] * 2, "four"))
    gaps = picture[..., 3] == 0
    assert gaps.all(0).sum() == 2
    assert gaps.all(1).sum() == 2


def test_alternative_text_is_escaped():
    assert 'alt="&quot;&gt;&lt;b&gt;"' in sheet([np.zeros((1, 4, 4, 1), np.uint8)], '"><b>')


def test_one_scale_for_all_images():
    shades = Shades(0.0, 16.0, (1, 2, 1))
    assert shades(np.array([[0.0, 8.0], [16.0, 99.0]])).reshape(-1).tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels(channels):
    shades = Shades(0.0, 1.0, (2, 2, channels))(np.ones((3, 4 * channels)))
    assert shades.shape == (3, 2, 2, 3 if channels >= 3 else 1)


def test_nearest_is_the_nearest(run):
    facts = gather(run, examples=True)
    shades = Shades.of(facts)
    train = np.random.default_rng(0).integers(0, 17, (5000, 64)).astype(np.uint8)
    x = shades(train[[4999, 17, 4100]])
    x[2, 0, 0, 0] ^= 1
    where, distance = nearest(facts, x, shades, train)
    assert where.tolist() == [4999, 17, 4100]
    assert distance[:2].max() < 0.01
    plain = np.linalg.norm((shades(train).astype(float) - x[2].astype(float)).reshape(5000, -1) / 255, axis=1)
    assert distance[2] == pytest.approx(plain.min(), abs=2e-3)


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.0, 0.0), (1.0, 0.99), (0.2, 0.9)])
def test_end_labels_do_not_touch(values):
    axes = Figure().add_subplot()
    axes.set_ylim(0, 1)
    end_labels(axes, [(1, v, f"line {i}") for i, v in enumerate(values)])
    places = sorted(t.xy[1] for t in axes.texts)
    assert places[1] - places[0] >= 0.0999
    assert places[1] <= 1.0


def test_first_epochs_do_not_set_the_range():
    axes = Figure().add_subplot()
    lines(axes, {"training": (range(1, 101), [-1e6, -1e5, *np.linspace(-100, -90, 98)])}, kept=100)
    low, high = axes.get_ylim()
    assert -110 < low < -99
    assert -90 < high < -80


def test_curves_of_few_epochs_are_shown_whole():
    axes = Figure().add_subplot()
    lines(axes, {"training": ([1, 2], [-5.0, -4.0]), "validation": ([1, 2], [-6.0, -5.5])}, kept=1)
    low, high = axes.get_ylim()
    assert low < -6
    assert high > -4


def test_a_drawing_changes_no_setting():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    text = draw("x", 'a "b" <c>', lambda axes: axes.set_title("$\\frac$ <script> 漢"))
    assert dict(mpl.rcParams) == before
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in text
    assert "<script" not in text
    assert "$\\frac$" in text
