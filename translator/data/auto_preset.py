"""The preset of prepared data: what `preset: auto` stands for, by the text that was read and the device to train on."""

import os
from typing import Any

from translator.config import Config, PresetChoice, choose_preset
from translator.config.training_time import Cpu

_BYTES_PER_TOKEN = 5
"""UTF-8 bytes of a piece, roughly: text is measured before there is a vocabulary. Of 8,000 joint pieces, an English one
has 4.3 (Multi30k), a German one 4.8, a Japanese one 6.1."""


def bytes_of(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def preset_for(config: Config, text_bytes: int) -> PresetChoice:
    """Return the preset for training text of this size, source and target; the stated one if there is one."""
    if config.preset != "auto":
        return PresetChoice(config.preset, "with which these data were prepared; preset=NAME chooses another one")
    return choose_preset(config, text_bytes // _BYTES_PER_TOKEN, _cpu(config))


def stored_choice(manifest: dict[str, Any]) -> PresetChoice | None:
    """Return the preset that prepared data were made for; None if they were made by a version that kept no choice."""
    stored = manifest.get("preset")
    return PresetChoice(stored["name"], stored["reason"]) if stored is not None else None


def _cpu(config: Config) -> Cpu | None:
    """Return the CPU that the settings mean to train on; None if they mean a GPU."""
    # Takes a second, which preparing data for a stated preset does not need.
    import torch

    from translator.runtime.device import computes_bf16_well

    if config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available()):
        return None
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if computes_bf16_well(torch.device("cpu")) else "fp32"
    cores = (config.threads or torch.get_num_threads()) * config.devices
    return Cpu(min(cores, os.cpu_count() or cores), precision)
