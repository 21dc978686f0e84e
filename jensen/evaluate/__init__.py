"""How good is it really: estimates of the evidence, each with its kind and its errors. This room never trains."""

from ..analysis.climbed import climbed
from .annealed import Annealed
from .choose import Evaluator, Unnormalised, choose
from .estimate import Estimate, Kind
from .exact import Enumerated, Exact
from .exact_tightness import Settled, behind, settle
from .gaps import Gaps, gaps
from .generalisation import Halves
from .importance import Importance
from .quadrature import Quadrature
from .sandwich import Sandwich, Sandwiched
from .tightness import Assessment, Settings, assess, assess_within

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
