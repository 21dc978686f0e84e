"""Plain networks, independent of distributions."""

from .append_context import AppendContext
from .causal import Causal, CausalConv, Stepwise, uncached
from .columns import EncodeColumns, SkipMLP
from .convolutional import ConvDecoder, ConvEncoder
from .counts import LogCounts, SizeFactor
from .critic import Critic
from .dense import MLP, Chain, Net, ResidualMLP, Standardize
from .experts import Experts
from .featurewise import Featurewise
from .grids import FromGrid, ToGrid
from .masked import CausalMLP
from .planes import Planes
from .unet import UNet

__all__ = [
    "MLP",
    "AppendContext",
    "Causal",
    "CausalConv",
    "CausalMLP",
    "Chain",
    "ConvDecoder",
    "ConvEncoder",
    "Critic",
    "EncodeColumns",
    "Experts",
    "Featurewise",
    "FromGrid",
    "LogCounts",
    "Net",
    "Planes",
    "ResidualMLP",
    "SizeFactor",
    "SkipMLP",
    "Standardize",
    "Stepwise",
    "ToGrid",
    "UNet",
    "uncached",
]
