"""Calibration: exact guides are found wrong at the nominal rate, planted bugs every time; the band is exact."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from jensen.analysis import calibration, uniformity
from jensen.analysis.calibration import Calibration, Shape, calibrate
from jensen.analysis.uniformity import uniform_band, uniform_p
from jensen.cli import main
from jensen.core.errors import CompositionError, NotNormalised, NumericalError, UsageError
from jensen.core.random import stream
from jensen.families import Categorical, Gaussian
from jensen.guides import Deterministic, Exact, Shared
from jensen.models.conditionals import Linear, Table, Unconditional
from jensen.models.draw import weigh
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from tests.identities.models import amortized, close, curved_model, linear_model, mixture_model

JOINT, LIKELIHOOD, GUIDE = "log p(x, z)", "log p(x|z)", "log q(z|x)"
SEEDS = 100
MOST = 0.05 * SEEDS + 3 * (0.05 * 0.95 * SEEDS) ** 0.5  # false alarms: 5 +- 3 binomial standard errors of 2.2


class Wrong(Guide):
    """The exact posterior of a linear model, spoilt by a function of it."""

    def __init__(self, model, spoil) -> None:
        super().__init__()
        self.model, self.spoil = model, spoil

    def forward(self, batch):
        return self.spoil(self.model.posterior(batch))

    @property
    def phrase(self) -> str:
        return "a spoilt posterior"


def diagonal(loc, scale):
    return Independent(Normal(loc, scale), 1)


def correlated_model() -> LatentVariableModel:
    """Two latent features that the posterior holds together (correlation -0.8)."""
    likelihood = Linear(2, 2)
    likelihood.assign(torch.tensor([[1.0, 1.0], [0.5, 0.3]]), torch.zeros(2), torch.tensor([0.2]))
    return LatentVariableModel(Unconditional(Gaussian(2)), likelihood).double()


def uniform_ranks(repetitions: int, n: int, draws: int) -> torch.Tensor:
    return torch.randint(draws + 1, (repetitions, n), generator=stream(0, "ranks"))


def counted(ranks: torch.Tensor, draws: int) -> np.ndarray:
    """The numbers [..., l] of ranks [..., n] up to r = 0..l-1, by comparison."""
    return torch.stack([(ranks <= r).sum(-1) for r in range(draws)], -1).numpy()


# --- a perfect guide ---


@pytest.mark.parametrize("model", [linear_model(2, 5), mixture_model(3, 2)], ids=["ppca", "mixture"])
@pytest.mark.sampled(1)
def test_an_exact_guide_is_found_fault_with_at_the_nominal_rate(model):
    found = [calibrate(model, Exact(model), n=200, l=31, seed=seed) for seed in range(SEEDS)]
    assert sum(bool(c.findings) for c in found) <= MOST
    below = (torch.stack([c.p_values for c in found]) <= 0.05).sum(0)
    assert (below <= MOST).all()
    half = (torch.stack([c.p_values for c in found]) <= 0.5).double().sum(0)
    assert ((half - 50).abs() <= 3 * 5 + 1).all()  # a p-value of discrete ranks is a little above uniform


def test_an_exact_guide_covers_what_it_says():
    model = linear_model(2, 5)
    found = [calibrate(model, Exact(model), n=1000, l=31, seed=seed).coverage for seed in range(10)]
    fractions = torch.stack([c.fractions for c in found]).mean(0)
    close(found[0].levels, torch.arange(1, 20) / 20, 1e-7)
    close(found[0].stderr, (found[0].levels * (1 - found[0].levels) / 1000).sqrt())
    # 19 dependent levels, each within 3.5 binomial standard errors of 10,000 simulations
    assert ((fractions - found[0].levels).abs() <= 3.5 * found[0].stderr / 10**0.5).all()


def test_the_verdict_on_an_exact_guide():
    model = linear_model(3, 5)
    found = calibrate(model, Exact(model), n=300)
    assert found.verdict == "calibrated at this resolution (300 simulations, 127 draws each)"
    assert found.names == ("z1", "z2", "z3", JOINT, LIKELIHOOD, GUIDE)
    assert found.ranks.shape == (300, 6)
    assert (found.n, found.findings) == (300, [])
    assert (found.ranks >= 0).all()
    assert (found.ranks <= 127).all()
    # log p(x, z) = log q(z|x) + log p(x) orders points alike, but where rounding tells them apart; log p(x|z) does not
    joint, likelihood, guide = found.ranks[:, 3:].T
    assert (joint == guide).double().mean() > 0.98
    assert (joint == likelihood).double().mean() < 0.5


# --- planted bugs ---


@pytest.mark.parametrize(
    ("shift", "scale", "shape"),
    [
        (0.0, None, Shape.NARROW),
        (0.0, 0.7, Shape.NARROW),
        (0.0, 1.4, Shape.WIDE),
        (0.4, 1.0, Shape.HIGH),
        (-0.4, 1.0, Shape.LOW),
    ],
    ids=["variance for deviation", "narrow", "wide", "high", "low"],
)
def test_a_wrong_guide_is_found_and_its_fault_named(shift, scale, shape):
    """The guide is moved and scaled, in units of the posterior's deviation; its regions hold what the normal says."""
    model = linear_model(1, 4)
    with torch.no_grad():
        deviation = float(model.posterior(model.simulate(1)[1]).stddev)
    scale = deviation if scale is None else scale
    assert scale > 1 or scale <= 0.7 or shift
    guide = Wrong(model, lambda q: diagonal(q.mean + shift * q.stddev, scale * q.stddev))
    found = calibrate(model, guide, n=1000, l=63)
    worst = {f.name: f for f in found.findings}
    assert worst["z1"].shape is shape
    assert worst["z1"].p < 1e-4
    assert f"{shape} in z1" in found.verdict
    unit = Normal(0.0, 1.0)
    half = scale * float(unit.icdf(torch.tensor(0.75)))
    held = float(unit.cdf(torch.tensor(shift + half)) - unit.cdf(torch.tensor(shift - half)))
    fraction, stderr = found.coverage.at(0.5)
    assert abs(fraction - held) < 3.5 * stderr


