"""Defaults by the size of the corpus: four model shapes, each with its training recipe, and two shapes of students.

Shapes: tiny as published for Multi30k, small as for IWSLT14, base and big from Vaswani et al. 2017, Table 3.
"""

from typing import Any

from translator.config.corpus_spec import corpus_mistakes, entries_of
from translator.config.heads import KINDS
from translator.config.schema import Config, TokenizerSettings
from translator.errors import ConfigError

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
        },
        "training": {"batch_tokens": 4096, "learning_rate": 5e-3, "warmup_steps": 2000, "max_steps": 8000},
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
        },
        "training": {"batch_tokens": 4096, "learning_rate": 5e-3, "warmup_steps": 2000, "max_steps": 8000},
    },
}

_LARGEST = {"tiny": 50_000, "small": 500_000, "base": 5_000_000}


def suggest_preset(pairs: int) -> str:
    """Name the preset that suits a corpus of `pairs` training pairs."""
    return next((name for name, limit in _LARGEST.items() if pairs < limit), "big")


def resolve_preset(config: Config, pairs: int = 0) -> Config:
    """Return `config` with the preset's values wherever the user set nothing; `auto` is decided by `pairs`.

    Raises `ConfigError` with all settings that contradict each other.
    """
    name = suggest_preset(pairs) if config.preset == "auto" else config.preset
    stated = config.model_dump(exclude_unset=True)
    merged: dict[str, Any] = {**stated, "preset": name}
    for section, values in PRESETS[name].items():
        merged[section] = {**values, **stated.get(section, {})}
    resolved = Config.model_validate(merged)
    if problems := _contradictions(resolved):
        raise ConfigError(problems)
    return resolved


def tokenizer_mistakes(settings: TokenizerSettings) -> list[str]:
    """Return a sentence for every contradiction among the settings of the tokenizer."""
    has_table = "table" in (settings.normalization, settings.source_normalization)
    if has_table == (settings.normalization_table is not None):
        return []
    return [
        "tokenizer.normalization_table: set it together with tokenizer.normalization=table or "
        "tokenizer.source_normalization=table, or leave both out"
    ]


def _contradictions(config: Config) -> list[str]:
    problems = corpus_mistakes(config.data)
    model, training = config.model, config.training
    if model.head_dim is None and model.d_model % model.num_heads:
        problems.append(
            f"model.num_heads: {model.num_heads} heads do not divide model.d_model = {model.d_model}; "
            "choose a divisor or set model.head_dim"
        )
    for kind in KINDS:
        layers = model.attention_layers(kind)
        if len(model.heads(kind)) != layers:
            problems.append(
                f"model.{kind}_heads: found {len(model.heads(kind))} numbers, expected {layers}, one for each "
                f"{'encoder' if kind == 'encoder' else 'decoder'} layer"
            )
    if model.positions != "learned" and (model.d_model % 2 or model.d_model < 4):
        problems.append(
            f"model.d_model: {model.positions} positions need an even width of at least 4; found {model.d_model}"
        )
    # Of given tokenizers it is checked when they are loaded: two may have the same pieces with the same ids.
    if model.tie_embeddings == "all" and not config.tokenizer.joint and config.tokenizer.model is None:
        problems.append(
            "model.tie_embeddings: `all` needs one vocabulary (tokenizer.joint: true); expected decoder or none"
        )
    problems += tokenizer_mistakes(config.tokenizer)
    problems += _stage_mistakes(config)
    if training.average_last > training.keep_last:
        problems.append(
            f"training.average_last: {training.average_last} checkpoints cannot be averaged when "
            f"training.keep_last is {training.keep_last}; raise keep_last"
        )
    if training.sharded and training.batch_tokens == "auto":
        problems.append("training.batch_tokens: auto cannot try sizes with training.sharded; state a number")
    if training.average_best > training.keep_best:
        problems.append(
            f"training.average_best: {training.average_best} checkpoints cannot be averaged when "
            f"training.keep_best is {training.keep_best}; raise keep_best"
        )
    if config.data.max_length >= model.max_positions:
        problems.append(
            f"data.max_length: {config.data.max_length} pieces and the end of sentence do not fit into "
            f"model.max_positions = {model.max_positions}"
        )
    return problems


def _stage_mistakes(config: Config) -> list[str]:
    problems, corpora = [], len(entries_of(config.data.train))
    stages = config.training.stages
    for number, stage in enumerate(stages, start=1):
        where = f"training.stages, stage {number}"
        if corpora and len(stage.weights) != corpora:
            problems.append(
                f"{where}: found {len(stage.weights)} weights, expected {corpora}, one for each entry of data.train"
            )
        if not any(stage.weights):
            problems.append(f"{where}: all weights are 0; expected at least one corpus")
        if (stage.until is None) != (number == len(stages)):
            expected = "leave it out of the last stage" if stage.until else "say when it ends, such as until: 20k"
            problems.append(f"{where}, until: {expected}")
    return problems
