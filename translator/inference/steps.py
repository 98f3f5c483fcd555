"""The step function: all that a search knows of a model.

Every search is written over `StepModel`, so that it is tested on a table of numbers and works for whatever can
say what comes next: a Transformer here, an ensemble or another engine elsewhere.

Shapes: N sentences, K hypotheses of each (one at first), V vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from translator.attention.layout import pack
from translator.inference.linear import choose_linear
from translator.runtime.device import Machine

if TYPE_CHECKING:
    from translator.checkpoints import Bundle
    from translator.inference.model import InferenceModel
    from translator.model import Transformer

State = Any
"""What the model remembers of a batch between two steps; owned by the search, opaque to it."""


class TransformerStepModel:
    """`StepModel` over a Transformer: the memory is projected once, keys and values are cached.

    The caller puts the model into evaluation mode, and does not change it after the first search. `machine` says in
    which precision to compute, by default fp32.
    """

    def __init__(
        self,
        model: "Transformer",
        *,
        bos_id: int = 1,
        eos_id: int = 2,
        max_length: int | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.model = model
        self.machine = machine or Machine(next(model.parameters()).device, "fp32")
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.max_length = max_length
        self._linear = choose_linear(self.machine)
        self._lock = Lock()

    @cached_property
    def _inference(self) -> "InferenceModel":
        from translator.inference.model import InferenceModel

        return InferenceModel(self.model, self._linear)

    @classmethod
    def of(cls, bundle: "Bundle") -> "TransformerStepModel":
        """The step function of a loaded run, with its marks and its limit."""
        target = bundle.tokenizers.target
        # The decoder's input is the begin mark and the pieces.
        longest = bundle.config.model.max_positions - 1
        return cls(
            bundle.model,
            bos_id=target.bos_id,
            eos_id=target.eos_id,
            max_length=longest,
            machine=bundle.machine,
        )

    @property
    def device(self) -> torch.device:
        return self.machine.device

    @torch.inference_mode()
    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        source = pack([[*source, self.eos_id] for source in sources]).to(self.device)
        with self._lock:
            # Made once, and only for a search; other uses of this class need no copies of the weights.
            inference = self._inference
        return inference.start(inference.encode(source), source.layout, width, capacity)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: State) -> Tensor:
        return self._inference.logits(self._inference.step(tokens, state))  # [N, K, V]

    @torch.inference_mode()
    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        return state.select(sentences, parents)
