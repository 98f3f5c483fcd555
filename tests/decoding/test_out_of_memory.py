"""Searches and scores continue in halves when device memory runs out, and find the same as without."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from translator.config import DecodingSettings, ModelSettings
from translator.decoding import translate_ids
from translator.decoding.ensemble import EnsembleStepModel
from translator.decoding.scoring import score_pairs
from translator.inference import TransformerStepModel
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model

SOURCES = [[3, 4, 5], [6], [7, 8, 9, 10], [5, 5], [11, 3]]
SEARCHES = {"greedy": DecodingSettings(beam_size=1), "beam": DecodingSettings(beam_size=3, max_length_extra=4)}


@pytest.fixture(scope="module")
def model() -> Transformer:
    shape = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "d_ff": 24, "num_heads": 2, "max_positions": 60}
    return build_model(ModelSettings(**shape), 30, 30, seed=1).eval()


def with_little_memory(kind: type[TransformerStepModel], model: Transformer, most: int) -> TransformerStepModel:
    """A step model that runs out of memory in the second step of more than `most` sentences."""

    class Little(kind):  # type: ignore[valid-type,misc]
        tried: list[int]
        freed = 0

        def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> Any:
            self.tried.append(len(sources))
            return super().start(sources, width, capacity)

        def select(self, state: Any, sentences: Any, parents: torch.Tensor) -> Any:
            if self.tried[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().select(state, sentences, parents)

        def free_device_memory(self) -> None:
            super().free_device_memory()
            self.freed += 1
            assert not getattr(self, "_idle", []) and not self.inference._spare

    steps = Little(model)
    steps.tried = []
    return steps


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", [TransformerStepModel, GraphedStepModel])
def test_a_search_is_done_again_in_halves(
    kind: type[TransformerStepModel], search: str, model: Transformer, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = SEARCHES[search].model_copy(update={"min_length_extra": 3})
    steps = with_little_memory(kind, model, 2)
    if search == "greedy":
        steps.step = _failing_step(steps)  # type: ignore[method-assign]
    assert translate_ids(steps, SOURCES, settings) == translate_ids(kind(model), SOURCES, settings)
    assert steps.tried == [5, 2, 3, 1, 2]  # type: ignore[attr-defined]
    assert steps.freed == 2  # type: ignore[attr-defined]
    assert capfd.readouterr().err.count("out of memory in a batch of translations") == 2


def _failing_step(steps: Any) -> Any:
    """Greedy search may select nothing until a sentence ends; let its steps fail instead."""
    step = steps.step

    def fail(tokens: torch.Tensor, state: Any) -> torch.Tensor:
        if steps.tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(tokens, state)

    return fail


def test_members_of_an_ensemble_free_their_memory(model: Transformer) -> None:
    members = [with_little_memory(TransformerStepModel, model, 9) for _ in range(2)]
    EnsembleStepModel(members).free_device_memory()
    assert [member.freed for member in members] == [1, 1]  # type: ignore[attr-defined]


def test_scores_are_computed_again_in_halves(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [source[::-1] for source in SOURCES]
    expected = score_pairs([TransformerStepModel(model)], SOURCES, targets)
    forward = Transformer.forward

    def fail(self: Transformer, source: Any, target: Any) -> torch.Tensor:
        if target.layout.num_sentences > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, source, target)

    monkeypatch.setattr(Transformer, "forward", fail)
    found = score_pairs([TransformerStepModel(model)], SOURCES, targets)
    for one, other in zip(found, expected, strict=True):
        assert one is not None and other is not None
        assert one.log_probabilities == pytest.approx(other.log_probabilities, rel=1e-5)
