"""Pictures of a run as functions of (run, ax=None, ...), on axes of matplotlib; the report draws with the same."""

from __future__ import annotations

from .chains import denoising_steps, nats_by_time, samples_by_steps
from .images import decoded_grid, reconstructions, samples, traversals
from .latents import latent_map
from .rate_distortion import rate_distortion
from .tightness import tightness
from .training import training_curves

__all__ = [
    "decoded_grid",
    "denoising_steps",
    "latent_map",
    "nats_by_time",
    "rate_distortion",
    "reconstructions",
    "samples",
    "samples_by_steps",
    "tightness",
    "training_curves",
    "traversals",
]
