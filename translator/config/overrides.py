"""Decoding settings that are replaced for one call, such as `beam_size=4`, and which can be combined."""

from collections.abc import Mapping, Sequence
from typing import Any

from translator.config.decoding_rules import decoding_mistakes
from translator.config.load import read_settings
from translator.config.schema import Config
from translator.config.sections import DecodingSettings
from translator.errors import ConfigError

_MACHINE = ("device", "precision", "threads", "devices")


def read_call_settings(words: Sequence[str]) -> Config:
    """Read `KEY=VALUE` words: settings of `decoding` by their bare names, and device, precision, threads, devices.

    Only what the words state counts, so that contradictions are found when it replaces the settings of a run; see
    `replace_stated`. Raises `ConfigError` with all mistakes.
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
    return read_settings(None, dotted)


def stated_machine(call: Config) -> dict[str, Any]:
    """Return the device, precision and threads that `call` states, as arguments of `load_bundle`."""
    return {name: getattr(call, name) for name in _MACHINE[:3] if name in call.model_fields_set}


def refuse_decoding(call: Config, command: str) -> None:
    """Raise `ConfigError` with all settings of decoding that `call` states, for a `command` that does not translate."""
    if stated := sorted(call.decoding.model_fields_set):
        raise ConfigError([f"decoding.{name}: {command} does not translate; leave it out" for name in stated])


def replace_stated(settings: DecodingSettings, call: Config) -> DecodingSettings:
    """Return the run's `settings` with what `call` states instead; raise `ConfigError` as `check_decoding` does."""
    stated = call.decoding
    replaced = settings.model_copy(update={name: getattr(stated, name) for name in stated.model_fields_set})
    check_decoding(replaced)
    return replaced


def settings_from(values: Mapping[str, Any]) -> Config:
    """Do what `read_call_settings` does, for decoding settings that are given by name as Python values."""
    return read_settings(None, (), {"decoding": dict(values)})


def check_decoding(settings: DecodingSettings) -> None:
    """Raise `ConfigError` with all settings that contradict each other."""
    if problems := decoding_mistakes(settings):
        raise ConfigError(problems)
