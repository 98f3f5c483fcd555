"""Train, run and look inside encoder-decoder Transformers for translation.

The names below are the front door; the rooms have the rest. Importing this package imports neither torch nor any other
heavy library: a name imports its room when it is first used. It does set how threads of OpenMP wait, in the environment
(`runtime/openmp.py`), which every way in passes: the command, `python -m translator`, workers and Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from translator.runtime.openmp import wait_briefly

if TYPE_CHECKING:  # So that type checkers and editors know the names that `__getattr__` finds.
    from translator.config import load_config
    from translator.evaluation import evaluate
    from translator.training import train
    from translator.translation import Translator

wait_briefly()

__version__ = "0.1.0"
__all__ = ["Translator", "__version__", "evaluate", "load_config", "train"]

_ROOMS = {"Translator": "translation", "evaluate": "evaluation", "load_config": "config", "train": "training"}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'translator' has no attribute {name!r}")
    return getattr(import_module(f"translator.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
