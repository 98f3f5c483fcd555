"""Attention maps as one HTML file that needs no server, no network and no library."""

from translator.inspection.page.document import attention_page

__all__ = ["attention_page"]
