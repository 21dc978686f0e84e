"""Comparisons: paired differences against known models, and pairs that must not be compared."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import t

import jensen
from jensen.core.errors import CorruptRunError, DataError, NotNormalised, UsageError
from jensen.evaluate import Estimate, Kind, TightnessSettings
from jensen.evaluate.quantity import Quantity
from jensen.runs.compare import Group, PairedComparison, RowScores, compare
from jensen.storage.files import write_json
from tests.identities.models import close

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=(300, 1)) @ np.ones((1, 5)) + 0.3 * RNG.normal(size=(300, 5))
GREY = RNG.integers(0, 256, size=(60, 3, 2, 1), dtype=np.uint8)
VAE = {"recipe": "vae", "latent": 2, "hidden": (8,), "epochs": 2, "batch": 16}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    np.save(folder / "x.npy", SIGNAL)
    np.save(folder / "rows.npy", SIGNAL[:50] + 1e-3)
    np.save(folder / "other.npy", SIGNAL + 1)
    np.save(folder / "grey.npy", GREY)
    jensen.train(folder / "x.npy", recipe="gaussian", out=folder / "gaussian")
    jensen.train(folder / "x.npy", recipe="ppca", latent=1, out=folder / "ppca")
    jensen.train(folder / "x.npy", recipe="gaussian", split_seed=1, out=folder / "split")
    jensen.train(folder / "other.npy", recipe="gaussian", out=folder / "other")
    jensen.train(folder / "x.npy", recipe="autoencoder", latent=1, hidden=(4,), epochs=1, out=folder / "code")
    jensen.train(folder / "x.npy", out=folder / "vae", **VAE)
    for name, more in {
        "levels": {},
        "static": {"binarize": "static"},
        "dynamic": {"binarize": "dynamic"},
        "dense": {"dequantize": True},
    }.items():
        jensen.train(folder / "grey.npy", out=folder / name, **VAE, **more)
    return folder


def opened(home, *names):
    return [jensen.load(home / name) for name in names]


def group(*means: float, noise: float = 0.0, n: int = 400, kind=Kind.EXACT, loss=None, error=None) -> Group:
    """Runs with these means, of the same rows but for some noise."""
    rng = np.random.default_rng(len(means))
    rows = 10 * np.random.default_rng(0).normal(size=n)
    scores = [rows + m + noise * rng.normal(size=n) for m in means]
    made = [Estimate(kind, torch.as_tensor(s), error=error) for s in scores]
    return Group(tuple(RowScores(f"run-{i}", "vae", "raw", str(i), e, loss) for i, e in enumerate(made)))


def comparison(a: Group, b: Group) -> PairedComparison:
    return PairedComparison(a, b, "rows", "real values", "density", 0)


def test_the_difference_is_paired(home):
    a, b = opened(home, "ppca", "gaussian")
    result = compare(a, b)
    x, y = (r.evaluate().estimate for r in (a, b))
    close(result.differences, (x.nats - y.nats).double())
    expected = float((x.nats - y.nats).double().std() / math.sqrt(len(x.nats)))
    assert result.stderr == pytest.approx(expected)
    assert result.stderr < math.hypot(x.stderr, y.stderr)
    assert result.better == "A"
    assert result.verdict.startswith("A is better by ")
    assert compare(b, a).better == "B"
    assert compare(b, a).difference == pytest.approx(-result.difference)


def test_a_model_does_not_differ_from_itself(home):
    a, b = opened(home, "vae", "vae")
    result = compare(a, b, k=10)
    assert (result.difference, result.stderr, result.better) == (0.0, 0.0, None)
    assert "no difference at this size" in result.verdict


def test_pairing_sees_what_unpaired_errors_hide():
    result = comparison(group(0.5, noise=0.5), group(0.0, noise=0.5))
    assert result.better is None or result.stderr < 0.1
    assert result.a.to_dict()["stderr"] > 0.4
    assert result.stderr < 0.1


def test_seeds_widen_the_error():
    tight, wide = comparison(group(1.0, 1.001), group(0.0, 0.001)), comparison(group(3.0, -1.0), group(0.0, 0.001))
    assert tight.better == "A"
    assert tight.stderr_seeds == pytest.approx(0.001 / math.sqrt(2), rel=1e-3)
    assert wide.difference == pytest.approx(1.0, abs=0.01)
    assert wide.stderr_seeds == pytest.approx(2.0, rel=0.01)
    assert wide.better is None


def test_few_seeds_have_few_degrees_of_freedom():
    """Where seeds make all of the error, it is Student's t with the seeds' own degrees of freedom."""
    alone = comparison(group(0.0, 1.0, 5.0), group(0.0))
    assert alone.degrees_of_freedom == pytest.approx(2)
    half = t.ppf(0.975, 2) * np.std([0, 1, 5], ddof=1) / math.sqrt(3)
    assert alone.interval == pytest.approx((2 - half, 2 + half))
    even = comparison(group(0.0, 1.0, 2.0), group(4.0, 5.0, 6.0))
    assert even.degrees_of_freedom == pytest.approx(4)
    assert even.interval == pytest.approx(
        (-4 - t.ppf(0.975, 4) * math.sqrt(2 / 3), -4 + t.ppf(0.975, 4) * math.sqrt(2 / 3))
    )
    assert comparison(group(0.0, noise=1.0), group(0.0)).degrees_of_freedom == pytest.approx(399)
    assert comparison(group(0.0), group(0.0)).degrees_of_freedom is None
    assert comparison(group(0.0), group(0.0)).interval == (0.0, 0.0)
    record = even.to_dict()
    assert (record["degrees_of_freedom"], record["level"]) == (even.degrees_of_freedom, 0.95)
    assert record["interval"] == even.interval


def test_the_interval_holds_the_difference_as_often_as_it_says():
    """1,000 repeats with three seeds a side: the standard error of a rate of 0.95 is 0.007.

    Two standard errors, as if the spread over three seeds were known, hold the difference far less often.
    """
    rng, held, naive = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        sides = []
        for _ in range(2):
            scores = 0.5 * rng.normal(size=(3, 1)) + rng.normal(size=(1, 40))
            made = [Estimate(Kind.EXACT, torch.as_tensor(s)) for s in scores]
            sides.append(Group(tuple(RowScores("run", "vae", "raw", "", e) for e in made)))
        result = comparison(*sides)
        low, high = result.interval
        held += low <= 0 <= high
        naive += abs(result.difference) <= 2 * result.stderr
    assert 0.935 < held / 1000 < 0.98
    assert naive / 1000 < 0.935


BOUND = {"kind": Kind.STOCHASTIC_LOWER}


def test_a_comparison_of_conditional_models_names_their_quantity():
    between = replace(comparison(group(1.0), group(0.0, **BOUND)), quantity=Quantity("label"))
    assert between.verdict.startswith("A's log p(x | label) is higher by ")
    assert between.verdict.endswith("so the order of log p(x | label) is not settled")


@pytest.mark.parametrize(
    ("a", "b", "better", "said"),
    [
        ({}, {}, "A", "A is better by 1.00 nats per datum"),
        (BOUND, {}, "A", "A is better by at least 1.00 nats per datum"),
        ({}, BOUND, None, "A's log p(x) is higher by 1.00 nats per datum; B's is a lower bound, so the order of log p"),
        (BOUND, BOUND, None, "A's bound is higher by 1.00 nats per datum; B's is a lower bound, so the order of log p"),
        (
            BOUND,
            {**BOUND, "loss": 0.4},
            "A",
            "and B's bound is loose by about 0.4, according to annealed importance sampling",
        ),
        (BOUND, {**BOUND, "loss": 1.4}, None, "B's may be too low by about 1.4, so the order of log p(x) is not set"),
        ({**BOUND, "loss": 0.4}, BOUND, None, "B's is a lower bound"),
        ({"kind": Kind.QUADRATURE, "error": 0.3}, {"kind": Kind.QUADRATURE, "error": 0.3}, "A", "A is better by 1.00"),
        ({"kind": Kind.QUADRATURE, "error": 0.6}, {"kind": Kind.QUADRATURE, "error": 0.6}, None, "not settled"),
    ],
)
def test_a_bound_says_nothing_against_its_own_model(a, b, better, said):
    """log p(x) of a bound may be higher by as much as it is loose: only where that is known and less is one better."""
    ahead, behind = group(1.0, **a), group(0.0, **b)
    result, turned = comparison(ahead, behind), comparison(behind, ahead)
    assert (result.better, result.higher) == (better, "A")
    assert said in re.sub(r"1\.0+ ± 0\.0+", "1.00", result.verdict)
    assert (turned.better, turned.higher) == (better and "B", "B")
    record = result.to_dict()
    assert (record["better"], record["settled"]) == (better, better is not None)
    assert (record["remedy"] is None) == (better is not None)
    assert record["b"]["loose_by_about"] == record["b"]["runs"][0]["loose_by_about"] == result.b.below
    json.dumps(record)


def test_the_looseness_is_held_against_the_near_end_of_the_interval():
    ahead = group(1.0, noise=3.0)
    low, _ = comparison(ahead, group(0.0)).interval
    mean = comparison(ahead, group(0.0)).difference
    assert 0 < low < mean - 0.2
    for loss, better in ((low - 0.01, "A"), (low + 0.01, None), (mean, None)):
        result = comparison(ahead, group(0.0, loss=loss, **BOUND))
        assert (result.higher, result.better) == ("A", better)


def test_looseness_is_that_of_the_runs_own_evaluation(home):
    """Of the same weights and rows, with no more points, and converged; otherwise nobody knows it."""
    jensen.train(home / "x.npy", out=home / "wide", **(VAE | {"latent": 3}))  # two features would be integrated
    vae, ppca = opened(home, "wide", "ppca")
    path = home / "wide" / "evaluation.json"
    assert compare(ppca, vae, k=20).better is None
    settings = TightnessSettings(rows=16, temperatures=4, chains=4, simulated=8, refine=0)
    vae.keep(replace(vae.evaluate(settings=settings), notes=()))
    held = json.loads(path.read_text())
    held["assessment"] |= {"loss": 0.125, "converged": True}

    def loss(k=None, data=None, **changes):
        write_json(path, held | changes)
        return compare(ppca, vae, data, k=k).b.scores[0].loss

    assert held["k"] == 5000
    assert loss() == 0.125
    assert compare(ppca, vae).better == "A"
    assert loss(k=20) is None
    assert loss(data=home / "rows.npy") is None
    assert loss(assessment=held["assessment"] | {"converged": False}) is None
    assert loss(assessment=None) is None
    assert loss(replay=held["replay"] | {"weights_sha256": "other"}) is None
    assert loss(prepared="otherwise") is None

    def remedy(k=None, data=None, **changes):
        write_json(path, held | changes)
        return compare(ppca, vae, data, k=k).b.scores[0].advice

    assert remedy() is None
    assert remedy(k=20).endswith("on record has K = 5,000: compare with -k 5000")
    assert " is of other rows, " in remedy(data=home / "rows.npy")
    unstable = remedy(k=5000, assessment=held["assessment"] | {"converged": False})
    assert "loose by about 0.12 nats, before annealing converged: jensen evaluate " in unstable
    told = ["left out for lack of time: the tightness of the bound (about 9 s); --budget 130 has room for them"]
    assert remedy(assessment=None, notes=told).endswith(f"jensen evaluate {home / 'wide'} --budget 130")
    refusal = "the tightness of the bound was not measured: x has no gradient"
    assert remedy(assessment=None, notes=[refusal]).endswith(f"cannot say: {refusal}")
    assert remedy(replay=held["replay"] | {"weights_sha256": "other"}) is None
    path.write_text("[]")
    with pytest.raises(CorruptRunError, match=rf"{path} is damaged"):
        compare(ppca, vae)
    path.unlink()


def test_seeds_are_judged_on_the_same_rows(home):
    for seed in (1, 2):
        jensen.train(home / "x.npy", seed=seed, out=home / f"vae-{seed}", **VAE)
    result = compare(opened(home, "vae", "vae-1", "vae-2"), opened(home, "ppca")[0], k=10)
    assert len({s.weights_sha256 for s in result.a.scores}) == 3
    assert result.a.spread > 0
    assert [n for n in result.notes if n.startswith("B is one run: how much another seed")]
    same = compare(opened(home, "ppca", "ppca"), opened(home, "gaussian")[0])
    assert [n for n in same.notes if n.startswith("runs of A have the same weights")]


def test_a_group_counts_as_its_mean(home):
    ppca, gaussian = opened(home, "ppca", "gaussian")
    result = compare([ppca, gaussian], gaussian)
    alone = compare(ppca, gaussian)
    assert result.difference == pytest.approx(alone.difference / 2)
    assert result.a.spread == pytest.approx(alone.difference / math.sqrt(2))
    assert not [n for n in result.notes if "one run each" in n]
    assert [n for n in alone.notes if "one run each" in n]


def test_kinds_may_differ_and_are_told(home):
    result = compare(*opened(home, "ppca", "vae"), k=5)
    assert "A is exact, B is stochastic lower bound: log p(x) of B may be higher" in result.notes
    assert result.measure == "density"
    json.dumps(result.to_dict())


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_the_bits_of_a_binarisation_are_the_same(name, home):
    run, again = opened(home, name, name)
    again.preparation = replace(again.preparation, seed=7)  # as of a run with another seed
    result = compare(run, again, home / "grey.npy", k=3)
    assert float(result.differences.abs().max()) == 0.0
    assert result.measure == "mass"
    assert again.preparation.seed == 7


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (("vae", "code"), NotNormalised, "has no density"),
        (("code", "vae"), NotNormalised, "has no density"),
        (("levels", "dense"), DataError, "the same base measure: a mass and a density"),
        (("levels", "static"), DataError, "do not see the same values"),
        (("static", "dynamic"), DataError, "binarised once .* and binarised dynamically"),
        (("vae", "levels"), DataError, "of different data: 5 real and 3 x 2 x 1 integers of 256 levels"),
        (("gaussian", "other"), DataError, "were trained on different data"),
        (("gaussian", "split"), DataError, "the test rows of .* are not the same"),
    ],
)
def test_what_cannot_be_compared_is_refused(names, error, said, home):
    with pytest.raises(error, match=said):
        compare(*opened(home, *names), k=2)


def test_rows_of_the_users_own(home):
    result = compare(*opened(home, "gaussian", "split"), home / "rows.npy")
    assert len(result.differences) == 50
    notes = compare(*opened(home, "gaussian", "other"), home / "x.npy").notes
    assert "the runs were trained on different data" in notes
    assert [n for n in notes if "only its test rows are used, 30 of 300" in n]


def test_an_empty_group_is_refused(home):
    with pytest.raises(UsageError, match="a group holds no run"):
        compare([], opened(home, "vae")[0])


def test_progress_covers_all_runs(home):
    fractions: list[float] = []
    compare(*opened(home, "vae", "vae"), k=2, watch=fractions.append)
    assert fractions == sorted(fractions)
    assert 0.5 in fractions
    assert fractions[-1] == 1.0
