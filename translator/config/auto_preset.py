"""`preset: auto`: the preset that suits the amount of text and, on a CPU, that is trained in hours and not in days.

A choice depends on nothing but the arguments here. It is stored with the prepared data and with the settings of the
run, so that neither another machine nor a training that is resumed changes it.
"""

from typing import NamedTuple

from translator.config.presets import apply_preset
from translator.config.schema import Config
from translator.config.training_time import Cpu, describe_hours, estimated_hours
from translator.runtime.counted import counted

# Tokens of source and target together, from which a preset is too small. By this measure Multi30k has 0.8 M, IWSLT14
# de-en 7 M and WMT14 en-de 250 M, for which tiny, small and base were published.
_LARGEST = {"tiny": 1_000_000, "small": 25_000_000, "base": 300_000_000}
_BY_SIZE = ("tiny", "mini", "small", "base", "big")
"""Mini is for more text than tiny where small takes too long."""
_MOST_HOURS = 12.0
"""Longest training on a CPU, as estimated, of a preset that nobody asked for: it ends overnight."""


class PresetChoice(NamedTuple):
    """The preset that `auto` stands for."""

    name: str
    reason: str
    """Why, and how to choose another one."""

    def __str__(self) -> str:
        return f"preset {self.name}: {self.reason}"


def suggest_preset(tokens: int) -> str:
    """Name the preset that suits training text of this many tokens, source and target together."""
    return next((name for name, limit in _LARGEST.items() if tokens < limit), "big")


def choose_preset(config: Config, tokens: int, cpu: Cpu | None) -> PresetChoice:
    """Choose the preset for training text of `tokens` tokens, source and target together.

    `cpu` is what the run trains on; None for a GPU, which is taken to be fast enough. What `config` states of model and
    training counts in the estimate of the time.
    """
    suited = suggest_preset(tokens)
    amount = f"{tokens / 1e6:,.1f} M" if tokens >= 100_000 else f"{tokens:,}"
    text = f"about {amount} tokens of source and target"
    another = "preset=NAME chooses another one"
    if cpu is None:
        return PresetChoice(suited, f"suits {text}; {another}")
    smaller = _BY_SIZE[: _BY_SIZE.index(suited) + 1]
    hours = {name: estimated_hours(apply_preset(config, name), tokens / 2, cpu) for name in smaller}
    chosen = next((name for name in reversed(smaller) if hours[name] <= _MOST_HOURS), smaller[0])
    time = f"takes about {describe_hours(hours[chosen])} on {counted(cpu.cores, 'CPU core')}"
    if chosen == suited:
        return PresetChoice(chosen, f"suits {text}, and {time}; {another}")
    longer = f"{suited}, which suits {text}, would take about {describe_hours(hours[suited])}"
    return PresetChoice(chosen, f"{time}; {longer}; preset={suited} chooses it")
