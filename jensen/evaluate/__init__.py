"""How good is it really: estimates of the evidence, each with its kind and its errors. This room never trains."""

from .annealed import Annealed
from .assess import Assessment, Settings, assess, assess_within
from .climbed import climbed
from .estimate import Estimate, Kind
from .exact import Enumerated, Exact
from .gaps import Gaps, gaps
from .halves import Halves
from .importance import Importance
from .policy import Evaluator, Unnormalised, choose
from .quadrature import Quadrature
from .sandwich import Sandwich, Sandwiched
from .settled import Settled, behind, settle

__all__ = [
    "Annealed",
    "Assessment",
    "Enumerated",
    "Estimate",
    "Evaluator",
    "Exact",
    "Gaps",
    "Halves",
    "Importance",
    "Kind",
    "Quadrature",
    "Sandwich",
    "Sandwiched",
    "Settings",
    "Settled",
    "Unnormalised",
    "assess",
    "assess_within",
    "behind",
    "choose",
    "climbed",
    "gaps",
    "settle",
]
