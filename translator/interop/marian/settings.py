"""The settings of a Marian model in our terms, and what our models cannot be."""

from collections.abc import Mapping
from typing import Any

from translator.config import ModelSettings
from translator.config.yaml_file import parse_yaml
from translator.errors import ConfigError
from translator.interop.imported import settings_of
from translator.interop.marian.arrays import Arrays

# What a setting has to be if it is stated; Marian's defaults are the first of each.
_EXPECTED: dict[str, tuple[str, ...]] = {
    "type": ("transformer",),
    "transformer-ffn-depth": ("2",),
    "transformer-decoder-ffn-depth": ("0", "2"),
    "transformer-decoder-dim-ffn": ("0",),
    "transformer-postprocess-emb": ("d", ""),
    "transformer-ffn-activation": ("swish", "relu"),
    "transformer-decoder-autoreg": ("self-attention", "rnn"),
    "transformer-train-position-embeddings": ("false",),
    "transformer-no-projection": ("false",),
    "transformer-rnn-projection": ("false",),
    "transformer-no-bias": ("false",),
    "transformer-no-affine": ("false",),
    "transformer-pool": ("false",),
    "transformer-disable-position-embeddings": ("false",),
    "lemma-dim-emb": ("0",),
    "right-left": ("false",),
    "ulr": ("false",),
}
_NORM_EPSILON = 1e-9
"""Of Marian's layer normalisation (src/tensors/cpu/tensor_operators.cpp)."""


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """Parse the settings in a model file or next to it: scalars as text, a repeated name as its last value."""
    found = parse_yaml(text, where, [])
    if not isinstance(found, dict):
        raise ConfigError([f"{where} holds no settings; expected `name: value`"])
    return found


def model_settings(stated: Mapping[str, Any], arrays: Arrays, max_positions: int, where: str) -> ModelSettings:
    """Return the shape of a model; raises `ConfigError` with everything in `stated` that ours cannot be."""
    problems = [
        f"{name} is {value}, expected {' or '.join(expected)}"
        for name, expected in _EXPECTED.items()
        if (value := str(stated.get(name, expected[0])).lower()) not in expected
    ]
    order = tuple(str(stated.get(f"transformer-{name}process{top}", "")) for name, top in _PLACES)
    if order not in _NORMS:
        problems.append(f"the layers' order of operations is {order}, expected one of {', '.join(map(str, _NORMS))}")
    elif _NORMS[order] == "pre":
        problems.append(
            "transformer-preprocess is n: with norms before its blocks, Marian's layers compute something else than "
            "ours, and most translations would differ"
        )
    if stated.get("transformer-tied-layers"):
        problems.append("transformer-tied-layers is set: layers share weights")
    recurrent = stated.get("transformer-decoder-autoreg") == "rnn"
    if recurrent and (cell := stated.get("dec-cell", "gru")) != "ssru":
        problems.append(f"dec-cell is {cell}, expected ssru")
    if problems:
        raise ConfigError([f"{where}: {problem}; our models cannot be that" for problem in problems])
    embeddings = {name for name in ("Wemb", "encoder_Wemb", "decoder_Wemb") if name in arrays}
    if not embeddings & {"Wemb", "decoder_Wemb"}:
        raise ConfigError([f"{where} has no embeddings; expected Wemb, or encoder_Wemb and decoder_Wemb"])
    output = not {"decoder_ff_logit_out_W", "decoder_ff_logit_out_Wt"}.isdisjoint(arrays)
    tied = "none" if output else "all" if "Wemb" in arrays else "decoder"
    if output and "Wemb" in arrays:
        raise ConfigError([f"{where}: source and target share embeddings but the output does not; ours cannot be that"])
    values = {
        "encoder_layers": stated.get("enc-depth", 6),
        "decoder_layers": stated.get("dec-depth", 6),
        "d_model": next(iter(arrays[name] for name in sorted(embeddings))).shape[1],
        "d_ff": stated.get("transformer-dim-ffn", 2048),
        "num_heads": stated.get("transformer-heads", 8),
        "norm": _NORMS[order],
        "norm_epsilon": _NORM_EPSILON,
        "activation": stated.get("transformer-ffn-activation", "swish"),
        "decoder_cell": "ssru" if recurrent else "attention",
        "positions": "marian",
        "max_positions": max_positions,
        "tie_embeddings": tied,
        "output_bias": "decoder_ff_logit_out_b" in arrays,
        # Not kept with the model. Students are trained without: a tenth dropped raises their loss twentyfold.
        "dropout": 0.0,
    }
    return settings_of(values, where)


_PLACES = (("pre", ""), ("post", ""), ("post", "-top"))
_NORMS: dict[tuple[str, ...], str] = {("", "dan", ""): "post", ("n", "da", "n"): "pre"}
"""Operations before a block, after it, and after the stack: dropout, add, norm."""
