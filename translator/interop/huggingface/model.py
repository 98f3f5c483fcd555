"""A directory of `transformers` with a Marian or Pegasus model, such as OPUS-MT's, as a model of ours.

Weights come from safetensors, or from `pytorch_model.bin` if all that it holds is tensors. Nothing of that library is
needed.
"""

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translator.errors import CheckpointError, ConfigError
from translator.interop.huggingface.names import POSITIONS
from translator.interop.huggingface.vocabulary import Pieces, load_pieces
from translator.interop.huggingface.weights import our_parts, stream_order
from translator.interop.imported import ImportedModel, Languages, settings_of, share_matrices
from translator.runtime.host_memory import check_host_memory
from translator.runtime.json_files import read_json

_SAFE, _PICKLE = "model.safetensors", "pytorch_model.bin"
_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "swish", "silu": "swish"}
_ADVICE = "download the directory again"

Tensors = Mapping[str, Tensor]


def is_huggingface(path: Path) -> bool:
    """Tell whether a directory looks like a model of `transformers`."""
    return (path / "config.json").is_file() and any((path / name).is_file() for name in (_SAFE, _PICKLE))


def import_huggingface(path: Path, languages: Languages) -> ImportedModel:
    """Read a model directory; raise `ConfigError` if our models cannot be that, `CheckpointError` if it is damaged."""
    config = read_json(path / "config.json", {}, CheckpointError, _ADVICE)
    settings = _settings(config, str(path))
    tensors = _read_tensors(path)
    source, target, output = _embeddings(tensors, config, str(path))
    settings |= _positions(tensors, settings, str(path))
    start = _integer(config, "decoder_start_token_id", str(path))
    if not 0 <= start < len(target):
        raise ConfigError([f"{path}: decoder_start_token_id is {start}, expected one of {len(target):,} pieces"])
    # Of the static kind a position is added to the row, which is zero in Marian's own models.
    zero_start = not bool(target[start].any())
    tokenizers, kept = load_pieces(path, Pieces(start, zero_start, len(source), len(target)))
    bias = tensors.get("final_logits_bias", torch.zeros(1, len(output))).float().flatten()
    bias = bias[kept.target]
    source, target, output = source[kept.source], target[kept.target], output[kept.target]
    tie, matrices = share_matrices(source, target, output, tokenizers.share_ids)
    settings |= {"tie_embeddings": tie, "output_bias": bool(bias.any())}
    shape = settings_of(settings, str(path))
    inverse = stream_order(shape).argsort()
    weights = our_parts(tensors, shape, inverse, str(path))
    weights |= {name: matrix[:, inverse] for name, matrix in matrices.items()}
    if shape.output_bias:
        weights["output_bias"] = bias
    if shape.positions == "learned":
        weights |= {ours: tensors[theirs].float() for ours, theirs in POSITIONS.items()}
    return ImportedModel(
        "Hugging Face transformers", str(path), shape, tokenizers, {k: v.contiguous() for k, v in weights.items()},
        _languages(path, languages), bool(tokenizers.source.tags), _decoding(path, config),
    )  # fmt: skip


