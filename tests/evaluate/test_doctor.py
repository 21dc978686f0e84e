"""The doctor: planted illnesses are found and named, healthy models have no problem, and statistics keep their level.

The level of a test is checked under its null: of 200 p-values no more are below 0.05 than a binomial law allows at
0.001, and they are uniform by a Kolmogorov-Smirnov test at 0.001. Seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest
from torch import nn

import jensen
from jensen.batch import Rows
from jensen.conditionals import Given, Linear, Table, Unconditional
from jensen.errors import DataError
from jensen.evaluate.collapse import mutual_information
from jensen.evaluate.doctor import CHECKS, examine
from jensen.evaluate.memory import memorised, nearest
from jensen.evaluate.patient import Patient
from jensen.evaluate.twosample import nearer, two_sample
from jensen.families import Bernoulli, Categorical, Gaussian, Laplace, LogNormal, StudentT
from jensen.guides import Amortized, Deterministic, Exact, Shared
from jensen.model import LatentVariableModel
from jensen.randomness import drawing_from, stream
from tests.identities.models import Fixed, close, linear_model, mixture_model, normal_guide, simulated

LEVEL = 0.05


def rows(model, n, name="data"):
    return Rows(simulated(model, n, name).x)


def pair(model, n=300):
    return rows(model, n, "train"), rows(model, n, "test")


def names(diagnosis, severity="problem"):
    return {f.name for f in diagnosis.findings if f.severity == severity}


def standard_guide(latent):
    """q(z | x) = N(0, 1), whatever x."""
    return normal_guide(torch.zeros(latent, dtype=torch.float64), torch.ones(latent, dtype=torch.float64))


def keeps_its_level(p):
    below = sum(found < LEVEL for found in p)
    return binom.sf(below - 1, len(p), LEVEL) > 1e-3 and kstest(p, "uniform").pvalue > 1e-3


# --- the statistics ---


@pytest.mark.parametrize("latent", [2, 6])
def test_two_sample_keeps_its_level(latent):
    """Codes by the exact posterior of data that the model made are draws of the prior: the null is true."""
    model = linear_model(latent, 8)
    noise, p = stream(0, "null"), []
    with torch.no_grad():
        for _ in range(200):
            z, batch = model.simulate(120, noise)
            with drawing_from(noise):
                codes = Exact(model)(batch).sample()
            p.append(two_sample(codes, torch.randn(z.shape, dtype=z.dtype, generator=noise), noise).p)
    assert keeps_its_level(p)


def test_a_classifier_scored_on_its_own_points_would_not_keep_it():
    """What the level test must find: a score that has seen its points."""
    noise = stream(0, "seen")
    a = torch.randn(200, 40, 30, dtype=torch.float64, generator=noise)
    p = []
    for first, second in zip(a[::2], a[1::2], strict=True):
        towards = first.mean(0) - second.mean(0)
        p.append(nearer(second @ towards, first @ towards)[1])
    assert not keeps_its_level(p)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_divergence_from_below(shift):
    """KL(N(m, 1) || N(0, 1)) = m^2 / 2."""
    a, b = torch.randn(2, 4000, 1, dtype=torch.float64, generator=stream(0, "shift"))
    found = two_sample(a + shift, b, stream(1, "shift"))
    assert 0.75 * shift**2 / 2 < found.kl < shift**2 / 2 + 0.1
    assert found.auc == pytest.approx(0.5 * math.erfc(-shift / 2), abs=0.03)


def test_divergence_is_capped_at_what_points_can_certify():
    a, b = torch.randn(2, 400, 3, dtype=torch.float64, generator=stream(0, "far"))
    assert two_sample(a + 50, b, stream(1, "far")).kl == pytest.approx(math.log(200))


def test_two_clusters_with_the_moments_of_the_prior_are_told_apart():
    noise = stream(0, "clusters")
    sign = torch.randint(0, 2, (1000, 2), generator=noise) * 2.0 - 1
    a = 0.98 * sign + 0.2 * torch.randn(1000, 2, generator=noise)
    found = two_sample(a, torch.randn(1000, 2, generator=noise), noise)
    assert found.p < 1e-20
    assert found.kl > 0.5


def test_mutual_information_of_a_linear_model():
    """I(x; z) = log(1 + (w/s)^2) / 2 for one feature of both."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Linear(1, 1)).double()
    model.likelihood.assign(torch.tensor([[2.0]]), torch.zeros(1), torch.tensor([0.25]))
    patient = Patient(model, Exact(model), rows(model, 2000), None)
    assert mutual_information(patient.trained) == pytest.approx(0.5 * math.log(17), abs=0.08)


