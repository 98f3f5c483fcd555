"""Defaults by the amount of text: five model shapes, each with its training recipe, and two shapes of students.

Shapes: tiny as published for Multi30k (but for its norms), mini for the hours of a CPU, small as for IWSLT14, base and
big from Vaswani et al. 2017, Table 3.
"""

from typing import Any

from translator.config.contradictions import contradictions
from translator.config.schema import Config
from translator.errors import ConfigError

# With norms after each sum, as published, models as narrow as tiny learn to look at the source late, and on long
# sentences not at all: scripts/RESULTS.md ("Defaults").
_PRE_NORM_TRAINING = {
    "batch_tokens": 4096,
    "learning_rate": 3e-3,
    "warmup_steps": 1000,
    "schedule": "cosine",
    "max_steps": 8000,
}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "tokenizer": {"vocab_size": 8000},
        "model": {
            "encoder_layers": 4,
            "decoder_layers": 4,
            "d_model": 128,
            "d_ff": 256,
            "num_heads": 4,
            "dropout": 0.3,
            "norm": "pre",
        },
        "training": _PRE_NORM_TRAINING,
    },
    "mini": {
        "tokenizer": {"vocab_size": 8000},
        "model": {
            "encoder_layers": 4,
            "decoder_layers": 4,
            "d_model": 256,
            "d_ff": 1024,
            "num_heads": 4,
            "dropout": 0.1,
            "norm": "pre",
        },
        "training": {**_PRE_NORM_TRAINING, "learning_rate": 2e-3, "max_steps": 5000},
    },
    "small": {
        "tokenizer": {"vocab_size": 10_000},
        "model": {"d_model": 512, "d_ff": 1024, "num_heads": 4, "dropout": 0.3},
        "training": {"batch_tokens": 4096, "learning_rate": 5e-4, "max_steps": 50_000},
    },
    "base": {
        "tokenizer": {"vocab_size": 32_000},
        "model": {"d_model": 512, "d_ff": 2048, "num_heads": 8, "dropout": 0.1},
        "training": {"batch_tokens": 25_000, "learning_rate": 7e-4, "order": "random"},
    },
    "big": {
        "tokenizer": {"vocab_size": 32_000},
        "model": {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "dropout": 0.3},
        "training": {
            "batch_tokens": 25_000,
            "learning_rate": 5e-4,
            "max_steps": 300_000,
            "order": "random",
        },
    },
    # Students: most of the time of a search is in the decoder, so it has fewer layers than the encoder (Kasai et al.
    # 2021). Its layers have attention, which CTranslate2 can run. An SSRU (`model.decoder_cell=ssru`) in our own engine
    # is only as fast as attention in CTranslate2: 7,400 pieces/s of CPU time each, with `student` at beam 1.
    "student": {
        "tokenizer": {"vocab_size": 32_000},
        "model": {
            "encoder_layers": 6,
            "decoder_layers": 2,
            "d_model": 256,
            "d_ff": 1536,
            "num_heads": 8,
            "dropout": 0.1,
        },
        "training": {"batch_tokens": 25_000, "learning_rate": 7e-4, "order": "random"},
    },
    "student-tiny": {
        "tokenizer": {"vocab_size": 8000},
        "model": {
            "encoder_layers": 4,
            "decoder_layers": 1,
            "d_model": 128,
            "d_ff": 256,
            "num_heads": 4,
            "dropout": 0.1,
            "norm": "pre",
        },
        "training": _PRE_NORM_TRAINING,
    },
}


def resolve_preset(config: Config, chosen: str | None = None) -> Config:
    """Return `config` with the preset's values wherever the user set nothing; `chosen` is what `auto` stands for.

    Raises `ConfigError` with all settings that contradict each other.
    """
    name = chosen if config.preset == "auto" else config.preset
    assert name is not None, "a preset has to be chosen for `auto`"
    resolved = apply_preset(config, name)
    if problems := contradictions(resolved):
        raise ConfigError(problems)
    return resolved


def apply_preset(config: Config, name: str) -> Config:
    """Return `config` with the values of a preset wherever the user set nothing, whether they go together or not."""
    stated = config.model_dump(exclude_unset=True)
    merged: dict[str, Any] = {**stated, "preset": name}
    for section, values in PRESETS[name].items():
        merged[section] = {**values, **stated.get(section, {})}
    return Config.model_validate(merged)
