"""How many tokens are decoded together if the settings leave it to us (`decoding.batch_tokens: auto`)."""

from collections.abc import Iterable

import torch

from translator.config import DecodingSettings
from translator.model import Transformer
from translator.runtime.device import Machine
from translator.runtime.device_memory import available_bytes

AUTOMATIC = 8192
"""On the CPU, and wherever a batch need not fill a GPU."""
_LEAST, _MOST = 1024, 512 * 5 * 32
"""On CUDA; the most are 512 sentences of 32 tokens with a beam of 5."""
_SHARE = 0.25
"""The share of device memory for one batch. Two are searched at once, and weights and other programs need the rest."""
_SHORT_SENTENCE = 8
"""Tokens of a sentence in a batch of short ones, which has the most hypotheses, hence logits, for its tokens."""
_BYTES_OF_LOGIT = 14
"""Half precision, fp32 and a temporary of both sizes."""


def batch_tokens_of(settings: DecodingSettings, automatic: int = AUTOMATIC) -> int:
    """Return the source tokens of a batch, times the hypotheses; `automatic` stands in for `auto`."""
    return automatic if settings.batch_tokens == "auto" else settings.batch_tokens


def automatic_batch_tokens(models: Iterable[Transformer], machine: Machine) -> int:
    """Return what `auto` is for models that decode together: on CUDA what fits into a share of its memory."""
    if machine.device.type == "cpu":
        return AUTOMATIC
    bytes_each = sum(_bytes_of_token(model, machine.dtype) for model in models)
    return int(min(_MOST, max(_LEAST, _SHARE * available_bytes(machine.device) / bytes_each)))


def _bytes_of_token(model: Transformer, dtype: torch.dtype) -> float:
    """An upper estimate of the device memory for one source token of one hypothesis.

    By default a translation has at most twice as many tokens as its source, each with a key and a value in every layer,
    and tensors of fixed address are up to twice as large as what they hold.
    """
    cache = 2 * 2 * 2 * len(model.decoder_layers) * model.settings.d_model * (torch.finfo(dtype).bits // 8)
    return cache + _BYTES_OF_LOGIT * len(model.output_weight) / _SHORT_SENTENCE
