"""The library itself, which may be missing."""

import importlib
from typing import Any

from translator.errors import ConfigError


def require_ctranslate2() -> Any:
    """Import the library; raise `ConfigError` if it is not installed."""
    try:
        return importlib.import_module("ctranslate2")
    except ImportError as error:
        raise ConfigError(
            [
                f"engine: ctranslate2 needs the package ctranslate2, which cannot be imported ({error}); run "
                "`pip install ctranslate2` if there is one for this platform, or use the native engine"
            ]
        ) from None
