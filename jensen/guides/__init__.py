"""Guides q(z | x): from a batch to a distribution over z."""

from .flowing import Flowing
from .masked import Masked
from .plain import Amortized, Deterministic, Exact, Guide, Shared

__all__ = ["Amortized", "Deterministic", "Exact", "Flowing", "Guide", "Masked", "Shared"]
