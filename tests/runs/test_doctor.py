"""The doctor of a run: with holes, without test rows, on data in memory, and with what its evaluation shows."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jensen
from jensen.core.errors import DataError, UsageError
from jensen.runs.doctor import GONE
from jensen.runs.save import save
from jensen.storage.files import digest, write_json

OPTIONS = {"latent": 2, "epochs": 2, "hidden": (8,), "batch": 32}


def columns(n: int = 160, missing: float = 0.25) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(n, 4))
    x[rng.random(x.shape) < missing] = np.nan
    if missing:
        x[3] = np.nan
    return x


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("holed")
    np.save(folder / "x.npy", columns(240))
    return jensen.train(folder / "x.npy", recipe="miwae", out=folder / "run", **OPTIONS)


def test_a_run_with_holes_is_examined(holed):
    """Its scores are the means of an evaluation with few points: in the data's own units, of observed entries."""
    diagnosis = holed.doctor()
    bound = holed.evaluate(k=20).estimate.nats  # K of the objective
    assert diagnosis.measures["score"] == "the importance-weighted bound (K = 20)"
    assert diagnosis.measures["score_test"] == pytest.approx(float(bound.mean()), abs=0.5)
    assert diagnosis.measures["rows_train"] == 192
    assert "sample_distance_ratio" in diagnosis.measures or "memorised-rows" in diagnosis.skipped


@pytest.mark.slow
def test_every_verb_takes_holes(holed):
    """Nothing of what is done with a run is refused because entries are missing."""
    from jensen.evaluate import Annealed, TightnessSettings
    from jensen.runs.compare import compare
    from jensen.runs.fidelity import fidelity
    from jensen.runs.sandwich import certify

    chain = Annealed(4, 2, 4)
    certificate = certify(holed, annealing=chain, rows=8)
    assert any("entries are missing from simulated rows" in note for note in certificate.notes)
    assert holed.evaluate(method="annealed", annealing=chain).estimate.nats.isfinite().all()
    assert holed.calibrate(n=40).holed
    assert holed.gradients(n=16, repeats=32).rows == 16
    assert compare(holed, holed, k=20).difference == 0
    assert fidelity(holed, n=10, repeats=2).sampled == "samples with entries missing as in the rows"
    settings = TightnessSettings(rows=4, temperatures=0, leapfrog_steps=0, chains=0, simulated=0, refine=3)
    evaluation = holed.evaluate(settings=settings)
    assert evaluation.assessment.gaps.to_dict()["n"] == 4
    assert not any("entries are missing" in note for note in evaluation.notes)


def test_a_curve_of_rate_and_distortion_with_holes(tmp_path):
    from jensen.runs.rate_distortion import trade

    np.save(tmp_path / "x.npy", columns())
    curve = trade(tmp_path / "x.npy", out=tmp_path / "out", betas=(0.5, 1.0), k=20, **OPTIONS)
    assert [np.isfinite(point.elbo) for point in curve.points] == [True, True]


def test_findings_on_the_evaluation_are_the_doctors_too(holed, tmp_path):
    """An effective size of 1.0 in the record: a problem of which the remedy is not a larger K."""
    evaluation = holed.evaluate(k=60)
    holed.keep(evaluation)
    path = holed.path / "evaluation.json"
    record = json.loads(path.read_text())
    plain = holed.doctor()
    ill = record | {"ess": 1.0, "k_hat": {"share_above": 0.84, "limit": 0.5}, "kind": "stochastic lower bound"}
    write_json(path, {k: v for k, v in ill.items() if k not in ("sha256", "format")})
    finding = next(f for f in holed.doctor().problems if f.name == "loose-bound")
    assert "84 % of rows" in finding.what
    assert "-k 6" not in finding.remedy
    assert not holed.doctor().healthy
    others = ill | {"replay": ill["replay"] | {"weights_sha256": "0" * 64}}
    write_json(path, {k: v for k, v in others.items() if k not in ("sha256", "format")})
    assert "loose-bound" not in {f.name for f in holed.doctor().findings}  # of other weights
    path.write_text("{")
    damaged = holed.doctor()
    assert any(note.startswith("evaluation.json is left out: ") for note in damaged.notes)
    path.unlink()
    assert {f.name for f in holed.doctor().findings} <= {f.name for f in plain.findings}


