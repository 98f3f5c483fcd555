"""Text with tags and with strings that must not change: taken out before translation and put back by alignment."""

from translator.translation.markup.marked_line import MarkedLine, Marking, translate_marked

MARKUPS = ("none", "html", "xml")

__all__ = ["MARKUPS", "MarkedLine", "Marking", "translate_marked"]
