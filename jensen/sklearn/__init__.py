"""Estimators of scikit-learn: latent-variable models for pipelines, searches and its own checks."""

from .anomaly import LatentAnomalyDetector
from .imputer import LatentImputer
from .latent_model import LatentModel
from .mixture import LatentMixture
from .opening import estimator_of, load

__all__ = [
    "LatentAnomalyDetector",
    "LatentImputer",
    "LatentMixture",
    "LatentModel",
    "estimator_of",
    "load",
]
