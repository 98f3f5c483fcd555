"""The batch size of decoding follows the device; two searches in turn find what one finds."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from translator.config import DecodingSettings, ModelSettings, load_config, resolve_preset
from translator.decoding.batch_tokens import AUTOMATIC, automatic_batch_tokens, batch_tokens_of
from translator.decoding.engine import NativeEngine
from translator.decoding.hypothesis import Request
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model
from translator.runtime.device import Machine

CUDA = Machine(torch.device("cuda"), "bf16")


def with_memory(monkeypatch: pytest.MonkeyPatch, gibibytes: float) -> None:
    properties = SimpleNamespace(total_memory=int(gibibytes * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


@pytest.fixture(scope="module")
def base() -> Transformer:
    with torch.device("meta"):
        return build_model(resolve_preset(load_config(None, ["preset=base"])).model, 37_000, 37_000, seed=1)


def test_a_large_gpu_decodes_512_sentences_with_a_beam_of_five(
    base: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory(monkeypatch, 139)
    assert automatic_batch_tokens([base], CUDA) == 512 * 5 * 32
    assert batch_tokens_of(DecodingSettings(), automatic_batch_tokens([base], CUDA)) == 512 * 5 * 32


def test_a_small_gpu_decodes_what_fits(base: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory(monkeypatch, 8)
    alone, ensemble = automatic_batch_tokens([base], CUDA), automatic_batch_tokens([base] * 3, CUDA)
    assert AUTOMATIC < alone < 512 * 5 * 32
    assert ensemble == pytest.approx(alone / 3, abs=1)
    with_memory(monkeypatch, 0.01)
    assert automatic_batch_tokens([base], CUDA) == 1024


def test_the_cpu_and_a_stated_number_stay(base: Transformer) -> None:
    assert automatic_batch_tokens([base], Machine(torch.device("cpu"), "fp32")) == AUTOMATIC == 8192
    assert batch_tokens_of(DecodingSettings(batch_tokens=77), 5000) == 77
    assert batch_tokens_of(DecodingSettings(), 5000) == 5000


class Watched(GraphedStepModel):
    """Counts the searches that are under way at once, and the sentences of each; `device` is what it says it is."""

    said: torch.device | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sentences: list[int] = []
        self.barrier: threading.Barrier | None = None

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> Any:
        self.sentences.append(len(sources))
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        return super().start(sources, width, capacity)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_two_searches_in_turn_find_what_one_finds(beam_size: int) -> None:
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2, "max_positions": 90}
    model = build_model(ModelSettings(**shape), 30, 30, seed=1).eval()
    random = torch.Generator().manual_seed(1)
    requests = [Request(tuple(range(3, 4 + int(torch.randint(20, (), generator=random))))) for _ in range(24)]
    settings = DecodingSettings(beam_size=beam_size, batch_tokens=60 * beam_size)
    one, two = Watched(model), Watched(model)
    expected = NativeEngine(one).search(requests, settings)
    two.barrier = threading.Barrier(2) if len(one.sentences) % 2 == 0 else None
    found = NativeEngine(two, workers=2).search(requests, settings)
    assert [[hypothesis.tokens for hypothesis in row] for row in found] == [
        [hypothesis.tokens for hypothesis in row] for row in expected
    ]
    for row, other in zip(found, expected, strict=True):
        assert [hypothesis.score for hypothesis in row] == pytest.approx(
            [hypothesis.score for hypothesis in other], rel=1e-5
        )


def test_workers_on_a_device_do_not_split_what_fits_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "d_ff": 16, "num_heads": 2}
    model = build_model(ModelSettings(**shape), 30, 30, seed=1).eval()
    requests = [Request((5, 6, 7))] * 8
    on_cpu = Watched(model)
    NativeEngine(on_cpu, workers=2).search(requests, DecodingSettings(beam_size=1))
    assert sorted(on_cpu.sentences) == [4, 4]
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    batches: list[int] = []
    steps: Any = SimpleNamespace(
        device=torch.device("cuda"), max_length=None, eos_id=2, bos_id=1, free_device_memory=lambda: None
    )
    engine = NativeEngine(steps, workers=2)
    monkeypatch.setattr(engine, "_search", lambda batch, *others: batches.append(len(batch)) or [[] for _ in batch])
    engine.search(requests, DecodingSettings(beam_size=1))
    assert batches == [8]
    # Workers compute on the device that was the current one where the engine was made.
    assert devices == [3]