def test_a_diagonal_guide_is_right_feature_by_feature_and_wrong_together():
    model = correlated_model()
    with torch.no_grad():
        covariance = model.posterior(model.simulate(1)[1]).covariance_matrix[0]
    assert covariance[0, 1] < -0.5 * (covariance[0, 0] * covariance[1, 1]).sqrt()
    found = calibrate(model, Wrong(model, lambda q: diagonal(q.mean, q.stddev)))
    shapes = {f.name: f.shape for f in found.findings}
    assert not {"z1", "z2"} & set(shapes)
    assert shapes[JOINT] is Shape.IMPROBABLE
    assert found.verdict.startswith("right feature by feature, not together: draws too improbable in log p(x, z)")


def test_a_guide_that_does_not_look_at_x_is_found():
    """The prior as a guide has uniform ranks in every feature: only quantities that know x see the fault."""
    model = linear_model(2, 5)
    found = [calibrate(model, Shared(Unconditional(Gaussian(2))).double(), n=200, l=31, seed=s) for s in range(SEEDS)]
    times = Counter(f.name for c in found for f in c.findings)
    assert times[JOINT] == times[LIKELIHOOD] == SEEDS
    assert max(times["z1"], times["z2"], times[GUIDE]) <= MOST


def test_a_full_covariance_and_its_square_root():
    """The same planted bug with a covariance: its square where it belongs."""
    model = correlated_model()
    spoilt = Wrong(model, lambda q: MultivariateNormal(q.mean, q.covariance_matrix @ q.covariance_matrix))
    right = Wrong(model, lambda q: MultivariateNormal(q.mean, q.covariance_matrix))
    assert calibrate(model, right, l=63).findings == []
    assert Shape.NARROW in {f.shape for f in calibrate(model, spoilt, l=63).findings}


def test_a_wrong_discrete_guide_is_found():
    model = mixture_model(3, 2)
    found = calibrate(model, Shared(Unconditional(Categorical(3))).double())
    assert found.names == (JOINT, LIKELIHOOD, GUIDE)
    assert {JOINT, LIKELIHOOD} <= {f.name for f in found.findings}
    assert not found.verdict.startswith("right feature by feature")


def test_an_untrained_network_is_found():
    found = calibrate(curved_model(), amortized(3, Gaussian(1)), n=200, l=31)
    assert found.findings


# --- ties ---


def test_ranks_by_hand():
    values = torch.tensor([[[5.0, 1.0], [3.0, 2.0], [4.0, 3.0]]])  # one quantity, three points, two data
    noise = stream(0, "ties")
    assert calibration._ranks(values, torch.tensor([0, 1]), noise).tolist() == [[2], [1]]
    assert calibration._ranks(-values, torch.tensor([0, 2]), noise).tolist() == [[0], [0]]