def test_mutual_information_does_not_exceed_the_rows():
    codes = torch.randn(64, 3, dtype=torch.float64, generator=stream(0, "codes"))
    model = linear_model(3, 3)
    guide = Amortized(Given(nn.Linear(3, 6), Gaussian(3))).double()
    with torch.no_grad():
        guide.conditional.net.weight.copy_(100 * torch.eye(6, 3))
        guide.conditional.net.weight[3:] = 0
        guide.conditional.net.bias[3:] = -50
    assert mutual_information(Patient(model, guide, Rows(codes), None).trained) == pytest.approx(math.log(64))


def test_nearest_is_the_nearest():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.5]], dtype=torch.float64)
    distance, which = nearest(x, Rows(x), torch.arange(3))
    close(distance, torch.zeros(3))
    assert which.tolist() == [0, 1, 2]
    distance, which = nearest(x, Rows(x), torch.arange(3), torch.arange(3))
    close(distance, torch.tensor([5.0, 0.5, 0.5]))
    assert which.tolist() == [1, 2, 1]


def test_memory_keeps_its_level():
    """Samples of the model that made the rows are as near to the training rows as unseen rows are."""
    model, p = linear_model(2, 4), []
    for seed in range(200):
        train, test = rows(model, 60, f"train{seed}"), rows(model, 60, f"test{seed}")
        p.append(memorised(Patient(model, Exact(model), train, test, seed=seed)).measures["sample_nearer_p"])
    assert keeps_its_level(p)


# --- healthy models ---


def test_models_on_their_own_data_are_healthy():
    for model in (linear_model(3, 8), mixture_model(3, 4)):
        found = examine(model, Exact(model), *pair(model))
        assert found.findings == ()
        assert {"over-fitting", "memorised-rows", "weights"}.isdisjoint(found.skipped)


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "vae", "epochs": 60},
        {"recipe": "ppca", "latent": 10},
        {"recipe": "gmm", "components": 10},
        {"recipe": "gaussian"},
    ],
    ids=lambda options: options["recipe"],
)
def test_runs_on_digits_are_healthy(options, tmp_path):
    run = jensen.train("digits", out=tmp_path / "run", device="cpu", **options)
    found = run.doctor()
    assert found.healthy, found.problems
    assert found.to_dict()["healthy"]
    expected = run.evaluate(method="importance", k=64).estimate
    score = expected.mean if run.guide.is_exact else float(expected.elbo.mean())
    assert found.measures["score_test"] == pytest.approx(score, abs=0.3)  # in the data's own units


# --- planted illnesses ---


def test_posterior_collapse():
    model = linear_model(2, 5)
    found = examine(model, standard_guide(2), *pair(model))
    assert "posterior-collapse" in names(found)
    assert found.measures["active_features"] == 0


def test_one_q_for_all_data_is_a_collapse():
    """Its rate may be large: what counts is that it says nothing about x."""
    model = linear_model(2, 5)
    family = Gaussian(2)
    conditional = Unconditional(family, learn=True).double()
    with torch.no_grad():
        conditional.value[:2] = 3.0
    found = examine(model, Shared(conditional), *pair(model))
    assert "posterior-collapse" in names(found)
    assert found.measures["rate"] > 1


def test_classes_without_meaning_are_a_collapse():
    model = mixture_model(3, 2)
    with torch.no_grad():
        model.likelihood.table[:] = model.likelihood.table[:1]
    assert "posterior-collapse" in names(examine(model, Exact(model), *pair(model)))


