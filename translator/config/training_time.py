"""How long a training takes: estimated for a CPU before it begins, or by the seconds that a batch was seen to take."""

import math
from typing import NamedTuple

from translator.config.schema import Config
from translator.config.sections import TrainingSettings
from translator.runtime.counted import counted

# GFLOP/s that one core reaches in training, for models narrower than 256 and for wider ones: the speeds of the presets
# tiny and small in scripts/RESULTS.md ("Training speed against Hugging Face"), measured on AMD EPYC (Zen 5) with
# AVX-512, times their operations. Cores without AVX-512 take about twice the time.
_GFLOPS = {"bf16": (128.0, 283.0), "fp32": (88.0, 164.0)}
_WIDE = 256
_USUAL_BATCH = 4096
"""Target tokens of a batch if `training.batch_tokens` is `auto`, which is known only after trying."""


class Cpu(NamedTuple):
    """What is known of a CPU before training on it."""

    cores: int
    """Those that compute, in all processes together."""
    precision: str
    """Number format of matrix products, `bf16` or `fp32`."""


def training_hours(
    training: TrainingSettings, batch_seconds: float, epoch_tokens: float | None = None, processes: int = 1
) -> float:
    """Return the hours of a training whose batches take `batch_seconds` each, without validations.

    `epoch_tokens` are the target tokens of an epoch, for `training.max_epochs`; without them `max_steps` alone counts.
    """
    steps = training.max_steps
    if training.max_epochs is not None and epoch_tokens is not None:
        tokens_of_step = _batch_tokens(training) * training.accumulate * processes
        steps = min(steps, math.ceil(training.max_epochs * epoch_tokens / tokens_of_step))
    return steps * training.accumulate * batch_seconds / 3600.0


def estimated_hours(config: Config, epoch_tokens: float, cpu: Cpu) -> float:
    """Estimate the hours of a training on a CPU from the operations of its model; `config` has its preset's values."""
    gflops = _GFLOPS["bf16" if cpu.precision == "bf16" else "fp32"][config.model.d_model >= _WIDE] * cpu.cores
    # Every process has a batch of its own, on its share of the cores.
    tokens = _batch_tokens(config.training) * config.devices
    batch_seconds = tokens * _operations(config) / (gflops * 1e9)
    return training_hours(config.training, batch_seconds, epoch_tokens, config.devices)


def _batch_tokens(training: TrainingSettings) -> int:
    return _USUAL_BATCH if training.batch_tokens == "auto" else int(training.batch_tokens)


def _operations(config: Config) -> float:
    """Return the operations of a training step for each target token, with as many source tokens.

    Of the matrix products alone: a multiplication and an addition for each weight forward, twice as many backward.
    """
    model = config.model
    attention = 4 * model.d_model * model.width_of_head * model.num_heads
    feed_forward = 2 * model.d_model * model.d_ff
    encoder = model.encoder_layers * (attention + feed_forward)
    decoder = model.decoder_layers * (2 * attention + feed_forward)
    return 6.0 * (encoder + decoder + model.d_model * config.tokenizer.vocab_size)


def describe_hours(hours: float) -> str:
    """Return a time for people: `40 minutes`, `22 hours`, `3 days`."""
    if hours < 1.5:
        return counted(max(1, round(60 * hours)), "minute")
    return f"{hours:,.0f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
