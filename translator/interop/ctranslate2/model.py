"""A model directory of CTranslate2, or a package of Argos Translate, as a model of ours; the library is not needed."""

import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from translator.errors import CheckpointError, ConfigError, TokenizerError
from translator.interop.ctranslate2.arrays import LibraryArrays, read_arrays
from translator.interop.imported import ImportedModel, Languages, settings_of, share_matrices, tokenizer_for
from translator.model.embedding import MarianPositions, SinusoidalPositions
from translator.runtime.json_files import read_json
from translator.text import TokenizerPair, Vocabulary

_MODEL, _CONFIG, _PACKAGE = "model.bin", "config.json", ".argosmodel"
_ADVICE = "convert the model again"
_ACTIVATIONS = {0: "relu", 2: "swish", 3: "gelu"}
_MOST_BYTES = 1 << 33
_SPM = ("tokenizer", "source", "target", "sentencepiece")


def is_ctranslate2(path: Path) -> bool:
    """Tell whether a path looks like a model directory of CTranslate2, or a package of Argos Translate."""
    return path.suffix == _PACKAGE or (path / _MODEL).is_file() and bool(_vocabulary_files(path))


def import_ctranslate2(path: Path, languages: Languages) -> ImportedModel:
    """Read a model of Marian's kind, in any number format; raise `ConfigError` if our models cannot be that."""
    if path.is_dir():
        return _import(path, languages, "CTranslate2", str(path))
    try:
        with tempfile.TemporaryDirectory(prefix="translator-") as directory:
            _unpack(path, Path(directory))
            metadata = Path(directory) / "metadata.json"
            if languages.source is None and metadata.is_file():
                stated = read_json(metadata, {"from_code?": str, "to_code?": str}, CheckpointError, "build it again")
                languages = Languages(stated.get("from_code"), stated.get("to_code"))
            try:
                return _import(Path(directory), languages, "Argos Translate", str(path))
            except (CheckpointError, TokenizerError) as error:
                # The directory is gone when this is read.
                raise type(error)(str(error).replace(directory, str(path))) from None
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise CheckpointError(f"cannot read {path}: {' '.join(str(error).split())}; download it again") from None


def _unpack(package: Path, directory: Path) -> None:
    """Copy the files of the model out of a package, by their names alone: no path in it is followed."""
    with zipfile.ZipFile(package) as archive:
        wanted = {}
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            in_model = name.parent.name == "model" and (name.name in (_MODEL, _CONFIG) or "vocabulary" in name.name)
            if in_model or name.name in ("sentencepiece.model", "metadata.json"):
                wanted[name.name] = member
        if sum(member.file_size for member in wanted.values()) > _MOST_BYTES:
            raise CheckpointError(
                f"{package} claims to hold more than {_MOST_BYTES >> 30} GiB; it is no translation model"
            )
        if _MODEL not in wanted:
            raise CheckpointError(f"{package} has no model/{_MODEL}; expected a package with a CTranslate2 model")
        for file, member in wanted.items():
            with archive.open(member) as source, (directory / file).open("xb") as target:
                while block := source.read(1 << 20):
                    target.write(block)


def _import(path: Path, languages: Languages, system: str, where: str) -> ImportedModel:
    arrays = read_arrays(path / _MODEL)
    config = read_json(path / _CONFIG, {}, CheckpointError, _ADVICE) if (path / _CONFIG).is_file() else {}
    if not config.get("add_source_eos", False) or config.get("add_source_bos", False):
        raise ConfigError(
            [f"{where}: its sources do not just end with the end-of-sentence token, as Marian's do; it cannot be read"]
        )
    try:
        zero_start = bool(arrays.get("decoder/start_from_zero_embedding", 0))
        tokenizers = _tokenizers(path, config, zero_start, where)
        settings, order = _settings(arrays, where)
        weights = _weights(arrays, settings, order)
        source, target = (arrays.values[f"{side}/weight"] for side in ("encoder/embeddings_0", "decoder/embeddings"))
        output = arrays.values.get("decoder/projection/weight", target)
    except KeyError as error:
        raise CheckpointError(f"{where} has no array {error.args[0]}; it is not the whole model") from None
    mine = [torch.from_numpy(matrix)[:, order] for matrix in (source, target, output)]
    tie, matrices = share_matrices(mine[0], mine[1], mine[2], tokenizers.share_ids)
    bias = arrays.values.get("decoder/projection/bias")
    if bias is not None:
        weights["output_bias"] = torch.from_numpy(bias)
    if settings["positions"] == "learned":
        for side in ("encoder", "decoder"):
            table = torch.from_numpy(arrays.values[f"{side}/position_encodings/encodings"])
            weights[f"{'source' if side == 'encoder' else 'target'}_embedding.positions.table"] = table
    epsilon = config.get("layer_norm_epsilon") or 1e-5
    shape = settings_of(
        {**settings, "tie_embeddings": tie, "output_bias": bias is not None, "norm_epsilon": epsilon}, where
    )
    weights = {name: weight.contiguous() for name, weight in (weights | matrices).items()}
    return ImportedModel(system, where, shape, tokenizers, weights, languages, bool(tokenizers.source.tags))


