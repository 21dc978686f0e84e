"""Families: a flat tensor of parameters becomes a distribution, or at once a log-density.

Zero parameters are the standard member of a family, exactly. Every finite parameter is a valid one: scales are kept
above a floor that is compensated at zero, and locations and scales within +-1e12, so that no input gives a NaN.
"""

from .base import BOUND, FLOOR, Factorised, Family, positive, positive_inverse
from .channels import DiscretizedLogisticMixture
from .continuous import Beta, ContinuousBernoulli, Laplace, LogNormal, StudentT
from .counts import NegativeBinomial, Poisson, ZeroInflated
from .covariances import FullGaussian, LowRankGaussian
from .discrete import Bernoulli, Categorical, DiscretizedLogistic
from .gaussian import Gaussian
from .grouped import Grouped
from .implicit import Implicit
from .mixture import Mixture
from .onehots import OneHots
from .product import Product

__all__ = [
    "BOUND",
    "FLOOR",
    "Bernoulli",
    "Beta",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Factorised",
    "Family",
    "FullGaussian",
    "Gaussian",
    "Grouped",
    "Implicit",
    "Laplace",
    "LogNormal",
    "LowRankGaussian",
    "Mixture",
    "NegativeBinomial",
    "OneHots",
    "Poisson",
    "Product",
    "StudentT",
    "ZeroInflated",
    "positive",
    "positive_inverse",
]
