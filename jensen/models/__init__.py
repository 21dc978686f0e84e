"""Priors and likelihoods, the latent-variable model they make, guides in the abstract, and the draw."""

from .autoregressive import ChainRule, InOrder, over_codes
from .codebooks import Codebook, CodePrior, Codes, Lattice, perplexity
from .conditionals import Conditional, Given, Linear, Table, Unconditional
from .diffused import Diffused, DiffusedDistribution, DiffusionPrior
from .diffusion import Diffusion
from .draw import Draw, closed_rate, place, weigh
from .guide import Guide
from .ladder import FromLadder, Ladder, LadderDistribution, LadderGuide, LadderPrior, Rung, shared_walk
from .masking import SelfMasked
from .model import LatentVariableModel
from .noise_schedules import CosineSchedule, LearnedSchedule, LinearSchedule, NoiseSchedule
from .posteriors import has_posterior, posterior, register_posterior
from .priors import FlowPrior, VampPrior
from .probability_flow import FlowPath, ProbabilityFlow, follow_flow
from .walks import Walk, Walked

__all__ = [
    "ChainRule",
    "CodePrior",
    "Codebook",
    "Codes",
    "Conditional",
    "CosineSchedule",
    "Diffused",
    "DiffusedDistribution",
    "Diffusion",
    "DiffusionPrior",
    "Draw",
    "FlowPath",
    "FlowPrior",
    "FromLadder",
    "Given",
    "Guide",
    "InOrder",
    "Ladder",
    "LadderDistribution",
    "LadderGuide",
    "LadderPrior",
    "LatentVariableModel",
    "Lattice",
    "LearnedSchedule",
    "Linear",
    "LinearSchedule",
    "NoiseSchedule",
    "ProbabilityFlow",
    "Rung",
    "SelfMasked",
    "Table",
    "Unconditional",
    "VampPrior",
    "Walk",
    "Walked",
    "closed_rate",
    "follow_flow",
    "has_posterior",
    "over_codes",
    "perplexity",
    "place",
    "posterior",
    "register_posterior",
    "shared_walk",
    "weigh",
]