@pytest.mark.parametrize("split", ["1,0,0", "0.8,0.2,0", "0.8,0,0.2"])
def test_runs_without_some_part_are_examined(tmp_path, split):
    np.save(tmp_path / "x.npy", columns(60, 0.0))
    run = jensen.train(tmp_path / "x.npy", out=tmp_path / "run", split=split, **OPTIONS)
    assert ("over-fitting" in run.doctor().skipped) == (split == "1,0,0")


def test_data_that_are_not_kept_are_no_bad_data(tmp_path):
    """A usage error, exit code 2, not one of bad data: give them."""
    x = columns(60, 0.0)
    run = jensen.train(x, out=tmp_path / "run", **OPTIONS)
    opened = jensen.load(tmp_path / "run")
    with pytest.raises(UsageError, match="had in memory only"):
        opened.doctor()
    assert jensen.load(tmp_path / "run", data=x).doctor().measures == run.doctor().measures
    save(run.model, run.guide, tmp_path / "saved", like=x)
    with pytest.raises(UsageError, match="the doctor needs training data"):
        jensen.load(tmp_path / "saved").doctor()


def test_test_rows_that_are_not_kept_are_left_out(tmp_path):
    np.save(tmp_path / "x.npy", columns(60, 0.0))
    jensen.train(tmp_path / "x.npy", test=columns(20, 0.0), out=tmp_path / "run", **OPTIONS)
    diagnosis = jensen.load(tmp_path / "run").doctor()
    assert diagnosis.notes == (GONE,)
    assert "over-fitting" in diagnosis.skipped
    assert digest(tmp_path / "run" / "weights.safetensors")


def test_remedies_are_not_what_was_done_already(tmp_path):
    """A collapsed run with --hidden 50 and beta 0.3 is not told to train with those."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(80, 4)))
    how = OPTIONS | {"hidden": (50,), "epochs": 1}
    run = jensen.train(tmp_path / "x.npy", recipe="beta-vae", beta=0.3, out=tmp_path / "run", **how)
    remedies = [f.remedy for f in run.doctor().findings if f.name == "posterior-collapse"]
    assert remedies
    assert "--beta 0.15" in remedies[0]
    assert "--beta 0.5" not in remedies[0]


@pytest.mark.parametrize("recipe", ["ppca", "factor-analysis"])
@pytest.mark.sampled(1)
def test_an_exact_posterior_is_that_given_the_observed_entries(recipe, tmp_path):
    """Codes of rows with holes from a run of complete ones: the mean of z given the observed block, by hand."""
    np.save(tmp_path / "x.npy", columns(300, 0.0))
    np.save(tmp_path / "holed.npy", columns(40))
    run = jensen.train(tmp_path / "x.npy", recipe=recipe, latent=2, out=tmp_path / "run")
    codes = run.encode(tmp_path / "holed.npy")
    lik, prepared = run.model.likelihood, run.preparation
    W, b, noise = (t.detach().double().numpy() for t in (lik.W, lik.b, lik.noise_variance))
    noise = np.broadcast_to(noise, len(b))
    for z, x in zip(codes, (columns(40) - prepared.center) / prepared.scale, strict=True):
        seen = ~np.isnan(x)
        precision = np.eye(2) + W[seen].T @ (W[seen] / noise[seen, None])
        expected = np.linalg.solve(precision, W[seen].T @ ((x[seen] - b[seen]) / noise[seen]))
        np.testing.assert_allclose(z, expected, atol=1e-5)
    assert run.reconstruct(tmp_path / "holed.npy").shape == (40, 4)


@pytest.mark.parametrize("verb", ["encode", "reconstruct"])
def test_an_encoder_of_complete_rows_refuses_holes_and_says_how_to_fill_them(verb, tmp_path):
    np.save(tmp_path / "x.npy", columns(160, 0.0))
    np.save(tmp_path / "holed.npy", columns(40))
    run = jensen.train(tmp_path / "x.npy", out=tmp_path / "run", **OPTIONS)
    with pytest.raises(DataError, match=r"learned from complete rows.* fill them: jensen impute .*/run .*/holed\.npy"):
        getattr(run, verb)(tmp_path / "holed.npy")
    with pytest.raises(DataError, match=r"fill them: run\.impute\(data\)"):
        getattr(run, verb)(columns(40))
    assert run.impute(columns(40), m=2)
