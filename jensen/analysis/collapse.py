"""Collapse of the posterior, of the encoder's scale, and of mixtures; mismatch of prior and aggregate posterior."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..core.wording import fixed
from ..families import Categorical, OneHots
from .examination import Examination, Pass
from .findings import Finding, Outcome
from .latents import are_active
from .two_sample import two_sample

__all__ = ["collapsed", "components", "encoder_scale", "holes", "mutual_information"]

NUMBERS = 1 << 23  # numbers in memory at once, of the densities of points under many guides
FAINT = 0.1  # nats: all features together carry less than a seventh of a bit
SHARP = 0.03  # of the spread of the codes: 3.5 nats per feature; the least used one of a VAE carries nearly none
LEVEL = 1e-3
GAIN = 2.0  # nats per datum that a prior of the aggregate posterior's shape would add to the bound
GAIN_CLASSES = 0.5


@torch.no_grad()
def mutual_information(measured: Pass) -> float:
    r"""Return a lower estimate of I(x; z) in nats, by the aggregate posterior of the rows themselves.

    .. math:: I(x; z) \ge E\left[\log q(z_n|x_n) - \log \tfrac1N \sum_m q(z_n|x_m)\right] \le \log N

    Source: Hoffman & Johnson, "ELBO surgery", 2016; the bound is that of van den Oord, Li & Vinyals, 2018.
    """
    n, total = len(measured.z), torch.full_like(measured.log_own, -torch.inf)
    for q in measured.guides:
        b = q.batch_shape[0] if q.batch_shape else 1
        rows = max(NUMBERS // (b * max(measured.z.shape[1], 1)), 1)
        shares = [torch.logsumexp(q.log_prob(z[:, None]), -1) for z in measured.z.split(rows)]
        total = torch.logaddexp(total, torch.cat(shares))
    return max(float((measured.log_own - total).double().mean()) + math.log(n), 0.0)


def _is_mixture(examination: Examination) -> bool:
    return isinstance(examination.model.prior.family, Categorical)


def _unsuited(examination: Examination) -> str | None:
    """Return the reason why the collapse checks do not apply."""
    if examination.model.latent == 0:
        return "the model has no latent features"
    if not examination.model.likelihood.has_density:
        return "the likelihood only samples"
    if not examination.scored:
        return "the encoder gives a point and no density"
    if not examination.guide.scores_any_point:
        return "the guide's density is known at its own points only"
    if _is_mixture(examination) and examination.model.latent == 1:
        return "the latent has a single state"
    return None


def collapsed(examination: Examination) -> Outcome | str:
    """Check for posterior collapse: a rate or a mutual information below 0.1 nats, or no active feature.

    A feature is active when the variance over data of its posterior mean is above 0.01 (see `are_active`). Inactive
    features are a note, because a VAE does not use features that it does not need.
    """
    if (why := _unsuited(examination)) is not None:
        return why
    measured = examination.trained
    rate, information = float(measured.rate.mean()), mutual_information(measured)
    measures: dict[str, Any] = {
        "rate": rate,
        "mutual_information": information,
        "mutual_information_most": math.log(len(measured.z)),
    }
    findings: list[Finding] = []
    active = None
    if not _is_mixture(examination):
        active = are_active(measured.mean[:, examination.classes :])
        measures |= {"active_features": int(active.sum()), "features": len(active), "active": active.tolist()}
        if measured.feature_rate is not None:
            measures["rate_per_feature"] = [float(r) for r in measured.feature_rate]
    if rate < FAINT or information < FAINT or (active is not None and not bool(active.any())):
        findings.append(_collapse(examination, rate, information, active))
    elif active is not None and not bool(active.all()):
        findings.append(_unused(examination, active, measured.feature_rate))
    return Outcome(tuple(findings), measures)


def _collapse(examination: Examination, rate: float, information: float, active: Tensor | None) -> Finding:
    used = "" if active is None else f"; {int(active.sum())} of {len(active)} latent features are active"
    return Finding(
        "posterior-collapse",
        "problem",
        f"the code carries {fixed(information, 2)} nats about the data (rate {fixed(rate, 2)}{used})",
        "q(z|x) has become the same distribution for all data, so that the decoder ignores z",
        examination.remedy("posterior-collapse"),
    )


def _unused(examination: Examination, active: Tensor, rates: Tensor | None) -> Finding:
    unused, rate = ~active, ""
    if rates is not None:
        rate = f", with a rate of {fixed(float(rates[unused.cpu()].sum()), 2)} nats together"
    n = int(unused.sum())
    return Finding(
        "unused-features",
        "note",
        f"{n} of {len(active)} latent features {'does' if n == 1 else 'do'} not vary with the data{rate}",
        "a feature whose rate would exceed the distortion that it saves is not used; this does no harm",
        examination.remedy("unused-features", latent=max(len(active) - n, 1)),
    )


def holes(examination: Examination) -> Outcome | str:
    """Check that the prior p(z) matches the aggregate posterior q(z), so that samples are decoded near codes.

    Every VAE has some mismatch, which a test with enough rows detects; a problem is one of at least 2 nats, because
    KL(q(z) || p(z)) is the gain of the bound by a perfectly fitting prior. The classifier estimates it from below, and
    the rate less the mutual information from above.

    Source: Hoffman & Johnson, "ELBO surgery", 2016; Rosca, Lakshminarayanan & Mohamed, 2018.
    """
    if (why := _unsuited(examination)) is not None:
        return why
    if len(examination.train) < 40:
        return "it needs at least 40 training rows"
    return _compare_classes(examination) if _is_mixture(examination) else _compare_codes(examination)


@torch.no_grad()
def _compare_codes(examination: Examination) -> Outcome:
    measured, noise = examination.trained, examination.stream("prior")
    z, _ = examination.model.simulate(len(measured.z), noise)
    test = two_sample(measured.z, z, noise)
    above = max(float(measured.rate.mean()) - mutual_information(measured), 0.0)
    measures = {
        "prior_mismatch_p": test.p,
        "prior_mismatch_auc": test.auc,
        "marginal_kl_at_least": test.kl,
        "marginal_kl_at_most": above,
    }
    if test.p >= LEVEL or test.kl < GAIN:
        return Outcome(measures=measures)
    what = (
        f"a classifier tells codes from draws of the prior {100 * test.auc:.0f} % of the time "
        f"(KL(q(z) || p(z)) is at least {fixed(test.kl, 1)} nats, p = {test.p:.1g})"
    )
    return Outcome((_mismatch(examination, what),), measures)


def _compare_classes(examination: Examination) -> Outcome:
    counts = examination.trained.z.double().sum(0).cpu()
    prior = examination.model.prior().mean.detach().double().cpu().reshape(-1)
    n = float(counts.sum())
    share = counts / n
    terms = torch.where(share > 0, share * (share.log() - prior.clamp_min(1e-300).log()), torch.zeros_like(share))
    kl = float(terms.sum())
    # twice the log-likelihood ratio of counts against the prior (Wilks, 1938)
    half = torch.tensor([(len(prior) - 1) / 2, n * max(kl, 0.0)], dtype=torch.float64)
    p = float(torch.special.gammaincc(half[0], half[1]))  # of chi-squared; SciPy's takes half a second to import
    measures = {"prior_mismatch_p": p, "marginal_kl": kl}
    if p >= LEVEL or kl < GAIN_CLASSES:
        return Outcome(measures=measures)
    what = f"the frequencies of the classes are not the prior's (KL(q(z) || p(z)) = {fixed(kl, 2)} nats, p = {p:.1g})"
    return Outcome((_mismatch(examination, what),), measures)


def _mismatch(examination: Examination, what: str) -> Finding:
    return Finding(
        "prior-mismatch",
        "problem",
        what,
        "the codes of the data do not fill the prior, so samples are decoded from points that were not trained",
        examination.remedy("prior-mismatch"),
    )


def encoder_scale(examination: Examination) -> Outcome | str:
    """Check that the encoder's noise has not collapsed: below 3 % of the spread of the codes in every active feature.

    Inactive features (see `collapsed`) have the prior's width in any case, and are left out. Only the rate keeps the
    noise up; without it neighbouring codes are unrelated, as in an autoencoder. A collapse also needs a rate above
    2 log N, twice the information that identifies a training row: one or two features that carry all information are
    rightly precise.
    """
    if (why := _unsuited(examination)) is not None:
        return why
    if examination.guide.is_exact or _is_mixture(examination):
        return "the posterior is exact" if examination.guide.is_exact else "the latent is a class"
    if examination.guide.is_certain or isinstance(examination.model.prior.family, OneHots):
        return "the latent is discrete"
    measured = examination.trained
    noise = measured.sd.double().square().mean(0).sqrt()
    spread = measured.mean.double().var(0, correction=0)
    ratio, active = noise / (spread + noise.square()).sqrt().clamp_min(1e-300), are_active(measured.mean)
    measures = {"encoder_noise": [float(r) for r in ratio], "encoder_sd": [float(s) for s in noise]}
    if not bool(active.any()):
        return Outcome(measures=measures)
    largest, rate = float(ratio[active].max()), float(measured.rate.mean())
    if largest >= SHARP or rate <= 2 * math.log(len(examination.train)):
        return Outcome(measures=measures)
    finding = Finding(
        "encoder-scale-collapse",
        "problem",
        f"q(z|x) is at most {largest:.1g} times as wide as the codes are spread, in each of {int(active.sum())} "
        f"active features (rate {fixed(rate, 0)} nats)",
        "the weight of the rate is too small to keep the encoder's variance up, so the model is a plain autoencoder",
        examination.remedy("encoder-scale-collapse"),
    )
    return Outcome((finding,), measures)


def components(examination: Examination) -> Outcome | str:
    """Check that every component of a mixture has data: a weight of 1/(20 N) is a twentieth of a datum.

    In a sample of the rows, a component is without data if it is expected to have 20 and has less than half of one.
    """
    if not _is_mixture(examination) or examination.model.latent == 1:
        return "the model is no mixture"
    weights = examination.model.prior().mean.detach().double().cpu().reshape(-1)
    data = examination.trained.mean.double().sum(0).cpu()
    n, used_rows = len(examination.train), len(examination.trained.z)
    light = weights < 1 / (20 * n)
    without_data = (data < 0.5) & ((weights * used_rows > 20) | (used_rows == n))
    unused = light | without_data
    measures = {
        "component_weight_least": float(weights.min()),
        "component_data_least": float(data.min()) * n / used_rows,
        "components_unused": int(unused.sum()),
    }
    if not bool(unused.any()):
        return Outcome(measures=measures)
    used = len(weights) - int(unused.sum())
    finding = Finding(
        "unused-components",
        "problem",
        f"{int(unused.sum())} of {len(weights)} components have no data "
        f"(smallest weight {float(weights.min()):.1g}, fewest data {measures['component_data_least']:.1g})",
        "a component that starts far from all data is never assigned any",
        examination.remedy("unused-components", components=used),
    )
    return Outcome((finding,), measures)
