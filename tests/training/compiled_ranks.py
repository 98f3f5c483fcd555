"""A process of a job that trains a model compiled layer by layer; the main one saves the results for the test.

RANK=... WORLD_SIZE=... MASTER_ADDR=... MASTER_PORT=... python compiled_ranks.py DIRECTORY
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import varlen_on_cpu
from torch import nn

from translator.attention import pack
from translator.config import ModelSettings, TrainingSettings
from translator.data.batches import Batch
from translator.distributed.world import World, join_world
from translator.model import build_model
from translator.runtime.device import Machine
from translator.training.state import TrainingState
from translator.training.update import Updater

MODEL = ModelSettings(encoder_layers=2, decoder_layers=3, d_model=16, d_ff=20, num_heads=2, dropout=0.0)
STEPS = 3


def make_batches(count: int) -> list[Batch]:
    """Batches of one shape: two sentences of five tokens."""
    random = np.random.default_rng(4)
    batches = []
    for _ in range(count):
        sources, targets = random.integers(3, 40, (2, 2, 4)).tolist()
        source, target = pack([[*each, 2] for each in sources]), pack([[1, *each] for each in targets])
        batches.append(Batch(np.arange(2), source, target, pack([[*each, 2] for each in targets]).tokens))
    return batches


def train(world: World, compiled: bool, precision: str = "fp32", **settings: Any) -> dict[str, Any]:
    """Train on all batches of the job; return losses and weights, and what the layers' weights were gathered as."""
    training = TrainingSettings(activations="fp32", learning_rate=0.01, adam_epsilon=1e-3, **settings)
    machine = Machine(torch.device("cpu"), precision)
    state = TrainingState.initial(build_model(MODEL, 40, 40, seed=1).train(), training, machine, world)
    update = Updater(state, training, machine, world)
    if compiled:
        update.compile()
    formats = set()
    layer = state.model.decoder_layers[1]
    linear = layer.feed_forward.inner
    assert isinstance(linear, nn.Linear)
    layer.register_forward_pre_hook(lambda *_: formats.add(str(linear.weight.dtype)))
    losses = []
    batches = make_batches(STEPS * 2)
    for step in range(STEPS):
        mine = batches[2 * step : 2 * step + 2][world.rank :: world.size]
        sums = update(mine)
        [total] = world.sum([float(sums.smoothed)])
        losses.append(total / sums.all_tokens)
    weights = state.parallel.gather(dict(state.model.named_parameters()))
    held = {str(parameter.dtype) for parameter in state.model.parameters()}
    return {
        "losses": losses, "gathered as": formats, "held as": held,
        "weights": {name: weight.detach().clone() for name, weight in weights.items()},
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    with join_world() as world, pytest.MonkeyPatch.context() as patch:
        varlen_on_cpu.take_varlen(patch)
        found: dict[str, Any] = {}
        for name, settings in {"replicated": {}, "sharded": {"sharded": True}}.items():
            graphs = varlen_on_cpu.count_graphs(patch)
            found[name] = train(world, compiled=True, **settings)
            found[name]["graphs"] = graphs.count, graphs.breaks()
        found["plain"] = train(world, compiled=False)
        graphs = varlen_on_cpu.count_graphs(patch)
        bf16 = {"precision": "bf16", "sharded": True}
        found["bf16"] = train(world, compiled=True, sharded_gather="bf16", **bf16)
        found["bf16"]["graphs"] = graphs.count, graphs.breaks()
        found["autocast"] = train(world, compiled=False, **bf16)
        if world.is_main:
            torch.save(found, Path(sys.argv[1]) / "found")


if __name__ == "__main__":
    main()