def _settings(arrays: LibraryArrays, where: str) -> tuple[dict[str, Any], Tensor]:
    """Return the settings, and for each dimension of our residual stream the index of theirs."""
    layers = {
        side: len({found[0] for name in arrays.values if (found := re.match(rf"{side}/layer_\d+(?=/)", name))})
        for side in ("encoder", "decoder")
    }
    heads = {side: arrays.get(f"{side}/num_heads", 8) for side in layers}
    width = arrays.values["encoder/embeddings_0/weight"].shape[1]
    head_dims = {
        arrays.values[f"{side}/layer_0/self_attention/linear_0/bias"].size // 3 / max(heads[side], 1) for side in layers
    }
    activation = arrays.get("encoder/activation", 0)
    problems = []
    if heads["encoder"] != heads["decoder"] or len(head_dims) > 1 or not next(iter(head_dims)).is_integer():
        problems.append("encoder and decoder have other heads, or heads of another width")
    if activation not in _ACTIVATIONS:
        problems.append(f"the activation is number {activation}, expected {', '.join(map(str, _ACTIVATIONS))}")
    for name in ("encoder/rms_norm", "decoder/alibi", "encoder/layernorm_embedding/gamma", "encoder/project_in/weight"):
        if name in arrays.values and arrays.values[name].any():
            problems.append(f"{name} is set")
    if not arrays.get("encoder/scale_embeddings", 1) or not arrays.get("decoder/scale_embeddings", 1):
        problems.append("embeddings are not multiplied by the square root of their width")
    if problems:
        raise ConfigError([f"{where}: {problem}; our models cannot be that" for problem in problems])
    table = torch.from_numpy(arrays.values["decoder/position_encodings/encodings"])
    positions, order = _positions(table, width)
    return {
        "encoder_layers": layers["encoder"],
        "decoder_layers": layers["decoder"],
        "d_model": width,
        "d_ff": len(arrays.values["encoder/layer_0/ffn/linear_0/weight"]),
        "num_heads": heads["encoder"],
        "head_dim": int(next(iter(head_dims))),
        "norm": "pre" if arrays.get("encoder/pre_norm", 0) else "post",
        "activation": _ACTIVATIONS[activation],
        "positions": positions,
        "max_positions": len(table),
    }, order


