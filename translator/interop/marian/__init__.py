"""Marian, and so the models of OPUS-MT and Firefox: read from `.npz` and `.bin` files."""

from translator.interop.marian.model import import_marian, is_marian

__all__ = ["import_marian", "is_marian"]
