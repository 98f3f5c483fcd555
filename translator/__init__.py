"""Train, run and look inside encoder-decoder Transformers for translation.

Importing this package imports neither torch nor any other heavy library; the rooms below do, when used.
"""

__version__ = "0.1.0"
