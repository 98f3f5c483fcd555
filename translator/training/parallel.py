"""How the processes of a job share one model: how its weights are laid out, and how gradients become sums over all.

Both ways have one interface, so that the step does not know which it is. Neither averages: the loss is a sum over
target tokens that was divided by the tokens of the whole update.
"""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from translator.distributed.world import World
from translator.model import Transformer

_BUCKET_NUMBERS = 1 << 24


def share_model(model: Transformer, world: World, device: torch.device, sharded: bool) -> "Parallel":
    """Lay out a `model`, built on the CPU, over the processes of `world`; all begin with the weights of rank 0.

    Before optimizer, moving average and compilation, which take the parameters as they are afterwards.
    """
    _spread(model, world)
    return Sharded(model, world, device) if sharded and world.size > 1 else Replicated(model, world, device)


class Parallel(ABC):
    """The processes' common hold on a model. All methods are called by all processes, in the same order."""

    can_repeat: bool
    """Whether a process that fails inside a backward pass can begin the update again."""

    def __init__(self, model: Transformer, world: World) -> None:
        self.model = model
        self.world = world

    @abstractmethod
    def begin_batch(self, last: bool) -> None:
        """Say before each forward pass of an update whether it is the last."""

    @abstractmethod
    def sum_gradients(self) -> None:
        """Make the gradients, after the last backward pass, those of all processes together."""

    @abstractmethod
    def gradient_norm(self) -> Tensor:
        """The norm of the summed gradient, a number on the device that is the same in all processes."""

    @abstractmethod
    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Complete what is in pieces (weights, averages, the optimizer's state): to be saved by the main process.

        The others get an empty dict.
        """

    @abstractmethod
    def pieces(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The reverse: each process gives the same whole tensors, and gets them laid out as the parameters are.

        Names are those of parameters, or begin with one and a slash.
        """

    @abstractmethod
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> contextlib.AbstractContextManager[Transformer]:
        """Give a model to validate with, plain and whole in every process, which needs no others to compute.

        It has the present weights, or `weights` that are laid out as the parameters are, such as their average.
        """


class Replicated(Parallel):
    """Every process has the whole model; gradients are summed once an update, after all backward passes.

    Not inside backward: a process that runs out of memory there can begin again without leaving others waiting.
    """

    can_repeat = True

    def __init__(self, model: Transformer, world: World, device: torch.device) -> None:
        super().__init__(model.to(device), world)

    def begin_batch(self, last: bool) -> None:
        """Nothing happens before the end of the update."""

    @torch.no_grad()
    def sum_gradients(self) -> None:
        """Sum in a few large pieces; a parameter that had no gradient here counts as zero."""
        if self.world.size == 1:
            return
        for bucket in _buckets(p for p in self.model.parameters() if p.requires_grad):
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in bucket if parameter.grad is not None]
            _through_one_tensor(gradients, dist.all_reduce)

    def gradient_norm(self) -> Tensor:
        """The same in all processes, since the sums are."""
        return torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """They are whole."""
        return dict(tensors) if self.world.is_main else {}

    def pieces(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """They stay whole."""
        return dict(tensors)

    @contextlib.contextmanager
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[Transformer]:
        """The model itself, which has `weights` while the block runs."""
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
    """Every process has a slice of each weight, its gradient and its Adam state (FSDP2), for models that do not fit.

    A layer is put together when it is needed. Gradients are summed in the last backward pass of an update, so that
    all processes must do the same number of passes: one that runs out of memory there cannot begin again.
    """

    can_repeat = False

    def __init__(self, model: Transformer, world: World, device: torch.device) -> None:
        super().__init__(model, world)
        self._shell = _without_weights(model, device)
        self._nothing = _all_parameters(self._shell)
        mesh = init_device_mesh(device.type, (world.size,))
        for layer in chain(model.encoder_layers, model.decoder_layers):
            fully_shard(layer, mesh=mesh)
        # What lies outside of the layers stays together until backward: the loss takes the output weight after forward.
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # Sums; without the second, FSDP asks for an operation that gloo does not have.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def begin_batch(self, last: bool) -> None:
        """Sum in the last backward pass only; until then every process keeps whole gradients of its own."""
        cast(FSDPModule, self.model).set_requires_gradient_sync(last)

    def sum_gradients(self) -> None:
        """Done in the last backward pass."""

    def gradient_norm(self) -> Tensor:
        """Over all slices."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return cast(DTensor, torch.nn.utils.get_total_norm(gradients)).full_tensor()

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gathered one by one; only the main process keeps them, in the host's memory."""
        complete = {}
        for name, tensor in tensors.items():
            full = _complete(tensor.detach())
            if self.world.is_main:
                complete[name] = full.cpu()
        return complete

    def pieces(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A tensor is cut if it is as large as its parameter; nothing is sent."""
        parameters = cast(dict[str, DTensor], dict(self.model.named_parameters()))
        cut = dict(tensors)
        for name, tensor in tensors.items():
            parameter = parameters.get(name.partition("/")[0])
            if parameter is not None and parameter.shape == tensor.shape:
                mesh, placements = parameter.device_mesh, parameter.placements
                cut[name] = distribute_tensor(tensor.to(parameter.device), mesh, placements, src_data_rank=None)
        return cut

    @contextlib.contextmanager
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[Transformer]:
        """A second model, whose weights exist while the block runs; gradients and Adam state stay in slices."""
        tensors = dict(self.model.named_parameters()) if weights is None else weights
        complete = {name: nn.Parameter(_complete(t.detach()), requires_grad=False) for name, t in tensors.items()}
        primary = {id(parameter): name for name, parameter in self._shell.named_parameters()}
        # A shared matrix has several names here, and one in `tensors`.
        names = {name: complete[primary[id(parameter)]] for name, parameter in _all_parameters(self._shell).items()}
        self._shell.load_state_dict(names, assign=True)
        try:
            yield self._shell
        finally:
            self._shell.load_state_dict(self._nothing, assign=True)


def _spread(model: nn.Module, world: World) -> None:
    """Give every process the weights of rank 0."""
    if world.size > 1:
        for bucket in _buckets(model.parameters()):
            _through_one_tensor([parameter.detach() for parameter in bucket], lambda flat: dist.broadcast(flat, 0))


def _through_one_tensor(tensors: list[Tensor], work: Callable[[Tensor], object]) -> None:
    """Do `work` on all `tensors` as one flat tensor, in place."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    work(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Group parameters, in order, up to about 64 MiB."""
    bucket: list[nn.Parameter] = []
    numbers = 0
    for parameter in parameters:
        if bucket and numbers + parameter.numel() > _BUCKET_NUMBERS:
            yield bucket
            bucket, numbers = [], 0
        bucket.append(parameter)
        numbers += parameter.numel()
    if bucket:
        yield bucket


def _complete(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _without_weights(model: Transformer, device: torch.device) -> Transformer:
    """Copy the model's structure; its weights take no memory, its constant tables are on the device."""
    emptied = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
        for parameter in model.parameters()
    }
    shell = copy.deepcopy(model, emptied)
    for buffer in shell.buffers():
        buffer.data = buffer.data.to(device)
    return shell


def _all_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by all their names."""
    return dict(model.named_parameters(remove_duplicate=False))
