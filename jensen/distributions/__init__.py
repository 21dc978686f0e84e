"""Distributions that torch lacks, or has without the precision that is needed here; without weights."""

from .chained import Chained
from .channels import DiscretizedLogisticMixture
from .circular import VonMises
from .clamped import Clamped
from .coded import Coded, OneState
from .counts import NegativeBinomial, Poisson, ZeroInflated
from .discretized import DiscretizedLogistic
from .feature_mixture import FeatureMixture, LinkedNormal
from .flowed import Flowed
from .hamiltonian import HamiltonianFlow
from .heaps import Heaped
from .independent_events import IndependentEvents
from .integers import RoundedLogistic
from .levels import Choice, OrderedLogistic
from .onehots import OneHots
from .per_column import PerColumn
from .point import Point
from .tails import LogNormal, StudentT
from .unit import Beta, ContinuousBernoulli, LogitNormal

__all__ = [
    "Beta",
    "Chained",
    "Choice",
    "Clamped",
    "Coded",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "FeatureMixture",
    "Flowed",
    "HamiltonianFlow",
    "Heaped",
    "IndependentEvents",
    "LinkedNormal",
    "LogNormal",
    "LogitNormal",
    "NegativeBinomial",
    "OneHots",
    "OneState",
    "OrderedLogistic",
    "PerColumn",
    "Point",
    "Poisson",
    "RoundedLogistic",
    "StudentT",
    "VonMises",
    "ZeroInflated",
]
