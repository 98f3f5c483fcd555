"""A run as a model directory for CTranslate2, the C++ library for inference.

The library's specification of a Transformer covers everything that our models can be. The export that our own engine
uses is written once, in fp32, and kept in the run directory; the library converts weights to other number formats when
it loads them. An export for other programs (`translator export`) may have them converted already.
"""

import atexit
import hashlib
import importlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import MultiHeadAttention
from translator.checkpoints import Bundle, RunDirectory, model_tensors
from translator.config import ModelSettings
from translator.errors import CheckpointError, ConfigError, OutputError, TokenizerError
from translator.interop.checksums import CHECKSUMS, explained_writing, is_whole, listed_files, write_checksums
from translator.model.embedding import Embedding, SinusoidalPositions
from translator.model.layers import DecoderLayer, EncoderLayer, FeedForward
from translator.runtime.console import say, warn
from translator.runtime.directories import (
    Contents,
    foreign_names,
    new_directory,
    refuse_links,
    remove_directory,
    remove_partial,
    set_aside,
)
from translator.runtime.files import locked
from translator.text.tokenizer import TOKENIZER_NAMES, Tokenizer, save_tokenizers

_VOCABULARIES = {f"{side}_vocabulary.json" for side in ("source", "target", "shared")}
_NAMES = {CHECKSUMS, "model.bin", "config.json", *_VOCABULARIES, *TOKENIZER_NAMES}
QUANTIZATIONS = (
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16",
)  # fmt: skip
"""Number formats of weights on disk, as the library calls them."""
_LAYOUT = 2
"""To be raised when the same weights are written in another way, so that kept exports are written again."""


def require_ctranslate2() -> Any:
    """Import the library; raise `ConfigError` if it is not installed."""
    try:
        return importlib.import_module("ctranslate2")
    except ImportError as error:
        raise ConfigError(
            [
                f"engine: ctranslate2 needs the package ctranslate2, which cannot be imported ({error}); run "
                "`pip install ctranslate2` if there is one for this platform, or use the native engine"
            ]
        ) from None


def export_ctranslate2(
    bundle: Bundle,
    directory: str | Path,
    *,
    quantization: str = "float32",
    readme: str | None = None,
    fewest_positions: int = 0,
) -> Path:
    """Write a loaded run as a CTranslate2 model directory and return its path; an earlier export there is replaced.

    The model takes token strings, which are the pieces of the tokenizer (its file is next to the model), and adds the
    end-of-sentence token of the source itself. `quantization` is one of `QUANTIZATIONS`, and `readme` the text of a
    README.md. A table of sinusoids has `fewest_positions` at least, even if the run never uses that many. Raises
    `ConfigError` if the library is not installed, `TokenizerError` if two pieces are the same string, `OutputError` if
    the directory has files of others, and `CheckpointError` if it cannot be written.
    """
    path = Path(directory)
    with explained_writing(path):
        _write(bundle, path, listed_files, quantization, readme, fewest_positions)
    return path


