"""Collapse: latent features that carry too little, nothing at all, or every digit of the data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..families import Categorical, OneHots
from .examination import Examination, Pass
from .findings import Finding, Outcome
from .latents import ACTIVE, are_active
from .two_sample import two_sample

__all__ = ["collapsed", "components", "encoder_scale", "holes", "mutual_information"]

NUMBERS = 1 << 23  # densities of points under many guides are formed this many numbers at a time
FAINT = 0.1  # nats: less than a seventh of a bit is carried, about all data by all features together
SHARP = 0.03  # of the spread of the codes: 3.5 nats per feature; in a VAE the least used one carries nearly none
LEVEL = 1e-3
GAIN = 2.0  # nats per datum that a prior of the aggregate posterior's shape would add to the bound
GAIN_CLASSES = 0.5


@torch.no_grad()
def mutual_information(sight: Pass) -> float:
    r"""Return a lower estimate of I(x; z) in nats, by the aggregate posterior of the rows themselves.

    .. math:: I(x; z) \ge E\left[\log q(z_n|x_n) - \log \tfrac1N \sum_m q(z_n|x_m)\right] \le \log N

    Source: Hoffman & Johnson, "ELBO surgery", 2016; the bound is that of van den Oord, Li & Vinyals, 2018.
    """
    n, total = len(sight.z), torch.full_like(sight.log_own, -torch.inf)
    for q in sight.guides:
        b = q.batch_shape[0] if q.batch_shape else 1
        rows = max(NUMBERS // (b * max(sight.z.shape[1], 1)), 1)
        shares = [torch.logsumexp(q.log_prob(z[:, None]), -1) for z in sight.z.split(rows)]
        total = torch.logaddexp(total, torch.cat(shares))
    return max(float((sight.log_own - total).double().mean()) + math.log(n), 0.0)


def _finite(patient: Examination) -> bool:
    return isinstance(patient.model.prior.family, Categorical)


def _unsuited(patient: Examination) -> str | None:
    """Return the reason why the collapse checks do not apply."""
    if patient.model.latent == 0:
        return "the model has no latent features"
    if not patient.model.likelihood.has_density:
        return "the likelihood only samples"
    if not patient.scored:
        return "the encoder gives a point and no density"
    if not patient.guide.scores_any_point:
        return "the guide can be scored at its own points only"
    if _finite(patient) and patient.model.latent == 1:
        return "the latent has a single state"
    return None


def collapsed(patient: Examination) -> Outcome | str:
    """Return whether z carries anything about x: a rate or a mutual information below 0.1 nats, or no active feature.

    A feature is active when the variance over data of its posterior mean is above 0.01 (Burda et al., 2016); ones that
    are not active are a note, because a VAE switches off what it does not need.
    """
    if (why := _unsuited(patient)) is not None:
        return why
    sight = patient.trained
    rate, information = float(sight.rate.mean()), mutual_information(sight)
    measures: dict[str, Any] = {
        "rate": rate,
        "mutual_information": information,
        "mutual_information_most": math.log(len(sight.z)),
    }
    findings: list[Finding] = []
    active = None
    if not _finite(patient):
        active = are_active(sight.mean)
        measures |= {"active_features": int(active.sum()), "features": len(active), "active": active.tolist()}
        if sight.feature_rate is not None:
            measures["rate_per_feature"] = [float(r) for r in sight.feature_rate]
    if rate < FAINT or information < FAINT or (active is not None and not bool(active.any())):
        findings.append(_collapse(rate, information, active))
    elif active is not None and not bool(active.all()):
        findings.append(_unused(active, sight.feature_rate))
    return Outcome(tuple(findings), measures)


def _collapse(rate: float, information: float, active: Tensor | None) -> Finding:
    used = "" if active is None else f"; {int(active.sum())} of {len(active)} latent features are active"
    return Finding(
        "posterior-collapse",
        "problem",
        f"the code says {information:.2f} nats about the data (rate {rate:.2f}{used})",
        "q(z|x) has fallen onto one distribution for all data, so that the decoder works without z",
        "Train longer, with --warmup 20 or a smaller --beta, or give the decoder less power (--hidden 50).",
    )


def _unused(active: Tensor, rates: Tensor | None) -> Finding:
    unused, carry = ~active, ""
    if rates is not None:
        carry = f", with a rate of {float(rates[unused.cpu()].sum()):.2f} nats together"
    n = int(unused.sum())
    return Finding(
        "unused-features",
        "note",
        f"{n} of {len(active)} latent features {'does' if n == 1 else 'do'} not move with the data{carry}",
        "a feature that would cost more rate than it saves distortion is switched off; this does no harm",
        f"Nothing, or train with --latent {len(active) - n}.",
    )


def holes(patient: Examination) -> Outcome | str:
    """Return whether z ~ p(z) falls where no code lies: the aggregate posterior q(z) against the prior.

    A VAE in the best of health has some mismatch, which a test with enough rows will see; a problem is one of at least
    2 nats, because KL(q(z) || p(z)) is what a perfectly fitting prior would add to the bound. The classifier estimates
    it from below, and the rate less the mutual information from above.

    Source: Hoffman & Johnson, "ELBO surgery", 2016; Rosca, Lakshminarayanan & Mohamed, 2018.
    """
    if (why := _unsuited(patient)) is not None:
        return why
    if len(patient.train) < 40:
        return "it needs at least 40 training rows"
    return _classes(patient) if _finite(patient) else _features(patient)


@torch.no_grad()
def _features(patient: Examination) -> Outcome:
    sight, noise = patient.trained, patient.stream("prior")
    z, _ = patient.model.simulate(len(sight.z), noise)
    test = two_sample(sight.z, z, noise)
    above = max(float(sight.rate.mean()) - mutual_information(sight), 0.0)
    measures = {
        "prior_mismatch_p": test.p,
        "prior_mismatch_auc": test.auc,
        "marginal_kl_at_least": test.kl,
        "marginal_kl_at_most": above,
    }
    if test.p >= LEVEL or test.kl < GAIN:
        return Outcome(measures=measures)
    what = (
        f"of a code and a draw from the prior a classifier tells which is which {100 * test.auc:.0f} % of the time "
        f"(KL(q(z) || p(z)) is at least {test.kl:.1f} nats, p = {test.p:.1g})"
    )
    return Outcome((_hole(what),), measures)


def _classes(patient: Examination) -> Outcome:
    from scipy.stats import chi2  # half a second of import time

    counts = patient.trained.z.double().sum(0).cpu()
    prior = patient.model.prior().mean.detach().double().cpu().reshape(-1)
    n = float(counts.sum())
    share = counts / n
    terms = torch.where(share > 0, share * (share.log() - prior.clamp_min(1e-300).log()), torch.zeros_like(share))
    kl = float(terms.sum())
    # twice the log-likelihood ratio of counts against the prior (Wilks, 1938)
    p = float(chi2.sf(2 * n * max(kl, 0.0), len(prior) - 1))
    measures = {"prior_mismatch_p": p, "marginal_kl": kl}
    if p >= LEVEL or kl < GAIN_CLASSES:
        return Outcome(measures=measures)
    what = f"classes occur with other frequencies than the prior's (KL(q(z) || p(z)) = {kl:.2f} nats, p = {p:.1g})"
    return Outcome((_hole(what),), measures)


def _hole(what: str) -> Finding:
    return Finding(
        "prior-mismatch",
        "problem",
        what,
        "the codes of the data do not fill the prior, so samples are decoded from places that were never trained",
        "Train longer, weigh the rate 1 (--beta 1), or use fewer latent features (--latent).",
    )


def encoder_scale(patient: Examination) -> Outcome | str:
    """Return whether the encoder's noise has died out: below 3 % of the spread of the codes in every active feature.

    A feature that is not active (see `collapsed`) has the prior's width whatever the others do, and is left aside.
    Nothing holds it up but the rate; without it neighbouring codes mean nothing to each other, as in an autoencoder.
    The rate must also be above 2 log N, as if each training row were named twice over: one or two features that say
    all that there is to say are rightly precise.
    """
    if (why := _unsuited(patient)) is not None:
        return why
    if patient.guide.is_exact or _finite(patient):
        return "the posterior is exact" if patient.guide.is_exact else "the latent is a class"
    if patient.guide.is_certain or isinstance(patient.model.prior.family, OneHots):
        return "the latent is discrete"
    sight = patient.trained
    noise = sight.sd.double().square().mean(0).sqrt()
    spread = sight.mean.double().var(0, correction=0)
    ratio, active = noise / (spread + noise.square()).sqrt().clamp_min(1e-300), spread > ACTIVE
    measures = {"encoder_noise": [float(r) for r in ratio], "encoder_sd": [float(s) for s in noise]}
    if not bool(active.any()):
        return Outcome(measures=measures)
    largest, rate = float(ratio[active].max()), float(sight.rate.mean())
    if largest >= SHARP or rate <= 2 * math.log(len(patient.train)):
        return Outcome(measures=measures)
    finding = Finding(
        "encoder-scale-collapse",
        "problem",
        f"q(z|x) is at most {largest:.1g} times as wide as the codes are spread, in each of {int(active.sum())} "
        f"active features (rate {rate:.0f} nats)",
        "the rate weighs too little to keep the encoder's variance up, so the model is a plain autoencoder",
        "Weigh the rate 1 (--beta 1), or give the decoder's scale a --floor.",
    )
    return Outcome((finding,), measures)


def components(patient: Examination) -> Outcome | str:
    """Return whether every component of a mixture has data: a weight of 1/(20 N) is a twentieth of a datum.

    Of a sample of the rows, a component is without data if they should give it 20 and give it less than half of one.
    """
    if not _finite(patient) or patient.model.latent == 1:
        return "the model is no mixture"
    weights = patient.model.prior().mean.detach().double().cpu().reshape(-1)
    data = patient.trained.mean.double().sum(0).cpu()
    n, seen = len(patient.train), len(patient.trained.z)
    light = weights < 1 / (20 * n)
    barren = (data < 0.5) & ((weights * seen > 20) | (seen == n))
    unused = light | barren
    measures = {
        "component_weight_least": float(weights.min()),
        "component_data_least": float(data.min()) * n / seen,
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
        "a component that starts far from all data is never given any",
        f"Train again with another --seed, or with --components {used}.",
    )
    return Outcome((finding,), measures)
