"""How good is it really: estimates of the evidence, each with its kind and its errors. This room never trains."""

from .estimate import Estimate, Kind
from .exact import Enumerated, Exact, Quadrature
from .importance import Importance
from .policy import Evaluator, Unnormalised, choose

__all__ = [
    "Enumerated",
    "Estimate",
    "Evaluator",
    "Exact",
    "Importance",
    "Kind",
    "Quadrature",
    "Unnormalised",
    "choose",
]
