"""The settings of a run as the configuration files of `transformers`, and what those models cannot represent."""

from typing import Any

from translator.checkpoints import Bundle
from translator.config import ModelSettings
from translator.decoding.hypothesis import LengthPenalty
from translator.errors import ConfigError
from translator.interop.huggingface.tokenizer import padding


def refuse_foreign_model(settings: ModelSettings) -> None:
    """Raise `ConfigError` with everything that neither a Marian nor a Pegasus model of `transformers` can be."""
    problems = []
    width = settings.width_of_head
    most = max(settings.heads("encoder") + settings.heads("decoder") + settings.heads("cross"))
    if settings.norm == "post" and settings.positions == "learned":
        problems.append(
            "model.positions: found learned with norm=post; transformers' Marian model loses such a table, without a "
            "word, when it is saved"
        )
    for name, found, expected in (
        ("decoder_cell", settings.decoder_cell, "attention"),
        ("norm_epsilon", settings.norm_epsilon, 1e-5),
    ):
        if found != expected:
            problems.append(f"model.{name}: found {found}, expected {expected}, which transformers' models have")
    if settings.positions == "marian":
        problems.append("model.positions: found marian, whose wavelengths transformers' models do not have")
    if settings.d_model % width:
        problems.append(
            f"model.head_dim: found {width}, which does not divide d_model={settings.d_model}; transformers' models "
            "need heads of width d_model / heads"
        )
    elif most * width > settings.d_model:
        problems.append(
            f"model.head_dim: found up to {most} heads of width {width}, wider together than "
            f"d_model={settings.d_model}; transformers' models have at most {settings.d_model // width} of them"
        )
    if problems:
        raise ConfigError([f"{problem}; use --to ctranslate2 instead" for problem in problems])


def vocabulary_sizes(bundle: Bundle) -> tuple[int, int]:
    """Return the sizes of their vocabularies: Marian may have two, Pegasus has one for both sides."""
    sizes = bundle.tokenizers.sizes
    added = padding(bundle.tokenizers).index + 1
    if bundle.config.model.norm == "pre" or added > max(sizes):
        return max(*sizes, added), max(*sizes, added)
    return sizes


def model_config(bundle: Bundle) -> dict[str, Any]:
    """Return the content of `config.json`: Marian for a post-norm model, Pegasus for a pre-norm one."""
    settings, target = bundle.config.model, bundle.tokenizers.target
    is_pegasus = settings.norm == "pre"
    source_size, target_size = vocabulary_sizes(bundle)
    heads = settings.d_model // settings.width_of_head
    shares_all = settings.tie_embeddings == "all"
    pad = padding(bundle.tokenizers).index
    config = {
        "architectures": ["PegasusForConditionalGeneration" if is_pegasus else "MarianMTModel"],
        "model_type": "pegasus" if is_pegasus else "marian",
        "vocab_size": source_size,
        "d_model": settings.d_model,
        "encoder_layers": settings.encoder_layers,
        "decoder_layers": settings.decoder_layers,
        "encoder_ffn_dim": settings.d_ff,
        "decoder_ffn_dim": settings.d_ff,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "activation_function": settings.activation,
        "dropout": settings.dropout,
        "attention_dropout": settings.attention_dropout,
        "activation_dropout": settings.activation_dropout,
        "max_position_embeddings": settings.max_positions,
        "scale_embedding": True,
        "is_encoder_decoder": True,
        "pad_token_id": pad,
        "bos_token_id": pad,
        "eos_token_id": target.eos_id,
        "decoder_start_token_id": pad,
        "forced_eos_token_id": None,
        "tie_word_embeddings": shares_all if is_pegasus else settings.tie_embeddings != "none",
        "dtype": "float32",
    }
    if not is_pegasus:
        config |= {"decoder_vocab_size": target_size, "share_encoder_decoder_embeddings": shares_all}
    return config


def generation_config(bundle: Bundle) -> dict[str, Any]:
    """Return the content of `generation_config.json`: the run's search, in that library's terms."""
    decoding, target, pad = bundle.config.decoding, bundle.tokenizers.target, padding(bundle.tokenizers).index
    config: dict[str, Any] = {
        "decoder_start_token_id": pad,
        "bos_token_id": pad,
        "eos_token_id": target.eos_id,
        "pad_token_id": pad,
        "forced_eos_token_id": None,
        "num_beams": decoding.beam_size,
        # It has no limit that depends on the source.
        "max_length": bundle.config.model.max_positions,
        # Never in text: the token that every target begins with, and the language tags of the source.
        "suppress_tokens": [pad, *sorted(target.tags.values())],
    }
    if decoding.beam_size > 1:
        config["length_penalty"] = LengthPenalty(decoding.length_penalty, decoding.length_alpha).exponent
    if decoding.block_ngrams:
        config["no_repeat_ngram_size"] = decoding.block_ngrams
    if decoding.min_length_extra:
        # It counts the token that every target begins with.
        config["min_length"] = decoding.min_length_extra + 1
    if decoding.search == "sampling":
        config |= {
            "num_beams": 1, "do_sample": True, "temperature": decoding.temperature, "top_k": decoding.top_k,
            "top_p": decoding.top_p,
        }  # fmt: skip
        config.pop("length_penalty", None)
    return config
