"""Families: a flat tensor of parameters becomes a distribution, or at once a log-density.

Zero parameters are the standard member of a family, exactly. Every finite parameter is a valid one: scales are kept
above a floor that is compensated at zero, and locations and scales within +-1e12, so that no input gives a NaN.
"""

from .base import BOUND, FLOOR, Factorised, Family, PointKind, positive, positive_inverse
from .channels import DiscretizedLogisticMixture
from .circular import VonMises
from .columns import Columns
from .continuous import Beta, ContinuousBernoulli, Laplace, LogitNormal, LogNormal, StudentT
from .counts import NegativeBinomial, Poisson, ZeroInflated
from .covariances import FullGaussian, LowRankGaussian
from .discrete import Bernoulli, Categorical, DiscretizedLogistic
from .gaussian import Gaussian
from .gaussian_mixtures import GaussianMixtures
from .grouped import Grouped
from .implicit import Implicit
from .integers import HeapedIntegers, IntegerMixtures, Integers
from .levelled import Choices, Ordinal
from .mixture import Mixture
from .onehots import OneHots
from .product import Product

__all__ = [
    "BOUND",
    "FLOOR",
    "Bernoulli",
    "Beta",
    "Categorical",
    "Choices",
    "Columns",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Factorised",
    "Family",
    "FullGaussian",
    "Gaussian",
    "GaussianMixtures",
    "Grouped",
    "HeapedIntegers",
    "Implicit",
    "IntegerMixtures",
    "Integers",
    "Laplace",
    "LogNormal",
    "LogitNormal",
    "LowRankGaussian",
    "Mixture",
    "NegativeBinomial",
    "OneHots",
    "Ordinal",
    "PointKind",
    "Poisson",
    "Product",
    "StudentT",
    "VonMises",
    "ZeroInflated",
    "positive",
    "positive_inverse",
]
