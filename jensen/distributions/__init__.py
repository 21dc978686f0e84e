"""Distributions that torch lacks, without weights."""

from .discretized import DiscretizedLogistic
from .point import Point

__all__ = ["DiscretizedLogistic", "Point"]
