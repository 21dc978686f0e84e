"""The distribution of a column given the others: its mean, mass and quantiles are those of the exact conditional."""

from __future__ import annotations

import pytest
import torch

from jensen.analysis import conditional_prediction
from jensen.analysis.column_scores import column_scores
from jensen.analysis.conditional_prediction import predict_column, predictions_in_pieces
from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.families import Gaussian
from jensen.guides import Exact
from tests.identities.models import amortized, close, linear_model, mixture_model, simulated

DIM, N, COLUMN = 4, 6, 2
MASK = torch.ones(N, DIM).bool()
MASK[0, 1] = MASK[1, COLUMN] = MASK[2, 0] = False


def holed(model) -> Rows:
    return Rows(torch.where(MASK, simulated(model, N).x, torch.nan), mask=MASK, fill=torch.zeros(DIM).double())


@torch.no_grad()
def component_weights(model, rows) -> torch.Tensor:
    """p(component | the other observed columns) [N, S]."""
    others = MASK.clone()
    others[:, COLUMN] = False
    terms = model.likelihood.family.log_prob(model.likelihood.table, rows.stored.nan_to_num()[:, None], others[:, None])
    return torch.softmax(model.prior.params().log_softmax(-1) + terms, -1)


def test_a_column_of_a_mixture():
    model = mixture_model(3, DIM, 3.0)
    rows, m = holed(model), 4_000
    predicted = predict_column(model, amortized(DIM, Gaussian(3)), rows, COLUMN, m=m, seed=1)
    w = component_weights(model, rows)
    with torch.no_grad():
        loc, scale = (t[:, COLUMN] for t in model.likelihood.family.loc_scale(model.likelihood.table))
    close(predicted.summary[:, 0], w @ loc, 1e-9)
    density = torch.distributions.Normal(loc, scale).log_prob(rows.stored.nan_to_num()[:, COLUMN, None])
    expected = torch.logsumexp(w.log() + density, -1)
    assert predicted.log_prob.isnan().tolist() == (~MASK[:, COLUMN]).tolist()
    close(predicted.log_prob[MASK[:, COLUMN]], expected[MASK[:, COLUMN]], 1e-9)
    assert (predicted.k, predicted.ess, predicted.unreliable) == (None, None, None)
    assert predicted.draws is not None
    for level in (0.05, 0.5, 0.95):  # the exact distribution function at the empirical quantile is that level
        quantile = predicted.draws[int(level * m)]
        cdf = (w * torch.distributions.Normal(loc, scale).cdf(quantile[:, None])).sum(-1)
        assert ((cdf - level).abs() < 4.5 * (level * (1 - level) / m) ** 0.5).all()


@pytest.mark.parametrize("exact", [True, False])
def test_a_column_of_a_gaussian(exact):
    model = linear_model(2, DIM, "feature")
    rows, k = holed(model), 50_000
    guide = Exact(model) if exact else amortized(DIM, Gaussian(2))
    predicted = predict_column(model, guide, rows, COLUMN, k=k, m=0, seed=2)
    assert predicted.draws is None
    assert predicted.k == k
    with torch.no_grad():
        lik = model.likelihood
        cov = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(DIM))
        for i in range(N):
            o = [d for d in range(DIM) if MASK[i, d] and d != COLUMN]
            gain = torch.linalg.solve(cov[o][:, o], cov[o, COLUMN])
            mean = lik.b[COLUMN] + gain @ (rows.stored[i, o] - lik.b[o])
            variance = cov[COLUMN, COLUMN] - gain @ cov[o, COLUMN]
            n = k if predicted.ess is None else float(predicted.ess[i])
            assert abs(float(predicted.summary[i, 0] - mean)) < 4.5 * float((variance / n).sqrt())
            if MASK[i, COLUMN]:
                log_p = torch.distributions.Normal(mean, variance.sqrt()).log_prob(rows.stored[i, COLUMN])
                assert abs(float(predicted.log_prob[i] - log_p)) < 0.1
    assert (predicted.ess is None) == exact


