"""Trained models for other runtimes: encoder and decoder as graphs in ONNX or torch.export, with a model card."""

from __future__ import annotations

__all__: list[str] = []
