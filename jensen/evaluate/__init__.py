"""Estimates of the evidence, each with its kind and its errors. Nothing is trained here."""

from .annealed import Annealed
from .assess import assess, assess_within
from .by_flow import ByFlow
from .choose import Evaluator, Unnormalised, choose
from .estimate import Estimate, Kind
from .exact import Enumerated, Exact
from .exact_tightness import ExactTightness, assess_tightness, measure_gaps
from .gaps import Gaps, gaps
from .generalisation import GeneralisationGap
from .importance import Importance
from .quadrature import Quadrature
from .sampled_times import SampledTimes
from .sandwich import Sandwich, Sandwiched
from .schedule import Schedule
from .tightness import Assessment, Tightness
from .tightness_plan import TightnessSettings

__all__ = [
    "Annealed",
    "Assessment",
    "ByFlow",
    "Enumerated",
    "Estimate",
    "Evaluator",
    "Exact",
    "ExactTightness",
    "Gaps",
    "GeneralisationGap",
    "Importance",
    "Kind",
    "Quadrature",
    "SampledTimes",
    "Sandwich",
    "Sandwiched",
    "Schedule",
    "Tightness",
    "TightnessSettings",
    "Unnormalised",
    "assess",
    "assess_tightness",
    "assess_within",
    "choose",
    "gaps",
    "measure_gaps",
]
