"""Every member of every axis, once or in each of its kinds: what is listed here is held to its abstraction."""

from __future__ import annotations

from torch import nn

from jensen.core.random import drawing_from, stream
from jensen.estimators.base import GradientEstimator
from jensen.estimators.by_group import ByGroup
from jensen.estimators.denoising import Corrupted, Masking
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.hiding import Hiding
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from jensen.estimators.score import Score
from jensen.estimators.stratified import Stratified
from jensen.estimators.wake_sleep import DetachedSamples, FromModel
from jensen.families import (
    Bernoulli,
    Beta,
    Categorical,
    Choices,
    Columns,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Family,
    FullGaussian,
    Gaussian,
    GaussianMixtures,
    Grouped,
    HeapedIntegers,
    Implicit,
    IntegerMixtures,
    Integers,
    Laplace,
    LogitNormal,
    LogNormal,
    LowRankGaussian,
    Mixture,
    NegativeBinomial,
    OneHots,
    Ordinal,
    Poisson,
    Product,
    StudentT,
    VonMises,
    ZeroInflated,
)
from jensen.flows import AffineCoupling, Autoregressive, Flow, Planar, SplineCoupling, Stack
from jensen.guides import (
    Amortized,
    Deterministic,
    Exact,
    Flowing,
    FromPrior,
    Hamiltonian,
    Labelled,
    Masked,
    Quantized,
    Shared,
    Structured,
)
from jensen.guides.refined import PerDatum, Refined
from jensen.models.autoregressive import ChainRule
from jensen.models.codebooks import Codebook, CodePrior, Lattice
from jensen.models.conditionals import Conditional, Given, Linear, Table, Unconditional
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.guide import Guide
from jensen.models.ladder import FromLadder, Ladder, LadderGuide, LadderPrior, Rung
from jensen.models.masking import SelfMasked
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule
from jensen.models.priors import FlowPrior, VampPrior
from jensen.models.probability_flow import ProbabilityFlow
from jensen.nets import (
    MLP,
    AppendContext,
    CausalConv,
    CausalMLP,
    Chain,
    ConvDecoder,
    ConvEncoder,
    Critic,
    EncodeColumns,
    Experts,
    Featurewise,
    FromGrid,
    LogCounts,
    Net,
    Planes,
    ResidualMLP,
    SizeFactor,
    SkipMLP,
    Standardize,
    ToGrid,
    UNet,
)
from jensen.objectives import (
    DIP,
    MMD,
    Capacity,
    Classification,
    Commitment,
    CustomObjective,
    Discriminate,
    Distortion,
    Elbo,
    FeatureDistortion,
    FreeBits,
    GeneratorLoss,
    GradientPenalty,
    ImportanceWeighted,
    LogRatio,
    NoiseError,
    Objective,
    Ramp,
    Rate,
    Renyi,
    TotalCorrelation,
)
from jensen.objectives.wake_sleep import Inclusive, SleepPhase

__all__ = [
    "ALL_CONDITIONALS",
    "ALL_COUPLED",
    "ALL_ESTIMATORS",
    "ALL_FAMILIES",
    "ALL_FLOWS",
    "ALL_GUIDES",
    "ALL_NETS",
    "ALL_OBJECTIVES",
    "CHAINS",
    "CHAIN_GUIDES",
    "GAMES",
    "MODELS",
    "OF_CHAINS_ALONE",
    "OF_CODES_ALONE",
    "OF_LABELS_ALONE",
    "SAMPLERS",
]

ALL_FAMILIES: list[Family] = [
    Gaussian(3),
    Gaussian(3, "feature"),
    Gaussian(3, "one"),
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
    FullGaussian(3, "shared", 0.01),
    LowRankGaussian(3, 2),
    Mixture(FullGaussian(3), 2),
    OneHots(1, 3),
    OneHots(1, 3, 0.5),
    Grouped((Bernoulli(1), Bernoulli(2))),
    Grouped((Gaussian(1), Gaussian(1), Gaussian(1))),
    Product(Bernoulli(1), 3),
    Product(Mixture(Gaussian(1), 2), 3),
    Product(DiscretizedLogistic(1, 5), 3),
    Choices((3, 2, 3)),
    Ordinal((5, 7, 5)),
    Integers(3, (0.5, 3.0, -2.0), (2.0, 1.0, 40.0)),
    IntegerMixtures(3, 2, (0.5, 3.0, -2.0), (2.0, 1.0, 40.0)),
    HeapedIntegers(3, 2, (0.5, 3.0, -2.0), (2.0, 1.0, 40.0), ((0.0,), (), (-5.0, 1.0, 7.0))),
    LogitNormal(3),
    VonMises(3),
    GaussianMixtures(3, 2),
    GaussianMixtures(3, 2, (1e-4, 1e-3, 1e-2), "positive"),
    Columns((NegativeBinomial(2), Choices((3,))), ((0, 2), (1,))),
    Columns((Gaussian(1), GaussianMixtures(1, 2), Integers(1, (1.0,), (2.0,))), ((2,), (0,), (1,))),
]