def test_unused_features_are_a_note():
    model = linear_model(3, 5)
    with torch.no_grad():
        model.likelihood.W[:, 2] = 0
    found = examine(model, Exact(model), *pair(model))
    assert found.healthy
    assert names(found, "note") == {"unused-features"}
    assert (found.measures["active_features"], found.measures["features"]) == (2, 3)


def test_codes_away_from_the_prior():
    model = linear_model(2, 5)
    train, test = pair(model)
    guide = Exact(model)
    moved = Rows(train.stored * 6)
    assert "prior-mismatch" not in names(examine(model, guide, train, test))
    found = examine(model, guide, moved, Rows(test.stored * 6))
    assert "prior-mismatch" in names(found)
    assert found.measures["marginal_kl_at_least"] <= found.measures["marginal_kl_at_most"]


def test_classes_away_from_the_prior():
    model = mixture_model(3, 2, spread=20.0)
    train, test = pair(model)
    with torch.no_grad():
        model.prior.value.copy_(torch.tensor([8.0, 0.0, 0.0]))
    assert "prior-mismatch" in names(examine(model, Exact(model), train, test))


@pytest.mark.parametrize(("beta", "severity"), [(0.5, "problem"), (4.0, "problem"), (1.001, "problem"), (1.0, None)])
def test_weight_of_the_rate(beta, severity):
    model = linear_model(1, 3)
    guide = standard_guide(1)
    history = [{"event": "epoch", "epoch": 1, "beta": beta}, {"event": "epoch", "epoch": 2, "beta": 1.0}]
    history += [{"event": "stopped", "kept_epoch": 1}]
    for found in (
        examine(model, guide, *pair(model, 60), beta=beta),
        examine(model, guide, *pair(model, 60), history=history),
    ):
        assert {f.severity for f in found.findings if f.name == "beta-not-one"} == ({severity} if severity else set())
        bounds = {"still a lower bound" in f.what for f in found.findings if f.name == "beta-not-one"}
        assert bounds == ({beta > 1} if severity else set())


@pytest.mark.parametrize(
    ("betas", "kept", "warming"),
    [
        ((0.2, 0.4, 0.6), 3, True),  # the training ended first
        ((0.5, 1.0, 1.0), 1, True),  # the best epoch came first
        ((0.5, 1.0, 1.0), 2, None),
        ((0.5, 0.5, 0.5), 3, False),
        ((1.0, 2.0, 2.0, 2.0), 3, False),
        ((1.0, 2.0, 2.0, 2.0), 1, None),
        ((0.5,), 1, False),
    ],
)
def test_an_unfinished_warm_up_is_told_from_a_weight_that_was_asked_for(betas, kept, warming):
    model = linear_model(1, 3)
    history = [{"event": "epoch", "epoch": i + 1, "beta": b} for i, b in enumerate(betas)]
    history += [{"event": "stopped", "kept_epoch": kept}]
    found = examine(model, standard_guide(1), *pair(model, 60), history=history)
    told = [f for f in found.problems if f.name == "beta-not-one"]
    assert len(told) == (warming is not None)
    assert all(("still moving" in f.cause) == warming for f in told)
    assert all("--keep last" in f.remedy for f in told if warming and kept < len(betas))


