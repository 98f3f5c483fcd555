"""The arrays of a Marian model as the weights of ours.

Marian multiplies from the right, so that its matrices are `[in, out]`, and keeps biases and norms as rows `[1, n]`.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from translator.config import ModelSettings
from translator.errors import CheckpointError
from translator.interop.marian.arrays import Arrays

# What multiplies activations when they are quantised; of no use in fp32.
_ACTIVATION_SCALES = "_QuantMultA"


class _Reader:
    """Arrays by name, and which of them have not been asked for."""

    def __init__(self, arrays: Arrays, where: str) -> None:
        self._arrays, self._where = arrays, where
        self.unused = {name for name in arrays if not name.endswith(_ACTIVATION_SCALES) and name != "decoder_c_tt"}

    def matrix(self, name: str) -> Tensor:
        """A weight `[out, in]`."""
        return self._tensor(name, 2).t().contiguous()

    def rows(self, name: str) -> Tensor:
        """An embedding `[V, d_model]`."""
        return self._tensor(name, 2)

    def vector(self, name: str) -> Tensor:
        """A bias or norm `[n]`."""
        return self._tensor(name, 2).flatten()

    def _tensor(self, name: str, dimensions: int) -> Tensor:
        self.unused.discard(name)
        if name not in self._arrays:
            raise CheckpointError(f"{self._where} has no array {name}; expected a whole Transformer")
        array = self._arrays[name]
        if array.ndim == 1:
            array = array[None]
        if array.ndim != dimensions:
            raise CheckpointError(f"{self._where}: {name} has shape {array.shape}, expected a matrix")
        return torch.from_numpy(np.ascontiguousarray(array))


def our_weights(arrays: Arrays, settings: ModelSettings, where: str) -> dict[str, Tensor]:
    """Return the weights by our names; raise `CheckpointError` if some are missing, or others left over."""
    read = _Reader(arrays, where)
    weights = dict(_embeddings(read, settings))
    for layer in range(settings.encoder_layers):
        theirs, ours = f"encoder_l{layer + 1}_", f"encoder_layers.{layer}."
        weights |= _attention(read, theirs + "self", ours + "self_attention.")
        weights |= _norm(read, theirs + "self_Wo", ours + "self_residual.", settings)
        weights |= _feed_forward(read, theirs + "ffn", ours, settings)
    for layer in range(settings.decoder_layers):
        theirs, ours = f"decoder_l{layer + 1}_", f"decoder_layers.{layer}."
        if settings.decoder_cell == "ssru":
            weights |= {
                f"{ours}cell.gate.weight": read.matrix(f"{theirs}rnn_Wf"),
                f"{ours}cell.gate.bias": read.vector(f"{theirs}rnn_bf"),
                f"{ours}cell.update.weight": read.matrix(f"{theirs}rnn_W"),
            }
            weights |= _norm(read, theirs + "rnn_ffn", ours + "self_residual.", settings)
        else:
            weights |= _attention(read, theirs + "self", ours + "self_attention.")
            weights |= _norm(read, theirs + "self_Wo", ours + "self_residual.", settings)
        weights |= _attention(read, theirs + "context", ours + "cross_attention.")
        weights |= _norm(read, theirs + "context_Wo", ours + "cross_residual.", settings)
        weights |= _feed_forward(read, theirs + "ffn", ours, settings)
    if read.unused:
        raise CheckpointError(
            f"{where} has arrays that our models have no place for: {', '.join(sorted(read.unused)[:5])}; it is "
            "another kind of model than its settings say"
        )
    return weights


def _embeddings(read: _Reader, settings: ModelSettings) -> Iterator[tuple[str, Tensor]]:
    if settings.tie_embeddings == "all":
        yield "output_weight", read.rows("Wemb")
    else:
        yield "source_embedding.weight", read.rows("encoder_Wemb")
        target = read.rows("decoder_Wemb")
        if settings.tie_embeddings == "none":
            yield "target_embedding.weight", target
            transposed = "decoder_ff_logit_out_Wt" in read.unused  # as newer versions write it
            yield (
                "output_weight",
                (read.rows("decoder_ff_logit_out_Wt") if transposed else read.matrix("decoder_ff_logit_out_W")),
            )
        else:
            yield "output_weight", target
    if settings.output_bias:
        yield "output_bias", read.vector("decoder_ff_logit_out_b")
    if settings.norm == "pre":
        for stack in ("encoder", "decoder"):
            yield f"{stack}_norm.weight", read.vector(f"{stack}_top_ln_scale")
            yield f"{stack}_norm.bias", read.vector(f"{stack}_top_ln_bias")


def _attention(read: _Reader, theirs: str, ours: str) -> dict[str, Tensor]:
    return {
        f"{ours}input_weight": torch.cat([read.matrix(f"{theirs}_W{part}") for part in "qkv"]),
        f"{ours}input_bias": torch.cat([read.vector(f"{theirs}_b{part}") for part in "qkv"]),
        f"{ours}output.weight": read.matrix(f"{theirs}_Wo"),
        f"{ours}output.bias": read.vector(f"{theirs}_bo"),
    }


def _norm(read: _Reader, theirs: str, ours: str, settings: ModelSettings) -> dict[str, Tensor]:
    place = "_pre" if settings.norm == "pre" else ""
    return {
        f"{ours}norm.weight": read.vector(f"{theirs}_ln_scale{place}"),
        f"{ours}norm.bias": read.vector(f"{theirs}_ln_bias{place}"),
    }


def _feed_forward(read: _Reader, theirs: str, ours: str, settings: ModelSettings) -> dict[str, Tensor]:
    return {
        f"{ours}feed_forward.inner.weight": read.matrix(f"{theirs}_W1"),
        f"{ours}feed_forward.inner.bias": read.vector(f"{theirs}_b1"),
        f"{ours}feed_forward.outer.weight": read.matrix(f"{theirs}_W2"),
        f"{ours}feed_forward.outer.bias": read.vector(f"{theirs}_b2"),
    } | _norm(read, f"{theirs}_ffn", f"{ours}feed_forward_residual.", settings)
