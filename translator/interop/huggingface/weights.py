"""Weights of a run as the tensors of a Marian or Pegasus model of `transformers`, by their names there.

What has another form there:

* the table of sinusoids has all sines before all cosines, ours a sine and a cosine in turn. The dimensions of the
  residual stream are put into that order, in everything that reads or writes it, which changes no result;
* query, key and value have a matrix each;
* every layer has d_model / head_dim heads. A head that a layer of ours lacks is a head of zeros: it attends equally to
  everything, and the zero columns of the output projection drop what it finds.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from translator.config import ModelSettings
from translator.errors import CheckpointError
from translator.interop.huggingface.names import POSITIONS, Part, parts

_NEVER = -1e4
"""Logit bias of a padded piece, within fp16."""


def stream_order(settings: ModelSettings) -> Tensor:
    """For each dimension of their residual stream, the index of ours: int64 `[d_model]`."""
    order = torch.arange(settings.d_model)
    return torch.cat([order[::2], order[1::2]]) if settings.positions == "sinusoidal" else order


def library_tensors(
    weights: Mapping[str, Tensor],
    settings: ModelSettings,
    source_vocabulary: int,
    target_vocabulary: int,
    zero_row: int | None = None,
) -> dict[str, Tensor]:
    """Return our `weights`, as the model's `state_dict` names them, as their tensors in fp32.

    The vocabularies are those of their model; rows that ours lack are zeros, and their logits are never chosen. So is
    the row `zero_row`, which a decoder that begins with a vector of zeros begins with.
    """
    order = stream_order(settings)
    heads = settings.d_model // settings.width_of_head
    tensors: dict[str, Tensor] = {}
    for part in parts(settings):
        tensors |= _part(part, weights, order, heads * settings.width_of_head)
    tensors |= _embeddings(weights, settings, order, (source_vocabulary, target_vocabulary), zero_row)
    if settings.positions == "learned":
        tensors |= {theirs: weights[ours] for ours, theirs in POSITIONS.items()}
    return {name: tensor.float().cpu().contiguous() for name, tensor in tensors.items()}


def _part(part: Part, weights: Mapping[str, Tensor], order: Tensor, width: int) -> dict[str, Tensor]:
    """Return the tensors of one part; `width` is the number of heads of their layers times the width of a head."""
    ours, theirs = part.ours, part.theirs
    if part.kind == "attention":
        return _attention(ours, theirs, weights, order, width)
    weight, bias = weights[f"{ours}.weight"], weights[f"{ours}.bias"]
    if part.kind == "inner":
        weight = weight[:, order]
    else:
        weight, bias = weight[order], bias[order]
    return {f"{theirs}.weight": weight, f"{theirs}.bias": bias}


def _attention(ours: str, theirs: str, weights: Mapping[str, Tensor], order: Tensor, width: int) -> dict[str, Tensor]:
    output = weights[f"{ours}.output.weight"]
    missing = width - output.shape[1]
    weight = functional.pad(weights[f"{ours}.input_weight"].unflatten(0, (3, -1)), (0, 0, 0, missing))
    bias = functional.pad(weights[f"{ours}.input_bias"].unflatten(0, (3, -1)), (0, missing))
    tensors = {
        f"{theirs}.out_proj.weight": functional.pad(output, (0, missing))[order],
        f"{theirs}.out_proj.bias": weights[f"{ours}.output.bias"][order],
    }
    for index, name in enumerate(("q_proj", "k_proj", "v_proj")):
        tensors[f"{theirs}.{name}.weight"] = weight[index][:, order]
        tensors[f"{theirs}.{name}.bias"] = bias[index]
    return tensors


def _embeddings(
    weights: Mapping[str, Tensor], settings: ModelSettings, order: Tensor, sizes: tuple[int, int], zero_row: int | None
) -> dict[str, Tensor]:
    def rows(name: str, size: int) -> Tensor:
        weight = weights[name][:, order]
        weight = functional.pad(weight, (0, 0, 0, size - len(weight)))
        if zero_row is not None:
            weight[zero_row] = 0.0
        return weight

    source, target = (
        rows(f"{side}_embedding.weight", size) for side, size in zip(("source", "target"), sizes, strict=True)
    )
    bias = torch.zeros(1, sizes[1])
    if settings.output_bias:
        bias[0, : len(weights["output_bias"])] = weights["output_bias"]
    bias[0, len(weights["output_weight"]) :] = _NEVER
    if zero_row is not None:
        bias[0, zero_row] = _NEVER
    tensors = {"final_logits_bias": bias}
    if settings.tie_embeddings == "all":
        return {**tensors, "model.shared.weight": source}
    tensors |= {"model.encoder.embed_tokens.weight": source, "model.decoder.embed_tokens.weight": target}
    is_pegasus = settings.norm == "pre"
    if is_pegasus:
        # It ties all matrices or none. Its `shared` is not used then, but is expected.
        tensors["model.shared.weight"] = source.clone()
    if is_pegasus or settings.tie_embeddings == "none":
        tensors["lm_head.weight"] = rows("output_weight", sizes[1])
    return tensors


def our_parts(tensors: Mapping[str, Tensor], settings: ModelSettings, inverse: Tensor, where: str) -> dict[str, Tensor]:
    """Return all weights by our names except embeddings, output and positions: the inverse of `library_tensors`.

    `inverse` has for each dimension of our residual stream the index of theirs. Raises `CheckpointError` if a tensor is
    missing or has another shape.
    """
    width = settings.num_heads * settings.width_of_head

    def take(name: str, *size: int) -> Tensor:
        if name not in tensors or tuple(tensors[name].shape) != size:
            found = tuple(tensors[name].shape) if name in tensors else "none"
            raise CheckpointError(f"{where}: {name} should have shape {size}, found {found}; it is not the whole model")
        return tensors[name].float()

    weights: dict[str, Tensor] = {}
    outer, inner = settings.d_model, settings.d_ff
    for kind, ours, theirs in parts(settings):
        if kind == "attention":
            names = [f"{theirs}.{name}" for name in ("q_proj", "k_proj", "v_proj")]
            matrices = [take(f"{name}.weight", width, outer)[:, inverse] for name in names]
            weights[f"{ours}.input_weight"] = torch.cat(matrices)
            weights[f"{ours}.input_bias"] = torch.cat([take(f"{name}.bias", width) for name in names])
            weights[f"{ours}.output.weight"] = take(f"{theirs}.out_proj.weight", outer, width)[inverse]
            weights[f"{ours}.output.bias"] = take(f"{theirs}.out_proj.bias", outer)[inverse]
        elif kind == "inner":
            weights[f"{ours}.weight"] = take(f"{theirs}.weight", inner, outer)[:, inverse]
            weights[f"{ours}.bias"] = take(f"{theirs}.bias", inner)
        else:
            size = (outer, inner) if kind == "outer" else (outer,)
            weights[f"{ours}.weight"] = take(f"{theirs}.weight", *size)[inverse]
            weights[f"{ours}.bias"] = take(f"{theirs}.bias", outer)[inverse]
    return weights
