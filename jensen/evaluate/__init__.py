"""How good is it really: estimates of the evidence, each with its kind and its errors. This room never trains."""

from .annealed import Annealed, Sandwich
from .assess import Assessment, Settings, assess, assess_within
from .estimate import Estimate, Kind
from .exact import Enumerated, Exact
from .gaps import Gaps, gaps
from .importance import Importance
from .policy import Evaluator, Unnormalised, choose
from .quadrature import Quadrature

__all__ = [
    "Annealed",
    "Assessment",
    "Enumerated",
    "Estimate",
    "Evaluator",
    "Exact",
    "Gaps",
    "Importance",
    "Kind",
    "Quadrature",
    "Sandwich",
    "Settings",
    "Unnormalised",
    "assess",
    "assess_within",
    "choose",
    "gaps",
]
