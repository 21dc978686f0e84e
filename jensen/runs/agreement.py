"""Model and guide of an opened run fit together: tried on one datum, so that no verb fails at the sizes of a tensor."""

from __future__ import annotations

import torch

from ..core.batch import Batch
from ..core.errors import CorruptRunError, JensenError
from ..core.part_checks import shown_text
from ..core.random import stream
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["check_agreement"]

REMEDY = "Restore the run's files from a copy, or train again."


def check_agreement(model: LatentVariableModel, guide: Guide, classes: int = 0) -> None:
    """Refuse parts whose sizes disagree, by evaluating every density at one datum.

    The steps of a guide that fits each datum are not taken: the guide that it starts from is tried in its place.

    Args:
        model, guide: of the run, with their weights, ready to use.
        classes: C, of a model that is conditioned on labels.

    Raises:
        CorruptRunError: they do not fit together.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    inside = getattr(model.likelihood.family, "inside", 0.0)
    x = torch.full((1, model.likelihood.family.dim), float(inside), dtype=dtype, device=device)
    context = torch.eye(classes, dtype=dtype, device=device)[:1] if classes else None
    tried = guide.followed if guide.takes_steps else guide
    known = tried.is_exact or tried.takes_steps  # by the model alone, or by steps
    try:
        with torch.no_grad():
            _evaluate(model, None if known else tried, Batch(x, context=context))
    except JensenError as error:
        raise CorruptRunError(f"the parts of the model do not fit together ({error.what})", REMEDY) from error
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
        reason = shown_text(f"{type(error).__name__}: {error}")
        raise CorruptRunError(f"the parts of the model do not fit together ({reason})", REMEDY) from error


def _evaluate(model: LatentVariableModel, guide: Guide | None, batch: Batch) -> None:
    """Evaluate every density of a draw at one point.

    Raises:
        ValueError: the sizes of z disagree.
    """
    noise = stream(0, "agreement", batch.x.device)
    prior = model.prior(batch.context)
    q = prior.expand((1,)) if guide is None else guide(batch)
    sizes = {"prior": prior.event_shape, "guide": q.event_shape}
    if any(size != (model.latent,) for size in sizes.values()):
        raise ValueError(f"z has {model.latent} features, the prior {list(prior.event_shape)}, q {list(q.event_shape)}")
    z, drawn = place(q, 1, noise)
    draw = weigh(model, q, z, batch, noise=drawn, mass=guide is not None and not guide.has_density)
    densities = [draw.log_lik, draw.log_prior]
    if guide is not None and guide.has_density:
        densities.append(draw.log_guide)
    if any(values.shape[:2] != (1, 1) for values in densities):
        raise ValueError("a density is not one number per datum")
