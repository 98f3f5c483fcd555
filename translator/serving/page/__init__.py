"""The page of the server: a person's way to its routes. It loads nothing but its own files."""

from translator.serving.page.document import page, page_part

__all__ = ["page", "page_part"]
