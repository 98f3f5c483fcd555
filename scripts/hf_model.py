"""Our Transformer as a model of Hugging Face, for the benchmarks.

It is a MarianMTModel, whose layers are normalised after each block, or a PegasusForConditionalGeneration, whose layers
are normalised before. Both have one embedding for both sides and the output, and sinusoidal positions. Needs the
`bench` extra.
"""

import importlib
from typing import Any

from translator.config import KINDS, ModelSettings
from translator.interop.huggingface.weights import library_tensors
from translator.model import Transformer

# They want a pad id: the unknown piece, which byte fallback keeps out of text. Masks come from lengths.
PAD = 0


def hf_model(ours: Transformer, bos_id: int, eos_id: int, attention: str = "sdpa") -> Any:
    """Make a model of transformers that computes what `ours` does, in training mode.

    `attention` is one of its implementations, "sdpa" or "eager". Stops with a message for a model of another kind.
    """
    # By name, so that type checking gives the same result with and without the bench extra.
    transformers = importlib.import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    settings = ours.settings
    if problem := _problem(settings):
        raise SystemExit(f"no model of transformers can hold this one: {problem}")
    vocabulary = len(ours.output_weight)
    is_pre = settings.norm == "pre"
    config = (transformers.PegasusConfig if is_pre else transformers.MarianConfig)(
        vocab_size=vocabulary, pad_token_id=PAD, eos_token_id=eos_id, bos_token_id=bos_id,
        decoder_start_token_id=bos_id, forced_eos_token_id=None, max_position_embeddings=settings.max_positions,
        encoder_layers=settings.encoder_layers, decoder_layers=settings.decoder_layers, d_model=settings.d_model,
        encoder_ffn_dim=settings.d_ff, decoder_ffn_dim=settings.d_ff,
        encoder_attention_heads=settings.num_heads, decoder_attention_heads=settings.num_heads,
        activation_function=settings.activation, dropout=settings.dropout,
        attention_dropout=settings.attention_dropout, activation_dropout=settings.activation_dropout,
        scale_embedding=True, attn_implementation=attention,
    )  # fmt: skip
    model = (transformers.PegasusForConditionalGeneration if is_pre else transformers.MarianMTModel)(config)
    weights = library_tensors(ours.state_dict(), settings, vocabulary, vocabulary)
    # Not strict, for the tied matrix goes by four names and the positions are the model's own.
    _, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected:
        raise SystemExit(f"{type(model).__name__} has no weights named {unexpected}; expected those of transformers 5")
    return model


def _problem(settings: ModelSettings) -> str | None:
    """Describe the settings that their models cannot represent."""
    demands = {
        "model.positions": (settings.positions, "sinusoidal"),
        "model.tie_embeddings": (settings.tie_embeddings, "all"),
        "model.head_dim": (settings.width_of_head, settings.d_model // settings.num_heads),
        **{f"model.{kind}_heads": (set(settings.heads(kind)), {settings.num_heads}) for kind in KINDS},
    }
    wrong = [f"{name} is {found}, expected {wanted}" for name, (found, wanted) in demands.items() if found != wanted]
    return "; ".join(wrong) or None
