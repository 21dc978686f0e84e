"""Every member of every axis, once or in each of its kinds: what is listed here is held to its abstraction."""

from __future__ import annotations

from torch import nn

from jensen.conditionals import Conditional, Given, Linear, Table, Unconditional
from jensen.estimators import Enumerate, GradientEstimator, Pathwise, Quadrature
from jensen.families import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Family,
    FullGaussian,
    Gaussian,
    Laplace,
    LogNormal,
    LowRankGaussian,
    Mixture,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflated,
)
from jensen.flows import AffineCoupling, Autoregressive, Flow, Planar, SplineCoupling, Stack
from jensen.guides import Amortized, Deterministic, Exact, Flowing, Guide, Masked, Shared
from jensen.ladder import FromLadder, Ladder, LadderGuide, LadderPrior, Rung
from jensen.model import LatentVariableModel
from jensen.nets import MLP, Chain, ConvDecoder, ConvEncoder, Net, Planes, ResidualMLP, Standardize
from jensen.objectives import (
    DIP,
    MMD,
    Capacity,
    Distortion,
    Elbo,
    FreeBits,
    ImportanceWeighted,
    Objective,
    Of,
    Ramp,
    Rate,
    Renyi,
    TotalCorrelation,
)
from jensen.priors import FlowPrior, VampPrior
from jensen.randomness import drawing_from, stream
from jensen.refine import Refined
from jensen.stratified import Stratified
from jensen.surrogates import DoublyReparameterized, Score, StickTheLanding

__all__ = [
    "ALL_CONDITIONALS",
    "ALL_COUPLED",
    "ALL_ESTIMATORS",
    "ALL_FAMILIES",
    "ALL_FLOWS",
    "ALL_GUIDES",
    "ALL_NETS",
    "ALL_OBJECTIVES",
    "MODELS",
]

ALL_FAMILIES: list[Family] = [
    Gaussian(3),
    Gaussian(3, "feature"),
    Gaussian(3, "shared"),
    Gaussian(3, 0.5),
    Bernoulli(3),
    Categorical(3),
    DiscretizedLogistic(3, 2),
    DiscretizedLogistic(3, 5),
    DiscretizedLogistic(3, 256),
    Mixture(Gaussian(3), 2),
    Mixture(Bernoulli(3), 2),
    Mixture(DiscretizedLogistic(3, 5), 2),
    Mixture(Mixture(Gaussian(3), 2), 2),
    Gaussian(3, "optimal"),
    ContinuousBernoulli(3),
    Laplace(3),
    StudentT(3),
    StudentT(3, 5.0),
    LogNormal(3),
    Beta(3),
    Poisson(3),
    NegativeBinomial(3),
    NegativeBinomial(3, "each"),
    ZeroInflated(Poisson(3)),
    ZeroInflated(NegativeBinomial(3)),
    DiscretizedLogisticMixture(3, 1, 5, 2),
    DiscretizedLogisticMixture(3, 3, 4, 3),
    Mixture(LogNormal(3), 2),
    Mixture(NegativeBinomial(3, "each"), 2),
    FullGaussian(3),
    LowRankGaussian(3, 2),
    Mixture(FullGaussian(3), 2),
]

