"""log p of entries: against the conditionals of mixtures and Gaussians, which are known exactly."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.analysis.column_scores import column_scores, scores_in_pieces
from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.guides import Exact
from tests.identities.models import amortized, close, linear_model, mixture_model, simulated

DIM, N = 4, 6
MASK = torch.ones(N, DIM).bool()
MASK[0, 1] = MASK[1, :3] = MASK[2, 0] = False


def holed(model) -> Rows:
    x = simulated(model, N).x
    return Rows(torch.where(MASK, x, torch.nan), mask=MASK, fill=torch.zeros(DIM).double())


def normal(mean, cov, x) -> float:
    away = x - mean
    return float(-0.5 * (away @ torch.linalg.solve(cov, away) + torch.logdet(2 * math.pi * cov))) if len(x) else 0.0


@torch.no_grad()
def gaussian_scores(model, rows) -> tuple[torch.Tensor, torch.Tensor]:
    """By the multivariate normal of x."""
    lik = model.likelihood
    cov = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(DIM))
    alone, others = torch.full((2, N, DIM), math.nan, dtype=torch.float64)
    for i in range(N):
        seen = [d for d in range(DIM) if MASK[i, d]]

        def log_p(columns, i=i):
            return normal(lik.b[columns], cov[columns][:, columns], rows.stored[i, columns])

        for d in seen:
            alone[i, d] = log_p([d])
            others[i, d] = log_p(seen) - log_p([e for e in seen if e != d])
    return alone, others


@torch.no_grad()
def mixture_scores(model, rows) -> tuple[torch.Tensor, torch.Tensor]:
    """By Bayes' rule, one entry at a time."""
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.table)
    prior = model.prior.params().log_softmax(-1)
    terms = torch.distributions.Normal(loc, scale).log_prob(rows.stored.nan_to_num()[:, None])  # [N, S, D]
    terms = torch.where(MASK[:, None], terms, 0.0)
    alone, others = torch.full((2, N, DIM), math.nan, dtype=torch.float64)
    for i, d in MASK.nonzero().tolist():
        alone[i, d] = torch.logsumexp(prior + terms[i, :, d], 0)
        rest = terms[i][:, [e for e in range(DIM) if e != d]].sum(-1)
        posterior = torch.softmax(prior + rest, 0)
        others[i, d] = (posterior * terms[i, :, d].exp()).sum().log()
    return alone, others


@pytest.mark.parametrize("name", ["mixture", "linear"])
@pytest.mark.parametrize("guide", ["exact", "amortized"])
def test_scores_are_those_of_the_conditionals(name, guide):
    model = mixture_model(3, DIM) if name == "mixture" else linear_model(2, DIM, "feature")
    rows = holed(model)
    expected = (mixture_scores if name == "mixture" else gaussian_scores)(model, rows)
    exact = guide == "exact" or name == "mixture"
    scores = column_scores(
        model, Exact(model) if guide == "exact" else amortized(DIM, Gaussian(2)), rows, k=40_000, seed=1
    )
    assert torch.equal(scores.given_others.isnan(), ~MASK)
    assert torch.equal(scores.alone.isnan(), ~MASK)
    assert (scores.ess is None, scores.k is None) == (exact, exact)
    if exact:
        close(scores.alone[MASK], expected[0][MASK], 1e-9)
        close(scores.given_others[MASK], expected[1][MASK], 1e-9)
        return
    assert scores.ess is not None
    assert float(scores.ess[MASK].min()) > 200
    # differences of two sums over the same points: by the delta method the error is at most some 1 / sqrt(ESS)
    error = 4 / scores.ess[MASK].sqrt()
    assert ((scores.given_others - expected[1])[MASK].abs() < error).all()
    assert ((scores.alone - expected[0])[MASK].abs() < 0.05).all()


def test_scores_do_not_depend_on_the_rows_beside_them():
    model = linear_model(2, DIM)
    x = simulated(model, N).x
    whole = column_scores(model, Exact(model), Rows(x))
    close(column_scores(model, Exact(model), Rows(x[:2])).given_others, whole.given_others[:2], 1e-9)
    guide = amortized(DIM, Gaussian(2))
    first, again, other = (column_scores(model, guide, Rows(x), k=50, seed=s).given_others for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_sum_over_columns_is_no_joint_but_a_chain_is():
    """log p(x_1) + log p(x_2 | x_1) = log p(x): of two columns the entry given the other completes the one alone."""
    model = mixture_model(3, 2)
    x = simulated(model, 5).x
    scores = column_scores(model, Exact(model), Rows(x))
    joint = torch.logsumexp(model.prior.params().log_softmax(-1) + mixture_terms(model, x), -1)
    close(scores.alone[:, 0] + scores.given_others[:, 1], joint, 1e-9)
    close(scores.alone[:, 1] + scores.given_others[:, 0], joint, 1e-9)


@torch.no_grad()
def mixture_terms(model, x) -> torch.Tensor:
    return model.likelihood.family.log_prob(model.likelihood.table, x[:, None])


def test_progress_is_told_and_bad_numbers_are_refused():
    model, told = linear_model(2, DIM), []
    rows = Rows(model.sample(5, stream(0, "x")))
    column_scores(model, amortized(DIM, Gaussian(2)), rows, k=20, watch=told.append)
    assert told[-1] == 1
    with pytest.raises(UsageError, match="-k"):
        column_scores(model, amortized(DIM, Gaussian(2)), rows, k=0)


@pytest.mark.parametrize(("name", "guide"), [("mixture", "exact"), ("linear", "exact"), ("linear", "amortized")])
def test_scores_in_pieces_are_those_of_all_rows(name, guide, monkeypatch):
    monkeypatch.setattr("jensen.analysis.column_scores.NUMBERS", 64 * DIM * 4)
    model = mixture_model(3, DIM) if name == "mixture" else linear_model(2, DIM)
    guide = Exact(model) if guide == "exact" else amortized(DIM, Gaussian(2))
    rows = holed(model).subset(torch.arange(N).repeat(2)[:11])
    whole = column_scores(model, guide, rows, k=64)
    parts = list(scores_in_pieces(model, guide, rows, size=3, k=64))
    assert [len(part.alone) for part in parts] == [3, 3, 3, 2]
    for attribute in ("alone", "given_others", "ess"):
        values = [vars(part)[attribute] for part in parts]
        expected = vars(whole)[attribute]
        if expected is None:
            assert values == [None] * 4
        else:
            assert torch.cat(values).nan_to_num(-7.0).equal(expected.nan_to_num(-7.0))
    assert {part.k for part in parts} == {whole.k}
