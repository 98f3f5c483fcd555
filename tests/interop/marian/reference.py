"""A Marian model in a few lines: random arrays by Marian's names, its files, and what it computes.

The formulas are written out for one sentence, token after token, from Marian's own sources (src/models/transformer.h,
src/rnn/cells.h), so that they share nothing with our modules.
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

WIDTH, HEADS, INNER = 8, 2, 12


def settings(**changes: Any) -> dict[str, Any]:
    """The settings in a model file; `changes` have underscores for hyphens."""
    values = {
        "type": "transformer", "enc-depth": 2, "dec-depth": 2, "transformer-heads": HEADS, "dim-emb": WIDTH,
        "transformer-dim-ffn": INNER, "transformer-ffn-activation": "relu", "transformer-preprocess": "",
        "transformer-postprocess": "dan", "transformer-postprocess-emb": "d", "transformer-postprocess-top": "",
        "transformer-decoder-autoreg": "self-attention", "tied-embeddings-all": "true",
        "version": "v1.9.56 94aeaa46 2021-04-28 00:28:35 +0100",
    }  # fmt: skip
    return values | {name.replace("_", "-"): value for name, value in changes.items()}


def yaml_of(values: dict[str, Any]) -> str:
    return "".join(f"{name}: {value if value != '' else chr(34) * 2}\n" for name, value in values.items())


def random_arrays(values: dict[str, Any], vocabulary: int, tied: str = "all", seed: int = 1) -> dict[str, np.ndarray]:
    """Arrays of a model with these settings."""
    generator = np.random.default_rng(seed)
    pre = values["transformer-preprocess"] == "n"
    arrays: dict[str, np.ndarray] = {}

    def put(name: str, *shape: int, scale: float = 0.4, shift: float = 0.0) -> None:
        arrays[name] = (shift + scale * generator.standard_normal(shape)).astype(np.float32)

    def norm(name: str, place: str) -> None:
        put(f"{name}_ln_scale{place}", 1, WIDTH, scale=0.2, shift=1.0)
        put(f"{name}_ln_bias{place}", 1, WIDTH)

    def attention(name: str) -> None:
        for part in "qkvo":
            put(f"{name}_W{part}", WIDTH, WIDTH)
            put(f"{name}_b{part}", 1, WIDTH)
        norm(f"{name}_Wo", "_pre" if pre else "")

    def feed_forward(name: str) -> None:
        put(f"{name}_W1", WIDTH, INNER)
        put(f"{name}_b1", 1, INNER)
        put(f"{name}_W2", INNER, WIDTH)
        put(f"{name}_b2", 1, WIDTH)
        norm(f"{name}_ffn", "_pre" if pre else "")

    for layer in range(1, values["enc-depth"] + 1):
        attention(f"encoder_l{layer}_self")
        feed_forward(f"encoder_l{layer}_ffn")
    for layer in range(1, values["dec-depth"] + 1):
        if values["transformer-decoder-autoreg"] == "rnn":
            put(f"decoder_l{layer}_rnn_W", WIDTH, WIDTH)
            put(f"decoder_l{layer}_rnn_Wf", WIDTH, WIDTH)
            put(f"decoder_l{layer}_rnn_bf", 1, WIDTH)
            norm(f"decoder_l{layer}_rnn_ffn", "_pre" if pre else "")
        else:
            attention(f"decoder_l{layer}_self")
        attention(f"decoder_l{layer}_context")
        feed_forward(f"decoder_l{layer}_ffn")
    for stack in ("encoder", "decoder") if pre else ():
        norm(f"{stack}_top", "")
    for name in ("Wemb",) if tied == "all" else ("encoder_Wemb", "decoder_Wemb"):
        put(name, vocabulary, WIDTH)
    if tied == "none":
        put("decoder_ff_logit_out_W", WIDTH, vocabulary)
    put("decoder_ff_logit_out_b", 1, vocabulary, scale=1.0)
    return arrays


def write_npz(path: Path, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> Path:
    text = np.frombuffer(yaml_of(values).encode() + b"\0", np.int8)
    np.savez(path, **arrays, **{"special:model.yml": text})
    return path


def write_bin(path: Path, arrays: dict[str, np.ndarray], values: dict[str, Any], quantised: bool = False) -> Path:
    """Write the binary format; with `quantised`, matrices as intgemm8, and `arrays` become what they then stand for."""
    entries: list[tuple[str, int, tuple[int, ...], bytes]] = []
    for name, array in arrays.items():
        if quantised and min(array.shape) > 1:
            multiplier = np.float32(127 / np.abs(array).max())
            numbers = np.rint(array * multiplier).astype(np.int8)
            arrays[name] = numbers.astype(np.float32) / multiplier
            stored = numbers if name.endswith("Wemb") else numbers.T
            entries.append((name, 0x4101, array.shape, stored.tobytes() + multiplier.tobytes() + bytes(252)))
            entries.append((f"{name}_QuantMultA", 0x404, (1, 1), np.float32(9.0).tobytes()))
        else:
            entries.append((name, 0x404, array.shape, array.astype("<f4").tobytes()))
    text = yaml_of(values).encode() + b"\0"
    entries.append(("special:model.yml", 0x101, (len(text),), text))
    content = struct.pack("<QQ", 1, len(entries))
    for name, kind, shape, raw in entries:
        content += struct.pack("<QQQQ", len(name) + 1, kind, len(shape), len(raw))
    content += b"".join(name.encode() + b"\0" for name, *_ in entries)
    content += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in entries)
    padding = -(len(content) + 8) % 256
    content += struct.pack("<Q", padding) + bytes(padding) + b"".join(raw for *_, raw in entries)
    path.write_bytes(content)
    return path


class Marian:
    """The model of some arrays, for one sentence at a time."""

    def __init__(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        self.arrays = {name: torch.from_numpy(array.astype(np.float64)) for name, array in arrays.items()}
        self.values, self.pre = values, values["transformer-preprocess"] == "n"

    def logits(self, source: list[int], target: list[int]) -> Tensor:
        """`[len(target) + 1, V]`: of every piece of the target, and of what follows it."""
        get = self.arrays
        source_rows = get.get("Wemb", get.get("encoder_Wemb"))
        target_rows = get.get("Wemb", get.get("decoder_Wemb"))
        assert source_rows is not None and target_rows is not None
        states = torch.stack([source_rows[piece] for piece in source]) * math.sqrt(WIDTH) + positions(len(source))
        for layer in range(1, self.values["enc-depth"] + 1):
            states = self.block(states, f"encoder_l{layer}_self_Wo", self.attend, f"encoder_l{layer}_self", None, False)
            states = self.block(states, f"encoder_l{layer}_ffn_ffn", self.feed, f"encoder_l{layer}_ffn")
        memory = self.norm(states, "encoder_top", "") if self.pre else states
        rows = [torch.zeros(WIDTH, dtype=torch.float64), *(target_rows[piece] for piece in target)]
        states = torch.stack(rows) * math.sqrt(WIDTH) + positions(len(rows))
        for layer in range(1, self.values["dec-depth"] + 1):
            name = f"decoder_l{layer}_"
            if self.values["transformer-decoder-autoreg"] == "rnn":
                states = self.block(states, f"{name}rnn_ffn", self.recur, f"{name}rnn")
            else:
                states = self.block(states, f"{name}self_Wo", self.attend, f"{name}self", None, True)
            states = self.block(states, f"{name}context_Wo", self.attend, f"{name}context", memory, False)
            states = self.block(states, f"{name}ffn_ffn", self.feed, f"{name}ffn")
        if self.pre:
            states = self.norm(states, "decoder_top", "")
        matrix = get.get("decoder_ff_logit_out_W", target_rows.T)
        return states @ matrix + get["decoder_ff_logit_out_b"]

    def block(self, states: Tensor, norm: str, function: Any, *arguments: Any) -> Tensor:
        if self.pre:
            return states + function(self.norm(states, norm, "_pre"), *arguments)
        return self.norm(states + function(states, *arguments), norm, "")

    def norm(self, states: Tensor, name: str, place: str) -> Tensor:
        scale, bias = (self.arrays[f"{name}_ln_{part}{place}"][0] for part in ("scale", "bias"))
        centred = states - states.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-9).sqrt() * scale + bias

    def attend(self, states: Tensor, name: str, memory: Tensor | None, causal: bool) -> Tensor:
        get, keys_from = self.arrays, states if memory is None else memory
        query = states @ get[f"{name}_Wq"] + get[f"{name}_bq"]
        key, value = (keys_from @ get[f"{name}_W{part}"] + get[f"{name}_b{part}"] for part in "kv")
        size, heads = WIDTH // HEADS, []
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            scores = query[:, own] @ key[:, own].T / math.sqrt(size)
            if causal:
                scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
            heads.append(scores.softmax(-1) @ value[:, own])
        return torch.cat(heads, -1) @ get[f"{name}_Wo"] + get[f"{name}_bo"]

    def feed(self, states: Tensor, name: str) -> Tensor:
        get = self.arrays
        activation = torch.relu if self.values["transformer-ffn-activation"] == "relu" else functional.silu
        return activation(states @ get[f"{name}_W1"] + get[f"{name}_b1"]) @ get[f"{name}_W2"] + get[f"{name}_b2"]

    def recur(self, states: Tensor, name: str) -> Tensor:
        get, cell, outputs = self.arrays, torch.zeros(WIDTH, dtype=torch.float64), []
        for state in states:
            forget = torch.sigmoid(state @ get[f"{name}_Wf"] + get[f"{name}_bf"][0])
            cell = forget * cell + (1 - forget) * (state @ get[f"{name}_W"])
            outputs.append(torch.relu(cell))
        return torch.stack(outputs)


def positions(count: int) -> Tensor:
    half = WIDTH // 2
    table = torch.zeros(count, WIDTH, dtype=torch.float64)
    for position in range(count):
        for index in range(half):
            angle = position * 10_000 ** (-index / (half - 1))
            table[position, index], table[position, half + index] = math.sin(angle), math.cos(angle)
    return table
