"""Guides q(z | x): from a batch to a distribution over z."""

from ..models.guide import Guide
from .amortized import Amortized, Deterministic
from .exact import Exact
from .flowing import Flowing
from .hamiltonian import Hamiltonian
from .labelled import Labelled
from .masked import Masked
from .quantized import Quantized
from .shared import FromPrior, Shared
from .structured import Structured

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
