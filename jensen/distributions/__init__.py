"""Distributions that torch lacks, or has without the precision that is needed here; without weights."""

from .chained import Chained
from .channels import DiscretizedLogisticMixture
from .clamped import Clamped
from .coded import Coded, OneState
from .counts import NegativeBinomial, Poisson, ZeroInflated
from .discretized import DiscretizedLogistic
from .flowed import Flowed
from .hamiltonian import HamiltonianFlow
from .independent_events import IndependentEvents
from .onehots import OneHots
from .point import Point
from .tails import LogNormal, StudentT
from .unit import Beta, ContinuousBernoulli

__all__ = [
    "Beta",
    "Chained",
    "Clamped",
    "Coded",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Flowed",
    "HamiltonianFlow",
    "IndependentEvents",
    "LogNormal",
    "NegativeBinomial",
    "OneHots",
    "OneState",
    "Point",
    "Poisson",
    "StudentT",
    "ZeroInflated",
]
