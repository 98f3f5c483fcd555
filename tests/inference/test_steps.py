"""The Transformer as a step function: what the search believes is what the model says of whole sentences."""

from pathlib import Path

import pytest
import torch

from translator.attention.layout import pack
from translator.checkpoints import load_bundle
from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request, translate_ids
from translator.inference import TransformerStepModel
from translator.inference.cuda_graphs import GraphedStepModel

SOURCES = [[5, 6, 7, 8, 9, 10], [], [11], [30, 31, 32], [40, 5, 41, 5, 42, 5, 43, 5, 44], [9, 8]]


@pytest.mark.parametrize("make", [TransformerStepModel, GraphedStepModel])
@pytest.mark.parametrize("zero_start", [False, True])
@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_scores_are_those_of_teacher_forcing(
    tiny_run: Path, beam_size: int, zero_start: bool, make: type[TransformerStepModel]
) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    bundle.model.target_embedding.zero_start = zero_start
    steps = make.of(bundle)
    settings = DecodingSettings(beam_size=beam_size, n_best=beam_size, max_length_extra=4)
    found = NativeEngine(steps).search([Request(tuple(source)) for source in SOURCES], settings)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        for hypothesis in hypotheses if source else []:
            with torch.inference_mode():
                states = bundle.model(pack([[*source, steps.eos_id]]), pack([[steps.bos_id, *hypothesis.tokens]]))
                expected = bundle.model.logits(states).log_softmax(dim=-1)
            labels = torch.tensor([*hypothesis.tokens, steps.eos_id])
            total = expected.gather(-1, labels[:, None]).sum().item()
            assert hypothesis.log_probability == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_sentence_is_translated_alike_alone_and_among_others(tiny_run: Path, beam_size: int) -> None:
    steps = TransformerStepModel.of(load_bundle(tiny_run, device="cpu"))
    settings = DecodingSettings(beam_size=beam_size, max_length_extra=4)
    together = translate_ids(steps, SOURCES, settings)
    assert together == [translate_ids(steps, [source], settings)[0] for source in SOURCES]
    assert together == translate_ids(steps, SOURCES[::-1], settings)[::-1]


def test_no_hypothesis_outgrows_the_model(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    steps = TransformerStepModel.of(bundle)
    longest = bundle.config.model.max_positions - 1
    source = [5] * longest
    for beam_size in (1, 2):
        settings = DecodingSettings(beam_size=beam_size, max_length_factor=9)
        assert len(translate_ids(steps, [source], settings)[0]) <= longest
