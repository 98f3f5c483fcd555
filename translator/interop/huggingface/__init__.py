"""Hugging Face `transformers`: runs as model directories for its `Auto` classes, and its Marian models as runs."""

from translator.interop.huggingface.export import export_huggingface
from translator.interop.huggingface.model import import_huggingface, is_huggingface

__all__ = ["export_huggingface", "import_huggingface", "is_huggingface"]