def sharp(sd, latent=3, n=300):
    """x = z + noise of that size, and the encoder that undoes it."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, latent)).double()
    model.likelihood.assign(torch.eye(latent), torch.zeros(latent), torch.tensor([sd**2]))
    net = nn.Linear(latent, 2 * latent).double()
    with torch.no_grad():
        net.weight.copy_(torch.eye(2 * latent, latent))
        net.bias.zero_()
        net.bias[latent:] = Gaussian(latent).raw(torch.full((latent,), sd, dtype=torch.float64))
    return model, Amortized(Given(net, Gaussian(latent))), *pair(model, n)


def test_encoder_scale_collapse():
    assert "encoder-scale-collapse" in names(examine(*sharp(0.01)))
    assert examine(*sharp(0.1)).healthy


def unevenly_sharp(sds, unused):
    """As `sharp`, with a noise for each feature, and more features that neither decoder nor encoder uses."""
    seen, latent = len(sds), len(sds) + unused
    sd, W = torch.tensor(sds, dtype=torch.float64), torch.eye(seen, latent).double()
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, seen, noise="feature")).double()
    model.likelihood.assign(W, torch.zeros(seen).double(), sd.square())
    net = nn.Linear(seen, 2 * latent).double()
    with torch.no_grad():
        net.weight.copy_(torch.cat([W.mT, torch.zeros(latent, seen)]))
        net.bias.zero_()
        net.bias[latent : latent + seen] = Gaussian(seen).raw(sd)
        net.bias[latent + seen :] = Gaussian(unused).raw(torch.ones(unused, dtype=torch.float64))
    return model, Amortized(Given(net, Gaussian(latent))), *pair(model, 300)


def test_unused_features_do_not_hide_a_collapse_of_the_others():
    """Of 16 features 12 have the prior's width, as in every VAE that has more than it needs."""
    found = examine(*unevenly_sharp([0.01] * 4, 12))
    assert "4 active features" in next(f for f in found.problems if f.name == "encoder-scale-collapse").what
    assert len(found.measures["encoder_noise"]) == 16
    told = names(examine(*unevenly_sharp([0.01] * 4 + [0.1], 11)))
    assert "encoder-scale-collapse" not in told  # one that is active has a noise that can be felt


def test_one_precise_feature_is_no_collapse():
    assert "encoder-scale-collapse" not in names(examine(*sharp(0.01, latent=1)))


def test_decoder_scale_at_its_floor():
    model = linear_model(2, 5)
    train, test = pair(model)
    with torch.no_grad():
        model.likelihood.raw_scale.fill_(-30.0)
    assert "decoder-scale-collapse" in names(examine(model, Exact(model), train, test))


def test_decoder_scale_finer_than_the_data():
    assert "decoder-scale-collapse" in names(examine(*sharp(0.001)))


def test_component_at_its_floor():
    model = mixture_model(3, 4)
    train, test = pair(model)
    with torch.no_grad():
        model.likelihood.table[1, 4:] = -30.0
    found = examine(model, Exact(model), train, test)
    assert "4 of 4" in next(f for f in found.problems if f.name == "decoder-scale-collapse").what


@pytest.mark.parametrize("family", [Laplace(3), StudentT(3, 5.0), LogNormal(3)], ids=lambda f: f.phrase)
def test_scales_of_other_families_are_looked_at(family):
    """At their floor a problem, at the data's spread none (of log x, where that is what the scale is of)."""
    likelihood = Given(nn.Linear(1, 6), family).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.zero_()
    model = LatentVariableModel(Unconditional(Gaussian(1)), likelihood).double()
    rows, guide = pair(model, 200), Shared(Unconditional(Gaussian(1))).double()
    found = examine(model, guide, *rows)
    assert "decoder-scale-collapse" not in names(found)
    assert found.measures["scale_least"] == pytest.approx(1.0)
    assert 0.4 < found.measures["scale_to_spread"] < 1.2
    with torch.no_grad():
        likelihood.net.bias[3:] = -30.0
    assert "decoder-scale-collapse" in names(examine(model, guide, *rows))


def test_constant_columns_are_a_note():
    x = torch.randn(300, 3, dtype=torch.float64, generator=stream(0, "constant"))
    x[:, 1] = 0.5
    p = Unconditional(Gaussian(3, floor=0.01)).double()
    with torch.no_grad():
        p.value.copy_(torch.cat([x.mean(0), p.family.raw(x.std(0))]))
    model = LatentVariableModel(Unconditional(Gaussian(0)), p).double()
    found = examine(model, Exact(model), Rows(x[:150]), Rows(x[150:]))
    assert "decoder-scale-collapse" not in names(found)
    assert "constant-columns" in names(found, "note")


@pytest.mark.parametrize("plant", ["weight", "place"])
def test_unused_components(plant):
    model = mixture_model(3, 2)
    train, test = pair(model)
    assert "unused-components" not in names(examine(model, Exact(model), train, test))
    with torch.no_grad():
        if plant == "weight":
            model.prior.value[1] = -40.0
        else:
            model.likelihood.table[1, :2] = 1e4
    found = examine(model, Exact(model), train, test)
    assert "unused-components" in names(found)
    assert found.measures["components_unused"] == 1


