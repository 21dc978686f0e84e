"""Distributions that torch lacks, or has without the precision that is needed here; without weights."""

from .channels import DiscretizedLogisticMixture
from .counts import NegativeBinomial, Poisson, ZeroInflated
from .discretized import DiscretizedLogistic
from .flowed import Flowed
from .point import Point
from .tails import LogNormal, StudentT
from .unit import Beta, ContinuousBernoulli

__all__ = [
    "Beta",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Flowed",
    "LogNormal",
    "NegativeBinomial",
    "Point",
    "Poisson",
    "StudentT",
    "ZeroInflated",
]