def test_ties_are_broken_at_random():
    """All eight points level: ranks 0..7 alike. Half of them level, and above the rest: ranks 4..7 alike."""
    where, noise = torch.zeros(4000, dtype=torch.long), stream(0, "ties")
    level = calibration._ranks(torch.zeros(1, 8, 4000), where, noise)[:, 0]
    assert uniform_p(level, 7) > 0.01
    half = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0])[None, :, None].expand(1, 8, 4000)
    ranks = calibration._ranks(half, where, noise)[:, 0]
    assert uniform_p(ranks - 4, 3) > 0.01


def test_the_truth_stands_where_it_is_put_and_no_draw_is_lost():
    drawn = torch.arange(12.0).reshape(3, 4, 1)
    truth = torch.full((4, 1), -1.0)
    where = torch.tensor([0, 1, 2, 3])
    z = calibration._among(truth, drawn, where)[..., 0]
    assert (z[where, torch.arange(4)] == -1).all()
    assert torch.equal(z.sort(0).values, torch.cat([truth[None], drawn])[..., 0])


def test_the_place_of_the_truth_does_not_show(monkeypatch):
    """A likelihood that ignores z is level everywhere, but for rounding, which may depend on the place in a batch."""

    def rounded(*arguments, **options):
        draw = weigh(*arguments, **options)
        return replace(draw, log_lik=draw.log_lik + 1e-6 * torch.arange(len(draw.z))[:, None])

    monkeypatch.setattr(calibration, "weigh", rounded)
    model = LatentVariableModel(Unconditional(Gaussian(1)), Unconditional(Gaussian(3))).double()
    found = calibrate(model, Exact(model), n=500, l=31)
    assert found.p_values[found.names.index(LIKELIHOOD)] > 0.01


# --- uniform ranks ---


@pytest.mark.parametrize(("n", "draws"), [(1, 3), (3, 2), (4, 3), (6, 2)])
def test_p_values_are_exact(n, draws):
    """Over every outcome there is, the share of those with a p-value as small is the p-value."""
    p = np.array([uniform_p(torch.tensor(r), draws) for r in itertools.product(range(draws + 1), repeat=n)])
    share = np.array([(p <= own + 1e-9).mean() for own in p])
    assert np.abs(share - p).max() < 1e-9
    assert p.min() < p.max() or n == 1


@pytest.mark.parametrize(("n", "draws"), [(100, 19), (400, 63)])
def test_the_band_holds_all_of_a_uniform_curve_as_often_as_it_says(n, draws):
    """4,000 sets of uniform ranks: 3 standard errors are 0.010. A band for each r alone is seen not to hold."""
    counts = counted(uniform_ranks(4000, n, draws), draws)
    lower, upper = uniform_band(n, draws)
    inside = ((lower <= counts) & (counts <= upper)).all(1).mean()
    exact = uniformity._chance_inside(n, lower, upper)
    assert 0.95 <= exact < 0.96
    assert abs(inside - exact) < 3 * (0.05 * 0.95 / 4000) ** 0.5
    lower, upper = uniformity._accepted(n, draws, 0.05)
    alone = ((lower <= counts) & (counts <= upper)).all(1).mean()
    assert alone < 0.8
    assert abs(alone - uniformity._chance_inside(n, lower, upper)) < 3 * (0.25 / 4000) ** 0.5


def test_p_values_and_band_agree():
    ranks = uniform_ranks(500, 60, 15)
    lower, upper = uniform_band(60, 15, 0.2)
    counts = counted(ranks, 15)
    outside = ((counts < lower) | (counts > upper)).any(1)
    small = np.array([uniform_p(r, 15) <= 0.2 for r in ranks])
    assert (small == outside).all()
    assert 0 < outside.sum() < 500


def test_a_hopeless_p_value_is_tiny_and_not_negative():
    assert 0 <= uniform_p(torch.zeros(1000, dtype=torch.long), 127) < 1e-100


# --- numbers ---


def test_p_values_are_adjusted_for_their_number():
    ranks = torch.zeros(20, 3, dtype=torch.long)
    p = torch.tensor([0.01, 0.04, 0.03], dtype=torch.float64)
    close(Calibration(ranks, (JOINT, LIKELIHOOD, GUIDE), 3, p).adjusted, torch.tensor([0.03, 0.06, 0.06]), 1e-7)
    close(Calibration(ranks, (JOINT, LIKELIHOOD, GUIDE), 3, 10 * p).adjusted, torch.tensor([0.3, 0.6, 0.6]), 1e-7)