with drawing_from(stream(0, "members")):
    ALL_NETS: list[Net] = [
        MLP(12, 5, (4,)),
        MLP(12, 5, ()),
        Standardize(12),
        Chain([Standardize(12), MLP(12, 5, (4,), "tanh")]),
        ConvEncoder((2, 3, 2), 5, width=4),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4),
        ResidualMLP(12, 5, 4, 2),
        Planes((2, 2), (2, 1), 4, width=4, to=(3, 5), planes=2),
        Planes((2, 3), (2,), 2, width=4, to=(1, 2), residual=True),
        ResidualMLP(12, 5, 4, 0),
        ConvEncoder((2, 3, 2), 5, width=4, blocks=2),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4, blocks=1),
    ]

    # over two latent features, from context [..., 2]
    ALL_CONDITIONALS: list[Conditional] = [
        *(Given(MLP(2, f.size - f.shared, (4,)), f) for f in ALL_FAMILIES),
        *(Table(f, 2) for f in ALL_FAMILIES if not f.profiled),
        Unconditional(Gaussian(3)),
        Unconditional(Categorical(3), learn=True),
        Linear(2, 3),
        Linear(2, 3, "feature"),
        VampPrior(Amortized(Given(MLP(3, 6, (4,)), Gaussian(3))), 3, 4, weighted=True),
        FlowPrior(Unconditional(Gaussian(3), learn=True), SplineCoupling(3, bins=4, hidden=(4,))),
    ]

    GAUSSIAN = Amortized(Given(MLP(3, 4, (4,)), Gaussian(2)))  # the guide of a VampPrior, and what flows start from

    ALL_FLOWS: list[Flow] = [
        AffineCoupling(3, 2, (4,)),
        Autoregressive(3, 2, (4,)),
        Planar(3, 2),
        SplineCoupling(3, 2, 4, hidden=(4,)),
        Stack([Planar(3), AffineCoupling(3, 2, (4,), flip=True)]),
    ]

    # one data set for all: x [B, 3] of zeros and ones
    MODELS: dict[str, LatentVariableModel] = {
        "linear": LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3)),
        "network": LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Bernoulli(3))),
        "mixture prior": LatentVariableModel(
            Unconditional(Mixture(Gaussian(2), 2)), Given(MLP(2, 6, (4,)), DiscretizedLogistic(3, 2))
        ),
        "finite": LatentVariableModel(Unconditional(Categorical(4), learn=True), Table(Gaussian(3), 4)),
        "vamp prior": LatentVariableModel(VampPrior(GAUSSIAN, 3, 4), Given(MLP(2, 3, (4,)), Bernoulli(3))),
        "flow prior": LatentVariableModel(
            FlowPrior(Unconditional(Gaussian(2)), AffineCoupling(2)), Given(MLP(2, 3, (4,)), Bernoulli(3))
        ),
        "no latent": LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3), learn=True)),
    }

    LADDER = Ladder(3, [Rung(1, MLP(3, 2, (4,)), MLP(4, 3, (4,))) for _ in range(2)])
    ALL_CONDITIONALS += [LadderPrior(LADDER), FromLadder(LADDER, MLP(3, 3, (4,)), Bernoulli(3))]
    MODELS["ladder"] = LatentVariableModel(LadderPrior(LADDER), FromLadder(LADDER, MLP(3, 3, (4,)), Bernoulli(3)))
    MODELS["ladder, apart"] = LatentVariableModel(LadderPrior(LADDER), Given(MLP(2, 3, (4,)), Bernoulli(3)))

    # each with the names of the models that it can serve
    ALL_GUIDES: list[tuple[Guide, list[str]]] = [
        (Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), ["linear", "network", "mixture prior"]),
        (Amortized(Given(MLP(3, 4, (4,)), Categorical(4))), ["finite"]),
        (
            LadderGuide(LADDER, [MLP(3, 2, (4,)), MLP(2, 2, (4,))], [MLP(5, 2, (4,)) for _ in range(2)]),
            ["ladder", "ladder, apart", "network"],
        ),
        (Masked(Given(MLP(6, 4, (4,)), Gaussian(2))), ["linear", "network"]),
        (Shared(Unconditional(Gaussian(2), learn=True)), ["linear", "network", "mixture prior"]),
        (Shared(Unconditional(Categorical(4), learn=True)), ["finite"]),
        (Deterministic(MLP(3, 2, (4,))), ["linear", "network"]),
        (Refined(MODELS["linear"], Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), steps=4), ["linear", "network"]),
        (Exact(MODELS["linear"]), ["linear"]),
        (Exact(MODELS["finite"]), ["finite"]),
        (Exact(MODELS["no latent"]), ["no latent"]),
        (Amortized(Given(MLP(3, 5, (4,)), FullGaussian(2))), ["linear", "network", "vamp prior"]),
        (Amortized(Given(MLP(3, 6, (4,)), LowRankGaussian(2))), ["linear", "flow prior"]),
        (Amortized(Given(MLP(3, 10, (4,)), Mixture(Gaussian(2), 2))), ["linear", "network", "flow prior"]),
        (Flowing(GAUSSIAN, SplineCoupling(2, 3, 4, hidden=(4,)), MLP(3, 3, (4,))), ["linear", "vamp prior"]),
        (Flowing(GAUSSIAN, Stack([AffineCoupling(2), AffineCoupling(2, flip=True)])), ["network", "flow prior"]),
        (Flowing(GAUSSIAN, Stack([Autoregressive(2, 3), Planar(2, 3)]), MLP(3, 3, (4,))), ["network", "vamp prior"]),
    ]

with drawing_from(stream(0, "flows")):  # which begin as the identity, with layers of zeros
    for _module in (*ALL_FLOWS, *ALL_CONDITIONALS, *MODELS.values(), *(guide for guide, _ in ALL_GUIDES)):
        for _flow in _module.modules():
            if isinstance(_flow, Flow):
                for _value in _flow.parameters():
                    nn.init.normal_(_value, 0.0, 0.3)

for _module in (*ALL_FLOWS, *ALL_NETS, *ALL_CONDITIONALS, *MODELS.values(), *(guide for guide, _ in ALL_GUIDES)):
    nn.Module.double(_module)

ALL_ESTIMATORS: list[GradientEstimator] = [Pathwise(1), Pathwise(4), Enumerate(), Quadrature(5), Stratified(2)]
ALL_ESTIMATORS += [StickTheLanding(2), DoublyReparameterized(3), Score(2)]

ALL_OBJECTIVES: list[Objective] = [
    Elbo(),
    Elbo(4.0),
    ImportanceWeighted(),
    Rate(),
    Distortion(),
    -Distortion() - 2 * Rate(),
    Elbo() - Ramp(0.5, 10) * Rate(),
    Renyi(0.5),
    Renyi(1.0),
    Of(lambda draw: draw.mean(draw.z.square().sum(-1)), "energy"),
]

# terms that look at the batch as a whole
ALL_COUPLED: list[Objective] = [
    FreeBits(0.5),
    FreeBits(0.5, 1),
    Capacity(Ramp(5.0, 10), 2.0),
    MMD(),
    TotalCorrelation(),
    DIP(),
    DIP("points"),
]
