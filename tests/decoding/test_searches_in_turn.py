"""Two searches in turn, as on CUDA: equal to one search bit for bit, also after one of them ran out of memory."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from translator.config import DecodingSettings, ModelSettings
from translator.decoding import Hypothesis
from translator.decoding import engine as engine_module
from translator.decoding.engine import NativeEngine
from translator.decoding.hypothesis import Request
from translator.inference import TransformerStepModel
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model
from translator.translation.engine_choice import SEARCHES_ON_A_DEVICE

KINDS = [TransformerStepModel, GraphedStepModel]


@pytest.fixture(scope="module")
def model() -> Transformer:
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2, "max_positions": 90}
    made = build_model(ModelSettings(**shape), 30, 30, seed=1).eval()
    with torch.no_grad():
        made.output_weight[2].mul_(2.0)  # Sentences end, and at different times.
    return made


@pytest.fixture(autouse=True)
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The batches are those of the settings, whatever the number of workers, and every search has one thread."""
    monkeypatch.setattr(engine_module, "even_budget", lambda lengths, budget, workers: budget)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def requests_of(count: int) -> list[Request]:
    """Sources of 1 to 25 tokens, long and short ones mixed, some twice, and one without tokens."""
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 26, (count,), generator=random).tolist()
    sources = [tuple(torch.randint(3, 30, (length,), generator=random).tolist()) for length in lengths]
    return [Request(source) for source in [*sources, sources[0], (), sources[-1]]]


def in_turn(kind: type[TransformerStepModel], model: Transformer, fail_above: int | None = None) -> Any:
    """A step model whose first two searches begin together; one of them may run out of memory in its third step."""

    class Watched(kind):  # type: ignore[valid-type,misc]
        def __init__(self) -> None:
            super().__init__(model)
            self.lock, self.started, self.freed, self.failing = threading.Lock(), [], 0, None
            self.together = threading.Barrier(SEARCHES_ON_A_DEVICE)

        def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> Any:
            with self.lock:
                self.started.append(len(sources))
                index = len(self.started)
            if index <= SEARCHES_ON_A_DEVICE:
                self.together.wait(timeout=60)
            local.steps, local.sentences, local.first = 0, len(sources), index == 1
            return super().start(sources, width, capacity)

        def step(self, tokens: torch.Tensor, state: Any) -> torch.Tensor:
            local.steps += 1
            if fail_above is not None and local.first and local.steps == 3 and local.sentences > fail_above:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().step(tokens, state)

        def free_device_memory(self) -> None:
            with self.lock:
                self.freed += 1
            super().free_device_memory()

    local = threading.local()
    return Watched()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        DecodingSettings(beam_size=1),
        DecodingSettings(beam_size=3, batch_tokens=180),
        DecodingSettings(beam_size=5, n_best=5, batch_tokens=300),
        DecodingSettings(beam_size=4, n_best=2, diverse_groups=2, diversity_penalty=0.5, batch_tokens=180),
        DecodingSettings(search="sampling", n_best=3, batch_tokens=180),
    ],
    ids=lambda settings: f"{settings.search}-{settings.beam_size}-{settings.n_best}",
)
def test_two_searches_in_turn_equal_one_bit_for_bit(
    kind: type[TransformerStepModel], settings: DecodingSettings, model: Transformer
) -> None:
    if settings.batch_tokens == "auto":
        settings = settings.model_copy(update={"batch_tokens": 60})
    requests = requests_of(30)
    expected = NativeEngine(kind(model)).search(requests, settings)
    steps = in_turn(kind, model)
    finished: list[int] = []
    found = NativeEngine(steps, workers=SEARCHES_ON_A_DEVICE).search(requests, settings, on_batch=finished.append)
    # Tokens, log-probabilities and scores.
    assert found == expected
    assert len(steps.started) >= 4 and sum(finished) == sum(map(bool, (request.source for request in requests)))
    assert len({len(hypotheses[0].tokens) for hypotheses in found}) > 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_one_of_two_searches_that_runs_out_of_memory_loses_no_line(
    kind: type[TransformerStepModel], beam_size: int, model: Transformer, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = DecodingSettings(beam_size=beam_size, n_best=min(beam_size, 2), batch_tokens=90 * beam_size)
    requests = requests_of(40)
    expected = NativeEngine(kind(model)).search(requests, settings)
    steps = in_turn(kind, model, fail_above=2)
    finished: list[int] = []
    found = NativeEngine(steps, workers=SEARCHES_ON_A_DEVICE).search(requests, settings, on_batch=finished.append)
    assert capfd.readouterr().err.count("out of memory in a batch of translations") == 1 == steps.freed
    assert sum(finished) == len(requests) - 1
    # Halves have other shapes, hence other roundings.
    assert [[each.tokens for each in row] for row in found] == [[each.tokens for each in row] for row in expected]
    assert _scores(found) == pytest.approx(_scores(expected), rel=1e-5)


def _scores(found: list[list[Hypothesis]]) -> list[float]:
    return [each.score for row in found for each in row]