def test_the_record_agrees_with_the_ranks():
    found = calibrate(linear_model(2, 4), Exact(linear_model(2, 4)), n=240, l=63)
    record = msgspec.json.decode(msgspec.json.encode(found.to_dict()))
    assert (record["n"], record["l"], record["calibrated"]) == (240, 63, True)
    assert [q["name"] for q in record["quantities"]] == list(found.names)
    first = record["quantities"][0]
    assert first["histogram"] == np.histogram(found.ranks[:, 0], bins=16, range=(0, 64))[0].tolist()
    curve = counted(found.ranks[:, 0], 63) / 240 - np.arange(1, 64) / 64
    close(torch.tensor(first["ecdf_difference"]), torch.tensor(curve), 1e-7)
    lower, upper = (np.array(record["band"][side]) for side in ("lower", "upper"))
    assert ((lower <= curve) & (curve <= upper)).all() == (first["p"] > 0.05)
    assert len(record["coverage"]["levels"]) == len(record["coverage"]["fractions"]) == 19


def test_coverage_by_hand():
    """Of 4 ranks 0..3: a truth denser than all draws is inside every region, one of rank r loses 3 - r of them."""
    ranks = torch.tensor([[3], [3], [1], [0]])
    found = Calibration(ranks, (GUIDE,), 3, torch.ones(1, dtype=torch.float64)).coverage
    assert found.at(0.5)[0] == 0.5
    close(found.at(0.75)[0], 0.75)
    close(found.at(0.1)[0], (0.4 + 0.4) / 4)
    close(found.at(0.9)[0], (1 + 1 + 1 + 0.6) / 4)


def test_a_seed_gives_the_same_ranks():
    model = linear_model(1, 3)
    a, b, c = (calibrate(model, Exact(model), n=50, l=15, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(a.ranks, b.ranks)
    assert not torch.equal(a.ranks, c.ranks)


def test_chunks_and_progress(monkeypatch):
    monkeypatch.setattr(calibration, "NUMBERS", 16 * 5 * 40)
    model, told = linear_model(2, 5), []
    found = calibrate(model, Exact(model), n=333, l=15, watch=told.append)
    assert found.ranks.shape == (333, 5)
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert (found.p_values > 0.01).all()


# --- refusals ---


def test_what_cannot_be_calibrated_is_refused():
    model = curved_model()
    with pytest.raises(NotNormalised, match="no density"):
        calibrate(model, Deterministic(nn.Linear(3, 1).double()))
    empty = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(2)))
    with pytest.raises(CompositionError, match="no latents"):
        calibrate(empty, Exact(empty))
    for options, said in (
        ({"n": 19}, "at least 20 simulations, got 19"),
        ({"l": 100}, "got l=100"),
        ({"l": 2}, "got l=2"),
        ({"l": 0}, "got l=0"),
    ):
        with pytest.raises(UsageError, match=said):
            calibrate(model, amortized(3, Gaussian(1)), **options)


def test_a_density_that_is_not_a_number_is_refused():
    model = LatentVariableModel(Unconditional(Categorical(2)), Table(Gaussian(2), 2)).double()
    with torch.no_grad():
        model.likelihood.table[1, 0] = torch.nan
    guide = Shared(Unconditional(Categorical(2))).double()
    with pytest.raises(NumericalError, match="not a number in"):
        calibrate(model, guide, n=50)


# --- the command line ---


def test_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("real.npy", np.random.default_rng(0).normal(size=(60, 4)))
    words = ["--recipe", "ppca", "--latent", "2", "--split", "0.8,0.1,0.1", "--quiet"]
    assert main(["train", "real.npy", "--out", "run", *words]) == 0
    capsys.readouterr()
    assert main(["calibrate", "run", "-n", "200"]) == 0
    verdict, worst, held, made, following = capsys.readouterr().out.splitlines()
    assert verdict == "calibrated at this resolution (200 simulations, 127 draws each)"
    assert worst.startswith("smallest p-value of 5 quantities, adjusted for their number: ")
    assert held.startswith("50% regions contain the true z in ")
    assert made.startswith("on 200 data simulated by the model, not on yours; ")
    assert following == "next: jensen report run"
    assert main(["calibrate", "run", "-n", "200", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["verdict"], record["run"], record["n"]) == (verdict, "run", 200)
    kept = json.loads(Path("run/calibration.json").read_text())
    assert {name: kept[name] for name in record} == record  # the file has a digest too
    weights = Path("run/model.safetensors").read_bytes()
    assert record["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert main(["calibrate", "run", "-n", "3"]) == 2
    assert "-n must be at least 20 simulations, got 3" in capsys.readouterr().err