with drawing_from(stream(0, "members")):
    ALL_NETS: list[Net] = [
        MLP(12, 5, (4,)),
        MLP(12, 5, ()),
        Standardize(12),
        LogCounts(12, 3.0),
        SizeFactor(MLP(11, 5, (4,)), 3, 1, 2.0, 0.5),
        Chain([Standardize(12), MLP(12, 5, (4,), "tanh")]),
        ConvEncoder((2, 3, 2), 5, width=4),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4),
        ResidualMLP(12, 5, 4, 2),
        Planes((2, 2), (2, 1), 4, width=4, to=(3, 5), planes=2),
        Planes((2, 3), (2,), 2, width=4, to=(1, 2), residual=True),
        ResidualMLP(12, 5, 4, 0),
        ConvEncoder((2, 3, 2), 5, width=4, blocks=2),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4, blocks=1),
        ConvEncoder((2, 3, 2), 5, width=4, blocks=1, patch=2, norm=True),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4, blocks=1, patch=2, norm=True, offset=True),
        Featurewise(12, 2),
        UNet((2, 2, 2), 1, 4, 3, width=4, blocks=1),
        UNet((3, 3, 1), 1, 3, 1, width=8, patch=2),
        ToGrid((2, 3, 2), 5, 1, width=4),
        FromGrid(6, (2, 3, 1), 2, 1, width=4),
        AppendContext(MLP(8, 1, (4,)), 8),
        Experts.copies(3, MLP(9, 5, (4,))),
        Experts([MLP(9, 5, ()) for _ in range(3)], last=True),
    ]

    ALL_NETS += [CausalMLP(5, 2, 3, 2, (4,)), CausalConv((2, 3), 1, 2, 1, width=3, layers=1)]
    ALL_NETS += [
        SkipMLP(12, 5, (4,)),
        EncodeColumns(("number", "log", "logit", "angle", "levels", "order"), (0, 0, 0, 0, 2, 3)),
    ]

    # over two latent features, from context [..., 2]
    ALL_CONDITIONALS: list[Conditional] = [
        *(Given(MLP(2, f.size - f.shared, (4,)), f) for f in ALL_FAMILIES),
        *(Table(f, 2) for f in ALL_FAMILIES if not f.profiled),
        Unconditional(Gaussian(3)),
        Unconditional(Categorical(3), learn=True),
        Linear(2, 3),
        Linear(2, 3, "feature"),
        SelfMasked(Given(MLP(2, 6, (4,)), Gaussian(3)), (2,)),
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

    # their rates are estimates at sampled times, or come from a solver: identities/test_diffusion.py has exact values
    DIFFUSION = Diffusion(3, MLP(16, 3, (4,)), LinearSchedule(-6.0, 4.0))
    CHAINS: list[Conditional] = [DiffusionPrior(DIFFUSION), ProbabilityFlow(DIFFUSION)]
    OF_CHAINS_ALONE: list[Objective] = [NoiseError()]
    CHAIN_GUIDES: list[Guide] = [Diffused(DIFFUSION)]

    BITS, LEVELS = Product(Bernoulli(1), 3), Product(DiscretizedLogistic(1, 2), 3)
    ALL_CONDITIONALS += [
        ChainRule(CausalMLP(3, 1, 1, hidden=(4,)), BITS, before=Standardize(3)),
        ChainRule(CausalMLP(3, 1, 2, 4, (4,)), LEVELS, MLP(2, 4, (4,))),
    ]
    MODELS["no latent, in order"] = LatentVariableModel(Unconditional(Gaussian(0)), ALL_CONDITIONALS[-2])
    MODELS["in order"] = LatentVariableModel(Unconditional(Gaussian(2)), ALL_CONDITIONALS[-1])

    BOOK, LATTICE = Codebook(4, 1), Lattice((3, 3))
    MIXED = Grouped((Categorical(2), Gaussian(2)))
    ALL_CONDITIONALS += [CodePrior(Lattice((3, 3, 3)), 1, Unconditional(OneHots(1, 27), learn=True))]
    MODELS["lattice"] = LatentVariableModel(CodePrior(LATTICE, 1), Given(MLP(2, 3, (4,)), Bernoulli(3)))
    MODELS["codebook"] = LatentVariableModel(
        CodePrior(BOOK, 2, Unconditional(OneHots(2, 4), learn=True)), Given(MLP(2, 3, (4,)), Bernoulli(3))
    )
    MODELS["classes"] = LatentVariableModel(
        Unconditional(OneHots(2, 2), learn=True), Given(MLP(4, 3, (4,)), Bernoulli(3))
    )
    MODELS["mixed"] = LatentVariableModel(Unconditional(MIXED), Given(MLP(4, 3, (4,)), Bernoulli(3)))

    # each with the names of the models that it can serve
    ALL_GUIDES: list[tuple[Guide, list[str]]] = [
        (Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), ["linear", "network", "mixture prior"]),
        (Amortized(Given(MLP(3, 4, (4,)), Categorical(4))), ["finite"]),
        (Labelled(Given(MLP(3, 4, (4,)), Categorical(4))), ["finite"]),
        (
            LadderGuide(LADDER, [MLP(3, 2, (4,)), MLP(2, 2, (4,))], [MLP(5, 2, (4,)) for _ in range(2)]),
            ["ladder", "ladder, apart", "network"],
        ),
        (Masked(Given(MLP(6, 4, (4,)), Gaussian(2))), ["linear", "network"]),
        (Shared(Unconditional(Gaussian(2), learn=True)), ["linear", "network", "mixture prior"]),
        (Shared(Unconditional(Categorical(4), learn=True)), ["finite"]),
        (Deterministic(MLP(3, 2, (4,))), ["linear", "network"]),
        (FromPrior(MODELS["network"].prior), ["network"]),
        (
            Refined(MODELS["linear"], Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), steps=4).eval(),
            ["linear", "network"],
        ),
        (PerDatum(MODELS["network"], Gaussian(2), 9, steps=1).eval(), ["network"]),
        (Hamiltonian(MODELS["linear"], GAUSSIAN, 2), ["linear", "network"]),
        (
            Hamiltonian(MODELS["flow prior"], Amortized(Given(MLP(3, 5, (4,)), FullGaussian(2))), 1),
            ["flow prior", "vamp prior"],
        ),
        (Exact(MODELS["linear"]), ["linear"]),
        (Exact(MODELS["finite"]), ["finite"]),
        (Exact(MODELS["no latent"]), ["no latent"]),
        (Exact(MODELS["no latent, in order"]), ["no latent, in order"]),
        (Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), ["in order"]),
        (Amortized(Given(MLP(3, 5, (4,)), FullGaussian(2))), ["linear", "network", "vamp prior"]),
        (Amortized(Given(MLP(3, 6, (4,)), LowRankGaussian(2))), ["linear", "flow prior"]),
        (Amortized(Given(MLP(3, 10, (4,)), Mixture(Gaussian(2), 2))), ["linear", "network", "flow prior"]),
        (Flowing(GAUSSIAN, SplineCoupling(2, 3, 4, hidden=(4,)), MLP(3, 3, (4,))), ["linear", "vamp prior"]),
        (Flowing(GAUSSIAN, Stack([AffineCoupling(2), AffineCoupling(2, flip=True)])), ["network", "flow prior"]),
        (Flowing(GAUSSIAN, Stack([Autoregressive(2, 3), Planar(2, 3)]), MLP(3, 3, (4,))), ["network", "vamp prior"]),
        (Quantized(MLP(3, 2, (4,)), LATTICE, 1).eval(), ["lattice"]),
        (Quantized(MLP(3, 2, (4,)), BOOK, 2).eval(), ["codebook"]),
        (Amortized(Given(MLP(3, 4, (4,)), OneHots(2, 2))), ["classes"]),
        (Amortized(Given(MLP(3, 4, (4,)), OneHots(2, 2, 0.5))), ["classes"]),
        (Amortized(Given(MLP(3, 6, (4,)), MIXED)), ["mixed"]),
        (
            Structured(Amortized(Given(MLP(3, 2, (4,)), Categorical(2))), Given(MLP(5, 4, (4,)), Gaussian(2))),
            ["mixed"],
        ),
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
ALL_ESTIMATORS += [ByGroup((Enumerate(), Pathwise(2)))]
ALL_ESTIMATORS += [StickTheLanding(2), DoublyReparameterized(3), Score(2), DetachedSamples(2), FromModel()]
ALL_ESTIMATORS += [Hiding(Pathwise(2), 0.0)]
ALL_ESTIMATORS += [Corrupted(Stratified(2), Masking(0.0))]  # any more noise would be drawn anew by each test

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
    SleepPhase(),
    Inclusive(),
    CustomObjective(lambda draw: draw.mean(draw.z.square().sum(-1)), "energy"),
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

