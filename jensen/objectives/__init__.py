"""Objectives: from a draw to nats per datum [B], to be maximised; closed under +, - and multiplication by a number."""

from .adversarial import Discriminate, FeatureDistortion, Fool, GradientPenalty, LogRatio
from .aggregate import DIP, MMD, TotalCorrelation
from .base import Objective, Ramp, Sum, TermKind, likelihood_weight, present, rate_weight, weighted
from .bounds import Distortion, Elbo, ImportanceWeighted, Of, Rate, Renyi
from .codes import Commitment
from .labels import Classification
from .rates import Capacity, FreeBits

__all__ = [
    "DIP",
    "MMD",
    "Capacity",
    "Classification",
    "Commitment",
    "Discriminate",
    "Distortion",
    "Elbo",
    "FeatureDistortion",
    "Fool",
    "FreeBits",
    "GradientPenalty",
    "ImportanceWeighted",
    "LogRatio",
    "Objective",
    "Of",
    "Ramp",
    "Rate",
    "Renyi",
    "Sum",
    "TermKind",
    "TotalCorrelation",
    "likelihood_weight",
    "present",
    "rate_weight",
    "weighted",
]