def _settings(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings that `config.json` states, without those that the tensors show."""
    kind = config.get("model_type")
    if kind not in ("marian", "pegasus"):
        raise ConfigError([f"{where}: model_type is {kind!r}; only marian and pegasus models can be read"])
    heads = [_integer(config, f"{side}_attention_heads", where) for side in ("encoder", "decoder")]
    widths = [_integer(config, f"{side}_ffn_dim", where) for side in ("encoder", "decoder")]
    activation = config.get("activation_function")
    problems = []
    if heads[0] != heads[1] or widths[0] != widths[1]:
        problems.append("the decoder has other heads or another inner width than the encoder")
    if activation not in _ACTIVATIONS:
        problems.append(f"activation_function is {activation!r}, expected one of {', '.join(_ACTIVATIONS)}")
    if problems:
        raise ConfigError([f"{where}: {problem}; our models cannot be that" for problem in problems])
    return {
        "encoder_layers": _integer(config, "encoder_layers", where),
        "decoder_layers": _integer(config, "decoder_layers", where),
        "d_model": _integer(config, "d_model", where),
        "d_ff": widths[0],
        "num_heads": heads[0],
        "max_positions": _integer(config, "max_position_embeddings", where),
        "norm": "pre" if kind == "pegasus" else "post",
        "activation": _ACTIVATIONS[str(activation)],
        "dropout": config.get("dropout", 0.1),
    }


def _integer(config: Mapping[str, Any], name: str, where: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError([f"{where}/config.json: {name} is {value!r}, expected a whole number"])
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = path / _SAFE if (path / _SAFE).is_file() else path / _PICKLE
    try:
        check_host_memory(3 * file.stat().st_size, f"the weights of {path}")
        found = load_file(file) if file.name == _SAFE else torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{file} holds more than tensors, which would be run as code, or is damaged; expected {_SAFE}, or a file "
            "of tensors alone"
        ) from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(f"cannot read {file}: {' '.join(str(error).split())}; {_ADVICE}") from None
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise CheckpointError(f"{file} does not hold tensors by name; expected the state of one model")
    return found


def _embeddings(tensors: Tensors, config: Mapping[str, Any], where: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices `[V, d_model]` of source, target and output, in fp32, scaled as ours are."""
    encoder, decoder = (f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder"))
    tied, shares = (config.get(name, True) for name in ("tie_word_embeddings", "share_encoder_decoder_embeddings"))
    # Of the names of a matrix, a safetensors file has any one.
    same = [*([encoder, decoder] if shares else []), *(["lm_head.weight"] if tied else [])]
    source = _first(tensors, encoder, "model.shared.weight", *(same if shares else []))
    target = _first(tensors, decoder, "model.shared.weight", *same)
    if source is None or target is None or source.ndim != 2 or target.ndim != 2:
        raise CheckpointError(f"{where} has no embeddings; expected model.shared.weight, or those of both sides")
    output = target if tied else tensors.get("lm_head.weight", target)
    source, target, output = source.float(), target.float(), output.float()
    if not config.get("scale_embedding", False):
        # Ours are multiplied by sqrt(d_model).
        scale = math.sqrt(source.shape[1])
        source, target = source / scale, target / scale
    return source, target, output


def _first(tensors: Tensors, *names: str) -> Tensor | None:
    return next((tensors[name] for name in names if name in tensors), None)


def _positions(tensors: Tensors, settings: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the kind of positions: a table that is not that of the sinusoids was learned."""
    tables = [tensors[name].float() for name in POSITIONS.values() if name in tensors]
    half, count = settings["d_model"] // 2, settings["max_positions"]
    if not tables:
        return {"positions": "sinusoidal"}
    if len(tables) < len(POSITIONS):
        raise CheckpointError(f"{where} has a table of positions for one side only; expected both or none")
    if any(table.shape != (count, 2 * half) for table in tables):
        # Nothing as large as the settings claim is made before it is known to be there.
        raise CheckpointError(f"{where}: the tables of positions should have shape {(count, 2 * half)}")
    rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000.0) / half))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
    sinusoids = torch.cat([angles.sin(), angles.cos()], dim=1).float()
    is_fixed = all(torch.allclose(table, sinusoids, atol=1e-3) for table in tables)
    return {"positions": "sinusoidal" if is_fixed else "learned"}


def _languages(path: Path, stated: Languages) -> Languages:
    if stated.source is not None or not (path / "tokenizer_config.json").is_file():
        return stated
    config = read_json(path / "tokenizer_config.json", {}, CheckpointError, _ADVICE)
    source, target = (value if isinstance(value := config.get(name), str) else None
                      for name in ("source_lang", "target_lang"))  # fmt: skip
    return Languages(source or None, target or None)


def _decoding(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search that the model came with."""
    if (path / "generation_config.json").is_file():
        config = {**config, **read_json(path / "generation_config.json", {}, CheckpointError, _ADVICE)}
    found: dict[str, Any] = {}
    if isinstance(beams := config.get("num_beams"), int):
        found["beam_size"] = beams
    if isinstance(exponent := config.get("length_penalty", 1.0), int | float):
        found |= {"length_penalty": "mean", "length_alpha": float(exponent)}
    if isinstance(ngrams := config.get("no_repeat_ngram_size"), int):
        found["block_ngrams"] = ngrams
    return found
