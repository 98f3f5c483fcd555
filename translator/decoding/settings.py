"""Settings that are replaced for one call, such as `beam_size=4` or `device=cpu`."""

from collections.abc import Sequence
from typing import Any

from translator.config import Config, DecodingSettings, load_config
from translator.errors import ConfigError

_MACHINE = ("device", "precision", "threads")


def read_call_settings(words: Sequence[str]) -> Config:
    """Read `KEY=VALUE` words: settings of the section `decoding` by their bare names, and the machine's.

    Raises `ConfigError` with all mistakes. Only what was stated counts; see `replace_stated`.
    """
    dotted, foreign = [], []
    for word in words:
        key = word.partition("=")[0]
        if "." not in key and key not in _MACHINE and "=" in word:
            word = f"decoding.{word}"
        elif "." in key and not key.startswith("decoding."):
            foreign.append(f"{key}: only settings of decoding, and {', '.join(_MACHINE)}, can be replaced for one call")
            continue
        dotted.append(word)
    if foreign:
        raise ConfigError(foreign)
    return load_config(None, dotted)


def stated_machine(call: Config) -> dict[str, Any]:
    """Return the device, precision and threads that `call` states, as arguments of `load_bundle`."""
    return {name: getattr(call, name) for name in _MACHINE if name in call.model_fields_set}


def replace_stated(settings: DecodingSettings, call: Config) -> DecodingSettings:
    """Return the run's `settings` with what `call` states in their place."""
    stated = call.decoding
    return settings.model_copy(update={name: getattr(stated, name) for name in stated.model_fields_set})
