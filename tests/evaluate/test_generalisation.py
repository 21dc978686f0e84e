"""Training rows beside others: how often over-fitting is said where there is none, and where there is."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.random import stream
from jensen.evaluate import Estimate, GeneralisationGap, Kind
from jensen.evaluate.generalisation import ValidationCurve, some_rows


def scores(n: int, mean: float, seed: int, spread: float = 10.0) -> torch.Tensor:
    return mean + spread * torch.randn(n, dtype=torch.float64, generator=stream(seed, f"scores {n}"))


def test_the_difference_and_its_error():
    """Over 1,000 repeats the error is that of the difference, within ten per cent."""
    found = [GeneralisationGap(scores(200, -98.0, s), scores(80, -100.0, s)) for s in range(1000)]
    differences = torch.tensor([h.difference for h in found]).double()
    spread = float(differences.std())
    assert abs(float(differences.mean()) - 2.0) < 4 * spread / math.sqrt(1000)
    assert math.sqrt(sum(h.stderr**2 for h in found) / 1000) == pytest.approx(spread, rel=0.1)


def test_without_over_fitting_it_is_seldom_said():
    """Three standard errors on one side: 0.135 % of 4,000, within four standard errors of a proportion."""
    said = sum(GeneralisationGap(scores(200, -100.0, s), scores(150, -100.0, s), "x").over_fitting for s in range(4000))
    assert abs(said / 4000 - 0.00135) < 4 * math.sqrt(0.00135 / 4000)


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (-90.0, -100.0, "over-fitting: training rows score 10"),
        # a tenth of a deviation, beyond chance: it is there, and small
        (-99.5, -100.0, "a small gap, below what is called over-fitting: training rows score 0.5"),
        (-100.0, -100.0, "no sign of over-fitting: training rows score 0.0"),
        (-100.0, -90.0, "the opposite of over-fitting, the two sets of rows differ: training rows score 9.9"),
    ],
)
def test_the_sentence(train, test, said):
    found = GeneralisationGap(scores(40_000, train, 0, 5.0), scores(40_000, test, 1, 5.0))
    assert found.sentence.startswith(said)
    assert ("lower" in found.sentence) == (found.difference < 0)
    assert found.beyond_chance == (train > test)
    assert found.to_dict()["over_fitting"] == said.startswith("over-fitting")


def test_a_sure_difference_must_also_matter_and_the_other_way_round():
    wide = GeneralisationGap(scores(10, -90.0, 0, 60.0), scores(10, -100.0, 1, 60.0))
    assert not wide.over_fitting
    assert wide.deviations == pytest.approx(wide.difference / float(wide.train.std()))


@pytest.mark.parametrize(("difference", "is_large"), [(1.0, False), (3.9, False), (4.1, True)])
def test_a_large_gap_is_one_of_four_fifths_of_a_deviation(difference, is_large):
    unit = scores(4000, 0.0, 0, 1.0)
    unit = 5 * (unit - unit.mean()) / unit.std()
    gap = GeneralisationGap(unit + difference, unit)
    assert gap.is_large == is_large
    assert gap.over_fitting == (difference > 1.5)


def test_a_large_gap_of_few_rows_is_not_over_fitting():
    gap = GeneralisationGap(torch.tensor([0.0, 2.0]), torch.tensor([-5.0, -1.0]))
    assert gap.deviations > 0.8
    assert not gap.over_fitting
    assert not gap.is_large


@pytest.mark.parametrize(
    ("kept", "stderr", "has_fallen", "has_fallen_later"),
    [
        (2, 0.9, False, True),  # the best epoch was kept, and the last is 3 nats below it: more than 2.7
        (2, 1.1, False, False),
        (3, 0.3, True, True),  # epoch 3 is a nat below epoch 2
        (3, 0.4, False, True),
        (4, 0.9, True, True),
        (9, 0.9, True, True),  # not measured: as the last epoch
        (4, None, False, False),
    ],
)
def test_a_fall_of_the_validation_curve(kept, stderr, has_fallen, has_fallen_later):
    curve = ValidationCurve({1: -7.0, 2: -5.0, 3: -6.0, 4: -8.0}, kept, stderr)
    assert curve.best == 2
    assert curve.fallen_later == 3.0
    assert curve.fallen == {2: 0.0, 3: 1.0}.get(kept, 3.0)
    assert (curve.has_fallen, curve.has_fallen_later) == (has_fallen, has_fallen_later)


def test_a_single_row_has_no_error():
    found = GeneralisationGap(torch.tensor([-1.0]), torch.tensor([-2.0, -3.0]))
    assert (found.stderr, found.over_fitting) == (None, False)
    assert found.sentence == "too few rows to detect over-fitting"
    assert found.to_dict()["stderr"] is None


def test_two_estimates_side_by_side():
    kind = Kind.STOCHASTIC_LOWER
    one, two = (Estimate(kind, float(-n) + 0.1 * torch.arange(n), k=7) for n in (3, 4))
    found = GeneralisationGap.of(one, two)
    assert found.to_dict() | {"stderr": 0, "deviations": 0} == {
        "score": "log p(x) (stochastic lower bound, K = 7)",
        "train": pytest.approx(-2.9),
        "test": pytest.approx(-3.85),
        "difference": pytest.approx(0.95),
        "stderr": 0,
        "deviations": 0,
        "train_rows": 3,
        "test_rows": 4,
        "over_fitting": True,
        "sentence": found.sentence,
    }
    assert GeneralisationGap.of(Estimate(Kind.UNNORMALISED, None), two) is None
    assert GeneralisationGap.of(Estimate(kind, torch.tensor([math.nan])), two) is None


def test_some_rows_are_drawn_once_each():
    assert some_rows(5, 9, stream(0, "x")).tolist() == list(range(5))
    a, b, c = (some_rows(1000, 50, stream(s, "x")) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert len(a.unique()) == 50
    assert torch.equal(a, a.sort().values)
