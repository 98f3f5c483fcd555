"""Searches over replayed steps against searches over steps that grow: the same hypotheses with the same scores.

Recordings are made by `Tape`, which on any device does what a CUDA graph does.
"""

import contextlib
import dataclasses
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from translator.checkpoints import load_bundle
from translator.config import ModelSettings
from translator.decoding import Hypothesis, LengthPenalty, beam_search, sample_search
from translator.decoding.generate import greedy_search
from translator.inference import TransformerStepModel
from translator.inference import cuda_graphs as graphs
from translator.inference.cuda_graphs import GraphedStepModel, choose_step_model
from translator.model import Transformer, build_model
from translator.runtime.device import Machine

PENALTY = LengthPenalty("gnmt", 0.6)


class Tape(TorchDispatchMode):
    """Repeats the operations of a function on the tensors that they had, and nothing else that it did."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        with self:
            function()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(function), "the step asks for a number"
        result = function(*arguments, **(options or {}))
        self.operations.append((function, arguments, options or {}, result))
        return result

    def replay(self) -> None:
        self.replays += 1
        for function, arguments, options, result in self.operations:
            for old, new in zip(tree_leaves(result), tree_leaves(function(*arguments, **options)), strict=True):
                if isinstance(old, Tensor):
                    # To the old address. What was written in place, or is a view, is there already.
                    old.copy_(new)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """All recordings that are made; a shape that comes a second time is already replayed."""
    monkeypatch.setattr(graphs, "_PATIENCE", 1)
    return []


def taped(tapes: list[Tape], model: Transformer, **options: Any) -> GraphedStepModel:
    def record(function: Callable[[], None]) -> graphs.Replay:
        tapes.append(Tape(function))
        return tapes[-1].replay

    return GraphedStepModel(model, make_record=lambda: record, **options)


def model_of(seed: int, **changes: Any) -> Transformer:
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2, "max_positions": 200}
    model = build_model(ModelSettings(**(shape | changes), tie_embeddings="none"), 30, 30, seed).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
        # Sentences end, and at different times.
        model.output_weight[2].mul_(2.5)
    return model


def batch_of(seed: int, sentences: int, longest: int) -> tuple[list[list[int]], list[int]]:
    """Sources and limits."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (sentences,), generator=random).tolist()
    sources = [torch.randint(3, 30, (length,), generator=random).tolist() for length in lengths]
    return sources, torch.randint(1, 80, (sentences,), generator=random).tolist()


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[one.tokens for one in row] for row in found] == [[one.tokens for one in row] for row in expected]
    for one, other in zip(sum(found, []), sum(expected, []), strict=True):
        # Rounding: these models' logits, growing or replayed, are up to 1e-4 away from what float64 gives.
        assert one.score == pytest.approx(other.score, rel=1e-5, abs=1e-5, nan_ok=True)
        assert one.log_probability == pytest.approx(other.log_probability, rel=1e-5, abs=1e-4, nan_ok=True)