def test_the_mass_of_what_is_known_is_its_score_given_the_others():
    model = mixture_model(3, DIM)
    rows = holed(model)
    scores = column_scores(model, Exact(model), rows).given_others
    for d in range(DIM):
        predicted = predict_column(model, Exact(model), rows, d, m=0)
        assert torch.equal(predicted.log_prob.isnan(), scores[:, d].isnan())
        close(predicted.log_prob.nan_to_num(), scores[:, d].nan_to_num(), 1e-9)


def test_a_prediction_does_not_look_at_the_column():
    """Another value there changes nothing but its own log p."""
    model = linear_model(2, DIM)
    x = simulated(model, N).x
    other = x.clone()
    other[:, COLUMN] += 3
    guide = amortized(DIM, Gaussian(2))
    first, second = (predict_column(model, guide, Rows(t), COLUMN, k=100, m=50) for t in (x, other))
    assert torch.equal(first.summary, second.summary)
    assert torch.equal(first.draws, second.draws)
    assert not torch.equal(first.log_prob, second.log_prob)


def test_few_effective_points_are_told():
    model = linear_model(2, DIM)
    x = simulated(model, N).x
    x[0, 0] = 40.0
    predicted = predict_column(model, amortized(DIM, Gaussian(2)), Rows(x), COLUMN, k=200, m=0)
    assert predicted.unreliable is not None
    assert predicted.k_hat is not None
    assert bool(predicted.unreliable[0])
    assert not bool(predicted.unreliable.all())


def test_numbers_that_make_no_sense_are_refused():
    model = mixture_model(3, DIM)
    for wrong, name in (({"column": DIM}, "column"), ({"column": 0, "k": 0}, "-k"), ({"column": 0, "m": -1}, "m ")):
        with pytest.raises(UsageError, match=name):
            predict_column(model, Exact(model), holed(model), **wrong)


@pytest.mark.parametrize("name", ["mixture", "exact", "amortized"])
def test_predictions_in_pieces_are_those_of_all_rows(name, monkeypatch):
    monkeypatch.setattr("jensen.analysis.conditional_prediction.NUMBERS", 64 * DIM * 4)
    model = mixture_model(3, DIM) if name == "mixture" else linear_model(2, DIM)
    guide = amortized(DIM, Gaussian(2)) if name == "amortized" else Exact(model)
    rows = holed(model).subset(torch.arange(N).repeat(2)[:11])
    whole = predict_column(model, guide, rows, 1, k=64, m=5)
    parts = list(predictions_in_pieces(model, guide, rows, 1, size=3, k=64, m=5))
    assert [len(part.summary) for part in parts] == [3, 3, 3, 2]
    for attribute, axis in (("summary", 0), ("draws", 1), ("log_prob", 0), ("ess", 0), ("k_hat", 0)):
        values = [vars(part)[attribute] for part in parts]
        expected = vars(whole)[attribute]
        if expected is None:
            assert values == [None] * 4
        else:
            assert torch.cat(values, axis).nan_to_num(-7.0).equal(expected.nan_to_num(-7.0))
    assert {part.k for part in parts} == {whole.k}


@pytest.mark.parametrize(("k", "m"), [(64, 0), (2, 200), (64, 200)])
def test_batches_are_bounded_by_points_and_by_samples(k, m, monkeypatch):
    sizes, compute = [], conditional_prediction._predicted

    def counted(model, guide, batch, *rest):
        sizes.append(len(batch))
        return compute(model, guide, batch, *rest)

    monkeypatch.setattr(conditional_prediction, "_predicted", counted)
    monkeypatch.setattr(conditional_prediction, "NUMBERS", 5_000)
    model = linear_model(2, DIM, "feature")
    predict_column(model, amortized(DIM, Gaussian(2)), Rows(torch.zeros(40, DIM).double()), COLUMN, k=k, m=m)
    assert sum(sizes) == 40
    assert max(sizes) * k * DIM <= 5_000
    assert max(sizes) * m * 2 <= 5_000  # samples and their points, of two features
    assert max(sizes) > 1
