"""Guides q(z | x): from a batch to a distribution over z."""

from .flowing import Flowing
from .hamiltonian import Hamiltonian
from .labelled import Labelled
from .masked import Masked
from .plain import Amortized, Deterministic, Exact, Guide, Shared
from .quantized import Quantized
from .structured import Structured
from .unseeing import FromPrior

__all__ = [
    "Amortized",
    "Deterministic",
    "Exact",
    "Flowing",
    "FromPrior",
    "Guide",
    "Hamiltonian",
    "Labelled",
    "Masked",
    "Quantized",
    "Shared",
    "Structured",
]