def cached_ctranslate2(bundle: Bundle) -> Path:
    """Return the CTranslate2 model directory of a loaded run: RUN/exports/ctranslate2-WEIGHTS-KEY.

    The key is a digest of everything that goes into the export, weights included. If it does not exist, it is written
    (by one process, if several ask at the same time) and replaces earlier exports of the same name. If the run
    directory cannot be written, the export is in a temporary directory until this process ends, and stderr says so.
    """
    exports = RunDirectory(bundle.directory).exports
    path = exports / f"ctranslate2-{bundle.weights}-{_key(bundle)}"
    if is_whole(path):
        return path
    try:
        refuse_links(bundle.directory, [exports])
        exports.mkdir(exist_ok=True)
        with locked(exports):
            if not is_whole(path):
                if path.is_dir():
                    warn(f"{path} is damaged: its files do not match their checksums; it is made again")
                remove_partial(exports)
                if path.is_dir() and foreign_names(path, _files_of_export):
                    set_aside(path)
                _write(bundle, path, _files_of_export)
                _remove_others(path)
        return path
    except (OSError, OutputError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        say(f"{exports} cannot be written ({reason}), so the model for CTranslate2 is not kept there")
        return _temporary_export(bundle, path.name)


def _temporary_export(bundle: Bundle, name: str) -> Path:
    """Export into a directory that is removed when this process ends; raise `CheckpointError` if that fails too."""
    try:
        directory = Path(tempfile.mkdtemp(prefix="translator-"))
    except OSError as error:
        raise CheckpointError(
            f"no temporary directory for the CTranslate2 model can be made: {error.strerror or error}; set TMPDIR to a "
            "directory that can be written"
        ) from None
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return export_ctranslate2(bundle, directory / name)


def _remove_others(path: Path) -> None:
    """Remove the exports of earlier weights of the same name."""
    same_name = re.compile(re.escape(path.name.rpartition("-")[0]) + r"-[0-9a-f]{16}")
    for other in path.parent.iterdir():
        if other != path and same_name.fullmatch(other.name) and not foreign_names(other, _files_of_export):
            remove_directory(other)


def _key(bundle: Bundle) -> str:
    library = require_ctranslate2()
    digest = hashlib.sha256(f"{_LAYOUT} {library.__version__} {bundle.config.model.model_dump_json()}".encode())
    for tokenizer in (bundle.tokenizers.source, bundle.tokenizers.target):
        digest.update(tokenizer.digest.encode())
    for weight in model_tensors(bundle.model).values():
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _files_of_export(path: Path) -> set[str]:
    """Return the names of the files of a model in a run's `exports`, damaged or not; none of another directory."""
    listed = listed_files(path)
    # The list may be damaged.
    return listed | _NAMES if listed or (path / "model.bin").is_file() else set()


def _write(
    bundle: Bundle,
    path: Path,
    contents: Contents,
    quantization: str = "float32",
    readme: str | None = None,
    fewest_positions: int = 0,
) -> None:
    spec = _specification(bundle, fewest_positions)
    spec.validate()
    # Shared matrices are stored once.
    spec.optimize(quantization)
    with new_directory(path, contents) as partial:
        spec.save(str(partial))
        save_tokenizers(bundle.tokenizers, partial)
        if readme is not None:
            (partial / "README.md").write_text(readme, encoding="utf-8")
        write_checksums(partial)


def _specification(bundle: Bundle, fewest_positions: int) -> Any:
    """Return the library's description of the model, filled with its weights and vocabularies."""
    require_ctranslate2()
    specs, stacks = (importlib.import_module(f"ctranslate2.{name}") for name in ("specs", "specs.transformer_spec"))
    settings, model = bundle.config.model, bundle.model
    if settings.decoder_cell != "attention":
        raise CheckpointError(
            f"model.decoder_cell is {settings.decoder_cell}, which CTranslate2 does not have; use the native engine"
        )
    # The library has one number of heads for a stack.
    encoder_heads = max(settings.heads("encoder"))
    decoder_heads = max(settings.heads("decoder") + settings.heads("cross"))
    shape = {
        "pre_norm": settings.norm == "pre",
        "activation": getattr(specs.Activation, settings.activation.upper()),
    }
    encoder = stacks.TransformerEncoderSpec(settings.encoder_layers, **shape, **_heads(settings, encoder_heads))
    decoder = stacks.TransformerDecoderSpec(settings.decoder_layers, **shape, **_heads(settings, decoder_heads))
    _embed(encoder.embeddings[0], encoder.position_encodings, model.source_embedding, fewest_positions)
    _embed(decoder.embeddings, decoder.position_encodings, model.target_embedding, fewest_positions)
    for layer, source in zip(encoder.layer, cast(Sequence[EncoderLayer], model.encoder_layers), strict=True):
        _attend_to_itself(layer.self_attention, source.self_attention, source.self_residual.norm, encoder_heads)
        _feed_forward(layer.ffn, source.feed_forward, source.feed_forward_residual.norm)
    for layer, target in zip(decoder.layer, cast(Sequence[DecoderLayer], model.decoder_layers), strict=True):
        _attend_to_itself(layer.self_attention, target.self_attention, target.self_residual.norm, decoder_heads)
        _attend_to_memory(layer.attention, target.cross_attention, target.cross_residual.norm, decoder_heads)
        _feed_forward(layer.ffn, target.feed_forward, target.feed_forward_residual.norm)
    for stack, norm in ((encoder, model.encoder_norm), (decoder, model.decoder_norm)):
        if isinstance(norm, nn.LayerNorm):
            _normalise(stack.layer_norm, norm)
    decoder.start_from_zero_embedding = model.target_embedding.zero_start
    decoder.projection.weight = _array(model.output_weight)
    if model.output_bias is not None:
        decoder.projection.bias = _array(model.output_bias)
    spec = specs.TransformerSpec(encoder, decoder)
    spec.config.layer_norm_epsilon = settings.norm_epsilon
    _name_pieces(spec, bundle.tokenizers.source, bundle.tokenizers.target)
    return spec


def _name_pieces(spec: Any, source: Tokenizer, target: Tokenizer) -> None:
    """Register both vocabularies as token strings, and the special tokens among them."""
    vocabularies = [tokenizer.pieces(range(tokenizer.vocab_size)) for tokenizer in (source, target)]
    for side, pieces in zip(("source", "target"), vocabularies, strict=True):
        if len(set(pieces)) < len(pieces):
            raise TokenizerError(
                f"two pieces of the {side} tokenizer are written alike; CTranslate2 needs distinct ones"
            )
    eos = vocabularies[1][target.eos_id]
    if vocabularies[0][source.eos_id] != eos:
        raise TokenizerError(
            f"the end-of-sentence token is {vocabularies[0][source.eos_id]!r} in the source tokenizer and {eos!r} in "
            "the target's; CTranslate2 needs one for both"
        )
    spec.register_source_vocabulary(vocabularies[0])
    spec.register_target_vocabulary(vocabularies[1])
    config = spec.config
    config.unk_token, config.eos_token = vocabularies[1][target.unk_id], eos
    # With a start of zeros, the embedding of the start token is not looked at.
    config.bos_token = config.decoder_start_token = vocabularies[1][target.bos_id]
    config.add_source_eos = True


def _embed(embeddings: Any, positions: Any, embedding: Embedding, fewest_positions: int) -> None:
    # The stacks of the library scale by sqrt(d_model) by default, as ours do.
    embeddings.weight = _array(embedding.weight)
    table = cast(Tensor, embedding.positions.table)
    if isinstance(embedding.positions, SinusoidalPositions) and len(table) < fewest_positions:
        table = type(embedding.positions)(fewest_positions, table.shape[1]).table
    positions.encodings = _array(table)


def _heads(settings: ModelSettings, heads: int) -> dict[str, int | None]:
    width = settings.width_of_head
    # The library computes the usual width itself.
    return {"num_heads": heads, "head_dim": None if heads * width == settings.d_model else width}


def _attend_to_itself(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm, heads: int) -> None:
    # One matrix with the rows of query, key and value, as in our layer.
    weight, bias, output = _with_heads(attention, heads)
    _project(spec.linear[0], weight, bias)
    _project(spec.linear[1], output, attention.output.bias)
    _normalise(spec.layer_norm, norm)


def _attend_to_memory(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm, heads: int) -> None:
    weight, bias, output = _with_heads(attention, heads)
    width = heads * attention.head_dim
    _project(spec.linear[0], weight[:width], bias[:width])
    _project(spec.linear[1], weight[width:], bias[width:])
    _project(spec.linear[2], output, attention.output.bias)
    _normalise(spec.layer_norm, norm)


def _with_heads(attention: MultiHeadAttention, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return input weight, input bias and output weight, with zeros for the heads that a layer lacks.

    Such a head attends equally to everything and adds nothing to the output, where its columns are zero.
    """
    missing = (heads - attention.num_heads) * attention.head_dim
    weight = attention.input_weight.detach().view(3, -1, attention.input_weight.shape[-1])  # [3, H * D, d_model]
    bias = attention.input_bias.detach().view(3, -1)
    return (
        functional.pad(weight, (0, 0, 0, missing)).flatten(0, 1),
        functional.pad(bias, (0, missing)).flatten(),
        functional.pad(attention.output.weight.detach(), (0, missing)),
    )


def _feed_forward(spec: Any, block: FeedForward, norm: nn.LayerNorm) -> None:
    _project(spec.linear_0, block.inner.weight, block.inner.bias)
    _project(spec.linear_1, block.outer.weight, block.outer.bias)
    _normalise(spec.layer_norm, norm)


def _project(spec: Any, weight: Tensor, bias: Tensor) -> None:
    spec.weight, spec.bias = _array(weight), _array(bias)


def _normalise(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Tensor) -> Any:
    # A copy, since the library quantises in place.
    return tensor.detach().float().cpu().contiguous().numpy().copy()
