"""The doctor on rows with missing entries: every number is of the observed part."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.metrics import nan_euclidean_distances

from jensen.analysis.calibration import calibrate
from jensen.analysis.doctor import examine
from jensen.analysis.memorisation import nearest_rows
from jensen.core.batch import Batch, Rows
from jensen.core.random import stream
from jensen.core.wording import fixed
from jensen.evaluate.simulated import MASKS
from jensen.families import Bernoulli, Categorical, Gaussian, NegativeBinomial
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given, Table, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import amortized, linear_model, scrambled


def holed(model, n: int, name: str, share: float = 0.3) -> Rows:
    """Data with random holes; the first row has no entry, the second all of them."""
    noise = stream(0, name)
    x = model.simulate(n, noise)[1].x
    mask = torch.rand(x.shape, generator=noise) > share
    mask[0], mask[1] = False, True
    return Rows(torch.where(mask, x, -77.0), mask=mask, fill=torch.zeros(x.shape[1], dtype=x.dtype))


def test_scores_are_the_densities_of_observed_entries():
    """Of an exact guide, in units of the data: multivariate normal densities of the observed block by SciPy."""
    model = linear_model(2, 5, "feature")
    train, test = holed(model, 200, "train"), holed(model, 150, "test")
    jacobian = torch.tensor([0.1, -2.0, 0.5, 3.0, 1.0]).double()
    diagnosis = examine(model, Exact(model), train, test, log_jacobian=jacobian)
    lik = model.likelihood
    W, b, noise = (t.detach().numpy() for t in (lik.W, lik.b, lik.noise_variance))
    cov = W @ W.T + np.diag(noise)
    for rows, name in ((train, "score_train"), (test, "score_test")):
        values = [0.0]
        for x, m in zip(rows.stored.numpy()[1:], rows.mask.numpy()[1:], strict=True):
            own = multivariate_normal(b[m], cov[np.ix_(m, m)]).logpdf(x[m]) if m.any() else 0.0
            values.append(own + jacobian.numpy()[m].sum())
        assert diagnosis.measures[name] == pytest.approx(np.mean(values), abs=1e-9)
    assert diagnosis.problems == ()
    assert "sample_distance_ratio" in diagnosis.measures


def bernoulli():
    return LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 6, (8,)), Bernoulli(6))), Gaussian(2)


def counts():
    likelihood = Given.mlp(2, (8,), NegativeBinomial(6))
    return LatentVariableModel(Unconditional(Gaussian(2)), likelihood), Gaussian(2)


def mixture():
    return LatentVariableModel(Unconditional(Categorical(3), learn=True), Table(Bernoulli(6), 3)), Categorical(3)


@pytest.mark.parametrize("made", [bernoulli, counts, mixture])
def test_every_check_runs(made):
    """Every check that complete rows pass through; hidden values change no number."""
    model, family = made()
    scrambled(model, "doctor")
    guide = amortized(6, family)
    train, test = holed(model, 120, "train"), holed(model, 80, "test")
    diagnosis = examine(model, guide, train, test)
    complete = examine(model, guide, Rows(train.stored.clamp_min(0)), Rows(test.stored.clamp_min(0)))
    few_in_common = {"memorised-rows"}  # discrete rows with few entries often agree in all of them
    assert diagnosis.skipped.keys() - few_in_common == complete.skipped.keys() - few_in_common
    assert all(math.isfinite(v) for v in diagnosis.measures.values() if isinstance(v, float))
    others = [Rows(torch.where(r.mask, r.stored, 55.0), mask=r.mask, fill=r.fill) for r in (train, test)]
    assert examine(model, guide, *others).to_dict() == diagnosis.to_dict()


def test_distances_are_those_of_common_entries():
    """As scikit-learn has them, for rows with an entry in common."""
    noise = stream(0, "distances")
    x, y = (torch.randn(30, 6, generator=noise).double() for _ in range(2))
    m, n = (torch.rand(30, 6, generator=noise) > 0.4 for _ in range(2))
    m[0], n[3] = False, False
    rows = Rows(y, mask=n, fill=torch.full((6,), 9.0).double())
    near, which = nearest_rows(x, rows, torch.arange(30), mask=m)
    expected = nan_euclidean_distances(np.where(m, x, np.nan), np.where(n, y, np.nan))
    expected[np.isnan(expected)] = np.inf
    np.testing.assert_allclose(near.numpy(), expected.min(1), atol=1e-9)
    assert near[0] == math.inf
    assert which[1:].tolist() == expected.argmin(1)[1:].tolist()
    plain, _ = nearest_rows(x, rows, torch.arange(30))
    expected = nan_euclidean_distances(x.numpy(), np.where(n, y, np.nan))
    np.testing.assert_allclose(plain.numpy(), np.nan_to_num(expected, nan=np.inf).min(1), atol=1e-9)


def test_a_model_that_copies_its_rows_is_found_among_holes():
    noise = stream(0, "copies")
    centres = torch.randn(60, 6, generator=noise).double()
    table = Table(Gaussian(6), 60).double()
    with torch.no_grad():
        table.table[:, :6] = centres
        table.table[:, 6:] = -9.0
    model = LatentVariableModel(Unconditional(Categorical(60)).double(), table)
    masks = [torch.rand(60, 6, generator=noise) > 0.2 for _ in range(2)]
    train = Rows(centres, mask=masks[0], fill=torch.zeros(6).double())
    test = Rows(torch.randn(60, 6, generator=noise).double(), mask=masks[1], fill=torch.zeros(6).double())
    diagnosis = examine(model, Exact(model), train, test)
    assert "memorised-rows" in {f.name for f in diagnosis.problems}
    assert diagnosis.measures["sample_distance_ratio"] < 0.2


def test_the_spread_of_a_column_is_that_of_its_observed_entries():
    """A scale of 0.002 beside a spread of 2 over known entries; the fill would make it 0.2."""
    noise = stream(0, "spread")
    x = 2.0 * torch.randn(500, 3, generator=noise).double()
    mask = torch.rand(500, 3, generator=noise) > 0.9
    model, _ = (LatentVariableModel(Unconditional(Gaussian(1)), Given(MLP(1, 6, (4,)), Gaussian(3))).double(), None)
    guide = Amortized(Given(MLP(3, 2, (4,)), Gaussian(1))).double()
    measures = examine(model, guide, Rows(x, mask=mask, fill=torch.zeros(3).double())).measures
    known = np.nanstd(np.where(mask, x, np.nan), axis=0)
    plain = examine(model, guide, Rows(x / torch.from_numpy(known) * 1.0)).measures
    assert measures["scale_to_spread"] < 0.8 * plain["scale_to_spread"]
    assert fixed(np.median(known), 0) == "2"


class Blind(Guide):
    """The posterior of rows whose holes are taken for data."""

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.exact = Exact(model)

    def forward(self, batch: Batch):
        return self.exact(Batch(batch.x))

    @property
    def phrase(self) -> str:
        return "blind"


def test_calibration_with_holes():
    """The posterior of the observed part is calibrated, and one that takes the fill for data is not."""
    model = linear_model(2, 5)
    rows = holed(model, 50, "calibration", share=0.5)
    exact = calibrate(model, Exact(model), n=300, like=rows)
    blind = calibrate(model, Blind(model), n=300, like=rows)
    assert exact.findings == []
    assert {"z1", "z2"} & {f.name for f in blind.findings}
    assert MASKS in exact.basis
    assert exact.to_dict()["masks"] == MASKS
    plain = calibrate(model, Exact(model), n=100)
    assert MASKS not in plain.basis
    assert plain.to_dict()["masks"] is None
    assert calibrate(model, Blind(model), n=300).findings == []
