"""Choices and defaults that help shows, of functions whose import takes seconds; a test holds each to its origin."""

from __future__ import annotations

__all__ = [
    "BETAS",
    "BUDGET",
    "CHAIN",
    "EVALUATION_METHODS",
    "FLOW",
    "IMPUTATION_METHODS",
    "IMPUTATION_SIZES",
    "PARTICLES",
    "POINTS",
    "SIMULATED_ROWS",
    "TOLERANCE",
]

EVALUATION_METHODS = ("auto", "exact", "importance", "annealed", "quadrature", "flow")
POINTS = 5000  # latent points per datum of importance weighting
BUDGET = 30.0  # seconds of an evaluation
FLOW = {"rows": 500, "tolerance": 1e-4}  # of the probability flow
CHAIN = {"temperatures": 200, "leapfrog_steps": 10, "chains": 16, "start": "guide"}  # annealing
SIMULATED_ROWS = 100  # of a sandwich
IMPUTATION_METHODS = ("sir", "gibbs", "annealed")
IMPUTATION_SIZES = {"points": 1000, "chains": 6, "gibbs": 1000, "annealed": 200, "particles": 100}
PARTICLES = 64  # of a diffusion, per datum
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)
TOLERANCE = 1e-4  # of a repeated number
