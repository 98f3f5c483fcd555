"""Argos Translate, and LibreTranslate, which is built on it: a trained run as a package that they install."""

from translator.interop.argos.export import export_argos

__all__ = ["export_argos"]
