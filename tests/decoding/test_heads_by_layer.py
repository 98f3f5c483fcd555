"""Layers with different numbers of heads: a pruned model equals the whole model with those heads masked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from translator.checkpoints import Bundle, Checkpoint, load_bundle, model_tensors, write_checkpoint
from translator.config import Head, parse_head, read_run_config, write_config
from translator.decoding import NativeEngine, Request
from translator.errors import ConfigError
from translator.inference.cuda_graphs import GraphedStepModel
from translator.inference.steps import TransformerStepModel
from translator.inspection.importance import without_heads
from translator.inspection.prune import prune_run
from translator.model import build_model
from translator.translation.alignment_head import alignment_head, alignment_scores, learn_alignment_head
from translator.translation.word_alignment import AlignmentHead, attention_aligner, most_attended

SOURCES = [tuple(5 + (7 * row + 3 * index) % 200 for index in range(1 + row % 9)) for row in range(30)]
PAIRS = list(zip(SOURCES, reversed(SOURCES), strict=True))
GONE = [parse_head(name) for name in ("encoder.1.2", "decoder.2.1", "decoder.2.3", "cross.1.1", "cross.3.3")]
# Each head of the cross-attention that pruning leaves, as it is called in the pruned model, and in the whole model.
LEFT = {
    Head("cross", layer, index): Head("cross", layer, whole)
    for layer, own in ((1, (2, 3)), (2, (1, 2, 3)), (3, (1, 2)))
    for index, whole in enumerate(own, start=1)
}


@pytest.fixture(scope="module")
def runs(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with three heads in every layer, whose translations are all different, and the pruned run."""
    whole = tmp_path_factory.mktemp("heads") / "whole"
    shutil.copytree(tiny_run, whole)
    config = read_run_config(whole)
    shape = {"encoder_layers": 2, "decoder_layers": 3, "num_heads": 3, "head_dim": 4, "tie_embeddings": "none"}
    model = config.model.model_copy(update=shape)
    write_config(config.model_copy(update={"model": model}), whole / "config.yaml")
    vocab_size = load_bundle(tiny_run, device="cpu").tokenizers.source.vocab_size
    built, generator = build_model(model, vocab_size, vocab_size, seed=3), torch.Generator().manual_seed(1)
    with torch.no_grad():
        # Not the biases, which would have the same effect on every translation.
        for parameter in filter(lambda parameter: parameter.dim() > 1, built.parameters()):
            parameter.normal_(std=0.8, generator=generator)
    write_checkpoint(whole / "models" / "final", Checkpoint(model_tensors(built), {}, {"step": 12}))
    prune_run(whole, GONE, whole.parent / "pruned")
    return whole, whole.parent / "pruned"


@pytest.fixture
def masked(runs: tuple[Path, Path]) -> Iterator[Bundle]:
    bundle = load_bundle(runs[0], device="cpu")
    with without_heads(bundle.model, GONE):
        yield bundle


@pytest.fixture
def pruned(runs: tuple[Path, Path]) -> Bundle:
    return load_bundle(runs[1], device="cpu")


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("step_model", [TransformerStepModel, GraphedStepModel])
def test_translations_equal_those_with_masked_heads(
    masked: Bundle, pruned: Bundle, step_model: type[TransformerStepModel], beam_size: int
) -> None:
    assert [pruned.config.model.heads(kind) for kind in ("decoder", "cross")] == [[3, 1, 3], [2, 3, 2]]
    settings = pruned.config.decoding.model_copy(update={"beam_size": beam_size})
    requests = [Request(source) for source in SOURCES]
    expected, found = (
        [best[0] for best in NativeEngine(step_model.of(bundle)).search(requests, settings)]
        for bundle in (masked, pruned)
    )
    assert [each.tokens for each in found] == [each.tokens for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-4)
    assert len({each.tokens for each in found}) > len(SOURCES) // 2


def test_every_head_keeps_its_score(masked: Bundle, pruned: Bundle) -> None:
    scores, pairs = alignment_scores(pruned, *zip(*PAIRS, strict=True))
    expected, _ = alignment_scores(masked, *zip(*PAIRS, strict=True))
    assert pairs == len(PAIRS)
    assert scores == pytest.approx({head: expected[whole] for head, whole in LEFT.items()})
    best = max(scores, key=lambda head: scores[head])
    learned = learn_alignment_head(pruned, *zip(*PAIRS, strict=True))
    assert (learned.layer, learned.head, learned.pairs) == (best.layer, best.head, pairs)
    assert alignment_scores(pruned, [], []) == ({}, 0)


def test_alignments_come_from_the_named_head(masked: Bundle, pruned: Bundle) -> None:
    _, indices = next(iter(most_attended(pruned, PAIRS, [1, 2, 3])))
    assert [layer.shape[1] for layer in indices] == [2, 3, 2]
    found = attention_aligner(pruned, alignment_head(pruned, "cross.1.1"))(PAIRS)
    assert found == attention_aligner(masked, AlignmentHead(1, 2))(PAIRS)
    assert alignment_head(pruned, "2.3") == alignment_head(pruned, "cross.2.3") == AlignmentHead(2, 3)


@pytest.mark.parametrize("setting", ["1.3", "cross.3.3", "cross.0.1", "4.1", "decoder.1.1"])
def test_heads_that_a_layer_lacks_are_refused(pruned: Bundle, setting: str) -> None:
    with pytest.raises(ConfigError, match="a layer from 1 to 3 and a head from 1 to 2, 3, 2 by layer"):
        alignment_head(pruned, setting)
