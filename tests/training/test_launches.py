"""How many kernels one training step launches, without and with a compiled model: counted on fake tensors, not timed.

On a GPU a small model waits for its launches, about 5 microseconds each on the host, rather than for the kernels.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import clip_grad
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode, _pop_mode_temporarily

from scripts.gpu_parts.synthetic import SyntheticPairs, batches_of
from tests.training.varlen_on_cpu import varlen_on_cpu
from translator.attention import Layout, Packed
from translator.config import load_config, resolve_preset
from translator.data.batches import Batch
from translator.model import Transformer
from translator.runtime.device import Machine
from translator.training import loss as loss_module
from translator.training.loss_chunk import ChunkKernel, chunk_of_softmax, compile_chunk
from translator.training.state import TrainingState
from translator.training.update import Updater

__all__ = ["varlen_on_cpu"]

VOCABULARY = 8000
# They allocate, rename or take notes; nothing is launched for them.
NO_LAUNCH = {
    "empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view", "lift_fresh", "detach", "is_same_size",
    "device", "_record_function_enter_new", "_record_function_exit",
}  # fmt: skip


def launches(operator: Any) -> bool:
    """Tell whether an operator computes something, rather than allocating or looking at a tensor in another way."""
    schema = operator._schema
    is_view = any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns)
    return not is_view and schema.name.rpartition("::")[2] not in NO_LAUNCH


class Launches(TorchDispatchMode):
    """The operators of a step that launch something: those called one by one, and those in the graphs that it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.in_graphs: list[int] = []
        """For each call of a graph, the operators in it: the most kernels that a compiler can make of it."""
        self._inside = False

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if launches(operator) and not self._inside:
            self.operators[operator._schema.name.rpartition("::")[2]] += 1
        return operator(*arguments, **(options or {}))

    def call_graph(self, graph: torch.fx.GraphModule, *arguments: Any) -> Any:
        targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
        self.in_graphs.append(sum(launches(target) for target in targets if hasattr(target, "_schema")))
        self._inside = True
        try:
            return graph(*arguments)
        finally:
            self._inside = False


@pytest.fixture
def as_on_cuda(varlen_on_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The routes of loss, attention, dropout and optimizer that a CUDA device takes, on fake tensors of the CPU.

    A build of PyTorch without CUDA cannot autocast fake tensors of a CUDA device.
    """
    rows_of_chunk = loss_module._chunk_tokens
    monkeypatch.setattr(loss_module, "choose_chunk", lambda *_: ChunkKernel(chunk_of_softmax))
    monkeypatch.setattr(loss_module, "_chunk_tokens", lambda size, _: rows_of_chunk(size, torch.device("cuda")))
    # Fake tensors are moved nowhere, and are not trusted with operations on lists of tensors.
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
    monkeypatch.setattr(clip_grad, "_has_foreach_support", lambda *_: True)


def launches_of_a_step(preset: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> Launches:
    """Count a whole step of a preset in bf16: forward, loss, backward, clipping and Adam, without its first step."""
    counted = Launches()
    config = resolve_preset(load_config(None, [f"preset={preset}", "training.activations=fp32"]))
    real = batches_of(SyntheticPairs(4000, VOCABULARY), 8192, fixed=True)[0]
    with FakeTensorMode():

        def fake(side: Packed) -> Packed:
            layout = Layout(torch.empty(side.layout.offsets.shape, dtype=torch.int32), side.layout.max_length)
            return Packed(torch.empty(side.tokens.shape, dtype=torch.int64), layout)

        batch = Batch(
            real.indices, fake(real.source), fake(real.target), torch.empty(real.labels.shape, dtype=torch.int64)
        )
        model = Transformer(config.model, VOCABULARY, VOCABULARY).train()
        machine = Machine(torch.device("cpu"), "bf16")
        update = Updater(TrainingState.initial(model, config.training, machine), config.training, machine)
        update([batch])  # makes the state of the optimizer
        if compiled:
            count_inside(update, counted, monkeypatch)
        with counted:
            update([batch])
    return counted


def count_inside(update: Updater, counted: Launches, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with a backend that runs the operators of the graph one by one, so that they can be counted."""

    def compile_graph(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        return make_boxed_func(lambda *arguments: counted.call_graph(graph, *arguments))

    def outside_mode(compiled: Callable[..., Any]) -> Callable[..., Any]:
        # Nothing is compiled below a mode that looks at every operator; the mode sees the backward pass.
        def call(*arguments: Any) -> Any:
            assert _get_current_dispatch_mode() is counted
            with _pop_mode_temporarily():
                return compiled(*arguments)

        return call

    compile_model = torch.compile
    backend = aot_autograd(fw_compiler=compile_graph, bw_compiler=compile_graph)
    monkeypatch.setattr(torch, "compile", lambda model, **options: compile_model(model, backend=backend, **options))
    update.compile()
    forward = update._forward
    assert forward is not None
    monkeypatch.setattr(update, "_forward", outside_mode(forward))
    # As on CUDA.
    monkeypatch.setattr(
        update, "_loss", partial(update._loss, kernel=ChunkKernel(outside_mode(compile_chunk().compute)))
    )


@pytest.mark.slow
@pytest.mark.usefixtures("as_on_cuda")
def test_a_compiled_step_launches_a_tenth_of_the_operators_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    eager = launches_of_a_step("tiny", False, monkeypatch)
    compiled = launches_of_a_step("tiny", True, monkeypatch)
    torch._dynamo.reset()
    # Without compilation 806. With it 63, and graphs of 260 (forward), 19 (a chunk of the loss) and 410 (backward)
    # operators, of which a compiler makes fewer kernels; how many is known only where it runs.
    assert sum(eager.operators.values()) <= 820 and not eager.in_graphs
    assert sum(compiled.operators.values()) <= 70
    assert len(compiled.in_graphs) == 3 and sum(compiled.in_graphs) <= 720
    # Adam, and the clipping of all gradients, are a few operators whatever the number of weights.
    assert {"_fused_adamw_": 2, "_foreach_norm": 1}.items() <= compiled.operators.items()
