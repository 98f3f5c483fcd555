"""Steps of a Transformer as CUDA graphs: recorded once for each shape, and then replayed with a single launch.

A decoding step is hundreds of small kernels, and without a graph the host starts each of them again at every step.

Legend (docs/shapes.md): `M` sentences still decoded, `K` hypotheses a sentence, `S` source tokens, `V` vocabulary.
"""

import functools
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from translator.attention.layout import pack
from translator.checkpoints import Bundle
from translator.inference.static_decoder import StaticDecoder, StepShape
from translator.inference.steps import State, TransformerStepModel
from translator.runtime.console import warn

Replay = Callable[[], None]
Record = Callable[[Callable[[], None]], Replay]
"""Turns a function into one that does the same to the same tensors, without its Python."""
MakeRecord = Callable[[], Record | None]

_PATIENCE = 3
"""Steps of a shape before it is recorded: a shape that comes once is not worth it. They also warm the kernels up."""
_MOST_GRAPHS = 128
"""Recordings kept for one set of tensors."""

_ONE_AT_A_TIME = threading.Lock()


class CudaGraphs:
    """Records CUDA graphs that share device memory for their temporaries, so that no two may be replayed at once."""

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = _recording_stream(device)

    def __call__(self, function: Callable[[], None]) -> Replay:
        """Record `function`, which has run before and whose only effect is what it writes into existing tensors.

        The call waits for the device; nothing is computed. What other threads do meanwhile is not recorded.
        """
        graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local")
        with _ONE_AT_A_TIME, torch.cuda.device(self._stream.device), recording:
            function()
        return graph.replay


@functools.cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    # One for all, since libraries keep a workspace for each stream that they have seen.
    return torch.cuda.Stream(device)


class ReplayedDecoder:
    """A `StaticDecoder` whose steps are recorded once their shape has come a few times; for one search at a time."""

    def __init__(self, decoder: StaticDecoder, make_record: MakeRecord) -> None:
        """`make_record` makes what records, again when the tensors have moved; None computes every step as it is."""
        self.decoder = decoder
        self.replays: OrderedDict[StepShape, Replay] = OrderedDict()
        self._make_record = make_record
        self._record = make_record()
        self._seen: Counter[StepShape] = Counter()

    def run(self) -> None:
        """Compute the step that the decoder was fed."""
        shape = self.decoder.shape
        replay = self.replays.get(shape)
        if replay is not None:
            self.replays.move_to_end(shape)
            replay()
            return
        self.decoder.run()
        self._seen[shape] += 1
        if self._record is not None and self._seen[shape] >= _PATIENCE:
            self._keep(shape, self._record)

    def forget(self) -> None:
        """Drop all recordings, as they are void once the decoder's tensors have moved; the device must be idle."""
        self.replays.clear()
        # With the last graph its pool is gone too, and must not be used again.
        self._record = self._make_record()

    def _keep(self, shape: StepShape, record: Record) -> None:
        try:
            self.replays[shape] = record(self.decoder.run)
        except RuntimeError as error:
            # The step itself has been computed: the translation does not depend on the recording.
            self._record, self._make_record = None, _no_record
            warn(f"decoding continues without CUDA graphs, more slowly; recording {shape} failed: {error}")
        # Recording has waited for the device, so what is dropped here is not running.
        while len(self.replays) > _MOST_GRAPHS:
            self.replays.popitem(last=False)


def _no_record() -> None:
    return None


class _Search:
    """The state of a search, which has borrowed a decoder for as long as it lives."""

    def __init__(self, replayed: ReplayedDecoder) -> None:
        self.replayed = replayed
        self.decoder = replayed.decoder


class GraphedStepModel(TransformerStepModel):
    """`TransformerStepModel` in tensors of fixed address, replayed as CUDA graphs if the device is one.

    The model's weights must not change after the first search. Each search has a set of tensors to itself, which a
    later one takes over when that search's state is gone; `select` changes a state in place. Threads may search at
    once on one CUDA stream, such as PyTorch's default.
    """

    def __init__(self, *arguments: Any, make_record: MakeRecord | None = None, **options: Any) -> None:
        """Arguments as of `TransformerStepModel`; `make_record` makes what records for one set of tensors."""
        super().__init__(*arguments, **options)
        self._make_record = make_record or self._cuda_graphs
        # What no search uses; the last one out is the first one in, so that few sets collect recordings.
        self._idle: list[ReplayedDecoder] = []

    @property
    def recordings(self) -> int:
        """Shapes that have been recorded, in the tensors that no search is using."""
        return sum(len(replayed.replays) for replayed in self._idle)

    @torch.inference_mode()
    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        """See `StepModel`."""
        source = pack([[*source, self.source_eos_id] for source in sources]).to(self.device)
        replayed = self._borrow()
        memory = self.inference.encode(source)  # [S, d_model]
        if replayed.decoder.begin(memory, source.layout, width, capacity):
            self._wait()
            replayed.forget()
        search = _Search(replayed)
        weakref.finalize(search, self._idle.append, replayed).atexit = False
        return search

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: State) -> Tensor:
        """See `StepModel`: `tokens` `[M, K]` to logits `[M, K, V]`."""
        state.decoder.feed(tokens)
        state.replayed.run()
        return self.inference.logits(state.decoder.output())

    @torch.inference_mode()
    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        """See `StepModel`."""
        state.decoder.select(sentences, parents)
        return state

    def free_device_memory(self) -> None:
        """See `StepModel`; recordings are dropped along with the tensors that they use."""
        super().free_device_memory()
        # A recording must not be dropped while it runs.
        self._wait()
        self._idle.clear()

    def _borrow(self) -> ReplayedDecoder:
        # Without a lock, since what gives back may run whenever something is freed; `pop` is one step for all threads.
        try:
            return self._idle.pop()
        except IndexError:
            return ReplayedDecoder(StaticDecoder(self.inference, self.machine.dtype), self._make_record)

    def _cuda_graphs(self) -> Record | None:
        device = self.inference.device
        return CudaGraphs(device) if device.type == "cuda" else None

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def choose_step_model(bundle: Bundle) -> TransformerStepModel:
    """Return the faster step model of a loaded run: replayed on CUDA, growing elsewhere and for recurrent cells."""
    replayed = bundle.machine.device.type == "cuda" and bundle.config.model.decoder_cell == "attention"
    return (GraphedStepModel if replayed else TransformerStepModel).of(bundle)