def _positions(table: Tensor, width: int) -> tuple[str, Tensor]:
    """Tell which positions a table `[positions, d_model]` holds, and how our dimensions are numbered there.

    The sinusoids of `transformers` are ours with all sines before all cosines.
    """
    plain = torch.arange(width)
    if width % 2 or width < 4:
        return "learned", plain
    ours, marian = (kind(len(table), width).table for kind in (SinusoidalPositions, MarianPositions))
    halves = torch.stack([plain[: width // 2], plain[width // 2 :]], 1).flatten()
    for name, expected, order in (("sinusoidal", ours, plain), ("marian", marian, plain), ("sinusoidal", ours, halves)):
        if torch.allclose(table[:, order], expected, atol=2e-3):
            return name, order
    return "learned", plain


def _weights(arrays: LibraryArrays, settings: Mapping[str, Any], order: Tensor) -> dict[str, Tensor]:
    """Return the weights of the layers by our names."""
    weights: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(arrays.values[name]))

    def norm(theirs: str, ours: str) -> None:
        weights[f"{ours}.weight"] = take(f"{theirs}/layer_norm/gamma")[order]
        weights[f"{ours}.bias"] = take(f"{theirs}/layer_norm/beta")[order]

    def attention(theirs: str, ours: str, inputs: int) -> None:
        names = [f"{theirs}/linear_{index}" for index in range(inputs + 1)]
        weights[f"{ours}.input_weight"] = torch.cat([take(f"{name}/weight") for name in names[:-1]])[:, order]
        weights[f"{ours}.input_bias"] = torch.cat([take(f"{name}/bias") for name in names[:-1]])
        weights[f"{ours}.output.weight"] = take(f"{names[-1]}/weight")[order]
        weights[f"{ours}.output.bias"] = take(f"{names[-1]}/bias")[order]

    for side in ("encoder", "decoder"):
        for layer in range(settings[f"{side}_layers"]):
            theirs, ours = f"{side}/layer_{layer}", f"{side}_layers.{layer}"
            attention(f"{theirs}/self_attention", f"{ours}.self_attention", 1)
            norm(f"{theirs}/self_attention", f"{ours}.self_residual.norm")
            if side == "decoder":
                attention(f"{theirs}/attention", f"{ours}.cross_attention", 2)
                norm(f"{theirs}/attention", f"{ours}.cross_residual.norm")
            weights[f"{ours}.feed_forward.inner.weight"] = take(f"{theirs}/ffn/linear_0/weight")[:, order]
            weights[f"{ours}.feed_forward.inner.bias"] = take(f"{theirs}/ffn/linear_0/bias")
            weights[f"{ours}.feed_forward.outer.weight"] = take(f"{theirs}/ffn/linear_1/weight")[order]
            weights[f"{ours}.feed_forward.outer.bias"] = take(f"{theirs}/ffn/linear_1/bias")[order]
            norm(f"{theirs}/ffn", f"{ours}.feed_forward_residual.norm")
        if settings["norm"] == "pre":
            norm(side, f"{side}_norm")
    return weights


def _vocabulary_files(path: Path) -> list[Path]:
    """The lists of pieces: one for both sides, or one for each."""
    for names in (["shared_vocabulary"], ["source_vocabulary", "target_vocabulary"]):
        for ending in (".json", ".txt"):
            files = [path / f"{name}{ending}" for name in names]
            if all(file.is_file() for file in files):
                return files
    return []


def _tokenizers(path: Path, config: Mapping[str, Any], zero_start: bool, where: str) -> TokenizerPair:
    spm = {name: file for name in _SPM for file in (path / f"{name}.model", path / f"{name}.spm") if file.is_file()}
    spm |= {side: file for side in ("source", "target") if (file := path / f"tokenizer.{side}.model").is_file()}
    shared = spm.get("tokenizer", spm.get("sentencepiece"))
    models = [spm.get(side, shared) for side in ("source", "target")]
    if None in models:
        raise TokenizerError(
            f"{where} has no SentencePiece model; expected tokenizer.model, sentencepiece.model, or source.spm and "
            "target.spm"
        )
    lists = _vocabulary_files(path)
    if not lists:
        raise TokenizerError(f"{where} has no vocabulary; expected shared_vocabulary.json, or one for each side")
    special = [str(config.get(name, default)) for name, default in
               (("decoder_start_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))]  # fmt: skip
    start = None if zero_start else special[0]
    made = [
        tokenizer_for(Path(str(model)), Vocabulary(tuple(_read_pieces(file)), start, *special[1:]))
        for model, file in zip(models, [*lists, *lists][:2] if len(lists) == 1 else lists, strict=True)
    ]
    joint = made[0].digest == made[1].digest
    return TokenizerPair(made[0], made[0] if joint else made[1], joint)


def _read_pieces(file: Path) -> list[str]:
    if file.suffix == ".json":
        return list(read_json(file, [str], TokenizerError, _ADVICE))
    try:
        return file.read_text("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        raise TokenizerError(f"{file} is not UTF-8; {_ADVICE}") from None
