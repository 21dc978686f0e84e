"""Objectives: from a draw to nats per datum [B], to be maximised; closed under +, - and multiplication by a number."""

from .adversarial import Discriminate, FeatureDistortion, GeneratorLoss, GradientPenalty, LogRatio
from .aggregate import DIP, MMD, TotalCorrelation
from .base import Objective, Ramp, Sum, TermKind, likelihood_weight, present, rate_weight, weighted
from .bounds import CustomObjective, Distortion, Elbo, ImportanceWeighted, Rate, Renyi
from .codes import Commitment
from .denoising import NoiseError
from .labels import Classification
from .rates import Capacity, FreeBits

__all__ = [
    "DIP",
    "MMD",
    "Capacity",
    "Classification",
    "Commitment",
    "CustomObjective",
    "Discriminate",
    "Distortion",
    "Elbo",
    "FeatureDistortion",
    "FreeBits",
    "GeneratorLoss",
    "GradientPenalty",
    "ImportanceWeighted",
    "LogRatio",
    "NoiseError",
    "Objective",
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
