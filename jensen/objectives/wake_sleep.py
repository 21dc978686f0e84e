"""Objectives of a guide that is trained on samples of the model (sleep), or by importance weights (wake)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.parts import part
from ..models.draw import Draw
from .base import Objective, TermKind

__all__ = ["Inclusive", "SleepPhase"]


@part
@dataclass(frozen=True)
class SleepPhase(Objective):
    r"""E[log q(z | x)] at the draw's points, which `FromModel` takes from the model: minus
    :math:`E_{p(x)} KL(p(z|x) \,\|\, q(z|x))`, up to a constant (Hinton et al., 1995)."""

    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(draw.log_guide.sum(-1))

    def __str__(self) -> str:
        return "SleepPhase"


@part
@dataclass(frozen=True)
class Inclusive(Objective):
    r"""sum_k w~_k log q(z_k | x), with weights that are constants: minus :math:`KL(p(z|x) \,\|\, q(z|x))`, up to a
    constant; exact where z is enumerated, else with a bias that falls as 1/K (Bornschein & Bengio, 2015)."""

    kind: ClassVar[TermKind] = TermKind.IMPORTANCE_WEIGHTED

    def __call__(self, draw: Draw) -> Tensor:
        log_w = (draw.log_lik + draw.log_prior.sum(-1) + draw.log_offset).detach()
        share, log_q = torch.softmax(log_w, 0), draw.log_guide.sum(-1)
        return torch.where(share > 0, share * log_q, 0.0).sum(0)

    def __str__(self) -> str:
        return "Inclusive"
