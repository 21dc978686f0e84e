"""Flows: invertible maps with the logarithm of their Jacobian, the identity before training."""

from .affine import AffineCoupling, Autoregressive
from .base import Flow, Stack
from .planar import Planar
from .spline import SplineCoupling

__all__ = ["AffineCoupling", "Autoregressive", "Flow", "Planar", "SplineCoupling", "Stack"]
