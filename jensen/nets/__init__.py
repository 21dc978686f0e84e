"""Plain networks: they know nothing of distributions."""

from .convolutional import ConvDecoder, ConvEncoder
from .dense import MLP, Chain, Net, ResidualMLP, Standardize
from .planes import Planes

__all__ = ["MLP", "Chain", "ConvDecoder", "ConvEncoder", "Net", "Planes", "ResidualMLP", "Standardize"]
