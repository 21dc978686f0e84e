"""Usage of a codebook."""

from __future__ import annotations

from ..guides import Quantized
from ..models.codebooks import perplexity
from .examination import Examination
from .findings import Finding, Outcome

__all__ = ["codebook"]

FEW = 0.1  # of all codes


def codebook(examination: Examination) -> Outcome | str:
    """Check the usage of a codebook, by the perplexity of the codes over training rows.

    A perplexity below a tenth of the number of codes is a note: unused codes do no harm.
    """
    guide = examination.guide
    if not isinstance(guide, Quantized):
        return "the latents are not rounded to codes"
    index = guide.codes.flat_index(examination.trained.z)
    used, most = perplexity(index, guide.codes.n), guide.codes.n
    measures = {"codes": most, "codes_used": len(index.unique()), "codebook_perplexity": used}
    if used >= FEW * most:
        return Outcome(measures=measures)
    finding = Finding(
        "unused-codes",
        "note",
        f"the perplexity of the codes is {used:.1f} of {most}",
        "most codes are never the nearest to an output of the encoder",
        examination.remedy("unused-codes", codes=max(int(2 * used), 2)),
    )
    return Outcome((finding,), measures)
