"""The part that compares with Hugging Face's model of the same shape and weights, if transformers is there."""

import importlib.util
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from scripts.gpu_parts.check import Check
from scripts.gpu_parts.searches import random_sources
from scripts.gpu_parts.synthetic import SPECIAL_TOKENS, VOCABULARY, SyntheticPairs, batches_of
from scripts.gpu_parts.training import training_rate
from scripts.hf_model import PAD, hf_model
from translator.attention import Packed
from translator.config import DecodingSettings
from translator.data.batches import Batch
from translator.decoding import translate_ids
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model

IGNORED = -100


def hugging_face(check: Check) -> None:
    """A training step and `generate` of their model, and ours on the same batches and sources."""
    if importlib.util.find_spec("transformers") is None:
        check.add("Hugging Face", "left out", "the package transformers is not installed")
        return
    vocabulary = 500 if check.quick else VOCABULARY
    config = check.preset("base")
    ours = build_model(config.model, vocabulary, vocabulary, seed=1)
    theirs = hf_model(ours, SPECIAL_TOKENS.target_bos, SPECIAL_TOKENS.target_eos).to(check.device)
    _compare_generation(check, ours.to(check.device).eval(), theirs.eval(), vocabulary)
    rate, *_ = training_rate(check, config, compiled=False, steps=10)
    their_rate = _hf_rate(check, theirs.train(), vocabulary)
    check.add(
        "training step of base, eager", f"{rate / their_rate:.2f} times Hugging Face",
        f"{rate:,.0f} and {their_rate:,.0f} target tokens/s", training={"ours": rate, "hugging_face": their_rate},
    )  # fmt: skip


def _hf_rate(check: Check, model: Any, vocabulary: int) -> float:
    """Target tokens a second of the loop that one would write around the model, on padded batches."""
    tokens = 500 if check.quick else check.options.batch_tokens
    batches = batches_of(SyntheticPairs(tokens // 4, vocabulary), tokens, fixed=False)
    on_gpu = check.device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True if on_gpu else None)
    began, done = 0.0, 0
    for step in range(4 if check.quick else 13):
        if step == 3:
            check.wait()
            began, done = time.perf_counter(), 0
        batch = batches[step % len(batches)]
        source, mask, target, labels = (tensor.to(check.device) for tensor in hf_inputs(batch))
        with check.machine.autocast():
            output = model(input_ids=source, attention_mask=mask, decoder_input_ids=target, use_cache=False)
            loss = functional.cross_entropy(
                output.logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=0.1
            )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done += batch.target_tokens
    check.wait()
    return done / (time.perf_counter() - began)


def hf_inputs(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad a batch: source ids and mask `[N, S]`, decoder input and labels `[N, T]`."""
    labels = _padded(Packed(batch.labels, batch.target.layout), IGNORED)
    mask = batch.source.layout.mask.long()
    return _padded(batch.source, PAD), mask, _padded(batch.target, PAD), labels


def _padded(packed: Packed, fill: int) -> Tensor:
    mask = packed.layout.mask
    return torch.full(mask.shape, fill).masked_scatter_(mask, packed.tokens)


def _compare_generation(check: Check, ours: Transformer, theirs: Any, vocabulary: int) -> None:
    """Beam search of the same sources by both, each in the batch size given, the second time counted."""
    beam, length = (2, 4) if check.quick else (5, 40)
    sources = random_sources(4 if check.quick else 256, vocabulary, 30)
    settings = DecodingSettings(
        beam_size=beam, batch_tokens=80_000, max_length_factor=0.0, max_length_extra=length, length_penalty="mean"
    )
    steps = GraphedStepModel(ours, machine=check.machine)
    padded = torch.full((len(sources), max(map(len, sources)) + 1), PAD)
    for row, source in zip(padded, sources, strict=True):
        row[: len(source) + 1] = torch.tensor([*source, SPECIAL_TOKENS.source_eos])
    padded = padded.to(check.device)

    def generate() -> int:
        half = check.machine.autocast()
        with torch.inference_mode(), half:
            found = theirs.generate(
                padded, attention_mask=(padded != PAD).long(), num_beams=beam, max_new_tokens=length, do_sample=False
            )
        return int((found[:, 1:] != PAD).sum())

    def search() -> int:
        return sum(len(ids) + 1 for ids in translate_ids(steps, sources, settings))

    rates = []
    for action in (search, generate):
        action()
        check.wait()
        began = time.perf_counter()
        tokens = action()
        check.wait()
        rates.append(tokens / (time.perf_counter() - began))
    check.add(
        f"beam {beam} of {len(sources)} sentences", f"{rates[0] / rates[1]:.2f} times generate",
        f"{rates[0]:,.0f} and {rates[1]:,.0f} tokens/s", decoding={"ours": rates[0], "generate": rates[1]},
    )  # fmt: skip
