"""Gradient estimators: the placement of latent points, and the gradients of objectives of them."""

from .base import GradientEstimator, WeightedSamples, no_path
from .by_group import ByGroup
from .denoising import Corrupted, Corruption, GaussianNoise, Masking, SaltAndPepper, corrupted_rows
from .enumeration import Enumerate, bit_states, class_states, finite_states
from .hiding import Hiding
from .quadrature import Quadrature
from .reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from .score import Score
from .stratified import Stratified
from .wake_sleep import DetachedSamples, FromModel

__all__ = [
    "ByGroup",
    "Corrupted",
    "Corruption",
    "DetachedSamples",
    "DoublyReparameterized",
    "Enumerate",
    "FromModel",
    "GaussianNoise",
    "GradientEstimator",
    "Hiding",
    "Masking",
    "Pathwise",
    "Quadrature",
    "SaltAndPepper",
    "Score",
    "StickTheLanding",
    "Stratified",
    "WeightedSamples",
    "bit_states",
    "class_states",
    "corrupted_rows",
    "finite_states",
    "no_path",
]
