"""Usage of a codebook."""

from __future__ import annotations

from ..guides import Quantized
from ..models.codebooks import perplexity
from .examination import Examination
from .findings import Finding, Outcome

__all__ = ["codebook"]

FEW = 0.1  # of all codes


def codebook(patient: Examination) -> Outcome | str:
    """Return whether the codes that latents are rounded to are in use: their perplexity over training rows.

    A note below a tenth of all codes: the others cost nothing, and carry nothing.
    """
    guide = patient.guide
    if not isinstance(guide, Quantized):
        return "the latents are not rounded to codes"
    index = guide.codes.flat_nearest(patient.trained.z)
    used, most = perplexity(index, guide.codes.n), guide.codes.n
    measures = {"codes": most, "codes_used": len(index.unique()), "codebook_perplexity": used}
    if used >= FEW * most:
        return Outcome(measures=measures)
    finding = Finding(
        "unused-codes",
        "note",
        f"the perplexity of the codes is {used:.1f} of {most}",
        "most codes are never the nearest to what the encoder says",
        f"Nothing, or train with --codes {max(int(2 * used), 2)}, or longer.",
    )
    return Outcome((finding,), measures)
