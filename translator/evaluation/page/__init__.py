"""A comparison of translations as one HTML file that needs no server, no network and no library."""

from translator.evaluation.page.document import comparison_page

__all__ = ["comparison_page"]
