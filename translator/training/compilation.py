"""The model compiled by `torch.compile` for batches of one shape: when that pays, and how it is done.

Batches of many shapes would compile it again and again. The padded attention kernel makes shapes that depend on the
data, and on batches of one shape its grid would be as wide as the longest sentence allowed. So the model is compiled
only where attention is FlashAttention over offsets, and batches are filled up to one shape only if it is compiled.
"""

import sys
from collections.abc import Iterable
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from translator.attention import Packed, kernels
from translator.config import Config
from translator.model import Transformer
from translator.runtime.console import say
from translator.runtime.device import Machine, has_flash_attention
from translator.training.loss import Forward

Shape = tuple[int, ...]


def choose_order(config: Config, machine: Machine) -> Config:
    """Return the settings with `training.order` decided: `auto` is random where the model will be compiled."""
    training = config.training
    if training.order != "auto":
        return config
    order = "random" if _is_wanted(config, machine) and _obstacle(config, machine) is None else "bucketed"
    return config.model_copy(update={"training": training.model_copy(update={"order": order})})


def should_compile(config: Config, machine: Machine) -> bool:
    """Decide whether the model is compiled; say so if that was expected and is not done.

    `config.compile` is what the user wants; None means on CUDA. `training.order` must be decided.
    """
    if not _is_wanted(config, machine):
        return False
    obstacle = _obstacle(config, machine)
    if obstacle is None and config.training.order == "bucketed":
        obstacle = "bucketed batches have many shapes; training.order=random is usually faster on a GPU"
    if obstacle is not None:
        say(f"the model is not compiled, since {obstacle}")
    return obstacle is None


def _is_wanted(config: Config, machine: Machine) -> bool:
    return machine.device.type == "cuda" if config.compile is None else config.compile


def _obstacle(config: Config, machine: Machine) -> str | None:
    """What keeps attention from being FlashAttention, without which no batch has one shape; None if nothing does."""
    model = config.model
    if kernels.takes_varlen(machine.device, machine.dtype, model.width_of_head, model.attention_dropout):
        return None
    if kernels.takes_varlen(machine.device, machine.dtype, 64):
        why = f"not with model.attention_dropout={model.attention_dropout:g} and heads {model.width_of_head} wide"
    else:
        why = f"not here ({machine})"
    return (
        "it pays with FlashAttention only, which takes bf16 or fp16 on CUDA devices of compute capability 8.0 or "
        f"higher, heads of a width that is a multiple of 8 up to 256, and no attention dropout: {why}"
    )


def compiler_failure(error: BaseException) -> str | None:
    """Say what to do if `error` came from compiling the model; None for any other error."""
    # The compiler takes a second to import, and is there if it has failed.
    exceptions = sys.modules.get("torch._dynamo.exc")
    if exceptions is None or not isinstance(error, exceptions.TorchDynamoException):
        return None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first line names the backend, the second what it said.
    reason = " ".join(lines[:2]) or type(error).__name__
    return f"the model could not be compiled ({reason}); compile=false trains without that, more slowly"


class CompiledForward:
    """The forward pass of a model in training, compiled for the shape of the first batch that it gets.

    A batch of another shape, such as half of one that did not fit into memory, is computed by the model as it is, since
    compiling would take longer than the batch. So is validation, which calls the model itself.
    """

    def __init__(self, model: Transformer, by_layer: bool = False) -> None:
        """With `by_layer`, every layer is compiled by itself instead of the whole model.

        The layers of a stack share one graph, so that this takes a fraction of the time, and gradients are complete
        layer by layer: what the sums of several processes and the hooks of FSDP2 need. A whole model fuses more.
        """
        # The properties of a device are asked for in every attention, and are not traced.
        torch.compiler.assume_constant_result(has_flash_attention)
        self._model = model
        self._compiled: Forward = _LayersCompiled(model) if by_layer else torch.compile(model, dynamic=False)
        self._shape: Shape | None = None

    def __call__(self, source: Packed, target: Packed) -> Tensor:
        """Compute the decoder states `[T, d_model]`, as `Transformer.forward`."""
        shape = (*_shape(source), *_shape(target))
        self._shape = self._shape or shape
        return self._compiled(source, target) if shape == self._shape else self._model(source, target)


class _LayersCompiled:
    """A model whose layers are compiled while it is called from here, and only then.

    Only the method `forward` is replaced: hooks of the layer, such as those of FSDP2, run around it and are not traced.
    """

    def __init__(self, model: Transformer) -> None:
        self._model = model
        layers = cast(Iterable[nn.Module], chain(model.encoder_layers, model.decoder_layers))
        self._compiled = [(layer, torch.compile(layer.forward, dynamic=False)) for layer in layers]

    def __call__(self, source: Packed, target: Packed) -> Tensor:
        for layer, forward in self._compiled:
            layer.forward = forward
        try:
            states: Tensor = self._model(source, target)
        finally:
            for layer, _ in self._compiled:
                del layer.forward
        return states


def _shape(side: Packed) -> Shape:
    return side.tokens.numel(), side.layout.num_sentences, side.layout.max_length
