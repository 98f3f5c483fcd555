"""A Transformer as a step model: the next piece of every hypothesis, one step at a time.

`TransformerStepModel` is a `translator.decoding.StepModel`, the only thing that a search knows of a model.

Legend (docs/shapes.md): `N` sentences, `M` of them that stay, `K` hypotheses a sentence (one at first), `V` vocabulary.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any, Self

import torch
from torch import Tensor

from translator.attention.layout import pack
from translator.checkpoints import Bundle
from translator.inference.linear import choose_linear
from translator.inference.model import InferenceModel
from translator.model import Transformer
from translator.runtime.device import Machine

State = Any
"""What the model keeps of a batch between two steps; owned by the search, opaque to it."""


class TransformerStepModel:
    """The memory is projected once; keys and values are cached in tensors that grow.

    The caller puts the model into evaluation mode, and does not change it after the first search. `machine` says in
    which precision to compute, by default fp32.

    In fp32 the logits of a hypothesis depend on the rest of its batch by rounding alone, because kernels add in another
    order when there are more rows: by up to 2e-5 for the sample run. A search therefore finds the same for a sentence
    alone and in any batch, except if two of its choices are nearer than 1e-4 nats. tests/decoding/test_alone.py holds
    every search to that.
    """

    def __init__(
        self,
        model: Transformer,
        *,
        bos_id: int = 1,
        eos_id: int = 2,
        source_eos_id: int | None = None,
        max_length: int | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.model = model
        self.machine = machine or Machine(next(model.parameters()).device, "fp32")
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.source_eos_id = eos_id if source_eos_id is None else source_eos_id
        self.max_length = max_length
        self._inference: InferenceModel | None = None
        self._lock = Lock()

    @property
    def inference(self) -> InferenceModel:
        """The model made ready: made once, and only for a search, since other uses need no copies of the weights."""
        with self._lock:
            if self._inference is None:
                self._inference = InferenceModel(self.model, choose_linear(self.machine))
            return self._inference

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The step model of a loaded run, with its special tokens and its limit."""
        target = bundle.tokenizers.target
        return cls(
            bundle.model,
            bos_id=target.bos_id,
            eos_id=target.eos_id,
            source_eos_id=bundle.tokenizers.source.eos_id,
            # The decoder's input is the begin-of-sentence token and the pieces.
            max_length=bundle.config.model.max_positions - 1,
            machine=bundle.machine,
        )

    @property
    def device(self) -> torch.device:
        """The device of logits and tokens."""
        return self.machine.device

    @torch.inference_mode()
    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        """See `StepModel`."""
        source = pack([[*source, self.source_eos_id] for source in sources]).to(self.device)
        inference = self.inference
        return inference.start(inference.encode(source), source.layout, width, capacity)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: State) -> Tensor:
        """See `StepModel`: `tokens` `[N, K]` to logits `[N, K, V]`."""
        inference = self.inference
        return inference.logits(inference.step(tokens, state))

    @torch.inference_mode()
    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        """See `StepModel`: sentences `[M]` of `[N]`, parents `[M, K]`."""
        return state.select(sentences, parents)

    def free_device_memory(self) -> None:
        """See `StepModel`."""
        self.inference.free_workspaces()
