"""Hugging Face `transformers`: a trained run as a model directory that its `Auto` classes load."""

from translator.interop.huggingface.export import export_huggingface

__all__ = ["export_huggingface"]