def test_memorised_rows():
    """A mixture with one narrow component on each training row."""
    train, test = pair(linear_model(3, 6), 150)
    model = LatentVariableModel(Unconditional(Categorical(150)), Table(Gaussian(6, 0.05), 150)).double()
    with torch.no_grad():
        model.likelihood.table.copy_(train.stored)
    found = examine(model, Exact(model), train, test)
    assert {"memorised-rows", "over-fitting"} <= names(found)
    assert found.measures["sample_distance_ratio"] < 0.2


def test_samples_of_dense_regions_are_not_taken_for_copies():
    """Half of the data are a hundred times as dense, and the model makes only those."""
    noise = stream(0, "dense")
    x = torch.randn(400, 4, dtype=torch.float64, generator=noise)
    x[::2] *= 0.01
    p = Unconditional(Gaussian(4, 0.01)).double()
    model = LatentVariableModel(Unconditional(Gaussian(0)), p).double()
    found = memorised(Patient(model, Exact(model), Rows(x[:200]), Rows(x[200:])))
    assert found.findings == ()


def wide_bits(size):
    """Bits with a decoder that says the sign of z, with logits of that size."""
    model = LatentVariableModel(Unconditional(Gaussian(6)), Given(nn.Linear(6, 6), Bernoulli(6)))
    with torch.no_grad():
        model.likelihood.net.weight.copy_(torch.eye(6))
        model.likelihood.net.bias.zero_()
    train, test = (Rows(simulated(model, 400, name).x) for name in ("train", "test"))
    with torch.no_grad():
        model.likelihood.net.weight.mul_(size)
    guide = Amortized(Fixed(Gaussian(6), torch.zeros(12)))
    return examine(model, guide, train, test)