# terms that only a guide which rounds to codes has: held to their own tests
OF_CODES_ALONE: list[Objective] = [Commitment()]

# of guides that are told classes alone: the other guides refuse it
OF_LABELS_ALONE: list[Objective] = [Classification()]

# families that only sample: no test of densities is for them
SAMPLERS: list[Family] = [Implicit(3), Implicit(3, 0.0, 1.0)]

# terms of a game: with critics of x [B, 3] and of z [B, 2]
with drawing_from(stream(0, "critics")):
    OF_DATA, OF_CODES = (Critic(MLP(n, 4, (4,)), 4, Standardize(n)).double() for n in (3, 2))

GAMES: list[Objective] = [
    Discriminate(OF_DATA),
    Discriminate(OF_DATA, "prior"),
    Discriminate(OF_CODES, "codes"),
    Discriminate(OF_CODES, "features"),
    GeneratorLoss(OF_DATA),
    GeneratorLoss(OF_DATA, "prior"),
    GeneratorLoss(OF_CODES, "codes"),
    LogRatio(OF_CODES),
    FeatureDistortion(OF_DATA),
    FeatureDistortion(OF_DATA, 0.5),
    GradientPenalty(OF_DATA),
    GradientPenalty(OF_CODES, "codes"),
    GradientPenalty(OF_CODES, "features"),
]
