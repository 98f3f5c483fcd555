"""How the processes of a job share one model: how its weights are laid out, and how its gradients are summed.

Replicated and sharded models have one interface, so that the training step need not know which it has. Gradients are
never averaged: the loss is a sum over target tokens that was already divided by the tokens of the whole update.
"""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from translator.distributed.world import World
from translator.model import Transformer
from translator.training.gradient_sums import GradientSums, buckets, copy_parts


def share_model(
    model: Transformer, world: World, device: torch.device, sharded: bool, gather_dtype: torch.dtype = torch.float32
) -> "Parallel":
    """Lay out a `model`, built on the CPU, over the processes of `world`; all start with the weights of rank 0.

    Sharded weights of layers are gathered in `gather_dtype`; anything but fp32 needs autocast to it.

    Call it before making the optimizer and the moving average and before compiling: they take the parameters as they
    are afterwards.
    """
    _broadcast(model, world)
    if sharded and world.size > 1:
        return Sharded(model, world, device, gather_dtype)
    return Replicated(model, world, device)


class Parallel(ABC):
    """A model that the processes of a job share. All processes must call its methods, in the same order."""

    can_repeat: bool
    """Whether an update can be repeated after one process has failed inside a backward pass."""

    def __init__(self, model: Transformer, world: World) -> None:
        self.model = model
        self.world = world

    @abstractmethod
    def begin_batch(self, last: bool) -> None:
        """Prepare for a forward pass of an update, and say whether it is the last one. Call it before each of them."""

    @abstractmethod
    def sum_gradients(self) -> None:
        """Finish summing the gradients over all processes. Call it after the last backward pass, even if it failed."""

    @abstractmethod
    def gradient_norm(self) -> Tensor:
        """Return the norm of the summed gradient, a scalar on the device, the same in all processes."""

    @abstractmethod
    def gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gather the full tensors (weights, averages, the optimizer's state) on the main process, which saves them.

        The other processes get an empty dict.
        """

    @abstractmethod
    def shard(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Lay out full tensors, the same in every process, as the parameters are: the reverse of `gather`.

        Names are those of parameters, or `PARAMETER/KEY`.
        """

    @abstractmethod
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> contextlib.AbstractContextManager[Transformer]:
        """Give every process a full, plain model to validate with, which computes without the other processes.

        It has the current weights, or `weights` that are laid out as the parameters are, such as their average.
        """


class Replicated(Parallel):
    """Every process has the full model; gradients are summed once per update, during its last backward pass.

    A process that runs out of memory there still takes part in all sums, so that the others do not wait for it and all
    can repeat the update.
    """

    can_repeat = True

    def __init__(self, model: Transformer, world: World, device: torch.device) -> None:
        super().__init__(model.to(device), world)
        self._sums = GradientSums(model.parameters()) if world.size > 1 else None

    def begin_batch(self, last: bool) -> None:
        """Sum during the last backward pass."""
        if last and self._sums is not None:
            self._sums.begin()

    def sum_gradients(self) -> None:
        """Finish the sums; a parameter without a gradient in this process counts as zero."""
        if self._sums is not None:
            self._sums.finish()

    def gradient_norm(self) -> Tensor:
        """Compute it locally: the summed gradients are the same in all processes."""
        return torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])

    def gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors: every process has them in full."""
        return dict(tensors) if self.world.is_main else {}

    def shard(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors as they are: every process keeps them in full."""
        return dict(tensors)

    @contextlib.contextmanager
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[Transformer]:
        """Give the model itself, which has `weights` while the block runs."""
        trained = {name: parameter.data for name, parameter in self.model.named_parameters()}
        self._use(weights or {})
        try:
            yield self.model
        finally:
            self._use(trained)

    def _use(self, weights: Mapping[str, Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        for name, weight in weights.items():
            parameters[name].data = weight


class Sharded(Parallel):
    """Every process has a shard of each weight, its gradient and its Adam state (FSDP2), for models that do not fit.

    A layer is gathered when it is needed. Gradients are summed during the last backward pass of an update, so all
    processes must do the same number of passes, and one that runs out of memory cannot repeat them.
    """

    can_repeat = False

    def __init__(
        self, model: Transformer, world: World, device: torch.device, gather_dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(model, world)
        self._shell = _without_weights(model, device)
        self._nothing = _all_parameters(self._shell)
        mesh = init_device_mesh(device.type, (world.size,))
        policy = MixedPrecisionPolicy()
        if gather_dtype != torch.float32:
            # The layers get and give fp32 as without it; autocast decides in what format a product is computed.
            policy = MixedPrecisionPolicy(gather_dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
        for layer in chain(model.encoder_layers, model.decoder_layers):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        # Weights outside of the layers stay gathered until backward: the loss uses the output weight after forward.
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # Sum instead of averaging; without the second call, FSDP uses an operation that gloo does not have.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def begin_batch(self, last: bool) -> None:
        """Sum in the last backward pass only; until then every process keeps full gradients of its own."""
        cast(FSDPModule, self.model).set_requires_gradient_sync(last)

    def sum_gradients(self) -> None:
        """Do nothing: FSDP has summed the gradients during the last backward pass."""

    def gradient_norm(self) -> Tensor:
        """Compute the norm over all shards."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return cast(DTensor, torch.nn.utils.get_total_norm(gradients)).full_tensor()

    def gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gather one tensor after another; only the main process keeps them, in host memory."""
        gathered = {}
        for name, tensor in tensors.items():
            full = _full_tensor(tensor.detach())
            if self.world.is_main:
                gathered[name] = full.cpu()
        return gathered

    def shard(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Shard each tensor that has the shape of its parameter, without communication."""
        parameters = cast(dict[str, DTensor], dict(self.model.named_parameters()))
        shards = dict(tensors)
        for name, tensor in tensors.items():
            parameter = parameters.get(name.partition("/")[0])
            if parameter is not None and parameter.shape == tensor.shape:
                mesh, placements = parameter.device_mesh, parameter.placements
                shards[name] = distribute_tensor(tensor.to(parameter.device), mesh, placements, src_data_rank=None)
        return shards

    @contextlib.contextmanager
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[Transformer]:
        """Give a second model, whose weights exist while the block runs; gradients and Adam state stay sharded."""
        tensors = dict(self.model.named_parameters()) if weights is None else weights
        gathered = {name: nn.Parameter(_full_tensor(t.detach()), requires_grad=False) for name, t in tensors.items()}
        primary = {id(parameter): name for name, parameter in self._shell.named_parameters()}
        # A shared matrix has several names in the shell, and one in `tensors`.
        names = {name: gathered[primary[id(parameter)]] for name, parameter in _all_parameters(self._shell).items()}
        self._shell.load_state_dict(names, assign=True)
        try:
            yield self._shell
        finally:
            self._shell.load_state_dict(self._nothing, assign=True)


def _broadcast(model: nn.Module, world: World) -> None:
    """Give every process the weights of rank 0."""
    if world.size > 1:
        for bucket in buckets(model.parameters()):
            weights = [parameter.detach() for parameter in bucket]
            flat = torch.cat([weight.flatten() for weight in weights])
            dist.broadcast(flat, 0)
            copy_parts(flat, weights)


def _full_tensor(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _without_weights(model: Transformer, device: torch.device) -> Transformer:
    """Copy the model's structure: weights without storage, constant tables on the device."""
    emptied = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
        for parameter in model.parameters()
    }
    shell = copy.deepcopy(model, emptied)
    for buffer in shell.buffers():
        buffer.data = buffer.data.to(device)
    return shell


def _all_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters under all of their names."""
    return dict(model.named_parameters(remove_duplicate=False))