SEARCHES: dict[str, Callable[..., Any]] = {
    "greedy": lambda *arguments: [[one] for one in greedy_search(*arguments)],
    "greedy with scores": lambda *arguments: [[one] for one in greedy_search(*arguments, penalty=PENALTY)],
    "beam 2": lambda *arguments: beam_search(*arguments, beam_size=2, penalty=PENALTY, n_best=2),
    "beam 5": lambda *arguments: beam_search(*arguments, beam_size=5, penalty=PENALTY, n_best=5),
    "groups": lambda *arguments: beam_search(*arguments, beam_size=4, penalty=PENALTY, groups=2, diversity_penalty=1.0),
    "samples": lambda steps, sources, limits: sample_search(
        steps, sources, limits, samples=6, seeds=range(len(sources)), penalty=PENALTY, top_k=8
    ),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", range(2))
def test_searches_find_the_same(tapes: list[Tape], search: str, seed: int) -> None:
    """One batch after the other in the same tensors: of other sizes, longer than what they had room for, and again."""
    model = model_of(seed, norm="pre" if seed == 1 else "post")
    growing, replayed, plain = TransformerStepModel(model), taped(tapes, model), GraphedStepModel(model)
    for sentences, longest in ((7, 6), (1, 70), (13, 3), (7, 6), (7, 60)):
        sources, limits = batch_of(seed + sentences, sentences, longest)
        expected = SEARCHES[search](growing, sources, limits)
        if sentences > 1:
            assert len({len(row[0].tokens) for row in expected}) > 2
        for steps in (replayed, plain):
            assert_same(SEARCHES[search](steps, sources, limits), expected)
    assert sum(tape.replays for tape in tapes) > len(tapes)
    assert len(replayed._idle) == len(plain._idle) == 1


def test_a_sentence_is_translated_alike_alone_and_among_others(tapes: list[Tape]) -> None:
    steps = taped(tapes, model_of(5))
    sources, limits = batch_of(5, 6, 9)
    together = SEARCHES["beam 5"](steps, sources, limits)
    alone = [SEARCHES["beam 5"](steps, [source], [limit])[0] for source, limit in zip(sources, limits, strict=True)]
    assert_same(alone, together)


def test_half_precision_is_as_near_to_full_as_that_of_autocast(tapes: list[Tape]) -> None:
    torch.manual_seed(1)
    model, machine = model_of(1), Machine(torch.device("cpu"), "bf16")
    steps = [
        TransformerStepModel(model), TransformerStepModel(model, machine=machine), taped(tapes, model, machine=machine)
    ]  # fmt: skip
    sources, _ = batch_of(1, 5, 9)
    states = [one.start(sources, 3, 8) for one in steps]
    tokens, parents = torch.full((5, 1), 1), torch.zeros(5, 3, dtype=torch.int64)
    errors = torch.zeros(2)
    for _ in range(8):
        exact, *rough = (one.step(tokens, state) for one, state in zip(steps, states, strict=True))
        assert all(logits.dtype == torch.bfloat16 for logits in rough)
        errors += torch.stack([(logits - exact).abs().mean() for logits in rough])
        states = [one.select(state, None, parents) for one, state in zip(steps, states, strict=True)]
        tokens, parents = torch.randint(3, 30, (5, 3)), torch.randint(3, (5, 3))
    assert 0 < errors[1] < 1.2 * errors[0]
    assert sum(tape.replays for tape in tapes) == 6


def test_threads_search_at_once(tapes: list[Tape]) -> None:
    model = model_of(2)
    steps, growing = taped(tapes, model), TransformerStepModel(model)
    batches = [batch_of(seed, 5, 8) for seed in range(4)]
    expected = [SEARCHES["beam 5"](growing, *batch) for batch in batches]
    barrier, found = threading.Barrier(2), {}

    def search(first: int) -> None:
        for index in (first, first + 2):
            barrier.wait()
            found[index] = SEARCHES["beam 5"](steps, *batches[index])

    threads = [threading.Thread(target=search, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, row in enumerate(expected):
        assert_same(found[index], row)
    assert 1 <= len(steps._idle) <= 2


def test_states_that_live_at_once_have_tensors_of_their_own() -> None:
    steps = GraphedStepModel(model_of(3))
    tokens = torch.ones(1, 1, dtype=torch.int64)
    first = steps.start([[5, 6]], 1, 4)
    alone = steps.step(tokens, first)
    second = steps.start([[7, 8, 9]], 1, 4)
    steps.step(tokens, second)
    steps.step(tokens, first)
    again = steps.start([[5, 6]], 1, 4)
    assert torch.equal(steps.step(tokens, again), alone)
    assert not steps._idle
    del first, second
    assert len(steps._idle) == 2


def test_recordings_are_made_of_what_comes_back_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_MOST_GRAPHS", 2)
    tapes: list[Tape] = []
    steps = taped(tapes, model_of(4))
    for _ in range(2):
        for sentences in (4, 3, 2):
            steps.step(torch.ones(sentences, 1, dtype=torch.int64), steps.start([[5]] * sentences, 1, 4))
    assert not tapes
    for sentences, made in ((4, 1), (3, 2), (4, 2), (2, 3), (4, 3), (3, 4)):
        steps.step(torch.ones(sentences, 1, dtype=torch.int64), steps.start([[5]] * sentences, 1, 4))
        assert len(tapes) == made, sentences
    assert steps.recordings == 2
    # What needs more room moves the tensors, and the recordings with them.
    steps.start([[5] * 30] * 40, 1, 4)
    assert not steps.recordings


def test_without_recordings_the_search_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(graphs, "_PATIENCE", 1)

    def record(function: Callable[[], None]) -> graphs.Replay:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    model = model_of(0)
    steps = GraphedStepModel(model, make_record=lambda: record)
    for seed, sentences in ((1, 3), (2, 30)):
        batch = batch_of(seed, sentences, 6)
        assert_same(SEARCHES["beam 2"](steps, *batch), SEARCHES["beam 2"](TransformerStepModel(model), *batch))
    message = capfd.readouterr().err
    assert message.count("without CUDA graphs") == 1
    assert "operation not permitted" in message


def test_replays_are_for_cuda(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    assert type(choose_step_model(bundle)) is TransformerStepModel
    on_gpu = choose_step_model(dataclasses.replace(bundle, machine=Machine(torch.device("cuda"), "bf16")))
    assert isinstance(on_gpu, GraphedStepModel)
    assert on_gpu.max_length == bundle.config.model.max_positions - 1
    assert GraphedStepModel(bundle.model)._make_record() is None


def test_a_graph_is_recorded_as_pytorch_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that can be said without a device: the order of things, and the names of arguments."""
    done: list[Any] = []
    signature = inspect.signature(torch.cuda.graph)

    class Graph:
        def replay(self) -> None:
            done.append("replay")

    @contextlib.contextmanager
    def recording(*arguments: Any, **options: Any) -> Iterator[None]:
        done.append(signature.bind(*arguments, **options).arguments)
        yield
        done.append("end")

    stream = SimpleNamespace(device=torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 7))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(graphs, "_recording_stream", lambda device: stream)
    replay = graphs.CudaGraphs(torch.device("cuda", 0))(lambda: done.append("function"))
    begun, *rest = done
    assert isinstance(begun.pop("cuda_graph"), Graph)
    assert begun == {"pool": (0, 7), "stream": stream, "capture_error_mode": "thread_local"}
    assert rest == ["function", "end"]
    replay()
    assert done[-1] == "replay"
