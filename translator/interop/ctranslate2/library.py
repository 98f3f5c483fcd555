"""The library itself, which may be missing, and its names for number formats."""

import importlib
from typing import Any

from translator.errors import ConfigError
from translator.runtime.console import say
from translator.runtime.device import Machine


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


def compute_type(machine: Machine, quantize: str) -> str:
    """Name the library's number format for a precision."""
    precision = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[machine.precision]
    if machine.device.type == "cpu" and precision != "float32":
        say(f"the ctranslate2 engine cannot compute in {machine.precision} on the CPU and does so in fp32")
        precision = "float32"
    return precision if quantize == "none" else f"{quantize}_{precision}"