def stray_bits(right):
    """One wide feature, whose sign the decoder says with certainty; a bit is right in that many of 16 points."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(nn.Linear(1, 5), Bernoulli(5)))
    with torch.no_grad():
        model.likelihood.net.weight.fill_(0.0 if right == 0 else 400.0)
        model.likelihood.net.bias.fill_(-60.0 if right == 0 else 0.0)
    x = torch.ones(300, 5)
    guide = Amortized(Fixed(Gaussian(1), torch.zeros(2)))
    return examine(model, guide, Rows(x), Rows(x))


def test_a_stray_point_is_not_taken_for_a_certain_error():
    """Half of the points of q(z|x) are certain and wrong, and log p(x) = -log 2 all the same."""
    found = stray_bits(8)
    assert "saturated-outputs" not in names(found)
    assert found.measures["nats_lost_to_certainty"] < 0.1
    assert found.measures["score_test"] < -100  # what one point says of it
    found = stray_bits(0)
    assert "saturated-outputs" in names(found)
    assert found.measures["nats_lost_to_certainty"] == pytest.approx(300)
    assert found.measures["saturated_logits"] == 1.0


@pytest.mark.parametrize("seed", [0, 2])
def test_a_short_importance_weighted_run_is_not_saturated(seed, tmp_path):
    """Its guide is wide: one point in two hundred is certain and wrong, and no datum is."""
    run = jensen.train("digits", recipe="iwae", epochs=10, seed=seed, out=tmp_path / "run", device="cpu")
    found = run.doctor()
    assert found.healthy, found.problems
    assert found.measures["nats_lost_to_certainty"] < 0.05


def test_certain_and_wrong():
    assert "saturated-outputs" in names(wide_bits(100.0))
    assert "saturated-outputs" not in names(wide_bits(1.0))


def test_certain_and_right_is_harmless():
    p = Unconditional(Bernoulli(3))
    with torch.no_grad():
        p.value.copy_(torch.tensor([-30.0, 30.0, 0.0]))
    model = LatentVariableModel(Unconditional(Gaussian(0)), p)
    found = examine(model, Exact(model), *pair(model))
    assert found.healthy
    assert found.measures["saturated_logits"] == pytest.approx(2 / 3)


def test_exploding_weights():
    model, guide, train, test = sharp(0.1)
    with torch.no_grad():
        guide.conditional.net.weight[0, 0] = 1e5
    found = examine(model, guide, train, test)
    assert "exploding-weights" in names(found)
    assert found.measures["layer_output_sd"] > 1e4


def test_weights_that_are_not_finite():
    model, guide, train, test = sharp(0.1)
    with torch.no_grad():
        guide.conditional.net.weight[0, 0] = math.nan
    found = examine(model, guide, train, test)
    assert names(found) == {"non-finite-weights"}
    assert set(found.skipped) == set(CHECKS) - {"weights"}


# --- trained until ill ---


def ill(tmp_path, **options):
    return names(jensen.train("digits", out=tmp_path / "run", device="cpu", **options).doctor())


def test_run_with_a_heavy_rate(tmp_path):
    assert "posterior-collapse" in ill(tmp_path, recipe="beta-vae", beta=50.0, epochs=20)


def test_run_with_a_light_rate(tmp_path):
    found = ill(
        tmp_path, recipe="beta-vae", beta=1e-5, epochs=40, batch=64, lr=3e-3, latent=4, hidden=(64,), keep="last"
    )
    assert {"prior-mismatch", "beta-not-one", "encoder-scale-collapse"} <= found


def test_run_on_few_rows(tmp_path):
    found = ill(tmp_path, split="0.05,0.05,0.9", epochs=120, batch=16, keep="last", latent=8, lr=3e-3)
    assert {"over-fitting", "saturated-outputs"} <= found


def test_over_fitting_by_the_validation_curve():
    """A gap that is only visible becomes a problem once validation has fallen."""
    model = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(4))).double()
    noise = stream(0, "gap")
    train = torch.randn(400, 4, dtype=torch.float64, generator=noise)
    test = 1.2 * torch.randn(400, 4, dtype=torch.float64, generator=noise)
    curve = [{"event": "epoch", "epoch": e, "beta": 1.0, "valid": {"bound": b}} for e, b in ((1, -5.0), (2, -9.0))]
    for kept, severity in ((1, "note"), (2, "problem")):
        history = [*curve, {"event": "stopped", "kept_epoch": kept}]
        found = examine(model, Exact(model), Rows(train), Rows(test), history=history)
        assert "over-fitting" in names(found, severity)


# --- what does not apply ---


def test_what_does_not_apply_is_said():
    net = nn.Linear(5, 2).double()
    model = linear_model(2, 5)
    found = examine(model, Deterministic(net), *pair(model))
    assert {"posterior-collapse", "prior-mismatch", "encoder-scale-collapse", "unused-components"} <= set(found.skipped)
    assert "rate" not in found.measures
    alone = examine(model, Exact(model), rows(model, 300))
    assert {"over-fitting", "memorised-rows"} <= set(alone.skipped)


def test_nothing_is_changed_and_the_seed_repeats_it():
    model, guide, train, test = sharp(0.1)
    before = [p.clone() for p in (*model.parameters(), *guide.parameters())]
    told: list[float] = []
    first = examine(model, guide, train, test, seed=3, watch=told.append)
    assert first == examine(model, guide, train, test, seed=3)
    assert first.measures != examine(model, guide, train, test, seed=4).measures
    after = [*model.parameters(), *guide.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert not any(m._forward_hooks for m in guide.modules())


def test_no_rows_are_refused():
    model = linear_model(1, 2)
    with pytest.raises(DataError):
        examine(model, Exact(model), Rows(torch.zeros(0, 2, dtype=torch.float64)))


def test_run_on_an_array_is_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    run = jensen.train(x, recipe="ppca", latent=1, out=tmp_path / "run", device="cpu")
    with pytest.raises(DataError, match="in memory"):
        run.doctor()


def test_findings_say_what_to_do(tmp_path):
    model, guide, train, test = sharp(0.001)
    found = examine(model, guide, train, test, beta=0.1)
    assert len(found.problems) > 1
    assert list(found.findings) == sorted(found.findings, key=lambda f: f.severity != "problem")
    for finding in found.findings:
        record = finding.to_dict()
        assert all(record[key] for key in ("name", "severity", "what", "cause", "remedy"))
        assert not record["what"].endswith(".")
        assert record["remedy"].endswith(".")
